//! What members of one pipeline agree on beforehand.

use std::time::Duration;

use crate::content::Digest;
use crate::meeting::Interval;

/// What members of one pipeline agree on beforehand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The job, part of every statement.
    pub job: Digest,
    /// Number of stages.
    pub stages: u16,
    /// Peers at the start, with a stage or without.
    pub peers: u32,
    /// Most peers, with those that are admitted later; at least those of the start.
    pub most_peers: u32,
    /// Microbatches of a step.
    pub microbatches: u32,
    /// Steps of the job, meetings included.
    pub steps: u64,
    /// Microbatches that a member holds at a time.
    pub slots: usize,
    /// Longest that a hop takes there and back, waiting included; a sender then looks for another
    /// way.
    pub hop_time: Duration,
    /// Longest that reducing, updating or taking up a stage takes.
    pub phase_time: Duration,
    /// Longest that the passes of a step take.
    pub step_time: Duration,
    /// A state is copied to a peer of another stage every so many steps; 0 for never.
    pub keep_every: u64,
    /// Whether a stage that nobody holds is rebuilt from its neighbours (CheckFree).
    pub rebuild: bool,
    /// Where pipelines that train apart meet; none of a pipeline alone.
    pub meetings: Option<Meetings>,
}

/// When a pipeline meets others, and how long that takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meetings {
    /// How often.
    pub interval: Interval,
    /// Longest until whoever speaks for a stage knows what came of it.
    pub longest: Duration,
}

impl Settings {
    /// Which meeting a step is; none of a step in which the pipeline trains.
    pub fn round_of(&self, step: u64) -> Option<u64> {
        self.meetings?.interval.round_of(step)
    }
}
