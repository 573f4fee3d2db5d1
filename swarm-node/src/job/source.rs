//! Models from wherever settings point.
//!
//! | path | model |
//! |---|---|
//! | empty | the shipped base |
//! | folder with `config.json` | Hugging Face's, with its tokenizer; or a run's |
//! | folder with `step-…` folders | the newest whole checkpoint of a run |
//! | folder with `model.safetensors`, or a file | the character model whose shapes it has |
//!
//! A checkpoint of a run is used only if every file is the one that was saved.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use reproducible_ops::weights::{CheckError, LoadError, Weights};
use swarm_learn::checkpoint::{self as run_checkpoint, CheckpointError as RunError};
use swarm_learn::run_folder;
use swarm_model::checkpoint::{self, CheckpointError};
use swarm_model::{Checkpoint, ModelConfig, ModelFiles, Tokenizer};
use swarm_task::charset;
use swarm_task::prompt::{Composer, Limits, NANO_LIMITS, Style, characters};

use super::progress::Progress;
use super::shipped::{self, ShippedError};

/// Sizes that read and write the 64 characters of [`charset`], tried in this order for weights
/// without a config.
const CHARACTER_PRESETS: [&str; 2] = ["nano", "micro"];
/// Longest prompt in characters for models with a tokenizer, and the longest listed answer: a GSM8K
/// question with four answers to it.
const PLAIN_LIMITS: Limits = Limits {
    total: 6000,
    answer: 800,
};

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
    /// What a folder of this model has beside the weights.
    pub files: Arc<ModelFiles>,
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
    #[error(
        "{path} has no config.json beside it and fits no character model ({presets}); nearest to \
         {nearest}: {source}",
        path = path.display(),
        presets = CHARACTER_PRESETS.join(", ")
    )]
    Unknown {
        /// The file or folder.
        path: PathBuf,
        /// The preset that was compared last.
        nearest: &'static str,
        /// What differs from it.
        source: Box<CheckError>,
    },
    /// Nothing there.
    #[error(
        "there is no model at {path}; give a safetensors file, a Hugging Face folder, or the \
         folder of a run",
        path = path.display()
    )]
    Nothing {
        /// The path.
        path: PathBuf,
    },
}

/// What a model is read for.
#[derive(Clone, Copy)]
enum Purpose {
    /// Weights that change: floats.
    Training,
    /// Weights as they are stored.
    Generation,
}

impl Purpose {
    fn weights(self, path: &Path) -> Result<Weights, LoadError> {
        match self {
            Self::Training => Weights::load(path),
            Self::Generation => Weights::load_halves(path),
        }
    }
}

impl Model {
    /// The model at `path`, the shipped one without a path. `watch` is told of damaged checkpoints
    /// that are passed over.
    ///
    /// # Errors
    /// See [`SourceError`].
    pub fn load(path: Option<&Path>, progress: &dyn Progress) -> Result<Self, SourceError> {
        Self::read(path, Purpose::Training, progress)
    }

    /// As [`Model::load`], for generation alone: weights that are stored at two bytes stay so.
    ///
    /// # Errors
    /// See [`SourceError`].
    pub fn load_to_generate(
        path: Option<&Path>,
        progress: &dyn Progress,
    ) -> Result<Self, SourceError> {
        Self::read(path, Purpose::Generation, progress)
    }

    fn read(
        path: Option<&Path>,
        purpose: Purpose,
        progress: &dyn Progress,
    ) -> Result<Self, SourceError> {
        let Some(path) = path else {
            return Self::of_characters(shipped::base()?, Path::new(shipped::BASE));
        };
        let path = Self::place(path, progress)?;
        match path.join("config.json").is_file() {
            true => Self::of_folder(&path, purpose),
            false => Self::of_characters(purpose.weights(&path)?, &path),
        }
    }

    /// Where the model at `path` lies: of a run, its newest whole checkpoint.
    ///
    /// # Errors
    /// There is no model.
    pub fn place(path: &Path, progress: &dyn Progress) -> Result<PathBuf, SourceError> {
        let files = ["config.json", "model.safetensors"];
        if path.is_file() || files.iter().any(|name| path.join(name).is_file()) {
            return Ok(path.into());
        }
        if !path.is_dir() {
            return Err(SourceError::Nothing { path: path.into() });
        }
        let (newest, damaged) = run_folder::newest(path)?;
        damaged
            .iter()
            .for_each(|damaged| progress.warn(&damaged.to_string()));
        newest.ok_or_else(|| SourceError::Nothing { path: path.into() })
    }

    fn of_folder(folder: &Path, purpose: Purpose) -> Result<Self, SourceError> {
        if run_checkpoint::is_checkpoint(folder) {
            run_checkpoint::verify(folder)?;
        }
        if checkpoint::is_of_characters(folder)? {
            return Self::of_characters(purpose.weights(folder)?, folder);
        }
        let Checkpoint {
            config,
            weights,
            tokenizer,
            files,
        } = match purpose {
            Purpose::Training => Checkpoint::load(folder)?,
            Purpose::Generation => Checkpoint::load_halves(folder)?,
        };
        Ok(Self {
            config,
            weights,
            tokenizer: Arc::new(tokenizer),
            style: Style::Plain,
            files: Arc::new(files),
        })
    }

    /// The character model whose shapes these weights have.
    fn of_characters(weights: Weights, path: &Path) -> Result<Self, SourceError> {
        weights
            .check_parameters()
            .map_err(|source| LoadError::File {
                path: path.into(),
                source: Box::new(source),
            })?;
        let mut refusal = None;
        for name in CHARACTER_PRESETS {
            let Ok(config) = ModelConfig::preset(name) else {
                continue;
            };
            match checkpoint::check(&config, &weights) {
                Ok(()) => return Ok(Self::characters(config, weights)),
                Err(source) => refusal = refusal.or(Some((name, Box::new(source)))),
            }
        }
        match refusal {
            Some((nearest, source)) => Err(SourceError::Unknown {
                path: path.into(),
                nearest,
                source,
            }),
            None => Err(SourceError::Nothing { path: path.into() }),
        }
    }

    /// A model over the 64 characters.
    pub fn characters(config: ModelConfig, weights: Weights) -> Self {
        let tokenizer = Arc::new(Tokenizer::characters(charset::CHARACTERS));
        let files = Arc::new(ModelFiles::of_characters(&config, charset::CHARACTERS));
        Self {
            config,
            weights,
            tokenizer,
            style: Style::Terse,
            files,
        }
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
    use swarm_model::init::initialise;

    use super::super::progress::Silent;
    use super::*;

    #[test]
    fn bare_weights_are_recognised_by_their_shapes() {
        let folder = tempfile::tempdir().unwrap();
        for name in CHARACTER_PRESETS {
            let config = ModelConfig::preset(name).unwrap();
            let path = folder.path().join("w.safetensors");
            initialise(&config, 1).unwrap().save(&path).unwrap();
            assert_eq!(Model::load(Some(&path), &Silent).unwrap().config, config);
        }
    }

    #[test]
    fn numbers_that_no_parameter_is_are_refused_in_a_folder_too() {
        let folder = tempfile::tempdir().unwrap();
        let config = ModelConfig::preset("nano").unwrap();
        let mut weights = initialise(&config, 1).unwrap();
        weights.get_mut("model.norm.weight").unwrap().words_mut()[3] = f32::NAN.to_bits();
        for (name, bytes) in ModelFiles::of_characters(&config, charset::CHARACTERS).iter() {
            std::fs::write(folder.path().join(name), bytes).unwrap();
        }
        weights
            .save(folder.path().join("model.safetensors"))
            .unwrap();
        let error = Model::load(Some(folder.path()), &Silent)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("model.norm.weight") && error.contains("NaN"),
            "{error}"
        );
    }

    #[test]
    fn other_shapes_and_missing_paths_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.safetensors");
        let mut weights = initialise(&ModelConfig::preset("nano").unwrap(), 1).unwrap();
        weights.remove("model.norm.weight");
        weights.save(&path).unwrap();
        let error = Model::load(Some(&path), &Silent).unwrap_err().to_string();
        assert!(
            error.contains("model.norm.weight") && error.contains("nano"),
            "{error}"
        );
        weights = initialise(&ModelConfig::preset("nano").unwrap(), 1).unwrap();
        for value in [f32::NAN, 1e30] {
            weights.get_mut("model.norm.weight").unwrap().words_mut()[3] = value.to_bits();
            weights.save(&path).unwrap();
            let error = Model::load(Some(&path), &Silent).unwrap_err().to_string();
            let named = [
                "w.safetensors",
                "model.norm.weight",
                "element 3",
                &value.to_string(),
            ];
            assert!(named.iter().all(|part| error.contains(part)), "{error}");
        }
        let error = Model::load(Some(Path::new("/no/where")), &Silent)
            .unwrap_err()
            .to_string();
        assert!(error.contains("/no/where"), "{error}");
    }
}
