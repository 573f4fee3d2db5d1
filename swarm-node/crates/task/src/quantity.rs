//! A number as people state it: with a name before it, a sign, a currency and a unit.
//!
//! ```text
//! Total = -$1,080.50 per week
//! ├name─┘ │└currency ├unit──┘
//!         └sign
//! ```
//! Invariant: a text that names a second number, or a bound or doubt instead of a value, is none.

use super::number::{Number, split_sign};
use super::words;

/// Most words of a unit, or of a name.
const MAX_WORDS: usize = 8;

/// Signs of currencies.
const CURRENCIES: &str = "$€£¥₹₩₽₺₫₪฿¢";
/// Names of currencies that may stand before a number.
const CURRENCY_NAMES: [&str; 14] = [
    "US$", "A$", "C$", "USD", "EUR", "GBP", "CAD", "AUD", "CHF", "JPY", "INR", "CNY", "Rs.", "Rs",
];
/// Units that may stand at a number without a blank. `m` is not among them, since `5m` may be
/// millions.
const ATTACHED: [&str; 34] = [
    "kg", "g", "mg", "lb", "lbs", "oz", "km", "cm", "mm", "ft", "in", "mi", "yd", "l", "ml", "h",
    "hr", "hrs", "min", "mins", "s", "sec", "secs", "ms", "mph", "kmh", "am", "pm", "usd", "eur",
    "gbp", "pts", "c", "f",
];

/// The number that `text` states, all of it.
pub(super) fn quantity(text: &str) -> Option<Number> {
    let (negative, magnitude) = sign_and_currency(behind_name(text.trim())?);
    let (number, unit) = Number::leading(magnitude)?;
    is_unit(unit).then(|| number.with_sign(negative))
}

/// What follows a name: `x = `, `Total cost: `. None if what stands there is no name.
fn behind_name(text: &str) -> Option<&str> {
    let Some(at) = text.rfind(['=', ':']) else {
        return Some(text);
    };
    let (name, value) = (text[..at].trim(), text[at + 1..].trim());
    let valid = name.starts_with(char::is_alphabetic)
        && words::add_nothing(name)
        && words::count(name) <= MAX_WORDS;
    (valid || is_variable(name)).then_some(value)
}

/// True for `x`, which beside a number would multiply it.
fn is_variable(name: &str) -> bool {
    name.len() == 1 && name.bytes().all(|byte| byte.is_ascii_alphabetic())
}

/// The sign, which may stand on either side of the currency, and what follows both.
fn sign_and_currency(text: &str) -> (bool, &str) {
    let (negative, unsigned) = split_sign(text);
    let bare = strip_currency(unsigned);
    if bare.len() == unsigned.len() || unsigned.len() < text.len() {
        return (negative, bare);
    }
    split_sign(bare)
}

fn strip_currency(text: &str) -> &str {
    // A name ends where no further letter follows: "EUROS 5" has none.
    let named = CURRENCY_NAMES.iter().find_map(|name| {
        let rest = text
            .get(name.len()..)
            .filter(|_| text[..name.len()].eq_ignore_ascii_case(name))?;
        (!rest.starts_with(char::is_alphabetic)).then_some(rest)
    });
    named
        .or_else(|| text.strip_prefix(|c| CURRENCIES.contains(c)))
        .unwrap_or(text)
        .trim_start()
}

/// True if `text`, which directly follows a number, only says what is counted.
fn is_unit(text: &str) -> bool {
    let sign = |c: char| c == '%' || c == '°' || CURRENCIES.contains(c);
    let words = match text.strip_prefix(sign) {
        Some(rest) => rest.trim_start_matches(sign),
        None => text,
    };
    let letters = words.bytes().take_while(u8::is_ascii_alphabetic).count();
    let (attached, rest) = words.split_at(letters);
    let begins = match attached {
        // After a degree sign, its scale.
        "" => {
            rest.is_empty() || rest.starts_with(' ') || rest.starts_with(", ") || is_compound(rest)
        }
        unit => ATTACHED
            .iter()
            .any(|known| unit.eq_ignore_ascii_case(known)),
    };
    begins
        && words::count(words) <= MAX_WORDS
        && words::leave_number(words.strip_prefix('-').unwrap_or(words))
}

/// True for what follows the number in `5-inch`.
fn is_compound(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next() == Some(b'-') && bytes.take(2).filter(u8::is_ascii_alphabetic).count() == 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_currencies_names_and_units_are_read() {
        for (text, expected) in [
            ("42", "42"),
            ("-$5", "-5"),
            ("$-5", "-5"),
            ("- 5", "-5"),
            ("+€ 5", "5"),
            ("US$ 1,080.50", "1080.5"),
            ("Rs. 500", "500"),
            ("5 €", "5"),
            ("42%", "42"),
            ("90°C", "90"),
            ("5-inch", "5"),
            ("5kg", "5"),
            ("x = 42", "42"),
            ("Total cost: $42 per week", "42"),
            ("3/4 cup", "0.75"),
            ("1 1/2 hours", "1.5"),
            ("42 cm^2", "42"),
            ("42, which is the total", "42"),
        ] {
            assert_eq!(
                quantity(text).map(|number| number.to_string()).as_deref(),
                Some(expected),
                "{text}"
            );
        }
    }

    #[test]
    fn second_numbers_bounds_and_doubts_are_none() {
        for text in [
            "",
            "$",
            "--5",
            "-$-5",
            "42 | 42",
            "42-43",
            "42 or 43",
            "42, 43",
            "10:30",
            "42 thousand",
            "42k",
            "42m",
            "42x",
            "42 x",
            "not: 42",
            "6 = 42",
            "42 = 43",
            "≈42",
            "42?",
            "42-x",
            "5 feet 3 inches",
            "42 at least",
            "a b c d e f g h i = 42",
            "42 a b c d e f g h i",
            "€$5",
        ] {
            assert_eq!(quantity(text), None, "{text}");
        }
    }
}
