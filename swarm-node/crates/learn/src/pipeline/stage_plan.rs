//! A step of one stage as a plan of a single step: what its holders say it came to can be checked
//! in part, disputed, and decided by a contract, as any job can ([`verde::job`]).
//!
//! ```text
//! of each visit that counts, in the order of microbatches
//!   stage 0   forward, loss, backward, tie       constants: rows, hidden states that came back, their gradient
//!   others    forward, backward                  constants: rows, hidden states that came in, the gradient
//! accumulation    each holder's visits, then holder to holder as the record's tree says
//! squares         of the whole sum
//! update          clipping by the norm of all stages, AdamW ─▶ the state after
//! ```
//! All that came from elsewhere is a constant: hidden states and gradients by the digests that
//! stand in the record, rows by the job's data, the norm by what all stages' squares come to. So a
//! plan follows from the record and from contents, and whoever has those has the same plan. The
//! state before and after is the one that holders state and sign
//! ([`super::stage_engine::state_root`]).
//!
//! Invariants: the plan's next state has the bits of [`super::worker::StageWorker`] for the same
//! record, and its forward and backward runs those of what was sent.
//!
//! Limits: the norm is taken as it is stated; squares of all stages check it. An encoding of fewer
//! bits is not part of a program: what was sent is compared with what a run gives by encoding that.

use std::collections::BTreeMap;
use std::ops::Deref;

use reproducible_ops::optim::{GRAD_NORM, LEARNING_RATE};
use reproducible_ops::program::{Program, Role, Shape, TensorType};
use reproducible_ops::tensor::{Tensor, TensorError};
use reproducible_ops::weights::Weights;
use skippipe::path::{Microbatch as Number, Peer, Stage};
use skippipe::transcript::StepRecord;
use swarm_model::stages::{HIDDEN_IN, HIDDEN_OUT};
use verde::fault::Fault;
use verde::plan::{PlanError, Source};

use super::data::StepData;
use super::gradient::visit_scale;
use super::microbatch::Microbatch;
use super::programs::{BODY, HEAD, StagePrograms, VISIT, VISIT_SCALE, gradient_of};
use crate::job_plan::JobPlan;
use crate::programs::TrainError;
use crate::trainer::TrainState;
use crate::wiring::{Named, Wiring, add, zeros_name};

const TOKEN_COUNT: &str = "token_count";

// Places of the programs in the plan; those that stage 0 alone has come last.
const FORWARD: u32 = 0;
const BACKWARD: u32 = 1;
const ACCUMULATION: u32 = 2;
const SQUARES: u32 = 3;
const UPDATE: u32 = 4;
const LOSS: u32 = 5;
const TIE: u32 = 6;

/// What came to a stage for a visit, as it was read from what was sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Arrived {
    /// Hidden states that came in; at stage 0 those that came back to the head.
    pub hidden: Tensor,
    /// The gradient of the hidden states that the stage gave.
    pub gradient: Tensor,
}

/// A step of a stage, as it is planned: a [`JobPlan`] of which is known what each run is for.
#[derive(Clone, Debug, PartialEq)]
pub struct StagePlan {
    job: JobPlan,
    /// The runs of each visit.
    pub visits: BTreeMap<Number, VisitRuns>,
    /// Of each holder whose visits count, the run that gives the sum that it hands on.
    pub sums: BTreeMap<Peer, u32>,
    /// The run that gives the whole sum.
    pub whole: u32,
    /// The run that gives its squares; the one after it, the last, moves the stage.
    pub squares: u32,
}

/// Why a step is no plan.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StagePlanError {
    /// A tensor is missing.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// A tensor cannot be made.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// The parts do not fit each other.
    #[error("plan: {0}")]
    Plan(#[from] PlanError),
    /// What came for a visit is not there.
    #[error("what came to {stage} for {microbatch} is not there")]
    Arrived {
        /// The stage.
        stage: Stage,
        /// The microbatch.
        microbatch: Number,
    },
    /// Nothing moved the stage.
    #[error("no visit of {0} counts in step {1}, so it did not move")]
    Still(Stage, u64),
}

/// A bit of a stage's whole sum of gradients that a machine has wrong in its memory, for
/// demonstrations and tests of what follows: squares and update are of the wrong sum, what was sent
/// of it is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SumFault {
    /// The element of the smallest tensor that has more than one; of as large ones the first by
    /// name.
    pub element: usize,
    /// The bit of its word, from the lowest.
    pub bit: u32,
}

impl SumFault {
    /// The fault that commands make when they are asked for one.
    pub const EXAMPLE: Self = Self {
        element: 0,
        bit: 22,
    };

    /// The sum as the machine has it.
    pub fn of_sum(&self, sum: &Weights) -> Weights {
        let mut wrong = sum.clone();
        let sized = sum.iter().filter(|(_, tensor)| tensor.words().len() > 1);
        let smallest = sized.map(|(name, tensor)| (tensor.words().len(), name));
        let tensor = smallest.min().and_then(|(_, name)| wrong.get_mut(name));
        if let Some(word) = tensor.and_then(|tensor| tensor.words_mut().get_mut(self.element)) {
            *word ^= 1_u32.wrapping_shl(self.bit);
        }
        wrong
    }
}

/// What a step of a stage is a function of, besides its state.
#[derive(Clone, Copy, Debug)]
pub struct StageStep<'a> {
    /// The record of the step.
    pub record: &'a StepRecord,
    /// The job's rows.
    pub data: &'a StepData,
    /// What came for each visit.
    pub arrived: &'a BTreeMap<Number, Arrived>,
    /// Bits of the norm of all stages' gradients.
    pub norm: u32,
}

impl Deref for StagePlan {
    type Target = JobPlan;

    fn deref(&self) -> &JobPlan {
        &self.job
    }
}

impl StagePlan {
    /// The plan of a step. `tables` holds the constants of the forward program; `before` is the
    /// state.
    ///
    /// # Errors
    /// See [`StagePlanError`].
    pub fn new(
        programs: &StagePrograms,
        tables: &Weights,
        before: &TrainState,
        step: StageStep<'_>,
    ) -> Result<Self, StagePlanError> {
        let stage = Stage(programs.stage() as u16);
        let all = programs_of(programs);
        let (constants, visited) = constants(programs, tables, stage, step)?;
        let mut state = Named::new();
        for (name, tensor) in before.params.iter().chain(before.optimizer.iter()) {
            add(&mut state, "the state", name, tensor.clone())?;
        }
        let mut wiring = Wiring::new(&all, &constants, &state);
        let mut visits = BTreeMap::new();
        let mut own: BTreeMap<Peer, Option<u32>> = BTreeMap::new();
        for (number, peer) in visited {
            let visit = visit(&mut wiring, number, programs)?;
            let sum = own.entry(peer).or_default();
            *sum = Some(add_part(&mut wiring, *sum, |wiring, name| {
                visit.gradient(wiring, name)
            })?);
            visits.insert(number, visit);
        }
        let (sums, total) = reduced(&mut wiring, step.record, stage, own)?;
        let total = total.ok_or(StagePlanError::Still(stage, step.record.step))?;
        let squares = wiring.run(SQUARES, |wiring, name| wiring.output(total, name))?;
        let update = wiring.run(UPDATE, |wiring, name| wiring.output(total, name))?;
        let plan = wiring.finish(|_| Some(update))?;
        Ok(Self {
            job: JobPlan::new(plan, all, constants, state)?,
            visits,
            sums,
            whole: total,
            squares,
        })
    }

    /// The place of a bit of the whole sum: of an element of its smallest tensor that has more than
    /// one, as [`SumFault`] flips it.
    pub fn fault(&self, fault: SumFault) -> Option<Fault> {
        let program = &self.programs[ACCUMULATION as usize];
        let outputs = program.outputs().iter().enumerate();
        let sized = outputs.filter_map(|(place, output)| {
            let elements = program.type_of(output.value)?.shape.elements();
            (elements > 1).then_some((elements, &output.name, place))
        });
        let (_, _, output) = sized.min()?;
        Some(Fault {
            counter: None,
            step: 0,
            run: self.whole,
            output: output as u32,
            element: fault.element,
            bit: fault.bit,
        })
    }
}

fn programs_of(programs: &StagePrograms) -> Vec<Program> {
    let always = [
        &programs.forward,
        &programs.backward,
        &programs.accumulation,
        &programs.squares,
        &programs.update,
    ];
    let first = programs.loss.iter().chain(&programs.tie);
    always.into_iter().chain(first).cloned().collect()
}

/// The runs of a visit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VisitRuns {
    /// Gives the hidden states that were sent on ([`HIDDEN_OUT`]).
    pub forward: u32,
    /// At stage 0, gives the loss and the gradient that was sent back.
    pub loss: Option<u32>,
    backward: u32,
    tie: Option<u32>,
}

impl VisitRuns {
    /// The run that has the gradient of a parameter: where body and head share it, their sum.
    fn gradient(&self, wiring: &Wiring<'_>, name: &str) -> Option<Source> {
        let runs = [self.tie, self.loss, Some(self.backward)];
        let mut found = runs.into_iter().flatten();
        found.find_map(|run| wiring.output(run, name))
    }

    /// The run whose gradient of [`HIDDEN_IN`] was sent back: to the stage before, and of stage 0 to
    /// the last of the path.
    pub fn sent_back(&self) -> u32 {
        self.loss.unwrap_or(self.backward)
    }
}

fn visit(
    wiring: &mut Wiring<'_>,
    number: Number,
    programs: &StagePrograms,
) -> Result<VisitRuns, TrainError> {
    let of = |wiring: &Wiring<'_>, name: &str| wiring.constant(&constant_name(number, name));
    let forward = wiring.run(FORWARD, of)?;
    let loss = match programs.loss {
        Some(_) => Some(wiring.run(LOSS, of)?),
        None => None,
    };
    let backward = wiring.run(BACKWARD, of)?;
    let tie = match (&programs.tie, loss) {
        (Some(_), Some(loss)) => Some(wiring.run(TIE, |wiring, name| {
            let part = |run, prefix| wiring.output(run, &gradient_of(name.strip_prefix(prefix)?));
            part(backward, BODY).or_else(|| part(loss, HEAD))
        })?),
        _ => None,
    };
    Ok(VisitRuns {
        forward,
        backward,
        loss,
        tie,
    })
}

/// Adds gradients to a sum, or to zeros; `part` finds them by the names of outputs.
fn add_part(
    wiring: &mut Wiring<'_>,
    sum: Option<u32>,
    part: impl Fn(&Wiring<'_>, &str) -> Option<Source>,
) -> Result<u32, TrainError> {
    wiring.run(ACCUMULATION, |wiring, name| {
        let input = wiring.input(ACCUMULATION, name)?;
        match (input.role, sum) {
            (Role::State, Some(run)) => wiring.output(run, name),
            (Role::State, None) => wiring.zeros(&input.ty.shape),
            _ => part(wiring, &gradient_of(name.strip_prefix(VISIT)?)),
        }
    })
}

/// Adds the sums of holders as the record's tree says: of each holder the run of the sum that it
/// hands on, and that of the whole; none where nothing counts.
fn reduced(
    wiring: &mut Wiring<'_>,
    record: &StepRecord,
    stage: Stage,
    mut sums: BTreeMap<Peer, Option<u32>>,
) -> Result<(BTreeMap<Peer, u32>, Option<u32>), TrainError> {
    let tree = record.reduce_tree(stage);
    // Children are behind their parents, so from the last on every sum is whole in its turn.
    for &peer in tree.peers().iter().rev() {
        for child in tree.children(peer) {
            let both = [sums.get(&peer), sums.get(&child)].map(|sum| sum.copied().flatten());
            if let [Some(own), Some(part)] = both {
                let begun = add_part(wiring, None, |wiring, name| wiring.output(own, name))?;
                let sum = add_part(wiring, Some(begun), |wiring, name| {
                    wiring.output(part, name)
                })?;
                sums.insert(peer, Some(sum));
            }
        }
    }
    let sums = sums.into_iter();
    let sums: BTreeMap<Peer, u32> = sums.filter_map(|(peer, run)| Some((peer, run?))).collect();
    let whole = tree.root().and_then(|root| sums.get(&root).copied());
    Ok((sums, whole))
}

/// Name of a constant that belongs to a microbatch.
fn constant_name(number: Number, input: &str) -> String {
    format!("microbatch.{:04}.{input}", number.0)
}

/// All constants, and the visits that count, each with its holder.
fn constants(
    programs: &StagePrograms,
    tables: &Weights,
    stage: Stage,
    step: StageStep<'_>,
) -> Result<(Named, Vec<(Number, Peer)>), StagePlanError> {
    let StageStep {
        record,
        data,
        arrived,
        norm,
    } = step;
    let mut all = Named::new();
    for (_, input) in programs.forward.inputs_with_role(Role::Constant) {
        let table = tables.get(&input.name);
        let table = table.ok_or_else(|| TrainError::Missing(input.name.clone()))?;
        add(&mut all, "constants", &input.name, table.clone())?;
    }
    for (_, ty) in programs.parameters() {
        let zeros = Tensor::zeros(TensorType::f32(ty.shape.clone()));
        all.insert(zeros_name(&ty.shape), zeros);
    }
    let tokens = data.step_tokens(record.step);
    let visited: Vec<(Number, Peer)> = record
        .counted(stage)
        .map(|(number, visit)| (number, visit.hop.peer))
        .collect();
    for (number, _) in &visited {
        let came = arrived.get(number).ok_or(StagePlanError::Arrived {
            stage,
            microbatch: *number,
        })?;
        let rows = data.microbatch(record.step, *number);
        for (name, tensor) in visit_constants(programs, came, &rows, tokens)? {
            add(
                &mut all,
                "constants",
                &constant_name(*number, &name),
                tensor,
            )?;
        }
    }
    let counted = data.tokens(record.step, visited.iter().map(|(number, _)| *number));
    let scalars = [
        (VISIT_SCALE, visit_scale(tokens, counted)),
        (GRAD_NORM, f32::from_bits(norm)),
        (LEARNING_RATE, data.rate(record.step)),
    ];
    for (name, value) in scalars {
        add(&mut all, "constants", name, scalar(value)?)?;
    }
    Ok((all, visited))
}

/// What the programs of a visit read, besides parameters and tables.
fn visit_constants(
    programs: &StagePrograms,
    came: &Arrived,
    rows: &Microbatch,
    tokens: usize,
) -> Result<Named, TensorError> {
    let rows = rows.inputs();
    let mut all = Named::new();
    let read = [
        Some(&programs.forward),
        Some(&programs.backward),
        programs.loss.as_ref(),
    ];
    let inputs = read.into_iter().flatten();
    for (_, input) in inputs.flat_map(|program| program.inputs_with_role(Role::Data)) {
        let name = input.name.as_str();
        let of_rows = rows.iter().find(|(known, _)| *known == name);
        let tensor = match of_rows {
            Some((_, words)) => Tensor::from_words(input.ty.clone(), words.clone())?,
            None if name == HIDDEN_IN => came.hidden.clone(),
            None if name == gradient_of(HIDDEN_OUT) => came.gradient.clone(),
            None if name == TOKEN_COUNT => scalar(tokens as f32)?,
            // What a program reads otherwise is found missing when its run is bound.
            None => continue,
        };
        all.insert(name.to_owned(), tensor);
    }
    Ok(all)
}

fn scalar(value: f32) -> Result<Tensor, TensorError> {
    Tensor::f32(Shape::scalar(), vec![value])
}
