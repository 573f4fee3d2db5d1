//! Grouped-query attention with rotary positions (Ainslie et al. 2023; Su et al. 2021).

use burn::module::Module;
use burn::tensor::{Tensor, activation::softmax};

use super::context::Context;
use super::linear::Linear;
use super::norm::RmsNorm;
use super::source::Source;
use crate::ModelConfig;

/// Keys and values, each `[B, kv_heads, keys, head_dim]`; keys are rotated.
#[derive(Clone, Debug)]
pub struct KeyValues {
    /// Rotated keys.
    pub key: Tensor<4>,
    /// Values.
    pub value: Tensor<4>,
}

/// Projections of one pass's tokens.
#[derive(Clone, Debug)]
pub struct Heads {
    /// Rotated queries over √head_dim, `[B, heads, T, head_dim]`.
    pub query: Tensor<4>,
    /// Keys and values of the same tokens.
    pub rows: KeyValues,
}

/// `softmax(q·kᵀ / √d) · v` with several query heads per key head.
#[derive(Module, Debug)]
pub struct Attention {
    /// `[heads · head_dim, hidden]`.
    pub q_proj: Linear,
    /// `[kv_heads · head_dim, hidden]`.
    pub k_proj: Linear,
    /// `[kv_heads · head_dim, hidden]`.
    pub v_proj: Linear,
    /// `[hidden, heads · head_dim]`.
    pub o_proj: Linear,
    /// Norm of each query head, `[head_dim]`; absent in most families.
    pub q_norm: Option<RmsNorm>,
    /// Norm of each key head, `[head_dim]`; absent in most families.
    pub k_norm: Option<RmsNorm>,
    #[module(skip)]
    head_dim: usize,
}

impl Attention {
    pub(super) fn build(source: &Source<'_>, config: &ModelConfig, path: &str) -> Self {
        let (hidden, query, kv) = (config.hidden_size, config.query_width(), config.kv_width());
        let linear =
            |name, shape, bias| Linear::build(source, &format!("{path}.{name}"), shape, bias);
        let norm = |name| {
            let path = format!("{path}.{name}");
            config
                .qk_norm
                .then(|| RmsNorm::build(source, &path, config.head_dim, config.rms_norm_eps))
        };
        Self {
            q_proj: linear("q_proj", [query, hidden], config.qkv_bias),
            k_proj: linear("k_proj", [kv, hidden], config.qkv_bias),
            v_proj: linear("v_proj", [kv, hidden], config.qkv_bias),
            o_proj: linear("o_proj", [hidden, query], false),
            q_norm: norm("q_norm"),
            k_norm: norm("k_norm"),
            head_dim: config.head_dim,
        }
    }

    /// Queries, keys and values of `x` `[B, T, hidden]`.
    pub fn project(&self, x: Tensor<3>, context: &Context) -> Heads {
        let scale = 1.0 / (self.head_dim as f32).sqrt();
        let query = normed(&self.q_norm, self.split(self.q_proj.forward(x.clone())));
        let query = context.rotate(query) * scale;
        let key = normed(&self.k_norm, self.split(self.k_proj.forward(x.clone())));
        let key = context.rotate(key);
        let value = self.split(self.v_proj.forward(x));
        Heads {
            query,
            rows: KeyValues { key, value },
        }
    }

    /// `[B, T, heads · head_dim]` to `[B, heads, T, head_dim]`.
    fn split(&self, x: Tensor<3>) -> Tensor<4> {
        let [batch, tokens, width] = x.dims();
        x.reshape([batch, tokens, width / self.head_dim, self.head_dim])
            .swap_dims(1, 2)
    }

    /// Output `[B, T, hidden]` of queries over keys and values.
    pub fn attend(&self, query: Tensor<4>, source: KeyValues, context: &Context) -> Tensor<3> {
        let [batch, heads, tokens, head_dim] = query.dims();
        let [_, kv_heads, keys, _] = source.key.dims();
        // The query heads of one key head are stacked as rows, so keys and values are never
        // repeated.
        let stacked = heads / kv_heads * tokens;
        let query = query.reshape([batch, kv_heads, stacked, head_dim]);
        let scores = query
            .matmul(source.key.transpose())
            .reshape([batch, heads, tokens, keys]);
        let weights =
            softmax(context.mask.apply(scores), 3).reshape([batch, kv_heads, stacked, keys]);
        let mixed = weights
            .matmul(source.value)
            .reshape([batch, heads, tokens, head_dim]);
        self.o_proj.forward(
            mixed
                .swap_dims(1, 2)
                .reshape([batch, tokens, heads * head_dim]),
        )
    }
}

fn normed(norm: &Option<RmsNorm>, heads: Tensor<4>) -> Tensor<4> {
    match norm {
        Some(norm) => norm.forward(heads),
        None => heads,
    }
}
