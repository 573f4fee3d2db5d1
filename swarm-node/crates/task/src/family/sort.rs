//! Sorting: `sort 38152=` → `12358`. Careless: descending.

use reproducible_ops::random::Stream;

use super::generator::{Family, ascending, at_level, joined};
use crate::answer::Answer;
use crate::question::Question;
use crate::random::with_digits;

/// How many numbers, of how many digits, per level.
const LEVELS: [(usize, u32); 4] = [(5, 1), (8, 1), (5, 2), (8, 3)];

/// Sorts digits, written as one string, or numbers, written as a list.
pub(super) struct Sort;

impl Family for Sort {
    fn description(&self) -> &'static str {
        "digits or numbers in ascending order"
    }

    fn careless(&self) -> &'static str {
        "descending order"
    }

    fn levels(&self) -> u8 {
        LEVELS.len() as u8
    }

    fn generate(&self, level: u8, random: &mut Stream) -> Question {
        let (count, digits) = at_level(&LEVELS, level);
        let numbers: Vec<i64> = (0..count).map(|_| with_digits(digits, random)).collect();
        let separator = if digits == 1 { "" } else { " " };
        let ascending = ascending(&numbers);
        let descending: Vec<i64> = ascending.iter().rev().copied().collect();
        let answer = |order: &[i64]| answer(order, digits);
        let prompt = |order: &[i64]| format!("sort {}=", joined(order, separator));
        Question::with_twins(
            prompt(&numbers),
            prompt(&ascending),
            answer(&ascending),
            answer(&descending),
        )
    }
}

fn answer(order: &[i64], digits: u32) -> Answer {
    if digits == 1 {
        Answer::symbols(joined(order, ""))
    } else {
        Answer::list(order.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_upwards() {
        assert_eq!(ascending(&[3, 8, 1, 5, 2]), [1, 2, 3, 5, 8]);
        assert_eq!(answer(&[1, 2], 1), Answer::symbols("12"));
        assert_eq!(answer(&[10, 20], 2), Answer::list([10, 20]));
    }
}
