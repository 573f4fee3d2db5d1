//! Base conversion: `base 10>2 13=` → `1101`. Careless: the digits in reverse, as they fall out of
//! repeated division.

use reproducible_ops::random::Stream;

use super::generator::{Family, at_level};
use crate::answer::Answer;
use crate::question::Question;

/// Largest number, and the bases (two at least) to convert between, per level.
const LEVELS: [(i64, &[u32]); 4] = [
    (4095, &[2, 10]),
    (65_535, &[2, 8, 10, 16]),
    (1_000_000, &[2, 3, 5, 7, 10, 16]),
    (1_000_000_000, &[3, 7, 11, 16, 30, 36]),
];

/// Rewrites a number from one base in another.
pub(super) struct Base;

impl Family for Base {
    fn description(&self) -> &'static str {
        "a whole number rewritten in another base (digits 0-9, a-z)"
    }

    fn careless(&self) -> &'static str {
        "the digits in reverse order"
    }

    fn levels(&self) -> u8 {
        LEVELS.len() as u8
    }

    fn generate(&self, level: u8, random: &mut Stream) -> Question {
        let (high, bases) = at_level(&LEVELS, level);
        let mut order = bases.to_vec();
        random.shuffle(&mut order);
        let (from, to) = (order[0], order[order.len() - 1]);
        let value = random.range(2, high).unsigned_abs();
        let (shown, gold) = (Answer::numeral(value, from), Answer::numeral(value, to));
        let careless = reversed(&gold, to);
        Question::without_twins(format!("base {from}>{to} {shown}="), gold, careless)
    }
}

fn reversed(numeral: &Answer, base: u32) -> Answer {
    let digits: String = numeral.text().chars().rev().collect();
    #[expect(
        clippy::expect_used,
        reason = "digits of a numeral of this base, whose value and reversal stay far below u64"
    )]
    let value = u64::from_str_radix(&digits, base).expect("invariant: a reversed numeral is one");
    Answer::numeral(value, base)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reversal_keeps_the_base() {
        assert_eq!(reversed(&Answer::numeral(13, 2), 2).text(), "1011");
        assert_eq!(reversed(&Answer::numeral(8, 2), 2).text(), "1");
        assert_eq!(reversed(&Answer::numeral(0x1f, 16), 16).text(), "f1");
    }
}
