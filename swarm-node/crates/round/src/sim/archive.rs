//! What simulated peers keep of decided rounds, and whom they ask for more.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use reproducible_ops::random::Stream;

use super::seed::seed_key;
use crate::agreement::DecidedRound;
use crate::clock::Round;

/// Peers that are asked for one thing at a time.
const ASKED: usize = 3;

/// Decided rounds, each held once, and which peer has which. It outlives crashes, as a disk does.
pub(super) struct Archive {
    rounds: BTreeMap<Round, Arc<DecidedRound>>,
    holders: Vec<BTreeSet<Round>>,
    chance: Stream,
}

impl Archive {
    /// The empty archives of `peers` peers.
    pub fn new(peers: usize, seed: u64) -> Self {
        let key = seed_key("round-simulation-archive", seed);
        Self {
            rounds: BTreeMap::new(),
            holders: vec![BTreeSet::new(); peers],
            chance: Stream::new(key, 0, 0),
        }
    }

    /// Notes that a peer has a decided round.
    pub fn keep(&mut self, peer: usize, decided: &Arc<DecidedRound>) {
        self.rounds
            .entry(decided.round())
            .or_insert_with(|| decided.clone());
        self.holders[peer].insert(decided.round());
    }

    /// A round, if the peer has it.
    pub fn get(&self, peer: usize, round: Round) -> Option<&Arc<DecidedRound>> {
        self.rounds
            .get(&round)
            .filter(|_| self.holders[peer].contains(&round))
    }

    /// Everything that a peer has, in order.
    pub fn of(&self, peer: usize) -> Vec<Arc<DecidedRound>> {
        let held = self.holders[peer].iter();
        held.filter_map(|round| self.rounds.get(round).cloned())
            .collect()
    }

    /// Some others that a peer asks.
    pub fn targets(&mut self, peer: usize) -> Vec<usize> {
        let others: Vec<usize> = (0..self.holders.len())
            .filter(|other| *other != peer)
            .collect();
        match others.is_empty() {
            true => others,
            false => (0..ASKED)
                .map(|_| others[self.chance.index(others.len())])
                .collect(),
        }
    }
}
