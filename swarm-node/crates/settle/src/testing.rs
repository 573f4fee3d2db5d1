//! Toy rounds and members for the tests of settlement.

use std::sync::Arc;

use swarm_identity::NodeKey;
use swarm_identity::digest::Hasher;
use swarm_round::reward::{Points, Rows};
use swarm_round::sim::toy;
use swarm_round::{Member, MemberScore, Roster, RoundPlan, RoundResult, Transcript};

use super::{AccountAddress, MemberStake, StakeSnapshot};

/// The key of a toy member.
pub fn key(number: u8) -> NodeKey {
    NodeKey::from_secret(&[number + 1; 32]).unwrap()
}

/// A settled round in which member n earned `points[n]`.
pub fn result(round: u64, points: &[Points]) -> RoundResult {
    let keys: Vec<NodeKey> = (0..points.len()).map(|number| key(number as u8)).collect();
    result_of(round, &keys, points)
}

/// A settled round in which the member with `keys[n]` earned `points[n]`.
pub fn result_of(round: u64, keys: &[NodeKey], points: &[Points]) -> RoundResult {
    let mut roster = Roster::default();
    keys.iter()
        .for_each(|key| roster.register(Member::new(key.peer()), 0).unwrap());
    let config = toy::config(points.len() as u16);
    let plan = RoundPlan::new(&config, config.swarm_id(), round, roster.snapshot(round));
    let digest = points
        .iter()
        .fold(Hasher::new("toy").u64(round), |hasher, points| {
            hasher.bytes(&points.to_le_bytes())
        });
    let rows = |correctness: &Points| Rows {
        correctness: *correctness,
        ..Rows::default()
    };
    let scores = keys.iter().zip(points).map(|(key, points)| MemberScore {
        peer: key.peer(),
        rows: rows(points),
    });
    RoundResult {
        scores: scores.collect(),
        tallies: Vec::new(),
        digest: digest.finish(),
        transcript: Arc::new(Transcript::new(Arc::new(plan))),
    }
}

/// The owner of a toy member.
pub fn owner(number: u8) -> AccountAddress {
    [number + 100; 20]
}

/// A snapshot in which member n has `stakes[n]`.
pub fn snapshot(stakes: &[u128]) -> StakeSnapshot {
    let member = |(number, stake): (u8, &u128)| {
        (
            key(number).peer(),
            MemberStake {
                owner: owner(number),
                stake: *stake,
            },
        )
    };
    StakeSnapshot {
        members: (0..).zip(stakes).map(member).collect(),
        total: stakes.iter().sum(),
    }
}
