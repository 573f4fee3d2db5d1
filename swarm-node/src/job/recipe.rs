//! The recipe of a base checkpoint: everything that determines its bytes.

use std::path::{Path, PathBuf};

use reproducible_ops::engine::Engine;
use reproducible_ops::tensor::TensorError;
use serde::{Deserialize, Serialize};
use swarm_files::text_file;
use swarm_learn::assemble::{Objective, OptimizerConfig};
use swarm_learn::pretrain::{PretrainConfig, PretrainError, Pretrainer, Saves};
use swarm_learn::run_folder::RunFolder;
use swarm_learn::setup;
use swarm_model::config::UnknownPreset;
use swarm_model::init::initialise;
use swarm_model::{ModelConfig, Tokenizer};

use super::factory::{self, FactoryError};
use super::source::Model;

/// Largest recipe that is read, in bytes.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// A supervised warm start from random weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// The size of the model, by preset name.
    pub model: String,
    /// Seed of the initial weights.
    pub seed: u64,
    /// How gradients move parameters.
    pub optimizer: OptimizerConfig,
    /// Examples and steps.
    pub training: PretrainConfig,
    /// Cut of a batch; changes memory and the order of sums.
    pub microbatch: Microbatch,
}

/// Rows that go through the model at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Microbatch {
    /// Number of rows.
    pub rows: usize,
    /// Tokens of a row.
    pub length: usize,
}

/// Why a recipe cannot be followed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecipeError {
    /// The file cannot be read.
    #[error(
        "cannot read the recipe {path}: {source}; give the path of a TOML file, for example \
         configs/nano/recipe.toml",
        path = path.display()
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file is no recipe.
    #[error(
        "{path}:{line}: {message}; compare with configs/nano/recipe.toml",
        path = path.display()
    )]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// A number that cannot be.
    #[error("recipe: `{key}` is {value}; it must be {allowed}")]
    Value {
        /// The key.
        key: &'static str,
        /// The value seen.
        value: String,
        /// What would be right.
        allowed: &'static str,
    },
    /// No such model.
    #[error("recipe: {0}")]
    Preset(#[from] UnknownPreset),
    /// The model cannot be trained.
    #[error(transparent)]
    ModelFactory(#[from] FactoryError),
    /// The initial weights cannot be made.
    #[error(transparent)]
    Initial(#[from] TensorError),
    /// The recipe cannot be written down.
    #[error("the recipe cannot be stored beside a checkpoint: {0}")]
    Identity(serde_json::Error),
    /// The run cannot begin or go on.
    #[error(transparent)]
    Pretrain(#[from] PretrainError),
}

impl Recipe {
    /// Reads a recipe.
    ///
    /// # Errors
    /// See [`RecipeError`]; a malformed file is reported with its line.
    pub fn load(path: &Path) -> Result<Self, RecipeError> {
        let text = text_file::read(path, MAX_FILE_BYTES).map_err(|source| RecipeError::Read {
            path: path.into(),
            source,
        })?;
        let recipe: Self = toml::from_str(&text).map_err(|error| malformed(path, &text, &error))?;
        recipe.check()?;
        Ok(recipe)
    }

    fn check(&self) -> Result<(), RecipeError> {
        let positive: [(&'static str, usize); 2] = [
            ("microbatch.rows", self.microbatch.rows),
            ("microbatch.length", self.microbatch.length),
        ];
        for (key, value) in positive {
            if !(1..=1 << 16).contains(&value) {
                return Err(RecipeError::Value {
                    key,
                    value: value.to_string(),
                    allowed: "from 1 to 65536",
                });
            }
        }
        let rate = self.training.learning_rate;
        if !(rate > 0.0 && rate <= 1.0) {
            let (key, allowed) = ("training.learning_rate", "above 0 and at most 1");
            return Err(RecipeError::Value {
                key,
                value: rate.to_string(),
                allowed,
            });
        }
        Ok(())
    }

    /// The model with its initial weights.
    ///
    /// # Errors
    /// There is no such preset.
    pub fn initial(&self) -> Result<Model, RecipeError> {
        let config = ModelConfig::preset(&self.model)?;
        let weights = initialise(&config, self.seed)?;
        Ok(Model::characters(config, weights))
    }

    /// The run, at step 0 or where the newest checkpoint of `folder` stands, with texts about
    /// damaged checkpoints. It may hold so many bytes, which change nothing that it computes.
    ///
    /// # Errors
    /// The model cannot be trained, or the folder belongs to another run.
    pub fn pretrainer<'a>(
        &self,
        engine: &dyn Engine,
        model: &Model,
        tokenizer: &'a Tokenizer,
        folder: Option<RunFolder>,
        memory: Option<u64>,
    ) -> Result<(Pretrainer<'a>, Vec<String>), RecipeError> {
        let sizes = (self.microbatch.rows, self.microbatch.length);
        let programs = factory::training_programs(
            &model.config,
            sizes,
            Objective::Supervised,
            &self.optimizer,
        )?;
        let programs = factory::in_memory(programs, memory)?;
        let trainer = setup::trainer(engine, &model.config, programs, &model.weights)
            .map_err(FactoryError::from)?;
        let saves = match folder {
            Some(folder) => Some(Saves {
                folder,
                identity: serde_json::to_value(self).map_err(RecipeError::Identity)?,
            }),
            None => None,
        };
        Ok(Pretrainer::new(
            self.training.clone(),
            tokenizer,
            trainer,
            saves,
        )?)
    }
}

fn malformed(path: &Path, text: &str, error: &toml::de::Error) -> RecipeError {
    let start = error.span().map_or(0, |span| span.start);
    let line = text
        .bytes()
        .take(start)
        .filter(|byte| *byte == b'\n')
        .count()
        + 1;
    RecipeError::Malformed {
        path: path.into(),
        line,
        message: error.message().replace('\n', ", "),
    }
}

#[cfg(test)]
mod tests {
    use swarm_task::corpus::CorpusRecipe;

    use super::*;

    fn recipe() -> Recipe {
        Recipe {
            model: "nano".into(),
            seed: 1,
            optimizer: OptimizerConfig::default(),
            training: PretrainConfig::nano(CorpusRecipe::nano(1, 0.55), 10),
            microbatch: Microbatch {
                rows: 8,
                length: 128,
            },
        }
    }

    fn load(text: &str) -> Result<Recipe, RecipeError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("recipe.toml");
        std::fs::write(&path, text).unwrap();
        Recipe::load(&path)
    }

    #[test]
    fn a_recipe_survives_its_file() {
        assert_eq!(
            load(&toml::to_string(&recipe()).unwrap()).unwrap(),
            recipe()
        );
    }

    #[test]
    fn mistakes_are_placed() {
        let text = toml::to_string(&recipe())
            .unwrap()
            .replace("warmup", "warmupp");
        let error = load(&text).unwrap_err().to_string();
        assert!(
            error.contains("recipe.toml:") && error.contains("warmupp"),
            "{error}"
        );
        let text = toml::to_string(&recipe())
            .unwrap()
            .replace("rows = 8", "rows = 0");
        assert!(
            load(&text)
                .unwrap_err()
                .to_string()
                .contains("`microbatch.rows` is 0"),
            "{text}"
        );
    }
}
