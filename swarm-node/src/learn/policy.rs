//! What the learner needs from a model besides its training program: completions.
//!
//! The real one is [`Generator`]; tests put cheaper writers in its place.

use reproducible_ops::weights::Weights;

use crate::model::generate::{Completion, GenerateError, Generator, Request};
use crate::model::tokenizer::{TextError, Tokenizer};

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
    fn write(&mut self, request: &Request<'_>) -> Result<Vec<Vec<Completion>>, PolicyError>;

    /// Takes over trained parameters.
    ///
    /// # Errors
    /// A parameter is missing or has another shape.
    fn load(&mut self, params: Weights) -> Result<(), PolicyError>;
}

impl Policy for Generator {
    fn write(&mut self, request: &Request<'_>) -> Result<Vec<Vec<Completion>>, PolicyError> {
        Ok(self.generate(request)?)
    }

    fn load(&mut self, params: Weights) -> Result<(), PolicyError> {
        Ok(self.set_weights(params)?)
    }
}

/// Tokens of a completion that is given as text: with the end mark, unless it fills `max_new` tokens, in which case it
/// was cut off before the end.
///
/// # Errors
/// The text has something that the vocabulary lacks.
pub fn completion_tokens(tokenizer: &Tokenizer, text: &str, max_new: usize) -> Result<Vec<u32>, TextError> {
    let mut tokens = tokenizer.encode(text)?;
    if tokens.len() < max_new {
        tokens.push(tokenizer.eos());
    }
    tokens.truncate(max_new);
    Ok(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::charset;

    #[test]
    fn a_completion_ends_unless_it_was_cut_off() {
        let tokenizer = Tokenizer::characters(charset::CHARACTERS);
        assert_eq!(completion_tokens(&tokenizer, "01", 9).unwrap(), [2, 3, charset::EOS]);
        assert_eq!(completion_tokens(&tokenizer, "01", 2).unwrap(), [2, 3]);
        assert_eq!(completion_tokens(&tokenizer, "0123", 2).unwrap(), [2, 3]);
        assert_eq!(completion_tokens(&tokenizer, "", 2).unwrap(), [charset::EOS]);
        assert!(completion_tokens(&tokenizer, "\u{e9}", 9).is_err());
    }
}
