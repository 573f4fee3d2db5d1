//! A replica on an engine, whose state after each round is on disk before anybody hears of it.

use std::io;
use std::path::{Path, PathBuf};

use reproducible_ops::weights::{LoadError, Weights};
use skippipe::content::Digest;
use swarm_learn::averaging::trainer::TrainerReplica;
use swarm_learn::averaging::work::{Engine, Outcome, Work};
use swarm_learn::averaging::worker::ReplicaWorker;

use super::transcript::{save_state, state_path};

/// A replica and its folder.
#[derive(Debug)]
pub struct SavedReplica {
    worker: ReplicaWorker<TrainerReplica>,
    folder: PathBuf,
    /// The round that is trained.
    round: u64,
    /// Why a state could not be saved: from then on nothing is done.
    failed: Option<String>,
}

/// Why a replica cannot go on from its folder.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// The file.
    #[error("the state after round {}: {source}; it cannot go on without it", round + 1)]
    Load {
        /// Which round.
        round: u64,
        /// Why.
        source: Box<LoadError>,
    },
    /// It is not of this model.
    #[error("{path}: {what}", path = path.display())]
    Other {
        /// The file.
        path: PathBuf,
        /// What differs.
        what: String,
    },
    /// It is not what was signed.
    #[error(
        "{path} is the state {found}, and the transcript beside it has {expected} after that round; one of the \
         two is not of this run",
        path = path.display()
    )]
    State {
        /// The file.
        path: PathBuf,
        /// As it is.
        found: Digest,
        /// As it was signed.
        expected: Digest,
    },
}

impl SavedReplica {
    /// A replica before its first round, or after a last one: its number, and the state that it
    /// came to.
    ///
    /// # Errors
    /// See [`RestoreError`].
    pub fn new(
        mut worker: ReplicaWorker<TrainerReplica>,
        folder: &Path,
        last: Option<(u64, Digest)>,
    ) -> Result<Self, RestoreError> {
        if let Some((round, expected)) = last {
            let path = state_path(folder, round);
            let state = Weights::load(&path);
            let state = state.map_err(|source| RestoreError::Load {
                round,
                source: Box::new(source),
            })?;
            let found = match worker.restore(&state) {
                Ok(found) => found,
                Err(what) => return Err(RestoreError::Other { path, what }),
            };
            if found != expected {
                return Err(RestoreError::State {
                    path,
                    found,
                    expected,
                });
            }
        }
        Ok(Self {
            worker,
            folder: folder.to_owned(),
            round: 0,
            failed: None,
        })
    }

    /// The replica.
    pub fn worker(&self) -> &ReplicaWorker<TrainerReplica> {
        &self.worker
    }

    /// What trains it, to be told something.
    pub fn inner_mut(&mut self) -> &mut TrainerReplica {
        self.worker.inner_mut()
    }

    fn save(&self) -> Result<(), String> {
        let state = self.worker.checkpoint()?;
        let saved = save_state(&self.folder, self.round, &state.to_bytes());
        saved.map_err(|error: io::Error| format!("{}: {error}", self.folder.display()))
    }
}

impl Engine for SavedReplica {
    fn perform(&mut self, work: Work) -> Outcome {
        if let Some(why) = &self.failed {
            return Outcome::Refused(why.clone());
        }
        if let Work::Train { round } = work {
            self.round = round;
        }
        let outcome = self.worker.perform(work);
        if let Outcome::Moved { .. } = outcome
            && let Err(why) = self.save()
        {
            self.failed = Some(why.clone());
            return Outcome::Refused(why);
        }
        outcome
    }
}
