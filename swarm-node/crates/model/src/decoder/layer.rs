//! One decoder layer and its parts without attention.

use burn::module::Module;
use burn::tensor::{Tensor, activation::silu};

use super::attention::{Attention, KeyValues};
use super::context::Context;
use super::linear::Linear;
use super::norm::RmsNorm;
use super::source::Source;
use crate::ModelConfig;

/// SwiGLU: `down(silu(gate(x)) · up(x))` (Shazeer 2020).
#[derive(Module, Debug)]
pub struct Mlp {
    /// `[intermediate, hidden]`.
    pub gate_proj: Linear,
    /// `[intermediate, hidden]`.
    pub up_proj: Linear,
    /// `[hidden, intermediate]`.
    pub down_proj: Linear,
}

impl Mlp {
    fn build(source: &Source<'_>, config: &ModelConfig, path: &str) -> Self {
        let (hidden, inner) = (config.hidden_size, config.intermediate_size);
        let linear = |name, shape| Linear::build(source, &format!("{path}.{name}"), shape, false);
        Self {
            gate_proj: linear("gate_proj", [inner, hidden]),
            up_proj: linear("up_proj", [inner, hidden]),
            down_proj: linear("down_proj", [hidden, inner]),
        }
    }

    /// `[B, T, hidden]` to the same shape.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let gate = silu(self.gate_proj.forward(x.clone()));
        self.down_proj.forward(gate * self.up_proj.forward(x))
    }
}

/// Attention and SwiGLU, each normed before and added to the residual stream.
#[derive(Module, Debug)]
pub struct DecoderLayer {
    /// Norm before attention.
    pub input_layernorm: RmsNorm,
    /// Attention.
    pub self_attn: Attention,
    /// Norm before SwiGLU.
    pub post_attention_layernorm: RmsNorm,
    /// SwiGLU.
    pub mlp: Mlp,
}

impl DecoderLayer {
    pub(super) fn build(source: &Source<'_>, config: &ModelConfig, layer: usize) -> Self {
        let path = |name: &str| format!("model.layers.{layer}.{name}");
        let (hidden, epsilon) = (config.hidden_size, config.rms_norm_eps);
        Self {
            input_layernorm: RmsNorm::build(source, &path("input_layernorm"), hidden, epsilon),
            self_attn: Attention::build(source, config, &path("self_attn")),
            post_attention_layernorm: RmsNorm::build(
                source,
                &path("post_attention_layernorm"),
                hidden,
                epsilon,
            ),
            mlp: Mlp::build(source, config, &path("mlp")),
        }
    }

    /// `[B, T, hidden]` to the same shape. `attended` says which keys and values the queries see,
    /// from the tokens' own.
    pub fn forward(
        &self,
        x: Tensor<3>,
        context: &Context,
        attended: impl FnOnce(KeyValues) -> KeyValues,
    ) -> Tensor<3> {
        let heads = self
            .self_attn
            .project(self.input_layernorm.forward(x.clone()), context);
        let x = x + self
            .self_attn
            .attend(heads.query, attended(heads.rows), context);
        x.clone() + self.mlp.forward(self.post_attention_layernorm.forward(x))
    }
}
