//! Where the nodes of a cluster live: all on this machine's loopback, or each as a host of an
//! emulated network.
//!
//! Whatever must happen on a node's host, starting its process or talking to its local API, is
//! handed to [`Hosts::run`].

use std::io;
use std::net::{Ipv4Addr, UdpSocket};

use thiserror::Error;

#[cfg(target_os = "linux")]
use crate::emulated::namespace::{Namespace, NamespaceError};
use crate::emulated::network::{HostSettings, Network, Traffic};
#[cfg(target_os = "linux")]
use crate::emulated::pump::Pump;

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

/// The hosts of a cluster's nodes.
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
    return Ok(crate::emulated::namespace::become_able()?);
    #[cfg(not(target_os = "linux"))]
    Err(HostsError::System)
}

impl Hosts {
    /// Hosts that are all this machine, told apart by their ports.
    ///
    /// # Errors
    /// No port is free.
    pub fn loopback(count: usize) -> Result<Self, HostsError> {
        let ports: io::Result<Vec<u16>> = (0..count).map(|_| free_port()).collect();
        Ok(Self::Loopback(ports.map_err(HostsError::Port)?))
    }

    /// Hosts in a namespace each, with a network between them, whose hosts they are.
    ///
    /// # Errors
    /// See [`HostsError`].
    #[cfg(not(target_os = "linux"))]
    pub fn emulated(_: Vec<HostSettings>, _: Network) -> Result<Self, HostsError> {
        Err(HostsError::System)
    }

    /// Hosts in a namespace each, with a network between them, whose hosts they are.
    ///
    /// # Errors
    /// See [`HostsError`].
    #[cfg(target_os = "linux")]
    pub fn emulated(hosts: Vec<HostSettings>, network: Network) -> Result<Self, HostsError> {
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
