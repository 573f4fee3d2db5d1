//! Toy members and what they sign.

use contracts::outcome::{Outcome, Vote};
use contracts::typed::{self, Domain};
use contracts::{Address, B256};
use swarm_identity::NodeKey;
use swarm_identity::key::PeerId;

use super::attestation::Attestation;
use super::schedule::Schedule;

/// Where the toy signatures count.
pub const DOMAIN: Domain = Domain {
    chain_id: 31_337,
    contract: Address::repeat_byte(7),
};

/// Epochs of one round.
pub const SCHEDULE: Schedule = Schedule {
    genesis: 1_000,
    round_seconds: 10,
    rounds_per_epoch: 1,
    proposal_window: 60,
    objection_window: 60,
    court_window: 60,
};

/// The key of a toy member.
pub fn key(number: u8) -> NodeKey {
    let mut secret = [1; 32];
    secret[0] = number;
    NodeKey::from_secret(&secret).unwrap()
}

/// Its name.
pub fn peer(number: u8) -> PeerId {
    key(number).peer()
}

/// The address of its node key.
pub fn node(number: u8) -> Address {
    typed::address(&peer(number).0).unwrap()
}

/// Its owner.
pub fn owner(number: u8) -> Address {
    Address::left_padding_from(&[1, number])
}

/// An outcome of one span.
pub fn outcome(points: u128) -> Outcome {
    Outcome {
        since: 2,
        epoch: 3,
        root: B256::repeat_byte(1),
        points,
        certificates: B256::repeat_byte(2),
    }
}

/// A vote in an owner's name, signed by a member's node.
pub fn attestation(signer: u8, owner: Address, outcome: Outcome) -> Attestation {
    let digest = DOMAIN.outcome(owner, &outcome);
    let signature = key(signer).sign_recoverable(&digest.0).unwrap();
    let vote = Vote::new(owner, &signature).unwrap();
    Attestation { outcome, vote }
}
