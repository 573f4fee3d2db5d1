//! What a simulation leaves behind.

use std::collections::BTreeMap;
use std::sync::Arc;

use swarm_identity::Place;
use swarm_identity::digest::{Digest32, Hasher};
use swarm_identity::key::PeerId;

use crate::agreement::DecidedRound;
use crate::clock::{Millis, Round};
use crate::envelope::KIND_OFFSET;
use crate::heard::Evidence;
use crate::payload::{Kind, Stage};
use crate::rejection::{Counters, Withheld};
use crate::resolve::RoundResult;
use crate::reward::{Points, Rows};
use crate::state::ReplayError;

/// One round, seen from all peers.
#[derive(Clone, Debug, Default)]
pub struct RoundReport {
    /// The first decision of an honest peer.
    pub decided: Option<Arc<DecidedRound>>,
    /// How many honest peers decided for each result. More than one is a failure of agreement.
    pub digests: BTreeMap<Digest32, usize>,
    /// When honest peers had the decision, in milliseconds after the round's windows, by peer.
    pub delays: BTreeMap<usize, Millis>,
}

impl RoundReport {
    pub(super) fn note(&mut self, peer: usize, decided: &Arc<DecidedRound>, delay: Millis) {
        *self.digests.entry(decided.result.digest).or_insert(0) += 1;
        self.delays.entry(peer).or_insert(delay);
        self.decided.get_or_insert_with(|| decided.clone());
    }

    /// What follows from the decision.
    pub fn result(&self) -> Option<&Arc<RoundResult>> {
        self.decided.as_ref().map(|decided| &decided.result)
    }

    /// True if there is one result.
    pub fn is_agreed(&self) -> bool {
        self.digests.len() == 1
    }
}

/// What agreement cost all peers together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Messages that peers got.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Messages that peers signed.
    pub signatures: u64,
    /// Decided rounds that peers fetched.
    pub fetched: u64,
}

impl Traffic {
    /// Counts a message that a peer got, if it is one of agreement.
    pub(super) fn got(&mut self, bytes: &[u8]) {
        let kind = bytes.get(KIND_OFFSET).copied().and_then(Kind::from_wire);
        if kind.is_some_and(Kind::is_agreement) {
            self.messages += 1;
            self.bytes += bytes.len() as u64;
        }
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
    /// What agreement cost.
    pub agreement: Traffic,
    /// Journals that could not be replayed, by the peers' indices.
    pub not_replayed: Vec<(usize, ReplayError)>,
}

/// A digest over the digests of agreed results, in the order of their rounds.
pub fn transcript_digest<'a>(results: impl IntoIterator<Item = &'a Digest32>) -> Digest32 {
    let hash = |hasher: Hasher, digest: &Digest32| hasher.bytes(digest);
    results
        .into_iter()
        .fold(Hasher::new("history"), hash)
        .finish()
}

impl SimulationReport {
    /// A digest over the agreed result of every round: equal digests, equal histories.
    pub fn transcript_digest(&self) -> Digest32 {
        let results = self.rounds.values().filter_map(RoundReport::result);
        transcript_digest(results.map(|result| &result.digest))
    }

    /// A peer's rewards in each round that has a result.
    ///
    /// # Panics
    /// If there is no peer of this index.
    pub fn rows(&self, peer: usize) -> Vec<Rows> {
        let id = self.peers[peer];
        let results = self.rounds.values().filter_map(RoundReport::result);
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

    /// Rounds with one result at all honest peers that have one.
    pub fn agreed(&self) -> usize {
        self.rounds
            .values()
            .filter(|round| round.is_agreed())
            .count()
    }

    /// The median time from the end of a round's windows to its decision, over honest peers and
    /// rounds; `None` without any.
    pub fn median_delay(&self) -> Option<Millis> {
        let delays = self.rounds.values().flat_map(|round| round.delays.values());
        let mut delays: Vec<Millis> = delays.copied().collect();
        delays.sort_unstable();
        delays.get(delays.len() / 2).copied()
    }
}
