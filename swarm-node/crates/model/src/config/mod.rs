//! Shapes and constants of a decoder, with named presets.
//!
//! A [`ModelConfig`] decides everything that a program of the model depends on, so two peers with
//! equal configs record equal programs. [`hugging_face`] reads and writes the `config.json` of a
//! checkpoint folder.

mod error;
pub mod hugging_face;
mod preset;
mod rope_scaling;

pub use error::ModelConfigError;
use error::{MAX_LENGTH, refuse};
pub use preset::{PRESETS, UnknownPreset};
pub use rope_scaling::RopeScaling;
use serde::{Deserialize, Serialize};

/// Shapes and constants of a decoder-only transformer of the Llama, Mistral and Qwen family.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// Token ids are `0..vocab_size`.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Decoder layers.
    pub num_layers: usize,
    /// Query heads.
    pub num_heads: usize,
    /// Key and value heads; each serves `num_heads / num_kv_heads` query heads.
    pub num_kv_heads: usize,
    /// Width of one head, even because RoPE rotates pairs.
    pub head_dim: usize,
    /// Width inside the SwiGLU block.
    pub intermediate_size: usize,
    /// The longest sequence.
    pub max_positions: usize,
    /// ε under the root of RMSNorm.
    pub rms_norm_eps: f32,
    /// Base of the rotation frequencies `θ^(−2i/head_dim)`.
    pub rope_theta: f64,
    /// How the frequencies are stretched.
    #[serde(default, skip_serializing_if = "RopeScaling::is_default")]
    pub rope_scaling: RopeScaling,
    /// Whether query, key and value projections have a bias (Qwen2 does).
    #[serde(default)]
    pub qkv_bias: bool,
    /// Whether each head's query and key pass an RMSNorm before they are rotated (Qwen3's do).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub qk_norm: bool,
    /// Whether the output head is the token embedding.
    #[serde(default)]
    pub tied_embeddings: bool,
}

impl ModelConfig {
    /// Checks that a decoder of these numbers exists.
    ///
    /// # Errors
    /// The first field that breaks a rule, with its value.
    pub fn validate(&self) -> Result<(), ModelConfigError> {
        self.validate_lengths()?;
        if !self.num_heads.is_multiple_of(self.num_kv_heads) {
            let rule = format!("it must divide the {} query heads", self.num_heads);
            return refuse("num_kv_heads", self.num_kv_heads.to_string(), rule);
        }
        if !self.head_dim.is_multiple_of(2) {
            return refuse(
                "head_dim",
                self.head_dim.to_string(),
                "RoPE needs an even width".into(),
            );
        }
        if !(self.rms_norm_eps > 0.0 && self.rms_norm_eps < 1.0) {
            return refuse(
                "rms_norm_eps",
                self.rms_norm_eps.to_string(),
                "it must lie between 0 and 1".into(),
            );
        }
        if !(self.rope_theta >= 1.0 && self.rope_theta <= 1e12) {
            return refuse(
                "rope_theta",
                self.rope_theta.to_string(),
                "it must lie between 1 and 1e12".into(),
            );
        }
        if self.qkv_bias && self.qk_norm {
            return refuse(
                "qk_norm",
                "true".into(),
                "no supported family has it together with `qkv_bias`".into(),
            );
        }
        self.rope_scaling.validate(self.rope_theta)
    }

    fn validate_lengths(&self) -> Result<(), ModelConfigError> {
        let lengths = [
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("num_layers", self.num_layers),
            ("num_heads", self.num_heads),
            ("num_kv_heads", self.num_kv_heads),
            ("head_dim", self.head_dim),
            ("intermediate_size", self.intermediate_size),
            ("max_positions", self.max_positions),
        ];
        match lengths
            .into_iter()
            .find(|(_, length)| !(1..=MAX_LENGTH).contains(length))
        {
            Some((field, length)) => {
                let rule = format!("it must lie between 1 and {MAX_LENGTH}");
                refuse(field, length.to_string(), rule)
            }
            None => Ok(()),
        }
    }

    /// Width of all query heads together.
    pub fn query_width(&self) -> usize {
        self.num_heads * self.head_dim
    }

    /// Width of all key (or value) heads together.
    pub fn kv_width(&self) -> usize {
        self.num_kv_heads * self.head_dim
    }

    /// Names and shapes of all trained tensors, in the order of the Burn modules.
    pub fn parameters(&self) -> Vec<(String, Vec<usize>)> {
        let hidden = self.hidden_size;
        let mut all = vec![(
            "model.embed_tokens.weight".into(),
            vec![self.vocab_size, hidden],
        )];
        for layer in 0..self.num_layers {
            let tensors = self.layer_parameters();
            all.extend(
                tensors
                    .into_iter()
                    .map(|(name, shape)| (format!("model.layers.{layer}.{name}"), shape)),
            );
        }
        all.push(("model.norm.weight".into(), vec![hidden]));
        if !self.tied_embeddings {
            all.push(("lm_head.weight".into(), vec![self.vocab_size, hidden]));
        }
        all
    }

    fn layer_parameters(&self) -> Vec<(&'static str, Vec<usize>)> {
        let (hidden, inner) = (self.hidden_size, self.intermediate_size);
        let (query, kv) = (self.query_width(), self.kv_width());
        let mut all = vec![("input_layernorm.weight", vec![hidden])];
        all.push(("self_attn.q_proj.weight", vec![query, hidden]));
        if self.qkv_bias {
            all.push(("self_attn.q_proj.bias", vec![query]));
        }
        all.push(("self_attn.k_proj.weight", vec![kv, hidden]));
        if self.qkv_bias {
            all.push(("self_attn.k_proj.bias", vec![kv]));
        }
        all.push(("self_attn.v_proj.weight", vec![kv, hidden]));
        if self.qkv_bias {
            all.push(("self_attn.v_proj.bias", vec![kv]));
        }
        all.push(("self_attn.o_proj.weight", vec![hidden, query]));
        if self.qk_norm {
            all.push(("self_attn.q_norm.weight", vec![self.head_dim]));
            all.push(("self_attn.k_norm.weight", vec![self.head_dim]));
        }
        all.push(("post_attention_layernorm.weight", vec![hidden]));
        all.push(("mlp.gate_proj.weight", vec![inner, hidden]));
        all.push(("mlp.up_proj.weight", vec![inner, hidden]));
        all.push(("mlp.down_proj.weight", vec![hidden, inner]));
        all
    }

    /// Number of trained numbers.
    pub fn parameter_count(&self) -> usize {
        self.parameters()
            .iter()
            .map(|(_, shape)| shape.iter().product::<usize>())
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_presets_are_the_published_ones() {
        let count = |name| ModelConfig::preset(name).unwrap().parameter_count();
        assert_eq!(count("nano"), 455_520);
        assert_eq!(count("qwen2-0.5b"), 494_032_768);
        assert_eq!(count("qwen2.5-1.5b"), 1_543_714_304);
        assert!((9_000_000..11_000_000).contains(&count("small10m")));
    }

    #[test]
    fn every_preset_is_valid_and_survives_toml() {
        for name in PRESETS {
            let preset = ModelConfig::preset(name).unwrap();
            let rope_scaling = RopeScaling::Linear { factor: 2.0 };
            for config in [
                preset.clone(),
                ModelConfig {
                    rope_scaling,
                    ..preset
                },
            ] {
                config.validate().unwrap();
                let text = toml::to_string(&config).unwrap();
                assert_eq!(
                    toml::from_str::<ModelConfig>(&text).unwrap(),
                    config,
                    "{name}"
                );
            }
        }
    }

    #[test]
    fn broken_numbers_are_named() {
        let nano = ModelConfig::preset("nano").unwrap();
        let broken = [
            (
                "vocab_size",
                ModelConfig {
                    vocab_size: 0,
                    ..nano.clone()
                },
            ),
            (
                "hidden_size",
                ModelConfig {
                    hidden_size: usize::MAX,
                    ..nano.clone()
                },
            ),
            (
                "num_kv_heads",
                ModelConfig {
                    num_kv_heads: 3,
                    ..nano.clone()
                },
            ),
            (
                "head_dim",
                ModelConfig {
                    head_dim: 23,
                    ..nano.clone()
                },
            ),
            (
                "rms_norm_eps",
                ModelConfig {
                    rms_norm_eps: f32::NAN,
                    ..nano.clone()
                },
            ),
            (
                "rope_theta",
                ModelConfig {
                    rope_theta: -1.0,
                    ..nano.clone()
                },
            ),
            (
                "qk_norm",
                ModelConfig {
                    qkv_bias: true,
                    qk_norm: true,
                    ..nano.clone()
                },
            ),
            (
                "rope_scaling.factor",
                ModelConfig {
                    rope_scaling: RopeScaling::Linear { factor: f64::NAN },
                    ..nano.clone()
                },
            ),
        ];
        for (field, config) in broken {
            assert_eq!(config.validate().unwrap_err().field, field);
        }
    }

    #[test]
    fn unknown_keys_are_refused() {
        let mut text = toml::to_string(&ModelConfig::preset("nano").unwrap()).unwrap();
        text.push_str("hiden_size = 3\n");
        assert!(
            toml::from_str::<ModelConfig>(&text)
                .unwrap_err()
                .to_string()
                .contains("hiden_size")
        );
    }
}
