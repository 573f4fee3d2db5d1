//! Where the nodes of a scenario live: all on this machine's loopback, or each as a host of an
//! emulated network.
//!
//! ```text
//! 198.51.100.n + 1      node n with a public address
//! 203.0.113.k + 1       the outer side of router k; behind it its nodes are 192.168.1.2, .3, …
//! ```
//! All routers have the same inner addresses, as at home. Nothing leaves the machine.

use std::io;
use std::net::{Ipv4Addr, UdpSocket};

use thiserror::Error;

#[cfg(target_os = "linux")]
use super::net::namespace::{Namespace, NamespaceError};
use super::net::nat::Nat;
use super::net::network::{HostSettings, Network, Traffic};
#[cfg(target_os = "linux")]
use super::net::pump::Pump;
use super::scenario::Scenario;

/// The port that every host of an emulated network listens on.
#[cfg(target_os = "linux")]
const PORT: u16 = 4001;

/// Why the nodes have no place.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HostsError {
    /// No port of this machine's loopback is free.
    #[error("there is no free port: {0}")]
    Port(io::Error),
    /// This system has no network namespaces.
    #[error("emulated networks need Linux")]
    #[cfg(not(target_os = "linux"))]
    System,
    /// A namespace.
    #[cfg(target_os = "linux")]
    #[error("no network can be emulated here: {0}")]
    Namespace(#[from] NamespaceError),
    /// A thread.
    #[error("no thread can be started for the network: {0}")]
    Thread(io::Error),
}

impl HostsError {
    /// True if networks cannot be emulated here, by this user or on this system.
    pub fn is_unsupported(&self) -> bool {
        match self {
            Self::Port(_) | Self::Thread(_) => false,
            #[cfg(not(target_os = "linux"))]
            Self::System => true,
            #[cfg(target_os = "linux")]
            Self::Namespace(error) => error.is_unsupported(),
        }
    }
}

/// The hosts of a scenario's nodes.
pub enum Hosts {
    /// Ports of the loopback, by node.
    Loopback(Vec<u16>),
    /// Namespaces and the network between them.
    #[cfg(target_os = "linux")]
    Emulated(Emulation),
}

/// An emulated network with its hosts.
#[cfg(target_os = "linux")]
pub struct Emulation {
    hosts: Vec<HostSettings>,
    namespaces: Vec<Namespace>,
    pump: Pump,
}

/// Lets this process emulate networks, if that needs anything. It must have no other threads yet.
///
/// # Errors
/// It may not.
pub fn prepare() -> Result<(), HostsError> {
    #[cfg(target_os = "linux")]
    return Ok(super::net::namespace::become_able()?);
    #[cfg(not(target_os = "linux"))]
    Err(HostsError::System)
}

impl Hosts {
    /// Makes them.
    ///
    /// # Errors
    /// See [`HostsError`].
    pub fn new(scenario: &Scenario) -> Result<Self, HostsError> {
        if !scenario.is_emulated() {
            let ports: io::Result<Vec<u16>> = (0..scenario.nodes).map(|_| free_port()).collect();
            return Ok(Self::Loopback(ports.map_err(HostsError::Port)?));
        }
        let (hosts, network) = network(scenario);
        Self::emulated(hosts, network)
    }

    #[cfg(not(target_os = "linux"))]
    fn emulated(_: Vec<HostSettings>, _: Network) -> Result<Self, HostsError> {
        Err(HostsError::System)
    }

    #[cfg(target_os = "linux")]
    fn emulated(hosts: Vec<HostSettings>, network: Network) -> Result<Self, HostsError> {
        let made: Result<Vec<_>, _> = hosts
            .iter()
            .map(|host| Namespace::new(host.address))
            .collect();
        let (namespaces, devices) = made?.into_iter().unzip();
        Ok(Self::Emulated(Emulation {
            hosts,
            namespaces,
            pump: Pump::start(network, devices).map_err(HostsError::Thread)?,
        }))
    }

    /// Addresses that a node listens on.
    pub fn listen(&self, node: usize) -> String {
        let (host, port) = match self {
            Self::Loopback(ports) => (Ipv4Addr::LOCALHOST, ports[node]),
            #[cfg(target_os = "linux")]
            Self::Emulated(_) => (Ipv4Addr::UNSPECIFIED, PORT),
        };
        format!("/ip4/{host}/udp/{port}/quic-v1,/ip4/{host}/tcp/{port}")
    }

    /// The address at which others reach a node; none if it is behind a router.
    pub fn address(&self, node: usize) -> Option<String> {
        let (host, port) = match self {
            Self::Loopback(ports) => (Ipv4Addr::LOCALHOST, ports[node]),
            #[cfg(target_os = "linux")]
            Self::Emulated(emulation) => {
                let host = emulation.hosts[node];
                (host.nat.is_none().then_some(host.address)?, PORT)
            }
        };
        Some(format!("/ip4/{host}/udp/{port}/quic-v1"))
    }

    /// Does something on a node's host and waits for what comes of it.
    pub fn run<T: Send + 'static>(
        &self,
        node: usize,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        match self {
            Self::Loopback(ports) => {
                debug_assert!(node < ports.len(), "there is no node {node}");
                job()
            }
            #[cfg(target_os = "linux")]
            Self::Emulated(emulation) => emulation.namespaces[node].run(job),
        }
    }

    /// From here on nothing passes between these nodes and all others, until [`Hosts::heal`].
    pub fn part(&self, partition: usize, nodes: &[usize]) {
        match self {
            Self::Loopback(_) => {}
            #[cfg(target_os = "linux")]
            Self::Emulated(emulation) => {
                let nodes = nodes.iter().copied().collect();
                emulation.pump.part(partition, nodes);
            }
        }
    }

    /// A partition ends.
    pub fn heal(&self, partition: usize) {
        match self {
            Self::Loopback(_) => {}
            #[cfg(target_os = "linux")]
            Self::Emulated(emulation) => emulation.pump.heal(partition),
        }
    }

    /// What became of the packets of an emulated network.
    pub fn traffic(&self) -> Option<Traffic> {
        match self {
            Self::Loopback(_) => None,
            #[cfg(target_os = "linux")]
            Self::Emulated(emulation) => Some(emulation.pump.traffic()),
        }
    }
}

/// A port that is free at the moment.
fn free_port() -> io::Result<u16> {
    Ok(UdpSocket::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// The hosts of a scenario's nodes, and the network between them.
fn network(scenario: &Scenario) -> (Vec<HostSettings>, Network) {
    let host = |node| {
        let nat = scenario
            .nat
            .iter()
            .position(|nat| nat.nodes.contains(&node));
        let address = match nat.and_then(|nat| place(&scenario.nat[nat].nodes, node)) {
            Some(place) => Ipv4Addr::new(192, 168, 1, place + 2),
            None => Ipv4Addr::new(198, 51, 100, node as u8 + 1),
        };
        HostSettings {
            address,
            nat,
            link: scenario.link(node),
        }
    };
    let hosts: Vec<HostSettings> = (0..scenario.nodes).map(host).collect();
    let outer = |router: usize| Ipv4Addr::new(203, 0, 113, router as u8 + 1);
    let nats = scenario.nat.iter().enumerate();
    let nats = nats.map(|(router, nat)| Nat::new(nat.kind, outer(router)));
    let network = Network::new(&hosts, nats.collect(), scenario.link_seed());
    (hosts, network)
}

fn place(nodes: &[usize], node: usize) -> Option<u8> {
    nodes
        .iter()
        .position(|known| *known == node)
        .map(|place| place as u8)
}
