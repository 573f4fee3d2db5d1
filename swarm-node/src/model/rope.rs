//! Position tables of RoPE, the same bits on every platform.
//!
//! Angle of pair `i` at position `p` is `p · θ^(−2i/d)`, in Hugging Face's convention: the frequency is rounded to f32
//! and so is its product with the position; column `i` and column `i + d/2` hold the same angle (`rotate_half`).
//! Sine, cosine, logarithm and exponential are fixed programs of f64 `+ − × ÷`, because those of std may differ in the
//! last bit from one platform to the next. Their error is below 1e-14, so the f32 entries are correctly rounded but
//! for rare ties.
//!
//! Limit: angles stay below 2²⁴ (positions are at most [`ModelConfig::max_positions`]), where the two-part π/2 is exact
//! enough.

use reproducible_ops::tensor::{Tensor, TensorError};

use super::ModelConfig;

/// Ending of the tensors in which older checkpoints store the frequencies; the config decides them.
pub const DERIVED_TENSOR: &str = "rotary_emb.inv_freq";

/// Cosines and sines by position, each f32 `[max_positions, head_dim]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tables {
    /// `cos(p · θ^(−2i/d))`, both halves equal.
    pub cos: Tensor,
    /// `sin(p · θ^(−2i/d))`, both halves equal.
    pub sin: Tensor,
}

impl Tables {
    /// The tables of a model.
    ///
    /// # Errors
    /// Never for a config that passed [`ModelConfig::validate`].
    pub fn new(config: &ModelConfig) -> Result<Self, TensorError> {
        let shape = [config.max_positions, config.head_dim];
        let frequencies = frequencies(config.rope_theta, config.head_dim);
        let angles = (0..config.max_positions).flat_map(|position| row(position, &frequencies));
        let (cos, sin) =
            angles.map(|angle| cos_sin(f64::from(angle))).map(|(cos, sin)| (cos as f32, sin as f32)).unzip();
        Ok(Self { cos: Tensor::f32(shape, cos)?, sin: Tensor::f32(shape, sin)? })
    }
}

/// Angles of one position: every pair, then every pair again.
fn row(position: usize, frequencies: &[f32]) -> impl Iterator<Item = f32> {
    let both = frequencies.iter().chain(frequencies);
    both.map(move |frequency| position as f32 * frequency)
}

/// `θ^(−2i/d)` for every pair.
fn frequencies(theta: f64, head_dim: usize) -> Vec<f32> {
    let log = ln(theta);
    let frequency = |pair: usize| exp((2 * pair) as f64 / head_dim as f64 * -log) as f32;
    (0..head_dim / 2).map(frequency).collect()
}

const LN_2: f64 = std::f64::consts::LN_2;
/// π/2 in two parts; the first has 33 significant bits, so that its product with a quadrant number is exact.
const HALF_PI_HIGH: f64 = f64::from_bits(0x3ff9_21fb_5440_0000);
const HALF_PI_LOW: f64 = f64::from_bits(0x3dd0_b461_1a62_6331);
const QUADRANTS_PER_RADIAN: f64 = std::f64::consts::FRAC_2_PI;

/// Natural logarithm of `x ≥ 1`: powers of two divided out, then `2 artanh((m − 1)/(m + 1))` as a series.
fn ln(x: f64) -> f64 {
    let (mut mantissa, mut exponent) = (x, 0.0);
    while mantissa > std::f64::consts::SQRT_2 {
        mantissa /= 2.0;
        exponent += 1.0;
    }
    let z = (mantissa - 1.0) / (mantissa + 1.0);
    let square = z * z;
    let series = (0..20).rev().fold(0.0, |sum, k| sum * square + 1.0 / f64::from(2 * k + 1));
    exponent * LN_2 + 2.0 * z * series
}

/// Exponential of `x ≤ 0`: `2^−k · e^r` with |r| ≤ ln 2 / 2.
fn exp(x: f64) -> f64 {
    let halvings = (-x / LN_2).round();
    let rest = x + halvings * LN_2;
    let series = taylor(rest, 1, 1);
    (0..halvings as i64).fold(series, |value, _| value / 2.0)
}

/// Cosine and sine of an angle from 0 to 2²⁴.
fn cos_sin(angle: f64) -> (f64, f64) {
    let quadrant = (angle * QUADRANTS_PER_RADIAN).round();
    let rest = (angle - quadrant * HALF_PI_HIGH) - quadrant * HALF_PI_LOW;
    let square = -rest * rest;
    let (cos, sin) = (taylor(square, 2, 1), rest * taylor(square, 2, 2));
    match quadrant as i64 % 4 {
        0 => (cos, sin),
        1 => (-sin, cos),
        2 => (-cos, -sin),
        _ => (sin, -cos),
    }
}

/// `Σ xᵏ / ((first)(first + 1)…)`: each term divides by the next `step` integers from `first` on. Gives eˣ for steps of
/// one from 1; cos and sin/x over −x² for steps of two from 1 and from 2.
fn taylor(x: f64, step: u32, first: u32) -> f64 {
    let term = |sum: f64, k: u32| {
        let from = first + k * step;
        let divisor: f64 = (from..from + step).map(f64::from).product();
        1.0 + sum * x / divisor
    };
    (0..20).rev().fold(1.0, term)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_agree_with_std() {
        for step in 0..20_000 {
            let angle = f64::from(step) * 1.618_033;
            let (cos, sin) = cos_sin(angle);
            assert!((cos - angle.cos()).abs() < 1e-13 && (sin - angle.sin()).abs() < 1e-13, "{angle}");
            let x = 1.0 + f64::from(step) * f64::from(step);
            assert!((ln(x) - x.ln()).abs() < 1e-14 * x.ln().max(1.0), "{x}");
            let small = -f64::from(step) / 1000.0;
            assert!((exp(small) / small.exp() - 1.0).abs() < 1e-14, "{small}");
        }
    }

    #[test]
    fn tables_follow_the_formula() {
        let config = ModelConfig { max_positions: 700, rope_theta: 1e6, ..ModelConfig::preset("nano").unwrap() };
        let tables = Tables::new(&config).unwrap();
        let (cos, sin) = (tables.cos.as_f32().unwrap(), tables.sin.as_f32().unwrap());
        let d = config.head_dim;
        for (index, (cos, sin)) in cos.iter().zip(sin).enumerate() {
            let (position, column) = (index / d, index % (d / 2));
            let frequency = 1e6f64.powf(-2.0 * column as f64 / d as f64) as f32;
            let angle = f64::from(position as f32 * frequency);
            assert!((f64::from(*cos) - angle.cos()).abs() < 1e-6, "{position} {column}");
            assert!((f64::from(*sin) - angle.sin()).abs() < 1e-6, "{position} {column}");
        }
    }

    /// Any change of these bits breaks every trained checkpoint's digest.
    #[test]
    fn bits_are_pinned() {
        let tables = Tables::new(&ModelConfig::preset("nano").unwrap()).unwrap();
        let digest = |tensor: &Tensor| {
            tensor.words().iter().fold(0u64, |hash, &word| (hash ^ u64::from(word)).wrapping_mul(0x0100_0000_01b3))
        };
        assert_eq!((digest(&tables.cos), digest(&tables.sin)), (2_174_410_964_857_578_280, 7_468_691_265_847_114_496));
    }
}
