//! The IEEE operations in integer arithmetic: the twin of [`super::add`] and its siblings on the
//! bits of f32.
//!
//! It depends on no floating-point unit, so it is the meaning of the operations where there is none
//! (a contract) and the judge where one is in doubt. Everything is small functions on unsigned
//! words and branches, which translate line by line; no operation needs more than 64 bits.
//!
//! A finite non-zero number is held as (sign, exponent, significand): value = ± significand ·
//! 2^(exponent − 62), with the leading bit of the 64-bit significand at position 62. The 39 bits
//! below an f32's own 24 leave room for exact products; what is shifted out below them is kept as a
//! *sticky* lowest bit, which is enough to round correctly.
//!
//! ```text
//! bits ── unpack ──▶ (sign, exponent, significand) ── operation ── normalise ──▶ round_pack ──▶ bits
//! ```

use super::arithmetic::CANONICAL_NAN;

const SIGN: u32 = 0x8000_0000;
const INFINITY: u32 = 0x7f80_0000;
const MANTISSA: u32 = 0x007f_ffff;
const IMPLICIT: u32 = 0x0080_0000;
/// Exponent of the smallest normal number.
const LOWEST_EXPONENT: i32 = -126;
/// Exponent of the largest finite number.
const HIGHEST_EXPONENT: i32 = 127;
/// Position of the leading bit of a normalised significand.
const LEADING: u32 = 62;
/// Bits of a normalised significand below the 24 of an f32.
const EXTRA: u32 = LEADING - 23;

/// A finite non-zero number: ± significand · 2^(exponent − 62).
#[derive(Clone, Copy)]
struct Number {
    /// 0 or [`SIGN`].
    sign: u32,
    exponent: i32,
    significand: u64,
}

fn is_nan(x: u32) -> bool {
    x & !SIGN > INFINITY
}

fn is_infinite(x: u32) -> bool {
    x & !SIGN == INFINITY
}

fn is_zero(x: u32) -> bool {
    x & !SIGN == 0
}

/// Shifts right; a one shifted out stays visible in the lowest bit.
fn shift_right_sticky(x: u64, by: u32) -> u64 {
    if by > 63 {
        return u64::from(x != 0);
    }
    let kept = x >> by;
    kept | u64::from(kept << by != x)
}

/// Moves the leading bit of a non-zero significand to position 62.
fn normalise(number: Number) -> Number {
    let Number {
        sign,
        exponent,
        significand,
    } = number;
    if significand >> 63 == 1 {
        let significand = shift_right_sticky(significand, 1);
        return Number {
            sign,
            exponent: exponent + 1,
            significand,
        };
    }
    let by = significand.leading_zeros() - 1;
    Number {
        sign,
        exponent: exponent - by as i32,
        significand: significand << by,
    }
}

/// Takes a finite non-zero f32 apart.
fn unpack(x: u32) -> Number {
    let (sign, biased, mantissa) = (x & SIGN, (x & INFINITY) >> 23, x & MANTISSA);
    if biased == 0 {
        let significand = u64::from(mantissa) << EXTRA;
        return normalise(Number {
            sign,
            exponent: LOWEST_EXPONENT,
            significand,
        });
    }
    let significand = u64::from(mantissa | IMPLICIT) << EXTRA;
    Number {
        sign,
        exponent: biased as i32 - 127,
        significand,
    }
}

/// Rounds off the extra bits, to nearest, ties to even.
fn round_significand(significand: u64) -> u32 {
    let half = 1u64 << (EXTRA - 1);
    let kept = (significand >> EXTRA) as u32;
    let rest = significand & ((1 << EXTRA) - 1);
    let up = rest > half || (rest == half && kept & 1 == 1);
    kept + u32::from(up)
}

/// The f32 nearest to a normalised number: subnormal below 2⁻¹²⁶, infinite above the largest finite
/// number.
fn round_pack(number: Number) -> u32 {
    let Number {
        sign,
        exponent,
        significand,
    } = number;
    if exponent > HIGHEST_EXPONENT {
        return sign | INFINITY;
    }
    if exponent < LOWEST_EXPONENT {
        let by = (LOWEST_EXPONENT - exponent) as u32;
        // A carry out of the mantissa is the smallest normal number, whose bits follow those of the
        // subnormals.
        return sign | round_significand(shift_right_sticky(significand, by));
    }
    // The implicit bit adds the last one to the exponent; a carry moves to the next binade, at the
    // top to infinity.
    let below = (exponent - LOWEST_EXPONENT) as u32;
    sign | ((below << 23) + round_significand(significand))
}

/// The rounded sum of two normalised numbers; an exact zero is +0.
fn add_numbers(a: Number, b: Number) -> u32 {
    let (large, small) = if a.exponent >= b.exponent {
        (a, b)
    } else {
        (b, a)
    };
    let by = (large.exponent - small.exponent) as u32;
    let (x, y) = (large.significand, shift_right_sticky(small.significand, by));
    let (sign, significand) = if large.sign == small.sign {
        (large.sign, x + y)
    } else if x >= y {
        (large.sign, x - y)
    } else {
        (small.sign, y - x)
    };
    if significand == 0 {
        return 0;
    }
    round_pack(normalise(Number {
        sign,
        exponent: large.exponent,
        significand,
    }))
}

/// The sum when at least one of two non-NaN operands is infinite.
fn add_infinite(a: u32, b: u32) -> u32 {
    if is_infinite(a) && is_infinite(b) && a != b {
        return CANONICAL_NAN;
    }
    if is_infinite(a) { a } else { b }
}

/// The sum when at least one of two finite operands is zero: −0 only if both are.
fn add_zero(a: u32, b: u32) -> u32 {
    if is_zero(a) && is_zero(b) {
        return a & b;
    }
    if is_zero(a) { b } else { a }
}

/// Bits of `a + b`.
pub fn add(a: u32, b: u32) -> u32 {
    if is_nan(a) || is_nan(b) {
        return CANONICAL_NAN;
    }
    if is_infinite(a) || is_infinite(b) {
        return add_infinite(a, b);
    }
    if is_zero(a) || is_zero(b) {
        return add_zero(a, b);
    }
    add_numbers(unpack(a), unpack(b))
}

/// Bits of `a − b`.
pub fn sub(a: u32, b: u32) -> u32 {
    add(a, b ^ SIGN)
}

/// The exact product: 24 times 24 bits fit in 48.
fn multiply_numbers(a: Number, b: Number) -> Number {
    let product = (a.significand >> EXTRA) * (b.significand >> EXTRA);
    normalise(Number {
        sign: a.sign ^ b.sign,
        exponent: a.exponent + b.exponent,
        significand: product << (LEADING - 46),
    })
}

/// Infinity times a non-NaN: NaN for zero.
fn multiply_infinite(a: u32, b: u32) -> u32 {
    if is_zero(a) || is_zero(b) {
        return CANONICAL_NAN;
    }
    (a ^ b) & SIGN | INFINITY
}

/// Bits of `a · b`.
pub fn mul(a: u32, b: u32) -> u32 {
    if is_nan(a) || is_nan(b) {
        return CANONICAL_NAN;
    }
    if is_infinite(a) || is_infinite(b) {
        return multiply_infinite(a, b);
    }
    if is_zero(a) || is_zero(b) {
        return (a ^ b) & SIGN;
    }
    round_pack(multiply_numbers(unpack(a), unpack(b)))
}

/// Bits of `a · b + c`, rounded once.
pub fn fma(a: u32, b: u32, c: u32) -> u32 {
    if is_nan(a) || is_nan(b) || is_nan(c) {
        return CANONICAL_NAN;
    }
    if is_infinite(a) || is_infinite(b) {
        let product = multiply_infinite(a, b);
        return if is_nan(product) {
            product
        } else {
            add_infinite(product, c)
        };
    }
    if is_infinite(c) {
        return c;
    }
    if is_zero(a) || is_zero(b) {
        return add_zero((a ^ b) & SIGN, c);
    }
    let product = multiply_numbers(unpack(a), unpack(b));
    if is_zero(c) {
        round_pack(product)
    } else {
        add_numbers(product, unpack(c))
    }
}

/// The quotient of two normalised numbers with 39 or 40 bits and a sticky one below.
fn divide_numbers(a: Number, b: Number) -> u32 {
    let (dividend, divisor) = (a.significand, b.significand >> EXTRA);
    let (quotient, rest) = (dividend / divisor, dividend % divisor);
    round_pack(normalise(Number {
        sign: a.sign ^ b.sign,
        exponent: a.exponent - b.exponent,
        significand: quotient << 23 | u64::from(rest != 0),
    }))
}

/// Bits of `a / b`.
pub fn div(a: u32, b: u32) -> u32 {
    let sign = (a ^ b) & SIGN;
    if is_nan(a) || is_nan(b) || (is_zero(a) && is_zero(b)) {
        return CANONICAL_NAN;
    }
    if is_infinite(a) {
        return if is_infinite(b) {
            CANONICAL_NAN
        } else {
            sign | INFINITY
        };
    }
    if is_zero(a) || is_infinite(b) {
        return sign;
    }
    if is_zero(b) {
        return sign | INFINITY;
    }
    divide_numbers(unpack(a), unpack(b))
}

/// ⌊√x⌋, one binary digit after the other.
fn integer_sqrt(x: u64) -> u64 {
    let (mut rest, mut root, mut bit) = (x, 0u64, 1u64 << 62);
    while bit != 0 {
        if rest >= root + bit {
            rest -= root + bit;
            root = (root >> 1) + bit;
        } else {
            root >>= 1;
        }
        bit >>= 2;
    }
    root
}

/// Bits of the square root.
pub fn sqrt(x: u32) -> u32 {
    if is_nan(x) || (x & SIGN != 0 && !is_zero(x)) {
        return CANONICAL_NAN;
    }
    if is_zero(x) || is_infinite(x) {
        return x;
    }
    let Number {
        exponent,
        significand,
        ..
    } = unpack(x);
    let odd = exponent & 1;
    let radicand = significand << odd;
    let root = integer_sqrt(radicand);
    let sticky = u64::from(root * root != radicand);
    round_pack(Number {
        sign: 0,
        exponent: (exponent - odd) / 2,
        significand: root << 31 | sticky,
    })
}

#[cfg(test)]
mod tests;
