//! Digit sums: `digits 38152=` → `19`. Careless: leaves out the last digit.

use reproducible_ops::random::Stream;

use super::generator::{Family, ascending, at_level, joined};
use crate::answer::Answer;
use crate::question::Question;

/// Number of digits, per level.
const LENGTHS: [usize; 4] = [5, 8, 16, 32];

/// Adds up digits.
pub(super) struct DigitSum;

impl Family for DigitSum {
    fn description(&self) -> &'static str {
        "the sum of a number's digits"
    }

    fn careless(&self) -> &'static str {
        "the sum without the last digit"
    }

    fn levels(&self) -> u8 {
        LENGTHS.len() as u8
    }

    fn generate(&self, level: u8, random: &mut Stream) -> Question {
        let length = at_level(&LENGTHS, level);
        let digits: Vec<i64> = (0..length).map(|_| random.range(0, 9)).collect();
        let gold: i64 = digits.iter().sum();
        let careless: i64 = digits[..length - 1].iter().sum();
        let prompt = |digits: &[i64]| format!("digits {}=", joined(digits, ""));
        let canonical = prompt(&ascending(&digits));
        Question::with_twins(
            prompt(&digits),
            canonical,
            Answer::integer(gold),
            Answer::integer(careless),
        )
    }
}
