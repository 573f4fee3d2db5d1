//! Makes the generators, trainers and learning peers of one model.
//!
//! Programs are recorded and differentiated once; every trainer and peer loads them into its own
//! engine.

use std::sync::Arc;

use reproducible_ops::engine::Engine;
use reproducible_ops::weights::Weights;
use swarm_identity::PeerId;
use swarm_learn::LearnConfig;
use swarm_learn::assemble::{Objective, OptimizerConfig};
use swarm_learn::grpo::GrpoConfig;
use swarm_learn::judge::TaskJudge;
use swarm_learn::peer::{Peer, PeerConfig, PeerError, PeerParts};
use swarm_learn::programs::{MEGABYTE, Programs, TrainError};
use swarm_learn::setup::{self, SetupError};
use swarm_learn::trainer::Trainer;
use swarm_model::{Generator, ModelConfig};
use swarm_task::prompt::Composer;

use super::source::Model;

/// Why something cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FactoryError {
    /// The model cannot be recorded, trained or generated from.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// A peer cannot be made.
    #[error(transparent)]
    Peer(#[from] PeerError),
    /// A row longer than the model's positions.
    #[error(
        "rows of {length} tokens do not fit the model's {positions} positions; lower \
         learn.row_length"
    )]
    Row {
        /// Length of a row.
        length: usize,
        /// Positions of the model.
        positions: usize,
    },
}

/// Makes what a command needs of one model.
pub struct ModelFactory {
    model: Model,
    programs: Arc<Programs>,
    composer: Arc<Composer<'static>>,
    learn: LearnConfig,
}

impl ModelFactory {
    /// A factory for reinforcement learning, each run of which may hold so many bytes.
    ///
    /// # Errors
    /// The model cannot be recorded or differentiated, or not trained in that memory.
    pub fn new(
        model: Model,
        learn: LearnConfig,
        memory: Option<u64>,
    ) -> Result<Self, FactoryError> {
        let objective = Objective::OnPolicy(GrpoConfig::default());
        let sizes = (learn.rows, learn.row_length);
        let programs = training_programs(&model.config, sizes, objective, &learn.optimizer())?;
        let programs = in_memory(programs, memory)?;
        let composer = Arc::new(model.composer());
        Ok(Self {
            model,
            programs,
            composer,
            learn,
        })
    }

    /// What its training runs carry out.
    pub fn programs(&self) -> &Programs {
        &self.programs
    }

    /// The model as it was given.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// How peers learn.
    pub fn learn(&self) -> &LearnConfig {
        &self.learn
    }

    /// Writes prompts.
    pub fn composer(&self) -> &Composer<'static> {
        &self.composer
    }

    /// A generator with these weights.
    ///
    /// # Errors
    /// The weights are of another model.
    pub fn generator(
        &self,
        engine: Arc<dyn Engine>,
        weights: Weights,
    ) -> Result<Generator, FactoryError> {
        Ok(setup::generator(
            engine,
            &self.model.config,
            &self.model.tokenizer,
            weights,
        )?)
    }

    /// A training run from these weights.
    ///
    /// # Errors
    /// The weights are of another model.
    pub fn trainer(&self, engine: &dyn Engine, weights: &Weights) -> Result<Trainer, FactoryError> {
        Ok(setup::trainer(
            engine,
            &self.model.config,
            self.programs.clone(),
            weights,
        )?)
    }

    /// A learning peer that starts from these weights.
    ///
    /// # Errors
    /// The weights are of another model.
    pub fn peer(
        &self,
        engine: Arc<dyn Engine>,
        id: PeerId,
        judge: Arc<TaskJudge>,
        config: PeerConfig,
        weights: &Weights,
    ) -> Result<Peer, FactoryError> {
        let trainer = self.trainer(engine.as_ref(), weights)?;
        let policy = Box::new(self.generator(engine, weights.clone())?);
        let (tokenizer, composer) = (self.model.tokenizer.clone(), self.composer.clone());
        Ok(Peer::new(PeerParts {
            id,
            policy,
            trainer,
            tokenizer,
            judge,
            composer,
            config,
        })?)
    }
}

/// What training holds, for whoever starts it.
///
/// # Errors
/// A program is not valid.
pub fn memory_note(programs: &Programs) -> Result<String, FactoryError> {
    let bytes = programs.planned_bytes().map_err(TrainError::from);
    let megabytes = bytes.map_err(SetupError::from)?.div_ceil(MEGABYTE);
    let again = match programs.segments {
        0 | 1 => String::new(),
        segments => format!(
            "; to fit engine.memory the forward pass is cut into {segments} segments, whose values are \
             computed again"
        ),
    };
    Ok(format!("training holds {megabytes} MB{again}"))
}

/// The same training in so many bytes, if they are limited.
pub(super) fn in_memory(
    programs: Arc<Programs>,
    memory: Option<u64>,
) -> Result<Arc<Programs>, FactoryError> {
    let Some(most) = memory else {
        return Ok(programs);
    };
    let programs = programs.within(most).map_err(SetupError::from)?;
    Ok(Arc::new(programs))
}

/// The programs of training, for rows of this number and length that the model has positions for.
pub(super) fn training_programs(
    model: &ModelConfig,
    (rows, length): (usize, usize),
    objective: Objective,
    optimizer: &OptimizerConfig,
) -> Result<Arc<Programs>, FactoryError> {
    if length > model.max_positions {
        return Err(FactoryError::Row {
            length,
            positions: model.max_positions,
        });
    }
    Ok(setup::training_programs(
        model, rows, length, objective, optimizer,
    )?)
}
