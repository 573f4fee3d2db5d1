//! Exact rational numbers read from text.
//!
//! Invariants: the denominator is positive and shares no factor with the numerator, so two numbers are equal exactly
//! when their fields are. Limits: [`MAX_DIGITS`] digits in each part, which keeps every intermediate value in `i128`.

use std::fmt;

/// Most digits in a whole part, a decimal part, or either side of a fraction.
pub const MAX_DIGITS: usize = 18;

/// A rational number in lowest terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Number {
    numerator: i128,
    denominator: i128,
}

impl Number {
    /// `numerator / denominator` in lowest terms; none for a zero denominator or values beyond `i128`.
    pub fn ratio(numerator: i128, denominator: i128) -> Option<Self> {
        if denominator == 0 {
            return None;
        }
        let divisor = i128::try_from(gcd(numerator.unsigned_abs(), denominator.unsigned_abs())).ok()?;
        let sign = denominator.signum();
        Some(Self {
            numerator: (numerator / divisor).checked_mul(sign)?,
            denominator: (denominator / divisor).checked_mul(sign)?,
        })
    }

    /// `hundredths`-style decimals: `units / 10^places`, e.g. `decimal(350, 2)` is 3.5. None beyond [`MAX_DIGITS`] places.
    pub fn decimal(units: i128, places: u32) -> Option<Self> {
        if places as usize > MAX_DIGITS {
            return None;
        }
        Self::ratio(units, 10_i128.checked_pow(places)?)
    }

    /// Reads `-3`, `+3`, `1,080`, `3.50`, `.5`, `3/4`; `−` (U+2212) is a minus, and a comma must group thousands.
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, unsigned) = split_sign(text.trim());
        let number = match unsigned.split_once('/') {
            Some((top, bottom)) => Self::ratio(whole(top.trim())?, whole(bottom.trim())?),
            None => decimal(unsigned),
        }?;
        Some(if negative { Self { numerator: -number.numerator, ..number } } else { number })
    }

    /// Digits after the point when the decimal expansion ends within [`MAX_DIGITS`] places.
    fn decimal_places(self) -> Option<u32> {
        let (twos, rest) = strip_factor(self.denominator, 2);
        let (fives, rest) = strip_factor(rest, 5);
        let places = twos.max(fives);
        (rest == 1 && places as usize <= MAX_DIGITS).then_some(places)
    }

    /// Numerator over `10^places`, when it fits.
    fn scaled(self, places: u32) -> Option<i128> {
        self.numerator.checked_mul(10_i128.checked_pow(places)? / self.denominator)
    }
}

impl fmt::Display for Number {
    /// The canonical text: `7`, `-3.5` where the decimal expansion ends, `2/3` elsewhere.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.decimal_places().and_then(|places| Some((places, self.scaled(places)?))) {
            Some((0, units)) => write!(f, "{units}"),
            Some((places, units)) => write_decimal(f, units, places as usize),
            None => write!(f, "{}/{}", self.numerator, self.denominator),
        }
    }
}

fn write_decimal(f: &mut fmt::Formatter<'_>, units: i128, places: usize) -> fmt::Result {
    let sign = if units < 0 { "-" } else { "" };
    let digits = format!("{:0>width$}", units.unsigned_abs(), width = places + 1);
    let (whole, decimals) = digits.split_at(digits.len() - places);
    write!(f, "{sign}{whole}.{decimals}")
}

/// Greatest common divisor; `gcd(0, n) = n`, and 1 for two zeros so that it always divides.
pub fn gcd(a: u128, b: u128) -> u128 {
    let (mut a, mut b) = (a, b);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a.max(1)
}

fn strip_factor(mut value: i128, factor: i128) -> (u32, i128) {
    let mut count = 0;
    while value % factor == 0 {
        value /= factor;
        count += 1;
    }
    (count, value)
}

/// Sign and remainder of a number's text.
pub(super) fn split_sign(text: &str) -> (bool, &str) {
    match text.strip_prefix(['-', '\u{2212}']) {
        Some(rest) => (true, rest.trim_start()),
        None => (false, text.strip_prefix('+').unwrap_or(text).trim_start()),
    }
}

fn decimal(text: &str) -> Option<Number> {
    let (whole_part, decimals) = text.split_once('.').unwrap_or((text, ""));
    if whole_part.is_empty() && decimals.is_empty() {
        return None;
    }
    let units = if whole_part.is_empty() { 0 } else { whole(whole_part)? };
    let places = u32::try_from(decimals.len()).ok()?;
    let fraction = if decimals.is_empty() { 0 } else { digits(decimals)? };
    Number::decimal(units.checked_mul(10_i128.checked_pow(places)?)?.checked_add(fraction)?, places)
}

/// A whole number without sign, thousands grouped by commas or not at all.
pub(super) fn whole(text: &str) -> Option<i128> {
    if !text.contains(',') {
        return digits(text);
    }
    let mut groups = text.split(',');
    let first = groups.next().is_some_and(|head| (1..=3).contains(&head.len()));
    (first && groups.all(|group| group.len() == 3)).then(|| digits(&text.replace(',', "")))?
}

fn digits(text: &str) -> Option<i128> {
    let valid = !text.is_empty() && text.len() <= MAX_DIGITS && text.bytes().all(|byte| byte.is_ascii_digit());
    valid.then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str) -> Option<String> {
        Number::parse(text).map(|number| number.to_string())
    }

    #[test]
    fn equal_values_have_one_text() {
        for (text, expected) in [
            ("1,080", "1080"),
            ("+7", "7"),
            ("-0", "0"),
            ("\u{2212}3", "-3"),
            ("007", "7"),
            ("3.50", "3.5"),
            ("42.0", "42"),
            (".5", "0.5"),
            ("-0.05", "-0.05"),
            ("6/4", "1.5"),
            ("2/3", "2/3"),
            ("-4/6", "-2/3"),
            ("1,234,567.25", "1234567.25"),
        ] {
            assert_eq!(canonical(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn malformed_numbers_are_refused() {
        for text in
            ["", "-", ".", "1,08", "1080,", ",108", "1.2.3", "1/0", "1/", "a", "1e3", "--1", "1234567890123456789"]
        {
            assert_eq!(canonical(text), None, "{text}");
        }
    }
}
