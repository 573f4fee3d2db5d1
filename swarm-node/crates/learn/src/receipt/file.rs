//! A receipt as a file: JSON of one form, as evidence is.
//!
//! ```text
//! {"format":1,"digest":SHA-256 of format and text of `receipt`,"receipt":{…}}
//! ```
//! A file is read only if it is, byte for byte, what would be written: so a changed byte is found
//! as such, before anything is computed. Whoever makes a file anew can write another digest;
//! whether the receipt is right shows when it is verified.

use serde::{Deserialize, Serialize};
use swarm_identity::digest::{Digest32, Hasher};

use super::{Content, Passage, Receipt, Sampling};
use crate::hex_text::Hash;

/// The version of the form, and of what it means.
const FORMAT: u32 = 1;
/// Largest file that is read, in bytes.
pub const MAX_BYTES: u64 = 1 << 24;
/// Most tokens of a prompt and of the answer that may follow it, together.
pub const MAX_TOKENS: usize = 1 << 13;
/// Most questions of an evaluation.
pub const MAX_QUESTIONS: usize = 1 << 12;
/// Most tokens that end an answer.
const MAX_ENDS: usize = 1 << 6;

/// Why a text is no receipt.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiptFileError {
    /// The text.
    #[error("receipt: {0}")]
    Json(#[from] serde_json::Error),
    /// Another version.
    #[error("receipt of format {0}; this program reads format {FORMAT}")]
    Format(u32),
    /// The text was changed.
    #[error("receipt: its text has another digest than it says; it was changed or cut off")]
    Digest,
    /// The text is not in the form in which it is written.
    #[error("receipt: not in the form in which it is written; spaces, order or numbers differ")]
    Form,
    /// Too much for a file.
    #[error("receipt of {0} bytes; a file has at most {MAX_BYTES}")]
    TooLarge(usize),
    /// A number that no receipt has.
    #[error("receipt: {what} is {found}; {rule}")]
    Value {
        /// Of what.
        what: &'static str,
        /// The number.
        found: String,
        /// What it must be.
        rule: String,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: u32,
    digest: Hash,
    receipt: Receipt,
}

impl File {
    fn to_text(&self) -> Result<String, ReceiptFileError> {
        let mut text = serde_json::to_string(self)?;
        text.push('\n');
        match text.len() as u64 <= MAX_BYTES {
            true => Ok(text),
            false => Err(ReceiptFileError::TooLarge(text.len())),
        }
    }
}

impl Receipt {
    /// What names the receipt: it binds everything in it.
    ///
    /// # Errors
    /// Never for a receipt that was made or read.
    pub fn digest(&self) -> Result<Digest32, ReceiptFileError> {
        let text = serde_json::to_string(self)?;
        let digest = Hasher::new("receipt").u64(FORMAT.into());
        Ok(digest.bytes(text.as_bytes()).finish())
    }

    /// The text of the file.
    ///
    /// # Errors
    /// It would not be read.
    pub fn to_text(&self) -> Result<String, ReceiptFileError> {
        self.check_limits()?;
        let file = File {
            format: FORMAT,
            digest: Hash(self.digest()?),
            receipt: self.clone(),
        };
        file.to_text()
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// [`ReceiptFileError`].
    pub fn from_text(text: &str) -> Result<Self, ReceiptFileError> {
        let file: File = serde_json::from_str(text)?;
        if file.format != FORMAT {
            return Err(ReceiptFileError::Format(file.format));
        }
        if file.digest.0 != file.receipt.digest()? {
            return Err(ReceiptFileError::Digest);
        }
        if file.to_text()? != text {
            return Err(ReceiptFileError::Form);
        }
        file.receipt.check_limits()?;
        Ok(file.receipt)
    }

    /// Checks every number that a model is not needed for.
    ///
    /// # Errors
    /// [`ReceiptFileError::Value`] with the first that no receipt has.
    pub(super) fn check_limits(&self) -> Result<(), ReceiptFileError> {
        self.sampling.check_limits()?;
        let max_new = self.sampling.max_new;
        match &self.content {
            Content::Answer { prompt, answer } => {
                prompt.check_length(&self.sampling)?;
                let tokens = answer.tokens.len();
                require("the answer's number of tokens", tokens, 0, max_new)
            }
            Content::Evaluation {
                quiz,
                right,
                answers,
            } => {
                let questions = quiz.questions;
                require("the number of questions", questions, 1, MAX_QUESTIONS)?;
                require("the number of answers", answers.len(), questions, questions)?;
                require("the number of right answers", *right, 0, questions)?;
                let longest = answers.iter().map(Vec::len).max().unwrap_or(0);
                require("an answer's number of tokens", longest, 0, max_new)
            }
        }
    }
}

impl Passage {
    /// Checks the length of a prompt.
    ///
    /// # Errors
    /// [`ReceiptFileError::Value`].
    pub(super) fn check_length(&self, sampling: &Sampling) -> Result<(), ReceiptFileError> {
        let most = MAX_TOKENS.saturating_sub(sampling.max_new);
        require("the prompt's number of tokens", self.tokens.len(), 1, most)
    }
}

impl Sampling {
    /// Checks every number that a model is not needed for.
    ///
    /// # Errors
    /// [`ReceiptFileError::Value`] with the first that no receipt has.
    pub(super) fn check_limits(&self) -> Result<(), ReceiptFileError> {
        let temperature = self.temperature;
        if !(temperature >= 0.0 && temperature.is_finite()) {
            return Err(ReceiptFileError::Value {
                what: "temperature",
                found: temperature.to_string(),
                rule: "it must be 0 (the most probable token) or above and finite".into(),
            });
        }
        require("max_new", self.max_new, 1, MAX_TOKENS - 1)?;
        require("the number of ends", self.ends.len(), 1, MAX_ENDS)
    }
}

fn require(
    what: &'static str,
    found: usize,
    least: usize,
    most: usize,
) -> Result<(), ReceiptFileError> {
    match (least..=most).contains(&found) {
        true => Ok(()),
        false => Err(ReceiptFileError::Value {
            what,
            found: found.to_string(),
            rule: format!("it must be from {least} to {most}"),
        }),
    }
}
