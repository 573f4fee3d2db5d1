//! What the members of an averaging job agree on beforehand.

use std::time::Duration;

use skippipe::content::Digest;

/// What the members of an averaging job agree on beforehand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The job, part of every statement.
    pub job: Digest,
    /// Whether replicas meet in pairs, or all at once.
    pub paired: bool,
    /// Replicas of the job.
    pub replicas: u32,
    /// Rounds of the job: inner steps and an outer one.
    pub rounds: u64,
    /// Bytes of a contribution, and of a mean of them.
    pub contribution_bytes: usize,
    /// Bytes of an exported anchor and momentum.
    pub outer_bytes: usize,
    /// Longest that a leader waits for contributions, and again for word that its followers have
    /// what they need. A follower waits three times as long for its leader, and as long again for
    /// the decision.
    pub patience: Duration,
    /// After so long what was not answered is said again.
    pub again: Duration,
}
