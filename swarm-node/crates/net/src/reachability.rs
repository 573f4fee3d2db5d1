//! Whether others can reach this node, as a pure state machine over what tests and relays said.
//!
//! ```text
//!            an address confirmed
//! Unknown ─────────────────────────▶ Public ──all addresses expired──▶ Unknown
//!    │ UNREACHABLE_AFTER tests failed, ▲
//!    │ or one, UNREACHABLE_WAIT ago    │
//!    └──────────▶ Private ─────────────┘ an address confirmed
//!                 (takes up to RELAYS_WANTED relays)
//! ```
//! A confirmation needs a connection that really came in: one that was asked for as a test, or the
//! first one of a peer that called a public address of this machine. So nobody can lie a node
//! public. Lying it private costs it little: it asks relays for help until an honest test succeeds.

use std::collections::BTreeSet;
use std::time::Instant;

use libp2p::{Multiaddr, PeerId};

use crate::address;
use crate::event::Reachability;
use crate::limits::{RELAYS_WANTED, UNREACHABLE_AFTER, UNREACHABLE_WAIT};

/// Failed tests that are remembered.
const MAX_FAILED: usize = 64;

/// What is known so far.
#[derive(Debug, Default)]
pub(crate) struct Tracker {
    direct: Vec<Multiaddr>,
    relayed: Vec<Multiaddr>,
    failed: BTreeSet<(Multiaddr, PeerId)>,
    /// When the first test failed.
    failing: Option<Instant>,
    asked: BTreeSet<PeerId>,
}

impl Tracker {
    /// An address of this node works: somebody called it, or a relay holds a place for it.
    pub(crate) fn confirmed(&mut self, address: Multiaddr) {
        let list = self.list(&address);
        if !list.contains(&address) {
            list.push(address);
        }
    }

    /// An address works no longer.
    pub(crate) fn expired(&mut self, address: &Multiaddr) {
        self.list(address).retain(|known| known != address);
    }

    /// A peer could not reach an address.
    pub(crate) fn failed(&mut self, address: Multiaddr, by: PeerId, now: Instant) {
        self.failing.get_or_insert(now);
        if self.failed.len() < MAX_FAILED {
            self.failed.insert((address, by));
        }
    }

    fn list(&mut self, address: &Multiaddr) -> &mut Vec<Multiaddr> {
        match address::is_relayed(address) {
            true => &mut self.relayed,
            false => &mut self.direct,
        }
    }

    /// Addresses that work without a relay.
    pub(crate) fn direct(&self) -> &[Multiaddr] {
        &self.direct
    }

    pub(crate) fn state(&self, now: Instant) -> Reachability {
        let is_long = |since: Instant| now.saturating_duration_since(since) >= UNREACHABLE_WAIT;
        match self.direct.first() {
            Some(address) => Reachability::Public {
                address: address.clone(),
            },
            None if self.failed.len() >= UNREACHABLE_AFTER || self.failing.is_some_and(is_long) => {
                Reachability::Private {
                    relays: self.relayed.clone(),
                }
            }
            None => Reachability::Unknown,
        }
    }

    /// Relays to ask for a place, out of those that are connected; each is asked until
    /// [`Tracker::refused`].
    pub(crate) fn wanted(
        &mut self,
        relays: impl Iterator<Item = PeerId>,
        now: Instant,
    ) -> Vec<PeerId> {
        if !matches!(self.state(now), Reachability::Private { .. }) {
            return Vec::new();
        }
        let missing = RELAYS_WANTED.saturating_sub(self.asked.len());
        let new: Vec<PeerId> = relays
            .filter(|relay| !self.asked.contains(relay))
            .take(missing)
            .collect();
        self.asked.extend(&new);
        new
    }

    /// A relay gives no place, or no longer.
    pub(crate) fn refused(&mut self, relay: &PeerId) {
        self.asked.remove(relay);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(port: u16) -> Multiaddr {
        format!("/ip4/8.8.8.8/tcp/{port}").parse().unwrap()
    }

    #[test]
    fn failures_make_private_and_one_success_public() {
        let (mut tracker, now) = (Tracker::default(), Instant::now());
        assert_eq!(tracker.state(now), Reachability::Unknown);
        for port in 0..UNREACHABLE_AFTER as u16 {
            assert_eq!(tracker.state(now), Reachability::Unknown);
            tracker.failed(at(port), PeerId::random(), now);
        }
        assert_eq!(tracker.state(now), Reachability::Private { relays: vec![] });
        tracker.confirmed(at(9));
        assert_eq!(tracker.state(now), Reachability::Public { address: at(9) });
        tracker.expired(&at(9));
        assert_eq!(tracker.state(now), Reachability::Private { relays: vec![] });
    }

    #[test]
    fn one_peer_that_says_the_same_again_is_one_voice() {
        let (mut tracker, liar) = (Tracker::default(), PeerId::random());
        let now = Instant::now();
        for _ in 0..9 {
            tracker.failed(at(1), liar, now);
        }
        assert_eq!(tracker.state(now), Reachability::Unknown);
        for port in 0..1000 {
            tracker.failed(at(port), liar, now);
        }
        assert_eq!(tracker.failed.len(), MAX_FAILED);
    }

    #[test]
    fn one_failure_is_enough_if_no_success_follows() {
        let (mut tracker, now) = (Tracker::default(), Instant::now());
        assert_eq!(tracker.state(now + UNREACHABLE_WAIT), Reachability::Unknown);
        tracker.failed(at(1), PeerId::random(), now);
        assert_eq!(tracker.state(now), Reachability::Unknown);
        let later = now + UNREACHABLE_WAIT;
        assert_eq!(
            tracker.state(later),
            Reachability::Private { relays: vec![] }
        );
        tracker.confirmed(at(2));
        assert_eq!(
            tracker.state(later),
            Reachability::Public { address: at(2) }
        );
    }

    #[test]
    fn relays_are_asked_only_by_private_nodes_and_replaced_when_they_fail() {
        let (mut tracker, now) = (Tracker::default(), Instant::now());
        let relays: Vec<PeerId> = (0..4).map(|_| PeerId::random()).collect();
        assert_eq!(tracker.wanted(relays.iter().copied(), now), []);
        for port in 0..UNREACHABLE_AFTER as u16 {
            tracker.failed(at(port), PeerId::random(), now);
        }
        let first = tracker.wanted(relays.iter().copied(), now);
        assert_eq!(first, relays[..RELAYS_WANTED]);
        assert_eq!(tracker.wanted(relays.iter().copied(), now), []);
        tracker.refused(&first[0]);
        let again = tracker.wanted(relays[1..].iter().copied(), now);
        assert_eq!(again, [relays[2]]);
        let circuit = format!("/ip4/8.8.8.8/tcp/1/p2p/{}/p2p-circuit", relays[1]);
        let circuit: Multiaddr = circuit.parse().unwrap();
        tracker.confirmed(circuit.clone());
        let relays = vec![circuit];
        assert_eq!(tracker.state(now), Reachability::Private { relays });
    }
}
