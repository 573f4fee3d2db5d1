//! Seals: SHA-256(context ‖ salt ‖ content), published before anybody sees the content.
//!
//! The context names swarm, round, stage, slot and *peer*, so a copied seal is worthless: whoever
//! repeats somebody's seal can never open it, because the opening would have to hash another peer's
//! name to the same value.

use swarm_identity::digest::{Digest32, Hasher};
use swarm_identity::key::PeerId;

use crate::clock::Round;
use crate::config::SwarmId;
use crate::payload::Stage;

/// Bytes of salt in front of a revealed body.
pub const SALT_BYTES: usize = 32;

/// What a seal is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealContext {
    /// The swarm.
    pub swarm: SwarmId,
    /// The round.
    pub round: Round,
    /// The stage.
    pub stage: Stage,
    /// The question's slot.
    pub slot: u16,
    /// Whose content it is.
    pub peer: PeerId,
}

impl SealContext {
    /// Digest of the context, all fields of fixed size.
    pub fn digest(&self) -> Digest32 {
        Hasher::new("seal-context")
            .bytes(&self.swarm)
            .u64(self.round)
            .u64(self.stage as u64)
            .u64(self.slot.into())
            .bytes(&self.peer.0)
            .finish()
    }

    /// The seal of a reveal payload, which is salt and content together.
    pub fn seal(&self, salted: &[u8]) -> Digest32 {
        Hasher::new("seal")
            .bytes(&self.digest())
            .bytes(salted)
            .finish()
    }
}

/// Splits a reveal payload into salt and content; `None` if it is shorter than a salt.
pub fn split_salt(salted: &[u8]) -> Option<(&[u8; SALT_BYTES], &[u8])> {
    salted.split_first_chunk()
}

/// A reveal payload: salt, then content.
pub fn salted(salt: &Digest32, content: &[u8]) -> Vec<u8> {
    [salt.as_slice(), content].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_binds_every_part() {
        let peer = PeerId([2; 33]);
        let context = SealContext {
            swarm: [1; 32],
            round: 2,
            stage: Stage::Share,
            slot: 3,
            peer,
        };
        let seal = context.seal(&salted(&[4; 32], b"42"));
        let others = [
            SealContext {
                swarm: [9; 32],
                ..context
            },
            SealContext {
                round: 9,
                ..context
            },
            SealContext {
                stage: Stage::Decide,
                ..context
            },
            SealContext { slot: 9, ..context },
            SealContext {
                peer: PeerId([9; 33]),
                ..context
            },
        ];
        for other in others {
            assert_ne!(other.seal(&salted(&[4; 32], b"42")), seal);
        }
        assert_ne!(context.seal(&salted(&[5; 32], b"42")), seal);
        assert_ne!(context.seal(&salted(&[4; 32], b"43")), seal);
        assert_eq!(context.seal(&salted(&[4; 32], b"42")), seal);
    }
}
