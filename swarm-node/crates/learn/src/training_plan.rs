//! Supervised training as a plan: a step in which nothing is arithmetic of its host.
//!
//! ```text
//! draw      key, draw ─▶ numbers of rows ─▶ rows of the data, tokens so far    one per microbatch
//! gradient  the rows, all tokens ─▶ gradients of the microbatch                one per microbatch
//! sum       sums, gradients ─▶ sums                                            one per microbatch
//! clock     step ─▶ the learning rate of the table, step + 1
//! update    sums ─▶ clipping and AdamW ─▶ parameters, moments, powers
//!
//! constants: data.*, data.key, rates, zeros, the model's tables     state: parameters, moments, powers, draw, step
//! ```
//! A gradient is a run of its own, which depends on no other microbatch: whoever checks one needs
//! the parameters and nothing of the other sequences. `gradient` and `update` are the programs of
//! [`Programs`], and sums are made in the order of the microbatches from zeros, so a
//! [`super::trainer::Trainer`] that is given the same rows computes the same bits. Row `lane` of
//! microbatch `draw`, both counted from 0, is a function of the key alone ([`drawn_rows`]): rows are
//! drawn with replacement. What a step depends on is in the root of its state or in the plan: parameters,
//! moments, powers, and both counters in the state; rows, key, rates and tables as constants.
//!
//! Limits: a step divides by the sum of its loss weights (a trainer by the number of tokens, which
//! is the same where each weighs 1); sums are exact up to 2²⁴. Beyond the table the learning rate
//! is 0. A number of a row has 23 random bits, so of [`MAX_ROWS`] rows some are drawn half as often
//! again as others.

use std::collections::BTreeMap;
use std::ops::Deref;

use reproducible_ops::optim::LEARNING_RATE;
use reproducible_ops::program::{
    Builder, Built, DType, Operator, Program, Role, Shape, TensorType, TypeError, ValueId,
};
use reproducible_ops::random;
use reproducible_ops::tensor::{Tensor, TensorError};
use reproducible_ops::weights::Weights;
use verde::fault::Fault;
use verde::plan::{Plan, PlanError, Source};

use super::assemble::{self, GRADIENT};
use super::data_set::{DataSet, LOSS_WEIGHT};
use super::job_plan::{JobPlan, STEP};
use super::programs::{Programs, TrainError};
use super::trainer::TrainState;
use super::wiring::{Named, Wiring, add, count_up, counter, integers, zeros_name};

/// Most rows of a data set.
pub const MAX_ROWS: usize = 1 << 22;
/// Name of the counter of drawn microbatches in the state.
pub const DRAW: &str = "draw";

const KEY: &str = "data.key";
const RATES: &str = "rates";
const TOKEN_COUNT: &str = "token_count";

// Places of the programs in the plan.
const DRAW_PROGRAM: u32 = 0;
const GRADIENT_PROGRAM: u32 = 1;
const SUM: u32 = 2;
const CLOCK: u32 = 3;
const UPDATE: u32 = 4;

/// Prefix of the inputs of the sum that are a microbatch's.
const MICROBATCH: &str = "microbatch.";

/// Which rows the steps of a job train on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sampling {
    /// Key of the generator of row numbers.
    pub key: [u32; 2],
    /// Microbatches of a step, at least one.
    pub microbatches: usize,
}

/// A plan whose steps train. It is a [`JobPlan`] of which is known where its gradients are.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingPlan(JobPlan);

impl Deref for TrainingPlan {
    type Target = JobPlan;

    fn deref(&self) -> &JobPlan {
        &self.0
    }
}

/// Why training is no plan.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainingPlanError {
    /// A tensor is missing, or a program cannot be assembled.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// An operator does not take its operands.
    #[error(transparent)]
    Type(#[from] TypeError),
    /// A tensor cannot be made.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// The parts do not fit each other.
    #[error("plan: {0}")]
    Plan(#[from] PlanError),
    /// The data set has no channel for an input of the training program.
    #[error(
        "the training program reads `{0}`, which is no channel of the data set; only supervised \
         training is a plan"
    )]
    Channel(String),
    /// A number that cannot be.
    #[error("{what} is {found}; it must be from 1 to {most}")]
    Number {
        /// Of what.
        what: &'static str,
        /// The number seen.
        found: usize,
        /// The most that can be.
        most: usize,
    },
}

/// The rows of a data set of `rows` rows that make up a microbatch: what the plan's program
/// computes, by the scalar functions that it is made of.
pub fn drawn_rows(key: [u32; 2], draw: u32, microbatch: usize, rows: usize) -> Vec<usize> {
    let row = |lane: u32| {
        let uniform = random::uniform_at(key, [draw, 0, 0], lane);
        let scaled = reproducible_ops::scalar::mul(uniform, rows as f32);
        let below = reproducible_ops::scalar::sub(scaled, 0.5);
        let nearest = reproducible_ops::scalar::cast::f32_to_i32(below);
        (nearest as usize).min(rows - 1)
    };
    (0..microbatch as u32).map(row).collect()
}

impl TrainingPlan {
    /// The plan of training on a data set, a step for each learning rate. `weights` holds
    /// parameters and constants of the forward program.
    ///
    /// # Errors
    /// See [`TrainingPlanError`].
    pub fn new(
        programs: &Programs,
        weights: &Weights,
        data: &DataSet,
        sampling: Sampling,
        rates: Vec<f32>,
    ) -> Result<Self, TrainingPlanError> {
        require("data rows", data.rows(), MAX_ROWS)?;
        require("microbatches of a step", sampling.microbatches, 1 << 14)?;
        require("steps", rates.len(), i32::MAX as usize)?;
        let steps = rates.len();
        let channels = channels(programs, data)?;
        let all = vec![
            draw(&channels, programs.rows, data)?,
            programs.gradient.clone(),
            sum(&programs.gradient)?,
            clock(steps)?,
            programs.update.clone(),
        ];
        let constants = constants(programs, weights, data, &channels, sampling.key, rates)?;
        let state = state(&programs.update, weights)?;
        let plan = wired(&all, &constants, &state, sampling.microbatches)?;
        Ok(Self(JobPlan::new(plan, all, constants, state)?))
    }

    /// The run that computes the gradient of a sequence of a step's batch, and the sequence's
    /// row in it; none where the batch has no such sequence. Sequences are counted over the
    /// microbatches.
    pub fn run_of_sequence(&self, sequence: usize) -> Option<(usize, usize)> {
        let rows = self.tokens().shape.dims()[0];
        let run = self.gradient_runs().nth(sequence.checked_div(rows)?)?;
        Some((run, sequence % rows))
    }

    /// Sequences of a step's batch.
    pub fn sequences(&self) -> usize {
        self.gradient_runs().count() * self.tokens().shape.dims()[0]
    }

    fn gradient_runs(&self) -> impl Iterator<Item = usize> + '_ {
        let runs = self.plan.runs.iter().enumerate();
        let runs = runs.filter(|(_, run)| run.program == GRADIENT_PROGRAM);
        runs.map(|(number, _)| number)
    }

    /// The tokens of a microbatch, a row after the other.
    #[expect(clippy::expect_used, reason = "the plan was wired to this program")]
    fn tokens(&self) -> &TensorType {
        let program = &self.programs[GRADIENT_PROGRAM as usize];
        let tokens = program.input_named("tokens");
        let ty = tokens.and_then(|tokens| program.type_of(tokens));
        ty.expect("invariant: a gradient is of tokens")
    }

    /// A fault in a step: a bit of an element of the summed gradient of the smallest parameter, none
    /// of whose elements any batch leaves out. None for a step that the state's counter cannot count.
    pub fn gradient_fault(&self, step: u64, element: usize, bit: u32) -> Option<Fault> {
        let counter = self.place_in_state(STEP);
        let is_sum = |run: u32| self.plan.runs[run as usize].program == SUM;
        let update = self.plan.runs.last();
        let program = &self.programs[SUM as usize];
        let size = |output: u32| {
            let value = program.outputs().get(output as usize)?.value;
            let elements = program.type_of(value)?.shape.elements();
            (elements > 1).then_some(elements)
        };
        let inputs = update.into_iter().flat_map(|run| &run.inputs);
        let gradients = inputs.filter_map(|source| match *source {
            Source::Output { run, output } if is_sum(run) => Some((size(output)?, run, output)),
            _ => None,
        });
        let (_, run, output) = gradients.min()?;
        Some(Fault {
            counter: Some(counter? as u32),
            step: step.try_into().ok()?,
            run,
            output,
            element,
            bit,
        })
    }

    /// Tokens that a step computes, padding included.
    pub fn positions_per_step(&self) -> usize {
        self.gradient_runs().count() * self.tokens().shape.elements()
    }
}

fn require(what: &'static str, found: usize, most: usize) -> Result<(), TrainingPlanError> {
    match (1..=most).contains(&found) {
        true => Ok(()),
        false => Err(TrainingPlanError::Number { what, found, most }),
    }
}

/// The channels that the gradient reads, and the weights, by which tokens are counted.
fn channels<'d>(
    programs: &Programs,
    data: &'d DataSet,
) -> Result<BTreeMap<&'d str, &'d Tensor>, TrainingPlanError> {
    let inputs = programs.gradient.inputs_with_role(Role::Data);
    let names = inputs.map(|(_, input)| input.name.as_str());
    let read = names.filter(|name| *name != TOKEN_COUNT);
    read.chain([LOSS_WEIGHT])
        .map(|name| {
            let found = data.channels().get_key_value(name);
            let (name, tensor) = found.ok_or_else(|| TrainingPlanError::Channel(name.into()))?;
            Ok((name.as_str(), tensor))
        })
        .collect()
}

fn sum(gradient: &Program) -> Result<Program, TrainError> {
    Ok(assemble::sum(&assemble::parameters(gradient), MICROBATCH)?)
}

/// The program that draws a microbatch of `rows` rows.
fn draw(
    channels: &BTreeMap<&str, &Tensor>,
    rows: usize,
    data: &DataSet,
) -> Result<Program, TypeError> {
    let mut builder = Builder::new();
    let b = &mut builder;
    let tables: Vec<(&str, ValueId)> = channels
        .iter()
        .map(|(name, tensor)| {
            let table = b.input(constant_name(name), tensor.ty().clone(), Role::Constant);
            (*name, table)
        })
        .collect();
    let key = b.input(KEY, TensorType::i32([2]), Role::Constant);
    let place = b.input(DRAW, counter(), Role::State);
    let so_far = b.input(TOKEN_COUNT, TensorType::f32(Shape::scalar()), Role::State);
    let ids = row_numbers(b, key, place, rows, data.rows())?;
    for (name, table) in tables {
        let picked = b.push(Operator::GatherRows, &[table, ids])?;
        if name == LOSS_WEIGHT {
            let tokens = b.sum_all(picked)?;
            let tokens = b.add(so_far, tokens)?;
            b.output(TOKEN_COUNT, tokens);
        }
        b.output(name, picked);
    }
    count_up(b, DRAW, place)?;
    Ok(builder.finish())
}

/// `min(nearest(uniform · rows − ½), rows − 1)`, i32`[microbatch]`. A uniform number is above 0, so
/// no row number is below.
fn row_numbers(
    b: &mut Builder,
    key: ValueId,
    draw: ValueId,
    microbatch: usize,
    rows: usize,
) -> Built {
    let draw = b.reshape(draw, [1, 1])?;
    let zeros = integers(b, 0, [1, 2])?;
    let counter = b.push(Operator::Concat { axis: 1 }, &[draw, zeros])?;
    let lanes = Operator::PhiloxUniform { lanes: microbatch };
    let uniform = b.push(lanes, &[key, counter])?;
    let count = b.full_like(rows as f32, uniform)?;
    let scaled = b.mul(uniform, count)?;
    let half = b.full_like(0.5, scaled)?;
    let below = b.sub(scaled, half)?;
    let nearest = b.cast(below, DType::I32)?;
    let last = integers(b, rows as i32 - 1, [1, microbatch])?;
    let ids = b.min(nearest, last)?;
    b.reshape(ids, [microbatch])
}

/// The program that looks up the learning rate of a step.
fn clock(steps: usize) -> Result<Program, TypeError> {
    let mut builder = Builder::new();
    let rates = builder.input(RATES, TensorType::f32([steps, 1]), Role::Constant);
    let step = builder.input(STEP, counter(), Role::State);
    let rate = builder.push(Operator::GatherRows, &[rates, step])?;
    let rate = builder.reshape(rate, Shape::scalar())?;
    builder.output(LEARNING_RATE, rate);
    count_up(&mut builder, STEP, step)?;
    Ok(builder.finish())
}

fn constant_name(channel: &str) -> String {
    format!("data.{channel}")
}

fn constants(
    programs: &Programs,
    weights: &Weights,
    data: &DataSet,
    channels: &BTreeMap<&str, &Tensor>,
    key: [u32; 2],
    rates: Vec<f32>,
) -> Result<Named, TrainingPlanError> {
    let mut all = Named::new();
    for name in channels.keys() {
        all.insert(constant_name(name), data.channels()[*name].clone());
    }
    let key = key.map(|word| word as i32).to_vec();
    all.insert(KEY.into(), Tensor::i32([2], key)?);
    all.insert(RATES.into(), Tensor::f32([rates.len(), 1], rates)?);
    let scalar = Shape::scalar();
    let parameters = programs.gradient.inputs_with_role(Role::Param);
    let shapes = parameters.map(|(_, input)| &input.ty.shape);
    for shape in shapes.chain([&scalar]) {
        let zeros = Tensor::zeros(TensorType::f32(shape.clone()));
        all.insert(zeros_name(shape), zeros);
    }
    for (_, input) in programs.gradient.inputs_with_role(Role::Constant) {
        let table = weights.get(&input.name);
        let table = table.ok_or_else(|| TrainError::Missing(input.name.clone()))?;
        add(&mut all, "constants", &input.name, table.clone())?;
    }
    Ok(all)
}

fn state(update: &Program, weights: &Weights) -> Result<Named, TrainingPlanError> {
    let initial = TrainState::initial(update, weights)?;
    let mut all = Named::new();
    for (name, tensor) in initial.params.iter().chain(initial.optimizer.iter()) {
        add(&mut all, "the state", name, tensor.clone())?;
    }
    for name in [STEP, DRAW] {
        add(&mut all, "the state", name, Tensor::zeros(counter()))?;
    }
    Ok(all)
}

/// The plan of the programs of this module, in their order.
fn wired(
    programs: &[Program],
    constants: &Named,
    state: &Named,
    microbatches: usize,
) -> Result<Plan, TrainingPlanError> {
    let mut wiring = Wiring::new(programs, constants, state);
    let draws = draws(&mut wiring, microbatches)?;
    let last = sums(&mut wiring, &draws)?;
    let clock = wiring.run(CLOCK, |_, _| None)?;
    let update = wiring.run(UPDATE, |wiring, name| match name {
        LEARNING_RATE => wiring.output(clock, name),
        _ => wiring.output(last, name),
    })?;
    let drawn = draws[draws.len() - 1];
    let plan = wiring.finish(|name| match name {
        DRAW => Some(drawn),
        STEP => Some(clock),
        _ => Some(update),
    })?;
    Ok(plan)
}

fn draws(wiring: &mut Wiring<'_>, microbatches: usize) -> Result<Vec<u32>, TrainError> {
    let mut draws: Vec<u32> = Vec::new();
    for _ in 0..microbatches {
        let before = draws.last().copied();
        let run = wiring.run(DRAW_PROGRAM, |wiring, name| match before {
            Some(run) => wiring.output(run, name),
            None if name == TOKEN_COUNT => wiring.zeros(&Shape::scalar()),
            None => None,
        })?;
        draws.push(run);
    }
    Ok(draws)
}

/// Adds up the gradients of all draws, one at least; the run that has the sums.
#[expect(clippy::expect_used, reason = "a batch has a microbatch")]
fn sums(wiring: &mut Wiring<'_>, draws: &[u32]) -> Result<u32, TrainError> {
    let last = draws[draws.len() - 1];
    let mut before = None;
    for draw in draws {
        let gradient = wiring.run(GRADIENT_PROGRAM, |wiring, name| {
            match wiring.input(GRADIENT_PROGRAM, name)?.role {
                Role::Data if name == TOKEN_COUNT => wiring.output(last, name),
                Role::Data => wiring.output(*draw, name),
                Role::Param | Role::Constant | Role::State => None,
            }
        })?;
        let run = wiring.run(SUM, |wiring, name| {
            match (name.strip_prefix(MICROBATCH), before) {
                (Some(parameter), _) => wiring.output(gradient, &format!("{GRADIENT}{parameter}")),
                (None, Some(run)) => wiring.output(run, name),
                (None, None) => wiring.zeros(&wiring.input(SUM, name)?.ty.shape),
            }
        })?;
        before = Some(run);
    }
    Ok(before.expect("invariant: there is a draw"))
}

#[cfg(test)]
pub(super) mod tests;
