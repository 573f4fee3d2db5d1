//! What a demo showed.

use serde::Serialize;
use swarm_task::FamilyId;

use super::arm::{Arm, Point, Rates};
use super::cheat::CheatReport;
use super::ensemble::EnsembleAccuracy;
use super::rewards::{PeerBalance, RewardReport, SettledOn};

/// What became of one peer.
#[derive(Clone, Debug, PartialEq)]
pub struct PeerReport {
    /// The family that a specialist in its place practises.
    pub family: FamilyId,
    /// How often the guard rolled it back.
    pub rollbacks: usize,
    /// SHA-256 of its parameters after the last round.
    pub digest: String,
    /// What it could after some rounds; the last point is that of all rounds.
    pub curve: Vec<Point>,
}

/// What became of the peers of one arm.
///
/// # Panics
/// Its methods want what every demo's report has: at least one peer, all with curves of one length,
/// which is not 0.
#[derive(Clone, Debug, PartialEq)]
pub struct ArmReport {
    /// How they learned.
    pub arm: Arm,
    /// The peers.
    pub peers: Vec<PeerReport>,
}

impl ArmReport {
    /// The mean over the arm's peers, point by point.
    pub fn curve(&self) -> Vec<Point> {
        (0..self.points()).map(|at| self.point(at)).collect()
    }

    /// The mean over the arm's peers after all rounds.
    pub fn last(&self) -> Point {
        self.point(self.points() - 1)
    }

    fn points(&self) -> usize {
        self.peers[0].curve.len()
    }

    fn point(&self, at: usize) -> Point {
        let points: Vec<&Point> = self.peers.iter().map(|peer| &peer.curve[at]).collect();
        Point::average(&points)
    }
}

/// The outcome of a demo.
#[derive(Clone, Debug, PartialEq)]
pub struct DemoReport {
    /// The seed.
    pub seed: u64,
    /// Rounds played.
    pub rounds: u64,
    /// Rounds that all peers decided alike.
    pub rounds_decided: usize,
    /// What became of the rewards.
    pub rewards: RewardReport,
    /// What became of a worker that got one bit wrong, if that was played.
    pub cheat: Option<CheatReport>,
    /// What the base could.
    pub before: Rates,
    /// The swarm and its controls, in the order of [`Arm`].
    pub arms: Vec<ArmReport>,
    /// Joint decisions at round 0 and after the last round.
    pub ensemble: [EnsembleAccuracy; 2],
    /// Digest over the results of all rounds of the swarm.
    pub transcript_digest: String,
    /// How long it took, in seconds of wall time; all else is the same in every run.
    pub seconds: f64,
}

/// The rewards in one line of JSON: by peer, in tokens as exact decimal text; `settled` is true if
/// every epoch is final on chain and every peer got exactly what it earned.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RewardSummary {
    /// Whether every epoch is final and every peer got exactly what it earned.
    pub settled: bool,
    /// Points of each peer.
    pub scores: Vec<u64>,
    /// Tokens that each peer earned.
    pub earned: Vec<String>,
    /// Tokens that each peer was paid.
    pub claimed: Vec<String>,
    /// Tokens that each peer earned and was not paid yet.
    pub pending: Vec<String>,
    /// Epochs that were played.
    pub epochs: usize,
    /// Epochs that are final on the chain.
    pub epochs_final: usize,
    /// Why not everything is settled, if so.
    pub trouble: Option<String>,
    /// Where it was settled; null for nowhere.
    pub chain: Option<SettledOn>,
}

impl From<&RewardReport> for RewardSummary {
    fn from(rewards: &RewardReport) -> Self {
        Self {
            settled: rewards.is_settled(),
            scores: rewards
                .accounts
                .iter()
                .map(|account| account.points)
                .collect(),
            earned: rewards.texts(PeerBalance::earned),
            claimed: rewards.texts(|account| account.claimed),
            pending: rewards.texts(PeerBalance::pending),
            epochs: rewards.epochs[1],
            epochs_final: rewards.epochs[0],
            trouble: rewards.trouble.clone(),
            chain: rewards.place.clone(),
        }
    }
}

/// Shares of right answers with their errors, 0 to 1, the means over families.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct RateSummary {
    /// Share of right greedy answers.
    pub heldout: f32,
    /// Its standard error over questions.
    pub heldout_error: f32,
    /// Share of right sampled answers.
    pub sampled: f32,
    /// Its standard error over questions.
    pub sampled_error: f32,
}

/// One arm in one line of JSON: the means over its peers after all rounds, and by round.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ArmSummary {
    /// How they learned.
    pub arm: Arm,
    /// Peers of the arm.
    pub peers: usize,
    /// What its peers could.
    #[serde(flatten)]
    pub rates: RateSummary,
    /// Completions that one of its peers generated.
    pub completions: usize,
    /// The same by round.
    pub curve: Vec<CurvePoint>,
    /// How often the guard rolled one of them back.
    pub rollbacks: usize,
    /// SHA-256 of each peer's parameters after the last round.
    pub digests: Vec<String>,
}

/// A point of an arm's curve.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CurvePoint {
    /// Rounds that were played.
    pub round: u64,
    /// Completions that one peer had generated.
    pub completions: usize,
    /// What its peers could.
    #[serde(flatten)]
    pub rates: RateSummary,
}

impl From<&Rates> for RateSummary {
    fn from(rates: &Rates) -> Self {
        let (greedy, sampled) = (rates.greedy.mean(), rates.sampled.mean());
        Self {
            heldout: greedy.share,
            heldout_error: greedy.error,
            sampled: sampled.share,
            sampled_error: sampled.error,
        }
    }
}

impl From<&Point> for CurvePoint {
    fn from(point: &Point) -> Self {
        Self {
            round: point.round,
            completions: point.completions,
            rates: RateSummary::from(&point.rates),
        }
    }
}

impl From<&ArmReport> for ArmSummary {
    fn from(report: &ArmReport) -> Self {
        let last = report.last();
        Self {
            arm: report.arm,
            peers: report.peers.len(),
            rates: RateSummary::from(&last.rates),
            completions: last.completions,
            curve: report.curve().iter().map(CurvePoint::from).collect(),
            rollbacks: report.peers.iter().map(|peer| peer.rollbacks).sum(),
            digests: report
                .peers
                .iter()
                .map(|peer| peer.digest.clone())
                .collect(),
        }
    }
}

/// What `demo --json` prints. Rates are shares of right answers, 0 to 1, means over peers and
/// families; errors are standard errors over questions. `heldout` is greedy.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DemoSummary {
    /// Peers of the arm.
    pub peers: usize,
    /// Rounds played.
    pub rounds: u64,
    /// Share of the base's right greedy answers.
    pub heldout_before: f32,
    /// That of the swarm's peers after all rounds.
    pub heldout_after: f32,
    /// Share of the base's right sampled answers.
    pub sampled_before: f32,
    /// That of the swarm's peers after all rounds.
    pub sampled_after: f32,
    /// Standard error of `heldout_before` over questions.
    pub heldout_before_error: f32,
    /// Standard error of `sampled_before` over questions.
    pub sampled_before_error: f32,
    /// The swarm and its controls.
    pub arms: Vec<ArmSummary>,
    /// Digest over the results of all rounds of the swarm.
    pub transcript_digest: String,
    /// SHA-256 of the parameters of each of the swarm's peers after the last round.
    pub model_digests: Vec<String>,
    /// Wall time in seconds.
    pub seconds: f64,
    /// The seed.
    pub seed: u64,
    /// Rounds that all peers decided alike.
    pub rounds_decided: usize,
    /// What became of the rewards.
    #[serde(flatten)]
    pub rewards: RewardSummary,
    /// Right joint answers at round 0.
    pub council_before: EnsembleAccuracy,
    /// Right joint answers after the last round.
    pub council_after: EnsembleAccuracy,
    /// What became of a worker that got one bit wrong, if that was played.
    pub cheat: Option<CheatReport>,
}

impl DemoReport {
    /// What became of the peers of an arm; none for a control that was not played.
    pub fn arm(&self, arm: Arm) -> Option<&ArmReport> {
        self.arms.iter().find(|report| report.arm == arm)
    }

    /// The report in one line of JSON.
    ///
    /// # Panics
    /// The report is no demo's, as it lacks the swarm.
    pub fn summary(&self) -> DemoSummary {
        let before = RateSummary::from(&self.before);
        let arms: Vec<ArmSummary> = self.arms.iter().map(ArmSummary::from).collect();
        #[expect(
            clippy::expect_used,
            reason = "`run` plays the swarm, whatever the settings are"
        )]
        let swarm = arms
            .iter()
            .find(|summary| summary.arm == Arm::Swarm)
            .expect("invariant: a demo has a swarm");
        let (peers, after, sampled, digests) = (
            swarm.peers,
            swarm.rates.heldout,
            swarm.rates.sampled,
            swarm.digests.clone(),
        );
        DemoSummary {
            peers,
            rounds: self.rounds,
            heldout_before: before.heldout,
            heldout_after: after,
            sampled_before: before.sampled,
            sampled_after: sampled,
            heldout_before_error: before.heldout_error,
            sampled_before_error: before.sampled_error,
            arms,
            transcript_digest: self.transcript_digest.clone(),
            model_digests: digests,
            seconds: (self.seconds * 10.0).round() / 10.0,
            seed: self.seed,
            rounds_decided: self.rounds_decided,
            rewards: RewardSummary::from(&self.rewards),
            council_before: self.ensemble[0],
            council_after: self.ensemble[1],
            cheat: self.cheat.clone(),
        }
    }
}
