//! Models from Hugging Face folders: `config.json`, `model.safetensors` (or shards) and
//! `tokenizer.json`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use reproducible_ops::program::TensorType;
use reproducible_ops::weights::{CheckError, LoadError, Weights};
use swarm_files::text_file;

use super::config::hugging_face::{self, ParseError};
use super::files::{self, ModelFiles};
use super::tokenizer::{self, Tokenizer, TokenizerError};
use super::{ModelConfig, rope};

/// A model as read from a folder.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// Shapes and constants.
    pub config: ModelConfig,
    /// Every tensor of [`ModelConfig::parameters`] and nothing else.
    pub weights: Weights,
    /// Text to ids and back.
    pub tokenizer: Tokenizer,
    /// What a folder of this model has beside the weights.
    pub files: ModelFiles,
}

/// Why a folder holds no model that can be used. Nothing is kept of one that fails.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// A file is missing or unreadable.
    #[error(
        "cannot read {path}: {source}; a model folder has config.json, model.safetensors and \
         tokenizer.json",
        path = path.display()
    )]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The config does not describe a supported model.
    #[error("{path}: {source}", path = path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: ParseError,
    },
    /// The weights cannot be read.
    #[error(transparent)]
    Weights(#[from] LoadError),
    /// The weights are of another model than the config.
    #[error("the weights in {path} do not fit its config.json: {source}", path = path.display())]
    Mismatch {
        /// The folder.
        path: PathBuf,
        /// The tensor, both shapes and a remedy.
        source: CheckError,
    },
    /// The tokenizer cannot be read.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
}

impl Checkpoint {
    /// Reads a folder as `save_pretrained` writes it. Half floats are widened.
    ///
    /// # Errors
    /// See [`CheckpointError`]; it names the file and, for weights, the tensor.
    pub fn load(folder: impl AsRef<Path>) -> Result<Self, CheckpointError> {
        let folder = folder.as_ref();
        Self::read(folder, || Weights::load(folder))
    }

    /// As [`Checkpoint::load`], with half floats kept at two bytes, for generation: it takes less
    /// than half of the memory and gives the same bits.
    ///
    /// # Errors
    /// See [`CheckpointError`].
    pub fn load_halves(folder: impl AsRef<Path>) -> Result<Self, CheckpointError> {
        let folder = folder.as_ref();
        Self::read(folder, || Weights::load_halves(folder))
    }

    fn read(
        folder: &Path,
        weights: impl FnOnce() -> Result<Weights, LoadError>,
    ) -> Result<Self, CheckpointError> {
        let path = folder.join(files::CONFIG);
        let text = read_config(&path)?;
        let refused = |source| CheckpointError::Config {
            path: path.clone(),
            source,
        };
        let config = hugging_face::parse(&text).map_err(refused)?;
        let written = serde_json::from_str(&text).map_err(|error| refused(error.into()))?;
        let mut weights = weights()?;
        drop_derived(&config, &mut weights);
        weights
            .check_parameters()
            .map_err(|source| LoadError::File {
                path: folder.into(),
                source: Box::new(source),
            })?;
        check(&config, &weights).map_err(|source| CheckpointError::Mismatch {
            path: folder.into(),
            source,
        })?;
        let tokenizer = Tokenizer::from_folder(folder, config.vocab_size)?;
        let files = ModelFiles::read(folder, &written).map_err(|source| CheckpointError::Io {
            path: folder.into(),
            source,
        })?;
        Ok(Self {
            config,
            weights,
            tokenizer,
            files,
        })
    }
}

/// Whether a folder with a `config.json` holds a model over a character table, as this program
/// writes it.
///
/// # Errors
/// The config cannot be read.
pub fn is_of_characters(folder: &Path) -> Result<bool, CheckpointError> {
    let path = folder.join(files::CONFIG);
    let text = read_config(&path)?;
    let value = serde_json::from_str(&text).map_err(|error| CheckpointError::Config {
        path,
        source: error.into(),
    })?;
    Ok(files::is_of_characters(&value))
}

fn read_config(path: &Path) -> Result<String, CheckpointError> {
    text_file::read(path, tokenizer::MAX_JSON_BYTES).map_err(|source| CheckpointError::Io {
        path: path.into(),
        source,
    })
}

/// Removes tensors that some writers add although others decide them: rotary frequencies, and the
/// head of a tied model.
fn drop_derived(config: &ModelConfig, weights: &mut Weights) {
    let names: Vec<String> = weights.names().map(str::to_owned).collect();
    for name in names {
        let tied = config.tied_embeddings && name == "lm_head.weight";
        if tied || name.ends_with(rope::DERIVED_TENSOR) {
            weights.remove(&name);
        }
    }
}

/// Checks that weights are those of a config: every tensor with its shape, and no other.
///
/// # Errors
/// The first tensor in the model's order that is missing or of another shape; else the first that
/// is too many.
pub fn check(config: &ModelConfig, weights: &Weights) -> Result<(), CheckError> {
    check_types(
        config,
        weights.iter().map(|(name, tensor)| (name, tensor.ty())),
    )
}

/// As [`check`], of names and types alone.
///
/// # Errors
/// See [`check`].
pub fn check_types<'a>(
    config: &ModelConfig,
    types: impl IntoIterator<Item = (&'a str, &'a TensorType)>,
) -> Result<(), CheckError> {
    let types: BTreeMap<&str, &TensorType> = types.into_iter().collect();
    let parameters = config.parameters();
    for (name, shape) in &parameters {
        let (name, expected) = (name.clone(), TensorType::f32(shape.as_slice()));
        match types.get(&name[..]) {
            None => return Err(CheckError::Missing { name, expected }),
            Some(&found) if *found != expected => {
                return Err(CheckError::Type {
                    name,
                    expected,
                    found: found.clone(),
                });
            }
            Some(_) => {}
        }
    }
    let known: std::collections::HashSet<&str> =
        parameters.iter().map(|(name, _)| name.as_str()).collect();
    match types.into_iter().find(|(name, _)| !known.contains(name)) {
        Some((name, found)) => Err(CheckError::Unexpected {
            name: name.into(),
            found: found.clone(),
        }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use reproducible_ops::tensor::Tensor;

    use super::*;

    fn fixture(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/transformers")
            .join(name)
    }

    /// A copy of a fixture in which one file has other bytes, or is missing.
    fn broken(file: &str, bytes: Option<&[u8]>) -> String {
        let folder = tempfile::tempdir().unwrap();
        for entry in std::fs::read_dir(fixture("qwen2")).unwrap() {
            let path = entry.unwrap().path();
            std::fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
        }
        match bytes {
            Some(bytes) => std::fs::write(folder.path().join(file), bytes).unwrap(),
            None => std::fs::remove_file(folder.path().join(file)).unwrap(),
        }
        Checkpoint::load(folder.path()).unwrap_err().to_string()
    }

    #[test]
    fn missing_files_are_named() {
        for file in ["config.json", "model.safetensors", "tokenizer.json"] {
            let error = broken(file, None);
            assert!(error.contains(file), "{error}");
        }
    }

    #[test]
    fn corrupted_files_are_named() {
        let whole = std::fs::read(fixture("qwen2").join("model.safetensors")).unwrap();
        assert!(
            broken("model.safetensors", Some(&whole[..whole.len() / 2]))
                .contains("model.safetensors")
        );
        assert!(broken("config.json", Some(b"{\"model_type\": \"mamba\"}")).contains("mamba"));
        assert!(broken("tokenizer.json", Some(b"[]")).contains("tokenizer.json"));
    }

    #[test]
    fn wrong_shapes_name_the_tensor_and_both_shapes() {
        let mut weights = Checkpoint::load(fixture("qwen2")).unwrap().weights;
        weights.insert(
            "model.layers.1.mlp.up_proj.weight",
            Tensor::f32([32, 47], vec![0.0; 32 * 47]).unwrap(),
        );
        let error = broken("model.safetensors", Some(&weights.to_bytes()));
        let named = ["model.layers.1.mlp.up_proj.weight", "[48, 32]", "[32, 47]"];
        assert!(named.iter().all(|part| error.contains(part)), "{error}");
        weights.remove("model.layers.1.mlp.up_proj.weight");
        assert!(broken("model.safetensors", Some(&weights.to_bytes())).contains("up_proj"));
    }

    #[test]
    fn absurd_numbers_name_the_tensor_and_the_element() {
        for value in [f32::NAN, f32::NEG_INFINITY, -2e6] {
            let mut weights = Checkpoint::load(fixture("qwen2")).unwrap().weights;
            weights
                .get_mut("model.layers.0.self_attn.k_proj.bias")
                .unwrap()
                .words_mut()[5] = value.to_bits();
            let error = broken("model.safetensors", Some(&weights.to_bytes()));
            let named = [
                "model.layers.0.self_attn.k_proj.bias",
                "element 5",
                &value.to_string(),
            ];
            assert!(named.iter().all(|part| error.contains(part)), "{error}");
        }
    }

    #[test]
    fn extra_tensors_are_refused_but_derived_ones_are_not() {
        let Checkpoint {
            config,
            mut weights,
            ..
        } = Checkpoint::load(fixture("llama")).unwrap();
        let head = weights.get("model.embed_tokens.weight").unwrap().clone();
        weights.insert("lm_head.weight", head.clone());
        weights.insert("model.layers.0.self_attn.rotary_emb.inv_freq", head.clone());
        drop_derived(&config, &mut weights);
        check(&config, &weights).unwrap();
        weights.insert("model.layers.2.mlp.up_proj.weight", head);
        assert!(
            check(&config, &weights)
                .unwrap_err()
                .to_string()
                .contains("layers.2")
        );
    }
}
