//! What a player knows of a job's computation.
//!
//! A [`Record`] answers when it is asked: a step is traced when a game has come to it, and a run
//! when the game has come to that. A worker answers from its own, a challenger compares with its
//! own; [`Replay`] recomputes everything from the states at checkpoints.

use std::sync::Arc;

use reproducible_ops::program::Digest;
use reproducible_ops::tensor::Tensor;
use thiserror::Error;

use crate::execute::{ExecuteError, Executor};
use crate::history::History;
use crate::job::Job;
use crate::run::{RunError, RunHeader, RunTree, step_leaf};
use crate::state::StateTree;
use crate::step::StepError;
use crate::tensor;
use crate::tree::Tree;

/// Why a record has no answer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RecordError {
    /// What would be needed is not there.
    #[error("{0}")]
    Missing(String),
    /// A step cannot be computed.
    #[error("step {step}: {source}")]
    Step {
        /// The step.
        step: u64,
        /// Why not.
        source: ExecuteError,
    },
}

/// A step: the tensors of the states on both sides, and its runs.
#[derive(Clone, Debug)]
pub struct StepRecord {
    /// Roots of the tensors of the state before, in the order of the plan.
    pub before: Vec<Digest>,
    /// Roots of the tensors of the state after.
    pub after: Vec<Digest>,
    /// Each run's program and the top of the tree over its values.
    pub runs: Vec<(RunHeader, Digest)>,
    /// The tree over the roots of the runs.
    pub tree: Tree,
}

impl StepRecord {
    /// A step with these states and runs.
    pub fn new(before: Vec<Digest>, after: Vec<Digest>, runs: Vec<(RunHeader, Digest)>) -> Self {
        let leaves = runs
            .iter()
            .map(|(header, top)| step_leaf(&header.bind(top)));
        Self {
            tree: Tree::new(leaves.collect()),
            before,
            after,
            runs,
        }
    }
}

/// A run: all of its values, and the tree over them.
#[derive(Clone, Debug)]
pub struct RunRecord {
    /// Values by id.
    pub values: Vec<Tensor>,
    /// The tree over their roots.
    pub tree: RunTree,
}

/// What a player knows of a job's computation.
pub trait Record {
    /// The states at the checkpoints.
    fn history(&self) -> &History;

    /// Roots of the states from the checkpoint before to this one, both included.
    ///
    /// # Errors
    /// [`RecordError`].
    fn interval(&mut self, checkpoint: u64) -> Result<Vec<Digest>, RecordError>;

    /// A step, by its number.
    ///
    /// # Errors
    /// [`RecordError`].
    fn step(&mut self, step: u64) -> Result<Arc<StepRecord>, RecordError>;

    /// A run of a step.
    ///
    /// # Errors
    /// [`RecordError`].
    fn run(&mut self, step: u64, run: usize) -> Result<Arc<RunRecord>, RecordError>;
}

/// The tree over the tensors of a state, by their roots in the order of the plan.
///
/// # Errors
/// There are not as many as the plan has.
pub fn state_tree(job: &Job, roots: &[Digest]) -> Result<StateTree, RecordError> {
    let slots = &job.plan().state;
    if slots.len() != roots.len() {
        let text = format!("{} tensors of a state of {}", roots.len(), slots.len());
        return Err(RecordError::Missing(text));
    }
    let named = slots.iter().zip(roots);
    let named = named.map(|(slot, root)| (slot.name.as_str(), *root));
    StateTree::new(named).map_err(|error| RecordError::Missing(error.to_string()))
}

/// Where the states at checkpoints come from.
pub trait Checkpoints {
    /// The state at a checkpoint, in the order of the plan.
    ///
    /// # Errors
    /// It is not there.
    fn state(&mut self, checkpoint: u64) -> Result<Vec<Tensor>, RecordError>;
}

/// A record that recomputes what it is asked for, on any engine. Where a state at a checkpoint is
/// not there, it goes on from an earlier one.
///
/// It holds one run of one step at a time.
pub struct Replay<'a, C> {
    job: &'a Job,
    history: History,
    checkpoints: C,
    executor: Executor<'a>,
    /// The step before which the executor stands; none before the first question, or after
    /// an error.
    at: Option<u64>,
    step: Option<(u64, Arc<StepRecord>)>,
    run: Option<(u64, usize, Arc<RunRecord>)>,
}

impl<'a, C: Checkpoints> Replay<'a, C> {
    /// The record of a history whose states at checkpoints are kept. The executor is one of the
    /// job.
    pub fn new(job: &'a Job, history: History, checkpoints: C, executor: Executor<'a>) -> Self {
        Self {
            job,
            history,
            checkpoints,
            executor,
            at: None,
            step: None,
            run: None,
        }
    }

    /// Brings the executor to the state before a step.
    fn go_to(&mut self, step: u64) -> Result<(), RecordError> {
        let length = self.history.claim().length;
        let checkpoint = step / u64::from(length.stride());
        let nearest = length.step_of(checkpoint);
        let mut at = match self.at {
            Some(at) if (nearest..=step).contains(&at) => at,
            _ => {
                let (found, state) = self.nearest_state(checkpoint)?;
                let nearest = length.step_of(found);
                self.at = None;
                self.executor.restore(&state).map_err(failed(nearest))?;
                nearest
            }
        };
        while at < step {
            self.executor.step(&[]).map_err(failed(at))?;
            at += 1;
        }
        self.at = Some(step);
        Ok(())
    }

    /// The state at a checkpoint, or at the last one before it that is there: the rest is computed
    /// again.
    fn nearest_state(&mut self, checkpoint: u64) -> Result<(u64, Vec<Tensor>), RecordError> {
        let wanted = self.checkpoints.state(checkpoint);
        let error = match wanted {
            Ok(state) => return Ok((checkpoint, state)),
            Err(error) => error,
        };
        let earlier = (0..checkpoint).rev();
        let mut found = earlier.filter_map(|at| Some((at, self.checkpoints.state(at).ok()?)));
        found.next().ok_or(error)
    }

    fn run_record(&mut self, step: u64, run: usize) -> Result<RunRecord, RecordError> {
        self.go_to(step)?;
        let missing = || RecordError::Missing(format!("step {step} has no run {run}"));
        let (_, program) = self.job.run(run).ok_or_else(missing)?;
        let values = self.executor.run_values(&[], run).map_err(failed(step))?;
        let tree = RunTree::new(program, &values);
        let tree = tree.map_err(|error| failed(step)(StepError::from(error).into()))?;
        Ok(RunRecord { values, tree })
    }

    fn step_record(&mut self, step: u64) -> Result<StepRecord, RecordError> {
        self.go_to(step)?;
        let mut values = vec![Vec::new(); self.job.plan().runs.len()];
        let traced = self.executor.trace(&[], |run, _, value| {
            values[run].push(tensor::root(&value));
        });
        traced.map_err(failed(step))?;
        let runs = self.job.plan().runs.iter().zip(values);
        let runs = runs.map(|(run, values)| {
            let program = &self.job.programs()[run.program as usize];
            let tree = RunTree::from_roots(program, values)?;
            Ok((RunHeader::of(program), tree.tree().root()))
        });
        let runs = runs.collect::<Result<Vec<_>, RunError>>();
        let runs = runs.map_err(|error| failed(step)(StepError::from(error).into()))?;
        let before = self.executor.state().map_err(failed(step))?;
        self.go_to(step + 1)?;
        let after = self.executor.state().map_err(failed(step))?;
        let roots = |state: &[Tensor]| state.iter().map(tensor::root).collect();
        Ok(StepRecord::new(roots(&before), roots(&after), runs))
    }
}

fn failed(step: u64) -> impl Fn(ExecuteError) -> RecordError {
    move |source| RecordError::Step { step, source }
}

impl<C: Checkpoints> Record for Replay<'_, C> {
    fn history(&self) -> &History {
        &self.history
    }

    fn interval(&mut self, checkpoint: u64) -> Result<Vec<Digest>, RecordError> {
        let length = self.history.claim().length;
        let first = length.step_of(checkpoint.saturating_sub(1));
        (first..=length.step_of(checkpoint))
            .map(|step| {
                self.go_to(step)?;
                self.executor.state_root().map_err(failed(step))
            })
            .collect()
    }

    fn step(&mut self, step: u64) -> Result<Arc<StepRecord>, RecordError> {
        if let Some((number, record)) = &self.step
            && *number == step
        {
            return Ok(Arc::clone(record));
        }
        let record = Arc::new(self.step_record(step)?);
        self.step = Some((step, Arc::clone(&record)));
        Ok(record)
    }

    fn run(&mut self, step: u64, run: usize) -> Result<Arc<RunRecord>, RecordError> {
        if let Some((number, known, record)) = &self.run
            && (*number, *known) == (step, run)
        {
            return Ok(Arc::clone(record));
        }
        let record = Arc::new(self.run_record(step, run)?);
        self.run = Some((step, run, Arc::clone(&record)));
        Ok(record)
    }
}
