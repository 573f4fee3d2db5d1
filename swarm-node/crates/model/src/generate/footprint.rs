//! What generation takes of memory, before it is begun.

use reproducible_ops::engine::cpu::CpuEngine;
use reproducible_ops::program::{Program, Role};
use reproducible_ops::tensor::Tensor;
use reproducible_ops::weights::Weights;

use super::bucket::round_length;
use super::request::GenerateError;
use super::sessions::Key;
use crate::ModelConfig;

/// Bytes that generating takes of a machine's memory, as planned: on the CPU engine, without what
/// the process and its threads need besides.
///
/// ```
/// use reproducible_ops::tensor::{HalfFormat, Tensor};
/// use swarm_model::{ModelConfig, generate::Footprint, init};
///
/// let config = ModelConfig { num_layers: 1, ..ModelConfig::preset("nano")? };
/// let wide = init::initialise(&config, 7)?;
/// // The same shapes at two bytes a number.
/// let halves = wide.iter().map(|(name, tensor)| {
///     let bits = vec![0; tensor.shape().elements()];
///     let kept = Tensor::from_halves(tensor.shape().clone(), HalfFormat::Bf16, bits);
///     kept.map(|tensor| (name.to_owned(), tensor))
/// });
/// let halves = halves.collect::<Result<_, _>>()?;
/// let [wide, halves] = [&wide, &halves].map(|weights| Footprint::of(&config, weights, 64));
/// // As floats a matrix is held twice, as it is written and as products read it.
/// assert!(wide?.weights > 3 * halves?.weights);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footprint {
    /// Tokens of a prompt and its completion together.
    pub tokens: usize,
    /// Bytes of the weights.
    pub weights: u64,
    /// Bytes of each completion that is made at a time: caches, logits and what is in between.
    pub completion: u64,
}

impl Footprint {
    /// What generation with these weights takes for completions of so many tokens, prompts included;
    /// at most as many as the model has positions.
    ///
    /// # Errors
    /// The decoder cannot be recorded.
    pub fn of(
        config: &ModelConfig,
        weights: &Weights,
        tokens: usize,
    ) -> Result<Self, GenerateError> {
        let tokens = tokens.clamp(1, config.max_positions);
        let (rows, slots) = (1, round_length(tokens, config.max_positions));
        let prefill = Key::Prefill {
            rows,
            length: slots,
        };
        let decode = Key::Decode { rows, slots }.record(config)?;
        let completion = besides_weights(&prefill.record(config)?)?
            + besides_weights(&decode)?
            + caches(&decode);
        Ok(Self {
            tokens,
            weights: weights.iter().map(|(_, tensor)| kept(tensor)).sum(),
            completion,
        })
    }

    /// Bytes of so many completions at a time, with the weights.
    pub fn total(&self, completions: usize) -> u64 {
        self.weights + completions as u64 * self.completion
    }
}

/// Bytes of a weight. A matrix at two bytes a number is held once, as products read it; one of
/// floats beside its packed form. Vectors are held as floats.
fn kept(tensor: &Tensor) -> u64 {
    let floats = 4 * tensor.shape().elements() as u64;
    match tensor.shape().rank() {
        2 if tensor.halves().is_some() => floats / 2,
        2 => 2 * floats,
        _ => floats,
    }
}

/// Bytes that a loaded program holds beside its weights.
fn besides_weights(program: &Program) -> Result<u64, GenerateError> {
    let weights = program.inputs_with_role(Role::Param);
    let elements: usize = weights.map(|(_, input)| input.ty.shape.elements()).sum();
    Ok(CpuEngine::planned_bytes(program)? - 4 * elements as u64)
}

/// Bytes of caches, which a batch keeps on the host, too, while it moves them.
fn caches(decode: &Program) -> u64 {
    let caches = decode.inputs_with_role(Role::State);
    let elements: usize = caches.map(|(_, input)| input.ty.shape.elements()).sum();
    4 * elements as u64
}
