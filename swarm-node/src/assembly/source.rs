//! Models from wherever settings point.
//!
//! | path | model |
//! |---|---|
//! | empty | the shipped base |
//! | folder with `config.json` | Hugging Face's, with its tokenizer |
//! | folder with `step-…` folders | the newest whole checkpoint of a run |
//! | folder with `model.safetensors`, or a file | the character model whose shapes it has |

use std::path::{Path, PathBuf};
use std::sync::Arc;

use reproducible_ops::weights::{CheckError, LoadError, Weights};

use super::shipped::{self, ShippedError};
use crate::learn::checkpoint::{CheckpointError as RunError, Store};
use crate::model::checkpoint::{self, CheckpointError};
use crate::model::{Checkpoint, ModelConfig, Tokenizer};
use crate::task::charset;
use crate::task::prompt::{Composer, Limits, NANO_LIMITS, Style, characters};

/// Sizes that read and write the 64 characters of [`charset`], tried in this order for weights without a config.
const CHARACTER_PRESETS: [&str; 2] = ["nano", "micro"];
/// Longest prompt in characters for models with a tokenizer, and the longest listed answer: a GSM8K question with four
/// answers to it.
const PLAIN_LIMITS: Limits = Limits { total: 6000, answer: 800 };

/// A model with everything to read and write.
#[derive(Clone, Debug)]
pub struct Model {
    /// Shapes and constants.
    pub config: ModelConfig,
    /// Parameters.
    pub weights: Weights,
    /// Text and tokens.
    pub tokenizer: Arc<Tokenizer>,
    /// How prompts are worded for it.
    pub style: Style,
}

/// Why a model cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The shipped one.
    #[error(transparent)]
    Shipped(#[from] ShippedError),
    /// A Hugging Face folder.
    #[error(transparent)]
    HuggingFace(#[from] CheckpointError),
    /// A run's folder.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A safetensors file.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Weights without a config that no character model has.
    #[error("{path} has no config.json beside it and fits no character model ({presets}); nearest to {nearest}: {source}", path = path.display(), presets = CHARACTER_PRESETS.join(", "))]
    Unknown {
        /// The file or folder.
        path: PathBuf,
        /// The preset that was compared last.
        nearest: &'static str,
        /// What differs from it.
        source: Box<CheckError>,
    },
    /// Nothing there.
    #[error("there is no model at {path}; give a safetensors file, a Hugging Face folder, or the folder of a run", path = path.display())]
    Nothing {
        /// The path.
        path: PathBuf,
    },
}

impl Model {
    /// The model at `path`, the shipped one without a path.
    ///
    /// # Errors
    /// See [`SourceError`].
    pub fn load(path: Option<&Path>) -> Result<Self, SourceError> {
        let Some(path) = path else { return Self::of_characters(shipped::base()?, Path::new(shipped::BASE)) };
        if path.join("config.json").is_file() {
            let Checkpoint { config, weights, tokenizer } = Checkpoint::load(path)?;
            return Ok(Self { config, weights, tokenizer: Arc::new(tokenizer), style: Style::Plain });
        }
        if path.is_file() || path.join("model.safetensors").is_file() {
            let weights = Weights::load(path)?;
            weights
                .check_parameters()
                .map_err(|source| LoadError::File { path: path.into(), source: Box::new(source) })?;
            return Self::of_characters(weights, path);
        }
        Self::newest_of_run(path)
    }

    fn newest_of_run(path: &Path) -> Result<Self, SourceError> {
        let nothing = || SourceError::Nothing { path: path.into() };
        if !path.is_dir() {
            return Err(nothing());
        }
        let (newest, _) = Store::open(path, 2)?.latest()?;
        Self::of_characters(newest.ok_or_else(nothing)?.state.params, path)
    }

    /// The character model whose shapes these weights have.
    fn of_characters(weights: Weights, path: &Path) -> Result<Self, SourceError> {
        let mut refusal = None;
        for name in CHARACTER_PRESETS {
            let Ok(config) = ModelConfig::preset(name) else { continue };
            match checkpoint::check(&config, &weights) {
                Ok(()) => return Ok(Self::characters(config, weights)),
                Err(source) => refusal = refusal.or(Some((name, Box::new(source)))),
            }
        }
        match refusal {
            Some((nearest, source)) => Err(SourceError::Unknown { path: path.into(), nearest, source }),
            None => Err(SourceError::Nothing { path: path.into() }),
        }
    }

    /// A model over the 64 characters.
    pub fn characters(config: ModelConfig, weights: Weights) -> Self {
        let tokenizer = Arc::new(Tokenizer::characters(charset::CHARACTERS));
        Self { config, weights, tokenizer, style: Style::Terse }
    }

    /// Writes prompts in the model's style.
    pub fn composer(&self) -> Composer<'static> {
        let limits = match self.style {
            Style::Terse => NANO_LIMITS,
            Style::Plain => PLAIN_LIMITS,
        };
        Composer::new(self.style, limits, &characters)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::init::initialise;

    #[test]
    fn bare_weights_are_recognised_by_their_shapes() {
        let folder = tempfile::tempdir().unwrap();
        for name in CHARACTER_PRESETS {
            let config = ModelConfig::preset(name).unwrap();
            let path = folder.path().join("w.safetensors");
            initialise(&config, 1).unwrap().save(&path).unwrap();
            assert_eq!(Model::load(Some(&path)).unwrap().config, config);
        }
    }

    #[test]
    fn other_shapes_and_missing_paths_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.safetensors");
        let mut weights = initialise(&ModelConfig::preset("nano").unwrap(), 1).unwrap();
        weights.remove("model.norm.weight");
        weights.save(&path).unwrap();
        let error = Model::load(Some(&path)).unwrap_err().to_string();
        assert!(error.contains("model.norm.weight") && error.contains("nano"), "{error}");
        weights = initialise(&ModelConfig::preset("nano").unwrap(), 1).unwrap();
        for value in [f32::NAN, 1e30] {
            weights.get_mut("model.norm.weight").unwrap().words_mut()[3] = value.to_bits();
            weights.save(&path).unwrap();
            let error = Model::load(Some(&path)).unwrap_err().to_string();
            let named = ["w.safetensors", "model.norm.weight", "element 3", &value.to_string()];
            assert!(named.iter().all(|part| error.contains(part)), "{error}");
        }
        let error = Model::load(Some(Path::new("/no/where"))).unwrap_err().to_string();
        assert!(error.contains("/no/where"), "{error}");
    }
}
