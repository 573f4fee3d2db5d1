//! Conversions between f32, i32 and bool.

use super::arithmetic::is_nan;

/// 2²³: from here on every f32 is an integer, and `2²³ + v` has the integer nearest to v in its low
/// bits.
const INTEGRAL: f32 = 8_388_608.0;
/// 2³¹: the first magnitude that does not fit.
const TOO_LARGE: f32 = 2_147_483_648.0;

/// The nearest i32, ties to even; saturates at both ends, NaN gives 0.
///
/// Written with integer operations because the saturating `as` does not vectorise.
#[inline(always)]
pub fn f32_to_i32(x: f32) -> i32 {
    let (magnitude, negative) = (x.abs(), x.to_bits() >> 31);
    let bits = magnitude.to_bits();
    let rounded = (magnitude + INTEGRAL)
        .to_bits()
        .wrapping_sub(INTEGRAL.to_bits());
    let significand = bits & 0x007f_ffff | 0x0080_0000;
    let shifted = significand.wrapping_shl((bits >> 23).wrapping_sub(150));
    let value = if magnitude < INTEGRAL {
        rounded
    } else {
        shifted
    };
    let value = if magnitude < TOO_LARGE {
        value
    } else {
        0x7fff_ffff + negative
    };
    let value = if is_nan(x) { 0 } else { value };
    (if negative == 1 {
        value.wrapping_neg()
    } else {
        value
    }) as i32
}

/// The nearest f32, ties to even; 0 gives +0.
#[inline(always)]
pub fn i32_to_f32(x: i32) -> f32 {
    x as f32
}

/// True for everything but ±0; NaN is true.
#[inline(always)]
pub fn f32_to_bool(x: f32) -> bool {
    x != 0.0
}

/// True for everything but 0.
#[inline(always)]
pub fn i32_to_bool(x: i32) -> bool {
    x != 0
}

/// 1 or +0.
#[inline(always)]
pub fn bool_to_f32(x: bool) -> f32 {
    x as u8 as f32
}

/// 1 or 0.
#[inline(always)]
pub fn bool_to_i32(x: bool) -> i32 {
    x as i32
}

/// `x`, bit for bit: the conversion of a type to itself.
#[inline(always)]
pub fn same<T>(x: T) -> T {
    x
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_to_even_and_saturates() {
        let cases = [
            (0.5, 0),
            (1.5, 2),
            (-2.5, -2),
            (-0.0, 0),
            (0.499_999_97, 0),
            (-0.500_000_06, -1),
            (4_194_304.5, 4_194_304),
            (8_388_607.5, 8_388_608),
            (16_777_216.0, 16_777_216),
            (2_147_483_520.0, 2_147_483_520),
            (2_147_483_648.0, i32::MAX),
            (-2_147_483_648.0, i32::MIN),
            (-3e9, i32::MIN),
            (f32::INFINITY, i32::MAX),
            (f32::NEG_INFINITY, i32::MIN),
            (f32::NAN, 0),
            (-f32::NAN, 0),
        ];
        for (x, want) in cases {
            assert_eq!(f32_to_i32(x), want, "{x}");
        }
    }

    #[test]
    fn rounding_agrees_with_the_standard_library() {
        for bits in (0..=u32::MAX).step_by(4_099) {
            let x = f32::from_bits(bits);
            assert_eq!(f32_to_i32(x), x.round_ties_even() as i32, "{x}");
        }
    }

    #[test]
    fn integers_round_to_even() {
        assert_eq!(i32_to_f32(16_777_217), 16_777_216.0);
        assert_eq!(i32_to_f32(16_777_219), 16_777_220.0);
        assert_eq!(i32_to_f32(i32::MAX), 2_147_483_648.0);
        assert_eq!(i32_to_f32(0).to_bits(), 0);
    }

    #[test]
    fn truth() {
        assert!(f32_to_bool(f32::NAN) & f32_to_bool(1e-45) & !f32_to_bool(-0.0));
        assert!(i32_to_bool(-1) & !i32_to_bool(0));
        assert_eq!((bool_to_f32(true), bool_to_f32(false).to_bits()), (1.0, 0));
        assert_eq!((bool_to_i32(true), bool_to_i32(false)), (1, 0));
    }
}
