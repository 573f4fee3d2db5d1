//! What the demo's thread and the settlement thread say to each other.

use std::sync::Arc;
use std::sync::mpsc;

use swarm_round::DecidedRound;

use super::accounting::RewardReport;

/// What the demo's thread asks for.
#[derive(Debug)]
pub(super) enum SettlementCommand {
    /// A peer knows a round decided.
    Decided(usize, Arc<DecidedRound>),
    /// There are no more rounds; the report is awaited when all is settled, or the time is over.
    Finish(mpsc::Sender<RewardReport>),
    /// The report is awaited as soon as nothing is lost.
    Stop,
}

/// How far the settlement thread is.
#[derive(Debug)]
pub(super) enum SettlementUpdate {
    Warning(String),
    /// One more reward is paid: so many of those due.
    Paid(usize, usize),
}
