//! The network as a pure core: hosts, their links, routers and partitions; time is an argument.
//!
//! ```text
//! handle ─▶ sender's link up ─▶ router of its own ─▶ partition? ─▶ receiver's router ─┐
//!    due ◀───────────────────────────────────────────── receiver's link down ◀────────┘
//! ```
//! Between links and routers nothing takes time. Hosts behind one router reach each other by their
//! inner addresses, through their links and no translation. What is not TCP or UDP over IPv4, what
//! has a sender that its host is not, and what is for nobody, is dropped and counted.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::net::Ipv4Addr;
use std::time::Duration;

use reproducible_ops::random::Stream;
use serde::Serialize;

use super::link::{Fate, Link, LinkSettings};
use super::nat::Nat;
use super::packet::Packet;

/// A host before the network begins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HostSettings {
    /// The address that it knows as its own.
    pub address: Ipv4Addr,
    /// The router that it is behind, by its place in the list; none for a public address.
    pub nat: Option<usize>,
    /// Its link, in either direction.
    pub link: LinkSettings,
}

/// What became of the packets so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Traffic {
    /// Packets that arrived.
    pub arrived: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Packets that were lost by chance.
    pub lost: u64,
    /// Packets for which a queue had no room.
    pub dropped: u64,
    /// Packets that a router did not let in or had no room for.
    pub refused: u64,
    /// Packets between the sides of a partition.
    pub parted: u64,
    /// Packets that the network does not carry: malformed, of other protocols, for nobody.
    pub unfit: u64,
}

#[derive(Debug)]
struct Host {
    address: Ipv4Addr,
    nat: Option<usize>,
    up: Link,
    down: Link,
}

/// Where a packet arrives.
#[derive(Debug)]
enum Stage {
    /// At the end of the link up of this host.
    Up(usize),
    /// At this host.
    Down(usize),
}

/// A packet on its way.
#[derive(Debug)]
struct Arrival {
    at: Duration,
    /// Packets that arrive at one time do so in the order of their sending.
    number: u64,
    stage: Stage,
    packet: Packet,
}

impl PartialEq for Arrival {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.number) == (other.at, other.number)
    }
}

impl Eq for Arrival {}

impl PartialOrd for Arrival {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Arrival {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

/// The network. Times count from its beginning.
#[derive(Debug)]
pub struct Network {
    hosts: Vec<Host>,
    nats: Vec<Nat>,
    /// Hosts on one side of each partition.
    partitions: BTreeMap<usize, BTreeSet<usize>>,
    under_way: BinaryHeap<Reverse<Arrival>>,
    sent: u64,
    traffic: Traffic,
}

impl Network {
    /// A network in which nothing is under way; `seed` decides which packets are lost.
    pub fn new(hosts: &[HostSettings], nats: Vec<Nat>, seed: u64) -> Self {
        let link = |settings, direction: &str, host: usize| {
            let domain = format!("lab link {direction} {host}");
            Link::new(settings, Stream::from_seed(&domain, seed))
        };
        let host = |(number, host): (usize, &HostSettings)| Host {
            address: host.address,
            nat: host.nat,
            up: link(host.link, "up", number),
            down: link(host.link, "down", number),
        };
        Self {
            hosts: hosts.iter().enumerate().map(host).collect(),
            nats,
            partitions: BTreeMap::new(),
            under_way: BinaryHeap::new(),
            sent: 0,
            traffic: Traffic::default(),
        }
    }

    /// From here on nothing passes between these hosts and all others, until [`Network::heal`].
    pub fn part(&mut self, partition: usize, hosts: BTreeSet<usize>) {
        self.partitions.insert(partition, hosts);
    }

    /// A partition ends.
    pub fn heal(&mut self, partition: usize) {
        self.partitions.remove(&partition);
    }

    /// What became of the packets so far.
    pub fn traffic(&self) -> Traffic {
        self.traffic
    }

    /// A host sends a packet.
    pub fn handle(&mut self, bytes: Vec<u8>, from: usize, now: Duration) {
        match Packet::new(bytes) {
            Some(packet) => self.send(packet, Stage::Up(from), now),
            None => self.traffic.unfit += 1,
        }
    }

    /// When the next packet is due.
    pub fn next(&self) -> Option<Duration> {
        self.under_way.peek().map(|Reverse(arrival)| arrival.at)
    }

    /// The packets that have arrived by now, each with the host that gets it.
    pub fn due(&mut self, now: Duration) -> Vec<(usize, Vec<u8>)> {
        let mut delivered = Vec::new();
        while self.next().is_some_and(|at| at <= now) {
            let Some(Reverse(arrival)) = self.under_way.pop() else {
                break;
            };
            match arrival.stage {
                Stage::Up(from) => {
                    if let Some((to, packet)) = self.route(arrival.packet, from, arrival.at) {
                        self.send(packet, Stage::Down(to), arrival.at);
                    }
                }
                Stage::Down(to) => {
                    self.traffic.arrived += 1;
                    self.traffic.bytes += arrival.packet.size() as u64;
                    delivered.push((to, arrival.packet.into_bytes()));
                }
            }
        }
        delivered
    }

    /// Puts a packet on the link that leads to a stage.
    fn send(&mut self, packet: Packet, stage: Stage, now: Duration) {
        let link = match stage {
            Stage::Up(host) => &mut self.hosts[host].up,
            Stage::Down(host) => &mut self.hosts[host].down,
        };
        match link.send(packet.size(), now) {
            Fate::Lost => self.traffic.lost += 1,
            Fate::Dropped => self.traffic.dropped += 1,
            Fate::Arrives(at) => {
                self.sent += 1;
                let number = self.sent;
                self.under_way.push(Reverse(Arrival {
                    at,
                    number,
                    stage,
                    packet,
                }));
            }
        }
    }

    /// Whom a packet is for, and the packet as that host sees it.
    fn route(&mut self, mut packet: Packet, from: usize, now: Duration) -> Option<(usize, Packet)> {
        let Host { address, nat, .. } = self.hosts[from];
        let to = *packet.destination().ip();
        if *packet.source().ip() != address {
            self.traffic.unfit += 1;
            return None;
        }
        if let Some(near) = self.host(nat, to) {
            return self.unless_parted(from, near, packet);
        }
        if let Some(nat) = nat {
            let ends = (packet.source(), packet.destination());
            let outer = self.nats[nat].outward(packet.transport(), ends, now);
            packet.set_source(self.unless_refused(outer)?);
        }
        if let Some(public) = self.host(None, to) {
            return self.unless_parted(from, public, packet);
        }
        let Some(nat) = self.nats.iter().position(|nat| nat.outer() == to) else {
            self.traffic.unfit += 1;
            return None;
        };
        let ends = (packet.source(), packet.destination().port());
        let inner = self.nats[nat].inward(packet.transport(), ends, now);
        let inner = self.unless_refused(inner)?;
        packet.set_destination(inner);
        let host = self.host(Some(nat), *inner.ip())?;
        self.unless_parted(from, host, packet)
    }

    /// The host that has an address, among those behind a router, or with public addresses.
    fn host(&self, nat: Option<usize>, address: Ipv4Addr) -> Option<usize> {
        let mut hosts = self.hosts.iter();
        hosts.position(|host| host.nat == nat && host.address == address)
    }

    fn unless_refused<T>(&mut self, end: Option<T>) -> Option<T> {
        self.traffic.refused += u64::from(end.is_none());
        end
    }

    fn unless_parted(&mut self, from: usize, to: usize, packet: Packet) -> Option<(usize, Packet)> {
        let mut sides = self.partitions.values();
        let is_parted = sides.any(|side| side.contains(&from) != side.contains(&to));
        self.traffic.parted += u64::from(is_parted);
        (!is_parted).then_some((to, packet))
    }
}

#[cfg(test)]
mod tests {
    use super::super::nat::NatKind;
    use super::super::packet::Transport;
    use super::super::packet::testing::{is_sound, packet};
    use super::*;

    const MILLISECOND: Duration = Duration::from_millis(1);
    const PUBLIC: &str = "198.51.100.1:4001";
    const INNER: &str = "192.168.1.2:4001";

    /// Host 0 is public; 1 and 2 are behind one router, 3 behind another, with the same addresses.
    fn network(kind: NatKind, delay: Duration) -> Network {
        let link = LinkSettings {
            delay,
            rate: Some(8_000_000),
            loss: 0.0,
            queue: 100_000,
        };
        let host = |address: &str, nat| HostSettings {
            address: address.parse().unwrap(),
            nat,
            link,
        };
        let hosts = [
            host("198.51.100.1", None),
            host("192.168.1.2", Some(0)),
            host("192.168.1.3", Some(0)),
            host("192.168.1.2", Some(1)),
        ];
        let outer = [[203, 0, 113, 1], [203, 0, 113, 2]];
        let nats = outer.map(|outer| Nat::new(kind, outer.into()));
        Network::new(&hosts, nats.into(), 1)
    }

    /// What a packet becomes, with its receiver.
    fn carried(network: &mut Network, from: usize, ends: (&str, &str)) -> Option<(usize, Packet)> {
        let sent = packet(Transport::Udp, ends.0, ends.1, b"hello");
        network.handle(sent.into_bytes(), from, Duration::ZERO);
        let mut due = network.due(10 * MILLISECOND);
        assert_eq!(network.next(), None);
        let (to, bytes) = due.pop()?;
        let packet = Packet::new(bytes).unwrap();
        assert!(is_sound(&packet));
        Some((to, packet))
    }

    #[test]
    fn a_reply_comes_back_through_the_router_and_a_stranger_does_not_come_in() {
        let mut network = network(NatKind::Cone, Duration::ZERO);
        let (to, seen) = carried(&mut network, 1, (INNER, PUBLIC)).unwrap();
        assert_eq!((to, seen.destination()), (0, PUBLIC.parse().unwrap()));
        let outer = seen.source().to_string();
        assert!(outer.starts_with("203.0.113.1:"), "{outer}");
        let (to, reply) = carried(&mut network, 0, (PUBLIC, &outer)).unwrap();
        assert_eq!((to, reply.destination()), (1, INNER.parse().unwrap()));
        assert_eq!(carried(&mut network, 3, (INNER, &outer)), None);
        assert_eq!(carried(&mut network, 0, ("198.51.100.1:9", &outer)), None);
        assert_eq!(network.traffic().refused, 2);
    }

    /// What hole punching does: both learn their outer ends from the public host and send at once.
    fn punched(kind: NatKind) -> [bool; 2] {
        let mut network = network(kind, Duration::ZERO);
        let outer = [1, 3].map(|host| {
            let (_, seen) = carried(&mut network, host, (INNER, PUBLIC)).unwrap();
            seen.source().to_string()
        });
        let first = carried(&mut network, 1, (INNER, &outer[1]));
        assert_eq!(first, None, "nothing was sent to its sender yet");
        [(3, &outer[0], 1), (1, &outer[1], 3)].map(|(from, to, receiver)| {
            let arrived = carried(&mut network, from, (INNER, to));
            arrived.is_some_and(|(host, _)| host == receiver)
        })
    }

    #[test]
    fn holes_can_be_punched_between_cones_only() {
        assert_eq!(punched(NatKind::Cone), [true, true]);
        assert_eq!(punched(NatKind::Symmetric), [false, false]);
    }

    #[test]
    fn hosts_behind_one_router_reach_each_other_untranslated() {
        let mut network = network(NatKind::Symmetric, Duration::ZERO);
        let ends = (INNER, "192.168.1.3:5");
        let (to, seen) = carried(&mut network, 1, ends).unwrap();
        assert_eq!((to, seen.source()), (2, INNER.parse().unwrap()));
        assert_eq!(carried(&mut network, 3, ends), None, "it is behind another");
    }

    #[test]
    fn a_partition_drops_what_crosses_it_until_it_ends() {
        let mut network = network(NatKind::Cone, Duration::ZERO);
        network.part(7, [1, 2].into());
        assert_eq!(carried(&mut network, 1, (INNER, PUBLIC)), None);
        assert_eq!(network.traffic().parted, 1);
        assert!(carried(&mut network, 1, (INNER, "192.168.1.3:5")).is_some());
        assert!(carried(&mut network, 3, (INNER, PUBLIC)).is_some());
        network.heal(7);
        assert!(carried(&mut network, 1, (INNER, PUBLIC)).is_some());
    }

    #[test]
    fn a_packet_takes_both_links() {
        let mut network = network(NatKind::Cone, 50 * MILLISECOND);
        // 1000 bytes at 8 Mbit a second take a millisecond on each link.
        let sent = packet(Transport::Udp, INNER, PUBLIC, &[7; 972]);
        for _ in 0..2 {
            network.handle(sent.clone().into_bytes(), 1, MILLISECOND);
        }
        let mut arrivals = Vec::new();
        while let Some(at) = network.next() {
            let due = network.due(at);
            arrivals.extend(due.iter().map(|(host, _)| (*host, at)));
        }
        assert_eq!(arrivals, [(0, 103 * MILLISECOND), (0, 104 * MILLISECOND)]);
    }

    #[test]
    fn what_is_unfit_is_dropped_and_counted() {
        let mut network = network(NatKind::Cone, Duration::ZERO);
        assert_eq!(carried(&mut network, 1, ("192.168.1.9:1", PUBLIC)), None);
        assert_eq!(carried(&mut network, 1, (INNER, "9.9.9.9:53")), None);
        network.handle(vec![0x60; 40], 1, Duration::ZERO);
        let traffic = network.traffic();
        assert_eq!((traffic.unfit, traffic.arrived), (3, 0));
    }
}
