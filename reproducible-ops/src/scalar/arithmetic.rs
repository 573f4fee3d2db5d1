//! The IEEE operations with canonical NaN, and the total order behind `max` and `min`.

/// The bits of every NaN result (`0x7fc00000`): the hardware's choice of sign and payload never
/// shows.
pub const CANONICAL_NAN: u32 = 0x7fc0_0000;

/// Whether `x` is NaN, asked of its bits.
///
/// `x != x` would do, but the compiler holds one NaN to be as good as another: from `sqrt(x)` it
/// removes a selection of the canonical NaN that hangs on a floating-point comparison. It leaves
/// integer comparisons alone.
#[inline(always)]
pub(super) fn is_nan(x: f32) -> bool {
    x.to_bits() & 0x7fff_ffff > 0x7f80_0000
}

/// Replaces any NaN by the canonical one and leaves every other value, −0 included, as it is.
#[inline(always)]
pub fn canon(x: f32) -> f32 {
    f32::from_bits(if is_nan(x) {
        CANONICAL_NAN
    } else {
        x.to_bits()
    })
}

/// `a + b`, correctly rounded.
#[inline(always)]
pub fn add(a: f32, b: f32) -> f32 {
    canon(a + b)
}

/// `a − b`, correctly rounded.
#[inline(always)]
pub fn sub(a: f32, b: f32) -> f32 {
    canon(a - b)
}

/// `a · b`, correctly rounded.
#[inline(always)]
pub fn mul(a: f32, b: f32) -> f32 {
    canon(a * b)
}

/// `a / b`, correctly rounded; `x / ±0` is ±inf and `0 / 0` is NaN.
#[inline(always)]
pub fn div(a: f32, b: f32) -> f32 {
    canon(a / b)
}

/// `a · b + c` with a single rounding.
#[inline(always)]
pub fn fma(a: f32, b: f32, c: f32) -> f32 {
    canon(a.mul_add(b, c))
}

/// The correctly rounded square root; `sqrt(−0)` is −0, below zero it is NaN.
#[inline(always)]
pub fn sqrt(x: f32) -> f32 {
    canon(x.sqrt())
}

/// `−x`: the sign bit flipped, except that NaN stays canonical.
#[inline(always)]
pub fn neg(x: f32) -> f32 {
    canon(-x)
}

/// `|x|`: the sign bit cleared, NaN canonical.
#[inline(always)]
pub fn abs(x: f32) -> f32 {
    canon(x.abs())
}

/// The larger of two values, with −0 < +0; NaN if either is NaN.
#[inline(always)]
pub fn max(a: f32, b: f32) -> f32 {
    // Equal operands differ at most in the sign of zero: `and` of the bits then keeps +0.
    let equal = a.to_bits() & b.to_bits();
    let larger = if a > b { a.to_bits() } else { b.to_bits() };
    ordered(a, b, if a == b { equal } else { larger })
}

/// The smaller of two values, with −0 < +0; NaN if either is NaN.
#[inline(always)]
pub fn min(a: f32, b: f32) -> f32 {
    let equal = a.to_bits() | b.to_bits();
    let smaller = if a < b { a.to_bits() } else { b.to_bits() };
    ordered(a, b, if a == b { equal } else { smaller })
}

/// `bits` as a float, or NaN when `a` and `b` cannot be ordered.
#[inline(always)]
fn ordered(a: f32, b: f32, bits: u32) -> f32 {
    f32::from_bits(if is_nan(a) | is_nan(b) {
        CANONICAL_NAN
    } else {
        bits
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SNAN: u32 = 0xff80_0001;

    fn assert_bits(got: f32, want: u32) {
        assert_eq!(
            got.to_bits(),
            want,
            "{got:?} against {:?}",
            f32::from_bits(want)
        );
    }

    #[test]
    fn every_operation_gives_the_canonical_nan() {
        let nan = std::hint::black_box(f32::from_bits(SNAN));
        for y in [0.0, -1.5, f32::INFINITY, nan] {
            for f in [add, sub, mul, div, max, min] {
                assert_bits(f(nan, y), CANONICAL_NAN);
                assert_bits(f(y, nan), CANONICAL_NAN);
            }
            assert_bits(fma(nan, y, 1.0), CANONICAL_NAN);
            assert_bits(fma(1.0, y, nan), CANONICAL_NAN);
        }
        for f in [neg, abs, sqrt, canon] {
            assert_bits(f(nan), CANONICAL_NAN);
        }
    }

    #[test]
    fn invalid_operations_give_the_canonical_nan() {
        // Hidden from the compiler, which would otherwise compute with the NaN of its own choice.
        let inf = std::hint::black_box(f32::INFINITY);
        assert_bits(sub(inf, inf), CANONICAL_NAN);
        assert_bits(mul(0.0, -inf), CANONICAL_NAN);
        assert_bits(div(0.0, -0.0), CANONICAL_NAN);
        assert_bits(sqrt(-inf), CANONICAL_NAN);
        assert_bits(fma(inf, 1.0, -inf), CANONICAL_NAN);
    }

    #[test]
    fn signs_of_zero() {
        assert_bits(max(-0.0, 0.0), 0);
        assert_bits(max(0.0, -0.0), 0);
        assert_bits(max(-0.0, -0.0), 0x8000_0000);
        assert_bits(min(-0.0, 0.0), 0x8000_0000);
        assert_bits(min(0.0, -0.0), 0x8000_0000);
        assert_bits(min(0.0, 0.0), 0);
        assert_bits(neg(0.0), 0x8000_0000);
        assert_bits(abs(-0.0), 0);
        assert_bits(sqrt(-0.0), 0x8000_0000);
    }

    #[test]
    fn max_and_min_order_numbers() {
        let values = [
            f32::NEG_INFINITY,
            -2.0,
            -1e-45,
            0.0,
            1e-45,
            2.0,
            f32::INFINITY,
        ];
        for (i, &a) in values.iter().enumerate() {
            for (j, &b) in values.iter().enumerate() {
                assert_bits(max(a, b), values[i.max(j)].to_bits());
                assert_bits(min(a, b), values[i.min(j)].to_bits());
            }
        }
    }

    #[test]
    fn fused_means_one_rounding() {
        let (a, c) = (1.0 + f32::EPSILON, -(1.0 + 2.0 * f32::EPSILON));
        assert_bits(fma(a, a, c), (f32::EPSILON * f32::EPSILON).to_bits());
        assert_bits(add(mul(a, a), c), 0);
    }
}
