//! The seam between the simulated protocol and whatever thinks for the peers.

use std::sync::Arc;

use crate::agreement::DecidedRound;
use crate::question::RoundQuestion;
use crate::work::{Answers, Critiques, Decisions, StageTask};

/// A task of one simulated peer.
#[derive(Clone, Debug)]
pub struct Job {
    /// The peer's index in the simulation's specification.
    pub peer: usize,
    /// What it has to do.
    pub task: StageTask,
}

/// Thinks for all peers of a simulation.
///
/// Each call carries the wishes of all peers at one virtual moment, so a driver may compute them in
/// parallel. Results are matched to jobs by position; a missing one leaves its peer silent in that
/// stage.
pub trait Driver {
    /// Answers the questions of each job, `task.group` completions per question, the first being
    /// the answer.
    fn answers(&mut self, jobs: &[Job]) -> Vec<Answers>;

    /// Reads the revealed answers of each job and endorses one or none per question.
    fn critiques(&mut self, jobs: &[Job]) -> Vec<Critiques>;

    /// Reads answers and critiques of each job and decides each question.
    fn decisions(&mut self, jobs: &[Job]) -> Vec<Decisions>;

    /// Takes the rounds that the members agreed on, with the peers' indices. The peers that decided
    /// a round come together, unless some are so late that the next round begins without them.
    fn learn(&mut self, rounds: &[(usize, Arc<DecidedRound>)]);

    /// True if the simulation shall end before its last round; asked at every virtual moment.
    fn is_over(&self) -> bool {
        false
    }

    /// A readable wrong answer that liars agree on.
    fn wrong(&self, _question: &RoundQuestion) -> String {
        "wrong".into()
    }
}
