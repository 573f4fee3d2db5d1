//! Members that came after the start: how many there may be, which key has which seat, and what a
//! leader signs when it admits one.
//!
//! ```text
//! newcomer ─asks, over a connection that proves its key─▶ leader: a seat with the next number, signed
//! leader ─Admitted(all so far), before Begin─▶ all        each checks signature, number and key
//! step over, so all its holders have heard ─▶ the newcomer is told; it says Join and is given a stage
//! ```
//! Numbers count up from those of the start, and a number in a record means one key for ever. What a
//! leader gave and nobody heard of ends with it: the next may give the number to another key, and a
//! later term's word replaces an earlier one's. A seat stays with its key: who comes back has the same number.
//!
//! Limits: [`Settings::most_peers`] members in all, and one admission a step. Whoever is admitted
//! costs a seat, even if it never takes part.
//!
//! [`Settings::most_peers`]: crate::settings::Settings::most_peers

use serde::{Deserialize, Serialize};

use crate::content::Digest;
use crate::path::Peer;
use crate::term::Term;
use crate::wire::digest_of;

/// Longest key, in bytes.
pub const MAX_KEY: usize = 64;
/// Most addresses of a newcomer.
pub const MAX_ADDRESSES: usize = 4;
/// Longest of them, in bytes.
pub const MAX_ADDRESS: usize = 128;
/// Longest signature, in bytes.
const MAX_SIGNATURE: usize = 128;

/// A peer that asks for a seat, over a connection that proves its key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Newcomer {
    /// Its key.
    pub key: Vec<u8>,
    /// Where others call it.
    pub addresses: Vec<String>,
}

/// A seat, as the leader of a term gave it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admission {
    /// The number that the newcomer has from here on.
    pub peer: Peer,
    /// Who.
    pub newcomer: Newcomer,
    /// The first step that it may take part in.
    pub step: u64,
    /// Who admitted it, when.
    pub term: Term,
    /// The leader's signature of [`Admission::statement`].
    pub signature: Vec<u8>,
}

/// What a leader answers a key that asks for a seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seat {
    /// It has one, and all holders of stages know.
    Given(Peer),
    /// Not yet; it should ask again.
    Wait,
    /// This member does not lead; who does.
    Elsewhere(Peer),
    /// There are as many members as may be.
    Full,
    /// All steps are done.
    Over,
}

/// The members that came after the start, by their numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Admitted {
    /// Members at the start.
    first: u32,
    /// Members that there may be.
    most: u32,
    list: Vec<Admission>,
}

impl Newcomer {
    /// Whether key and addresses are within their limits.
    pub fn is_sound(&self) -> bool {
        (1..=MAX_KEY).contains(&self.key.len())
            && self.addresses.len() <= MAX_ADDRESSES
            && self.addresses.iter().all(|one| one.len() <= MAX_ADDRESS)
    }
}

impl Admission {
    /// What the leader signs: everything but the signature.
    pub fn statement(&self, job: Digest) -> Digest {
        let said = (job, self.peer, &self.newcomer, self.step, self.term);
        digest_of("swarm-node pipeline admission", &said)
    }

    /// Whether it gives the same number to another key.
    pub(crate) fn is_other(&self, told: &Self) -> bool {
        self.peer == told.peer && self.newcomer.key != told.newcomer.key
    }

    /// Whether it is within limits.
    pub fn is_sound(&self) -> bool {
        self.newcomer.is_sound() && self.signature.len() <= MAX_SIGNATURE
    }
}

impl Admitted {
    pub(crate) fn new(first: u32, most: u32) -> Self {
        Self {
            first,
            most: most.max(first),
            list: Vec::new(),
        }
    }

    /// All members, those of the start with them.
    pub(crate) fn members(&self) -> u32 {
        self.first + self.list.len() as u32
    }

    pub(crate) fn list(&self) -> &[Admission] {
        &self.list
    }

    pub(crate) fn is_full(&self) -> bool {
        self.members() >= self.most
    }

    pub(crate) fn of(&self, peer: Peer) -> Option<&Admission> {
        let place = peer.0.checked_sub(self.first)?;
        self.list.get(place as usize)
    }

    pub(crate) fn of_key(&self, key: &[u8]) -> Option<&Admission> {
        let mut list = self.list.iter();
        list.find(|admission| admission.newcomer.key == key)
    }

    /// Whether it can be the next: its number follows, its key has no seat, and there is room.
    pub(crate) fn fits(&self, admission: &Admission) -> bool {
        admission.is_sound()
            && admission.peer == Peer(self.members())
            && !self.is_full()
            && self.of_key(&admission.newcomer.key).is_none()
    }

    /// Takes out this number and those after it.
    pub(crate) fn withdraw(&mut self, first: Peer) {
        let place = first.0.saturating_sub(self.first);
        self.list.truncate(place as usize);
    }

    /// Takes the next in; false if it cannot be that.
    pub(crate) fn push(&mut self, admission: Admission) -> bool {
        let fits = self.fits(&admission);
        if fits {
            self.list.push(admission);
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(peer: u32, key: u8) -> Admission {
        Admission {
            peer: Peer(peer),
            newcomer: Newcomer {
                key: vec![key; 33],
                addresses: vec!["/ip4/127.0.0.1/tcp/1".into()],
            },
            step: 3,
            term: Term {
                number: 1,
                leader: Peer(0),
            },
            signature: vec![1; 64],
        }
    }

    #[test]
    fn seats_are_given_once_in_their_order_and_are_few() {
        let mut admitted = Admitted::new(4, 6);
        assert!(!admitted.push(admission(5, 1)), "a number is left out");
        assert!(!admitted.push(admission(3, 1)), "a number of the start");
        assert!(admitted.push(admission(4, 1)));
        assert!(!admitted.push(admission(4, 2)), "the number is taken");
        assert!(!admitted.push(admission(5, 1)), "the key has a seat");
        let mut long = admission(5, 2);
        long.newcomer.key = vec![2; MAX_KEY + 1];
        assert!(!admitted.push(long));
        let mut many = admission(5, 2);
        many.newcomer.addresses = vec![String::new(); MAX_ADDRESSES + 1];
        assert!(!admitted.push(many));
        assert!(admitted.push(admission(5, 2)));
        assert!(!admitted.push(admission(6, 3)), "all seats are taken");
        assert_eq!((admitted.members(), admitted.is_full()), (6, true));
        assert_eq!(admitted.of(Peer(5)), admitted.of_key(&[2; 33]));
        assert_eq!(admitted.of(Peer(3)), None);
        admitted.withdraw(Peer(5));
        assert_eq!(admitted.members(), 5);
        assert!(admitted.push(admission(5, 3)), "the number is free again");
    }

    #[test]
    fn every_part_of_an_admission_is_signed() {
        let job = Digest([1; 32]);
        let one = admission(4, 1);
        let mut others = vec![one.clone(); 5];
        others[0].peer = Peer(5);
        others[1].newcomer.key[0] ^= 1;
        others[2].newcomer.addresses.clear();
        others[3].step += 1;
        others[4].term.number += 1;
        for other in &others {
            assert_ne!(other.statement(job), one.statement(job), "{other:?}");
        }
        assert_ne!(one.statement(Digest([2; 32])), one.statement(job));
        let mut unsigned = one.clone();
        unsigned.signature.clear();
        assert_eq!(unsigned.statement(job), one.statement(job));
    }
}
