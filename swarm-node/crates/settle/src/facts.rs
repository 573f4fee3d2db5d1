//! What the chain says of epochs, whether or not the node knows them yet.
//!
//! Events and rounds reach a node in any order: a node that lags in its rounds reads that an epoch
//! was accepted before it has closed it. So facts are kept apart from epochs, and an epoch looks up
//! what is said of it.
//!
//! At most [`MAX_FACTS`] epochs are remembered; beyond that the one furthest from the running epoch
//! goes, so that a server that invents events cannot push out what matters.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use swarm_identity::digest::Digest32;

use super::schedule::EpochNumber;

/// Epochs of which facts are remembered: four times what a node keeps of epochs.
pub const MAX_FACTS: usize = 1_024;

/// Scores that the contract took.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Accepted {
    block: u64,
    pub(super) root: Digest32,
    /// Last second for claims.
    pub(super) deadline: u64,
}

/// What the chain says of one epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Outcome {
    pub(super) accepted: Option<Accepted>,
    /// The block in which this node's reward was paid.
    paid: Option<u64>,
}

impl Outcome {
    pub(super) fn is_paid(&self) -> bool {
        self.paid.is_some()
    }
}

/// What the chain says of epochs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts(BTreeMap<EpochNumber, Outcome>);

impl Facts {
    pub(super) fn of(&self, epoch: EpochNumber) -> Outcome {
        self.0.get(&epoch).copied().unwrap_or_default()
    }

    /// The scores of an epoch were accepted in a block. An epoch has one outcome: only a rollback
    /// makes room for another.
    pub(super) fn accepted(
        &mut self,
        epoch: EpochNumber,
        block: u64,
        root: Digest32,
        deadline: u64,
    ) {
        self.0
            .entry(epoch)
            .or_default()
            .accepted
            .get_or_insert(Accepted {
                block,
                root,
                deadline,
            });
    }

    /// This node's reward of an epoch was paid in a block.
    pub(super) fn paid(&mut self, epoch: EpochNumber, block: u64) {
        self.0.entry(epoch).or_default().paid.get_or_insert(block);
    }

    /// What blocks above this one said is void.
    pub(super) fn rollback(&mut self, block: u64) {
        for outcome in self.0.values_mut() {
            outcome.accepted = outcome.accepted.filter(|accepted| accepted.block <= block);
            outcome.paid = outcome.paid.filter(|paid| *paid <= block);
        }
        self.0.retain(|_, outcome| *outcome != Outcome::default());
    }

    /// Forgets the epochs below one.
    pub(super) fn forget_before(&mut self, epoch: EpochNumber) {
        self.0 = self.0.split_off(&epoch);
    }

    /// Forgets what is too much: the epochs furthest from the one that runs.
    pub(super) fn bound(&mut self, running: EpochNumber) {
        while self.0.len() > MAX_FACTS {
            let (Some((&first, _)), Some((&last, _))) =
                (self.0.first_key_value(), self.0.last_key_value())
            else {
                return;
            };
            let furthest = if first.abs_diff(running) > last.abs_diff(running) {
                first
            } else {
                last
            };
            self.0.remove(&furthest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rollback_takes_back_what_came_later() {
        let mut facts = Facts::default();
        facts.accepted(3, 10, [1; 32], 99);
        facts.paid(3, 12);
        facts.accepted(3, 13, [2; 32], 99);
        assert_eq!(
            facts.of(3).accepted.unwrap().root,
            [1; 32],
            "an epoch has one outcome"
        );
        facts.rollback(11);
        assert!(facts.of(3).accepted.is_some() && !facts.of(3).is_paid());
        facts.rollback(9);
        assert_eq!(facts, Facts::default());
        facts.accepted(3, 10, [2; 32], 99);
        assert_eq!(facts.of(3).accepted.unwrap().root, [2; 32]);
    }

    #[test]
    fn invented_epochs_push_out_none_that_matters() {
        let mut facts = Facts::default();
        facts.accepted(1_000, 1, [1; 32], 99);
        for epoch in (0..2_000).map(|number| u64::MAX - number).chain(0..500) {
            facts.accepted(epoch, 2, [2; 32], 99);
            facts.bound(1_001);
        }
        assert_eq!(facts.0.len(), MAX_FACTS);
        assert!(facts.of(1_000).accepted.is_some());
        assert!((0..500).all(|epoch| facts.of(epoch).accepted.is_some()));
    }
}
