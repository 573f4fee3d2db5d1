//! Which stages paths may visit: even sets that always balance, and what *balanced* means.
//!
//! With S stages and L visits, path i of a wave visits stage 0 and each stage j + 1 (0 ≤ j < S − 1)
//! with `(i + j)(L − 1) mod (S − 1) < L − 1`. For a fixed i that is L − 1 stages, spread as evenly
//! as they can be; for a fixed j, the numbers of visits in any run of paths differ by at most one
//! between stages, for as words over i they are rotations of one balanced (Christoffel) word.

use crate::path::Stage;

/// The stages of the path in a place of its wave, ascending, stage 0 first.
pub(super) fn even(place: usize, stages: u16, visits: u16) -> impl Iterator<Item = Stage> {
    let (others, chosen) = (usize::from(stages) - 1, usize::from(visits) - 1);
    let visited = move |other: &usize| (place + other) * chosen % others < chosen;
    let rest = (0..others).filter(visited);
    std::iter::once(Stage::FIRST).chain(rest.map(|other| Stage(other as u16 + 1)))
}

/// The longest jump of the even sets, the way to the head included.
pub(super) fn longest_jump(stages: u16, visits: u16) -> u16 {
    let sets = (0..usize::from(stages).max(2) - 1).map(|place| {
        let ends = std::iter::once(Stage(stages));
        let set: Vec<Stage> = even(place, stages, visits).chain(ends).collect();
        let jumps = set.windows(2).map(|pair| pair[1].0 - pair[0].0);
        jumps.fold(0, u16::max)
    });
    sets.fold(0, u16::max)
}

/// Most and fewest visits of a stage other than 0 that still count as balanced, for so many paths.
/// They are equal where the visits can be divided.
pub(super) fn balanced(paths: usize, stages: u16, visits: u16) -> (usize, usize) {
    if stages < 2 {
        return (0, 0);
    }
    let (others, all) = (usize::from(stages) - 1, paths * (usize::from(visits) - 1));
    (all / others, all.div_ceil(others))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn even_sets_have_their_size_and_balance_any_run_of_paths() {
        for stages in 1..12_u16 {
            for visits in 1..=stages {
                for (start, paths) in [(0, 1), (0, 7), (3, 15), (5, 30), (2, 4)] {
                    let mut counts = vec![0; usize::from(stages)];
                    for place in start..start + paths {
                        let set: Vec<Stage> = even(place, stages, visits).collect();
                        assert_eq!(set.len(), usize::from(visits));
                        assert!(set.is_sorted());
                        set.iter().for_each(|stage| counts[stage.index()] += 1);
                    }
                    let (fewest, most) = balanced(paths, stages, visits);
                    assert_eq!(counts[0], paths);
                    let within = |count: &usize| (fewest..=most).contains(count);
                    assert!(
                        counts[1..].iter().all(within),
                        "{stages} {visits} {counts:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn jumps_are_as_short_as_they_can_be() {
        assert_eq!(longest_jump(6, 6), 1);
        assert_eq!(longest_jump(6, 4), 2);
        assert_eq!(longest_jump(6, 2), 5);
        assert_eq!(longest_jump(1, 1), 1);
    }
}
