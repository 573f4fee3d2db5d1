//! What a simulation leaves behind.

use std::collections::BTreeMap;
use std::sync::Arc;

use swarm_identity::digest::{Digest32, Hasher};
use swarm_identity::key::PeerId;

use super::super::book::Evidence;
use super::super::clock::Round;
use super::super::gate::Counters;
use super::super::payload::Stage;
use super::super::resolve::RoundResult;
use super::super::reward::{Points, Rows};
use super::super::state::Settlement;

/// One round, seen from all peers.
#[derive(Clone, Debug, Default)]
pub struct RoundReport {
    /// The result that most honest peers computed.
    pub result: Option<Arc<RoundResult>>,
    /// How many honest peers computed each digest.
    pub digests: BTreeMap<Digest32, usize>,
    /// How honest peers saw the round end.
    pub settlements: BTreeMap<usize, Settlement>,
}

impl RoundReport {
    pub(super) fn note(&mut self, result: &Arc<RoundResult>) {
        *self.digests.entry(result.digest).or_insert(0) += 1;
        let count =
            |result: &Arc<RoundResult>| self.digests.get(&result.digest).copied().unwrap_or(0);
        if self
            .result
            .as_ref()
            .is_none_or(|best| count(result) > count(best))
        {
            self.result = Some(result.clone());
        }
    }

    /// True if every honest peer that saw the round end has the same settled digest.
    pub fn is_settled(&self) -> bool {
        !self.settlements.is_empty()
            && self
                .settlements
                .values()
                .all(|settlement| settlement.agrees)
    }
}

/// The outcome of a simulation.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Identities by peer index.
    pub peers: Vec<PeerId>,
    /// Rounds in order.
    pub rounds: BTreeMap<Round, RoundReport>,
    /// Message counts by peer index, over crashes.
    pub counters: Vec<Counters>,
    /// Proofs of equivocation by accused peer, as collected by honest peers.
    pub evidence: BTreeMap<PeerId, Evidence>,
    /// Stages that peers sat out.
    pub missed: Vec<(usize, Round, Stage)>,
    /// Messages delivered.
    pub deliveries: u64,
}

impl Report {
    /// A digest over the agreed result of every round: equal digests, equal histories.
    pub fn transcript_digest(&self) -> Digest32 {
        let digests = self
            .rounds
            .values()
            .filter_map(|round| round.result.as_ref());
        digests
            .fold(Hasher::new("history"), |hasher, result| {
                hasher.bytes(&result.digest)
            })
            .finish()
    }

    /// A peer's rewards in each round.
    pub fn rows(&self, peer: usize) -> Vec<Rows> {
        let Some(id) = self.peers.get(peer) else {
            return Vec::new();
        };
        let of_round = |round: &RoundReport| {
            let scores = &round.result.as_ref()?.scores;
            scores
                .iter()
                .find(|score| score.peer == *id)
                .map(|score| score.rows)
        };
        self.rounds.values().filter_map(of_round).collect()
    }

    /// A peer's score over all rounds.
    pub fn total(&self, peer: usize) -> Points {
        self.rows(peer).iter().map(Rows::total).sum()
    }

    /// Message counts of all peers together.
    pub fn all_counters(&self) -> Counters {
        let mut sum = Counters::default();
        self.counters.iter().for_each(|counters| sum.add(counters));
        sum
    }

    /// Rounds that settled.
    pub fn settled(&self) -> usize {
        self.rounds
            .values()
            .filter(|round| round.is_settled())
            .count()
    }
}
