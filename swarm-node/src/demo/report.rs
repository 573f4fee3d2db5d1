//! What a demo showed.

use serde::Serialize;

use super::council::Council;
use super::measure::Rates;
use super::money::{Account, MoneyReport, Place};
use crate::task::FamilyId;

/// What became of one peer.
#[derive(Clone, Debug, PartialEq)]
pub struct PeerReport {
    /// The family of its practice questions.
    pub family: FamilyId,
    /// What it could after learning alone.
    pub alone: Rates,
    /// What it could after learning in the swarm.
    pub swarm: Rates,
    /// How often the guard rolled it back, alone and in the swarm.
    pub rollbacks: [usize; 2],
    /// SHA-256 of its parameters after learning alone.
    pub alone_digest: String,
    /// SHA-256 of its parameters after learning in the swarm.
    pub swarm_digest: String,
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
    pub money: MoneyReport,
    /// What the base could.
    pub before: Rates,
    /// What became of each peer.
    pub peers: Vec<PeerReport>,
    /// Joint decisions at round 0 and after the last round.
    pub council: [Council; 2],
    /// Digest over the results of all rounds of the swarm.
    pub transcript_digest: String,
    /// How long it took, in seconds of wall time; all else is the same in every run.
    pub seconds: f64,
}

/// The money in one line of JSON: by peer, in tokens as exact decimal text; `settled` is true if every epoch was accepted
/// on chain and every peer got exactly what it earned.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs, reason = "the names say what MoneyReport documents")]
pub struct MoneySummary {
    pub settled: bool,
    pub scores: Vec<u64>,
    pub earned: Vec<String>,
    pub claimed: Vec<String>,
    pub pending: Vec<String>,
    pub epochs: usize,
    pub epochs_accepted: usize,
    pub trouble: Option<String>,
    pub chain: Option<Place>,
}

impl From<&MoneyReport> for MoneySummary {
    fn from(money: &MoneyReport) -> Self {
        Self {
            settled: money.is_settled(),
            scores: money.accounts.iter().map(|account| account.points).collect(),
            earned: money.texts(Account::earned),
            claimed: money.texts(|account| account.claimed),
            pending: money.texts(Account::pending),
            epochs: money.epochs[1],
            epochs_accepted: money.epochs[0],
            trouble: money.trouble.clone(),
            chain: money.place.clone(),
        }
    }
}

/// What `demo --json` prints. Rates are shares of right answers, 0 to 1, means over peers and families.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs, reason = "the names say what DemoReport documents")]
pub struct Summary {
    pub peers: usize,
    pub rounds: u64,
    pub heldout_before: f32,
    pub heldout_after: f32,
    pub heldout_alone: f32,
    pub sampled_before: f32,
    pub sampled_after: f32,
    pub transcript_digest: String,
    pub model_digests: Vec<String>,
    pub seconds: f64,
    pub seed: u64,
    pub sampled_alone: f32,
    pub rounds_settled: usize,
    #[serde(flatten)]
    pub money: MoneySummary,
    pub council_before: Council,
    pub council_after: Council,
    pub alone_digests: Vec<String>,
}

impl DemoReport {
    /// The mean over peers.
    pub fn mean(&self, rate: impl Fn(&PeerReport) -> f32) -> f32 {
        self.peers.iter().map(rate).sum::<f32>() / self.peers.len().max(1) as f32
    }

    /// The report in one line of JSON.
    pub fn summary(&self) -> Summary {
        Summary {
            peers: self.peers.len(),
            rounds: self.rounds,
            heldout_before: self.before.greedy.mean,
            heldout_after: self.mean(|peer| peer.swarm.greedy.mean),
            heldout_alone: self.mean(|peer| peer.alone.greedy.mean),
            sampled_before: self.before.sampled.mean,
            sampled_after: self.mean(|peer| peer.swarm.sampled.mean),
            transcript_digest: self.transcript_digest.clone(),
            model_digests: self.peers.iter().map(|peer| peer.swarm_digest.clone()).collect(),
            seconds: (self.seconds * 10.0).round() / 10.0,
            seed: self.seed,
            sampled_alone: self.mean(|peer| peer.alone.sampled.mean),
            rounds_settled: self.rounds_settled,
            money: MoneySummary::from(&self.money),
            council_before: self.council[0],
            council_after: self.council[1],
            alone_digests: self.peers.iter().map(|peer| peer.alone_digest.clone()).collect(),
        }
    }
}
