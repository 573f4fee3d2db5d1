//! What pipelines that meet agree on beforehand.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use skippipe::content::Digest;
use skippipe::meeting::Replica;
use skippipe::path::{Peer, Stage};
use skippipe::wire::digest_of;

use crate::averaging::transcript::Roster;

/// A peer of one of the pipelines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Seat {
    /// The pipeline.
    pub pipeline: Replica,
    /// The peer, as its pipeline numbers it.
    pub peer: Peer,
}

impl fmt::Display for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of pipeline {}", self.peer, self.pipeline.0)
    }
}

/// Sizes of what a stage sends where pipelines meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Bytes of a contribution, and of a mean of them.
    pub contribution: usize,
    /// Bytes of an exported anchor and momentum.
    pub outer: usize,
}

/// What pipelines that meet agree on beforehand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The job of all pipelines.
    pub job: Digest,
    /// Whether they meet in pairs, or all at once.
    pub paired: bool,
    /// Pipelines of the job.
    pub pipelines: u32,
    /// Peers of each.
    pub peers: u32,
    /// Of each stage.
    pub sizes: Vec<Sizes>,
    /// Longest that one waits for a pipeline that is not at the meeting yet; for one that is, three
    /// times as long.
    pub patience: Duration,
    /// After so long what was not answered is said again, to another peer perhaps.
    pub again: Duration,
}

impl Settings {
    /// Longest until whoever speaks for a stage knows what came of a meeting.
    pub fn longest(&self) -> Duration {
        // For whom it meets, and where all meet, for the anchor of whoever leads.
        self.patience * if self.paired { 3 } else { 6 } + self.again * 2
    }

    /// Digest of who takes part.
    pub fn roster(&self) -> Roster {
        Roster::initial(self.pipelines)
    }

    /// The job of a pipeline, which its members' statements name.
    pub fn job_of(&self, pipeline: Replica) -> Digest {
        digest_of("swarm-node pipeline of several", &(self.job, pipeline))
    }

    /// What contributions of a stage are signed as being of.
    pub fn job_of_stage(&self, stage: Stage) -> Digest {
        digest_of("swarm-node averaging of a stage", &(self.job, stage))
    }
}
