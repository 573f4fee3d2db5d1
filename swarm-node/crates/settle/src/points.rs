//! The points of one epoch: its rounds, added up.

use std::collections::BTreeMap;

use swarm_identity::digest::{Digest32, Hasher};
use swarm_identity::key::PeerId;
use swarm_round::RoundResult;
use swarm_round::reward::Points;

/// The settled rounds of an epoch so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EpochPoints {
    /// Points by peer; what equivocation took may leave a peer below zero until the epoch ends.
    points: BTreeMap<PeerId, Points>,
    /// Digests of the rounds, in their order.
    rounds: BTreeMap<u64, Digest32>,
}

impl EpochPoints {
    /// Adds a settled round; a round that is there already counts once.
    pub fn add(&mut self, result: &RoundResult) {
        if self
            .rounds
            .insert(result.transcript.plan.round, result.digest)
            .is_some()
        {
            return;
        }
        for score in &result.scores {
            let sum = self.points.entry(score.peer).or_default();
            *sum = sum.saturating_add(score.rows.total());
        }
    }

    /// The points of an epoch as they were recorded.
    pub(super) fn restore(
        points: BTreeMap<PeerId, Points>,
        rounds: BTreeMap<u64, Digest32>,
    ) -> Self {
        Self { points, rounds }
    }

    /// Points by peer, debts included.
    pub(super) fn points(&self) -> &BTreeMap<PeerId, Points> {
        &self.points
    }

    /// Digests of the rounds.
    pub(super) fn rounds(&self) -> &BTreeMap<u64, Digest32> {
        &self.rounds
    }

    /// What each peer earned: its points, none below zero.
    pub fn earned(&self) -> impl Iterator<Item = (PeerId, u64)> {
        self.points
            .iter()
            .map(|(peer, points)| (*peer, (*points).max(0).unsigned_abs()))
    }

    /// Digest over the results of all rounds: what the epoch's points were computed from.
    pub fn transcript(&self) -> Digest32 {
        let rounds = self.rounds.iter();
        rounds
            .fold(Hasher::new("epoch"), |hasher, (round, digest)| {
                hasher.u64(*round).bytes(digest)
            })
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{key, result};
    use super::*;

    /// What the toy members earned, in their order.
    fn earned(points: &EpochPoints) -> Vec<u64> {
        let by_peer: BTreeMap<_, _> = points.earned().collect();
        (0..2).map(|number| by_peer[&key(number).peer()]).collect()
    }

    #[test]
    fn rounds_add_up_once_each() {
        let mut points = EpochPoints::default();
        points.add(&result(0, &[3, 4]));
        points.add(&result(1, &[10, 20]));
        let transcript = points.transcript();
        points.add(&result(1, &[10, 20]));
        assert_eq!(earned(&points), [13, 24]);
        assert_eq!(points.transcript(), transcript);
    }

    #[test]
    fn a_debt_is_paid_within_the_epoch_and_forgiven_after_it() {
        let mut points = EpochPoints::default();
        points.add(&result(0, &[-7, -7]));
        points.add(&result(1, &[10, 2]));
        assert_eq!(earned(&points), [3, 0]);
    }

    #[test]
    fn every_round_is_in_the_digest() {
        let digest = |rounds: &[u64]| {
            let mut points = EpochPoints::default();
            rounds
                .iter()
                .for_each(|round| points.add(&result(*round, &[1, 1])));
            points.transcript()
        };
        assert_eq!(digest(&[0, 1]), digest(&[1, 0]));
        assert_ne!(digest(&[0, 1]), digest(&[0, 2]));
        assert_ne!(digest(&[0, 1]), digest(&[0]));
    }
}
