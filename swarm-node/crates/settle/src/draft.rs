//! Rounds of one epoch, added up.

use std::collections::BTreeMap;

use swarm_identity::digest::{Digest32, Hasher};
use swarm_identity::key::PeerId;
use swarm_round::RoundResult;
use swarm_round::reward::Points;

/// The settled rounds of an epoch so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Draft {
    /// Points by peer; what equivocation took may leave a peer below zero until the epoch ends.
    points: BTreeMap<PeerId, Points>,
    /// Digests of the rounds, in their order.
    rounds: BTreeMap<u64, Digest32>,
}

impl Draft {
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

    /// The draft of an epoch from what was kept of it.
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
            .map(|(peer, points)| (*peer, u64::try_from(*points).unwrap_or(0)))
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
    fn earned(draft: &Draft) -> Vec<u64> {
        let by_peer: BTreeMap<_, _> = draft.earned().collect();
        (0..2).map(|number| by_peer[&key(number).peer()]).collect()
    }

    #[test]
    fn rounds_add_up_once_each() {
        let mut draft = Draft::default();
        draft.add(&result(0, &[3, 4]));
        draft.add(&result(1, &[10, 20]));
        let transcript = draft.transcript();
        draft.add(&result(1, &[10, 20]));
        assert_eq!(earned(&draft), [13, 24]);
        assert_eq!(draft.transcript(), transcript);
    }

    #[test]
    fn a_debt_is_paid_within_the_epoch_and_forgiven_after_it() {
        let mut draft = Draft::default();
        draft.add(&result(0, &[-7, -7]));
        draft.add(&result(1, &[10, 2]));
        assert_eq!(earned(&draft), [3, 0]);
    }

    #[test]
    fn every_round_is_in_the_digest() {
        let digest = |rounds: &[u64]| {
            let mut draft = Draft::default();
            rounds
                .iter()
                .for_each(|round| draft.add(&result(*round, &[1, 1])));
            draft.transcript()
        };
        assert_eq!(digest(&[0, 1]), digest(&[1, 0]));
        assert_ne!(digest(&[0, 1]), digest(&[0, 2]));
        assert_ne!(digest(&[0, 1]), digest(&[0]));
    }
}
