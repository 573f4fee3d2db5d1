//! The programs of a training run, and why it cannot be made or stepped.

use reproducible_ops::engine::EngineError;
use reproducible_ops::engine::cpu::CpuEngine;
use reproducible_ops::program::{Program, Role};
use reproducible_ops::tensor::TensorError;

use super::assemble::{self, AssembleError, Objective, OptimizerConfig};
use super::batch::PackError;

/// The programs of a training run; peers that train the same model share them.
#[derive(Clone, Debug)]
pub struct Programs {
    /// Adds gradients of one microbatch.
    pub accumulation: Program,
    /// The gradients of one microbatch apart: what is added.
    pub gradient: Program,
    /// Clips and steps.
    pub update: Program,
    /// Rows of a microbatch.
    pub rows: usize,
    /// Positions of a row.
    pub length: usize,
    /// Parts of the forward pass, all but the last of which are computed again in the backward
    /// pass.
    pub segments: usize,
    objective: Objective,
    /// Nodes of the loss.
    forward: usize,
}

/// Parts of a forward pass that are tried until a training run fits a memory.
const SEGMENTS: [usize; 9] = [1, 2, 3, 4, 6, 8, 12, 16, 24];

/// A training run does not fit a memory, however often values are computed again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "training with {rows} rows of {length} tokens at a time holds {} MB at least, more than the {} MB \
     that it may; take fewer or shorter rows",
    least.div_ceil(MEGABYTE), most / MEGABYTE
)]
pub struct OverMemory {
    /// The fewest bytes that were found.
    pub least: u64,
    /// The most that there may be.
    pub most: u64,
    /// Rows of a microbatch.
    pub rows: usize,
    /// Positions of a row.
    pub length: usize,
}

/// Bytes of a megabyte.
pub const MEGABYTE: u64 = 1_000_000;

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
        let nodes = objective.loss(forward)?.nodes().len();
        let accumulation = assemble::accumulation(forward, &objective)?;
        let gradient = assemble::gradient(forward, &objective)?;
        let update = assemble::update(forward, optimizer)?;
        Ok(Self {
            accumulation,
            gradient,
            update,
            rows,
            length,
            segments: 1,
            objective,
            forward: nodes,
        })
    }

    /// The same training, whose forward pass is cut into so many segments: the values inside of all
    /// but the last are computed again in the backward pass. The same bits in less memory and more
    /// time; see [`Program::recompute_forward`]. One segment changes nothing, and programs that
    /// compute values again already stay as they are.
    ///
    /// # Errors
    /// The program becomes too long.
    pub fn recomputing(&self, segments: usize) -> Result<Self, AssembleError> {
        if self.segments > 1 || segments <= 1 {
            return Ok(self.clone());
        }
        // What no output needs was left out, so there may be fewer nodes than the loss has.
        let cut = |program: &Program| {
            let forward = self.forward.min(program.nodes().len());
            program.recompute_forward(forward, segments)
        };
        Ok(Self {
            accumulation: cut(&self.accumulation)?,
            gradient: cut(&self.gradient)?,
            segments,
            ..self.clone()
        })
    }

    /// Bytes of the tensors that a training run holds on a CPU: those of `accumulation` and
    /// `update`, which share parameters and gradients.
    ///
    /// # Errors
    /// A program is not valid.
    pub fn planned_bytes(&self) -> Result<u64, EngineError> {
        self.bytes_with(&self.accumulation, 2)
    }

    /// The same for a run as a plan: `gradient` and `update` share parameters alone, as the sum is
    /// beside the gradients of a microbatch.
    ///
    /// # Errors
    /// A program is not valid.
    pub fn planned_bytes_of_plan(&self) -> Result<u64, EngineError> {
        self.bytes_with(&self.gradient, 1)
    }

    /// Bytes of a program and of `update`, which share so many tensors for each parameter.
    fn bytes_with(&self, program: &Program, shared: u64) -> Result<u64, EngineError> {
        let parameters = self.update.inputs_with_role(Role::Param);
        let elements: usize = parameters.map(|(_, input)| input.ty.shape.elements()).sum();
        let both = CpuEngine::planned_bytes(program)? + CpuEngine::planned_bytes(&self.update)?;
        Ok(both - shared * 4 * elements as u64)
    }

    /// The same training with each number of segments that is worth a try, ascending.
    pub fn choices(&self) -> impl Iterator<Item = Result<Self, AssembleError>> + '_ {
        SEGMENTS.iter().map(|&segments| self.recomputing(segments))
    }

    /// The same training in a memory of so many bytes, with as few values computed again as that
    /// takes.
    ///
    /// # Errors
    /// [`OverMemory`], or a program cannot be made.
    pub fn within(&self, most: u64) -> Result<Self, TrainError> {
        let mut least = u64::MAX;
        for choice in self.choices() {
            let programs = choice?;
            let bytes = programs.planned_bytes()?;
            if bytes <= most {
                return Ok(programs);
            }
            least = least.min(bytes);
        }
        let (rows, length) = (self.rows, self.length);
        Err(OverMemory {
            least,
            most,
            rows,
            length,
        }
        .into())
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
    /// There is too little memory.
    #[error(transparent)]
    Memory(#[from] OverMemory),
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
