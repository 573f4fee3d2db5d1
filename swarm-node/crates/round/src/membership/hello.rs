//! Hellos: what a peer says that wants to be a member of an open swarm.
//!
//! A hello is a signed message of the round in whose first window it is heard. Members show in
//! their receipts which hellos they hold; those that receipts of more than half of the weight show
//! are counted.
//!
//! Identities are free, so a flood of hellos is answered by bounds. A member holds at most
//! [`MAX_HELLOS`] in a round: those that come first in an order that is drawn anew for each round,
//! so all members hold the same, and a newcomer among N others has a chance of `MAX_HELLOS / N` in
//! each round. Of others' hellos a link may deliver [`HELLOS_PER_LINK`] in a round. What an open
//! swarm cannot do is to tell a thousand peers from one with a thousand keys: it is for friends and
//! tests.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use swarm_identity::digest::{Digest32, Hasher};
use swarm_identity::key::PeerId;

use crate::allowance::Link;
use crate::question::Beacon;
use crate::rejection::Rejection;

/// Hellos that a member holds in a round.
pub const MAX_HELLOS: usize = 32;
/// Hellos of others that a link may deliver in a round.
pub const HELLOS_PER_LINK: u32 = 256;

/// What a hello says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Topics on which the peer answers practice questions: bit t for topic t.
    pub topics: u64,
}

/// The hellos of a round that a member holds.
#[derive(Clone, Debug)]
pub struct Hellos {
    beacon: Beacon,
    held: BTreeMap<(Digest32, PeerId), Hello>,
    per_link: HashMap<Link, u32>,
}

impl Hellos {
    /// None yet, in the order of this beacon.
    pub fn new(beacon: Beacon) -> Self {
        Self {
            beacon,
            held: BTreeMap::new(),
            per_link: HashMap::new(),
        }
    }

    /// What they hold, in entries.
    pub(crate) fn entries(&self) -> usize {
        let Self {
            beacon: _,
            held,
            per_link,
        } = self;
        held.len() + per_link.len()
    }

    fn place(&self, peer: PeerId) -> (Digest32, PeerId) {
        let drawn = Hasher::new("hello").bytes(&self.beacon).bytes(&peer.0);
        (drawn.finish(), peer)
    }

    /// Refuses what is known, what comes behind all that are held when there is no room, and what a
    /// link may not deliver.
    ///
    /// # Errors
    /// [`Rejection::Duplicate`] or [`Rejection::Rate`].
    pub fn check(&self, link: Link, peer: PeerId) -> Result<(), Rejection> {
        let place = self.place(peer);
        if self.held.contains_key(&place) {
            return Err(Rejection::Duplicate);
        }
        let is_behind = self
            .held
            .keys()
            .next_back()
            .is_some_and(|last| *last < place);
        let is_full = self.held.len() >= MAX_HELLOS;
        let delivered = self.per_link.get(&link).copied().unwrap_or(0);
        match is_full && is_behind || link.0 != peer && delivered >= HELLOS_PER_LINK {
            true => Err(Rejection::Rate),
            false => Ok(()),
        }
    }

    /// Holds a signed hello that was checked; the last one makes room for it.
    pub fn hold(&mut self, link: Link, peer: PeerId, hello: Hello) {
        self.held.insert(self.place(peer), hello);
        if self.held.len() > MAX_HELLOS {
            self.held.pop_last();
        }
        let delivered = self.per_link.entry(link).or_insert(0);
        *delivered = delivered.saturating_add(1);
    }

    /// Who said hello, ascending.
    pub fn list(&self) -> BTreeMap<PeerId, Hello> {
        let held = self.held.iter();
        held.map(|((_, peer), hello)| (*peer, *hello)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(number: u16) -> PeerId {
        let mut id = [2; 33];
        id[..2].copy_from_slice(&number.to_le_bytes());
        PeerId(id)
    }

    fn heard(order: impl Iterator<Item = u16>) -> Vec<PeerId> {
        let mut hellos = Hellos::new([7; 32]);
        for number in order {
            let link = Link(peer(number));
            if hellos.check(link, peer(number)).is_ok() {
                hellos.hold(link, peer(number), Hello { topics: 1 });
            }
        }
        hellos.list().into_keys().collect()
    }

    #[test]
    fn what_is_held_does_not_depend_on_the_order_of_arrival() {
        let (up, down) = (heard(0..500), heard((0..500).rev()));
        assert_eq!((up.len(), &up), (MAX_HELLOS, &down));
    }

    #[test]
    fn a_link_is_bounded_but_for_its_own_hello() {
        let mut hellos = Hellos::new([7; 32]);
        let link = Link(peer(9_999));
        hellos.per_link.insert(link, HELLOS_PER_LINK);
        assert_eq!(hellos.check(link, peer(1)), Err(Rejection::Rate));
        assert_eq!(hellos.check(link, link.0), Ok(()));
        hellos.hold(link, link.0, Hello { topics: 1 });
        assert_eq!(hellos.check(link, link.0), Err(Rejection::Duplicate));
    }
}
