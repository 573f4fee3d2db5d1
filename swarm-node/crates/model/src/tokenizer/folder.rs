//! The files of a Hugging Face folder that say how text is encoded.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};
use swarm_files::text_file;
use tokenizers::{AddedToken, ModelWrapper, Tokenizer};

/// Largest JSON file of a model that is read, in bytes; the largest published tokenizers have 40
/// MB.
pub(in super::super) const MAX_JSON_BYTES: u64 = 256 << 20;

/// Why a tokenizer cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TokenizerError {
    /// A file is missing or unreadable.
    #[error(
        "cannot read {path}: {source}; a model folder has tokenizer.json beside config.json",
        path = path.display()
    )]
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
    #[error(
        "neither generation_config.json nor config.json in {path} has `eos_token_id`; add the id \
         that ends a text",
        path = path.display()
    )]
    NoEnd {
        /// The folder.
        path: PathBuf,
    },
    /// An end that the model can never give.
    #[error(
        "`eos_token_id` in {path} is {id}, but the model has embeddings for the {embeddings} ids \
         from 0 only; correct it, or resize the model's embeddings",
        path = path.display()
    )]
    EndWithoutEmbedding {
        /// The folder.
        path: PathBuf,
        /// The first end.
        id: u32,
        /// Embeddings there are.
        embeddings: usize,
    },
}

/// The tokenizer of `tokenizer.json` with the special tokens that `tokenizer_config.json` names,
/// and whether a decoded text is cleaned up.
pub(super) fn library(folder: &Path) -> Result<(Tokenizer, bool), TokenizerError> {
    let path = folder.join("tokenizer.json");
    let text = text_file::read(&path, MAX_JSON_BYTES).map_err(|source| TokenizerError::Io {
        path: path.clone(),
        source,
    })?;
    let mut tokenizer = Tokenizer::from_bytes(text)
        .map_err(|error| format_error(path.clone(), "tokenizer", error))?;
    // Settings of whoever saved the file, for batches of theirs: transformers sets them anew for
    // every call.
    tokenizer
        .with_truncation(None)
        .map_err(|error| format_error(path, "tokenizer", error))?;
    tokenizer.with_padding(None);
    if let ModelWrapper::BPE(model) = tokenizer.get_model()
        && model.dropout.is_some()
    {
        // Dropout would make ids random.
        let mut model = model.clone();
        model.dropout = None;
        tokenizer.with_model(ModelWrapper::BPE(model));
    }
    let path = folder.join("tokenizer_config.json");
    let config: Config = read(&path)?.unwrap_or_default();
    let more = match config.added_tokens_decoder {
        Some(_) => Map::new(),
        // Where older writers name the special tokens.
        None => read(&folder.join("special_tokens_map.json"))?.unwrap_or_default(),
    };
    let clean_up = config.cleans_up(tokenizer.get_model());
    let named = config
        .new_tokens(more, &tokenizer)
        .map_err(|error| format_error(path.clone(), "tokenizer", error))?;
    tokenizer
        .add_tokens(named)
        .map_err(|error| format_error(path, "tokenizer", error))?;
    Ok((tokenizer, clean_up))
}

/// The keys of `tokenizer_config.json` that change ids or text.
#[derive(Default, Deserialize)]
struct Config {
    clean_up_tokenization_spaces: Option<bool>,
    /// Has a longer name in the file.
    #[serde(rename = "clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output")]
    clean_up_pairs: Option<bool>,
    added_tokens_decoder: Option<BTreeMap<u32, Token>>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// The special tokens of every tokenizer, in the order in which transformers adds them.
const NAMED: [&str; 7] = [
    "bos_token",
    "eos_token",
    "unk_token",
    "sep_token",
    "pad_token",
    "cls_token",
    "mask_token",
];

impl Config {
    fn cleans_up(&self, model: &ModelWrapper) -> bool {
        let pairs = matches!(model, ModelWrapper::BPE(_));
        let allowed = !pairs || self.clean_up_pairs == Some(true);
        allowed && self.clean_up_tokenization_spaces == Some(true)
    }

    /// The tokens that the files name and the tokenizer lacks. Keys of `more` replace those of the
    /// config.
    fn new_tokens(
        self,
        more: Map<String, Value>,
        tokenizer: &Tokenizer,
    ) -> Result<Vec<AddedToken>, serde_json::Error> {
        let mut keys = self.rest;
        keys.extend(more);
        let named = NAMED.iter().filter_map(|&key| keys.get(key));
        let own = keys
            .iter()
            .filter(|(key, _)| key.ends_with("_token") && !NAMED.contains(&key.as_str()))
            .map(|(_, value)| value)
            .filter(|value| value.is_string());
        let extra = ["extra_special_tokens", "additional_special_tokens"]
            .into_iter()
            .filter_map(|key| keys.get(key));
        let extra = extra.flat_map(|list| match list {
            Value::Array(list) => list.iter().collect(),
            Value::Object(names) => names.values().collect(),
            other => vec![other],
        });
        let special = named
            .chain(own)
            .chain(extra)
            .filter(|value| !value.is_null());
        let special: Vec<AddedToken> = special
            .map(|value| {
                Ok(AddedToken {
                    special: true,
                    ..Token::deserialize(value)?.added(true)
                })
            })
            .collect::<Result<_, serde_json::Error>>()?;
        let known = tokenizer.get_added_tokens_decoder();
        let known: Vec<&AddedToken> = known.values().collect();
        let mut new: Vec<AddedToken> = Vec::new();
        for token in self.added_tokens_decoder.unwrap_or_default().into_values() {
            let token = token.added(false);
            // One of other settings is added again, with these.
            if !known.contains(&&token) {
                let named = special
                    .iter()
                    .any(|special| special.content == token.content);
                new.push(AddedToken {
                    special: token.special || named,
                    ..token
                });
            }
        }
        let mut contents: HashSet<String> = known
            .iter()
            .copied()
            .chain(&new)
            .map(|token| token.content.clone())
            .collect();
        new.extend(
            special
                .into_iter()
                .filter(|token| contents.insert(token.content.clone())),
        );
        Ok(new)
    }
}

/// A token as the files write it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Token {
    Text(String),
    Settings {
        content: String,
        #[serde(default)]
        single_word: bool,
        #[serde(default)]
        lstrip: bool,
        #[serde(default)]
        rstrip: bool,
        normalized: Option<bool>,
        special: Option<bool>,
    },
}

impl Token {
    fn added(self, special_by_default: bool) -> AddedToken {
        match self {
            Self::Text(content) => AddedToken::from(content, special_by_default),
            Self::Settings {
                content,
                single_word,
                lstrip,
                rstrip,
                normalized,
                special,
            } => {
                let special = special.unwrap_or(special_by_default);
                let normalized = normalized.unwrap_or(!special);
                AddedToken {
                    content,
                    single_word,
                    lstrip,
                    rstrip,
                    normalized,
                    special,
                }
            }
        }
    }
}

/// The ids that end a completion, at least one, and the id that fills rows.
pub(super) fn special_ids(folder: &Path) -> Result<(Vec<u32>, Option<u32>), TokenizerError> {
    let configs: [Option<Value>; 2] = [
        read(&folder.join("generation_config.json"))?,
        read(&folder.join("config.json"))?,
    ];
    let ids = |key| {
        configs
            .iter()
            .flatten()
            .map(|config| ids_of(config, key))
            .find(|ids| !ids.is_empty())
    };
    let ends = ids("eos_token_id").ok_or_else(|| TokenizerError::NoEnd {
        path: folder.into(),
    })?;
    Ok((
        ends,
        ids("pad_token_id").and_then(|ids| ids.first().copied()),
    ))
}

fn format_error(path: PathBuf, what: &'static str, error: impl ToString) -> TokenizerError {
    TokenizerError::Format {
        path,
        what,
        reason: error.to_string(),
    }
}

/// A JSON file, or `None` where there is none.
fn read<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<Option<T>, TokenizerError> {
    match text_file::read(path, MAX_JSON_BYTES) {
        Ok(text) => serde_json::from_str(&text)
            .map(Some)
            .map_err(|error| format_error(path.into(), "JSON", error)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(TokenizerError::Io {
            path: path.into(),
            source,
        }),
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
