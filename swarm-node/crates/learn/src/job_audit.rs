//! Audits of a job's folder: a piece is recomputed and held against what the worker says of it.
//!
//! ```text
//! history.json, checkpoints      roots of the states, and the states       what a claim commits to
//! trace-….roots, -run-….values   roots and words inside one step           the worker's word when asked
//! ```
//! | piece | recomputed | held against |
//! |---|---|---|
//! | folder | every checkpoint's root | the history |
//! | step | the steps from the checkpoint before up to the one after | the history, and a trace |
//! | run | one run, from its inputs or from the checkpoint before | its values in the trace |
//! | outputs | one run, as before | what it comes to in the trace |
//! | node, element | one node, or one element of it | its result in the trace |
//!
//! Invariants: *wrong* is said only where two things that the worker says, or one of them and a
//! recomputation from another, cannot both be true. Whatever is missing or unreadable is *cannot
//! tell* with its reason. Nothing is written but what [`Auditor::trace`] is asked for.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use reproducible_ops::engine::reference::evaluate_operator;
use reproducible_ops::engine::{Buffer, Engine};
use reproducible_ops::program::{Digest, Program, ValueId};
use reproducible_ops::tensor::Tensor;
use swarm_identity::digest::hex;
use verde::audit::{Verdict, misbound_input, misbound_next, source_root};
use verde::evidence::{ClaimedNode, Evidence, EvidenceError, Finding};
use verde::execute::{ExecuteError, Executor, outputs_of, upload_input, values_of};
use verde::fault::Fault;
use verde::history::{self as claims, Length};
use verde::job::{Job, JobError};
use verde::run::RunTree;
use verde::state::StateTree;
use verde::step::{Schedule, StepError, StepHeader, StepRoots, StepTree};
use verde::tensor;

use super::checkpoint::{Checkpoint, CheckpointError, require_steps};
use super::hex_text;
use super::job_plan::JobPlan;
use super::job_record::state_root;
use super::job_run::{HISTORY, History, JobIdentity, JobRunError, read_history};
use super::run_folder::checkpoint_path;
use super::step_trace::{
    StepTrace, TraceError, Values, ValuesFile, checkpoint_after, interval_states, trace_path,
};

/// Why there is no audit.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    /// The history cannot be read.
    #[error(transparent)]
    History(#[from] JobRunError),
    /// A checkpoint cannot be read, for another reason than damage.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The plan is no job.
    #[error(transparent)]
    Job(#[from] JobError),
    /// A step cannot be computed.
    #[error(transparent)]
    Execute(#[from] ExecuteError),
    /// A trace is there and cannot be read, or not be written.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// Evidence cannot be made.
    #[error(transparent)]
    Evidence(#[from] EvidenceError),
    /// The folder is not one to go on from.
    #[error("no trace can be written: {0}")]
    Folder(String),
    /// There is no such piece.
    #[error("{what} {value}: there are {count}, numbered from 0")]
    NoSuch {
        /// Of what.
        what: &'static str,
        /// The number given.
        value: u64,
        /// How many there are.
        count: u64,
    },
    /// An input of a run is not computed, so it has no elements to recompute and no evidence.
    #[error("value {0} is an input of the run; it has no operator, so no element and no evidence")]
    Input(u32),
}

impl From<StepError> for AuditError {
    fn from(error: StepError) -> Self {
        ExecuteError::from(error).into()
    }
}

/// What an audit found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audited {
    /// The verdict.
    pub verdict: Verdict,
    /// What was compared with what, in order.
    pub compared: Vec<String>,
    /// Why the piece is wrong, or why it cannot be told.
    pub reason: Option<String>,
    /// Bytes of files read.
    pub read_bytes: u64,
    /// Bytes of tensors hashed.
    pub hashed_bytes: u64,
}

/// The end of an audit before all was compared.
enum Halt {
    Verdict(Verdict, String),
    Error(AuditError),
}

impl<E: Into<AuditError>> From<E> for Halt {
    fn from(error: E) -> Self {
        Self::Error(error.into())
    }
}

fn wrong<T>(reason: impl Into<String>) -> Result<T, Halt> {
    Err(Halt::Verdict(Verdict::Wrong, reason.into()))
}

fn cannot<T>(reason: impl Into<String>) -> Result<T, Halt> {
    Err(Halt::Verdict(Verdict::CannotTell, reason.into()))
}

/// What was done so far.
#[derive(Clone, Debug, Default)]
struct Work {
    compared: Vec<String>,
    read: u64,
    hashed: u64,
}

impl Work {
    /// Keeps what was compared; the history is read more than once.
    fn note(&mut self, text: String) {
        if !self.compared.contains(&text) {
            self.compared.push(text);
        }
    }

    fn root(&mut self, tensor: &Tensor) -> Digest {
        self.hashed += 4 * tensor.words().len() as u64;
        tensor::root(tensor)
    }

    fn audited(self, ended: Result<(), Halt>) -> Result<Audited, AuditError> {
        let (verdict, reason) = match ended {
            Ok(()) => (Verdict::Right, None),
            Err(Halt::Verdict(verdict, reason)) => (verdict, Some(reason)),
            Err(Halt::Error(error)) => return Err(error),
        };
        Ok(Audited {
            verdict,
            compared: self.compared,
            reason,
            read_bytes: self.read,
            hashed_bytes: self.hashed,
        })
    }

    /// Reads a checkpoint and hashes its state.
    fn checkpoint(&mut self, folder: &Path, steps: u64) -> Result<Read, AuditError> {
        let path = checkpoint_path(folder, steps);
        if !fs::exists(&path).unwrap_or(true) {
            return Ok(Read::Missing);
        }
        self.read += size_of(&path);
        let loaded = Checkpoint::load(&path)
            .and_then(|found| require_steps(&path, steps, found.steps).map(|()| found));
        match loaded {
            Ok(checkpoint) => Ok(Read::Whole(checkpoint)),
            Err(error) if error.is_damage() => Ok(Read::Damaged(error.to_string())),
            Err(error) => Err(error.into()),
        }
    }

    /// The root of a checkpoint's state, by the names of its tensors.
    fn state_root(&mut self, checkpoint: &Checkpoint) -> Result<Digest, StepError> {
        state_root(&checkpoint.state, |tensor| self.root(tensor))
    }
}

enum Read {
    Whole(Checkpoint),
    Missing,
    Damaged(String),
}

fn size_of(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let sizes = entries.filter_map(|entry| entry.metadata().ok());
    sizes
        .filter(fs::Metadata::is_file)
        .map(|file| file.len())
        .sum()
}

/// Checks that history, checkpoints and their roots belong together. The plan is not needed.
///
/// # Errors
/// The folder cannot be read.
pub fn audit_folder(folder: &Path) -> Result<Audited, AuditError> {
    let mut work = Work::default();
    let ended = check_folder(folder, &mut work);
    work.audited(ended)
}

fn check_folder(folder: &Path, work: &mut Work) -> Result<(), Halt> {
    let history = history_of(folder, work)?;
    let roots = check_history(&history, work)?;
    let (mut missing, stride) = (Vec::new(), history.identity.stride);
    // The initial state is that of the spec; no checkpoint is written of it.
    for (number, root) in roots.iter().enumerate().skip(1) {
        let steps = number as u64 * stride;
        match work.checkpoint(folder, steps)? {
            Read::Missing => missing.push(steps),
            Read::Damaged(reason) => {
                return wrong(format!("the checkpoint after {steps}: {reason}"));
            }
            Read::Whole(checkpoint) => {
                if work.state_root(&checkpoint)? != *root {
                    return wrong(format!(
                        "the checkpoint after {steps} steps hashes to another root than the \
                         history has for it"
                    ));
                }
                let text = format!("the checkpoint after {steps} steps with its root");
                work.note(text);
            }
        }
    }
    match missing.is_empty() {
        true => Ok(()),
        false => cannot(format!("there are no checkpoints after {missing:?} steps")),
    }
}

fn history_of(folder: &Path, work: &mut Work) -> Result<History, Halt> {
    match read_history(folder)? {
        Some(history) => {
            let path = folder.join(HISTORY);
            work.read += fs::metadata(path).map_or(0, |file| file.len());
            Ok(history)
        }
        None => cannot(format!("there is no {}", folder.join(HISTORY).display())),
    }
}

/// Steps and stride of a job; none where there are no such ones.
fn length_of(identity: &JobIdentity) -> Option<Length> {
    let stride = u32::try_from(identity.stride).ok()?;
    Length::new(identity.steps, stride).ok()
}

/// Checks a history for itself. Returns its roots.
fn check_history(history: &History, work: &mut Work) -> Result<Vec<Digest>, Halt> {
    let identity = &history.identity;
    let parsed = [&identity.plan, &identity.initial].map(|text| hex_text::read_digest(text));
    let roots: Option<Vec<Digest>> = history
        .roots
        .iter()
        .map(|text| hex_text::read_digest(text))
        .collect();
    let ([Some(plan), Some(initial)], Some(roots)) = (parsed, roots) else {
        return wrong("the history has a digest that is none");
    };
    let name = JobIdentity::name(&plan, &initial, identity.steps, identity.stride);
    if name != identity.job {
        return wrong("the history's job is not that of its plan, initial state, steps and stride");
    }
    let Some(length) = length_of(identity) else {
        return wrong("the history has impossible steps or an impossible stride");
    };
    if roots.first() != Some(&initial) {
        return wrong("the history's first root is not that of the job's initial state");
    }
    let (found, expected) = (roots.len() as u64, length.checkpoints());
    if found > expected {
        return wrong(format!(
            "{found} roots of a job that has {expected} checkpoints"
        ));
    }
    let text = format!("{found} roots of {expected} with the job's name and initial state");
    work.note(text);
    if let Ok(whole) = claims::History::new(plan, length, roots.clone()) {
        let root = hex(&whole.claim().root());
        work.compared
            .push(format!("the whole history, whose root is {root}"));
    }
    Ok(roots)
}

/// Who recomputes pieces of a job, from its plan and its folder.
pub struct Auditor<'a> {
    engine: &'a dyn Engine,
    planned: &'a JobPlan,
    identity: JobIdentity,
    job: Job,
    folder: PathBuf,
    /// Of the machine that traces are of.
    fault: Option<Fault>,
}

/// A node of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodePlace {
    /// The step, from 0.
    pub step: u64,
    /// The run, by its number in the plan.
    pub run: usize,
    /// The node, by its value.
    pub value: ValueId,
}

/// What a worker says of a step, as many roots as plan and programs have. No tree is made of them:
/// all runs together have a hundred thousand.
struct Traced {
    roots: StepRoots,
    header: StepHeader,
}

impl Traced {
    /// The root of a value of a run of the plan.
    fn value(&self, run: usize, value: ValueId) -> Option<&Digest> {
        self.roots.runs[run].get(value.index())
    }
}

/// The tensors of one run: words that the worker published, or that were recomputed.
enum Tensors<'p> {
    Published(Values<'p>),
    Recomputed(Vec<Tensor>),
}

impl Tensors<'_> {
    fn read(&mut self, value: ValueId, work: &mut Work) -> Result<Tensor, Halt> {
        match self {
            Self::Published(values) => {
                let tensor = values.read(value.index())?;
                work.read += 4 * tensor.words().len() as u64;
                Ok(tensor)
            }
            Self::Recomputed(values) => match values.get(value.index()) {
                Some(tensor) => Ok(tensor.clone()),
                None => cannot(format!("value {} was not recomputed", value.0)),
            },
        }
    }

    fn origin(&self) -> &'static str {
        match self {
            Self::Published(_) => "published by the worker",
            Self::Recomputed(_) => "recomputed from the checkpoint before",
        }
    }
}

impl<'a> Auditor<'a> {
    /// An auditor of a folder. The plan is what the auditor holds to be the job's.
    ///
    /// # Errors
    /// The plan is no job.
    pub fn new(
        engine: &'a dyn Engine,
        planned: &'a JobPlan,
        identity: JobIdentity,
        folder: &Path,
    ) -> Result<Self, AuditError> {
        Ok(Self {
            engine,
            planned,
            identity,
            job: Job::new(planned.plan.clone(), planned.programs.clone())?,
            folder: folder.into(),
            fault: None,
        })
    }

    /// Plan and programs.
    pub fn job(&self) -> &Job {
        &self.job
    }

    /// Recomputes a step, from the nearest checkpoint before it up to the one after it.
    ///
    /// # Errors
    /// There is no such step, or the folder cannot be read.
    pub fn step(&self, step: u64) -> Result<Audited, AuditError> {
        self.require_step(step)?;
        let mut work = Work::default();
        let ended = self.check_step(step, &mut work);
        work.audited(ended)
    }

    /// Recomputes one run of a step.
    ///
    /// # Errors
    /// There is no such run, or the folder cannot be read.
    pub fn run(&self, step: u64, run: usize) -> Result<Audited, AuditError> {
        self.require_run(step, run)?;
        let mut work = Work::default();
        let ended = self.check_run(step, run, &mut work);
        work.audited(ended)
    }

    /// Recomputes what a run comes to, its outputs, from its inputs. A value in between is looked
    /// at only if an output is another.
    ///
    /// # Errors
    /// There is no such run, or the folder cannot be read.
    pub fn outputs(&self, step: u64, run: usize) -> Result<Audited, AuditError> {
        self.require_run(step, run)?;
        let mut work = Work::default();
        let ended = self.check_outputs(step, run, &mut work);
        work.audited(ended)
    }

    /// Recomputes one node from its operands. Evidence is made where it is asked for.
    ///
    /// # Errors
    /// There is no such value, no evidence can be made, or the folder cannot be read.
    pub fn node(
        &self,
        place: NodePlace,
        with_evidence: bool,
    ) -> Result<(Audited, Option<Evidence>), AuditError> {
        self.require_value(place)?;
        let (mut work, mut evidence) = (Work::default(), None);
        let ended = self.check_node(place, with_evidence.then_some(&mut evidence), &mut work);
        Ok((work.audited(ended)?, evidence))
    }

    /// Recomputes one element of a node from opened tiles, which are the evidence.
    ///
    /// # Errors
    /// There is no such element, or the folder cannot be read.
    pub fn element(
        &self,
        place: NodePlace,
        element: usize,
    ) -> Result<(Audited, Option<Evidence>), AuditError> {
        self.require_value(place)?;
        let node = self.job.node(place.run, place.value);
        let node = node.ok_or(AuditError::Input(place.value.0))?;
        require("element", element as u64, node.ty.shape.elements() as u64)?;
        let (mut work, mut evidence) = (Work::default(), None);
        let ended = self.check_element(place, element, &mut evidence, &mut work);
        Ok((work.audited(ended)?, evidence))
    }

    /// The same auditor, whose traces are those of a machine that gets one bit wrong: what a worker
    /// with such a machine claims, and so writes when it is asked. Audits stay what they are.
    #[must_use]
    pub fn with_fault(self, fault: Option<Fault>) -> Self {
        Self { fault, ..self }
    }

    /// Writes what this machine computes for a step: the trace, and the values of these runs. This
    /// is what a worker does when it is asked. Returns the files.
    ///
    /// # Errors
    /// There is no such step, run, or checkpoint to begin from; what is computed is not what the
    /// history has at the checkpoints around the step; the system refuses.
    pub fn trace(&self, step: u64, runs: &[usize]) -> Result<Vec<PathBuf>, AuditError> {
        self.require_step(step)?;
        for run in runs {
            self.require_run(step, *run)?;
        }
        match self.write_trace(step, runs, &mut Work::default()) {
            Ok(paths) => Ok(paths),
            Err(Halt::Error(error)) => Err(error),
            Err(Halt::Verdict(_, reason)) => Err(AuditError::Folder(reason)),
        }
    }

    fn write_trace(
        &self,
        step: u64,
        runs: &[usize],
        work: &mut Work,
    ) -> Result<Vec<PathBuf>, Halt> {
        let history = self.history(work)?;
        let length = self.length()?;
        let checkpoint = checkpoint_after(length, step);
        let (first, last) = (length.step_of(checkpoint - 1), length.step_of(checkpoint));
        let mut executor = self.executor_from(&history, first, self.fault, work)?;
        let (mut state, mut before, mut after) = (Vec::new(), Vec::new(), Vec::new());
        let mut interval = Vec::new();
        for done in first..=last {
            if done > first {
                executor.step(&[])?;
            }
            let tensors = executor.state()?;
            let roots: Vec<Digest> = tensors.iter().map(tensor::root).collect();
            interval.push(self.root_of(&roots)?);
            if done == step {
                (state, before) = (tensors, roots);
            } else if done == step + 1 {
                after = roots;
            }
        }
        let known = history.get(checkpoint as usize);
        if known.is_some() && known != interval.last() {
            return wrong(not_in_history(last));
        }
        executor.restore(&state)?;
        let mut traced = vec![Vec::new(); self.job.plan().runs.len()];
        let mut files = BTreeMap::new();
        for run in runs {
            files.insert(*run, ValuesFile::create(&self.folder, step, *run)?);
        }
        let mut written = Ok(());
        executor.trace(&[], |run, _, value| {
            traced[run].push(tensor::root(&value));
            if let (Some(file), Ok(())) = (files.get_mut(&run), &written) {
                written = file.add(&value);
            }
        })?;
        written?;
        if interval_states(length, step) == 0 {
            interval.clear();
        }
        let trace = StepTrace {
            job: self.identity.job.clone(),
            step,
            roots: StepRoots {
                before,
                given: Vec::new(),
                after,
                runs: traced,
            },
            interval,
        };
        let mut paths = vec![trace.write(&self.folder)?];
        for file in files.into_values() {
            paths.push(file.finish()?);
        }
        Ok(paths)
    }

    fn length(&self) -> Result<Length, Halt> {
        match length_of(&self.identity) {
            Some(length) => Ok(length),
            None => cannot("the specification has impossible steps or an impossible stride"),
        }
    }

    /// The root of a state whose tensors have these roots.
    fn root_of(&self, roots: &[Digest]) -> Result<Digest, StepError> {
        let named = self.job.plan().state.iter().zip(roots);
        let named = named.map(|(slot, root)| (slot.name.as_str(), *root));
        Ok(StateTree::new(named)?.root())
    }

    fn require_step(&self, step: u64) -> Result<(), AuditError> {
        require("step", step, self.identity.steps)
    }

    fn require_run(&self, step: u64, run: usize) -> Result<(), AuditError> {
        self.require_step(step)?;
        require("run", run as u64, self.job.plan().runs.len() as u64)
    }

    #[expect(clippy::expect_used, reason = "it was asked for before")]
    fn require_value(&self, place: NodePlace) -> Result<(), AuditError> {
        self.require_run(place.step, place.run)?;
        let run = self.job.run(place.run);
        let (_, program) = run.expect("invariant: the plan has the run");
        require(
            "operator",
            place.value.0.into(),
            program.value_count() as u64,
        )
    }

    fn schedule(&self) -> Result<Schedule<'_>, Halt> {
        Ok(self.planned.schedule().map_err(StepError::from)?)
    }

    /// The history of the folder, which must be of the auditor's job.
    fn history(&self, work: &mut Work) -> Result<Vec<Digest>, Halt> {
        let history = history_of(&self.folder, work)?;
        if history.identity != self.identity {
            return cannot(format!(
                "the history is of job {}, and the specification of {}",
                history.identity.job, self.identity.job
            ));
        }
        check_history(&history, work)
    }

    /// The plan before a step, recomputed from the nearest checkpoint that is what the history
    /// says.
    fn executor_at(&self, step: u64, work: &mut Work) -> Result<Executor<'a>, Halt> {
        let roots = self.history(work)?;
        self.executor_from(&roots, step, None, work)
    }

    fn executor_from(
        &self,
        roots: &[Digest],
        step: u64,
        fault: Option<Fault>,
        work: &mut Work,
    ) -> Result<Executor<'a>, Halt> {
        let stride = self.identity.stride;
        let (mut at, mut state) = (0, self.planned.state.clone());
        let last = (step / stride).min(roots.len().saturating_sub(1) as u64);
        for number in (1..=last).rev() {
            let steps = number * stride;
            let Read::Whole(checkpoint) = work.checkpoint(&self.folder, steps)? else {
                continue;
            };
            if work.state_root(&checkpoint)? == roots[number as usize]
                && let Ok(tensors) = self.planned.tensors_of(&checkpoint.state)
            {
                (at, state) = (steps, tensors);
                break;
            }
        }
        let schedule = self.planned.schedule().map_err(StepError::from)?;
        let constants = &self.planned.constants;
        let mut executor = Executor::new(self.engine, schedule, constants, &state)?;
        if let Some(fault) = fault {
            executor.break_with(fault);
        }
        let words: usize = constants.iter().map(|tensor| tensor.words().len()).sum();
        work.hashed += 4 * words as u64;
        for done in at + 1..=step {
            executor.step(&[])?;
            self.compare_checkpoint(&executor, roots, done, work)?;
        }
        Ok(executor)
    }

    /// Compares the state after so many steps with the history, if it is one of those.
    fn compare_checkpoint(
        &self,
        executor: &Executor<'_>,
        roots: &[Digest],
        done: u64,
        work: &mut Work,
    ) -> Result<(), Halt> {
        if !done.is_multiple_of(self.identity.stride) {
            return Ok(());
        }
        let Some(root) = roots.get((done / self.identity.stride) as usize) else {
            return Ok(());
        };
        if self.state_root(executor, work)? != *root {
            return wrong(not_in_history(done));
        }
        let text = format!("the state after {done} steps with the history");
        work.note(text);
        Ok(())
    }

    fn state_root(&self, executor: &Executor<'_>, work: &mut Work) -> Result<Digest, Halt> {
        let state = executor.state()?;
        let words: usize = state.iter().map(|tensor| tensor.words().len()).sum();
        work.hashed += 4 * words as u64;
        Ok(self.schedule()?.state_root(&state)?)
    }

    /// The tree over what a trace says, which evidence has paths of.
    fn tree(&self, traced: &Traced) -> Result<StepTree, Halt> {
        Ok(StepTree::from_roots(&self.schedule()?, &traced.roots)?)
    }

    /// The trace of a step, if there is one: it must fit the plan and the history.
    fn trace_of(
        &self,
        step: u64,
        roots: &[Digest],
        work: &mut Work,
    ) -> Result<Option<Traced>, Halt> {
        let (trace, bytes) = match StepTrace::read(&self.folder, step) {
            Ok(read) => read,
            Err(error) if error.is_missing() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        work.read += bytes;
        if trace.job != self.identity.job {
            return cannot(format!("the trace of step {step} is of job {}", trace.job));
        }
        let header = StepHeader::from_roots(&self.schedule()?, &trace.roots);
        let header = header.map_err(|error| TraceError::Malformed {
            path: trace_path(&self.folder, step),
            reason: error.to_string(),
        })?;
        let stride = self.identity.stride;
        let sides = [(step, header.state), (step + 1, header.next)];
        for (done, root) in sides {
            let known = roots.get((done / stride) as usize);
            let known = known.filter(|_| done.is_multiple_of(stride));
            if known.is_some_and(|known| *known != root) {
                return wrong(format!(
                    "the trace of step {step} has another state after {done} steps than the history"
                ));
            }
        }
        self.check_interval(&trace, &header, roots)?;
        let roots = trace.roots;
        Ok(Some(Traced { roots, header }))
    }

    /// Checks the states between the checkpoints around a traced step with its own two and with the
    /// history.
    fn check_interval(
        &self,
        trace: &StepTrace,
        header: &StepHeader,
        roots: &[Digest],
    ) -> Result<(), Halt> {
        let (length, step) = (self.length()?, trace.step);
        let (found, expected) = (trace.interval.len() as u64, interval_states(length, step));
        if found != expected {
            let reason = format!(
                "{found} states between the checkpoints around step {step}, where there are \
                 {expected}"
            );
            let path = trace_path(&self.folder, step);
            return Err(TraceError::Malformed { path, reason }.into());
        }
        let checkpoint = checkpoint_after(length, step);
        let first = length.step_of(checkpoint - 1);
        for (done, state) in (first..).zip(&trace.interval) {
            let known = match done {
                _ if done == first => roots.get(checkpoint as usize - 1),
                _ if done == length.step_of(checkpoint) => roots.get(checkpoint as usize),
                _ => None,
            };
            let own = match done {
                _ if done == step => Some(&header.state),
                _ if done == step + 1 => Some(&header.next),
                _ => None,
            };
            if [known, own].into_iter().flatten().any(|root| root != state) {
                return wrong(format!(
                    "among the states between checkpoints, the trace of step {step} has another \
                     one after {done} steps than the history or the trace itself"
                ));
            }
        }
        Ok(())
    }

    /// The trace, without which nothing inside a step can be told.
    fn required_trace(&self, step: u64, work: &mut Work) -> Result<Traced, Halt> {
        let roots = self.history(work)?;
        match self.trace_of(step, &roots, work)? {
            Some(trace) => Ok(trace),
            None => cannot(format!(
                "the worker says nothing of step {step}: a claim commits to checkpoints only, and \
                 there is no {} (`job trace` writes it)",
                trace_path(&self.folder, step).display()
            )),
        }
    }

    fn check_step(&self, step: u64, work: &mut Work) -> Result<(), Halt> {
        let roots = self.history(work)?;
        let stride = self.identity.stride;
        let next = step / stride + 1;
        let is_known = (next as usize) < roots.len();
        let trace = self.trace_of(step, &roots, work)?;
        if !is_known && trace.is_none() {
            return cannot(format!(
                "the history ends before the checkpoint after {} steps, and there is no trace of \
                 step {step}",
                next * stride
            ));
        }
        let mut executor = self.executor_from(&roots, step, None, work)?;
        if let Some(Traced { roots, header }) = &trace {
            self.compare_before(&executor, step, header, work)?;
            if let Some(place) = misbound_next(&self.job, roots) {
                let name = &self.job.plan().state[place].name;
                return wrong(format!(
                    "the trace's next `{name}` is not the output that the plan binds it to"
                ));
            }
        }
        executor.step(&[])?;
        if let Some(traced) = &trace {
            if self.state_root(&executor, work)? != traced.header.next {
                return wrong(format!(
                    "the state after step {step} is not that of its trace"
                ));
            }
            work.compared
                .push(format!("the state after step {step} with its trace"));
        }
        self.compare_checkpoint(&executor, &roots, step + 1, work)?;
        if !is_known {
            return Ok(());
        }
        for done in step + 2..=next * stride {
            executor.step(&[])?;
            self.compare_checkpoint(&executor, &roots, done, work)?;
        }
        Ok(())
    }

    fn compare_before(
        &self,
        executor: &Executor<'_>,
        step: u64,
        header: &StepHeader,
        work: &mut Work,
    ) -> Result<(), Halt> {
        if self.state_root(executor, work)? != header.state {
            return wrong(format!(
                "the state before step {step} is not that of its trace"
            ));
        }
        work.compared
            .push(format!("the state before step {step} with its trace"));
        Ok(())
    }

    fn check_outputs(&self, step: u64, run: usize, work: &mut Work) -> Result<(), Halt> {
        let traced = self.required_trace(step, work)?;
        let Some((_, program)) = self.job.run(run) else {
            return cannot(format!("the plan has no run {run}"));
        };
        self.check_bound(&traced.roots, run, program, work)?;
        let claimed = |value: ValueId| traced.value(run, value);
        let (inputs, origin) = match Values::open(&self.folder, step, run, program)? {
            Some(values) => {
                let mut tensors = Tensors::Published(values);
                let inputs = self.committed_inputs(&mut tensors, &traced, run, program, work)?;
                (inputs, tensors.origin())
            }
            None => {
                let mut executor = self.executor_at(step, work)?;
                self.compare_before(&executor, step, &traced.header, work)?;
                let inputs = executor.run_inputs(&[], run)?;
                for (place, buffer) in inputs.iter().enumerate() {
                    let root = work.root(&buffer.read().map_err(ExecuteError::from)?);
                    if claimed(ValueId(place as u32)) != Some(&root) {
                        return self.check_run(step, run, work);
                    }
                }
                (inputs, Tensors::Recomputed(Vec::new()).origin())
            }
        };
        let mut is_claimed = true;
        outputs_of(self.engine, program, &inputs, |output, tensor| {
            is_claimed &= claimed(output.value) == Some(&work.root(&tensor));
        })?;
        if !is_claimed {
            return self.check_run(step, run, work);
        }
        work.note(format!(
            "{} outputs of run {run} ({} operators) from inputs {} with the trace",
            program.outputs().len(),
            program.nodes().len(),
            origin
        ));
        Ok(())
    }

    fn check_bound(
        &self,
        roots: &StepRoots,
        run: usize,
        program: &Program,
        work: &mut Work,
    ) -> Result<(), Halt> {
        if let Some(input) = misbound_input(&self.job, roots, run) {
            let name = &program.inputs()[input].name;
            return wrong(format!(
                "input `{name}` of run {run} is not what the plan binds it to"
            ));
        }
        work.note(format!("the inputs of run {run} with the plan"));
        Ok(())
    }

    /// The inputs of a run in the engine's memory, each with the root that the worker committed to.
    /// They come one at a time, so that none is on the host for longer than it is hashed.
    fn committed_inputs(
        &self,
        tensors: &mut Tensors<'_>,
        traced: &Traced,
        run: usize,
        program: &Program,
        work: &mut Work,
    ) -> Result<Vec<Buffer>, Halt> {
        let inputs = (0..).map(ValueId).zip(program.inputs());
        let uploaded = inputs.map(|(id, input)| {
            let tensor = self.committed(tensors, traced, run, id, work)?;
            Ok(upload_input(self.engine, input, &tensor)?)
        });
        uploaded.collect()
    }

    fn check_run(&self, step: u64, run: usize, work: &mut Work) -> Result<(), Halt> {
        let traced = self.required_trace(step, work)?;
        let Some((bound, program)) = self.job.run(run) else {
            return cannot(format!("the plan has no run {run}"));
        };
        self.check_bound(&traced.roots, run, program, work)?;
        let inputs = bound.inputs.len();
        let published = Values::open(&self.folder, step, run, program)?;
        let (values, origin) = match published {
            Some(values) => {
                let mut tensors = Tensors::Published(values);
                let inputs = self.committed_inputs(&mut tensors, &traced, run, program, work)?;
                let origin = tensors.origin();
                (values_of(self.engine, program, &inputs)?, origin)
            }
            None => {
                let mut executor = self.executor_at(step, work)?;
                self.compare_before(&executor, step, &traced.header, work)?;
                let values = executor.run_values(&[], run)?;
                (values, Tensors::Recomputed(Vec::new()).origin())
            }
        };
        let found: Vec<Digest> = values.iter().map(|value| work.root(value)).collect();
        let found = RunTree::from_roots(program, found).map_err(StepError::from)?;
        let text = format!(
            "{} values of run {run} ({} operators) from inputs {origin} with the trace",
            values.len(),
            program.nodes().len()
        );
        work.note(text);
        let said = traced.roots.runs[run].clone();
        let said = RunTree::from_roots(program, said).map_err(StepError::from)?;
        match said.first_difference(&found) {
            None => Ok(()),
            Some(id) if id.index() < inputs => wrong(format!(
                "input `{}` of run {run}: its tensor is not the one recomputed; it comes from {:?}, \
                 so audit that",
                program.inputs()[id.index()].name,
                bound.inputs[id.index()]
            )),
            Some(id) => wrong(format!(
                "value {} of run {run} is the first that is not what its operands give",
                id.0
            )),
        }
    }

    /// The tensors of a run of which single ones are needed.
    fn tensors_of<'s>(
        &'s self,
        place: NodePlace,
        traced: &Traced,
        work: &mut Work,
    ) -> Result<Tensors<'s>, Halt> {
        let NodePlace { step, run, .. } = place;
        let Some((_, program)) = self.job.run(run) else {
            return cannot(format!("the plan has no run {run}"));
        };
        if let Some(values) = Values::open(&self.folder, step, run, program)? {
            return Ok(Tensors::Published(values));
        }
        let mut executor = self.executor_at(step, work)?;
        self.compare_before(&executor, step, &traced.header, work)?;
        Ok(Tensors::Recomputed(executor.run_values(&[], run)?))
    }

    /// A tensor of a run whose root is the one that the worker committed to.
    fn committed(
        &self,
        tensors: &mut Tensors<'_>,
        traced: &Traced,
        run: usize,
        value: ValueId,
        work: &mut Work,
    ) -> Result<Tensor, Halt> {
        let tensor = tensors.read(value, work)?;
        let root = work.root(&tensor);
        match traced.value(run, value) == Some(&root) {
            true => Ok(tensor),
            false => cannot(format!(
                "value {} of run {run} as {} is not the one in the trace; audit that value",
                value.0,
                tensors.origin()
            )),
        }
    }

    /// A value that is bound, not computed: its root alone decides.
    fn check_input(
        &self,
        place: NodePlace,
        roots: &StepRoots,
        work: &mut Work,
    ) -> Result<(), Halt> {
        let NodePlace { run, value, .. } = place;
        let source = self
            .job
            .run(run)
            .and_then(|(run, _)| run.inputs.get(value.index()));
        let bound = source.and_then(|source| source_root(&self.job, roots, *source));
        let found = roots.runs.get(run).and_then(|run| run.get(value.index()));
        let text = format!(
            "input {} of run {run} with what the plan binds it to",
            value.0
        );
        work.note(text);
        match bound.as_ref() == found {
            true => Ok(()),
            false => wrong(format!("input {} of run {run} is another tensor", value.0)),
        }
    }

    fn check_node(
        &self,
        place: NodePlace,
        evidence: Option<&mut Option<Evidence>>,
        work: &mut Work,
    ) -> Result<(), Halt> {
        let traced = self.required_trace(place.step, work)?;
        let NodePlace { run, value, .. } = place;
        let Some(node) = self.job.node(run, value) else {
            return match evidence {
                Some(_) => Err(AuditError::Input(value.0).into()),
                None => self.check_input(place, &traced.roots, work),
            };
        };
        let mut tensors = self.tensors_of(place, &traced, work)?;
        let operands = node.inputs.iter();
        let operands: Vec<Tensor> = operands
            .map(|id| self.committed(&mut tensors, &traced, run, *id, work))
            .collect::<Result<_, _>>()?;
        let operands: Vec<&Tensor> = operands.iter().collect();
        let right = evaluate_operator(&node.operator, &operands).map_err(StepError::from)?;
        let right = work.root(&right);
        let text = format!(
            "value {} of run {run} (`{}` of {} operands, {}) with the trace",
            value.0,
            node.operator.name(),
            operands.len(),
            tensors.origin()
        );
        work.note(text);
        if let Some(place) = evidence {
            let tree = self.tree(&traced)?;
            let claimed = self.claimed(&tree, run, value);
            *place = Some(claimed.whole(&operands)?.0);
        }
        match traced.value(run, value) == Some(&right) {
            true => Ok(()),
            false => wrong(format!(
                "value {} of run {run} is not what `{}` gives: root {}, not the trace's",
                value.0,
                node.operator.name(),
                hex(&right)
            )),
        }
    }

    fn claimed<'s>(&'s self, step: &'s StepTree, run: usize, value: ValueId) -> ClaimedNode<'s> {
        ClaimedNode {
            job: &self.job,
            step,
            run,
            value,
        }
    }

    fn check_element(
        &self,
        place: NodePlace,
        element: usize,
        evidence: &mut Option<Evidence>,
        work: &mut Work,
    ) -> Result<(), Halt> {
        let traced = self.required_trace(place.step, work)?;
        let NodePlace { run, value, .. } = place;
        let Some(node) = self.job.node(run, value) else {
            return Err(AuditError::Input(value.0).into());
        };
        let mut tensors = self.tensors_of(place, &traced, work)?;
        let claimed = self.committed(&mut tensors, &traced, run, value, work)?;
        let operands = node.inputs.iter();
        let operands: Vec<Tensor> = operands
            .map(|id| self.committed(&mut tensors, &traced, run, *id, work))
            .collect::<Result<_, _>>()?;
        let operands: Vec<&Tensor> = operands.iter().collect();
        let tree = self.tree(&traced)?;
        let node = self.claimed(&tree, run, value);
        let (found, finding) = node.element(&operands, &claimed, element)?;
        *evidence = Some(found);
        // Each operand for its root and for its tiles, the result for its tile.
        let words = operands.iter().map(|operand| 2 * operand.words().len());
        work.hashed += 4 * (words.sum::<usize>() + claimed.words().len()) as u64;
        let text = format!(
            "element {element} of value {} of run {run} with its tile",
            value.0
        );
        work.note(text);
        match finding.verdict() {
            Verdict::Right => Ok(()),
            _ => wrong(describe(&finding)),
        }
    }
}

fn not_in_history(done: u64) -> String {
    format!(
        "the state after {done} steps is not the one whose root the history has; the first wrong \
         step is one of those since the checkpoint before"
    )
}

fn require(what: &'static str, value: u64, count: u64) -> Result<(), AuditError> {
    match value < count {
        true => Ok(()),
        false => Err(AuditError::NoSuch { what, value, count }),
    }
}

/// What a recheck found, in words.
pub fn describe(finding: &Finding) -> String {
    match finding {
        Finding::Element {
            element,
            claimed,
            right,
        } => format!(
            "element {element} is claimed to be {claimed:#010x}, and its operands give {right:#010x}"
        ),
        Finding::Node { claimed, right } => format!(
            "the result is claimed to have the root {}, and its operands give {}",
            hex(claimed),
            hex(right)
        ),
    }
}
