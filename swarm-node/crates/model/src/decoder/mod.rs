//! The decoder as Burn modules: RMSNorm, grouped-query attention with RoPE, SwiGLU.
//!
//! ```text
//! tokens ─▶ embed_tokens ─▶ ┌ input_layernorm ─▶ self_attn ─▶ + ┐ ─▶ norm ─▶ lm_head ─▶ logits
//!                           └ post_attention_layernorm ─▶ mlp ─▶ + ┘ × layers
//! ```
//!
//! Modules only hold weights; everything else (positions, masks, RoPE tables, caches) is an
//! argument. The same code therefore runs eagerly on any Burn device and is recorded on the capture
//! device. Field names are Hugging Face's, so that a parameter's path is its name in a checkpoint;
//! see [`ModelConfig::parameters`].
//!
//! Every tensor has static shapes. Ids and positions are Int tensors of any width.

mod attention;
mod context;
mod layer;
mod linear;
mod norm;
mod source;

use std::ops::Range;

pub use attention::{Attention, Heads, KeyValues};
use burn::module::Module;
use burn::tensor::{Device, Int, Tensor};
pub use context::{Context, Mask};
pub use layer::{DecoderLayer, Mlp};
pub(crate) use linear::project;
pub use linear::{Embedding, Linear};
pub use norm::RmsNorm;
use reproducible_ops::weights::{CheckError, Weights};

use self::source::Source;
use super::{ModelConfig, checkpoint};

/// Token embedding, layers and final norm.
#[derive(Module, Debug)]
pub struct Decoder {
    /// Token embedding.
    pub embed_tokens: Embedding,
    /// The layers, first applied first.
    pub layers: Vec<DecoderLayer>,
    /// Norm before the head.
    pub norm: RmsNorm,
}

/// A decoder with its output head.
#[derive(Module, Debug)]
pub struct CausalLm {
    /// The decoder.
    pub model: Decoder,
    /// The head; absent where it is tied to the embedding.
    pub lm_head: Option<Linear>,
}

/// Says what a layer attends to, from its index and the keys and values of the pass's own tokens:
/// those themselves, or a cache that holds them besides earlier ones. Layers ask in order.
pub type Attended<'a> = &'a mut dyn FnMut(usize, KeyValues) -> KeyValues;

impl CausalLm {
    /// The modules with weights on a device.
    ///
    /// # Errors
    /// Weights that are not those of the config.
    pub fn load(
        config: &ModelConfig,
        weights: &Weights,
        device: &Device,
    ) -> Result<Self, CheckError> {
        checkpoint::check(config, weights)?;
        Ok(Self::build(
            config,
            &Source {
                weights: Some(weights),
                device,
            },
        ))
    }

    /// The modules without weights, to be recorded: every parameter has its shape and no values.
    pub fn unfilled(config: &ModelConfig) -> Self {
        Self::build(
            config,
            &Source {
                weights: None,
                device: &Device::capture(),
            },
        )
    }

    fn build(config: &ModelConfig, source: &Source<'_>) -> Self {
        let (vocab, hidden) = (config.vocab_size, config.hidden_size);
        let model = Decoder {
            embed_tokens: Embedding {
                weight: source.param("model.embed_tokens.weight", [vocab, hidden]),
            },
            layers: (0..config.num_layers)
                .map(|layer| DecoderLayer::build(source, config, layer))
                .collect(),
            norm: RmsNorm::build(source, "model.norm", hidden, config.rms_norm_eps),
        };
        let untied = !config.tied_embeddings;
        Self {
            model,
            lm_head: untied.then(|| Linear::build(source, "lm_head", [vocab, hidden], false)),
        }
    }

    /// Residual stream after the final norm, `[B, T, hidden]`, of `tokens` `[B, T]`.
    pub fn hidden(
        &self,
        tokens: Tensor<2, Int>,
        context: &Context,
        attended: Attended<'_>,
    ) -> Tensor<3> {
        let embedded = self.model.embed_tokens.forward(tokens);
        let layers = 0..self.model.layers.len();
        let x = self.through_layers(layers, embedded, context, attended);
        self.model.norm.forward(x)
    }

    /// Residual stream `[B, T, hidden]` behind some consecutive layers, from that before them.
    ///
    /// # Panics
    /// There are no such layers.
    pub fn through_layers(
        &self,
        layers: Range<usize>,
        x: Tensor<3>,
        context: &Context,
        attended: Attended<'_>,
    ) -> Tensor<3> {
        layers.fold(x, |x, index| {
            self.model.layers[index].forward(x, context, |rows| attended(index, rows))
        })
    }

    /// Logits `[B, T, vocab]` of final hidden states `[B, T, hidden]`.
    pub fn logits(&self, hidden: Tensor<3>) -> Tensor<3> {
        match &self.lm_head {
            Some(head) => head.forward(hidden),
            None => project(hidden, self.model.embed_tokens.weight.val()),
        }
    }

    /// Logits `[B, T, vocab]` of `tokens` `[B, T]`.
    pub fn forward(&self, tokens: Tensor<2, Int>, context: &Context) -> Tensor<3> {
        self.logits(self.hidden(tokens, context, &mut |_, rows| rows))
    }
}
