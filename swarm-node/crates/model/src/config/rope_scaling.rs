//! How RoPE's frequencies are stretched for texts longer than those of the first training.
//!
//! Field names are those of `rope_parameters` in a Hugging Face `config.json`, so that a file's
//! object is read and written as it stands. [`rope`](crate::rope) has the formulas.

use serde::{Deserialize, Serialize};

use super::error::{MAX_LENGTH, ModelConfigError, refuse};

/// A variant of RoPE with its numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "rope_type", rename_all = "lowercase", deny_unknown_fields)]
pub enum RopeScaling {
    /// Frequencies as they are (Su et al. 2021).
    #[default]
    Default,
    /// Frequencies over `factor` (Chen et al. 2023).
    Linear {
        /// At least 1.
        factor: f64,
    },
    /// A base that grows with the sequence once it is longer than the model's positions ("dynamic
    /// NTK"). A sequence never is here: within
    /// [`ModelConfig::max_positions`](super::ModelConfig::max_positions) the frequencies are those
    /// of `Default`, as in transformers, and so a row of a table depends on its position only.
    Dynamic {
        /// At least 1.
        factor: f64,
    },
    /// Low frequencies over `factor`, high ones as they are, between them a blend (Llama 3.1).
    Llama3 {
        /// At least 1.
        factor: f64,
        /// Frequencies of fewer turns than this within the original positions are divided.
        low_freq_factor: f64,
        /// Frequencies of more turns than this stay; above `low_freq_factor`.
        high_freq_factor: f64,
        /// Positions of the first training.
        original_max_position_embeddings: usize,
    },
    /// Low frequencies over `factor`, high ones as they are, a linear ramp between, and longer
    /// queries and keys (YaRN, Peng et al. 2023).
    Yarn {
        /// At least 1.
        factor: f64,
        /// Positions of the first training.
        original_max_position_embeddings: usize,
        /// Factor of cosines and sines; by default it follows from `factor` and the `mscale`s.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        attention_factor: Option<f64>,
        /// Turns within the original positions above which a frequency stays; 32 by default.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        beta_fast: Option<f64>,
        /// Turns within the original positions below which a frequency is divided; 1 by default.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        beta_slow: Option<f64>,
        /// Numerator's weight of ln `factor` in the attention factor; counts only beside
        /// `mscale_all_dim`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mscale: Option<f64>,
        /// Denominator's weight of ln `factor` in the attention factor; counts only beside
        /// `mscale`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mscale_all_dim: Option<f64>,
        /// Whether the ramp's ends are rounded outwards to whole pairs; true by default.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        truncate: Option<bool>,
    },
}

/// Largest factor of a scaling, and largest number of its other settings: the most positions of a
/// model.
const MAX_SETTING: f64 = MAX_LENGTH as f64;

impl RopeScaling {
    /// Whether frequencies are as they are.
    pub fn is_default(&self) -> bool {
        *self == Self::Default
    }

    /// Checks that the formulas have a meaning for these numbers.
    pub(super) fn validate(&self, rope_theta: f64) -> Result<(), ModelConfigError> {
        match *self {
            Self::Default => Ok(()),
            Self::Linear { factor } | Self::Dynamic { factor } => {
                between("rope_scaling.factor", factor, 1.0)
            }
            Self::Llama3 {
                factor,
                low_freq_factor: low,
                high_freq_factor: high,
                original_max_position_embeddings,
            } => {
                between("rope_scaling.factor", factor, 1.0)?;
                between("rope_scaling.low_freq_factor", low, f64::MIN_POSITIVE)?;
                between("rope_scaling.high_freq_factor", high, f64::MIN_POSITIVE)?;
                if low >= high {
                    let rule = format!("it must be above low_freq_factor, which is {low}");
                    return refuse("rope_scaling.high_freq_factor", high.to_string(), rule);
                }
                original(original_max_position_embeddings)
            }
            Self::Yarn {
                factor,
                original_max_position_embeddings,
                attention_factor,
                beta_fast,
                beta_slow,
                mscale,
                mscale_all_dim,
                truncate: _,
            } => {
                between("rope_scaling.factor", factor, 1.0)?;
                original(original_max_position_embeddings)?;
                let optional = [
                    ("rope_scaling.attention_factor", attention_factor),
                    ("rope_scaling.beta_fast", beta_fast),
                    ("rope_scaling.beta_slow", beta_slow),
                    ("rope_scaling.mscale", mscale),
                    ("rope_scaling.mscale_all_dim", mscale_all_dim),
                ];
                for (field, value) in optional {
                    if let Some(value) = value {
                        between(field, value, f64::MIN_POSITIVE)?;
                    }
                }
                if rope_theta <= 1.0 {
                    let rule = "YaRN needs a base above 1".to_owned();
                    return refuse("rope_theta", rope_theta.to_string(), rule);
                }
                Ok(())
            }
        }
    }
}

fn original(positions: usize) -> Result<(), ModelConfigError> {
    between(
        "rope_scaling.original_max_position_embeddings",
        positions as f64,
        1.0,
    )
}

fn between(field: &'static str, value: f64, least: f64) -> Result<(), ModelConfigError> {
    if (least..=MAX_SETTING).contains(&value) {
        return Ok(());
    }
    let least = if least < 1.0 {
        "above 0".to_owned()
    } else {
        format!("at least {least}")
    };
    refuse(
        field,
        value.to_string(),
        format!("it must be {least} and at most {MAX_SETTING}"),
    )
}
