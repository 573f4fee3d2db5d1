//! A step of one stage as a job of one step, from peers' folders: what an audit computes again, and
//! what is claimed and disputed on a chain.
//!
//! ```text
//! charter ─▶ blueprint, initial state ─┐
//! transcript ─▶ record, statements ────┼─▶ StageJob: plan, constants, state before ─▶ Claimable
//! kept ─▶ what came in, by its hash ───┘
//! ```
//! Invariant: whoever has the same record, and what it names by hash, has the same plan. Nothing is
//! taken from a folder but by the hash that the record, or statements about the step before, have
//! of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use reproducible_ops::engine::Engine;
use skippipe::content::Digest;
use skippipe::path::{Hop, Microbatch, Peer, Stage};
use skippipe::replay::Arrival;
use skippipe::statements::Statements;
use skippipe::transcript::{Recovery, StepRecord};
use swarm_learn::job_run::{JobIdentity, JobRunError, Terms};
use swarm_learn::pipeline::stage_audit::Evidence as _;
use swarm_learn::pipeline::stage_engine::{StageEngine, StageError};
use swarm_learn::pipeline::stage_plan::{StagePlan, StagePlanError, StageStep};
use swarm_learn::pipeline::worker::WorkerError;
use swarm_learn::trainer::TrainState;

use super::blueprint::{AssembleError, Assembled};
use super::kept::{Kept, last_kept};
use super::seats::{Keys, SeatError};
use super::transcript::{self, Entry, ForeignSignature};
use crate::job::{Claimable, Progress};
use crate::meeting::charter::{Charter, CharterError};

/// Which step of which stage, and where to look for it.
#[derive(Clone, Debug)]
pub struct Wanted<'a> {
    /// A peer's folder.
    pub folder: &'a Path,
    /// Folders of other peers, for what they kept.
    pub from: &'a [PathBuf],
    /// The step, from 0; the last that the folder keeps, or else that it has a record of.
    pub step: Option<u64>,
    /// The stage; that of the folder's peer.
    pub stage: Option<u16>,
    /// The folder's peer, where it is known.
    pub me: Option<Peer>,
}

/// A step of a stage.
pub struct StageJob {
    /// What all peers agree on.
    pub assembled: Assembled,
    /// The stage.
    pub stage: Stage,
    /// The record of the step.
    pub record: StepRecord,
    /// What holders of all stages stated about it.
    pub statements: Statements,
    /// How many of them are signed.
    pub signed: usize,
    /// Bits of the norm that the stage moved by, as its holders state it.
    pub norm: u32,
    /// The step as a plan.
    pub planned: StagePlan,
    identity: JobIdentity,
    /// Where it was found.
    pub folders: Vec<PathBuf>,
}

/// Why there is no such job.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StageJobError {
    /// The charter.
    #[error(transparent)]
    Charter(#[from] CharterError),
    /// There is none.
    #[error("{0} has no charter; name the folder of a pipeline's peer")]
    NoCharter(String),
    /// The transcript.
    #[error("the transcript in {path}: {source}")]
    Transcript {
        /// The folder.
        path: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// What the charter's job is made of.
    #[error(transparent)]
    Assemble(#[from] AssembleError),
    /// This machine makes another job of it.
    #[error(
        "this machine makes the job {own} of the charter's file, and the charter says {charter}: data or model differ"
    )]
    OtherJob {
        /// What this machine makes.
        own: String,
        /// What the charter says.
        charter: String,
    },
    /// Several pipelines.
    #[error(
        "the job has several pipelines that meet, whose stages are not audited one by one; \
         `pipeline replay` computes all of them again"
    )]
    Several,
    /// Its programs.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// Its engine.
    #[error(transparent)]
    Stage(#[from] StageError),
    /// There is no such stage or step.
    #[error("{what} {value}: {allowed}")]
    NoSuch {
        /// Of what.
        what: &'static str,
        /// As it was asked for.
        value: u64,
        /// What there is.
        allowed: String,
    },
    /// Nobody said which stage.
    #[error("name the stage with --stage: the folder's peer held none in this step")]
    WhichStage,
    /// Something is not at hand.
    #[error("{0}")]
    Lacks(String),
    /// Who came later is not who was admitted.
    #[error(transparent)]
    Seat(#[from] SeatError),
    /// A statement is not its holder's.
    #[error(transparent)]
    Signature(#[from] ForeignSignature),
    /// The step is no plan.
    #[error(transparent)]
    Plan(#[from] StagePlanError),
    /// The plan is no job.
    #[error(transparent)]
    Run(#[from] JobRunError),
}

impl StageJobError {
    /// Whether something is missing that others may have.
    pub fn is_lack(&self) -> bool {
        matches!(self, Self::Lacks(_) | Self::Plan(StagePlanError::Still(..)))
    }
}

impl StageJob {
    /// Finds all that the step is made of.
    ///
    /// # Errors
    /// See [`StageJobError`].
    pub fn find(
        wanted: &Wanted<'_>,
        engine: &Arc<dyn Engine>,
        progress: &dyn Progress,
    ) -> Result<Self, StageJobError> {
        let charter = Charter::load(wanted.folder)?;
        let path = wanted.folder.display().to_string();
        let charter = charter.ok_or_else(|| StageJobError::NoCharter(path.clone()))?;
        let assembled = Assembled::new(&charter.spec, progress)?;
        if assembled.job != charter.job {
            let (own, charter) = (assembled.job, charter.job);
            return Err(StageJobError::OtherJob { own, charter });
        }
        if assembled.across.is_some() {
            return Err(StageJobError::Several);
        }
        let entries = transcript::read(wanted.folder);
        let entries = entries.map_err(|source| StageJobError::Transcript { path, source })?;
        let entry = entry_of(&entries, wanted)?;
        let stage = stage_of(&entry.record, wanted, assembled.settings.stages)?;
        let job = assembled.settings.job;
        let mut keys = Keys::new(&charter.peers()?);
        for joined in entries.iter().flat_map(|entry| &entry.record.joined) {
            keys.joined(job, joined)?;
        }
        let (statements, signed) = entry.statements(job, &keys)?;
        let folders: Vec<PathBuf> = std::iter::once(wanted.folder.to_owned())
            .chain(wanted.from.iter().cloned())
            .collect();
        let step = entry.record.step;
        let kept = Kept::new(folders.clone(), step, stage, &assembled.blueprint);
        let built = assembled.blueprint.stage(engine, stage)?;
        let before = match state_before(&entries, &entry.record, stage, job, &keys)? {
            Some(root) => stated_state(&kept, &entry.record, stage, root)?,
            None => built.state()?,
        };
        let norm = norm_of(&entry.record, stage, &statements)?;
        let planned = plan(
            &assembled,
            &built,
            (&entry.record, stage, norm),
            &kept,
            &before,
        )?;
        let terms = Terms {
            steps: 1,
            stride: 1,
        };
        let identity = JobIdentity::new(&planned, terms)?;
        Ok(Self {
            record: entry.record.clone(),
            stage,
            statements,
            signed,
            norm,
            planned,
            identity,
            folders,
            assembled,
        })
    }

    /// What can be claimed on a chain.
    pub fn claimable(&self) -> Claimable<'_> {
        Claimable {
            plan: &self.planned,
            identity: &self.identity,
            files: Some(&self.assembled.model.files),
            answers: None,
        }
    }

    /// What folders keep of the step.
    pub fn kept(&self) -> Kept<'_> {
        let (step, blueprint) = (self.record.step, &self.assembled.blueprint);
        Kept::new(self.folders.clone(), step, self.stage, blueprint)
    }

    /// The holders of the stage, in the record's order.
    pub fn holders(&self) -> impl Iterator<Item = Hop> + '_ {
        let (holders, stage) = (self.record.roster.of(self.stage).iter(), self.stage);
        holders.map(move |&peer| Hop { stage, peer })
    }
}

fn entry_of<'e>(entries: &'e [Entry], wanted: &Wanted<'_>) -> Result<&'e Entry, StageJobError> {
    let last = entries.last().map(|entry| entry.record.step);
    let last = last.ok_or_else(|| StageJobError::Lacks("the transcript has no step yet".into()))?;
    let step = wanted
        .step
        .or_else(|| last_kept(wanted.folder))
        .unwrap_or(last);
    let found = entries.iter().find(|entry| entry.record.step == step);
    let entry = match found {
        Some(entry) => entry,
        None if step > last => {
            return Err(StageJobError::NoSuch {
                what: "step",
                value: step,
                allowed: format!("the transcript ends with step {last}, counted from 0"),
            });
        }
        None => {
            let text = format!(
                "the folder has no record of step {step}, in which its peer took no part; name \
                 that of one that did"
            );
            return Err(StageJobError::Lacks(text));
        }
    };
    match entry.record.is_sound() {
        true => Ok(entry),
        false => Err(StageJobError::Lacks(format!(
            "the record of step {step} cannot be one"
        ))),
    }
}

fn stage_of(record: &StepRecord, wanted: &Wanted<'_>, stages: u16) -> Result<Stage, StageJobError> {
    let own = || wanted.me.and_then(|me| record.roster.stage_of(me));
    let stage = wanted.stage.map(Stage).or_else(own);
    let stage = stage.ok_or(StageJobError::WhichStage)?;
    match stage.0 < stages && record.roster.0.len() == usize::from(stages) {
        true => Ok(stage),
        false => Err(StageJobError::NoSuch {
            what: "stage",
            value: u64::from(stage.0),
            allowed: format!("the pipeline has {stages}, counted from 0"),
        }),
    }
}

/// The root of the stage's state before a step; none where it is the initial one.
fn state_before(
    entries: &[Entry],
    record: &StepRecord,
    stage: Stage,
    job: Digest,
    keys: &Keys,
) -> Result<Option<Digest>, StageJobError> {
    let rebuilt = record
        .joined
        .iter()
        .rev()
        .find(|joined| joined.hop.stage == stage && joined.recovery != Recovery::Copied);
    if let Some(joined) = rebuilt {
        return Ok(Some(joined.state));
    }
    let Some(before) = record.step.checked_sub(1) else {
        return Ok(None);
    };
    let entry = entries.iter().find(|entry| entry.record.step == before);
    let lacks = |what: &str| {
        StageJobError::Lacks(format!(
            "the folder does not tell the state of {stage} before step {}: {what} step {before}",
            record.step
        ))
    };
    let entry = entry.ok_or_else(|| lacks("it has no record of"))?;
    let (stated, _) = entry.statements(job, keys)?;
    // Who came to another state than most does not hold the stage any more.
    let still = stated
        .iter()
        .filter(|(hop, _)| hop.stage == stage && record.roster.holds(**hop));
    let mut states: Vec<Digest> = still.map(|(_, stated)| stated.state).collect();
    states.dedup();
    match states[..] {
        [state] => Ok(Some(state)),
        [] => Err(lacks("no holder of both steps states what it came to in")),
        _ => Err(lacks("holders state different states after")),
    }
}

fn stated_state(
    kept: &Kept<'_>,
    record: &StepRecord,
    stage: Stage,
    root: Digest,
) -> Result<TrainState, StageJobError> {
    let step = record.step;
    kept.state_before(step, &root).ok_or_else(|| {
        StageJobError::Lacks(format!(
            "the state of {stage} before step {step} ({root}) is in none of the folders; {} had \
             it, and a peer keeps it with --keep-steps; name its folder with --from",
            names(record.roster.of(stage))
        ))
    })
}

fn names(peers: &[Peer]) -> String {
    let names: Vec<String> = peers.iter().map(ToString::to_string).collect();
    names.join(", ")
}

/// The norm that holders of the stage state: the root's, or else the first one's.
fn norm_of(
    record: &StepRecord,
    stage: Stage,
    statements: &Statements,
) -> Result<u32, StageJobError> {
    let root = record.reduce_tree(stage).root();
    let root = root.and_then(|peer| statements.get(&Hop { stage, peer }));
    let mut others = statements.iter().filter(|(hop, _)| hop.stage == stage);
    let stated = root.or_else(|| others.next().map(|(_, stated)| stated));
    let norm = stated.map(|stated| stated.sums.norm);
    norm.ok_or_else(|| {
        let step = record.step;
        StageJobError::Lacks(format!(
            "no holder of {stage} states what it came to in step {step}"
        ))
    })
}

fn plan(
    assembled: &Assembled,
    built: &StageEngine,
    (record, stage, norm): (&StepRecord, Stage, u32),
    kept: &Kept<'_>,
    before: &TrainState,
) -> Result<StagePlan, StageJobError> {
    let blueprint = &assembled.blueprint;
    let mut arrivals = Vec::new();
    for (microbatch, visit) in record.counted(stage) {
        let (input, gradient) = (input_of(record, microbatch, stage), visit.gradient);
        let content = |what: &str, digest: Digest| {
            kept.content(&digest).ok_or_else(|| {
                StageJobError::Lacks(format!(
                    "{what} that came to {} for {microbatch} of step {} ({digest}) is in none of \
                     the folders; that peer keeps it with --keep-steps; name its folder with --from",
                    visit.hop, record.step
                ))
            })
        };
        arrivals.push(Arrival {
            microbatch,
            hop: visit.hop,
            input: content("the activation", input.unwrap_or(visit.output))?,
            gradient: content("the gradient", gradient)?,
        });
    }
    let arrived = blueprint.arrived(&arrivals);
    let arrived = arrived.map_err(|error| StageJobError::Lacks(error.to_string()))?;
    let step = StageStep {
        record,
        data: &blueprint.data,
        arrived: &arrived,
        norm,
    };
    Ok(StagePlan::new(
        built.programs(),
        &blueprint.weights,
        before,
        step,
    )?)
}

/// The activation that came to a stage: of the hop before it, at stage 0 of the last.
fn input_of(record: &StepRecord, microbatch: Microbatch, stage: Stage) -> Option<Digest> {
    let mut passages = record.passages.iter();
    let passage = passages.find(|passage| passage.microbatch == microbatch)?;
    let place = passage
        .visits
        .iter()
        .position(|visit| visit.hop.stage == stage)?;
    let from = place.checked_sub(1).unwrap_or(passage.visits.len() - 1);
    passage.visits.get(from).map(|visit| visit.output)
}
