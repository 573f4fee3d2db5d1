//! The decoder as Burn modules: RMSNorm, grouped-query attention with RoPE, SwiGLU.
//!
//! ```text
//! tokens ─▶ embed_tokens ─▶ ┌ input_layernorm ─▶ self_attn ─▶ + ┐ ─▶ norm ─▶ lm_head ─▶ logits
//!                           └ post_attention_layernorm ─▶ mlp ─▶ + ┘ × layers
//! ```
//!
//! Modules only hold weights; everything else (positions, masks, RoPE tables, caches) is an argument. The same code
//! therefore runs eagerly on any Burn device and is recorded on the capture device. Field names are Hugging Face's, so
//! that a parameter's path is its name in a checkpoint; see [`ModelConfig::parameters`].
//!
//! Every tensor has static shapes. Ids and positions are Int tensors of any width.

mod attention;
mod context;
mod layer;
mod linear;

pub use attention::{Attention, Heads, KeyValues};
pub use context::{Context, Mask};
pub use layer::{DecoderLayer, Mlp, RmsNorm};
pub use linear::{Embedding, Linear};

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, TensorData};

use super::ModelConfig;

/// Where a module takes its weights from: the data of a tensor by name and shape. The shape is that of
/// [`ModelConfig::parameters`], and the data must have it.
pub trait WeightSource {
    /// Why a weight cannot be given.
    type Error;

    /// The data of one weight.
    ///
    /// # Errors
    /// The source has no such weight, or another shape.
    fn weight(&mut self, name: &str, shape: &[usize]) -> Result<TensorData, Self::Error>;
}

impl<E, F: FnMut(&str, &[usize]) -> Result<TensorData, E>> WeightSource for F {
    type Error = E;

    fn weight(&mut self, name: &str, shape: &[usize]) -> Result<TensorData, E> {
        self(name, shape)
    }
}

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

/// Says what a layer attends to, from its index and the keys and values of the pass's own tokens: those themselves, or a
/// cache that holds them besides earlier ones. Layers ask in order.
pub type Attended<'a> = &'a mut dyn FnMut(usize, KeyValues) -> KeyValues;

impl CausalLm {
    /// Builds the modules from named weights.
    ///
    /// # Errors
    /// The first error of the source.
    pub fn load<S: WeightSource>(config: &ModelConfig, source: &mut S, device: &Device) -> Result<Self, S::Error> {
        let mut loader = linear::Loader { source, device };
        let (vocab, hidden) = (config.vocab_size, config.hidden_size);
        let embed_tokens = Embedding::load(&mut loader, "model.embed_tokens", [vocab, hidden])?;
        let layers = (0..config.num_layers).map(|layer| DecoderLayer::load(&mut loader, config, layer));
        let layers = layers.collect::<Result<_, _>>()?;
        let norm = RmsNorm::load(&mut loader, "model.norm", hidden, config.rms_norm_eps)?;
        let untied = !config.tied_embeddings;
        let lm_head = untied.then(|| Linear::load(&mut loader, "lm_head", [vocab, hidden], false)).transpose()?;
        Ok(Self { model: Decoder { embed_tokens, layers, norm }, lm_head })
    }

    /// Residual stream after the final norm, `[B, T, hidden]`, of `tokens` `[B, T]`.
    pub fn hidden(&self, tokens: Tensor<2, Int>, context: &Context, attended: Attended<'_>) -> Tensor<3> {
        let embedded = self.model.embed_tokens.forward(tokens);
        let layers = self.model.layers.iter().enumerate();
        let x = layers.fold(embedded, |x, (index, layer)| layer.forward(x, context, |rows| attended(index, rows)));
        self.model.norm.forward(x)
    }

    /// Logits `[B, T, vocab]` of final hidden states `[B, T, hidden]`.
    pub fn logits(&self, hidden: Tensor<3>) -> Tensor<3> {
        match &self.lm_head {
            Some(head) => head.forward(hidden),
            None => linear::project(hidden, self.model.embed_tokens.weight.val()),
        }
    }

    /// Logits `[B, T, vocab]` of `tokens` `[B, T]`.
    pub fn forward(&self, tokens: Tensor<2, Int>, context: &Context) -> Tensor<3> {
        self.logits(self.hidden(tokens, context, &mut |_, rows| rows))
    }
}
