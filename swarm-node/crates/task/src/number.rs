//! Exact rational numbers read from text.
//!
//! ```text
//! number    = mixed | fraction | decimal
//! mixed     = whole [" and"] " " digits "/" digits          the part after the blank is below one
//! fraction  = whole "/" whole
//! decimal   = [whole] ["." digits] [exponent]
//! exponent  = "e" [sign] digits | ("×" | "x" | "*") "10^" [sign] digits
//! whole     = digits | groups of three digits, all separated by the same one of , _ ' and a blank
//! ```
//! Invariants: the denominator is positive and shares no factor with the numerator, so two numbers
//! are equal exactly when their fields are. Limits: [`MAX_DIGITS`] digits in each part, which keeps
//! every intermediate value in `i128`.

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
    /// `numerator / denominator` in lowest terms; none for a zero denominator or values beyond
    /// `i128`.
    pub fn ratio(numerator: i128, denominator: i128) -> Option<Self> {
        if denominator == 0 {
            return None;
        }
        let divisor =
            i128::try_from(gcd(numerator.unsigned_abs(), denominator.unsigned_abs())).ok()?;
        let sign = denominator.signum();
        Some(Self {
            numerator: (numerator / divisor).checked_mul(sign)?,
            denominator: (denominator / divisor).checked_mul(sign)?,
        })
    }

    /// `hundredths`-style decimals: `units / 10^places`, e.g. `decimal(350, 2)` is 3.5. None beyond
    /// [`MAX_DIGITS`] places.
    pub fn decimal(units: i128, places: u32) -> Option<Self> {
        if places as usize > MAX_DIGITS {
            return None;
        }
        Self::ratio(units, 10_i128.checked_pow(places)?)
    }

    /// Reads `-3`, `+3`, `1,080`, `3.50`, `.5`, `3/4`, `1 1/2`, `4.2e1`; `−` (U+2212) is a minus.
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, unsigned) = split_sign(text.trim());
        let (number, rest) = Self::leading(unsigned)?;
        rest.is_empty().then(|| number.with_sign(negative))
    }

    /// The number without a sign that `text` begins with, and what follows it.
    pub(super) fn leading(text: &str) -> Option<(Self, &str)> {
        let whole = Whole::leading(text);
        if let Some(whole) = whole {
            if let Some(found) = mixed(whole).or_else(|| fraction(whole)) {
                return Some(found);
            }
            // Blanks group digits and separate numbers: "1 100/200" is neither.
            if whole.blanks && whole.rest.trim_start().starts_with('/') {
                return None;
            }
        }
        decimal(whole, text)
    }

    /// The number, or its negative.
    pub(super) fn with_sign(self, negative: bool) -> Self {
        if negative {
            Self {
                numerator: -self.numerator,
                ..self
            }
        } else {
            self
        }
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
        self.numerator
            .checked_mul(10_i128.checked_pow(places)? / self.denominator)
    }
}

impl fmt::Display for Number {
    /// The canonical text: `7`, `-3.5` where the decimal expansion ends, `2/3` elsewhere.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self
            .decimal_places()
            .and_then(|places| Some((places, self.scaled(places)?)))
        {
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

/// A whole number at the start of a text.
#[derive(Clone, Copy)]
struct Whole<'a> {
    value: i128,
    /// True if blanks group its digits.
    blanks: bool,
    rest: &'a str,
}

impl<'a> Whole<'a> {
    fn leading(text: &'a str) -> Option<Self> {
        let (head, mut rest) = digits_of(text);
        let separator = rest
            .chars()
            .next()
            .filter(|c| matches!(c, ',' | '_' | '\'' | ' '));
        let mut written = head.to_owned();
        if let Some(separator) =
            separator.filter(|_| (1..=3).contains(&head.len()) && !head.starts_with('0'))
        {
            while let Some((group, after)) = rest.strip_prefix(separator).map(digits_of) {
                // Four digits are no group; more digits than a number may have are found below.
                if group.len() != 3 || written.len() > MAX_DIGITS {
                    break;
                }
                written.push_str(group);
                rest = after;
            }
        }
        let blanks = separator == Some(' ') && written.len() > head.len();
        Some(Self {
            value: digits(&written)?,
            blanks,
            rest,
        })
    }
}

/// The digits that `text` begins with, and what follows them.
fn digits_of(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().take_while(u8::is_ascii_digit).count())
}

/// `1 1/2` and `1 and 1/2`, whose fraction is below one.
fn mixed(whole: Whole<'_>) -> Option<(Number, &str)> {
    let after = whole
        .rest
        .strip_prefix(' ')
        .filter(|_| !whole.blanks)?
        .trim_start();
    let (top, rest) = digits_of(after.strip_prefix("and ").unwrap_or(after).trim_start());
    let (bottom, rest) = digits_of(rest.strip_prefix('/')?);
    let (top, bottom) = (digits(top)?, digits(bottom)?);
    let numerator = whole
        .value
        .checked_mul(bottom)?
        .checked_add(top)
        .filter(|_| top < bottom)?;
    Some((Number::ratio(numerator, bottom)?, rest))
}

/// `3/4` and `6 / 4`.
fn fraction(top: Whole<'_>) -> Option<(Number, &str)> {
    let after = top
        .rest
        .trim_start()
        .strip_prefix('/')
        .filter(|_| !top.blanks)?;
    let bottom = Whole::leading(after.trim_start())?;
    Some((Number::ratio(top.value, bottom.value)?, bottom.rest))
}

/// `42`, `4.2`, `.5`, `42.` and any of them with an exponent.
fn decimal<'a>(whole: Option<Whole<'a>>, text: &'a str) -> Option<(Number, &'a str)> {
    let (units, after) = whole.map_or((0, text), |whole| (whole.value, whole.rest));
    let (decimals, after) = match after.strip_prefix('.').map(digits_of) {
        Some((decimals, after))
            if !decimals.is_empty() || (whole.is_some() && after.is_empty()) =>
        {
            (decimals, after)
        }
        _ if whole.is_some() => ("", after),
        _ => return None,
    };
    let fraction = if decimals.is_empty() {
        0
    } else {
        digits(decimals)?
    };
    let units = units
        .checked_mul(10_i128.checked_pow(decimals.len() as u32)?)?
        .checked_add(fraction)?;
    let (exponent, rest) = exponent(after)?;
    let places = decimals.len() as i64 - exponent;
    if places >= 0 {
        return Some((Number::decimal(units, u32::try_from(places).ok()?)?, rest));
    }
    let factor = 10_i128.checked_pow(u32::try_from(-places).ok()?)?;
    Some((Number::ratio(units.checked_mul(factor)?, 1)?, rest))
}

/// The power of ten that `text` begins with, 0 without one, and what follows it. None beyond
/// [`MAX_DIGITS`].
fn exponent(text: &str) -> Option<(i64, &str)> {
    let Some(after) = text
        .strip_prefix(['e', 'E'])
        .or_else(|| behind_power_of_ten(text))
    else {
        return Some((0, text));
    };
    let (negative, after) = match after.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, after.strip_prefix('+').unwrap_or(after)),
    };
    let (written, rest) = digits_of(after);
    // Without digits it is a word, as in "5 eggs".
    if written.is_empty() {
        return Some((0, text));
    }
    let exponent = i64::try_from(digits(written)?)
        .ok()
        .filter(|exponent| *exponent <= MAX_DIGITS as i64)?;
    Some((if negative { -exponent } else { exponent }, rest))
}

/// What follows `× 10^`.
fn behind_power_of_ten(text: &str) -> Option<&str> {
    text.trim_start()
        .strip_prefix(['×', 'x', '*'])?
        .trim_start()
        .strip_prefix("10^")
}

/// A whole number without sign, all of `text`.
pub(super) fn whole(text: &str) -> Option<i128> {
    Whole::leading(text)
        .filter(|whole| whole.rest.is_empty())
        .map(|whole| whole.value)
}

fn digits(text: &str) -> Option<i128> {
    let valid = !text.is_empty()
        && text.len() <= MAX_DIGITS
        && text.bytes().all(|byte| byte.is_ascii_digit());
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
            ("1 080", "1080"),
            ("1_234_567", "1234567"),
            ("1'080.5", "1080.5"),
            ("1 1/2", "1.5"),
            ("-2 and 3/4", "-2.75"),
            ("6 / 4", "1.5"),
            ("1,080/2", "540"),
            ("4.2e1", "42"),
            ("4200E-2", "42"),
            ("4.2 × 10^1", "42"),
            ("42.", "42"),
            ("1e18", "1000000000000000000"),
        ] {
            assert_eq!(canonical(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn malformed_numbers_are_refused() {
        for text in [
            "",
            "-",
            ".",
            "1,08",
            "1080,",
            ",108",
            "1.2.3",
            "1/0",
            "1/",
            "a",
            "--1",
            "1234567890123456789",
            "4 2",
            "1080 200",
            "1 080,200",
            "1,080 200",
            "0,123",
            "1 100/200",
            "1 3/2",
            "1e",
            "1e19",
            "1e-19",
            "1e1234567890123456789",
            "999999999999999999e18999",
        ] {
            assert_eq!(canonical(text), None, "{text}");
        }
    }
}
