//! What one epoch has come to so far: its decided rounds, added up.
//!
//! An epoch is *whole* when every round of it is decided here. Only then do its points go to
//! owners: each peer's sum over the rounds, none below zero, to whoever owned the peer's node when
//! the epoch began; those of unbound nodes to nobody.

use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use contracts::{Address, typed};
use swarm_identity::digest::{Digest32, Hasher};
use swarm_identity::key::PeerId;

use super::records::RoundRecord;
use super::snapshot::Snapshot;
use super::turns::Turns;

/// What a whole epoch came to.
#[derive(Debug)]
pub(super) struct EpochSum {
    /// Points of owners, none zero.
    pub(super) owners: BTreeMap<Address, u128>,
    /// Digest over the certificates of its rounds.
    pub(super) certificates: Digest32,
}

/// An epoch's bindings and stakes, and the order in which its members act.
#[derive(Debug)]
pub(super) struct Electorate {
    pub(super) snapshot: Snapshot,
    pub(super) turns: Turns,
}

/// What one peer has come to so far.
#[derive(Debug)]
struct PeerPoints {
    /// Its node key's address, kept as it takes a point of the curve to tell; a peer whose name is
    /// no key has none, and no owner.
    node: Option<Address>,
    /// What equivocation took may leave it below zero until the epoch is whole.
    points: i128,
}

impl PeerPoints {
    /// What the points earn.
    fn earned(&self) -> u128 {
        self.points.max(0).unsigned_abs()
    }
}

/// One epoch, as far as its rounds are decided here.
#[derive(Debug, Default)]
pub(super) struct Draft {
    /// Digests of the minutes, by round.
    rounds: BTreeMap<u64, Digest32>,
    points: BTreeMap<PeerId, PeerPoints>,
    sum: Option<Arc<EpochSum>>,
    electorate: Option<Arc<Electorate>>,
}

impl Draft {
    /// Adds a round; false if it is there already.
    pub(super) fn add(&mut self, record: &RoundRecord) -> bool {
        let is_new = !self.rounds.contains_key(&record.round());
        if is_new {
            self.rounds.insert(record.round(), record.minutes());
            for (peer, points) in record.points() {
                // Rounds of an epoch are few and points 64 bits wide: the sum fits.
                let sum = self.points.entry(peer).or_insert_with(|| PeerPoints {
                    node: typed::address(&peer.0),
                    points: 0,
                });
                sum.points = sum.points.saturating_add(points.into());
            }
        }
        is_new
    }

    /// Decided rounds.
    pub(super) fn rounds(&self) -> u64 {
        self.rounds.len() as u64
    }

    /// True if every one of these rounds is decided here.
    pub(super) fn is_whole(&self, rounds: &Range<u64>) -> bool {
        self.rounds() >= rounds.end.saturating_sub(rounds.start)
    }

    /// The rounds that are not decided here.
    pub(super) fn missing(&self, rounds: Range<u64>) -> Vec<RangeInclusive<u64>> {
        let mut gaps = Vec::new();
        let mut next = rounds.start;
        for round in self.rounds.keys().copied().chain([rounds.end]) {
            if next < round {
                gaps.push(next..=round - 1);
            }
            next = round.saturating_add(1);
        }
        gaps
    }

    /// The addresses of the epoch's peers.
    pub(super) fn nodes(&self) -> Vec<Address> {
        self.points.values().filter_map(|peer| peer.node).collect()
    }

    /// Points of one node so far.
    pub(super) fn points_of(&self, node: Address) -> u128 {
        let mut peers = self.points.values();
        let peer = peers.find(|peer| peer.node == Some(node));
        peer.map_or(0, PeerPoints::earned)
    }

    /// Takes bindings and stakes; a whole epoch's points go to owners.
    pub(super) fn take_snapshot(&mut self, electorate: Arc<Electorate>) {
        let certificates = self.certificates();
        let mut owners = BTreeMap::new();
        for peer in self.points.values() {
            let owner = peer.node.and_then(|node| electorate.snapshot.owner(&node));
            if let (Some(owner), points @ 1..) = (owner, peer.earned()) {
                let sum = owners.entry(owner).or_insert(0u128);
                *sum = sum.saturating_add(points);
            }
        }
        self.sum = Some(Arc::new(EpochSum {
            owners,
            certificates,
        }));
        self.electorate = Some(electorate);
    }

    /// What the epoch came to; `None` until it is whole and its owners are known.
    pub(super) fn sum(&self) -> Option<&Arc<EpochSum>> {
        self.sum.as_ref()
    }

    /// Bindings and stakes, once they are known.
    pub(super) fn electorate(&self) -> Option<&Arc<Electorate>> {
        self.electorate.as_ref()
    }

    fn certificates(&self) -> Digest32 {
        let rounds = self.rounds.iter();
        rounds
            .fold(Hasher::new("epoch"), |hasher, (round, minutes)| {
                hasher.u64(*round).bytes(minutes)
            })
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{node, owner, peer};
    use super::*;

    fn record(round: u64, points: &[i64]) -> RoundRecord {
        let points = (0..).zip(points).map(|(n, points)| (peer(n), *points));
        RoundRecord::of_points(round, [round as u8; 32], points)
    }

    fn snapshot(bound: u8) -> Arc<Electorate> {
        let snapshot = Snapshot {
            owners: (0..bound).map(|n| (node(n), owner(n))).collect(),
            stakes: (0..bound).map(|n| (owner(n), 5)).collect(),
            total: 5 * u128::from(bound),
        };
        let turns = Turns::new(0, &snapshot);
        Arc::new(Electorate { snapshot, turns })
    }

    fn owners(draft: &mut Draft, bound: u8) -> Vec<(Address, u128)> {
        draft.take_snapshot(snapshot(bound));
        draft.sum().unwrap().owners.clone().into_iter().collect()
    }

    #[test]
    fn rounds_add_up_once_each_in_any_order() {
        let records = [record(6, &[3, 4]), record(7, &[10, 20]), record(8, &[1, 1])];
        let sums = [[0, 1, 2], [2, 0, 1], [1, 2, 0]].map(|order| {
            let mut draft = Draft::default();
            for index in order {
                assert!(draft.add(&records[index]) && !draft.add(&records[index]));
            }
            assert!(draft.is_whole(&(6..9)) && !draft.is_whole(&(6..10)));
            let owners = owners(&mut draft, 2);
            (owners, draft.sum().unwrap().certificates)
        });
        assert_eq!(sums[0].0, [(owner(0), 14), (owner(1), 25)]);
        assert!(sums[0] == sums[1] && sums[1] == sums[2]);
    }

    #[test]
    fn gaps_are_named() {
        let mut draft = Draft::default();
        assert_eq!(draft.missing(6..10), [6..=9]);
        draft.add(&record(7, &[]));
        assert_eq!(draft.missing(6..10), [6..=6, 8..=9]);
        draft.add(&record(9, &[]));
        draft.add(&record(6, &[]));
        assert_eq!(draft.missing(6..10), [8..=8]);
        draft.add(&record(8, &[]));
        assert_eq!(draft.missing(6..10), []);
    }

    #[test]
    fn a_debt_is_paid_within_the_epoch_and_forgiven_after_it() {
        let mut draft = Draft::default();
        draft.add(&record(0, &[-7, -7, 2]));
        draft.add(&record(1, &[10, 2, -2]));
        assert_eq!(owners(&mut draft, 3), [(owner(0), 3)]);
        assert_eq!((draft.points_of(node(0)), draft.points_of(node(1))), (3, 0));
    }

    #[test]
    fn points_of_the_unbound_and_of_names_that_are_no_keys_are_nobodys() {
        let mut draft = Draft::default();
        let mut compact = peer(0);
        compact.0[0] = 5;
        let points = [
            (peer(0), 1),
            (peer(1), 2),
            (compact, 4),
            (PeerId([9; 33]), 8),
        ];
        draft.add(&RoundRecord::of_points(0, [0; 32], points));
        assert_eq!(draft.nodes().len(), 2);
        assert_eq!(owners(&mut draft, 1), [(owner(0), 1)]);
    }

    #[test]
    fn every_round_and_its_minutes_are_in_the_digest() {
        let digest = |rounds: &[(u64, u8)]| {
            let mut draft = Draft::default();
            for (round, minutes) in rounds {
                draft.add(&RoundRecord::of_points(*round, [*minutes; 32], []));
            }
            draft.certificates()
        };
        let all = [
            &[(0, 1), (1, 1)][..],
            &[(0, 1)],
            &[(0, 1), (1, 2)],
            &[(0, 1), (2, 1)],
        ];
        let digests: std::collections::BTreeSet<_> = all.into_iter().map(digest).collect();
        assert_eq!(digests.len(), 4);
    }
}
