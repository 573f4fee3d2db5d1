//! What the learner needs from a model besides its training program: completions, and text.

use reproducible_ops::weights::Weights;

/// How tokens are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The most probable token.
    Greedy,
    /// A draw at temperature 1 from noise that is a function of key, prompt number, sample number and position.
    Sample {
        /// Philox key; must belong to this purpose alone.
        key: [u32; 2],
    },
}

/// A completion as a policy wrote it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Written {
    /// Tokens after the prompt, the end mark included where it was written.
    pub tokens: Vec<u32>,
    /// Log-probability of each token at temperature 1.
    pub logp: Vec<f32>,
}

/// Why a policy cannot write. The cause is the model's own error.
#[derive(Debug, thiserror::Error)]
#[error("the model cannot generate: {0}")]
pub struct PolicyError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// A model that writes completions.
pub trait Policy: Send {
    /// Writes `samples` completions of at most `max_new` tokens for each prompt, by prompt, then sample.
    ///
    /// # Errors
    /// A prompt is too long, or the engine fails.
    fn write(
        &mut self,
        prompts: &[Vec<u32>],
        samples: usize,
        max_new: usize,
        choice: Choice,
    ) -> Result<Vec<Vec<Written>>, PolicyError>;

    /// Takes over trained parameters.
    ///
    /// # Errors
    /// A parameter is missing or has another shape.
    fn load(&mut self, params: &Weights) -> Result<(), PolicyError>;
}

/// Why a text cannot be read by a model.
#[derive(Debug, thiserror::Error)]
#[error("the text {text:?} cannot be encoded: {source}")]
pub struct VocabularyError {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// Translates between text and tokens.
pub trait Vocabulary: Send + Sync {
    /// Tokens of a text, without specials.
    ///
    /// # Errors
    /// The text has something that the vocabulary lacks.
    fn encode(&self, text: &str) -> Result<Vec<u32>, VocabularyError>;

    /// Text of tokens, up to the end mark.
    fn decode(&self, tokens: &[u32]) -> String;

    /// The token that ends a completion.
    fn end(&self) -> u32;
}

/// Reads and writes the 64 symbols of nano models; see [`crate::task::charset`].
#[derive(Clone, Copy, Debug, Default)]
pub struct CharacterVocabulary;

impl Vocabulary for CharacterVocabulary {
    fn encode(&self, text: &str) -> Result<Vec<u32>, VocabularyError> {
        crate::task::charset::encode(text)
            .map_err(|source| VocabularyError { text: text.into(), source: Box::new(source) })
    }

    fn decode(&self, tokens: &[u32]) -> String {
        crate::task::charset::decode(tokens)
    }

    fn end(&self) -> u32 {
        crate::task::charset::EOS
    }
}

/// Tokens of a completion that is given as text: with the end mark, unless it fills `max_new` tokens, in which case it
/// was cut off before the end.
///
/// # Errors
/// The text has something that the vocabulary lacks.
pub fn completion_tokens(vocabulary: &dyn Vocabulary, text: &str, max_new: usize) -> Result<Vec<u32>, VocabularyError> {
    let mut tokens = vocabulary.encode(text)?;
    if tokens.len() < max_new {
        tokens.push(vocabulary.end());
    }
    tokens.truncate(max_new);
    Ok(tokens)
}
