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
//! | family | what may change places among twins |
//! |---|---|
//! | max, min, sort | the numbers |
//! | count | the digits searched; the digit looked for stays |
//! | digit_sum | the digits |
//! | divisor | the two numbers |
//! | arithmetic | the signed terms, and the factors of each product |
//! | decimal | the signed terms; a number with zeros at its end is the number without them |
//! | logic | the operands of `&`, `^` and `\|` |
//! | matrix | digits within a row for row sums, within a column for column sums; islands: rows or columns in reverse |
//! | reverse, sequence | nothing: the order is what is asked about |
//! | base | nothing: a numeral's digits have places, and other bases are other problems |
//! | fraction | nothing: top and bottom differ, and another common factor is another problem |
//! | calendar | nothing: the earlier date always comes first |
//! | gsm8k | nothing: texts |

mod arithmetic;
mod base;
mod calendar;
mod count;
mod decimal;
mod digit_sum;
mod divisor;
mod extreme;
mod fraction;
mod logic;
mod matrix;
mod reverse;
mod sequence;
mod sort;

use std::fmt;
use std::str::FromStr;

use reproducible_ops::random::Stream;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::answer::Answer;
use super::split::Split;

/// One question with everything that is needed to judge answers to it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Question {
    /// What a model is shown.
    pub prompt: String,
    /// The same text for all *twins*, questions that differ only in an order that cannot matter to
    /// the right answer. It is the prompt of one of them, with its parts in a fixed order, so no
    /// two families share one.
    pub canonical: String,
    /// The right answer.
    pub gold: Answer,
    /// What the family's careless procedure gives; equal to `gold` where both procedures agree.
    /// None for datasets.
    pub careless: Option<Answer>,
}

impl Question {
    /// A question that is another problem in any other order of its parts.
    fn without_twins(prompt: String, gold: Answer, careless: Answer) -> Self {
        Self::with_twins(prompt.clone(), prompt, gold, careless)
    }

    /// A question with parts whose order cannot matter; `canonical` is its prompt with them in a
    /// fixed order.
    fn with_twins(prompt: String, canonical: String, gold: Answer, careless: Answer) -> Self {
        Self {
            prompt,
            canonical,
            gold,
            careless: Some(careless),
        }
    }

    /// Whether the question, and with it each of its twins, may be trained on.
    pub fn split(&self) -> Split {
        Split::of(&self.canonical)
    }

    /// 1 if `text`, read leniently, is the right answer, else 0. Pure.
    pub fn score(&self, text: &str) -> f32 {
        f32::from(u8::from(self.gold.matches(text)))
    }

    /// True if `text` holds an answer of the right kind, be it right or wrong.
    pub fn is_well_formed(&self, text: &str) -> bool {
        self.gold.kind().canonical(text).is_some()
    }
}

/// A generator of questions with exact answers.
pub trait Family: Sync {
    /// What is asked, in one line.
    fn description(&self) -> &'static str;

    /// The fixed wrong procedure, in one line.
    fn careless(&self) -> &'static str;

    /// Number of difficulty levels, at least one; level 0 is the easiest.
    fn levels(&self) -> u8;

    /// Draws a question of `level`; a level beyond the last counts as the last.
    fn generate(&self, level: u8, random: &mut Stream) -> Question;
}

/// A family name that is not in the table.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("unknown task family \"{0}\"; known are {known}", known = names())]
pub struct UnknownFamily(pub String);

macro_rules! families {
    ($($variant:ident $name:literal $description:literal $generator:expr;)*) => {
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
    Max "max" "Largest of several numbers." Some(&extreme::LARGEST);
    Count "count" "How often a digit occurs." Some(&count::Count);
    Sort "sort" "Numbers in ascending order." Some(&sort::Sort);
    Reverse "reverse" "A string of digits read backwards." Some(&reverse::Reverse);
    Min "min" "Smallest of several numbers." Some(&extreme::SMALLEST);
    DigitSum "digit_sum" "Sum of a number's digits." Some(&digit_sum::DigitSum);
    Sequence "sequence" "Next term of a number sequence." Some(&sequence::Sequence);
    Arithmetic "arithmetic" "Chained whole-number arithmetic with precedence." Some(&arithmetic::Arithmetic);
    Decimal "decimal" "Sums and differences of decimal numbers." Some(&decimal::Decimal);
    Base "base" "A number written in another base." Some(&base::Base);
    Fraction "fraction" "A fraction in lowest terms." Some(&fraction::Fraction);
    Divisor "divisor" "Greatest common divisor or least common multiple." Some(&divisor::Divisor);
    Calendar "calendar" "Weekday of a date, or days between two dates." Some(&calendar::Calendar);
    Logic "logic" "Value of a propositional formula." Some(&logic::Logic);
    Matrix "matrix" "Row sums, column sums and islands of a binary matrix." Some(&matrix::Matrix);
    Gsm8k "gsm8k" "Grade-school word problems from a local JSONL file." None;
}

impl FamilyId {
    /// The families that a character-level model below a million parameters can master at level 0:
    /// prompts of at most [`NANO_PROMPT_CHARS`] characters, answers of at most
    /// [`NANO_ANSWER_CHARS`].
    pub const NANO: [Self; 4] = [Self::Max, Self::Count, Self::Sort, Self::Reverse];

    /// Number of difficulty levels; datasets have one.
    pub fn levels(self) -> u8 {
        self.generator().map_or(1, |family| family.levels().max(1))
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

/// The entry of `per_level` for `level`, the last one for levels beyond it.
fn at_level<T: Copy>(per_level: &[T], level: u8) -> Option<T> {
    per_level
        .get(usize::from(level))
        .or(per_level.last())
        .copied()
}

/// `values` written one after the other with `separator` between.
fn joined<T: ToString>(values: &[T], separator: &str) -> String {
    let texts: Vec<String> = values.iter().map(T::to_string).collect();
    texts.join(separator)
}

/// `values` in ascending order.
fn ascending<T: Ord + Clone>(values: &[T]) -> Vec<T> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(super) mod twins;
