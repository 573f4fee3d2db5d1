//! `exp`, `log` and `tanh` as fixed programs of IEEE operations and integer operations on the bits.
//!
//! Inside a function the hardware's NaN may travel; it is made canonical once, at the end.
//! Coefficients are written as bits, since the bits are the definition; they are minimax fits of
//! the stated error before rounding effects.

use super::arithmetic::{CANONICAL_NAN, canon, is_nan};

/// 1.5 · 2²³: adding it to |v| < 2²² leaves round(v) (ties to even) in the low mantissa bits.
const ROUNDER: f32 = 12_582_912.0;
const LOG2_E: f32 = f32::from_bits(0x3fb8_aa3b);
/// ln 2 rounded to f32, and what that leaves.
const LN2_HIGH: f32 = f32::from_bits(0x3f31_7218);
const LN2_LOW: f32 = f32::from_bits(0xb102_e308);

/// `x = n · ln 2 + r` with |r| ≤ 0.3466: the float whose low bits hold n, and r.
#[inline(always)]
fn split_exponent(x: f32) -> (u32, f32) {
    let shifted = x.mul_add(LOG2_E, ROUNDER);
    let n = shifted - ROUNDER;
    let r = n.mul_add(-LN2_HIGH, x);
    (shifted.to_bits(), n.mul_add(-LN2_LOW, r))
}

/// `(e^r − 1 − r) / r²` for |r| ≤ 0.3466; with it `e^r` has a relative error of 2^−28.2.
#[inline(always)]
fn exp_tail(r: f32) -> f32 {
    let p = f32::from_bits(0x3ab5_2899);
    let p = p.mul_add(r, f32::from_bits(0x3c09_1cbd));
    let p = p.mul_add(r, f32::from_bits(0x3d2a_ac56));
    let p = p.mul_add(r, f32::from_bits(0x3e2a_aa49));
    p.mul_add(r, f32::from_bits(0x3eff_fffe))
}

/// 2^n for −126 ≤ n ≤ 127.
#[inline(always)]
fn power_of_two(n: i32) -> f32 {
    f32::from_bits((n.wrapping_add(127) << 23) as u32)
}

/// `e^x`.
///
/// Overflows to +inf, underflows gradually through the subnormals to +0; `exp(±0)` is 1,
/// `exp(−inf)` is +0.
///
/// Error at most 0.892 ulp over every f32, reached at −5.848642.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    // Outside [−104, 89] the result is +0 or +inf already; NaN fails both comparisons and stays.
    // Below, products that underflow would trap into microcode, which made masked scores ten times
    // as dear as others.
    let x = if x > 89.0 { 89.0 } else { x };
    let vanishes = x < -104.0;
    let x = if vanishes { 0.0 } else { x };
    let (bits, r) = split_exponent(x);
    let p = exp_tail(r).mul_add(r, 1.0).mul_add(r, 1.0);
    // Two steps, so that neither factor leaves the normal range and only the last product rounds.
    let n = bits.wrapping_sub(ROUNDER.to_bits()) as i32;
    let half = n >> 1;
    let power = p * power_of_two(half) * power_of_two(n.wrapping_sub(half));
    if vanishes { 0.0 } else { canon(power) }
}

/// `(log(1 + f) − f + f²/2) / f³` for 1 + f in [√½, √2]; with it the logarithm has a relative error
/// of 2^−27.3.
#[inline(always)]
fn log_tail(f: f32) -> f32 {
    let p = f32::from_bits(0xbd9c_6488);
    let p = p.mul_add(f, f32::from_bits(0x3e02_af4c));
    let p = p.mul_add(f, f32::from_bits(0xbe06_c125));
    let p = p.mul_add(f, f32::from_bits(0x3e11_6c99));
    let p = p.mul_add(f, f32::from_bits(0xbe2a_3945));
    let p = p.mul_add(f, f32::from_bits(0x3e4c_d00e));
    let p = p.mul_add(f, f32::from_bits(0xbe80_0113));
    p.mul_add(f, f32::from_bits(0x3eaa_aaaa))
}

/// `x = 2^e · (1 + f)` with 1 + f in [√½, √2), for positive finite x.
#[inline(always)]
fn split_mantissa(x: f32) -> (f32, f32) {
    let subnormal = x < f32::MIN_POSITIVE;
    let bits = if subnormal { x * 8_388_608.0 } else { x }.to_bits();
    let offset = if subnormal { 23 } else { 0 };
    let e = (bits.wrapping_sub(std::f32::consts::FRAC_1_SQRT_2.to_bits()) as i32) >> 23;
    let m = f32::from_bits(bits.wrapping_sub((e << 23) as u32));
    (e.wrapping_sub(offset) as f32, m - 1.0)
}

/// The natural logarithm.
///
/// `log(1)` is +0, `log(±0)` is −inf, `log(inf)` is inf, below zero it is NaN; subnormals are
/// inputs like others.
///
/// Error at most 0.876 ulp over every f32, reached at 1.2743293.
#[inline(always)]
pub fn log(x: f32) -> f32 {
    let (e, f) = split_mantissa(x);
    let h = log_tail(f).mul_add(f, -0.5);
    let small = (f * f).mul_add(h, e * LN2_LOW);
    let y = e.mul_add(LN2_HIGH, f + small);
    let y = if x == f32::INFINITY { x } else { y };
    let y = if x == 0.0 { f32::NEG_INFINITY } else { y };
    f32::from_bits(if (x < 0.0) | is_nan(x) {
        CANONICAL_NAN
    } else {
        y.to_bits()
    })
}

/// `(tanh(x)/x − 1) / x²` in z = x² for |x| < 0.55; with it tanh has a relative error of 2^−29.7.
#[inline(always)]
fn tanh_tail(z: f32) -> f32 {
    let p = f32::from_bits(0xbbcc_ab2f);
    let p = p.mul_add(z, f32::from_bits(0x3cac_763c));
    let p = p.mul_add(z, f32::from_bits(0xbd5c_8f90));
    let p = p.mul_add(z, f32::from_bits(0x3e08_8678));
    p.mul_add(z, f32::from_bits(0xbeaa_aaa5))
}

/// The hyperbolic tangent: a polynomial below 0.55, `1 − 2 / (e^{2|x|} + 1)` from there.
///
/// Odd; `tanh(±inf)` is ±1, `tanh(−0)` is −0, subnormals map to themselves.
///
/// Error at most 1.590 ulp over every f32, reached at 0.5540137; at most 0.730 ulp below 0.55.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    let a = x.abs();
    let z = a * a;
    let small = (a * z).mul_add(tanh_tail(z), a);
    let large = 1.0 - 2.0 / (exp(a + a) + 1.0);
    let magnitude = if a < 0.55 { small } else { large };
    canon(magnitude.copysign(x))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_values(f: fn(f32) -> f32, cases: &[(f32, f32)]) {
        for &(x, want) in cases {
            let got = f(x);
            assert_eq!(
                got.to_bits(),
                want.to_bits(),
                "{x:e}: {got:e} against {want:e}"
            );
        }
    }

    #[test]
    fn special_values_of_exp() {
        let inf = f32::INFINITY;
        let nan = f32::from_bits(CANONICAL_NAN);
        let minimum = f32::from_bits(1);
        assert_values(
            exp,
            &[
                (0.0, 1.0),
                (-0.0, 1.0),
                (minimum, 1.0),
                (inf, inf),
                (-inf, 0.0),
            ],
        );
        assert_values(exp, &[(-f32::NAN, nan), (f32::MAX, inf), (f32::MIN, 0.0)]);
        // 128 ln 2 and 150 ln 2 are the thresholds of overflow and of underflow to zero.
        assert_values(
            exp,
            &[(88.722_84, inf), (-103.972_084, 0.0), (-103.97, minimum)],
        );
        assert!(exp(88.722_83).is_finite());
    }

    #[test]
    fn special_values_of_log() {
        let inf = f32::INFINITY;
        let nan = f32::from_bits(CANONICAL_NAN);
        assert_values(log, &[(1.0, 0.0), (0.0, -inf), (-0.0, -inf), (inf, inf)]);
        assert_values(
            log,
            &[(-inf, nan), (-1e-45, nan), (-f32::NAN, nan), (-1.0, nan)],
        );
        assert_values(
            log,
            &[(f32::from_bits(1), -103.278_93), (f32::MAX, 88.722_84)],
        );
    }

    #[test]
    fn special_values_of_tanh() {
        let nan = f32::from_bits(CANONICAL_NAN);
        let minimum = f32::from_bits(1);
        assert_values(tanh, &[(0.0, 0.0), (-0.0, -0.0), (minimum, minimum)]);
        assert_values(
            tanh,
            &[(f32::INFINITY, 1.0), (f32::NEG_INFINITY, -1.0), (9.02, 1.0)],
        );
        assert_values(
            tanh,
            &[(-f32::NAN, nan), (f32::NAN, nan), (-f32::MAX, -1.0)],
        );
    }

    #[test]
    fn tanh_is_odd_and_bounded() {
        for bits in (0..0x7f80_0000u32).step_by(9_973) {
            let x = f32::from_bits(bits);
            assert_eq!(tanh(-x).to_bits(), tanh(x).to_bits() | 0x8000_0000, "{x:e}");
            assert!(tanh(x) <= 1.0, "{x:e}");
        }
    }

    #[test]
    fn exp_grows_across_the_end_of_each_binade() {
        for n in -149..128 {
            let x = (n as f32 + 0.5) * std::f32::consts::LN_2;
            assert!(
                exp(x) <= exp(f32::from_bits(x.to_bits() + 8)) || x < 0.0,
                "{x}"
            );
            assert!(
                exp(f32::from_bits(x.to_bits() + 8)) <= exp(x) || x > 0.0,
                "{x}"
            );
        }
    }
}
