//! What the learner needs from a model besides its training program: completions.
//!
//! The real one is [`Generator`]; tests put cheaper writers in its place.

use reproducible_ops::weights::Buffers;
use swarm_model::generate::{GenerateError, Generation, Generator, Request};

/// Why a policy cannot write.
#[derive(Debug, thiserror::Error)]
#[error("the model cannot generate: {0}")]
pub struct PolicyError(#[from] pub GenerateError);

/// A model that writes completions.
pub trait Policy: Send {
    /// The completions of every prompt, in the order of the prompts.
    ///
    /// # Errors
    /// A prompt cannot be continued, or the engine fails.
    fn write(&mut self, request: &Request<'_>) -> Result<Vec<Vec<Generation>>, PolicyError>;

    /// Takes over trained parameters in the engine's memory.
    ///
    /// # Errors
    /// A parameter is missing or has another shape.
    fn load(&mut self, params: Buffers) -> Result<(), PolicyError>;
}

impl Policy for Generator {
    fn write(&mut self, request: &Request<'_>) -> Result<Vec<Vec<Generation>>, PolicyError> {
        Ok(self.generate(request)?)
    }

    fn load(&mut self, params: Buffers) -> Result<(), PolicyError> {
        Ok(self.bind_weights(params)?)
    }
}
