//! Text to token ids and back: a character table for nano models, `tokenizer.json` for Hugging Face's.
//!
//! No special token is added on encoding: a prompt is exactly its text.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use crate::text_file;

/// Encodes and decodes text, and knows the ids that end a completion and fill rows.
#[derive(Clone, Debug)]
pub struct Tokenizer {
    table: Table,
    ends: Vec<u32>,
    pad: u32,
}

#[derive(Clone, Debug)]
enum Table {
    Characters(Vec<char>),
    HuggingFace(Arc<tokenizers::Tokenizer>),
}

/// Why a tokenizer cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TokenizerError {
    /// A file is missing or unreadable.
    #[error("cannot read {path}: {source}; a model folder has tokenizer.json beside config.json", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Not a tokenizer file.
    #[error("{path} is not a valid {what}: {reason}; fetch it again", path = path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What it should be.
        what: &'static str,
        /// What does not fit.
        reason: String,
    },
    /// No id that ends a completion.
    #[error("neither generation_config.json nor config.json in {path} has `eos_token_id`; add the id that ends a text", path = path.display())]
    NoEnd {
        /// The folder.
        path: PathBuf,
    },
}

/// Why a text cannot be encoded, or ids not be decoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// A character that the table lacks.
    #[error("character {character:?} at position {position} is not among the {known} characters of this model")]
    Character {
        /// The character.
        character: char,
        /// Its position, counted in characters from 0.
        position: usize,
        /// Characters there are.
        known: usize,
    },
    /// The library refused.
    #[error("the tokenizer failed: {0}")]
    Library(String),
}

/// Ids of a character table before its characters: padding and end.
/// Largest JSON file of a model that is read, in bytes; the largest published tokenizers have 40 MB.
pub(super) const MAX_JSON_BYTES: u64 = 256 << 20;
const SPECIALS: u32 = 2;
/// Stands for ids that a character table lacks.
const UNKNOWN: char = '_';

impl Tokenizer {
    /// One id per character: 0 pads, 1 ends, the n-th of `alphabet` is n + 2.
    pub fn characters(alphabet: &str) -> Self {
        Self { table: Table::Characters(alphabet.chars().collect()), ends: vec![1], pad: 0 }
    }

    /// Reads `tokenizer.json` and the special ids of `generation_config.json`, else of `config.json`.
    ///
    /// # Errors
    /// See [`TokenizerError`]; it names the file.
    pub fn from_folder(folder: &Path) -> Result<Self, TokenizerError> {
        let path = folder.join("tokenizer.json");
        let text = text_file::read(&path, MAX_JSON_BYTES)
            .map_err(|source| TokenizerError::Io { path: path.clone(), source })?;
        let parsed = tokenizers::Tokenizer::from_bytes(text);
        let format = |error: tokenizers::Error| format_error(path, "tokenizer", error);
        let table = Table::HuggingFace(Arc::new(parsed.map_err(format)?));
        let configs = [json(&folder.join("generation_config.json"))?, json(&folder.join("config.json"))?];
        let ids = |key| configs.iter().flatten().map(|config| ids_of(config, key)).find(|ids| !ids.is_empty());
        let ends = ids("eos_token_id").ok_or_else(|| TokenizerError::NoEnd { path: folder.into() })?;
        let pad = ids("pad_token_id").and_then(|ids| ids.first().copied()).unwrap_or(ends[0]);
        Ok(Self { table, ends, pad })
    }

    /// Ids of a text.
    ///
    /// # Errors
    /// A character that the table lacks.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, TextError> {
        match &self.table {
            Table::Characters(alphabet) => encode_characters(alphabet, text),
            Table::HuggingFace(library) => {
                let encoded = library.encode(text, false).map_err(|error| TextError::Library(error.to_string()))?;
                Ok(encoded.get_ids().to_vec())
            }
        }
    }

    /// Text of ids up to the first end; padding is skipped.
    ///
    /// # Errors
    /// The library fails.
    pub fn decode(&self, ids: &[u32]) -> Result<String, TextError> {
        let visible = ids.iter().copied().take_while(|&id| !self.is_end(id)).filter(|&id| id != self.pad);
        let visible: Vec<u32> = visible.collect();
        match &self.table {
            Table::Characters(alphabet) => Ok(visible.into_iter().map(|id| character(alphabet, id)).collect()),
            Table::HuggingFace(library) => {
                library.decode(&visible, false).map_err(|error| TextError::Library(error.to_string()))
            }
        }
    }

    /// Whether an id ends a completion.
    pub fn is_end(&self, id: u32) -> bool {
        self.ends.contains(&id)
    }

    /// Ids that end a completion; never empty.
    pub fn ends(&self) -> &[u32] {
        &self.ends
    }

    /// The id that a training target ends with.
    pub fn eos(&self) -> u32 {
        self.ends.first().copied().unwrap_or_default()
    }

    /// The id that fills rows.
    pub fn pad(&self) -> u32 {
        self.pad
    }

    /// Number of ids, specials included.
    pub fn vocab_size(&self) -> usize {
        match &self.table {
            Table::Characters(alphabet) => alphabet.len() + SPECIALS as usize,
            Table::HuggingFace(library) => library.get_vocab_size(true),
        }
    }
}

fn encode_characters(alphabet: &[char], text: &str) -> Result<Vec<u32>, TextError> {
    let id = |(position, character): (usize, char)| match alphabet.iter().position(|&known| known == character) {
        Some(number) => Ok(number as u32 + SPECIALS),
        None => Err(TextError::Character { character, position, known: alphabet.len() }),
    };
    text.chars().enumerate().map(id).collect()
}

fn character(alphabet: &[char], id: u32) -> char {
    let number = id.checked_sub(SPECIALS).map(|number| number as usize);
    number.and_then(|number| alphabet.get(number)).copied().unwrap_or(UNKNOWN)
}

fn format_error(path: PathBuf, what: &'static str, error: impl ToString) -> TokenizerError {
    TokenizerError::Format { path, what, reason: error.to_string() }
}

/// A JSON file, or `None` where there is none.
fn json(path: &Path) -> Result<Option<Value>, TokenizerError> {
    match text_file::read(path, MAX_JSON_BYTES) {
        Ok(text) => serde_json::from_str(&text).map(Some).map_err(|error| format_error(path.into(), "JSON", error)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(TokenizerError::Io { path: path.into(), source }),
    }
}

/// The ids under a key that holds one, a list, or nothing.
fn ids_of(config: &Value, key: &str) -> Vec<u32> {
    let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
    match config.get(key) {
        Some(Value::Array(list)) => list.iter().filter_map(id).collect(),
        Some(value) => id(value).into_iter().collect(),
        None => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_survive_and_unknown_ones_are_named() {
        let tokenizer = Tokenizer::characters("abc =");
        assert_eq!(tokenizer.encode("b =").unwrap(), [3, 5, 6]);
        assert_eq!(tokenizer.decode(&[3, 0, 5, 6, 1, 2]).unwrap(), "b =");
        assert_eq!(tokenizer.decode(&[99]).unwrap(), "_");
        assert_eq!((tokenizer.eos(), tokenizer.pad(), tokenizer.vocab_size()), (1, 0, 7));
        let error = tokenizer.encode("ab?").unwrap_err();
        assert_eq!(error, TextError::Character { character: '?', position: 2, known: 5 });
    }

    #[test]
    fn a_folder_without_an_end_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transformers/llama/tokenizer.json");
        std::fs::copy(source, folder.path().join("tokenizer.json")).unwrap();
        std::fs::write(folder.path().join("config.json"), r#"{"eos_token_id": null}"#).unwrap();
        assert!(matches!(Tokenizer::from_folder(folder.path()), Err(TokenizerError::NoEnd { .. })));
        std::fs::write(folder.path().join("generation_config.json"), r#"{"eos_token_id": [7, 5]}"#).unwrap();
        let tokenizer = Tokenizer::from_folder(folder.path()).unwrap();
        assert_eq!((tokenizer.ends(), tokenizer.pad()), ([7, 5].as_slice(), 7));
    }
}
