//! Text to token ids and back: a character table for nano models, `tokenizer.json` for Hugging
//! Face's.
//!
//! A Hugging Face folder gives the ids and texts that transformers' `PreTrainedTokenizerFast` gives
//! for it:
//!
//! * [`Tokenizer::encode_prompt`]: `tokenizer(text)`, with the special tokens that the file's
//!   post-processor adds;
//! * [`Tokenizer::encode`]: `tokenizer(text, add_special_tokens=False)`, what continues a prompt;
//! * [`Tokenizer::decode`]: `tokenizer.decode(ids, skip_special_tokens=True)`, of the ids before
//!   the first end.
//!
//! Limits: a prompt is plain text. A chat template in the folder is not applied; a text that
//! somebody has put through it is encoded as transformers does. The post-processor adds its tokens
//! to such a text, too, as `tokenizer(text)` would.

mod folder;

use std::path::Path;
use std::sync::Arc;

pub(super) use folder::MAX_JSON_BYTES;
pub use folder::TokenizerError;

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
    HuggingFace(Arc<Library>),
}

/// A tokenizer of the `tokenizers` library, and what transformers does around it.
#[derive(Debug)]
struct Library {
    tokenizer: tokenizers::Tokenizer,
    /// Whether spaces before punctuation and English contractions are taken out of a decoded text.
    clean_up: bool,
    /// Ids that the model has embeddings for: those below.
    embeddings: usize,
}

/// Why a text cannot be encoded, or ids not be decoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// A character that the table lacks.
    #[error(
        "character {character:?} at position {position} is not among the {known} characters of \
         this model"
    )]
    Character {
        /// The character.
        character: char,
        /// Its position, counted in characters from 0.
        position: usize,
        /// Characters there are.
        known: usize,
    },
    /// A token that the tokenizer has and the model lacks.
    #[error(
        "the text has the token `{token}` with id {id}, but the model has embeddings for the \
         {embeddings} ids from 0 only: it was added to the tokenizer; resize the model's \
         embeddings, or leave it out of the text"
    )]
    NoEmbedding {
        /// The token's text.
        token: String,
        /// Its id.
        id: u32,
        /// Embeddings there are.
        embeddings: usize,
    },
    /// The library refused.
    #[error("the tokenizer failed: {0}")]
    Library(String),
}

/// The id that pads with a character table.
pub(super) const CHARACTER_PAD: u32 = 0;
/// The id that ends a completion with a character table.
pub(super) const CHARACTER_END: u32 = 1;
/// The id of a character table's first character.
pub(super) const FIRST_CHARACTER: u32 = 2;
/// Stands for ids that a character table lacks.
const UNKNOWN: char = '_';

impl Tokenizer {
    /// One id per character: 0 pads, 1 ends, the n-th of `alphabet` is n + 2.
    pub fn characters(alphabet: &str) -> Self {
        Self {
            table: Table::Characters(alphabet.chars().collect()),
            ends: vec![CHARACTER_END],
            pad: CHARACTER_PAD,
        }
    }

    /// Reads `tokenizer.json`, the special tokens of `tokenizer_config.json`, and the special ids
    /// of `generation_config.json`, else of `config.json`, for a model that has embeddings for the
    /// ids below `embeddings`.
    ///
    /// Truncation, padding and dropout that the file holds are switched off. Ends without an
    /// embedding are left out.
    ///
    /// # Errors
    /// See [`TokenizerError`]; it names the file.
    pub fn from_folder(folder: &Path, embeddings: usize) -> Result<Self, TokenizerError> {
        let (tokenizer, clean_up) = folder::library(folder)?;
        let (mut ends, pad) = folder::special_ids(folder)?;
        let first = ends[0];
        ends.retain(|&id| (id as usize) < embeddings);
        if ends.is_empty() {
            return Err(TokenizerError::EndWithoutEmbedding {
                path: folder.into(),
                id: first,
                embeddings,
            });
        }
        let pad = pad.unwrap_or(ends[0]);
        Ok(Self {
            table: Table::HuggingFace(Arc::new(Library {
                tokenizer,
                clean_up,
                embeddings,
            })),
            ends,
            pad,
        })
    }

    /// Ids of a text that a model is to continue, with the special tokens that belong to the start
    /// of one.
    ///
    /// # Errors
    /// A character that the table lacks, or a token without an embedding.
    pub fn encode_prompt(&self, text: &str) -> Result<Vec<u32>, TextError> {
        self.encode_with(text, true)
    }

    /// Ids of a text that continues another: exactly its text.
    ///
    /// # Errors
    /// A character that the table lacks, or a token without an embedding.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, TextError> {
        self.encode_with(text, false)
    }

    fn encode_with(&self, text: &str, special_tokens: bool) -> Result<Vec<u32>, TextError> {
        match &self.table {
            Table::Characters(alphabet) => encode_characters(alphabet, text),
            Table::HuggingFace(library) => library.encode(text, special_tokens),
        }
    }

    /// Text of ids up to the first end. Special tokens have no text, nor has a character table's
    /// padding; a pad id that is an ordinary token of a Hugging Face model is text like any other.
    ///
    /// # Errors
    /// The library fails.
    pub fn decode(&self, ids: &[u32]) -> Result<String, TextError> {
        let visible = ids.iter().copied().take_while(|&id| !self.is_end(id));
        match &self.table {
            Table::Characters(alphabet) => Ok(visible
                .filter(|&id| id != self.pad)
                .map(|id| character(alphabet, id))
                .collect()),
            Table::HuggingFace(library) => library.decode(&visible.collect::<Vec<_>>()),
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
        self.ends[0]
    }

    /// The id that fills rows.
    pub fn pad(&self) -> u32 {
        self.pad
    }

    /// Number of ids, specials included.
    pub fn vocab_size(&self) -> usize {
        match &self.table {
            Table::Characters(alphabet) => alphabet.len() + FIRST_CHARACTER as usize,
            Table::HuggingFace(library) => library.tokenizer.get_vocab_size(true),
        }
    }
}

impl Library {
    fn encode(&self, text: &str, special_tokens: bool) -> Result<Vec<u32>, TextError> {
        let encoded = self
            .tokenizer
            .encode(text, special_tokens)
            .map_err(|error| TextError::Library(error.to_string()))?;
        match encoded
            .get_ids()
            .iter()
            .find(|&&id| id as usize >= self.embeddings)
        {
            None => Ok(encoded.get_ids().to_vec()),
            Some(&id) => {
                let token = self.tokenizer.id_to_token(id).unwrap_or_default();
                Err(TextError::NoEmbedding {
                    token,
                    id,
                    embeddings: self.embeddings,
                })
            }
        }
    }

    fn decode(&self, ids: &[u32]) -> Result<String, TextError> {
        let text = self
            .tokenizer
            .decode(ids, true)
            .map_err(|error| TextError::Library(error.to_string()))?;
        Ok(if self.clean_up { clean_up(&text) } else { text })
    }
}

/// Takes the spaces out that a tokenizer of words leaves around punctuation and in contractions,
/// one kind after the other, in transformers' order.
fn clean_up(text: &str) -> String {
    let spaced = [
        " .", " ?", " !", " ,", " ' ", " n't", " 'm", " 's", " 've", " 're",
    ];
    spaced.into_iter().fold(text.to_owned(), |text, spaced| {
        text.replace(spaced, spaced.trim())
    })
}

fn encode_characters(alphabet: &[char], text: &str) -> Result<Vec<u32>, TextError> {
    let mut ids = Vec::with_capacity(text.len());
    for (position, character) in text.chars().enumerate() {
        match alphabet.iter().position(|&known| known == character) {
            Some(number) => ids.push(number as u32 + FIRST_CHARACTER),
            None => {
                return Err(TextError::Character {
                    character,
                    position,
                    known: alphabet.len(),
                });
            }
        }
    }
    Ok(ids)
}

fn character(alphabet: &[char], id: u32) -> char {
    let number = id
        .checked_sub(FIRST_CHARACTER)
        .map(|number| number as usize);
    number
        .and_then(|number| alphabet.get(number))
        .copied()
        .unwrap_or(UNKNOWN)
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
        assert_eq!(
            (tokenizer.eos(), tokenizer.pad(), tokenizer.vocab_size()),
            (1, 0, 7)
        );
        let error = tokenizer.encode("ab?").unwrap_err();
        assert_eq!(
            error,
            TextError::Character {
                character: '?',
                position: 2,
                known: 5
            }
        );
    }

    #[test]
    fn a_folder_without_an_end_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let source =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transformers/llama/tokenizer.json");
        std::fs::copy(source, folder.path().join("tokenizer.json")).unwrap();
        std::fs::write(
            folder.path().join("config.json"),
            r#"{"eos_token_id": null}"#,
        )
        .unwrap();
        assert!(matches!(
            Tokenizer::from_folder(folder.path(), 300),
            Err(TokenizerError::NoEnd { .. })
        ));
        std::fs::write(
            folder.path().join("generation_config.json"),
            r#"{"eos_token_id": [300, 7, 5]}"#,
        )
        .unwrap();
        let tokenizer = Tokenizer::from_folder(folder.path(), 300).unwrap();
        assert_eq!((tokenizer.ends(), tokenizer.pad()), ([7, 5].as_slice(), 7));
        let error = Tokenizer::from_folder(folder.path(), 5)
            .unwrap_err()
            .to_string();
        assert!(error.contains("300") && error.contains("5 ids"), "{error}");
    }

    #[derive(serde::Deserialize)]
    struct Expected {
        texts: Vec<Encoded>,
        decoded: Vec<Decoded>,
    }

    #[derive(serde::Deserialize)]
    struct Encoded {
        text: String,
        prompt: Vec<u32>,
        plain: Vec<u32>,
    }

    #[derive(serde::Deserialize)]
    struct Decoded {
        ids: Vec<u32>,
        text: String,
    }

    fn folder(name: &str) -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/transformers/tokenizers")
            .join(name)
    }

    #[test]
    fn ids_and_texts_are_those_of_transformers() {
        let mut count = 0;
        for entry in std::fs::read_dir(folder("")).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            let json = std::fs::read_to_string(path.join("expected.json")).unwrap();
            let expected: Expected = serde_json::from_str(&json).unwrap();
            let tokenizer = Tokenizer::from_folder(&path, 400).unwrap();
            for Encoded {
                text,
                prompt,
                plain,
            } in expected.texts
            {
                assert_eq!(
                    tokenizer.encode_prompt(&text).unwrap(),
                    prompt,
                    "{name}: prompt {text:?}"
                );
                assert_eq!(
                    tokenizer.encode(&text).unwrap(),
                    plain,
                    "{name}: continuation {text:?}"
                );
            }
            for Decoded { ids, text } in expected.decoded {
                assert_eq!(tokenizer.decode(&ids).unwrap(), text, "{name}: {ids:?}");
            }
            count += 1;
        }
        assert_eq!(count, 14);
    }

    #[test]
    fn what_follows_the_end_is_not_read() {
        let tokenizer = Tokenizer::from_folder(&folder("llama3"), 300).unwrap();
        let [before, after] = ["19", "20"].map(|text| tokenizer.encode(text).unwrap());
        let ids = [before, vec![2, 1], after].concat();
        assert_eq!(
            tokenizer.decode(&ids).unwrap(),
            "19",
            "padding is special, and 1 ends"
        );
    }

    #[test]
    fn a_token_without_an_embedding_is_named() {
        let tokenizer = Tokenizer::from_folder(&folder("added"), 300).unwrap();
        let error = tokenizer.encode("use the <tool>").unwrap_err();
        assert_eq!(
            error,
            TextError::NoEmbedding {
                token: "<tool>".into(),
                id: 300,
                embeddings: 300
            }
        );
        assert!(
            error.to_string().contains("resize the model's embeddings"),
            "{error}"
        );
        assert!(tokenizer.encode("use the tool").is_ok());
    }

    #[test]
    fn dropout_is_switched_off() {
        let copy = tempfile::tempdir().unwrap();
        let text = std::fs::read_to_string(folder("byte_level").join("tokenizer.json")).unwrap();
        let dropping = text.replace(r#""dropout":null"#, r#""dropout":0.5"#);
        assert_ne!(text, dropping);
        std::fs::write(copy.path().join("tokenizer.json"), dropping).unwrap();
        std::fs::copy(
            folder("byte_level").join("config.json"),
            copy.path().join("config.json"),
        )
        .unwrap();
        let ids = |path: &Path| {
            Tokenizer::from_folder(path, 300)
                .unwrap()
                .encode("The sum of 12 and 7 is 19")
                .unwrap()
        };
        for _ in 0..20 {
            assert_eq!(ids(copy.path()), ids(&folder("byte_level")));
        }
    }
}
