//! Position tables of RoPE, the same bits on every platform.
//!
//! Angle of pair `i` at position `p` is `p · f(i)` with `f(i) = θ^(−2i/d)`, in Hugging Face's
//! convention: the frequency is rounded to f32 and so is its product with the position; column `i`
//! and column `i + d/2` hold the same angle (`rotate_half`). A [`RopeScaling`] changes the
//! frequencies before they are rounded, and YaRN lengthens cosines and sines. A row depends on its
//! position only: tables of any number of rows agree where they overlap.
//!
//! Sine, cosine, logarithm and exponential are fixed programs of f64 `+ − × ÷`, because those of
//! std may differ in the last bit from one platform to the next. Their error is below 1e-14, so the
//! f32 entries are correctly rounded but for rare ties.
//!
//! Limit: angles stay below 2²⁴ (positions are at most [`ModelConfig::max_positions`]), where the
//! two-part π/2 is exact enough.

use rayon::iter::{IndexedParallelIterator, IntoParallelIterator, ParallelIterator};
use reproducible_ops::engine::{EngineError, Session};
use reproducible_ops::program::Program;
use reproducible_ops::tensor::{Tensor, TensorError};

use super::ModelConfig;
use super::config::RopeScaling;

/// Ending of the tensors in which older checkpoints store the frequencies; the config decides them.
pub const DERIVED_TENSOR: &str = "rotary_emb.inv_freq";

/// Cosines and sines by position, each f32 `[positions, head_dim]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tables {
    /// `cos(p · f(i))`, both halves equal.
    pub cos: Tensor,
    /// `sin(p · f(i))`, both halves equal.
    pub sin: Tensor,
}

/// Rows that one task computes: some 100 µs of work at usual head widths.
const ROWS_PER_TASK: usize = 16;

impl Tables {
    /// The tables of a model's first positions: as many as a program addresses.
    ///
    /// # Errors
    /// Never for a config that passed [`ModelConfig::validate`] and a number of positions that fits
    /// its maximum.
    pub fn new(config: &ModelConfig, positions: usize) -> Result<Self, TensorError> {
        let Frequencies { pairs, length } = Frequencies::new(config);
        let rows: Vec<[Vec<f32>; 2]> = (0..positions)
            .into_par_iter()
            .with_min_len(ROWS_PER_TASK)
            .map(|position| row(position, &pairs, length))
            .collect();
        let table = |which: usize| {
            let values = rows.iter().flat_map(|row| &row[which]).copied().collect();
            Tensor::f32([positions, config.head_dim], values)
        };
        Ok(Self {
            cos: table(0)?,
            sin: table(1)?,
        })
    }

    /// Positions with a row.
    pub fn positions(&self) -> usize {
        self.cos.shape().dims()[0]
    }

    /// Writes the rows that a program addresses into it.
    ///
    /// # Errors
    /// It addresses more than there are, or takes no tables.
    pub fn write_to(&self, session: &mut dyn Session) -> Result<(), EngineError> {
        let words = addressed(session.program()) * self.cos.shape().dims()[1];
        for (name, table) in [(COS, &self.cos), (SIN, &self.sin)] {
            // The session refuses fewer words than the program addresses.
            let words = words.min(table.words().len());
            session.write_words(name, &table.words()[..words])?;
        }
        Ok(())
    }
}

/// Cosines and sines of a position.
fn row(position: usize, pairs: &[f32], length: f64) -> [Vec<f32>; 2] {
    let (cos, sin): (Vec<f32>, Vec<f32>) = pairs
        .iter()
        .map(|frequency| {
            let (cos, sin) = cos_sin(f64::from(position as f32 * frequency));
            ((cos * length) as f32, (sin * length) as f32)
        })
        .unzip();
    [cos.repeat(2), sin.repeat(2)]
}

/// Name of the cosines in a program.
pub const COS: &str = "rope.cos";
/// Name of the sines in a program.
pub const SIN: &str = "rope.sin";

/// Positions that a program of a model addresses: the rows of its tables, 0 without tables.
pub fn addressed(program: &Program) -> usize {
    let table = program.input_named(COS).and_then(|id| program.type_of(id));
    match table.map(|ty| ty.shape.dims()) {
        Some(&[positions, ..]) => positions,
        _ => 0,
    }
}

/// Frequency of every pair, and the factor of cosines and sines.
struct Frequencies {
    pairs: Vec<f32>,
    length: f64,
}

impl Frequencies {
    fn new(config: &ModelConfig) -> Self {
        let (log, width) = (ln(config.rope_theta), config.head_dim as f64);
        let plain = (0..config.head_dim / 2).map(|pair| exp((2 * pair) as f64 / width * -log));
        match config.rope_scaling {
            // The base of `Dynamic` grows only beyond the model's positions, where no sequence is.
            RopeScaling::Default | RopeScaling::Dynamic { .. } => Self::of(plain, 1.0),
            RopeScaling::Linear { factor } => {
                Self::of(plain.map(|frequency| frequency / factor), 1.0)
            }
            RopeScaling::Llama3 {
                factor,
                low_freq_factor,
                high_freq_factor,
                original_max_position_embeddings,
            } => {
                let stretch = |frequency: f64| {
                    let turns = original_max_position_embeddings as f64 * frequency / TURN;
                    // 1 keeps the frequency, 0 divides it.
                    let kept = ((turns - low_freq_factor) / (high_freq_factor - low_freq_factor))
                        .clamp(0.0, 1.0);
                    blend(frequency, factor, kept)
                };
                Self::of(plain.map(stretch), 1.0)
            }
            RopeScaling::Yarn {
                factor,
                original_max_position_embeddings,
                attention_factor,
                beta_fast,
                beta_slow,
                mscale,
                mscale_all_dim,
                truncate,
            } => {
                // The pair, as a fraction, that makes this many turns within the original
                // positions.
                let original = original_max_position_embeddings as f64;
                let pair_of = |turns: f64| width * ln(original / (turns * TURN)) / (2.0 * log);
                let mut first = pair_of(beta_fast.unwrap_or(DEFAULT_BETA_FAST));
                let mut last = pair_of(beta_slow.unwrap_or(DEFAULT_BETA_SLOW));
                if truncate.unwrap_or(true) {
                    (first, last) = (first.floor(), last.ceil());
                }
                (first, last) = (first.max(0.0), last.min(width - 1.0));
                if first == last {
                    last += RAMP_WIDTH;
                }
                let stretch = |(pair, frequency): (usize, f64)| {
                    let divided = ((pair as f64 - first) / (last - first)).clamp(0.0, 1.0);
                    blend(frequency, factor, 1.0 - divided)
                };
                let length = attention_factor.unwrap_or_else(|| match (mscale, mscale_all_dim) {
                    (Some(mscale), Some(all)) => {
                        yarn_length(factor, mscale) / yarn_length(factor, all)
                    }
                    _ => yarn_length(factor, 1.0),
                });
                Self::of(plain.enumerate().map(stretch), length)
            }
        }
    }

    fn of(frequencies: impl Iterator<Item = f64>, length: f64) -> Self {
        Self {
            pairs: frequencies.map(|frequency| frequency as f32).collect(),
            length,
        }
    }
}

/// Radians of a turn.
const TURN: f64 = std::f64::consts::TAU;
const DEFAULT_BETA_FAST: f64 = 32.0;
const DEFAULT_BETA_SLOW: f64 = 1.0;
/// Width of YaRN's ramp where both of its ends are one pair.
const RAMP_WIDTH: f64 = 0.001;

/// A share `kept` of the frequency, and the rest of it over `factor`.
fn blend(frequency: f64, factor: f64, kept: f64) -> f64 {
    frequency / factor * (1.0 - kept) + frequency * kept
}

/// YaRN's factor of queries and keys: `0.1 · weight · ln(factor) + 1` (section 3.4).
fn yarn_length(factor: f64, weight: f64) -> f64 {
    0.1 * weight * ln(factor) + 1.0
}

const LN_2: f64 = std::f64::consts::LN_2;
/// π/2 in two parts; the first has 33 significant bits, so that its product with a quadrant number
/// is exact.
const HALF_PI_HIGH: f64 = f64::from_bits(0x3ff9_21fb_5440_0000);
const HALF_PI_LOW: f64 = f64::from_bits(0x3dd0_b461_1a62_6331);
const QUADRANTS_PER_RADIAN: f64 = std::f64::consts::FRAC_2_PI;

/// Natural logarithm of `x > 0`: powers of two divided out, then `2 artanh((m − 1)/(m + 1))` as a
/// series.
fn ln(x: f64) -> f64 {
    if x < 1.0 {
        return -ln(1.0 / x);
    }
    let (mut mantissa, mut exponent) = (x, 0.0);
    while mantissa > std::f64::consts::SQRT_2 {
        mantissa /= 2.0;
        exponent += 1.0;
    }
    let z = (mantissa - 1.0) / (mantissa + 1.0);
    let square = z * z;
    let series = (0..20)
        .rev()
        .fold(0.0, |sum, k| sum * square + 1.0 / f64::from(2 * k + 1));
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

/// `Σ xᵏ / ((first)(first + 1)…)`: each term divides by the next `step` integers from `first` on.
/// Gives eˣ for steps of one from 1; cos and sin/x over −x² for steps of two from 1 and from 2.
fn taylor(x: f64, step: u32, first: u32) -> f64 {
    (0..20).rev().fold(1.0, |sum, k| {
        let from = first + k * step;
        let divisor: f64 = (from..from + step).map(f64::from).product();
        1.0 + sum * x / divisor
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_agree_with_std() {
        for step in 0..20_000 {
            let angle = f64::from(step) * 1.618_033;
            let (cos, sin) = cos_sin(angle);
            assert!(
                (cos - angle.cos()).abs() < 1e-13 && (sin - angle.sin()).abs() < 1e-13,
                "{angle}"
            );
            let x = 1.0 + f64::from(step) * f64::from(step);
            assert!((ln(x) - x.ln()).abs() < 1e-14 * x.ln().max(1.0), "{x}");
            assert!(
                (ln(1.0 / x) + x.ln()).abs() < 1e-14 * x.ln().max(1.0),
                "1/{x}"
            );
            let small = -f64::from(step) / 1000.0;
            assert!((exp(small) / small.exp() - 1.0).abs() < 1e-14, "{small}");
        }
    }

    #[test]
    fn tables_follow_the_formula() {
        let config = ModelConfig {
            max_positions: 700,
            rope_theta: 1e6,
            ..ModelConfig::preset("nano").unwrap()
        };
        let tables = Tables::new(&config, 700).unwrap();
        let (cos, sin) = (tables.cos.as_f32().unwrap(), tables.sin.as_f32().unwrap());
        let d = config.head_dim;
        for (index, (cos, sin)) in cos.iter().zip(sin).enumerate() {
            let (position, column) = (index / d, index % (d / 2));
            let frequency = 1e6f64.powf(-2.0 * column as f64 / d as f64) as f32;
            let angle = f64::from(position as f32 * frequency);
            assert!(
                (f64::from(*cos) - angle.cos()).abs() < 1e-6,
                "{position} {column}"
            );
            assert!(
                (f64::from(*sin) - angle.sin()).abs() < 1e-6,
                "{position} {column}"
            );
        }
    }

    #[test]
    fn rows_do_not_depend_on_how_many_there_are() {
        let nano = ModelConfig::preset("nano").unwrap();
        let linear = ModelConfig {
            rope_scaling: RopeScaling::Linear { factor: 3.0 },
            ..nano.clone()
        };
        for config in [nano, linear] {
            let (long, width) = (Tables::new(&config, 301).unwrap(), config.head_dim);
            for positions in [0, 1, 17, 300] {
                let short = Tables::new(&config, positions).unwrap();
                assert_eq!(short.positions(), positions);
                assert_eq!(short.cos.words(), &long.cos.words()[..positions * width]);
                assert_eq!(short.sin.words(), &long.sin.words()[..positions * width]);
            }
        }
    }

    /// Any change of these bits breaks every trained checkpoint's digest.
    #[test]
    fn bits_are_pinned() {
        let tables = Tables::new(&ModelConfig::preset("nano").unwrap(), 512).unwrap();
        let digest = |tensor: &Tensor| {
            tensor.words().iter().fold(0u64, |hash, &word| {
                (hash ^ u64::from(word)).wrapping_mul(0x0100_0000_01b3)
            })
        };
        assert_eq!(
            (digest(&tables.cos), digest(&tables.sin)),
            (2_174_410_964_857_578_280, 7_468_691_265_847_114_496)
        );
    }
}
