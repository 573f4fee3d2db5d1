//! Reversal: `reverse 38152=` → `25183`. Careless: the string as it stands.

use reproducible_ops::random::Stream;

use super::generator::{Family, at_level};
use crate::answer::Answer;
use crate::question::Question;
use crate::random::digit;

/// Length of the string, per level.
const LENGTHS: [usize; 4] = [5, 8, 16, 32];

/// Reads a string of digits backwards.
pub(super) struct Reverse;

impl Family for Reverse {
    fn description(&self) -> &'static str {
        "a string of digits read backwards"
    }

    fn careless(&self) -> &'static str {
        "the string unchanged"
    }

    fn levels(&self) -> u8 {
        LENGTHS.len() as u8
    }

    fn generate(&self, level: u8, random: &mut Stream) -> Question {
        let length = at_level(&LENGTHS, level);
        let text: String = (0..length).map(|_| digit(random)).collect();
        let reversed: String = text.chars().rev().collect();
        Question::without_twins(
            format!("reverse {text}="),
            Answer::symbols(reversed),
            Answer::symbols(text),
        )
    }
}
