//! What a worker published of a job, as a record of its own: what refutes a claim by the worker's
//! word.
//!
//! ```text
//! history.json              ─▶ history ──────────────────────────┐
//! trace-….roots             ─▶ interval, step ───────────────────┼─▶ PublishedRecord
//! trace-….roots, …values    ─▶ run: words with the trace's roots ┘
//! ```
//! Nothing is computed: a wrong value is answered as it was published, which is what a refutation
//! shows. So this record says what the worker says, and never what is right.
//!
//! Invariants: every answer has the numbers of the plan; the words of a run have the roots of its
//! trace, and the states of an interval lead from one checkpoint of the history to the next. What
//! is not so, or is not there, is an error that names it and what to ask the worker for. The files
//! are a stranger's: each size is checked before anything is made of it, and no bytes make this
//! panic.
//!
//! Limits: one step, one run and one interval are held at a time.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use reproducible_ops::program::{Digest, Program};
use reproducible_ops::tensor::Tensor;
use swarm_identity::digest::hex;
use verde::history::{History, Length};
use verde::job::Job;
use verde::record::{Record, RecordError, RunRecord, StepRecord};
use verde::run::{RunHeader, RunTree};

use super::job_record::whole_history;
use super::job_run::{HISTORY, JobIdentity, JobRunError};
use super::step_trace::{
    StepTrace, Values, interval_states, step_of_trace, trace_path, values_path,
};

/// Why a folder is no record.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishedError {
    /// The history cannot be read, or is of another job.
    #[error(transparent)]
    History(#[from] JobRunError),
    /// There is no history, or one that ends before the job.
    #[error(
        "{path} is not there, or ends before the {steps} steps of the job; ask the worker for the \
         history that it claims",
        path = path.display()
    )]
    NotWhole {
        /// The file.
        path: PathBuf,
        /// Steps of the job.
        steps: u64,
    },
    /// Plan and programs are not those that the identity names.
    #[error(
        "the plan is {found}, and the job that is looked for has {expected}; assemble that one"
    )]
    OtherPlan {
        /// Digest of the plan given.
        found: String,
        /// Digest of the identity's plan.
        expected: String,
    },
}

/// What a worker published of a job.
#[derive(Debug)]
pub struct PublishedRecord<'a> {
    job: &'a Job,
    name: String,
    folder: PathBuf,
    history: History,
    /// The step whose trace is asked first for the states around it.
    first: Option<u64>,
    interval: Option<(u64, Vec<Digest>)>,
    step: Option<Traced>,
    run: Option<(u64, usize, Arc<RunRecord>)>,
}

/// A step as its trace has it.
#[derive(Debug)]
struct Traced {
    step: u64,
    /// Roots of the values of each run.
    runs: Vec<Vec<Digest>>,
    record: Arc<StepRecord>,
}

impl<'a> PublishedRecord<'a> {
    /// The record of a worker's folder. Job and identity are what the verifier holds to be the
    /// job's.
    ///
    /// # Errors
    /// The folder has not the whole history of this job.
    pub fn open(
        folder: &Path,
        job: &'a Job,
        identity: &JobIdentity,
    ) -> Result<Self, PublishedError> {
        let plan = hex(&job.digest());
        if plan != identity.plan {
            return Err(PublishedError::OtherPlan {
                found: plan,
                expected: identity.plan.clone(),
            });
        }
        let Some(history) = whole_history(folder, identity)? else {
            return Err(PublishedError::NotWhole {
                path: folder.join(HISTORY),
                steps: identity.steps,
            });
        };
        Ok(Self {
            job,
            name: identity.job.clone(),
            folder: folder.into(),
            history,
            first: None,
            interval: None,
            step: None,
            run: None,
        })
    }

    /// Takes the states around a step from the trace of that step, where it has one. Traces of
    /// other steps between the same checkpoints may say otherwise: what a worker has signed of a
    /// step is refuted by the trace of that step.
    #[must_use]
    pub fn about(self, step: u64) -> Self {
        Self {
            first: Some(step),
            interval: None,
            ..self
        }
    }

    fn length(&self) -> Length {
        self.history.claim().length
    }

    fn missing(&self, what: impl std::fmt::Display, ask: &str) -> RecordError {
        RecordError::Missing(format!(
            "{what}; ask the worker for what it computed (`job trace RUN {ask}`)"
        ))
    }

    /// The trace of a step, of which the numbers of roots are those of the plan.
    fn trace(&self, step: u64, ask: &str) -> Result<StepTrace, RecordError> {
        let steps = self.length().steps();
        if step >= steps {
            let text = format!("step {step}: the job has {steps}, numbered from 0");
            return Err(RecordError::Missing(text));
        }
        let read = StepTrace::read(&self.folder, step);
        let (trace, _) = read.map_err(|error| self.missing(error, ask))?;
        let misfit = match trace.job == self.name {
            true => self.misfit(&trace),
            false => Some(format!("it is of job {}, not of {}", trace.job, self.name)),
        };
        match misfit {
            None => Ok(trace),
            Some(misfit) => {
                let path = trace_path(&self.folder, step);
                Err(self.missing(format_args!("{}: {misfit}", path.display()), ask))
            }
        }
    }

    /// The first number of roots of a trace that is not that of the plan.
    fn misfit(&self, trace: &StepTrace) -> Option<String> {
        let (plan, roots) = (self.job.plan(), &trace.roots);
        let tensors = plan.state.len() as u64;
        let states = interval_states(self.length(), trace.step);
        let numbers = [
            ("tensors before", roots.before.len(), tensors),
            ("tensors after", roots.after.len(), tensors),
            ("runs", roots.runs.len(), plan.runs.len() as u64),
            ("states between checkpoints", trace.interval.len(), states),
        ];
        let mut numbers = numbers.into_iter();
        let wrong = numbers.find(|(_, found, expected)| *found as u64 != *expected);
        if let Some((what, found, expected)) = wrong {
            return Some(format!("{found} {what}, where the job has {expected}"));
        }
        let mut runs = programs(self.job).zip(&roots.runs).enumerate();
        runs.find_map(|(run, (program, values))| {
            let (found, expected) = (values.len(), program.value_count());
            let text = || format!("{found} values of run {run}, which has {expected}");
            (found != expected).then(text)
        })
    }

    fn read_step(&self, step: u64, ask: &str) -> Result<Traced, RecordError> {
        let StepTrace { roots, .. } = self.trace(step, ask)?;
        let runs = programs(self.job)
            .zip(&roots.runs)
            .map(|(program, values)| {
                let tree = RunTree::from_roots(program, values.clone());
                let tree = tree.map_err(|error| self.missing(error, ask))?;
                Ok((RunHeader::of(program), tree.tree().root()))
            });
        let runs = runs.collect::<Result<_, RecordError>>()?;
        Ok(Traced {
            step,
            record: Arc::new(StepRecord::new(roots.before, roots.after, runs)),
            runs: roots.runs,
        })
    }

    /// The step, read where another one is held.
    fn traced(&mut self, step: u64, ask: &str) -> Result<&Traced, RecordError> {
        let traced = match self.step.take() {
            Some(held) if held.step == step => held,
            _ => self.read_step(step, ask)?,
        };
        Ok(self.step.insert(traced))
    }

    fn read_run(&mut self, step: u64, run: usize) -> Result<RunRecord, RecordError> {
        let job = self.job;
        let Some((_, program)) = job.run(run) else {
            let runs = job.plan().runs.len();
            let text = format!("run {run} of step {step}: the plan has {runs} runs, from 0");
            return Err(RecordError::Missing(text));
        };
        let ask = format!("--step {step} --values {run}");
        let roots = self.traced(step, &ask)?.runs.get(run).cloned();
        let path = values_path(&self.folder, step, run);
        let Some(roots) = roots else {
            let text = format_args!("the trace of step {step} has no run {run}");
            return Err(self.missing(text, &ask));
        };
        let opened = Values::open(&self.folder, step, run, program);
        let Some(mut values) = opened.map_err(|error| self.missing(error, &ask))? else {
            let what = format_args!(
                "run {run} of step {step}: there is no {}, which has its values",
                path.display()
            );
            return Err(self.missing(what, &ask));
        };
        let values = (0..program.value_count()).map(|value| values.read(value));
        let values: Result<Vec<Tensor>, _> = values.collect();
        let values = values.map_err(|error| self.missing(error, &ask))?;
        let tree = RunTree::new(program, &values);
        let tree = tree.map_err(|error| self.missing(error, &ask))?;
        let mut pairs = tree.values().iter().zip(&roots);
        if let Some(value) = pairs.position(|(found, said)| found != said) {
            let what = format_args!(
                "{}: value {value} has the root {}, and the trace of step {step} has {} for value \
                 {value} of run {run}",
                path.display(),
                hex(&tree.values()[value]),
                hex(&roots[value])
            );
            return Err(self.missing(what, &ask));
        }
        Ok(RunRecord { values, tree })
    }

    /// The states that traces of steps between two checkpoints have for the way from the one to the
    /// other.
    fn read_interval(&self, checkpoint: u64) -> Result<Vec<Digest>, RecordError> {
        let (length, states) = (self.length(), self.history.states());
        let count = states.len() as u64;
        if checkpoint == 0 || checkpoint >= count {
            let text = format!(
                "the steps before checkpoint {checkpoint}: the job has {count} checkpoints, and \
                 none before number 0"
            );
            return Err(RecordError::Missing(text));
        }
        let ends = &states[checkpoint as usize - 1..=checkpoint as usize];
        if length.steps_before(checkpoint) == 1 {
            return Ok(ends.to_vec());
        }
        let steps = length.step_of(checkpoint - 1)..length.step_of(checkpoint);
        let mut traced = self.traced_steps()?;
        traced.retain(|step| steps.contains(step));
        traced.sort_by_key(|step| (Some(*step) != self.first, *step));
        let wanted = self.first.filter(|step| steps.contains(step));
        let ask = format!("--step {}", wanted.unwrap_or(steps.start));
        let mut refused = None;
        for step in traced {
            let misfit = match self.trace(step, &ask) {
                Ok(StepTrace { interval, .. }) => match [interval.first(), interval.last()] {
                    [Some(first), Some(last)] if [*first, *last] == *ends => return Ok(interval),
                    _ => self.missing(
                        format_args!(
                            "{}: its states lead from or to others than those that the history has \
                             at the checkpoints {} and {checkpoint}",
                            trace_path(&self.folder, step).display(),
                            checkpoint - 1
                        ),
                        &ask,
                    ),
                },
                Err(error) => error,
            };
            refused.get_or_insert(misfit);
        }
        Err(refused.unwrap_or_else(|| {
            let folder = self.folder.display();
            let (first, end) = (steps.start, steps.end);
            let what = format_args!(
                "the states after {first} to {end} steps: {folder} has no trace of a step between"
            );
            self.missing(what, &ask)
        }))
    }

    /// The steps of which the folder has a trace.
    fn traced_steps(&self) -> Result<Vec<u64>, RecordError> {
        let folder = &self.folder;
        let refused = |error| RecordError::Missing(format!("{}: {error}", folder.display()));
        let entries = fs::read_dir(folder).map_err(refused)?;
        let mut steps = Vec::new();
        for entry in entries {
            let name = entry.map_err(refused)?.file_name();
            steps.extend(step_of_trace(&name));
        }
        Ok(steps)
    }
}

/// The programs of the runs of a job, in the order of its plan.
fn programs(job: &Job) -> impl Iterator<Item = &Program> {
    let runs = 0..job.plan().runs.len();
    runs.filter_map(|run| job.run(run).map(|(_, program)| program))
}

impl Record for PublishedRecord<'_> {
    fn history(&self) -> &History {
        &self.history
    }

    fn interval(&mut self, checkpoint: u64) -> Result<Vec<Digest>, RecordError> {
        if let Some((known, states)) = &self.interval
            && *known == checkpoint
        {
            return Ok(states.clone());
        }
        let states = self.read_interval(checkpoint)?;
        self.interval = Some((checkpoint, states.clone()));
        Ok(states)
    }

    fn step(&mut self, step: u64) -> Result<Arc<StepRecord>, RecordError> {
        let traced = self.traced(step, &format!("--step {step}"))?;
        Ok(Arc::clone(&traced.record))
    }

    fn run(&mut self, step: u64, run: usize) -> Result<Arc<RunRecord>, RecordError> {
        if let Some((number, known, record)) = &self.run
            && (*number, *known) == (step, run)
        {
            return Ok(Arc::clone(record));
        }
        let record = Arc::new(self.read_run(step, run)?);
        self.run = Some((step, run, Arc::clone(&record)));
        Ok(record)
    }
}

#[cfg(test)]
mod tests;
