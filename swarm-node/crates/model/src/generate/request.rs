//! What is asked of a generator, what it gives, and why it may refuse.

use reproducible_ops::engine::EngineError;
use reproducible_ops::tensor::TensorError;
use reproducible_ops::weights::CheckError;

use crate::programs::ProgramError;

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

/// A completion that somebody says was generated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claimed<'a> {
    /// What it continues.
    pub prompt: &'a Prompt,
    /// Which of the prompt's samples.
    pub sample: u32,
    /// Its tokens.
    pub tokens: &'a [u32],
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
