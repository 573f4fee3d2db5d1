//! What members say while they agree.

use serde::{Deserialize, Serialize};
use swarm_identity::digest::Digest32;
use swarm_identity::key::PeerId;

use super::minutes::Minutes;
use crate::codec;
use crate::envelope::{Header, UnsignedEnvelope};
use crate::payload::Kind;
use crate::transcript::RoundPlan;

/// Minutes proposed in a ballot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// The ballot in which more than two thirds already voted for them.
    pub polka: Option<u16>,
    /// The minutes.
    pub minutes: Minutes,
}

/// A prevote or precommit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vote {
    /// The digest of minutes, or `None` for none of them.
    pub value: Option<Digest32>,
}

impl Vote {
    /// The message that says so. Its sequence number is 0, so that a certificate can name it.
    ///
    /// # Panics
    /// Never: a vote fits an envelope.
    #[expect(clippy::expect_used, reason = "a vote has at most 33 bytes")]
    pub fn envelope(&self, plan: &RoundPlan, place: (Kind, u16), peer: PeerId) -> UnsignedEnvelope {
        let payload = codec::encode(self).expect("invariant: a vote has an encoding");
        let header = header(plan, place, peer);
        UnsignedEnvelope::new(header, &payload).expect("invariant: a vote fits an envelope")
    }
}

/// The header of a message of agreement.
pub fn header(plan: &RoundPlan, (kind, slot): (Kind, u16), peer: PeerId) -> Header {
    Header {
        swarm: plan.swarm,
        round: plan.round,
        kind,
        slot,
        peer,
        sequence: 0,
    }
}
