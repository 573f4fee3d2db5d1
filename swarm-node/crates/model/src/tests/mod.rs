//! Tests of the model as a whole.

mod hugging_face;
mod programs;

use super::ModelConfig;
use super::config::RopeScaling;

/// A decoder small enough for the reference engine, with grouped queries and biases.
pub(crate) fn tiny() -> ModelConfig {
    ModelConfig {
        vocab_size: 19,
        hidden_size: 12,
        num_layers: 2,
        num_heads: 4,
        num_kv_heads: 2,
        head_dim: 6,
        intermediate_size: 20,
        max_positions: 96,
        rms_norm_eps: 1e-6,
        rope_theta: 10_000.0,
        rope_scaling: RopeScaling::Default,
        qkv_bias: true,
        qk_norm: false,
        tied_embeddings: false,
    }
}
