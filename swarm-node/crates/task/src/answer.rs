//! Answers: what counts as right, and one lenient reading of text for all peers.
//!
//! Every answer has a [`Kind`] and a canonical text. Two texts are the same answer exactly when
//! [`Kind::canonical`] gives the same result, so scoring, counting votes and matching an
//! endorsement to an answer all agree. What stands where in a text is the same for all kinds
//! ([`super::reading`]); a kind only says how the part that states the answer is read. Invariants:
//! reading is pure, never panics, takes time linear in the text, and looks at no more than
//! [`MAX_TEXT_BYTES`] of its input.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::number::{Number, split_sign, whole};
use super::plain::plain;
use super::quantity::quantity;
use super::reading;

/// Longest text that is read, in bytes; of a longer one the end counts, where the final answer
/// stands.
pub const MAX_TEXT_BYTES: usize = 1 << 18;
/// Most items of a list answer.
pub const MAX_ITEMS: usize = 64;
/// Most symbols of a symbol or numeral answer.
pub const MAX_SYMBOLS: usize = 128;

/// How an answer's text is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A number by value: `1,080` = `$1080.0` = `1080 apples`, `6/4` = `1 1/2`.
    Number,
    /// A fraction by its form: `2/3` is not `4/6`.
    Fraction,
    /// Numbers in order, separated by blanks, commas or semicolons, in brackets or not.
    List,
    /// Letters and digits in order; separators and case do not matter: `1 2 3` = `1,2,3` = `123`.
    Symbols,
    /// A whole number in some base: like symbols, and leading zeros do not matter.
    Numeral,
    /// `t` or `f`, also `true`, `yes`, `1`, `false`, `no`, `0`.
    Truth,
    /// A day of the week by its first three letters.
    Weekday,
}

/// The right (or a fixed wrong) answer to a question, in canonical text.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Answer {
    kind: Kind,
    text: String,
}

impl Answer {
    /// A numeric answer.
    pub fn number(value: Number) -> Self {
        Self {
            kind: Kind::Number,
            text: value.to_string(),
        }
    }

    /// A whole-number answer.
    pub fn integer(value: i64) -> Self {
        Self {
            kind: Kind::Number,
            text: value.to_string(),
        }
    }

    /// A fraction answer in exactly this form; `3/1` is written `3`.
    pub fn fraction(numerator: u64, denominator: u64) -> Self {
        Self {
            kind: Kind::Fraction,
            text: fraction_text(false, i128::from(numerator), i128::from(denominator)),
        }
    }

    /// A list of whole numbers.
    pub fn list(values: impl IntoIterator<Item = i64>) -> Self {
        let items: Vec<String> = values.into_iter().map(|value| value.to_string()).collect();
        Self {
            kind: Kind::List,
            text: items.join(" "),
        }
    }

    /// A string of lower-case letters and digits.
    pub fn symbols(text: impl Into<String>) -> Self {
        Self {
            kind: Kind::Symbols,
            text: text.into(),
        }
    }

    /// `value` written in `base` (2 to 36) with lower-case digits.
    pub fn numeral(value: u64, base: u32) -> Self {
        Self {
            kind: Kind::Numeral,
            text: in_base(value, base),
        }
    }

    /// A truth value.
    pub fn truth(value: bool) -> Self {
        Self {
            kind: Kind::Truth,
            text: if value { "t" } else { "f" }.to_owned(),
        }
    }

    /// A day of the week, 0 = Monday to 6 = Sunday; counted modulo 7.
    pub fn weekday(day: usize) -> Self {
        Self {
            kind: Kind::Weekday,
            text: WEEKDAYS[day % WEEKDAYS.len()].to_owned(),
        }
    }

    /// How texts are read against this answer.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The canonical text, which models are trained to write.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// True if `text`, read leniently, is this answer.
    pub fn matches(&self, text: &str) -> bool {
        self.kind
            .canonical(text)
            .is_some_and(|read| read == self.text)
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::Number,
        Self::Fraction,
        Self::List,
        Self::Symbols,
        Self::Numeral,
        Self::Truth,
        Self::Weekday,
    ];

    /// The canonical text of the answer in `text`, or none where there is no answer of this kind.
    ///
    /// ```
    /// use swarm_task::Kind;
    ///
    /// assert_eq!(Kind::Number.canonical("So 3 * 360.\n#### 1,080").as_deref(), Some("1080"));
    /// assert_eq!(Kind::List.canonical("[3, 1, 2]").as_deref(), Some("3 1 2"));
    /// assert_eq!(Kind::Truth.canonical("Answer: True.").as_deref(), Some("t"));
    /// ```
    pub fn canonical(self, text: &str) -> Option<String> {
        reading::read(&plain(tail(text)), |stated| self.value(stated))
    }

    /// The canonical text of the answer that is `stated`, and nothing else.
    fn value(self, stated: &str) -> Option<String> {
        match self {
            Self::Number => quantity(stated).map(|number| number.to_string()),
            Self::Fraction => fraction(stated),
            Self::List => list(stated),
            Self::Symbols => symbols(stated),
            Self::Numeral => numeral(stated),
            Self::Truth => truth(stated),
            Self::Weekday => weekday(stated),
        }
    }
}

const WEEKDAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const WEEKDAY_NAMES: [&str; 7] = [
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
];
/// Fewest letters of a weekday.
const WEEKDAY_LETTERS: usize = 3;

/// What `text` states as its answer, in plain notation and without decoration, readable or not.
pub(super) fn payload(text: &str) -> String {
    reading::stated(&plain(tail(text))).to_owned()
}

/// The number that a solution in a dataset gives: `text` holds it and nothing but decoration.
pub(super) fn strict_number(text: &str) -> Option<Number> {
    Number::parse(reading::peel(&plain(text)))
}

/// The last [`MAX_TEXT_BYTES`] of `text`, cut at a character.
fn tail(text: &str) -> &str {
    &text[text.ceil_char_boundary(text.len().saturating_sub(MAX_TEXT_BYTES))..]
}

fn fraction(text: &str) -> Option<String> {
    let (negative, unsigned) = split_sign(text);
    let (top, bottom) = unsigned.split_once('/').unwrap_or((unsigned, "1"));
    let (top, bottom) = (whole(top.trim())?, whole(bottom.trim())?);
    (bottom != 0).then(|| fraction_text(negative && top != 0, top, bottom))
}

fn fraction_text(negative: bool, top: i128, bottom: i128) -> String {
    let sign = if negative { "-" } else { "" };
    if bottom == 1 {
        format!("{sign}{top}")
    } else {
        format!("{sign}{top}/{bottom}")
    }
}

fn list(text: &str) -> Option<String> {
    let items = text
        .split([',', ';', ' ', '\t'])
        .filter(|item| !item.is_empty());
    let read: Option<Vec<String>> = items
        .take(MAX_ITEMS + 1)
        .map(|item| Number::parse(item).map(|number| number.to_string()))
        .collect();
    read.filter(|items| !items.is_empty() && items.len() <= MAX_ITEMS)
        .map(|items| items.join(" "))
}

fn symbols(text: &str) -> Option<String> {
    let read: String = text
        .chars()
        .filter(|c| !c.is_whitespace() && !matches!(c, ',' | ';' | '[' | ']'))
        .map(|c| c.to_ascii_lowercase())
        .take(MAX_SYMBOLS + 1)
        .collect();
    let valid = !read.is_empty()
        && read.len() <= MAX_SYMBOLS
        && read.bytes().all(|byte| byte.is_ascii_alphanumeric());
    valid.then_some(read)
}

fn numeral(text: &str) -> Option<String> {
    let read = symbols(text)?;
    let digits = read
        .strip_prefix("0x")
        .unwrap_or(&read)
        .trim_start_matches('0');
    Some(if digits.is_empty() { "0" } else { digits }.to_owned())
}

fn truth(text: &str) -> Option<String> {
    let value = match text.to_ascii_lowercase().as_str() {
        "t" | "true" | "yes" | "1" => "t",
        "f" | "false" | "no" | "0" => "f",
        _ => return None,
    };
    Some(value.to_owned())
}

fn weekday(text: &str) -> Option<String> {
    let word = text.to_ascii_lowercase();
    let known = WEEKDAY_NAMES
        .iter()
        .position(|name| name.starts_with(&word) && word.len() >= WEEKDAY_LETTERS);
    known.map(|day| WEEKDAYS[day].to_owned())
}

/// Digits of a numeral, by value.
const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";

/// `value` in `base`, which is brought into 2 to 36.
fn in_base(value: u64, base: u32) -> String {
    let base = u64::from(base.clamp(2, DIGITS.len() as u32));
    let (mut rest, mut digits) = (value, Vec::new());
    while digits.is_empty() || rest > 0 {
        digits.push(char::from(DIGITS[(rest % base) as usize]));
        rest /= base;
    }
    digits.iter().rev().collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn decoration_does_not_change_an_answer() {
        let gold = Answer::integer(1080);
        for text in [
            "1080",
            " 1,080 ",
            "+1080",
            "1080.",
            "1080.0",
            "Answer: 1080",
            "the ANSWER is 1080.",
            "x\n#### 1,080\n",
            "$1,080",
            "**1080**",
            "6*180\n\n1080\n",
        ] {
            assert!(gold.matches(text), "{text}");
        }
        for text in ["", "108", "1081", "1080 1", "1080x", "answer:", "-1080"] {
            assert!(!gold.matches(text), "{text}");
        }
    }

    #[test]
    fn kinds_read_their_forms() {
        for (kind, text, expected) in [
            (Kind::Fraction, "4/6", Some("4/6")),
            (Kind::Fraction, "3/1", Some("3")),
            (Kind::Fraction, "3/0", None),
            (Kind::List, "3, 1 2;4", Some("3 1 2 4")),
            (Kind::List, "[]", None),
            (Kind::Symbols, "1 3,5", Some("135")),
            (Kind::Symbols, "A b", Some("ab")),
            (Kind::Symbols, "1-3", None),
            (Kind::Numeral, "0x00FF", Some("ff")),
            (Kind::Numeral, "000", Some("0")),
            (Kind::Truth, "TRUE", Some("t")),
            (Kind::Truth, "maybe", None),
            (Kind::Weekday, "Thursday.", Some("thu")),
            (Kind::Weekday, "tues", Some("tue")),
            (Kind::Weekday, "someday", None),
            (Kind::Weekday, "monkey", None),
            (Kind::Weekday, "su", None),
        ] {
            assert_eq!(kind.canonical(text).as_deref(), expected, "{kind:?} {text}");
        }
    }

    #[test]
    fn of_a_long_text_the_end_is_read() {
        let text = format!("{}#### 7", "é".repeat(MAX_TEXT_BYTES));
        assert_eq!(Kind::Number.canonical(&text).as_deref(), Some("7"));
    }

    #[test]
    fn numerals_are_written_in_their_base() {
        assert_eq!(Answer::numeral(0, 2).text(), "0");
        assert_eq!(Answer::numeral(13, 2).text(), "1101");
        assert_eq!(Answer::numeral(255, 16).text(), "ff");
    }

    proptest! {
        #[test]
        fn reading_never_panics_and_is_idempotent(text in any::<String>()) {
            for kind in Kind::ALL {
                if let Some(read) = kind.canonical(&text) {
                    prop_assert_eq!(kind.canonical(&read), Some(read.clone()));
                }
            }
        }

        #[test]
        fn near_answers_never_panic(text in "[-+0-9,./#a-f$ \\[\\]\u{2212}\n]{0,40}") {
            for kind in Kind::ALL {
                if let Some(read) = kind.canonical(&text) {
                    prop_assert_eq!(kind.canonical(&read), Some(read.clone()));
                }
            }
        }
    }
}
