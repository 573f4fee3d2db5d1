//! A second process that runs with this node's key, noticed by what it signs.
//!
//! ```text
//! a message signed by this node's key that this process did not sign, for a window that opened
//!   before this process started  ─▶ an earlier run may have signed it: proves nothing
//!   within its first rounds      ─▶ this process is the newcomer, and must end
//!   later                        ─▶ the other one is the newcomer: told, and gone on
//! ```
//! Both processes have sign-once tables of their own, so together they contradict themselves, which
//! costs the stake. Here is what shows where the two have no neighbour in common, and so the words of
//! one come to the other through the swarm. To a neighbour of both they are one peer, which gets no
//! message back that it sent; it notices by itself and lets them know of each other
//! ([`swarm_net::Event::DuplicateIdentity`]).

use std::collections::{BTreeMap, BTreeSet};

use swarm_identity::digest::Digest32;
use swarm_identity::key::PublicKey;
use swarm_identity::{PeerId, Place};
use swarm_round::clock::{Clock, Millis, Position, Round};
use swarm_round::envelope::Envelope;

/// Rounds, in lengths of one, in which a process counts as new: the first that it may take part in
/// begins within the first, and is over within the second.
const NEW_FOR: u64 = 3;

/// A message of this node's key that this process did not sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Foreign {
    /// The round of the message.
    pub(super) round: Round,
    /// True if this process is the one that came later.
    pub(super) is_newcomer: bool,
}

/// What this process has signed, in rounds that are not over.
#[derive(Debug)]
pub(super) struct OwnSignatures {
    peer: PeerId,
    started: Millis,
    /// Rounds below it are forgotten.
    floor: Round,
    digests: BTreeMap<Round, BTreeSet<Digest32>>,
}

impl OwnSignatures {
    /// Of a process that started at a time.
    pub(super) fn new(peer: PeerId, started: Millis) -> Self {
        Self {
            peer,
            started,
            floor: 0,
            digests: BTreeMap::new(),
        }
    }

    /// This process signs a digest, or tries to.
    pub(super) fn note(&mut self, place: &Place, digest: Digest32) {
        self.digests.entry(place.round).or_default().insert(digest);
    }

    /// Nothing is signed for rounds below this one any more.
    pub(super) fn forget_before(&mut self, round: Round) {
        self.floor = self.floor.max(round);
        self.digests = self.digests.split_off(&self.floor);
    }

    /// What a message shows about a second process, if anything.
    pub(super) fn judge(&self, message: &Envelope<'_>, clock: &Clock) -> Option<Foreign> {
        let header = &message.header;
        if header.peer != self.peer || header.round < self.floor {
            return None;
        }
        let opened = clock.start(Position {
            round: header.round,
            window: header.kind.window(),
        });
        let digest = message.digest();
        let own = self.digests.get(&header.round);
        if opened <= self.started || own.is_some_and(|own| own.contains(&digest)) {
            return None;
        }
        let key = PublicKey::try_from(self.peer).ok()?;
        key.verify(&digest, &message.signature).then(|| Foreign {
            round: header.round,
            is_newcomer: opened <= self.started.saturating_add(NEW_FOR * clock.length()),
        })
    }
}

#[cfg(test)]
mod tests {
    use swarm_identity::{NodeKey, Secret};
    use swarm_round::Windows;
    use swarm_round::envelope::{Header, UnsignedEnvelope};
    use swarm_round::payload::{Kind, STAGE_SLOT};
    use swarm_round::sim::toy;

    use super::*;

    const GENESIS: Millis = 10_000;

    fn key(byte: u8) -> NodeKey {
        NodeKey::from(&Secret::from_bytes(&[byte; 32]).unwrap())
    }

    fn clock() -> Clock {
        let mut config = toy::config(4);
        config.genesis_ms = GENESIS;
        config.windows = Windows::uniform(1_000);
        Clock::new(&config)
    }

    /// A message of node 7, signed by a node.
    fn message(round: Round, kind: Kind, signer: u8) -> (Place, Digest32, Vec<u8>) {
        let header = Header {
            swarm: [1; 32],
            round,
            kind,
            slot: STAGE_SLOT,
            peer: key(7).peer(),
            sequence: 0,
        };
        let unsigned = UnsignedEnvelope::new(header, &[5; 9]).unwrap();
        let digest = unsigned.digest();
        let signature = key(signer).sign(&digest).unwrap();
        (header.place(), digest, unsigned.signed(&signature))
    }

    fn judged(own: &OwnSignatures, round: Round, kind: Kind) -> Option<Foreign> {
        let (_, _, bytes) = message(round, kind, 7);
        own.judge(&Envelope::parse(&bytes).unwrap(), &clock())
    }

    #[test]
    fn the_process_that_came_later_is_the_newcomer() {
        // Rounds of seven seconds; this process came half a second into round 2.
        let own = OwnSignatures::new(key(7).peer(), GENESIS + 14_500);
        assert_eq!(judged(&own, 1, Kind::Precommit), None);
        assert_eq!(judged(&own, 2, Kind::ShareSeal), None);
        let found = |round, is_newcomer| Some(Foreign { round, is_newcomer });
        assert_eq!(judged(&own, 2, Kind::ShareReveal), found(2, true));
        assert_eq!(judged(&own, 4, Kind::Receipt), found(4, true));
        assert_eq!(judged(&own, 5, Kind::ShareSeal), found(5, true));
        assert_eq!(judged(&own, 5, Kind::ShareReveal), found(5, false));
    }

    #[test]
    fn what_this_process_signed_and_what_others_forge_shows_nothing() {
        let mut own = OwnSignatures::new(key(7).peer(), GENESIS);
        let (place, digest, _) = message(3, Kind::ShareReveal, 7);
        own.note(&place, digest);
        assert_eq!(judged(&own, 3, Kind::ShareReveal), None);
        assert!(judged(&own, 4, Kind::ShareReveal).is_some());
        let (_, _, forged) = message(4, Kind::ShareReveal, 8);
        assert_eq!(
            own.judge(&Envelope::parse(&forged).unwrap(), &clock()),
            None
        );
        own.forget_before(5);
        assert_eq!(judged(&own, 4, Kind::ShareReveal), None, "it is over");
        assert!(own.digests.is_empty());
    }
}
