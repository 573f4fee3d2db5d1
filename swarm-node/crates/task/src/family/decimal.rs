//! Decimal arithmetic: `3.5+12.25-0.75=` → `15`. Careless: lines the numbers up at their last
//! digits.

use reproducible_ops::random::Stream;

use super::generator::{Family, ascending, at_level};
use crate::answer::Answer;
use crate::number::Number;
use crate::question::Question;

/// How many terms, with at most how many whole digits and decimals, per level.
const LEVELS: [(usize, u32, u32); 4] = [(2, 1, 1), (2, 2, 2), (3, 3, 3), (5, 4, 4)];

/// Sums and differences of numbers with differing counts of decimals.
pub(super) struct Decimal;

/// `units / 10^places`, added or subtracted.
#[derive(Clone, Copy)]
struct Term {
    minus: bool,
    units: i64,
    places: u32,
}

impl Family for Decimal {
    fn description(&self) -> &'static str {
        "a sum of decimal numbers"
    }

    fn careless(&self) -> &'static str {
        "the numbers lined up at their last digits instead of at the point"
    }

    fn levels(&self) -> u8 {
        LEVELS.len() as u8
    }

    fn generate(&self, level: u8, random: &mut Stream) -> Question {
        let (count, whole_digits, most_places) = at_level(&LEVELS, level);
        let terms: Vec<Term> = (0..count)
            .map(|at| Term::draw(at, whole_digits, most_places, random))
            .collect();
        let (gold, careless) = (
            answer(sum(&terms), most_places),
            answer(misaligned(&terms), most_places),
        );
        Question::with_twins(prompt(&terms), canonical(&terms), gold, careless)
    }
}

impl Term {
    /// The first two terms differ in their decimals, so that alignment matters.
    fn draw(at: usize, whole_digits: u32, most_places: u32, random: &mut Stream) -> Self {
        let places = match at {
            0 => most_places,
            1 => random.below(u64::from(most_places)) as u32,
            _ => random.below(u64::from(most_places) + 1) as u32,
        };
        let units = random.range(1, 10_i64.pow(whole_digits + places) - 1);
        Self {
            minus: at > 0 && random.chance(0.5),
            units,
            places,
        }
    }

    fn text(&self, first: bool) -> String {
        let sign = match (first, self.minus) {
            (true, _) => "",
            (false, true) => "-",
            (false, false) => "+",
        };
        let scale = 10_i64.pow(self.places);
        let (whole, rest) = (self.units / scale, self.units % scale);
        if self.places == 0 {
            format!("{sign}{whole}")
        } else {
            format!(
                "{sign}{whole}.{rest:0>width$}",
                width = self.places as usize
            )
        }
    }

    /// Without zeros at the end of its decimals.
    fn shortest(self) -> Self {
        if self.places > 0 && self.units % 10 == 0 {
            Self {
                units: self.units / 10,
                places: self.places - 1,
                ..self
            }
            .shortest()
        } else {
            self
        }
    }

    fn signed(&self) -> i64 {
        if self.minus { -self.units } else { self.units }
    }
}

fn prompt(terms: &[Term]) -> String {
    let sum: String = terms
        .iter()
        .enumerate()
        .map(|(at, term)| term.text(at == 0))
        .collect();
    format!("{sum}=")
}

/// The prompt with every number as short as it can be and the terms sorted by their texts.
fn canonical(terms: &[Term]) -> String {
    let texts: Vec<String> = terms
        .iter()
        .map(|term| term.shortest().text(false))
        .collect();
    // `+` sorts before `-`, and the first term is always added, so an added one leads here too and
    // needs no sign.
    format!("{}=", ascending(&texts).concat().trim_start_matches('+'))
}

fn most_places(terms: &[Term]) -> u32 {
    terms.iter().map(|term| term.places).fold(0, u32::max)
}

/// The sum in units of the finest place.
fn sum(terms: &[Term]) -> i64 {
    let finest = most_places(terms);
    terms
        .iter()
        .map(|term| term.signed() * 10_i64.pow(finest - term.places))
        .sum()
}

fn misaligned(terms: &[Term]) -> i64 {
    terms.iter().map(Term::signed).sum()
}

fn answer(units: i64, places: u32) -> Answer {
    #[expect(
        clippy::expect_used,
        reason = "the places are those of `LEVELS`, far below the most that a number may have"
    )]
    let number = Number::decimal(i128::from(units), places)
        .expect("invariant: a sum has as few places as its level");
    Answer::number(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aligns_at_the_point() {
        let terms = [
            Term {
                minus: false,
                units: 1225,
                places: 2,
            },
            Term {
                minus: false,
                units: 35,
                places: 1,
            },
            Term {
                minus: true,
                units: 7,
                places: 0,
            },
        ];
        assert_eq!(prompt(&terms), "12.25+3.5-7=");
        assert_eq!(answer(sum(&terms), 2).text(), "8.75");
        assert_eq!(answer(misaligned(&terms), 2).text(), "12.53");
        assert_eq!(
            Term {
                minus: false,
                units: 5,
                places: 2
            }
            .text(true),
            "0.05"
        );
    }

    #[test]
    fn terms_may_change_places_and_end_in_zeros() {
        let term = |minus, units, places| Term {
            minus,
            units,
            places,
        };
        let [first, second, third] = [term(false, 1220, 2), term(true, 7, 0), term(false, 35, 1)];
        assert_eq!(canonical(&[first, second, third]), "12.2+3.5-7=");
        assert_eq!(canonical(&[third, first, term(true, 70, 1)]), "12.2+3.5-7=");
        assert_ne!(
            canonical(&[first, term(false, 7, 0), term(true, 35, 1)]),
            "12.2+3.5-7="
        );
        assert_eq!(term(false, 100, 2).shortest().text(true), "1");
    }
}
