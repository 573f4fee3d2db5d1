//! Counting: `count 7 5727317=` → `3`. Careless: one too many.

use reproducible_ops::random::Stream;

use super::generator::{Family, ascending, at_level};
use crate::answer::Answer;
use crate::question::Question;
use crate::random::digit;

/// Length of the searched string, per level.
const LENGTHS: [usize; 4] = [7, 12, 24, 48];

/// Counts a digit in a string of digits; every count from 0 to two below the length is equally
/// likely. Strings with more hits are too few: a model would see the same ones again and again.
pub(super) struct Count;

impl Family for Count {
    fn description(&self) -> &'static str {
        "how often a digit occurs in a string of digits"
    }

    fn careless(&self) -> &'static str {
        "the count plus one"
    }

    fn levels(&self) -> u8 {
        LENGTHS.len() as u8
    }

    fn generate(&self, level: u8, random: &mut Stream) -> Question {
        let length = at_level(&LENGTHS, level);
        let target = digit(random);
        let searched = searched(length, target, random);
        let count = occurrences(&searched, target);
        let sorted: String = ascending(&searched).into_iter().collect();
        let searched: String = searched.into_iter().collect();
        let prompt = |digits: &str| format!("count {target} {digits}=");
        let (gold, careless) = (Answer::integer(count), Answer::integer(count + 1));
        Question::with_twins(prompt(&searched), prompt(&sorted), gold, careless)
    }
}

fn searched(length: usize, target: char, random: &mut Stream) -> Vec<char> {
    let hits = random.index(length.saturating_sub(1));
    let mut digits: Vec<char> = (0..length)
        .map(|at| {
            if at < hits {
                target
            } else {
                other(target, random)
            }
        })
        .collect();
    random.shuffle(&mut digits);
    digits
}

/// A digit that is not `target`.
fn other(target: char, random: &mut Stream) -> char {
    loop {
        let drawn = digit(random);
        if drawn != target {
            return drawn;
        }
    }
}

fn occurrences(searched: &[char], target: char) -> i64 {
    searched.iter().filter(|c| **c == target).count() as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::stream;

    #[test]
    fn counts_one_digit() {
        let searched = ['5', '7', '2', '7', '3', '7'];
        assert_eq!(occurrences(&searched, '7'), 3);
        assert_eq!(occurrences(&searched, '0'), 0);
    }

    #[test]
    fn all_counts_are_equally_likely() {
        let mut random = stream("count", [0; 4], 0);
        let mut seen = [0; 6];
        for _ in 0..6_000 {
            seen[occurrences(&searched(7, '4', &mut random), '4') as usize] += 1;
        }
        assert!(
            seen.iter().all(|count| (850..1150).contains(count)),
            "{seen:?}"
        );
    }
}
