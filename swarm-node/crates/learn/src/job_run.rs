//! Carries out a job: a plan, step by step, in a folder with its history.
//!
//! ```text
//! folder/history.json          roots of the state after 0, stride, 2·stride, … steps
//!        step-00000010/…       the state after so many steps, a model that can be loaded
//! ```
//! A worker claims the history, and defends the claim by the states. A root is written to the
//! history before its checkpoint: what was killed in between computes the step again, and says so
//! if it comes to another root. Time and what else the folder holds change no bit of either.
//!
//! Invariants: a folder is of one job; a state is gone on from only if its root is the one that was
//! noted.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use reproducible_ops::engine::Engine;
use reproducible_ops::optim::{GRAD_NORM, LEARNING_RATE};
use reproducible_ops::program::Digest;
use reproducible_ops::scalar;
use reproducible_ops::tensor::Tensor;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use swarm_files::text_file;
use swarm_files::whole::{Access, Reserved};
use swarm_identity::digest::{Hasher, hex};
use verde::execute::{ExecuteError, Executor};
use verde::fault::Fault;
use verde::plan::PlanError;
use verde::step::StepError;

use super::checkpoint::{Checkpoint, CheckpointError};
use super::job_plan::JobPlan;
use super::programs::TrainError;
use super::run_folder::RunFolder;

/// The file of the roots in a job's folder.
pub const HISTORY: &str = "history.json";
/// Most checkpoints of a job.
pub const MAX_CHECKPOINTS: u64 = 1 << 20;

/// Largest history that is read, in bytes: a root takes 71.
const MAX_HISTORY_BYTES: u64 = 1 << 27;
const ROOT: &str = "state_root";

/// What is agreed about a job beside its plan and its initial state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// Steps of the job.
    pub steps: u64,
    /// Steps between two checkpoints; divides `steps`.
    pub stride: u64,
}

/// What names a job: digests as hexadecimal text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobIdentity {
    /// The job: all of the below.
    pub job: String,
    /// Its plan, which names programs, data, order and rates.
    pub plan: String,
    /// The root of the state before the first step.
    pub initial: String,
    /// Steps of the job.
    pub steps: u64,
    /// Steps between two checkpoints.
    pub stride: u64,
}

/// The roots of a job's states, as far as it was carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct History {
    /// Whose.
    pub identity: JobIdentity,
    /// Root number n, as hexadecimal text, is that of the state after n · stride steps.
    pub roots: Vec<String>,
}

/// A step that was made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct JobStep {
    /// Number of the step, from 0.
    pub step: u64,
    /// What it showed, where it trained.
    pub training: Option<TrainingNumbers>,
}

/// What a step of training showed, as its programs computed it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrainingNumbers {
    /// Token-mean loss before the step.
    pub loss: f32,
    /// Norm of the whole gradient before clipping.
    pub grad_norm: f32,
    /// Learning rate used.
    pub learning_rate: f32,
}

impl JobStep {
    /// Whether training, if this is any, goes on to somewhere.
    ///
    /// # Errors
    /// [`TrainError::NotFinite`] names what is not.
    pub fn require_finite(&self) -> Result<(), TrainError> {
        let step = self.step;
        let Some(numbers) = self.training else {
            return Ok(());
        };
        for (what, value) in [
            ("the loss", numbers.loss),
            ("the gradient's norm", numbers.grad_norm),
        ] {
            if !value.is_finite() {
                return Err(TrainError::NotFinite { step, what, value });
            }
        }
        Ok(())
    }
}

/// Why a job is not carried out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JobRunError {
    /// The terms.
    #[error("{0}")]
    Terms(String),
    /// The plan.
    #[error("plan: {0}")]
    Plan(#[from] PlanError),
    /// The state.
    #[error(transparent)]
    State(#[from] StepError),
    /// The plan cannot be executed.
    #[error(transparent)]
    Execute(#[from] ExecuteError),
    /// The folder.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A checkpoint lacks a tensor, or training diverged.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// The history cannot be read or written.
    #[error("{path}: {source}", path = path.display())]
    History {
        /// The file.
        path: PathBuf,
        /// What the system, or the file's reader, says.
        source: io::Error,
    },
    /// The history is of another job.
    #[error(
        "{path} is the history of job {found}, not of {expected}; choose another folder",
        path = path.display()
    )]
    OtherJob {
        /// The file.
        path: PathBuf,
        /// The job of the file.
        found: String,
        /// The job to be carried out.
        expected: String,
    },
    /// There is a checkpoint and no root of it.
    #[error(
        "{path} has no root of the state after {steps} steps, of which there is a checkpoint; \
         remove that checkpoint, or begin anew in another folder",
        path = path.display()
    )]
    NoRoot {
        /// The file.
        path: PathBuf,
        /// Steps of the checkpoint.
        steps: u64,
    },
    /// A state has another root than was noted.
    #[error(
        "the state after {steps} steps has the root {found}, and {noted} was noted for it; the \
         folder was changed, or this machine does not compute what it should"
    )]
    Differs {
        /// Steps done.
        steps: u64,
        /// The root.
        found: String,
        /// The one that was noted.
        noted: String,
    },
}

impl Terms {
    /// Checks that there are such checkpoints.
    ///
    /// # Errors
    /// No steps, a stride that does not divide them, or too many checkpoints.
    pub fn check(&self) -> Result<(), JobRunError> {
        let Self { steps, stride } = *self;
        if steps == 0 || stride == 0 || !steps.is_multiple_of(stride) {
            return Err(JobRunError::Terms(format!(
                "steps is {steps} and stride {stride}; both must be above 0, and the stride must \
                 divide the steps"
            )));
        }
        match steps / stride <= MAX_CHECKPOINTS {
            true => Ok(()),
            false => Err(JobRunError::Terms(format!(
                "{steps} steps with a stride of {stride} are more than {MAX_CHECKPOINTS} \
                 checkpoints; choose a longer stride"
            ))),
        }
    }
}

impl JobIdentity {
    /// The name of a job, as hexadecimal text.
    pub(crate) fn name(plan: &Digest, initial: &Digest, steps: u64, stride: u64) -> String {
        let job = Hasher::new("job").bytes(plan).bytes(initial);
        hex(&job.u64(steps).u64(stride).finish())
    }

    /// What names the job of this plan on these terms.
    ///
    /// # Errors
    /// The plan is none, or the terms are impossible.
    pub fn new(planned: &JobPlan, terms: Terms) -> Result<Self, JobRunError> {
        terms.check()?;
        let initial = planned.schedule()?.state_root(&planned.state)?;
        let plan = planned.plan.digest();
        Ok(Self {
            job: Self::name(&plan, &initial, terms.steps, terms.stride),
            plan: hex(&plan),
            initial: hex(&initial),
            steps: terms.steps,
            stride: terms.stride,
        })
    }
}

/// A job under way.
pub struct JobRun<'a> {
    planned: &'a JobPlan,
    executor: Executor<'a>,
    folder: RunFolder,
    history: History,
    /// Roots that were noted before for steps that are to be done again.
    noted: Vec<String>,
    done: u64,
}

impl<'a> JobRun<'a> {
    /// The job at its beginning, or where the newest checkpoint of the folder stands. Damaged
    /// checkpoints that were passed over are returned as texts for the user.
    ///
    /// # Errors
    /// The folder is of another job, a state is not the one that was noted, or the engine refuses a
    /// program.
    pub fn new(
        engine: &'a dyn Engine,
        planned: &'a JobPlan,
        identity: JobIdentity,
        folder: RunFolder,
    ) -> Result<(Self, Vec<String>), JobRunError> {
        let written = read_history(folder.root())?;
        if let Some(history) = &written {
            require_job(folder.root(), history, &identity)?;
        }
        let (newest, damaged) = folder.resume(&identity_value(&identity)?)?;
        let schedule = planned.schedule()?;
        let executor = Executor::new(engine, schedule, &planned.constants, &planned.state)?;
        let initial = identity.initial.clone();
        let mut run = Self {
            planned,
            executor,
            folder,
            history: History {
                identity,
                roots: vec![initial],
            },
            noted: written.map_or(Vec::new(), |history| history.roots),
            done: 0,
        };
        match newest {
            Some(checkpoint) => run.restore(&checkpoint)?,
            None => run.write_history()?,
        }
        Ok((run, damaged.iter().map(ToString::to_string).collect()))
    }

    fn restore(&mut self, checkpoint: &Checkpoint) -> Result<(), JobRunError> {
        let state = self.planned.tensors_of(&checkpoint.state)?;
        self.executor.restore(&state)?;
        self.done = checkpoint.steps;
        let path = self.history_path();
        let count = (self.done / self.history.identity.stride) as usize + 1;
        let roots = self.noted.get(..count).ok_or(JobRunError::NoRoot {
            path,
            steps: self.done,
        })?;
        self.history.roots = roots.to_vec();
        let found = hex(&self.root()?);
        let noted = match self.is_due() {
            true => self.history.roots[count - 1].clone(),
            // Stopped between two checkpoints of the history.
            false => checkpoint.run[ROOT].as_str().unwrap_or("none").to_owned(),
        };
        self.require_root(&found, &noted)
    }

    fn require_root(&self, found: &str, noted: &str) -> Result<(), JobRunError> {
        match found == noted {
            true => Ok(()),
            false => Err(JobRunError::Differs {
                steps: self.done,
                found: found.to_owned(),
                noted: noted.to_owned(),
            }),
        }
    }

    /// Computes one bit of one step wrong, as a defective machine would.
    pub fn break_with(&mut self, fault: Fault) {
        self.executor.break_with(fault);
    }

    /// Steps done.
    pub fn done(&self) -> u64 {
        self.done
    }

    /// The roots so far.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Whether all steps are done.
    pub fn is_complete(&self) -> bool {
        self.done >= self.history.identity.steps
    }

    /// Whether the state is one of the history.
    pub fn is_due(&self) -> bool {
        self.done.is_multiple_of(self.history.identity.stride)
    }

    /// One step. Numbers that are not finite are numbers, too: a worker does what its job says.
    ///
    /// # Errors
    /// The engine failed; the state is then not to be gone on from.
    pub fn step(&mut self) -> Result<JobStep, JobRunError> {
        self.executor.step(&[])?;
        let step = JobStep {
            step: self.done,
            training: self.numbers()?,
        };
        self.done += 1;
        Ok(step)
    }

    /// What the last step showed; none where it has no loss.
    fn numbers(&self) -> Result<Option<TrainingNumbers>, JobRunError> {
        let sum = |name: &str| -> Result<Option<f32>, JobRunError> {
            let values = self.executor.scalars(name)?;
            Ok(values.into_iter().reduce(scalar::add))
        };
        let found = (sum("loss")?, sum(GRAD_NORM)?, sum(LEARNING_RATE)?);
        let (Some(loss), Some(grad_norm), Some(learning_rate)) = found else {
            return Ok(None);
        };
        Ok(Some(TrainingNumbers {
            loss,
            grad_norm,
            learning_rate,
        }))
    }

    /// A copy of the state, in the order of the plan.
    ///
    /// # Errors
    /// The engine failed.
    pub fn state(&self) -> Result<Vec<Tensor>, JobRunError> {
        Ok(self.executor.state()?)
    }

    /// The root of the state.
    ///
    /// # Errors
    /// The engine failed.
    pub fn root(&self) -> Result<Digest, JobRunError> {
        Ok(self.executor.state_root()?)
    }

    /// Adds the state's root to the history, which [`JobRun::is_due`] for it, and saves both. The
    /// root comes from [`JobRun::root`], so that its time can be told apart.
    ///
    /// # Errors
    /// The system refuses, or another root was noted for this state before.
    pub fn commit(&mut self, root: &Digest) -> Result<(), JobRunError> {
        let number = (self.done / self.history.identity.stride) as usize;
        let root = hex(root);
        if let Some(noted) = self.noted.get(number) {
            self.require_root(&root, noted)?;
        }
        self.history.roots.truncate(number);
        self.history.roots.push(root.clone());
        self.write_history()?;
        self.save_as(root)
    }

    /// Saves the state, whether or not it is one of the history.
    ///
    /// # Errors
    /// The system refuses, or the engine failed.
    pub fn save(&self) -> Result<(), JobRunError> {
        self.save_as(hex(&self.root()?))
    }

    fn save_as(&self, root: String) -> Result<(), JobRunError> {
        let state = self.executor.state()?;
        self.folder.save(&Checkpoint {
            steps: self.done,
            state: self.planned.train_state(self.done, state),
            best: None,
            config: identity_value(&self.history.identity)?,
            run: json!({ ROOT: root }),
        })?;
        Ok(())
    }

    fn history_path(&self) -> PathBuf {
        self.folder.root().join(HISTORY)
    }

    fn write_history(&self) -> Result<(), JobRunError> {
        let path = self.history_path();
        let text = serde_json::to_vec_pretty(&self.history).map_err(io::Error::from);
        let written = text.and_then(|mut text| {
            text.push(b'\n');
            Reserved::new(&path, Access::Umask, 0)?.replace(&text)
        });
        written.map_err(|source| JobRunError::History { path, source })
    }
}

fn identity_value(identity: &JobIdentity) -> Result<Value, JobRunError> {
    serde_json::to_value(identity).map_err(|error| JobRunError::History {
        path: HISTORY.into(),
        source: error.into(),
    })
}

/// The root that is noted in a checkpoint for its state; none in a checkpoint of no job.
pub fn noted_root(checkpoint: &Checkpoint) -> Option<&str> {
    let identity = serde_json::from_value::<JobIdentity>(checkpoint.config.clone());
    identity.ok()?;
    checkpoint.run.get(ROOT)?.as_str()
}

/// The history in a folder, if there is one.
///
/// # Errors
/// It cannot be read, or is none.
pub fn read_history(folder: &Path) -> Result<Option<History>, JobRunError> {
    let path = folder.join(HISTORY);
    if !fs::exists(&path).unwrap_or(true) {
        return Ok(None);
    }
    let read = text_file::regular(&path);
    let read = read.and_then(|path| text_file::read(path, MAX_HISTORY_BYTES));
    let history = read.and_then(|text| Ok(serde_json::from_str(&text)?));
    history
        .map(Some)
        .map_err(|source| JobRunError::History { path, source })
}

pub(super) fn require_job(
    folder: &Path,
    history: &History,
    identity: &JobIdentity,
) -> Result<(), JobRunError> {
    if history.identity == *identity {
        return Ok(());
    }
    Err(JobRunError::OtherJob {
        path: folder.join(HISTORY),
        found: history.identity.job.clone(),
        expected: identity.job.clone(),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use reproducible_ops::engine::cpu::CpuEngine;

    use super::super::training_plan::tests::training;
    use super::*;

    const TERMS: Terms = Terms {
        steps: 4,
        stride: 2,
    };

    fn open(root: &Path) -> RunFolder {
        RunFolder::open(root, usize::MAX, Arc::default()).unwrap()
    }

    /// Carries a job out for some steps, committing where it is due.
    fn play(root: &Path, terms: Terms, steps: u64) -> Result<History, JobRunError> {
        let training = training();
        let engine = CpuEngine::new(1);
        let identity = JobIdentity::new(&training, terms)?;
        let (mut run, _) = JobRun::new(&engine, &training, identity, open(root))?;
        for _ in 0..steps {
            run.step()?;
            if run.is_due() {
                let root = run.root()?;
                run.commit(&root)?;
            }
        }
        if !run.is_due() {
            run.save()?;
        }
        Ok(run.history().clone())
    }

    #[test]
    fn a_job_goes_on_from_any_step_to_the_same_roots() {
        let folder = tempfile::tempdir().unwrap();
        let whole = play(&folder.path().join("whole"), TERMS, 4).unwrap();
        assert_eq!(whole.roots.len(), 3);
        assert_eq!(whole.roots[0], whole.identity.initial);
        let parts = folder.path().join("parts");
        for (steps, roots) in [(1, 1), (1, 2), (1, 2), (1, 3)] {
            let history = play(&parts, TERMS, steps).unwrap();
            assert_eq!(history.roots, whole.roots[..roots]);
        }
        assert_eq!(read_history(&parts).unwrap(), Some(whole));
    }

    #[test]
    fn a_lost_checkpoint_is_computed_again_to_the_root_that_was_noted() {
        let folder = tempfile::tempdir().unwrap();
        let whole = play(folder.path(), TERMS, 4).unwrap();
        fs::remove_dir_all(folder.path().join("step-00000004")).unwrap();
        assert_eq!(play(folder.path(), TERMS, 2).unwrap(), whole);
        fs::remove_dir_all(folder.path().join("step-00000004")).unwrap();
        let path = folder.path().join(HISTORY);
        let text = fs::read_to_string(&path).unwrap();
        let changed = text.replace(&whole.roots[2], &"0".repeat(64));
        fs::write(&path, changed).unwrap();
        let error = play(folder.path(), TERMS, 2).unwrap_err();
        assert!(
            matches!(error, JobRunError::Differs { steps: 4, .. }),
            "{error}"
        );
    }

    #[test]
    fn another_job_and_a_changed_folder_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let whole = play(folder.path(), TERMS, 2).unwrap();
        let other = Terms { steps: 6, ..TERMS };
        let error = play(folder.path(), other, 1).unwrap_err().to_string();
        assert!(error.contains(&whole.identity.job), "{error}");
        let path = folder.path().join(HISTORY);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace(&whole.roots[1], &whole.roots[0])).unwrap();
        let error = play(folder.path(), TERMS, 1).unwrap_err();
        assert!(
            matches!(error, JobRunError::Differs { steps: 2, .. }),
            "{error}"
        );
        fs::remove_file(&path).unwrap();
        let error = play(folder.path(), TERMS, 1).unwrap_err();
        assert!(
            matches!(error, JobRunError::NoRoot { steps: 2, .. }),
            "{error}"
        );
    }

    #[test]
    fn impossible_terms_are_named() {
        for (steps, stride) in [(0, 1), (4, 0), (4, 3), (MAX_CHECKPOINTS * 2, 1)] {
            let error = Terms { steps, stride }.check().unwrap_err().to_string();
            assert!(error.contains(&steps.to_string()), "{error}");
        }
    }
}
