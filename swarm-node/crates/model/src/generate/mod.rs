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
//! * noise of token t of a completion has the Philox counter (index, sample, t);
//! * a replay, one pass over a finished completion, draws what its generation drew.
//!
//! Limits: a batch has at most [`MAX_ROWS`] rows; longer lists are worked off one batch after
//! another. Every kept program is bound to the same weights in the engine's memory.

mod batch;
mod bucket;
mod footprint;
mod replay;
mod request;
mod sessions;

use std::sync::Arc;

pub use bucket::MAX_ROWS;
pub use footprint::Footprint;
use reproducible_ops::engine::Engine;
use reproducible_ops::weights::{Buffers, Weights};
pub use request::{Claimed, GenerateError, Generation, Prompt, Request};

use self::batch::Batch;
use self::sessions::Sessions;
use super::ModelConfig;

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

    /// Generates from these weights from now on. No more than one of them is in memory twice on the
    /// way.
    ///
    /// # Errors
    /// They are not those of the config.
    pub fn set_weights(&mut self, weights: Weights) -> Result<(), GenerateError> {
        let weights = weights.into_buffers(self.sessions.engine())?;
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
        check_request(&self.config, request)?;
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

    /// For every token of every completion the one that generation draws after the prompt and the
    /// tokens before it, with the noise of `key`. Computed in one pass per batch instead of a step
    /// per token. Where ends are is not looked at.
    ///
    /// # Errors
    /// As [`Generator::generate`], also for tokens of completions.
    pub fn replay(
        &mut self,
        claimed: &[Claimed<'_>],
        key: [u32; 2],
        temperature: f32,
    ) -> Result<Vec<Vec<u32>>, GenerateError> {
        check_temperature(temperature)?;
        for (index, claimed) in claimed.iter().enumerate() {
            let (prompt, tokens) = (&claimed.prompt.tokens, claimed.tokens);
            check_prompt(&self.config, index, prompt, tokens.len())?;
            check_tokens(&self.config, index, tokens)?;
        }
        let mut drawn = Vec::with_capacity(claimed.len());
        for batch in claimed.chunks(replay::rows_at_once(claimed).min(self.max_rows)) {
            let max_positions = self.config.max_positions;
            let sessions = &mut self.sessions;
            drawn.extend(replay::run(
                sessions,
                max_positions,
                batch,
                key,
                temperature,
            )?);
        }
        Ok(drawn)
    }
}

/// Checks that a model can be asked this.
///
/// # Errors
/// A temperature that is none, or a prompt that cannot be continued.
pub fn check_request(config: &ModelConfig, request: &Request<'_>) -> Result<(), GenerateError> {
    check_temperature(request.temperature)?;
    let prompts = request.prompts.iter().enumerate();
    for (index, prompt) in prompts {
        check_prompt(config, index, &prompt.tokens, request.max_new)?;
    }
    Ok(())
}

fn check_prompt(
    config: &ModelConfig,
    index: usize,
    prompt: &[u32],
    max_new: usize,
) -> Result<(), GenerateError> {
    let tokens = prompt.len();
    if tokens == 0 {
        return Err(GenerateError::Empty { index });
    }
    check_tokens(config, index, prompt)?;
    let max_positions = config.max_positions;
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

fn check_tokens(config: &ModelConfig, index: usize, tokens: &[u32]) -> Result<(), GenerateError> {
    let vocab = config.vocab_size;
    match tokens.iter().find(|&&token| token as usize >= vocab) {
        Some(&token) => Err(GenerateError::Token {
            index,
            token,
            vocab,
        }),
        None => Ok(()),
    }
}

fn check_temperature(temperature: f32) -> Result<(), GenerateError> {
    match temperature >= 0.0 && temperature.is_finite() {
        true => Ok(()),
        false => Err(GenerateError::Temperature(temperature)),
    }
}

#[cfg(test)]
mod tests;
