//! Batched generation: prompts in, sampled completions out.
//!
//! ```text
//! prompts ─sort, chunk─▶ batch ─▶ prefill (once per prompt) ─▶ caches
//!     caches ─repeat─▶ decode ⟲ one token for all rows
//!                ▲          │ many rows done
//!                └─ compact ┘
//! ```
//!
//! Prefill fills a prompt's caches; the decode program then takes its last token and every sampled
//! one, so all samples come from one program. Programs are recorded per bucket of (rows, slots) and
//! kept, loaded, for the next call.
//!
//! Invariants:
//! * a completion depends on the weights, its prompt, key, temperature and (index, sample) only:
//!   never on what shares the batch, on bucket sizes, or on compaction;
//! * noise of token t of a completion has the Philox counter (index, sample, t).
//!
//! Limits: a batch has at most [`MAX_ROWS`] rows; longer lists are worked off one batch after
//! another. Every kept program is bound to the same weights in the engine's memory.

mod batch;
mod bucket;
mod sessions;

use std::sync::Arc;

pub use bucket::MAX_ROWS;
use reproducible_ops::engine::{Engine, EngineError};
use reproducible_ops::tensor::TensorError;
use reproducible_ops::weights::{Buffers, CheckError, Weights};

use self::batch::Batch;
use self::sessions::Sessions;
use super::ModelConfig;
use super::programs::ProgramError;

/// A text to be continued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// Token ids, at least one.
    pub tokens: Vec<u32>,
    /// First word of the noise counter: the question's number in the round, so that anybody can
    /// recompute its samples.
    pub index: u32,
}

/// What to generate.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Texts to be continued.
    pub prompts: &'a [Prompt],
    /// Completions of each prompt; the second word of the noise counter runs from 0.
    pub samples: u32,
    /// Most tokens of a completion, its end included.
    pub max_new: usize,
    /// Key of the noise, from [`reproducible_ops::random::key_from`].
    pub key: [u32; 2],
    /// Temperature of sampling; 0 takes the most likely token.
    pub temperature: f32,
}

/// A sampled completion of a prompt: its tokens with their log-probabilities.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Generation {
    /// Token ids, the end included where it was reached.
    pub tokens: Vec<u32>,
    /// Log-probability of each token at temperature 1.
    pub logp: Vec<f32>,
    /// Whether it ended by itself, not by [`Request::max_new`].
    pub ended: bool,
}

/// Why nothing was generated.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// No weights yet.
    #[error("the generator has no weights; call `set_weights` first")]
    NoWeights,
    /// A prompt without tokens.
    #[error("prompt {index} is empty; give it at least one token")]
    Empty {
        /// Number of the prompt in the request.
        index: usize,
    },
    /// An id that the model has no embedding for.
    #[error(
        "prompt {index} has token {token}, but the model has embeddings for the {vocab} ids from 0 \
         only; use the model's own tokenizer"
    )]
    Token {
        /// Number of the prompt in the request.
        index: usize,
        /// The id.
        token: u32,
        /// Embeddings there are.
        vocab: usize,
    },
    /// More positions than the model has.
    #[error(
        "prompt {index} has {tokens} tokens and {max_new} more are asked for, but the model has \
         {max_positions} positions; shorten it"
    )]
    TooLong {
        /// Number of the prompt in the request.
        index: usize,
        /// Its tokens.
        tokens: usize,
        /// Tokens asked for.
        max_new: usize,
        /// Positions of the model.
        max_positions: usize,
    },
    /// A temperature that is negative or not a number.
    #[error("temperature is {0}; it must be 0 (greedy) or above and finite")]
    Temperature(f32),
    /// Weights of another model.
    #[error(transparent)]
    Weights(#[from] CheckError),
    /// The model cannot be recorded.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// The engine refused.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The RoPE tables cannot be made.
    #[error(transparent)]
    Tables(#[from] TensorError),
}

/// Generates with one model, keeping its programs between calls.
pub struct Generator {
    config: ModelConfig,
    ends: Vec<u32>,
    max_rows: usize,
    sessions: Sessions,
}

impl Generator {
    /// A generator without weights. `ends` are the ids that end a completion.
    ///
    /// # Errors
    /// Never for a config that passed [`ModelConfig::validate`].
    pub fn new(
        engine: Arc<dyn Engine>,
        config: ModelConfig,
        ends: &[u32],
    ) -> Result<Self, GenerateError> {
        let sessions = Sessions::new(engine, &config)?;
        Ok(Self {
            config,
            ends: ends.to_vec(),
            max_rows: MAX_ROWS,
            sessions,
        })
    }

    /// Limits the rows of a batch, to bound memory for large models. Completions do not depend on
    /// it.
    pub fn with_max_rows(mut self, max_rows: usize) -> Self {
        self.max_rows = max_rows.clamp(1, MAX_ROWS);
        self
    }

    /// Generates from these weights from now on.
    ///
    /// # Errors
    /// They are not those of the config.
    pub fn set_weights(&mut self, weights: Weights) -> Result<(), GenerateError> {
        let weights = weights.upload(self.sessions.engine())?;
        self.bind_weights(weights)
    }

    /// Generates from weights in the engine's memory from now on, without a copy.
    ///
    /// # Errors
    /// They are not those of the config.
    pub fn bind_weights(&mut self, weights: Buffers) -> Result<(), GenerateError> {
        let types = weights
            .iter()
            .map(|(name, buffer)| (&name[..], buffer.ty()));
        super::checkpoint::check_types(&self.config, types)?;
        self.sessions.set_weights(weights);
        Ok(())
    }

    /// The completions of every prompt, in the order of the prompts.
    ///
    /// # Errors
    /// A prompt that cannot be continued, or an engine that fails.
    pub fn generate(
        &mut self,
        request: &Request<'_>,
    ) -> Result<Vec<Vec<Generation>>, GenerateError> {
        self.check(request)?;
        let mut completions =
            vec![vec![Generation::default(); request.samples as usize]; request.prompts.len()];
        if request.max_new == 0 {
            return Ok(completions);
        }
        let all = bucket::rows(request);
        for rows in all.chunks(self.max_rows) {
            let batch = Batch {
                config: &self.config,
                ends: &self.ends,
                request,
                sessions: &mut self.sessions,
            };
            for (row, completion) in rows.iter().zip(batch.run(rows)?) {
                completions[row.prompt][row.sample as usize] = completion;
            }
        }
        Ok(completions)
    }

    fn check(&self, request: &Request<'_>) -> Result<(), GenerateError> {
        if !(request.temperature >= 0.0 && request.temperature.is_finite()) {
            return Err(GenerateError::Temperature(request.temperature));
        }
        request
            .prompts
            .iter()
            .enumerate()
            .try_for_each(|(index, prompt)| self.check_prompt(index, prompt, request.max_new))
    }

    fn check_prompt(
        &self,
        index: usize,
        prompt: &Prompt,
        max_new: usize,
    ) -> Result<(), GenerateError> {
        let (tokens, vocab) = (prompt.tokens.len(), self.config.vocab_size);
        if tokens == 0 {
            return Err(GenerateError::Empty { index });
        }
        if let Some(&token) = prompt.tokens.iter().find(|&&token| token as usize >= vocab) {
            return Err(GenerateError::Token {
                index,
                token,
                vocab,
            });
        }
        let max_positions = self.config.max_positions;
        if tokens.saturating_add(max_new) > max_positions {
            return Err(GenerateError::TooLong {
                index,
                tokens,
                max_new,
                max_positions,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
