//! A step of one stage computed again, alone, and held against its record and what its holders
//! stated.
//!
//! ```text
//! StagePlan ─trace─▶ what was sent, losses ───────────── the record
//!                    sums of each holder, squares ┐
//!                    the state after              ┴───── statements (skippipe::statements)
//! ```
//! Each finding names a holder, and the run and output of the plan that it is about; the element,
//! too, where what the holder made is at hand ([`Evidence`]).
//!
//! Limits: what came from other stages is taken as it is in the record. The norm is the one that is
//! stated; whether the squares of all stages come to it, [`norm_of`] tells.

use std::collections::BTreeMap;
use std::fmt;

use reproducible_ops::engine::Engine;
use reproducible_ops::program::ValueId;
use reproducible_ops::tensor::Tensor;
use reproducible_ops::weights::Weights;
use skippipe::content::{Content, Digest};
use skippipe::encoding::{self, EncodeError, Format};
use skippipe::path::{Hop, Microbatch as Number, Peer, Stage};
use skippipe::statements::{self, Fault, Statements};
use skippipe::transcript::{Passage, StepRecord, Sums};
use skippipe::work::{Engine as _, Outcome, Task, Work};
use swarm_model::stages::{HIDDEN_IN, HIDDEN_OUT};
use verde::execute::{ExecuteError, Executor};
use verde::plan::{PlanError, Source};
use verde::step::StepError;

use super::programs::{SQUARE, gradient_of};
use super::stage_plan::StagePlan;
use super::worker::{Blueprint, StageWorker};
use crate::assemble::GRADIENT;

/// What a holder made, where somebody has it.
pub trait Evidence {
    /// A content.
    fn content(&self, digest: &Digest) -> Option<Content>;
    /// A state of the stage, by its root.
    fn state(&self, root: &Digest) -> Option<Weights>;
}

/// Something that a holder made otherwise than its stage makes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Who.
    pub hop: Hop,
    /// What is wrong.
    pub what: String,
    /// Where; none where it is about two holders.
    pub place: Option<Place>,
}

/// A place in the plan of a stage's step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The run.
    pub run: u32,
    /// The output; none where it is one of several and cannot be told.
    pub output: Option<String>,
    /// The element, the bits of it that the holder has, and the right ones; none where what the
    /// holder made is not at hand.
    pub element: Option<(usize, u32, u32)>,
}

/// Why a step is not computed again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StageAuditError {
    /// The plan is none.
    #[error("plan: {0}")]
    Plan(#[from] PlanError),
    /// The engine.
    #[error(transparent)]
    Execute(#[from] ExecuteError),
    /// The state has no root.
    #[error(transparent)]
    Step(#[from] StepError),
    /// A tensor cannot be sent: the step diverges.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

/// What a step of a stage came to.
#[derive(Clone, Debug)]
pub struct Recomputed {
    /// What was sent otherwise than the record says, in the order of runs.
    pub findings: Vec<Finding>,
    /// Visits that count.
    pub visits: usize,
    /// How each holder must have summed.
    pub sums: BTreeMap<Hop, Sums>,
    /// Root of the state after the step.
    pub state: Digest,
    /// Tensors of the runs that sums, squares and state are from.
    values: BTreeMap<u32, Weights>,
    whole: u32,
    squares: u32,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        let Some(place) = &self.place else {
            return Ok(());
        };
        write!(f, ": run {}", place.run)?;
        if let Some(output) = &place.output {
            write!(f, ", output `{output}`")?;
        }
        match place.element {
            Some((element, found, expected)) => {
                write!(f, ", element {element} is {found:08x}, not {expected:08x}")
            }
            None => write!(f, "; what it made is not at hand to name the element"),
        }
    }
}

/// Computes a step of a stage again. `of` is the stage, and bits of the norm that it moved by.
///
/// # Errors
/// See [`StageAuditError`].
pub fn recompute(
    planned: &StagePlan,
    engine: &dyn Engine,
    blueprint: &Blueprint,
    (record, stage, norm): (&StepRecord, Stage, u32),
    evidence: &dyn Evidence,
) -> Result<Recomputed, StageAuditError> {
    let schedule = planned.schedule()?;
    let mut executor = Executor::new(engine, schedule, &planned.constants, &planned.state)?;
    let mut sent = Sent::new(planned, blueprint, (record, stage), evidence);
    let mut values = BTreeMap::new();
    let (whole, squares) = (planned.whole, planned.squares);
    let update = planned.plan.runs.len() as u32 - 1;
    let mut all = Vec::new();
    executor.trace(&[], |run, _, value| {
        all.push(value);
        let program = planned.plan.runs[run].program as usize;
        if all.len() < planned.programs[program].value_count() {
            return;
        }
        let (run, all) = (run as u32, std::mem::take(&mut all));
        sent.look_at(run, &all);
        let is_sum = planned.sums.values().any(|&sum| sum == run);
        if is_sum {
            values.insert(run, sum_of(outputs(planned, run, &all)));
        } else if run == squares || run == update {
            values.insert(run, outputs(planned, run, &all));
        }
    })?;
    let findings = sent.findings?;
    let visits = planned.visits.len();
    let next = next_state(planned, &values);
    let state = Digest(schedule.state_root(&next)?);
    Ok(Recomputed {
        sums: expected_sums(planned, (record, stage, norm), &values),
        findings,
        visits,
        state,
        values,
        whole,
        squares,
    })
}

/// The outputs of a run, by name.
fn outputs(planned: &StagePlan, run: u32, values: &[Tensor]) -> Weights {
    let program = planned.plan.runs[run as usize].program;
    let outputs = planned.programs[program as usize].outputs().iter();
    outputs
        .map(|output| (output.name.clone(), values[output.value.index()].clone()))
        .collect()
}

/// A sum under the names of parameters, as holders send it.
fn sum_of(outputs: Weights) -> Weights {
    let named = outputs.iter().filter_map(|(name, sum)| {
        let name = name.strip_prefix(GRADIENT)?;
        Some((name.to_owned(), sum.clone()))
    });
    named.collect()
}

/// The state after the step, in the order of the plan: the last run puts all of it out.
#[expect(
    clippy::expect_used,
    reason = "the plan takes its next state from its last run"
)]
fn next_state(planned: &StagePlan, values: &BTreeMap<u32, Weights>) -> Vec<Tensor> {
    let slots = planned.plan.next.iter().zip(&planned.plan.state);
    let next = slots.map(|(source, slot)| {
        let run = match source {
            Source::Output { run, .. } => values.get(run),
            _ => None,
        };
        let tensor = run.and_then(|outputs| outputs.get(&slot.name));
        tensor
            .expect("invariant: the update puts out the next state")
            .clone()
    });
    next.collect()
}

fn bits_of(outputs: &Weights) -> Vec<u32> {
    let squares = outputs.iter().filter(|(name, _)| name.starts_with(SQUARE));
    squares
        .filter_map(|(_, tensor)| tensor.words().first().copied())
        .collect()
}

/// How each holder must have summed.
fn expected_sums(
    planned: &StagePlan,
    (record, stage, norm): (&StepRecord, Stage, u32),
    values: &BTreeMap<u32, Weights>,
) -> BTreeMap<Hop, Sums> {
    let content = |run: &u32| values.get(run).map(|sum| Digest::of(&sum.to_bytes()));
    let partials = planned.sums.iter();
    let partials: BTreeMap<Peer, Option<Digest>> =
        partials.map(|(&peer, run)| (peer, content(run))).collect();
    let (tree, whole) = (record.reduce_tree(stage), content(&planned.whole));
    let holders = record.roster.of(stage).iter();
    let sums = holders.map(|&peer| {
        let children = tree.children(peer).into_iter();
        let received = children.filter_map(|child| partials.get(&child).copied().flatten());
        let squares = (tree.root() == Some(peer)).then(|| values.get(&planned.squares));
        let sums = Sums {
            received: received.collect(),
            partial: partials.get(&peer).copied().flatten(),
            whole,
            squares: squares.flatten().map(bits_of).unwrap_or_default(),
            norm,
        };
        (Hop { stage, peer }, sums)
    });
    sums.collect()
}

/// What the record says was sent, looked at as runs are computed.
struct Sent<'a> {
    planned: &'a StagePlan,
    format: [Format; 2],
    visits: BTreeMap<u32, (Number, &'a Passage, usize)>,
    evidence: &'a dyn Evidence,
    findings: Result<Vec<Finding>, EncodeError>,
}

impl<'a> Sent<'a> {
    fn new(
        planned: &'a StagePlan,
        blueprint: &Blueprint,
        (record, stage): (&'a StepRecord, Stage),
        evidence: &'a dyn Evidence,
    ) -> Self {
        let mut visits = BTreeMap::new();
        for passage in &record.passages {
            let number = passage.microbatch;
            let place = passage.visits.iter().position(|one| one.hop.stage == stage);
            if let (Some(runs), Some(place)) = (planned.visits.get(&number), place) {
                for run in [runs.forward, runs.sent_back()] {
                    visits.insert(run, (number, passage, place));
                }
            }
        }
        Self {
            planned,
            format: [blueprint.encoding.hidden, blueprint.encoding.gradient],
            visits,
            evidence,
            findings: Ok(Vec::new()),
        }
    }

    fn look_at(&mut self, run: u32, values: &[Tensor]) {
        let Some(&(number, passage, place)) = self.visits.get(&run) else {
            return;
        };
        let looked = match self.planned.visits[&number].forward == run {
            true => self.activation(run, values, (passage, place)),
            false => self.gradient(run, values, (passage, place)),
        };
        match (&mut self.findings, looked) {
            (Ok(findings), Ok(found)) => findings.extend(found),
            (Ok(_), Err(error)) => self.findings = Err(error),
            (Err(_), _) => {}
        }
    }

    fn activation(
        &self,
        run: u32,
        values: &[Tensor],
        (passage, place): (&Passage, usize),
    ) -> Result<Vec<Finding>, EncodeError> {
        let visit = &passage.visits[place];
        let what = format!(
            "{} sent another activation of {} than its stage makes",
            visit.hop, passage.microbatch
        );
        let named = (run, HIDDEN_OUT.to_owned(), self.format[0]);
        Ok(self
            .compared(named, values, visit.output, (visit.hop, what))?
            .into_iter()
            .collect())
    }

    /// The gradient that was sent back, and at stage 0 the loss.
    fn gradient(
        &self,
        run: u32,
        values: &[Tensor],
        (passage, place): (&Passage, usize),
    ) -> Result<Vec<Finding>, EncodeError> {
        let (hop, number) = (passage.visits[place].hop, passage.microbatch);
        let mut findings = Vec::new();
        if place == 0 {
            let loss = self
                .value(run, "loss")
                .and_then(|id| values[id.index()].words().first());
            if let Some(&expected) = loss.filter(|bits| **bits != passage.loss) {
                findings.push(Finding {
                    hop,
                    what: format!("{hop} reported another loss of {number} than its head computes"),
                    place: Some(Place {
                        run,
                        output: Some("loss".into()),
                        element: Some((0, passage.loss, expected)),
                    }),
                });
            }
        }
        // Of stage 0 the last of the path has it.
        let to = place.checked_sub(1).unwrap_or(passage.visits.len() - 1);
        let what = format!("{hop} sent another gradient of {number} back than its stage makes");
        let named = (run, gradient_of(HIDDEN_IN), self.format[1]);
        let found = passage.visits[to].gradient;
        findings.extend(self.compared(named, values, found, (hop, what))?);
        Ok(findings)
    }

    fn compared(
        &self,
        (run, output, format): (u32, String, Format),
        values: &[Tensor],
        found: Digest,
        (hop, what): (Hop, String),
    ) -> Result<Option<Finding>, EncodeError> {
        let Some(value) = self.value(run, &output) else {
            return Ok(None);
        };
        let value = &values[value.index()];
        let bytes = encoding::encode(format, value)?;
        if Digest::of(&bytes) == found {
            return Ok(None);
        }
        let decoded = |bytes: &[u8]| encoding::decode(format, value.shape(), bytes).ok();
        let made = self
            .evidence
            .content(&found)
            .and_then(|made| decoded(made.bytes()));
        let element = made
            .zip(decoded(&bytes))
            .and_then(|(made, right)| differs(&made, &right));
        let place = Some(Place {
            run,
            output: Some(output),
            element,
        });
        Ok(Some(Finding { hop, what, place }))
    }

    fn value(&self, run: u32, output: &str) -> Option<ValueId> {
        let program = self.planned.plan.runs[run as usize].program;
        self.planned.programs[program as usize].output_named(output)
    }
}

/// The first element in which two tensors differ.
fn differs(found: &Tensor, expected: &Tensor) -> Option<(usize, u32, u32)> {
    let pairs = found.words().iter().zip(expected.words()).enumerate();
    let mut pairs = pairs.filter(|(_, (found, expected))| found != expected);
    pairs
        .next()
        .map(|(element, (found, expected))| (element, *found, *expected))
}

impl Recomputed {
    /// All that is wrong: what was sent, and whose statements are another than what its stage
    /// comes to.
    pub fn findings(
        &self,
        (record, stage): (&StepRecord, Stage),
        planned: &StagePlan,
        stated: &Statements,
        evidence: &dyn Evidence,
    ) -> Vec<Finding> {
        let mut faults = statements::sums(record, stage, &self.sums, stated);
        let expected = (&self.sums, self.state);
        faults.extend(statements::states(record, stage, expected, stated));
        let found = faults.into_iter().map(|fault| {
            let (hop, place) = self.place(fault, planned, stated, evidence);
            Finding {
                hop,
                what: fault.to_string(),
                place,
            }
        });
        self.findings.iter().cloned().chain(found).collect()
    }

    fn place(
        &self,
        fault: Fault,
        planned: &StagePlan,
        stated: &Statements,
        evidence: &dyn Evidence,
    ) -> (Hop, Option<Place>) {
        match fault {
            Fault::Sum(hop) => {
                let run = planned.sums.get(&hop.peer).copied().unwrap_or(self.whole);
                let made = stated.get(&hop).and_then(|stated| stated.sums.partial);
                let made = made.and_then(|digest| evidence.content(&digest));
                let made = made.and_then(|made| Weights::from_bytes(made.bytes()).ok());
                (hop, self.first(run, made.as_ref()))
            }
            Fault::Squares(hop) => {
                let found = stated
                    .get(&hop)
                    .map_or(&[][..], |stated| &stated.sums.squares);
                (hop, self.first_square(found))
            }
            Fault::State(hop) => {
                let made = stated
                    .get(&hop)
                    .and_then(|stated| evidence.state(&stated.state));
                (hop, self.first(self.squares + 1, made.as_ref()))
            }
            Fault::Between { from, .. } => (from, None),
            Fault::Norm(hop) => (hop, None),
        }
    }

    fn first_square(&self, found: &[u32]) -> Option<Place> {
        let outputs = self.values.get(&self.squares)?;
        let named = outputs.iter().filter(|(name, _)| name.starts_with(SQUARE));
        let mut squares = named.zip(found).filter_map(|((name, tensor), found)| {
            let expected = *tensor.words().first()?;
            (expected != *found).then(|| Place {
                run: self.squares,
                output: Some(name.to_owned()),
                element: Some((0, *found, expected)),
            })
        });
        squares.next()
    }

    /// The first tensor of a run's outputs, and its element, that a holder made otherwise.
    fn first(&self, run: u32, made: Option<&Weights>) -> Option<Place> {
        let outputs = self.values.get(&run)?;
        let mut pairs = outputs.iter().filter_map(|(name, expected)| {
            let element = differs(made?.get(name)?, expected)?;
            Some((name, element))
        });
        let found = pairs.next();
        Some(Place {
            run,
            output: found.map(|(name, _)| match run < self.squares {
                true => gradient_of(name),
                false => name.to_owned(),
            }),
            element: found.map(|(_, element)| element),
        })
    }
}

/// Bits of the norm that the squares of all stages come to; none where they are no squares.
pub fn norm_of(worker: &mut StageWorker, squares: BTreeMap<Stage, Vec<u32>>) -> Option<u32> {
    match worker.perform(Task(0), Work::Norm(squares))? {
        Outcome::Norm(norm, _) => Some(norm),
        _ => None,
    }
}
