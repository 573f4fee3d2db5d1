//! Owns the state of a training run and steps it, batch by batch.
//!
//! ```text
//! Batch ─▶ pack rows ─▶ microbatch 0 ─▶ … ─▶ microbatch n ─▶ update ─▶ parameters, moments, step + 1
//!                            └── gradients add up in this order ──┘
//! ```
//! Invariants: the order of addition is that of rows, which is a function of the batch alone; each step divides by the
//! number of trained tokens of the whole batch, so the size of a microbatch is not a hyper-parameter.
//! Two loaded programs serve every batch. Memory is that of one microbatch, however large the batch.

use std::collections::BTreeMap;
use std::sync::Arc;

use reproducible_ops::engine::{Engine, EngineError, Session};
use reproducible_ops::optim::{GRAD_NORM, LEARNING_RATE, initial_state};
use reproducible_ops::program::{Program, Role, Shape};
use reproducible_ops::scalar;
use reproducible_ops::tensor::{Tensor, TensorError};
use reproducible_ops::weights::Weights;

use super::assemble::{self, AssembleError, GRADIENT, Objective, OptimizerConfig};
use super::batch::{PackError, Packing, Sequence, pack};
use super::inputs::{Example, Inputs};

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
    #[error("step {step}: {what} is {value}; lower the learning rate or resume from an earlier checkpoint")]
    NotFinite {
        /// The step.
        step: u64,
        /// The quantity.
        what: &'static str,
        /// Its value.
        value: f32,
    },
}

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
    pub fn new(forward: &Program, objective: Objective, optimizer: &OptimizerConfig) -> Result<Self, AssembleError> {
        let (rows, length) = token_shape(forward)?;
        let accumulation = assemble::accumulation(forward, &objective)?;
        let update = assemble::update(forward, optimizer)?;
        Ok(Self { accumulation, update, rows, length, objective })
    }

    /// What is minimised.
    pub fn objective(&self) -> &Objective {
        &self.objective
    }
}

/// Rows and length of a forward program.
pub(super) fn token_shape(forward: &Program) -> Result<(usize, usize), AssembleError> {
    let tokens = forward.input_named("tokens").and_then(|id| forward.type_of(id));
    match tokens.map(|ty| ty.shape.dims()) {
        Some(&[rows, length]) => Ok((rows, length)),
        _ => Err(AssembleError::NoInput("tokens")),
    }
}

/// What a step did.
#[derive(Clone, Debug, PartialEq)]
pub struct StepReport {
    /// Number of the step, from 0.
    pub step: u64,
    /// Token-mean loss before the step.
    pub loss: f32,
    /// Norm of the whole gradient before clipping.
    pub grad_norm: f32,
    /// Learning rate used.
    pub learning_rate: f32,
    /// Trained tokens.
    pub tokens: usize,
    /// Microbatches run.
    pub microbatches: usize,
    /// Share of computed positions that held a token.
    pub utilisation: f32,
    /// Token means of the loss's further scalar outputs, by name.
    pub metrics: BTreeMap<String, f32>,
}

/// Parameters and everything else a run needs to continue exactly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrainState {
    /// Steps taken.
    pub step: u64,
    /// Parameters by name.
    pub params: Weights,
    /// Optimizer state by name.
    pub optimizer: Weights,
}

/// A training run.
pub struct Trainer {
    programs: Arc<Programs>,
    accumulation: Box<dyn Session>,
    update: Box<dyn Session>,
    params: Vec<String>,
    metrics: Vec<String>,
    step: u64,
}

impl Trainer {
    /// A run at step 0. `weights` holds the parameters and the constants of the forward program.
    ///
    /// # Errors
    /// A tensor is missing or has another shape; the engine refuses a program.
    pub fn new(engine: &dyn Engine, programs: Arc<Programs>, weights: &Weights) -> Result<Self, TrainError> {
        let state = TrainState::initial(&programs.update, weights)?;
        let mut accumulation = engine.load(&programs.accumulation)?;
        write_role(accumulation.as_mut(), Role::Constant, weights)?;
        let mut trainer = Self {
            update: engine.load(&programs.update)?,
            params: names(&programs.accumulation, Role::Param),
            metrics: scalar_outputs(&programs.accumulation),
            accumulation,
            programs,
            step: 0,
        };
        trainer.restore(&state)?;
        Ok(trainer)
    }

    /// Steps taken.
    pub fn step_count(&self) -> u64 {
        self.step
    }

    /// The programs that are run.
    pub fn programs(&self) -> &Arc<Programs> {
        &self.programs
    }

    /// Trains on a batch: one optimizer step.
    ///
    /// # Errors
    /// An empty batch, a completion too long for a row, or a loss or gradient that is not finite (the state is then
    /// unchanged).
    pub fn step(&mut self, batch: &[Example], learning_rate: f32) -> Result<StepReport, TrainError> {
        let sequences: Vec<Sequence<'_>> = batch.iter().map(Example::sequence).collect();
        let mut packing = pack(&sequences, self.programs.length)?;
        packing.pad_rows(self.programs.rows);
        let tokens = packing.token_count();
        if tokens == 0 {
            return Err(TrainError::EmptyBatch);
        }
        let inputs = Inputs::new(&packing, batch, &self.programs)?;
        self.clear_gradients()?;
        let metrics = self.accumulate(&inputs, packing.rows / self.programs.rows)?;
        let grad_norm = self.apply(learning_rate)?;
        Ok(self.report(metrics, grad_norm, learning_rate, &packing))
    }

    fn clear_gradients(&mut self) -> Result<(), TrainError> {
        for (name, ty) in assemble::parameters(&self.programs.accumulation) {
            self.accumulation.write(&format!("{GRADIENT}{name}"), &Tensor::zeros(ty))?;
        }
        Ok(())
    }

    /// Runs the microbatches; returns the sums of the scalar outputs.
    fn accumulate(&mut self, inputs: &Inputs, microbatches: usize) -> Result<BTreeMap<String, f32>, TrainError> {
        let mut sums: BTreeMap<String, f32> = BTreeMap::new();
        for microbatch in 0..microbatches {
            inputs.write(self.accumulation.as_mut(), microbatch)?;
            self.accumulation.run()?;
            for name in &self.metrics {
                let value = read_scalar(self.accumulation.as_ref(), name)?;
                let sum = sums.entry(name.clone()).or_insert(0.0);
                *sum = scalar::add(*sum, value);
            }
            self.accumulation.advance();
        }
        let loss = sums.get("loss").copied().unwrap_or(f32::NAN);
        self.require_finite("the loss", loss)?;
        Ok(sums)
    }

    /// Clips and steps; returns the norm of the gradient.
    fn apply(&mut self, learning_rate: f32) -> Result<f32, TrainError> {
        for name in &self.params {
            let gradient = format!("{GRADIENT}{name}");
            self.update.write_words(&gradient, self.accumulation.input_words(&gradient)?)?;
        }
        self.update.write_words(LEARNING_RATE, &[learning_rate.to_bits()])?;
        self.update.run()?;
        let grad_norm = read_scalar(self.update.as_ref(), GRAD_NORM)?;
        self.require_finite("the gradient's norm", grad_norm)?;
        self.update.advance();
        self.step += 1;
        self.publish()?;
        Ok(grad_norm)
    }

    /// Hands the updated parameters to the session that computes gradients.
    fn publish(&mut self) -> Result<(), TrainError> {
        for name in &self.params {
            self.accumulation.write_words(name, self.update.input_words(name)?)?;
        }
        Ok(())
    }

    fn require_finite(&self, what: &'static str, value: f32) -> Result<(), TrainError> {
        if value.is_finite() {
            return Ok(());
        }
        Err(TrainError::NotFinite { step: self.step, what, value })
    }

    fn report(&self, mut metrics: BTreeMap<String, f32>, grad_norm: f32, learning_rate: f32, packing: &Packing) -> StepReport {
        StepReport {
            step: self.step - 1,
            loss: metrics.remove("loss").unwrap_or(f32::NAN),
            grad_norm,
            learning_rate,
            tokens: packing.token_count(),
            microbatches: packing.rows / self.programs.rows,
            utilisation: packing.utilisation(),
            metrics,
        }
    }

    /// A copy of the parameters.
    ///
    /// # Errors
    /// Only where the engine lost an input.
    pub fn params(&self) -> Result<Weights, TrainError> {
        self.read_role(Role::Param)
    }

    /// A copy of the whole state.
    ///
    /// # Errors
    /// Only where the engine lost an input.
    pub fn state(&self) -> Result<TrainState, TrainError> {
        let (params, optimizer) = (self.read_role(Role::Param)?, self.read_role(Role::State)?);
        Ok(TrainState { step: self.step, params, optimizer })
    }

    fn read_role(&self, role: Role) -> Result<Weights, TrainError> {
        let inputs = self.programs.update.inputs_with_role(role);
        let read = |name: &str, ty: &reproducible_ops::program::TensorType| {
            let words = self.update.input_words(name)?.to_vec();
            Ok((name.to_owned(), Tensor::from_words(ty.clone(), words)?))
        };
        inputs.map(|(_, input)| read(&input.name, &input.ty)).collect()
    }

    /// Continues from a state.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn restore(&mut self, state: &TrainState) -> Result<(), TrainError> {
        write_role(self.update.as_mut(), Role::Param, &state.params)?;
        write_role(self.update.as_mut(), Role::State, &state.optimizer)?;
        self.step = state.step;
        self.publish()
    }
}

impl TrainState {
    /// The state before the first step: these weights, zero moments, unit powers.
    ///
    /// # Errors
    /// A parameter of the update program is missing.
    pub fn initial(update: &Program, weights: &Weights) -> Result<Self, TrainError> {
        let param = |name: String| {
            let tensor = weights.get(&name).cloned().ok_or_else(|| TrainError::Missing(name.clone()))?;
            Ok((name, tensor))
        };
        let params = names(update, Role::Param).into_iter().map(param).collect::<Result<_, TrainError>>()?;
        Ok(Self { step: 0, params, optimizer: initial_state(update).into_iter().collect() })
    }
}

fn names(program: &Program, role: Role) -> Vec<String> {
    program.inputs_with_role(role).map(|(_, input)| input.name.clone()).collect()
}

/// Scalar f32 outputs: loss and metrics.
fn scalar_outputs(program: &Program) -> Vec<String> {
    let is_scalar = |id| program.type_of(id).is_some_and(|ty| ty.shape == Shape::scalar());
    let outputs = program.outputs().iter().filter(|output| is_scalar(output.value));
    outputs.map(|output| output.name.clone()).filter(|name| !name.starts_with(GRADIENT)).collect()
}

fn read_scalar(session: &dyn Session, name: &str) -> Result<f32, EngineError> {
    let word = session.read_words(name)?.first().copied();
    Ok(word.map_or(f32::NAN, f32::from_bits))
}

/// Writes every input of a role from `tensors`.
pub(super) fn write_role(session: &mut dyn Session, role: Role, tensors: &Weights) -> Result<(), TrainError> {
    for name in names(session.program(), role) {
        let tensor = tensors.get(&name).ok_or_else(|| TrainError::Missing(name.clone()))?;
        session.write(&name, tensor)?;
    }
    Ok(())
}
