//! The two programs of a training run, and why it cannot be made or stepped.

use reproducible_ops::engine::EngineError;
use reproducible_ops::program::Program;
use reproducible_ops::tensor::TensorError;

use super::assemble::{self, AssembleError, Objective, OptimizerConfig};
use super::batch::PackError;

/// The programs of a training run; peers that train the same model share them.
#[derive(Clone, Debug)]
pub struct Programs {
    /// Adds gradients of one microbatch.
    pub accumulation: Program,
    /// Clips and steps.
    pub update: Program,
    /// Rows of a microbatch.
    pub rows: usize,
    /// Positions of a row.
    pub length: usize,
    objective: Objective,
}

impl Programs {
    /// Assembles the programs of `objective` from a forward program of `[rows, length]` tokens.
    ///
    /// # Errors
    /// The forward program has no `tokens` input of two axes, or cannot be trained.
    pub fn new(
        forward: &Program,
        objective: Objective,
        optimizer: &OptimizerConfig,
    ) -> Result<Self, AssembleError> {
        let (rows, length) = token_shape(forward)?;
        let accumulation = assemble::accumulation(forward, &objective)?;
        let update = assemble::update(forward, optimizer)?;
        Ok(Self {
            accumulation,
            update,
            rows,
            length,
            objective,
        })
    }

    /// What is minimised.
    pub fn objective(&self) -> &Objective {
        &self.objective
    }
}

/// Rows and length of a forward program.
pub(super) fn token_shape(forward: &Program) -> Result<(usize, usize), AssembleError> {
    let tokens = forward
        .input_named("tokens")
        .and_then(|id| forward.type_of(id));
    match tokens.map(|ty| ty.shape.dims()) {
        Some(&[rows, length]) => Ok((rows, length)),
        _ => Err(AssembleError::NoInput("tokens")),
    }
}

/// Why a trainer cannot be made or stepped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// A program cannot be assembled.
    #[error(transparent)]
    Assemble(#[from] AssembleError),
    /// An engine refused a program or an input.
    #[error("engine: {0}")]
    Engine(#[from] EngineError),
    /// The batch does not fit the rows.
    #[error("batch: {0}")]
    Pack(#[from] PackError),
    /// A tensor could not be read.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// Nothing to train on.
    #[error("the batch has no completion tokens; give at least one")]
    EmptyBatch,
    /// Rows of a data set that are no microbatches of the programs.
    #[error(
        "{} rows of {} tokens are no microbatches of {} rows of {} tokens, or are not among the {available} \
         rows of the data",
        found[0], found[1], expected[0], expected[1]
    )]
    Rows {
        /// Rows given, and their length.
        found: [usize; 2],
        /// Rows and length of a microbatch.
        expected: [usize; 2],
        /// Rows of the data set.
        available: usize,
    },
    /// A per-token list has another length than its completion.
    #[error("`{channel}` of a completion has {found} numbers for {expected} tokens")]
    Channel {
        /// Which list.
        channel: &'static str,
        /// Tokens of the completion.
        expected: usize,
        /// Numbers given.
        found: usize,
    },
    /// A tensor of the state is missing.
    #[error("the state has no tensor `{0}`; it belongs to another model or optimizer")]
    Missing(String),
    /// Training diverged.
    #[error(
        "step {step}: {what} is {value}; lower the learning rate or resume from an earlier \
         checkpoint"
    )]
    NotFinite {
        /// The step.
        step: u64,
        /// The quantity.
        what: &'static str,
        /// Its value.
        value: f32,
    },
}
