//! The task families: one small file each, and the table that names them.
//!
//! A family turns a stream of random numbers into a question, its right answer, and the answer of
//! one fixed *careless* procedure (smallest for largest, descending for ascending). To add a
//! family: write its file, add its row to the table below. Rows are only ever appended, since a
//! row's place is its number on the wire.
//!
//! A family also says which of its questions are *twins*: the same problem in another order that
//! cannot matter. Twins share their canonical form, by which the split is decided, so none is
//! trained on while another is held out.
//!
//! What may change places among twins:
//! * max, min, sort: the numbers;
//! * count: the digits searched; the digit looked for stays;
//! * digit_sum: the digits;
//! * divisor: the two numbers;
//! * arithmetic: the signed terms, and the factors of each product;
//! * decimal: the signed terms; a number with zeros at its end is the number without them;
//! * logic: the operands of `&`, `^` and `|`;
//! * matrix: digits within a row for row sums, within a column for column sums; for islands, the
//!   rows or the columns in reverse;
//! * reverse, sequence: nothing, the order is what is asked about;
//! * base: nothing, a numeral's digits have places, and other bases are other problems;
//! * fraction: nothing, top and bottom differ, and another common factor is another problem;
//! * calendar: nothing, the earlier date always comes first;
//! * gsm8k: nothing, they are texts.

mod arithmetic;
mod base;
mod calendar;
mod count;
mod decimal;
mod digit_sum;
mod divisor;
mod extreme;
mod fraction;
mod generator;
mod logic;
mod matrix;
mod reverse;
mod sequence;
mod sort;

use std::fmt;
use std::str::FromStr;

pub use generator::Family;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A family name that is not in the table.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("unknown task family \"{0}\"; known are {known}", known = names())]
pub struct UnknownFamily(pub String);

macro_rules! families {
    ($($variant:ident $name:literal $generator:expr, $description:literal;)*) => {
        /// A task family, by its name in configs and its row number on the wire.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum FamilyId {
            $(#[doc = $description] #[serde(rename = $name)] $variant,)*
        }

        impl FamilyId {
            /// Every family, in table order.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The name in configs and on screens.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The generator; none for a family whose questions come from a dataset.
            pub fn generator(self) -> Option<&'static dyn Family> {
                match self { $(Self::$variant => $generator,)* }
            }
        }
    };
}

families! {
    Max "max" Some(&extreme::LARGEST), "Largest of several numbers.";
    Count "count" Some(&count::Count), "How often a digit occurs.";
    Sort "sort" Some(&sort::Sort), "Numbers in ascending order.";
    Reverse "reverse" Some(&reverse::Reverse), "A string of digits read backwards.";
    Min "min" Some(&extreme::SMALLEST), "Smallest of several numbers.";
    DigitSum "digit_sum" Some(&digit_sum::DigitSum), "Sum of a number's digits.";
    Sequence "sequence" Some(&sequence::Sequence), "Next term of a number sequence.";
    Arithmetic "arithmetic" Some(&arithmetic::Arithmetic),
        "Chained whole-number arithmetic with precedence.";
    Decimal "decimal" Some(&decimal::Decimal), "Sums and differences of decimal numbers.";
    Base "base" Some(&base::Base), "A number written in another base.";
    Fraction "fraction" Some(&fraction::Fraction), "A fraction in lowest terms.";
    Divisor "divisor" Some(&divisor::Divisor), "Greatest common divisor or least common multiple.";
    Calendar "calendar" Some(&calendar::Calendar), "Weekday of a date, or days between two dates.";
    Logic "logic" Some(&logic::Logic), "Value of a propositional formula.";
    Matrix "matrix" Some(&matrix::Matrix), "Row sums, column sums and islands of a binary matrix.";
    Gsm8k "gsm8k" None, "Grade-school word problems from a local JSONL file.";
}

impl FamilyId {
    /// The families that a character-level model below a million parameters can master at level 0:
    /// prompts of at most [`NANO_PROMPT_CHARS`] characters, answers of at most
    /// [`NANO_ANSWER_CHARS`].
    pub const NANO: [Self; 4] = [Self::Max, Self::Count, Self::Sort, Self::Reverse];

    /// Number of difficulty levels; datasets have one.
    pub fn levels(self) -> u8 {
        match self.generator() {
            Some(family) => family.levels(),
            None => 1,
        }
    }
}

/// Longest level-0 prompt of a nano family, in characters.
pub const NANO_PROMPT_CHARS: usize = 24;
/// Longest level-0 answer of a nano family, in characters, without the end mark.
pub const NANO_ANSWER_CHARS: usize = 8;

impl fmt::Display for FamilyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for FamilyId {
    type Err = UnknownFamily;

    fn from_str(name: &str) -> Result<Self, UnknownFamily> {
        Self::ALL
            .iter()
            .copied()
            .find(|family| family.name() == name)
            .ok_or_else(|| UnknownFamily(name.to_owned()))
    }
}

fn names() -> String {
    let names: Vec<&str> = FamilyId::ALL.iter().map(|family| family.name()).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(super) mod twins;
