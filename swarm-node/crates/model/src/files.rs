//! What makes a folder with weights a Hugging Face model: `config.json`, the tokenizer's files,
//! generation settings.
//!
//! A trained model keeps the files of the model it started from, so that `transformers` loads a
//! checkpoint as it is. One change is made: the config names the type of the saved weights, which
//! is always float32; with another name the library would round them on loading. A model over a
//! character table gets files of its own, and a mark in its config by which this program recognises
//! it.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde_json::{Value, json};
use swarm_files::text_file;

use super::ModelConfig;
use super::config::hugging_face;
use super::tokenizer::{CHARACTER_END, CHARACTER_PAD, FIRST_CHARACTER, MAX_JSON_BYTES};

/// The model's shapes.
pub const CONFIG: &str = "config.json";

/// Files beside [`CONFIG`] that a Hugging Face folder may have and that do not depend on the
/// weights.
const OPTIONAL: [&str; 11] = [
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "generation_config.json",
    "merges.txt",
    "special_tokens_map.json",
    "spiece.model",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "vocab.json",
];

/// Key of the mark in `config.json`.
const MARK: &str = "swarm_node";
/// Its value for a model over a character table.
const CHARACTERS: &str = "characters";

/// Texts of the padding and the end of a character model, which are ids but no characters.
const PAD_TEXT: &str = "<pad>";
const END_TEXT: &str = "<end>";

/// Files by name; all lie directly in the model's folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelFiles {
    files: BTreeMap<String, Vec<u8>>,
}

impl FromIterator<(String, Vec<u8>)> for ModelFiles {
    fn from_iter<T: IntoIterator<Item = (String, Vec<u8>)>>(files: T) -> Self {
        Self {
            files: files.into_iter().collect(),
        }
    }
}

impl ModelFiles {
    /// Names and contents, in order of name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.files
            .iter()
            .map(|(name, bytes)| (name.as_str(), bytes.as_slice()))
    }

    /// The files of a Hugging Face folder whose `config.json` says this.
    ///
    /// # Errors
    /// A file that is there cannot be read.
    pub(super) fn read(folder: &Path, config: &Value) -> io::Result<Self> {
        let mut files = BTreeMap::from([(CONFIG.to_owned(), pretty(&of_float32(config.clone())))]);
        for name in OPTIONAL {
            match text_file::read_bytes(&folder.join(name), MAX_JSON_BYTES) {
                Ok(bytes) => {
                    // A byte order mark is no part of a text, and not every reader knows that.
                    let plain = if name.ends_with(".model") {
                        &bytes
                    } else {
                        text_file::without_mark(&bytes)?
                    };
                    files.insert(name.to_owned(), plain.to_vec());
                }
                Err(absent) if absent.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Self { files })
    }

    /// The files of a model over a character table: the n-th character of `alphabet` is id n + 2,
    /// after padding and end.
    pub fn of_characters(config: &ModelConfig, alphabet: &str) -> Self {
        let mut shapes = of_float32(hugging_face::to_json(config).into());
        shapes[MARK] = json!(CHARACTERS);
        shapes["pad_token_id"] = json!(CHARACTER_PAD);
        shapes["eos_token_id"] = json!(CHARACTER_END);
        shapes["bos_token_id"] = Value::Null;
        let generation = json!({
            "pad_token_id": CHARACTER_PAD,
            "eos_token_id": CHARACTER_END,
            "bos_token_id": null,
            "do_sample": false,
        });
        let settings = json!({
            "tokenizer_class": "PreTrainedTokenizerFast",
            "pad_token": PAD_TEXT,
            "eos_token": END_TEXT,
            "clean_up_tokenization_spaces": false,
            "model_max_length": config.max_positions,
        });
        let all = [
            (CONFIG, shapes),
            ("generation_config.json", generation),
            ("tokenizer.json", character_tokenizer(alphabet)),
            ("tokenizer_config.json", settings),
        ];
        all.into_iter()
            .map(|(name, value)| (name.to_owned(), pretty(&value)))
            .collect()
    }
}

/// Whether a `config.json` is that of a model over a character table.
pub fn is_of_characters(config: &Value) -> bool {
    config.get(MARK).and_then(Value::as_str) == Some(CHARACTERS)
}

/// The config of the same model with weights in float32. transformers 5 reads `dtype`, 4 read
/// `torch_dtype`.
fn of_float32(mut config: Value) -> Value {
    if config.get("torch_dtype").is_some() {
        config["torch_dtype"] = json!("float32");
    }
    config["dtype"] = json!("float32");
    config
}

/// A `tokenizer.json` with one token per character.
fn character_tokenizer(alphabet: &str) -> Value {
    let mut vocabulary = serde_json::Map::new();
    vocabulary.insert(PAD_TEXT.into(), CHARACTER_PAD.into());
    vocabulary.insert(END_TEXT.into(), CHARACTER_END.into());
    for (id, character) in (FIRST_CHARACTER..).zip(alphabet.chars()) {
        vocabulary.insert(character.into(), id.into());
    }
    json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": [
            special_token(CHARACTER_PAD, PAD_TEXT),
            special_token(CHARACTER_END, END_TEXT),
        ],
        "normalizer": null,
        "pre_tokenizer": {
            "type": "Split",
            "pattern": { "Regex": r"[\s\S]" },
            "behavior": "Isolated",
            "invert": false,
        },
        "post_processor": null,
        "decoder": { "type": "Fuse" },
        "model": { "type": "WordLevel", "vocab": vocabulary, "unk_token": PAD_TEXT },
    })
}

fn special_token(id: u32, text: &str) -> Value {
    json!({
        "id": id,
        "content": text,
        "single_word": false,
        "lstrip": false,
        "rstrip": false,
        "normalized": false,
        "special": true,
    })
}

fn pretty(value: &Value) -> Vec<u8> {
    // The alternate form of a JSON value is the indented one.
    format!("{value:#}\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use swarm_task::charset;

    use super::super::Tokenizer;
    use super::*;

    #[test]
    fn a_character_model_reads_and_writes_the_same_through_its_files() {
        let shapes = ModelConfig::preset("nano").unwrap();
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in ModelFiles::of_characters(&shapes, charset::CHARACTERS).iter() {
            fs::write(folder.path().join(name), bytes).unwrap();
        }
        let text = fs::read_to_string(folder.path().join(CONFIG)).unwrap();
        assert!(is_of_characters(&serde_json::from_str(&text).unwrap()));
        assert_eq!(hugging_face::parse(&text).unwrap(), shapes);
        let (ours, theirs) = (
            Tokenizer::characters(charset::CHARACTERS),
            Tokenizer::from_folder(folder.path(), shapes.vocab_size).unwrap(),
        );
        assert_eq!((ours.ends(), ours.pad()), (theirs.ends(), theirs.pad()));
        assert_eq!(ours.vocab_size(), theirs.vocab_size());
        for text in ["3 1 2=", charset::CHARACTERS, "", "  a  "] {
            let ids = ours.encode(text).unwrap();
            assert_eq!(theirs.encode(text).unwrap(), ids, "{text:?}");
            assert_eq!(theirs.decode(&ids).unwrap(), text);
        }
    }

    #[test]
    fn a_hugging_face_folder_keeps_its_files_and_names_the_type_of_what_is_saved() {
        let folder = tempfile::tempdir().unwrap();
        let config = json!({
            "model_type": "llama", "torch_dtype": "bfloat16", "dtype": "bfloat16", "hidden_size": 8,
        });
        fs::write(folder.path().join("tokenizer.json"), b"\xef\xbb\xbf{ }").unwrap();
        fs::write(
            folder.path().join("model.safetensors.index.json"),
            b"not for a single file",
        )
        .unwrap();
        let files = ModelFiles::read(folder.path(), &config).unwrap();
        let names: Vec<&str> = files.iter().map(|(name, _)| name).collect();
        assert_eq!(names, [CONFIG, "tokenizer.json"]);
        let saved: Value = serde_json::from_slice(&files.files[CONFIG]).unwrap();
        let expected = json!({
            "model_type": "llama", "torch_dtype": "float32", "dtype": "float32", "hidden_size": 8,
        });
        assert_eq!(saved, expected);
        assert_eq!(files.files["tokenizer.json"], b"{ }");
    }
}
