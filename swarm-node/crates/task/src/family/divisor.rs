//! Divisors and multiples: `gcd 12 18=` → `6`, `lcm 4 6=` → `12`. Careless: the one for the other.

use reproducible_ops::random::Stream;

use super::generator::{Family, at_level};
use crate::answer::Answer;
use crate::number::gcd;
use crate::question::Question;

/// Largest cofactor and largest common factor, per level; the cofactors are at least 2.
const LEVELS: [(i64, i64); 4] = [(30, 12), (99, 30), (400, 99), (4_000, 999)];

/// Greatest common divisor or least common multiple of two numbers with a common factor.
pub(super) struct Divisor;

impl Family for Divisor {
    fn description(&self) -> &'static str {
        "the greatest common divisor or least common multiple of two numbers"
    }

    fn careless(&self) -> &'static str {
        "the multiple for the divisor, and the divisor for the multiple"
    }

    fn levels(&self) -> u8 {
        LEVELS.len() as u8
    }

    fn generate(&self, level: u8, random: &mut Stream) -> Question {
        let (cofactor, common) = at_level(&LEVELS, level);
        let common = random.range(1, common);
        let (a, b) = (
            random.range(2, cofactor) * common,
            random.range(2, cofactor) * common,
        );
        let (divisor, multiple) = divisor_and_multiple(a, b);
        let (divisor, multiple) = (Answer::integer(divisor), Answer::integer(multiple));
        let (word, gold, careless) = if random.chance(0.5) {
            ("gcd", divisor, multiple)
        } else {
            ("lcm", multiple, divisor)
        };
        let prompt = |first: i64, second: i64| format!("{word} {first} {second}=");
        Question::with_twins(prompt(a, b), prompt(a.min(b), a.max(b)), gold, careless)
    }
}

fn divisor_and_multiple(a: i64, b: i64) -> (i64, i64) {
    let divisor = gcd(u128::from(a.unsigned_abs()), u128::from(b.unsigned_abs())) as i64;
    (divisor, a / divisor * b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn divisor_times_multiple_is_the_product() {
        assert_eq!(divisor_and_multiple(12, 18), (6, 36));
        assert_eq!(divisor_and_multiple(7, 9), (1, 63));
    }
}
