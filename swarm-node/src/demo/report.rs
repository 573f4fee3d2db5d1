//! What a demo showed.

use serde::Serialize;
use swarm_task::FamilyId;

use super::arm::{Arm, Point, Rates};
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
    /// Rounds after which all peers had the same settled result.
    pub rounds_settled: usize,
    /// What became of the rewards.
    pub rewards: RewardReport,
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
/// every epoch was accepted on chain and every peer got exactly what it earned.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs, reason = "the names say what RewardReport documents")]
pub struct RewardSummary {
    pub settled: bool,
    pub scores: Vec<u64>,
    pub earned: Vec<String>,
    pub claimed: Vec<String>,
    pub pending: Vec<String>,
    pub epochs: usize,
    pub epochs_accepted: usize,
    pub trouble: Option<String>,
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
            epochs_accepted: rewards.epochs[0],
            trouble: rewards.trouble.clone(),
            chain: rewards.place.clone(),
        }
    }
}

/// Shares of right answers with their errors, 0 to 1, the means over families.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[allow(missing_docs, reason = "the names say what Rates documents")]
pub struct RateSummary {
    pub heldout: f32,
    pub heldout_error: f32,
    pub sampled: f32,
    pub sampled_error: f32,
}

/// One arm in one line of JSON: the means over its peers after all rounds, and by round.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs, reason = "the names say what ArmReport documents")]
pub struct ArmSummary {
    pub arm: Arm,
    pub peers: usize,
    #[serde(flatten)]
    pub rates: RateSummary,
    /// Completions that one of its peers generated.
    pub completions: usize,
    pub curve: Vec<CurvePoint>,
    pub rollbacks: usize,
    pub digests: Vec<String>,
}

/// A point of an arm's curve.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs, reason = "the names say what Point documents")]
pub struct CurvePoint {
    pub round: u64,
    pub completions: usize,
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
#[allow(missing_docs, reason = "the names say what DemoReport documents")]
pub struct DemoSummary {
    pub peers: usize,
    pub rounds: u64,
    pub heldout_before: f32,
    pub heldout_after: f32,
    pub sampled_before: f32,
    pub sampled_after: f32,
    pub heldout_before_error: f32,
    pub sampled_before_error: f32,
    pub arms: Vec<ArmSummary>,
    pub transcript_digest: String,
    pub model_digests: Vec<String>,
    pub seconds: f64,
    pub seed: u64,
    pub rounds_settled: usize,
    #[serde(flatten)]
    pub rewards: RewardSummary,
    pub council_before: EnsembleAccuracy,
    pub council_after: EnsembleAccuracy,
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
            rounds_settled: self.rounds_settled,
            rewards: RewardSummary::from(&self.rewards),
            council_before: self.ensemble[0],
            council_after: self.ensemble[1],
        }
    }
}
