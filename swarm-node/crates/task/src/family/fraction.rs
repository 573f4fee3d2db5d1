//! Simplifying fractions: `simplify 12/18=` → `2/3`. Careless: the fraction as it stands.

use reproducible_ops::random::Stream;

use super::generator::{Family, at_level};
use crate::answer::Answer;
use crate::number::gcd;
use crate::question::Question;

/// Largest reduced part and largest common factor, per level.
const LEVELS: [(i64, i64); 4] = [(40, 12), (99, 30), (400, 99), (9_999, 999)];

/// Reduces a fraction that always can be reduced.
pub(super) struct Fraction;

impl Family for Fraction {
    fn description(&self) -> &'static str {
        "a fraction in lowest terms"
    }

    fn careless(&self) -> &'static str {
        "the fraction unchanged"
    }

    fn levels(&self) -> u8 {
        LEVELS.len() as u8
    }

    fn generate(&self, level: u8, random: &mut Stream) -> Question {
        let (part, factor) = at_level(&LEVELS, level);
        let factor = random.range(2, factor);
        let (top, bottom) = (
            random.range(1, part) * factor,
            random.range(2, part) * factor,
        );
        let (top, bottom) = (top.unsigned_abs(), bottom.unsigned_abs());
        let prompt = format!("simplify {top}/{bottom}=");
        Question::without_twins(prompt, reduced(top, bottom), Answer::fraction(top, bottom))
    }
}

fn reduced(top: u64, bottom: u64) -> Answer {
    let divisor = gcd(u128::from(top), u128::from(bottom)) as u64;
    Answer::fraction(top / divisor, bottom / divisor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lowest_terms_are_required() {
        let gold = reduced(12, 18);
        assert!(gold.matches("2/3") && gold.matches(" 2 / 3."));
        assert!(!gold.matches("12/18") && !gold.matches("4/6") && !gold.matches("3/2"));
        assert_eq!(reduced(12, 4).text(), "3");
    }
}
