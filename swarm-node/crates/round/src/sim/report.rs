//! What a simulation leaves behind.

use std::collections::BTreeMap;
use std::sync::Arc;

use swarm_identity::Place;
use swarm_identity::digest::{Digest32, Hasher};
use swarm_identity::key::PeerId;

use crate::clock::Round;
use crate::message_log::Evidence;
use crate::payload::Stage;
use crate::rejection::{Counters, Withheld};
use crate::resolve::RoundResult;
use crate::reward::{Points, Rows};
use crate::state::Settlement;

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
        let is_most = match &self.result {
            Some(best) => self.digests[&result.digest] > self.digests[&best.digest],
            None => true,
        };
        if is_most {
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
pub struct SimulationReport {
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
    /// Messages that peers kept back, with their places.
    pub withheld: Vec<(usize, Place, Withheld)>,
    /// Messages delivered; duplicates that a mesh would bring are not simulated.
    pub deliveries: u64,
    /// Bytes of these messages.
    pub delivered_bytes: u64,
}

impl SimulationReport {
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

    /// A peer's rewards in each round that has a result.
    ///
    /// # Panics
    /// If there is no peer of this index.
    pub fn rows(&self, peer: usize) -> Vec<Rows> {
        let id = self.peers[peer];
        let results = self
            .rounds
            .values()
            .filter_map(|round| round.result.as_ref());
        results
            .flat_map(|result| &result.scores)
            .filter(|score| score.peer == id)
            .map(|score| score.rows)
            .collect()
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
