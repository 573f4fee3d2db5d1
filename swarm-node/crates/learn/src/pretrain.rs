//! The supervised warm start: cross-entropy on the corpus of [`swarm_task::corpus`].
//!
//! A run is a function of its configuration and the initial weights: the examples of step n are a
//! function of n, the learning rate is fixed arithmetic, so the same configuration gives the same
//! digest, also across a stop and resume.

use std::ops::ControlFlow;

use reproducible_ops::weights::Weights;
use serde::{Deserialize, Serialize};
use swarm_model::tokenizer::{TextError, Tokenizer};
use swarm_task::corpus::{BatchShape, Corpus, CorpusError, CorpusRecipe};

use super::checkpoint::{Checkpoint, CheckpointError};
use super::inputs::{Example, Sample};
use super::programs::{Programs, TrainError};
use super::run_folder::RunFolder;
use super::schedule::Schedule;
use super::trainer::{StepReport, Trainer};

/// A pretraining run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PretrainConfig {
    /// What is learned.
    pub corpus: CorpusRecipe,
    /// Examples per step.
    pub batch: BatchShape,
    /// Steps of the run.
    pub steps: u64,
    /// Highest learning rate.
    pub learning_rate: f32,
    /// Steps of warm-up.
    pub warmup: u64,
    /// Steps of linear decay to zero at the end.
    pub decay: u64,
    /// Steps between checkpoints.
    pub checkpoint_every: u64,
}

impl PretrainConfig {
    /// The recipe of the nano base model, for a run of `steps`.
    pub fn nano(corpus: CorpusRecipe, steps: u64) -> Self {
        Self {
            corpus,
            batch: BatchShape {
                answers: 128,
                critiques: 8,
                decisions: 8,
            },
            steps,
            learning_rate: 3e-3,
            warmup: 50,
            decay: steps / 4,
            checkpoint_every: 200,
        }
    }

    /// The learning rate over the run.
    pub fn schedule(&self) -> Schedule {
        Schedule {
            peak: self.learning_rate,
            warmup: self.warmup,
            decay: self.decay,
            total: self.steps,
            floor: 0.0,
        }
    }
}

/// Why pretraining stops.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PretrainError {
    /// The corpus cannot be made.
    #[error("corpus: {0}")]
    Corpus(#[from] CorpusError),
    /// An example cannot be read by the model.
    #[error("corpus: {0}")]
    Text(#[from] TextError),
    /// A step fails.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// A checkpoint cannot be written or read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

/// A pretraining run in progress.
pub struct Pretrainer<'a> {
    config: PretrainConfig,
    corpus: Corpus,
    tokenizer: &'a Tokenizer,
    trainer: Trainer,
    saves: Option<Saves>,
}

/// Where a run is saved.
#[derive(Debug)]
pub struct Saves {
    /// The folder.
    pub folder: RunFolder,
    /// Everything that determines the run, its initial weights and optimizer included; must be
    /// equal to resume.
    pub identity: serde_json::Value,
}

impl<'a> Pretrainer<'a> {
    /// What it carries out.
    pub fn programs(&self) -> &Programs {
        self.trainer.programs()
    }

    /// A run at step 0, or where the newest checkpoint in `saves` stands. Damaged checkpoints that
    /// were passed over are returned as texts for the user.
    ///
    /// `trainer` minimises [`super::assemble::Objective::Supervised`].
    ///
    /// # Errors
    /// The corpus cannot be made, all checkpoints are damaged, or the newest belongs to another
    /// run.
    pub fn new(
        config: PretrainConfig,
        tokenizer: &'a Tokenizer,
        mut trainer: Trainer,
        saves: Option<Saves>,
    ) -> Result<(Self, Vec<String>), PretrainError> {
        let corpus = Corpus::new(config.corpus.clone())?;
        let mut skipped = Vec::new();
        if let Some(Saves { folder, identity }) = &saves {
            let (newest, damaged) = folder.resume(identity)?;
            skipped.extend(damaged.iter().map(ToString::to_string));
            if let Some(checkpoint) = newest {
                trainer.restore(&checkpoint.state)?;
            }
        }
        Ok((
            Self {
                config,
                corpus,
                tokenizer,
                trainer,
                saves,
            },
            skipped,
        ))
    }

    /// Trains up to the last step; `progress` sees every step and may stop the run. Writes a
    /// checkpoint every so many steps, and at the end or stop.
    ///
    /// # Errors
    /// See [`PretrainError`]. The newest checkpoint can be resumed from.
    pub fn run(
        &mut self,
        mut progress: impl FnMut(&StepReport) -> ControlFlow<()>,
    ) -> Result<(), PretrainError> {
        while self.trainer.step_count() < self.config.steps {
            let report = self.step()?;
            let stop = progress(&report).is_break();
            let done = self.trainer.step_count();
            if stop
                || done == self.config.steps
                || done.is_multiple_of(self.config.checkpoint_every.max(1))
            {
                self.save()?;
            }
            if stop {
                break;
            }
        }
        Ok(())
    }

    /// One step.
    ///
    /// # Errors
    /// See [`PretrainError`].
    pub fn step(&mut self) -> Result<StepReport, PretrainError> {
        let step = self.trainer.step_count();
        let batch = self.batch(step)?;
        Ok(self
            .trainer
            .step(&batch, self.config.schedule().rate(step))?)
    }

    fn batch(&self, step: u64) -> Result<Vec<Example>, PretrainError> {
        let examples = self.corpus.batch(step, self.config.batch)?;
        examples
            .iter()
            .map(|example| self.encode(&example.prompt, &example.completion))
            .collect()
    }

    fn encode(&self, prompt: &str, completion: &str) -> Result<Example, PretrainError> {
        let mut tokens = self.tokenizer.encode(completion)?;
        tokens.push(self.tokenizer.eos());
        let sample = Sample {
            tokens,
            weight: 1.0,
            ..Sample::default()
        };
        Ok(Example {
            prompt: self.tokenizer.encode_prompt(prompt)?,
            samples: vec![sample],
        })
    }

    fn save(&self) -> Result<(), PretrainError> {
        if let Some(Saves { folder, identity }) = &self.saves {
            let (state, config) = (self.trainer.state()?, identity.clone());
            // Every step of a warm start is one of the optimizer, and nothing ever rolls it back.
            folder.save(&Checkpoint {
                steps: state.step,
                state,
                best: None,
                config,
                run: serde_json::Value::Null,
            })?;
        }
        Ok(())
    }

    /// The parameters.
    ///
    /// # Errors
    /// Only where the engine lost an input.
    pub fn params(&self) -> Result<Weights, PretrainError> {
        Ok(self.trainer.params()?)
    }

    /// Steps taken.
    pub fn step_count(&self) -> u64 {
        self.trainer.step_count()
    }
}
