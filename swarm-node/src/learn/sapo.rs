//! Sharing of experience (SAPO): which groups of its own and of its peers a learner trains on.
//!
//! From each source the groups whose rewards are all equal are dropped (they teach nothing), then a number is drawn
//! uniformly without replacement. The draw is a function of key, round and the groups' order, so it can be recomputed.
//! A source that has fewer groups than asked gives all it has; the other source does not make up for it.

use reproducible_ops::random::Stream;
use serde::{Deserialize, Serialize};

use super::advantage::is_informative;
use super::group::Group;

/// How many groups come from where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mix {
    /// Own groups per update.
    pub own: usize,
    /// Groups of other peers per update.
    pub external: usize,
    /// Whether groups without differences in reward are dropped before drawing. Off only as an experimental control.
    pub filter: bool,
}

impl Default for Mix {
    fn default() -> Self {
        Self { own: 8, external: 8, filter: true }
    }
}

/// Indices of the drawn groups, ascending, per source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drawn {
    /// Into the own groups.
    pub own: Vec<usize>,
    /// Into the external groups.
    pub external: Vec<usize>,
}

impl Mix {
    /// Draws groups for the update of `round`. `key` must belong to this purpose alone.
    pub fn draw(&self, own: &[Group], external: &[Group], key: [u32; 2], round: u32) -> Drawn {
        Drawn {
            own: self.draw_from(own, self.own, Stream::new(key, round, 0)),
            external: self.draw_from(external, self.external, Stream::new(key, round, 1)),
        }
    }

    fn draw_from(&self, groups: &[Group], count: usize, mut stream: Stream) -> Vec<usize> {
        let eligible = groups.iter().enumerate().filter(|(_, group)| !self.filter || is_informative(&group.rewards()));
        let eligible: Vec<usize> = eligible.map(|(at, _)| at).collect();
        let drawn = stream.distinct(count, eligible.len());
        let mut drawn: Vec<usize> = drawn.into_iter().filter_map(|at| eligible.get(at).copied()).collect();
        // The order of training is by index, not by luck of the draw.
        drawn.sort_unstable();
        drawn
    }
}

#[cfg(test)]
mod tests {
    use super::super::group::Rollout;
    use super::*;
    use crate::round::Stage;

    fn group(rewards: &[f32]) -> Group {
        let rollout = |&reward: &f32| Rollout { tokens: vec![2, 1], reward, behaviour_logp: None };
        Group { stage: Stage::Share, prompt: vec![3], rollouts: rewards.iter().map(rollout).collect() }
    }

    fn mixed(count: usize) -> Vec<Group> {
        (0..count).map(|at| group(if at % 3 == 0 { &[1.0, 1.0] } else { &[0.0, 1.0] })).collect()
    }

    #[test]
    fn uninformative_groups_are_never_drawn_unless_the_filter_is_off() {
        let (own, external) = (mixed(30), mixed(30));
        let drawn = Mix::default().draw(&own, &external, [1, 2], 0);
        assert_eq!((drawn.own.len(), drawn.external.len()), (8, 8));
        assert!(drawn.own.iter().chain(&drawn.external).all(|at| at % 3 != 0));
        assert_ne!(drawn.own, drawn.external);
        let unfiltered = Mix { own: 30, filter: false, ..Mix::default() };
        assert_eq!(unfiltered.draw(&own, &[], [1, 2], 0).own, (0..30).collect::<Vec<_>>());
    }

    #[test]
    fn every_eligible_group_is_drawn_equally_often() {
        let own = mixed(12);
        let mut counts = [0; 12];
        for round in 0..4_000 {
            let mix = Mix { own: 2, external: 0, filter: true };
            mix.draw(&own, &[], [7, 7], round).own.into_iter().for_each(|at| counts[at] += 1);
        }
        let eligible = counts.iter().enumerate().filter(|(at, _)| at % 3 != 0);
        assert!(eligible.into_iter().all(|(_, count)| (900..1_100).contains(count)), "{counts:?}");
        assert_eq!([counts[0], counts[3], counts[6], counts[9]], [0; 4]);
    }

    #[test]
    fn the_draw_depends_on_key_and_round_only() {
        let (own, external) = (mixed(30), mixed(30));
        let draw = |key, round| Mix::default().draw(&own, &external, key, round);
        assert_eq!(draw([1, 2], 3), draw([1, 2], 3));
        assert!(draw([1, 2], 3) != draw([1, 2], 4) && draw([1, 2], 3) != draw([2, 2], 3));
        assert_eq!(Mix::default().draw(&mixed(4), &[], [1, 2], 0).own, [1, 2]);
    }
}
