//! What generation is planned to take of the machine's memory, and what this process has taken.

use serde::Serialize;
use swarm_learn::programs::MEGABYTE;
use swarm_model::generate::{Footprint, GenerateError};

use super::Model;

/// Memory for generation, as commands tell it.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct GenerationMemory {
    /// Of the weights, as they are kept.
    weights_bytes: u64,
    /// Of each completion that is made at a time.
    completion_bytes: u64,
    /// Tokens of prompt and completion for which that is.
    tokens: usize,
}

/// Tokens of a prompt in what is said beforehand: about a GSM8K question's.
const PROMPT: usize = 256;

impl GenerationMemory {
    /// What generation of completions of so many tokens takes behind a prompt of 256.
    ///
    /// # Errors
    /// The decoder cannot be recorded.
    pub fn behind_prompt(model: &Model, max_new: usize) -> Result<Self, GenerateError> {
        Self::of(model, PROMPT + max_new)
    }

    /// What generation of completions of so many tokens takes, prompts included; at most as many as
    /// the model has positions.
    ///
    /// # Errors
    /// The decoder cannot be recorded.
    pub fn of(model: &Model, tokens: usize) -> Result<Self, GenerateError> {
        let footprint = Footprint::of(&model.config, &model.weights, tokens)?;
        Ok(Self {
            weights_bytes: footprint.weights,
            completion_bytes: footprint.completion,
            tokens: footprint.tokens,
        })
    }

    /// One line for people.
    pub fn note(&self) -> String {
        let [weights, completion] =
            [self.weights_bytes, self.completion_bytes].map(|bytes| bytes.div_ceil(MEGABYTE));
        format!(
            "generation holds {weights} MB of weights, and {completion} MB for each completion at a \
             time (of {} tokens with its prompt)",
            self.tokens
        )
    }
}

/// The most memory that this process has had, in bytes, where the system tells.
pub fn peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kibibytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(1024 * kibibytes)
}
