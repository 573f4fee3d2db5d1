//! Largest and smallest: `max 38 15 27=` → `38`. Careless: the other end.

use reproducible_ops::random::Stream;

use super::generator::{Family, ascending, at_level, joined};
use crate::answer::Answer;
use crate::question::Question;
use crate::random::with_digits;

/// How many numbers, of how many digits, per level.
const LEVELS: [(usize, u32); 4] = [(3, 2), (4, 3), (6, 4), (10, 6)];

/// The largest number.
pub(super) const LARGEST: Extreme = Extreme { largest: true };
/// The smallest number.
pub(super) const SMALLEST: Extreme = Extreme { largest: false };

/// Picks one end of a list.
pub(super) struct Extreme {
    largest: bool,
}

impl Family for Extreme {
    fn description(&self) -> &'static str {
        if self.largest {
            "the largest of several numbers"
        } else {
            "the smallest of several numbers"
        }
    }

    fn careless(&self) -> &'static str {
        if self.largest {
            "the smallest number"
        } else {
            "the largest number"
        }
    }

    fn levels(&self) -> u8 {
        LEVELS.len() as u8
    }

    fn generate(&self, level: u8, random: &mut Stream) -> Question {
        let (count, digits) = at_level(&LEVELS, level);
        let numbers: Vec<i64> = (0..count).map(|_| with_digits(digits, random)).collect();
        let word = if self.largest { "max" } else { "min" };
        let answer = |largest| Answer::integer(extreme(&numbers, largest));
        let prompt = |numbers: &[i64]| format!("{word} {}=", joined(numbers, " "));
        let canonical = prompt(&ascending(&numbers));
        Question::with_twins(
            prompt(&numbers),
            canonical,
            answer(self.largest),
            answer(!self.largest),
        )
    }
}

fn extreme(numbers: &[i64], largest: bool) -> i64 {
    let sorted = ascending(numbers);
    if largest {
        sorted[sorted.len() - 1]
    } else {
        sorted[0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_both_ends() {
        assert_eq!(extreme(&[38, 15, 27], true), 38);
        assert_eq!(extreme(&[38, 15, 27], false), 15);
    }
}
