//! What commands about jobs on a chain are about: a job's file, or a step of one stage of a
//! pipeline.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use reproducible_ops::engine::Engine;
use skippipe::path::{Hop, Peer};

use super::console::Console;
use super::failure::Failure;
use super::part::{charter_of, place_of};
use crate::job::{Claimable, Job, JobFile};
use crate::pipeline::stage_job::{StageJob, StageJobError, Wanted};

/// Which step of which stage, where the command is about the folder of a pipeline's peer.
#[derive(Debug, Args)]
pub(in crate::cli) struct StageOptions {
    /// Of a pipeline's folder: the step, from 0.
    #[arg(long, value_name = "N")]
    step: Option<u64>,
    /// Of a pipeline's folder: the stage, from 0 [default: that of the folder's peer].
    #[arg(long, value_name = "S")]
    stage: Option<u16>,
    /// Of a pipeline's folder: another peer's folder, or a copy, for what that peer kept
    /// (`pipeline start --keep-steps`).
    #[arg(long, value_name = "DIR")]
    from: Vec<PathBuf>,
}

/// A job, or a step of a stage.
pub(in crate::cli) enum Subject {
    Job(Box<Job>),
    Stage(Box<StageJob>),
}

impl StageOptions {
    /// The step of a stage that a folder of a pipeline has.
    pub(in crate::cli) fn find(
        &self,
        folder: &Path,
        engine: &Arc<dyn Engine>,
    ) -> Result<StageJob, StageFailure> {
        let charter = charter_of(folder)?;
        // A copy of a folder has no key.
        let has_key = folder.join("node.key").exists();
        let me = match has_key {
            true => place_of(folder, &charter)?.map(Peer),
            false => None,
        };
        let wanted = Wanted {
            folder,
            from: &self.from,
            step: self.step,
            stage: self.stage,
            me,
        };
        Ok(StageJob::find(&wanted, engine, &Console::new())?)
    }

    /// What was asked for, as it is written.
    pub(in crate::cli) fn words(&self) -> String {
        let step = self.step.map(|step| format!(" --step {step}"));
        let stage = self.stage.map(|stage| format!(" --stage {stage}"));
        [step, stage].into_iter().flatten().collect()
    }

    /// What a file or a folder is about.
    pub(in crate::cli) fn subject(
        &self,
        spec: &Path,
        engine: &Arc<dyn Engine>,
    ) -> Result<Subject, Failure> {
        if !spec.is_dir() {
            if self.step.is_some() || self.stage.is_some() || !self.from.is_empty() {
                return Err(Failure::Usage(anyhow::anyhow!(
                    "--step, --stage and --from are about a pipeline's folder, and {} is none",
                    spec.display()
                )));
            }
            let job = Job::assemble(&JobFile::load(spec)?, &Console::new())?;
            return Ok(Subject::Job(Box::new(job)));
        }
        if self.step.is_none() {
            return Err(Failure::Usage(anyhow::anyhow!(
                "{} is a folder: of a pipeline's peer a job is one step of one stage; name the \
                 step with --step",
                spec.display()
            )));
        }
        let found = self
            .find(spec, engine)
            .map_err(StageFailure::into_failure)?;
        Ok(Subject::Stage(Box::new(found)))
    }
}

impl Subject {
    /// What is claimed.
    pub(in crate::cli) fn claimable(&self) -> Claimable<'_> {
        match self {
            Self::Job(job) => job.claimable(),
            Self::Stage(stage) => stage.claimable(),
        }
    }
}

/// What a peer of a folder holds and stated, where the folder is its own.
pub(in crate::cli) fn own_statement(
    folder: &Path,
    stage: &StageJob,
) -> Result<Option<(Hop, [u8; 32])>, Failure> {
    if !folder.join("node.key").exists() {
        return Ok(None);
    }
    let me = place_of(folder, &charter_of(folder)?)?;
    let hop = me.map(|me| Hop {
        stage: stage.stage,
        peer: Peer(me),
    });
    let stated = hop.and_then(|hop| Some((hop, stage.statements.get(&hop)?.state.0)));
    Ok(stated)
}

/// Why there is no step of a stage.
pub(in crate::cli) enum StageFailure {
    Find(StageJobError),
    Other(Failure),
}

impl From<StageJobError> for StageFailure {
    fn from(error: StageJobError) -> Self {
        Self::Find(error)
    }
}

impl From<Failure> for StageFailure {
    fn from(failure: Failure) -> Self {
        Self::Other(failure)
    }
}

impl StageFailure {
    /// As a command ends by it.
    pub(in crate::cli) fn into_failure(self) -> Failure {
        match self {
            Self::Other(failure) => failure,
            Self::Find(error) if error.is_lack() => Failure::CannotTell(error.to_string()),
            Self::Find(
                error @ (StageJobError::NoSuch { .. }
                | StageJobError::WhichStage
                | StageJobError::NoCharter(_)
                | StageJobError::Several
                | StageJobError::Assemble(_)),
            ) => Failure::Usage(error.into()),
            Self::Find(error @ StageJobError::Signature(_)) => Failure::Wrong(error.to_string()),
            Self::Find(error) => Failure::work(error),
        }
    }
}
