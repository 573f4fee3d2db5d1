//! Who does the work of a node: a model that learns in rounds, with a checkpoint after each.
//!
//! ```text
//! task ─▶ Peer ─▶ work             decided round ─▶ Peer ─▶ one step ─▶ checkpoint
//! ```
//! A round is learned from once, whatever happens to the process: which ones were is part of the
//! checkpoint.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use swarm_learn::checkpoint::{Checkpoint, CheckpointError};
use swarm_learn::guard::{Guard, Verdict};
use swarm_learn::peer::{LearnReport, Peer, PeerError, PeerState};
use swarm_learn::run_folder::RunFolder;
use swarm_round::clock::Round;
use swarm_round::work::Work;
use swarm_round::{DecidedRound, Stage, StageTask};
use thiserror::Error;

/// Rounds of which it is remembered that they were learned from; older ones are not learned again.
const REMEMBERED: usize = 1024;

/// Why a model cannot work.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LearnerError {
    /// The peer cannot write or learn.
    #[error(transparent)]
    Peer(#[from] PeerError),
    /// A checkpoint cannot be written or read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// What is kept beside a checkpoint.
    #[error("what the checkpoint says about rounds: {0}; move the node's folder model away")]
    Memory(#[from] serde_json::Error),
}

/// What came of a round.
#[derive(Clone, Debug, PartialEq)]
pub struct Learned {
    /// The round.
    pub round: Round,
    /// Rounds that the model learned from, this one included.
    pub steps: u64,
    /// What the peer reports; none if there was nothing to learn.
    pub report: Option<LearnReport>,
}

impl Learned {
    /// True if training was rolled back.
    pub fn is_rolled_back(&self) -> bool {
        let verdict = self.report.as_ref().map(|report| &report.verdict);
        matches!(verdict, Some(Verdict::RollBack { .. }))
    }
}

/// Works for a node. Calls come one after the other, from one thread.
pub trait Learner: Send {
    /// Rounds that the model learned from.
    fn lessons(&self) -> u64;

    /// Writes what a stage asks for.
    ///
    /// # Errors
    /// [`LearnerError`]; the node is silent in the stage then.
    fn work(&mut self, task: &StageTask) -> Result<Work, LearnerError>;

    /// Learns from a decided round, once, and keeps what it learned.
    ///
    /// # Errors
    /// [`LearnerError`]; the state is the one before.
    fn learn(&mut self, decided: &DecidedRound) -> Result<Learned, LearnerError>;
}

/// What is kept beside parameters and moments.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Lessons {
    /// Rounds learned from, in all.
    count: u64,
    /// No round below this one is learned from any more.
    floor: Round,
    /// Rounds from the floor on that were learned from.
    learned: BTreeSet<Round>,
}

impl Lessons {
    fn contains(&self, round: Round) -> bool {
        round < self.floor || self.learned.contains(&round)
    }

    fn note(&mut self, round: Round) {
        self.count += 1;
        self.learned.insert(round);
        while self.learned.remove(&self.floor) {
            self.floor += 1;
        }
        while self.learned.len() > REMEMBERED
            && let Some(oldest) = self.learned.pop_first()
        {
            self.floor = oldest + 1;
        }
    }
}

/// A model that learns in rounds; its state is on disk after each.
pub struct ModelLearner {
    peer: Peer,
    lessons: Lessons,
    folder: RunFolder,
    /// What a checkpoint must share with the run to be its own.
    identity: serde_json::Value,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Memory {
    lessons: Lessons,
    guard: Guard,
}

impl ModelLearner {
    /// The peer where the newest checkpoint of the folder stands, or as it is if there is none, and
    /// what to say about damaged checkpoints. It learns from no round before `first`, when there is
    /// no checkpoint.
    ///
    /// # Errors
    /// The folder belongs to another run, or cannot be read.
    pub fn resume(
        mut peer: Peer,
        folder: RunFolder,
        identity: serde_json::Value,
        first: Round,
    ) -> Result<(Self, Vec<String>), LearnerError> {
        let (newest, damaged) = folder.resume(&identity)?;
        let mut lessons = Lessons {
            floor: first,
            ..Lessons::default()
        };
        if let Some(Checkpoint {
            state, best, run, ..
        }) = newest
        {
            let Memory {
                lessons: taken,
                guard,
            } = serde_json::from_value(run)?;
            peer.restore(PeerState { state, best, guard })?;
            lessons = taken;
        }
        let damaged = damaged.iter().map(ToString::to_string).collect();
        let learner = Self {
            peer,
            lessons,
            folder,
            identity,
        };
        Ok((learner, damaged))
    }

    fn save(&mut self) -> Result<PathBuf, LearnerError> {
        let PeerState { state, best, guard } = self.peer.state()?;
        let memory = Memory {
            lessons: self.lessons.clone(),
            guard,
        };
        Ok(self.folder.save(&Checkpoint {
            steps: self.lessons.count,
            state,
            best,
            config: self.identity.clone(),
            run: serde_json::to_value(memory)?,
        })?)
    }
}

impl Learner for ModelLearner {
    fn lessons(&self) -> u64 {
        self.lessons.count
    }

    fn work(&mut self, task: &StageTask) -> Result<Work, LearnerError> {
        Ok(match task.stage {
            Stage::Share => Work::Answers(self.peer.answers(task)?),
            Stage::Critique => Work::Critiques(self.peer.critiques(task)?),
            Stage::Decide => Work::Decisions(self.peer.decisions(task)?),
        })
    }

    fn learn(&mut self, decided: &DecidedRound) -> Result<Learned, LearnerError> {
        let round = decided.round();
        let mut report = None;
        if !self.lessons.contains(round) {
            report = Some(self.peer.learn(&decided.result)?);
            self.lessons.note(round);
            self.save()?;
        }
        let steps = self.lessons.count;
        Ok(Learned {
            round,
            steps,
            report,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lesson_is_taken_once_in_any_order() {
        let mut lessons = Lessons {
            floor: 5,
            ..Lessons::default()
        };
        assert!(lessons.contains(4) && !lessons.contains(5));
        for round in [7, 5, 6, 9] {
            assert!(!lessons.contains(round));
            lessons.note(round);
            assert!(lessons.contains(round));
        }
        assert_eq!((lessons.floor, lessons.count), (8, 4));
        assert!(!lessons.contains(8));
    }

    #[test]
    fn rounds_that_are_never_decided_take_no_memory_for_ever() {
        let mut lessons = Lessons::default();
        (0..5_000).for_each(|round| lessons.note(2 * round + 1));
        assert!(lessons.learned.len() <= REMEMBERED);
        assert!(lessons.contains(0) && lessons.contains(9_999) && !lessons.contains(10_000));
    }
}
