//! Named sizes, smallest first.

use super::{ModelConfig, RopeScaling};

/// Names that [`ModelConfig::preset`] knows, smallest model first.
pub const PRESETS: [&str; 6] = [
    "nano",
    "micro",
    "small10m",
    "small100m",
    "qwen2-0.5b",
    "qwen2.5-1.5b",
];

/// A preset name that does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no model preset is called `{0}`; known: {known}", known = PRESETS.join(", "))]
pub struct UnknownPreset(pub String);

impl ModelConfig {
    /// A named size: `nano` (0.46 M parameters, 64 characters), `micro` (2.7 M, 64 characters),
    /// `small10m` (10 M, bytes), `small100m` (134 M, a 32,000-token vocabulary), `qwen2-0.5b` (494
    /// M, the shape of Qwen2-0.5B), `qwen2.5-1.5b` (1,544 M, the shape of Qwen2.5-1.5B).
    ///
    /// # Errors
    /// [`UnknownPreset`] lists the names there are.
    pub fn preset(name: &str) -> Result<Self, UnknownPreset> {
        match name {
            "nano" => Ok(Self::character(96, 4, 4, 256)),
            "micro" => Ok(Self::character(192, 6, 6, 512)),
            "small10m" => Ok(small10m()),
            "small100m" => Ok(small100m()),
            "qwen2-0.5b" => Ok(qwen2_half_billion()),
            "qwen2.5-1.5b" => Ok(qwen2_one_and_a_half_billion()),
            unknown => Err(UnknownPreset(unknown.into())),
        }
    }

    /// A model over the 64-symbol character vocabulary with as many key heads as query heads and an
    /// untied head.
    fn character(
        hidden_size: usize,
        num_layers: usize,
        num_heads: usize,
        intermediate_size: usize,
    ) -> Self {
        Self {
            vocab_size: 64,
            hidden_size,
            num_layers,
            num_heads,
            num_kv_heads: num_heads,
            head_dim: hidden_size / num_heads,
            intermediate_size,
            max_positions: 512,
            rms_norm_eps: 1e-6,
            rope_theta: 10_000.0,
            rope_scaling: RopeScaling::Default,
            qkv_bias: false,
            qk_norm: false,
            tied_embeddings: false,
        }
    }
}

fn small10m() -> ModelConfig {
    ModelConfig {
        vocab_size: 256,
        max_positions: 1024,
        ..ModelConfig::character(320, 8, 5, 864)
    }
}

fn small100m() -> ModelConfig {
    ModelConfig {
        vocab_size: 32_000,
        max_positions: 2048,
        ..ModelConfig::character(768, 12, 12, 2048)
    }
}

fn qwen2_half_billion() -> ModelConfig {
    ModelConfig {
        vocab_size: 151_936,
        hidden_size: 896,
        num_layers: 24,
        num_heads: 14,
        num_kv_heads: 2,
        head_dim: 64,
        intermediate_size: 4864,
        max_positions: 32_768,
        rms_norm_eps: 1e-6,
        rope_theta: 1e6,
        rope_scaling: RopeScaling::Default,
        qkv_bias: true,
        qk_norm: false,
        tied_embeddings: true,
    }
}

fn qwen2_one_and_a_half_billion() -> ModelConfig {
    ModelConfig {
        hidden_size: 1536,
        num_layers: 28,
        num_heads: 12,
        head_dim: 128,
        intermediate_size: 8960,
        ..qwen2_half_billion()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let error = ModelConfig::preset("nanno").unwrap_err().to_string();
        assert!(
            error.contains("`nanno`") && error.contains("nano, micro"),
            "{error}"
        );
    }
}
