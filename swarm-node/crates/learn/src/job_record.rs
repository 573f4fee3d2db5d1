//! What a player in a dispute answers from: the folder of a job that was carried out.
//!
//! ```text
//! history.json ─▶ the states at checkpoints, by their roots ─┐
//! step-…       ─▶ the states themselves ─────────────────────┴─▶ Replay: steps and runs, recomputed
//! ```
//! Invariant: a state is answered from only if it has the root that the history has for it. One
//! that is missing or another is computed again from an earlier one.

use std::path::{Path, PathBuf};

use reproducible_ops::engine::Engine;
use reproducible_ops::program::Digest;
use reproducible_ops::tensor::Tensor;
use swarm_identity::digest::hex;
use verde::execute::Executor;
use verde::fault::Fault;
use verde::history::{History, Length};
use verde::job::Job;
use verde::record::{Checkpoints, RecordError, Replay};
use verde::state::StateTree;
use verde::step::StepError;
use verde::tensor;

use super::checkpoint::{Checkpoint, require_steps};
use super::hex_text;
use super::job_plan::JobPlan;
use super::job_run::{HISTORY, JobIdentity, JobRunError, read_history, require_job};
use super::run_folder::checkpoint_path;
use super::trainer::TrainState;

/// The states of a folder at the checkpoints of its history.
pub struct FolderStates<'a> {
    planned: &'a JobPlan,
    folder: PathBuf,
    length: Length,
    roots: Vec<Digest>,
}

impl Checkpoints for FolderStates<'_> {
    fn state(&mut self, checkpoint: u64) -> Result<Vec<Tensor>, RecordError> {
        // No checkpoint is written of the state that the job begins with.
        if checkpoint == 0 {
            return Ok(self.planned.state.clone());
        }
        let missing = |why: String| {
            let folder = self.folder.display();
            RecordError::Missing(format!(
                "checkpoint {checkpoint} in {folder}: {why}; a claim is defended with all of them"
            ))
        };
        let path = checkpoint_path(&self.folder, self.length.step_of(checkpoint));
        let read = Checkpoint::load(&path).map_err(|error| missing(error.to_string()))?;
        let state = self.planned.tensors_of(&read.state);
        let state = state.map_err(|error| missing(error.to_string()))?;
        let schedule = self.planned.schedule();
        let schedule = schedule.map_err(|error| missing(error.to_string()))?;
        let root = schedule.state_root(&state);
        let root = root.map_err(|error| missing(error.to_string()))?;
        match self.roots.get(checkpoint as usize) {
            Some(noted) if *noted == root => Ok(state),
            _ => Err(missing(format!(
                "its root is {}, which the history does not have for it",
                hex(&root)
            ))),
        }
    }
}

/// The root of a state as a checkpoint has it, by the names of its tensors; the plan is not needed.
/// `root` is that of a tensor.
pub(super) fn state_root(
    state: &TrainState,
    mut root: impl FnMut(&Tensor) -> Digest,
) -> Result<Digest, StepError> {
    let parts = [&state.params, &state.optimizer];
    let tensors = parts.iter().flat_map(|part| part.iter());
    let named: Vec<(&str, Digest)> = tensors.map(|(name, tensor)| (name, root(tensor))).collect();
    Ok(StateTree::new(named)?.root())
}

/// The checkpoint of a folder after so many steps, if its state has this root.
///
/// # Errors
/// It is not there, cannot be read, or has another root.
pub fn checkpoint_with(folder: &Path, steps: u64, root: &Digest) -> Result<PathBuf, JobRunError> {
    let path = checkpoint_path(folder, steps);
    let read = Checkpoint::load(&path)?;
    require_steps(&path, steps, read.steps)?;
    let found = state_root(&read.state, tensor::root)?;
    match found == *root {
        true => Ok(path),
        false => Err(JobRunError::Differs {
            steps,
            found: hex(&found),
            noted: hex(root),
        }),
    }
}

/// The whole history of a job in a folder; none while it is not complete, or not begun.
///
/// # Errors
/// The history cannot be read, or is of another job.
pub fn whole_history(
    folder: &Path,
    identity: &JobIdentity,
) -> Result<Option<History>, JobRunError> {
    let Some(noted) = read_history(folder)? else {
        return Ok(None);
    };
    require_job(folder, &noted, identity)?;
    let roots = noted.roots.iter().map(|text| hex_text::read_digest(text));
    let roots: Option<Vec<Digest>> = roots.collect();
    let (plan, stride) = (
        hex_text::read_digest(&identity.plan),
        u32::try_from(identity.stride),
    );
    let (Some(roots), Some(plan), Ok(stride)) = (roots, plan, stride) else {
        let what = "it has a digest that is none, or an impossible stride";
        return Err(JobRunError::History {
            path: folder.join(HISTORY),
            source: std::io::Error::new(std::io::ErrorKind::InvalidData, what),
        });
    };
    let length = Length::new(identity.steps, stride);
    let length = length.map_err(|error| JobRunError::Terms(error.to_string()))?;
    if (roots.len() as u64) < length.checkpoints() {
        return Ok(None);
    }
    let history = History::new(plan, length, roots);
    Ok(Some(
        history.map_err(|error| JobRunError::Terms(error.to_string()))?,
    ))
}

/// A record of a job that answers from its folder and recomputes the rest, with the fault of the
/// machine that computed it, if that had one.
///
/// # Errors
/// The engine refuses a program, or the plan is none.
pub fn record<'a>(
    engine: &'a dyn Engine,
    job: &'a Job,
    planned: &'a JobPlan,
    folder: &Path,
    history: History,
    fault: Option<Fault>,
) -> Result<Replay<'a, FolderStates<'a>>, JobRunError> {
    let schedule = planned.schedule()?;
    let mut executor = Executor::new(engine, schedule, &planned.constants, &planned.state)?;
    if let Some(fault) = fault {
        executor.break_with(fault);
    }
    let states = FolderStates {
        planned,
        folder: folder.into(),
        length: history.claim().length,
        roots: history.states().to_vec(),
    };
    Ok(Replay::new(job, history, states, executor))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use reproducible_ops::engine::cpu::CpuEngine;
    use verde::game::{Place, Rules, Side};
    use verde::player::{Game, challenge, respond};
    use verde::record::Record;

    use super::super::job_run::{JobRun, Terms};
    use super::super::run_folder::RunFolder;
    use super::super::training_plan::tests::training;
    use super::*;

    const TERMS: Terms = Terms {
        steps: 4,
        stride: 2,
    };

    fn identity() -> JobIdentity {
        JobIdentity::new(&training(), TERMS).unwrap()
    }

    /// Carries the job out on a machine with this fault.
    fn carry_out(folder: &Path, fault: Option<Fault>) -> History {
        let (training, engine) = (training(), CpuEngine::new(1));
        let opened = RunFolder::open(folder, usize::MAX, Arc::default()).unwrap();
        let (mut run, _) = JobRun::new(&engine, &training, identity(), opened).unwrap();
        if let Some(fault) = fault {
            run.break_with(fault);
        }
        while !run.is_complete() {
            run.step().unwrap();
            if run.is_due() {
                let root = run.root().unwrap();
                run.commit(&root).unwrap();
            }
        }
        whole_history(folder, &identity()).unwrap().unwrap()
    }

    #[test]
    fn a_machine_that_computes_one_bit_wrong_is_found_out() {
        let folder = tempfile::tempdir().unwrap();
        let (good, bad) = (folder.path().join("good"), folder.path().join("bad"));
        let (training, engine) = (training(), CpuEngine::new(1));
        let fault = training.gradient_fault(1, 3, 22).unwrap();
        let (right, wrong) = (carry_out(&good, None), carry_out(&bad, Some(fault)));
        let differ: Vec<bool> = (0..3)
            .map(|at| right.states()[at] != wrong.states()[at])
            .collect();
        assert_eq!(differ, [false, true, true]);
        let job = Job::new(training.plan.clone(), training.programs.clone()).unwrap();
        let of = |folder, history: &History, fault| {
            record(&engine, &job, &training, folder, history.clone(), fault).unwrap()
        };
        let mut worker = of(&bad, &wrong, Some(fault));
        let mut challenger = of(&good, &right, None);
        let rules = Rules {
            job: &job,
            claim: wrong.claim(),
        };
        let mut game = Game::new(rules);
        let mut last = None;
        while let Some(side) = game.place().turn() {
            let made = match side {
                Side::Worker => respond(&game, &mut worker).unwrap(),
                Side::Challenger => challenge(&game, &mut challenger).unwrap(),
            };
            last = Some((game.place().clone(), side));
            game.play(side, &made).unwrap();
        }
        assert_eq!(*game.place(), Place::Won(Side::Challenger));
        // It comes down to the element, and to no Merkle path that does not fit.
        let Some((Place::Tile { value, tile, .. }, Side::Challenger)) = last else {
            panic!("{last:?}");
        };
        assert_eq!(
            (value.run.step.number, value.run.run),
            (1, fault.run as usize)
        );
        assert_eq!(tile, 0);
    }

    #[test]
    fn what_is_missing_or_changed_is_computed_again() {
        let folder = tempfile::tempdir().unwrap();
        let (training, engine) = (training(), CpuEngine::new(1));
        assert!(whole_history(folder.path(), &identity()).unwrap().is_none());
        let history = carry_out(folder.path(), None);
        let job = Job::new(training.plan.clone(), training.programs.clone()).unwrap();
        let path = checkpoint_path(folder.path(), 2);
        let interval = || {
            let history = history.clone();
            let mut record =
                record(&engine, &job, &training, folder.path(), history, None).unwrap();
            record.interval(2).unwrap()
        };
        let right = interval();
        assert_eq!(
            (right[0], right[2]),
            (history.states()[1], history.states()[2])
        );
        // Another state under the same name.
        let other = checkpoint_path(folder.path(), 4);
        std::fs::remove_dir_all(&path).unwrap();
        std::fs::rename(&other, &path).unwrap();
        assert_eq!(interval(), right);
        std::fs::remove_dir_all(&path).unwrap();
        assert_eq!(interval(), right);
        let other = JobIdentity::new(&training, Terms { steps: 6, ..TERMS }).unwrap();
        let error = whole_history(folder.path(), &other).unwrap_err();
        assert!(matches!(error, JobRunError::OtherJob { .. }), "{error}");
    }
}
