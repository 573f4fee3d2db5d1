//! Network address translation: a router that lets many hosts share one public address.
//!
//! ```text
//!  inside                           outer address                      outside
//!  192.168.1.2:4001 ── mapping ──▶ 203.0.113.1:20000 ──────────────▶ 198.51.100.1:4001
//!  192.168.1.2:4001 ◀─────────────────── filter ◀── only who was sent something from there
//! ```
//! Both kinds let in only packets from an address and port to which something was sent through the
//! same mapping (address- and port-dependent filtering, RFC 4787). They differ in mappings: a
//! *cone* has one for each inner address and port (endpoint-independent), a *symmetric* one has
//! another for each destination, so that nobody can tell where the next will be.
//!
//! Outer ports are never the inner ones, because a host must not count on that. Mappings and the
//! ends that may answer are bounded and are forgotten when idle.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::ops::Range;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::packet::Transport;

/// Time without a packet after which a mapping, or an end that may answer, is forgotten: the least
/// that RFC 4787 asks for.
const IDLE: Duration = Duration::from_secs(120);
/// Most mappings of a router.
const MAX_MAPPINGS: usize = 4096;
/// Most ends that may answer through one mapping.
const MAX_CONTACTED: usize = 1024;
/// Outer ports; more than there are mappings.
const PORTS: Range<u16> = 20_000..60_000;

/// How mappings are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NatKind {
    /// One mapping for each inner address and port.
    Cone,
    /// One for each inner address and port and each destination.
    Symmetric,
}

/// What a mapping is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    transport: Transport,
    inner: SocketAddrV4,
    /// The only destination; none for a cone.
    to: Option<SocketAddrV4>,
}

#[derive(Debug)]
struct Mapping {
    key: Key,
    /// When each end that may answer was last heard or sent something.
    contacted: HashMap<SocketAddrV4, Duration>,
    used: Duration,
}

impl Mapping {
    /// False if there is no room.
    fn contact(&mut self, end: SocketAddrV4, now: Duration) -> bool {
        if self.contacted.len() >= MAX_CONTACTED && !self.contacted.contains_key(&end) {
            self.contacted
                .retain(|_, last| now.saturating_sub(*last) < IDLE);
            if self.contacted.len() >= MAX_CONTACTED {
                return false;
            }
        }
        self.contacted.insert(end, now);
        self.used = now;
        true
    }

    fn is_idle(&self, now: Duration) -> bool {
        now.saturating_sub(self.used) >= IDLE
    }
}

/// A router. Times count from the network's beginning.
#[derive(Debug)]
pub struct Nat {
    kind: NatKind,
    outer: Ipv4Addr,
    ports: HashMap<Key, u16>,
    mappings: HashMap<(Transport, u16), Mapping>,
    next: u16,
}

impl Nat {
    /// A router with its public address.
    pub fn new(kind: NatKind, outer: Ipv4Addr) -> Self {
        Self {
            kind,
            outer,
            ports: HashMap::new(),
            mappings: HashMap::new(),
            next: PORTS.start,
        }
    }

    /// Its public address.
    pub fn outer(&self) -> Ipv4Addr {
        self.outer
    }

    /// The sender that a packet from inside gets; none if the router has no room for it.
    pub fn outward(
        &mut self,
        transport: Transport,
        (inner, to): (SocketAddrV4, SocketAddrV4),
        now: Duration,
    ) -> Option<SocketAddrV4> {
        let key = Key {
            transport,
            inner,
            to: match self.kind {
                NatKind::Cone => None,
                NatKind::Symmetric => Some(to),
            },
        };
        let port = match self.ports.get(&key) {
            Some(port) if !self.is_idle(transport, *port, now) => *port,
            _ => self.map(key, now)?,
        };
        let mapping = self.mappings.get_mut(&(transport, port))?;
        mapping
            .contact(to, now)
            .then(|| SocketAddrV4::new(self.outer, port))
    }

    /// Whom a packet from outside to one of the router's ports is for; none if nobody inside has
    /// sent anything to where it comes from.
    pub fn inward(
        &mut self,
        transport: Transport,
        (from, port): (SocketAddrV4, u16),
        now: Duration,
    ) -> Option<SocketAddrV4> {
        let mapping = self.mappings.get_mut(&(transport, port))?;
        let last = *mapping.contacted.get(&from)?;
        if mapping.is_idle(now) || now.saturating_sub(last) >= IDLE {
            return None;
        }
        mapping.contact(from, now).then_some(mapping.key.inner)
    }

    fn is_idle(&self, transport: Transport, port: u16, now: Duration) -> bool {
        let mapping = self.mappings.get(&(transport, port));
        mapping.is_none_or(|mapping| mapping.is_idle(now))
    }

    /// A new mapping's port.
    fn map(&mut self, key: Key, now: Duration) -> Option<u16> {
        self.forget(key);
        if self.mappings.len() >= MAX_MAPPINGS {
            self.mappings.retain(|_, mapping| !mapping.is_idle(now));
            let mappings = &self.mappings;
            self.ports
                .retain(|key, port| mappings.contains_key(&(key.transport, *port)));
        }
        if self.mappings.len() >= MAX_MAPPINGS {
            return None;
        }
        while self.mappings.contains_key(&(key.transport, self.next)) {
            self.advance();
        }
        let port = self.next;
        self.advance();
        let mapping = Mapping {
            key,
            contacted: HashMap::new(),
            used: now,
        };
        self.mappings.insert((key.transport, port), mapping);
        self.ports.insert(key, port);
        Some(port)
    }

    fn forget(&mut self, key: Key) {
        if let Some(port) = self.ports.remove(&key) {
            self.mappings.remove(&(key.transport, port));
        }
    }

    fn advance(&mut self) {
        self.next = match self.next + 1 {
            end if end == PORTS.end => PORTS.start,
            next => next,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UDP: Transport = Transport::Udp;
    const START: Duration = Duration::from_secs(7);

    fn end(text: &str) -> SocketAddrV4 {
        text.parse().unwrap()
    }

    fn nat(kind: NatKind) -> Nat {
        Nat::new(kind, Ipv4Addr::new(203, 0, 113, 1))
    }

    /// The outer ends through which one inner end speaks to two destinations, and the router.
    fn two(kind: NatKind) -> (Nat, [SocketAddrV4; 2]) {
        let mut nat = nat(kind);
        let inner = end("192.168.1.2:4001");
        let outer = ["198.51.100.1:1", "198.51.100.2:2"]
            .map(|to| nat.outward(UDP, (inner, end(to)), START).unwrap());
        (nat, outer)
    }

    #[test]
    fn a_cone_has_one_mapping_for_all_destinations() {
        let (mut nat, outer) = two(NatKind::Cone);
        assert_eq!(outer[0], outer[1]);
        assert_ne!(outer[0].port(), 4001);
        let other = end("192.168.1.3:4001");
        let to = end("198.51.100.1:1");
        assert_ne!(nat.outward(UDP, (other, to), START), Some(outer[0]));
        let tcp = nat.outward(Transport::Tcp, (end("192.168.1.2:4001"), to), START);
        assert_ne!(tcp, Some(outer[0]));
    }

    #[test]
    fn a_symmetric_one_has_a_mapping_for_each() {
        let (mut nat, outer) = two(NatKind::Symmetric);
        assert_ne!(outer[0], outer[1]);
        let again = (end("192.168.1.2:4001"), end("198.51.100.1:1"));
        assert_eq!(nat.outward(UDP, again, START), Some(outer[0]));
        // The second destination may not answer through the first one's mapping.
        let crossed = (end("198.51.100.2:2"), outer[0].port());
        assert_eq!(nat.inward(UDP, crossed, START), None);
    }

    #[test]
    fn only_who_was_sent_something_may_answer() {
        for kind in [NatKind::Cone, NatKind::Symmetric] {
            let (mut nat, outer) = two(kind);
            let port = outer[0].port();
            let mut inward = |from: &str| nat.inward(UDP, (end(from), port), START);
            assert_eq!(inward("198.51.100.1:1"), Some(end("192.168.1.2:4001")));
            assert_eq!(inward("198.51.100.1:9"), None, "another port");
            assert_eq!(inward("198.51.100.9:1"), None, "another address");
            assert_eq!(nat.inward(UDP, (end("198.51.100.1:1"), 9), START), None);
            let tcp = (end("198.51.100.1:1"), port);
            assert_eq!(nat.inward(Transport::Tcp, tcp, START), None);
        }
    }

    #[test]
    fn what_is_idle_is_forgotten_and_what_is_used_is_not() {
        let (mut nat, outer) = two(NatKind::Cone);
        let [first, second] = ["198.51.100.1:1", "198.51.100.2:2"].map(end);
        let port = outer[0].port();
        let later = START + IDLE - Duration::from_secs(1);
        assert!(nat.inward(UDP, (first, port), later).is_some());
        let late = START + IDLE;
        assert!(nat.inward(UDP, (second, port), late).is_none());
        assert!(nat.inward(UDP, (first, port), late).is_some());
        let inner = end("192.168.1.2:4001");
        let much_later = late + IDLE;
        assert!(nat.inward(UDP, (first, port), much_later).is_none());
        let anew = nat.outward(UDP, (inner, first), much_later).unwrap();
        assert_ne!(anew, outer[0]);
    }

    #[test]
    fn mappings_are_bounded() {
        let mut nat = nat(NatKind::Symmetric);
        let inner = end("192.168.1.2:4001");
        let to = |port| SocketAddrV4::new(Ipv4Addr::new(198, 51, 100, 1), port);
        for port in 0..MAX_MAPPINGS as u16 {
            assert!(nat.outward(UDP, (inner, to(port)), START).is_some());
        }
        assert_eq!(nat.outward(UDP, (inner, to(60_001)), START), None);
        assert!(
            nat.outward(UDP, (inner, to(60_001)), START + IDLE)
                .is_some()
        );
        assert_eq!((nat.mappings.len(), nat.ports.len()), (1, 1));
    }
}
