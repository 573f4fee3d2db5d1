//! What the network is started with.

use std::net::SocketAddr;
use std::path::PathBuf;

use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, StreamProtocol};
use swarm_identity::digest::Digest32;

use crate::limits::Limits;

/// Start-up facts.
///
/// ```
/// use swarm_net::Config;
///
/// let config = Config {
///     bootstrap: vec!["/dns4/swarm.example/udp/4001/quic-v1".parse()?],
///     ..Config::new([7; 32])
/// };
/// assert!(config.mdns && !config.relay_server);
/// # Ok::<(), swarm_net::MultiaddrError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Config {
    /// The swarm, which protocols and the topic of records are named after.
    pub swarm: Digest32,
    /// Where to listen.
    pub listen: Vec<Multiaddr>,
    /// Addresses that are announced without being tested, where the operator knows better.
    pub external: Vec<Multiaddr>,
    /// Addresses to begin with, with or without `/p2p/…`. They are dialled until they answer, and
    /// again whenever they are lost; none of them has to work. Those that begin with a name
    /// (`/dnsaddr/…`, `/dns/…`, `/dns4/…`, `/dns6/…`) are looked up, and what they give is dialled
    /// while peers are wanted.
    pub bootstrap: Vec<Multiaddr>,
    /// The same, from the swarm's file.
    pub swarm_file: Vec<Multiaddr>,
    /// The DNS server for names; `None` takes those of the system.
    pub resolver: Option<SocketAddr>,
    /// Look for nodes on the local network.
    pub mdns: bool,
    /// Ask the router to forward a port.
    pub upnp: bool,
    /// Relay control messages for nodes that cannot be reached.
    pub relay_server: bool,
    /// Turn relayed connections into direct ones by hole punching.
    pub hole_punching: bool,
    /// File of known addresses, written from time to time; it survives restarts.
    pub peer_cache: Option<PathBuf>,
    /// File of bans, written when they change; it survives restarts.
    pub bans: Option<PathBuf>,
    /// Name and version of the program, which peers see.
    pub agent: String,
    /// Limits and quotas.
    pub limits: Limits,
}

impl Config {
    /// The settings of a node at home: QUIC and TCP on ports that the system chooses, mDNS, UPnP
    /// and hole punching on, no relay for others.
    pub fn new(swarm: Digest32) -> Self {
        Self {
            swarm,
            listen: default_listen(),
            external: Vec::new(),
            bootstrap: Vec::new(),
            swarm_file: Vec::new(),
            resolver: None,
            mdns: true,
            upnp: true,
            relay_server: false,
            hole_punching: true,
            peer_cache: None,
            bans: None,
            agent: concat!("swarm-node/", env!("CARGO_PKG_VERSION")).to_owned(),
            limits: Limits::default(),
        }
    }

    /// A node that only this machine reaches, without mDNS and UPnP, for tests and demos.
    pub fn loopback(swarm: Digest32) -> Self {
        let loopback = Protocol::Ip4([127, 0, 0, 1].into());
        let listen = ports().map(|port| Multiaddr::from(loopback.clone()).with_all(port));
        Self {
            listen: listen.to_vec(),
            mdns: false,
            upnp: false,
            ..Self::new(swarm)
        }
    }
}

/// All addresses of the machine, at ports that the system chooses.
pub fn default_listen() -> Vec<Multiaddr> {
    let any = [
        Protocol::Ip4([0; 4].into()),
        Protocol::Ip6([0_u16; 8].into()),
    ];
    any.into_iter()
        .flat_map(|ip| ports().map(|port| Multiaddr::from(ip.clone()).with_all(port)))
        .collect()
}

fn ports() -> [[Option<Protocol<'static>>; 2]; 2] {
    [
        [Some(Protocol::Udp(0)), Some(Protocol::QuicV1)],
        [Some(Protocol::Tcp(0)), None],
    ]
}

trait WithAll {
    fn with_all(self, parts: [Option<Protocol<'static>>; 2]) -> Self;
}

impl WithAll for Multiaddr {
    fn with_all(self, parts: [Option<Protocol<'static>>; 2]) -> Self {
        parts.into_iter().flatten().fold(self, Self::with)
    }
}

/// Names of a swarm's protocols: `/swarm/<first 8 digits of its id>/…`.
#[derive(Clone, Debug)]
pub(crate) struct Protocols {
    /// What identify tells as protocol version, and what all other names begin with.
    pub(crate) prefix: String,
    pub(crate) kademlia: StreamProtocol,
    pub(crate) requests: StreamProtocol,
    /// Questions about runs.
    pub(crate) runs: StreamProtocol,
    pub(crate) blobs: StreamProtocol,
    pub(crate) channels: StreamProtocol,
    /// The gossip topic of records.
    pub(crate) records: String,
}

/// What the prefix of every swarm begins with.
pub(crate) const FAMILY: &str = "/swarm/";

impl Protocols {
    pub(crate) fn new(swarm: &Digest32) -> Self {
        let prefix = format!("{FAMILY}{}", const_hex::encode(&swarm[..4]));
        Self {
            kademlia: stream(format!("{prefix}/kad/1")),
            requests: stream(format!("{prefix}/request/1")),
            runs: stream(format!("{prefix}/run/1")),
            blobs: stream(format!("{prefix}/blob/1")),
            channels: stream(format!("{prefix}/channel/1")),
            records: format!("{prefix}/records/1"),
            prefix,
        }
    }
}

#[expect(clippy::expect_used, reason = "all names begin with a slash")]
fn stream(name: String) -> StreamProtocol {
    StreamProtocol::try_from_owned(name).expect("invariant: protocol names begin with a slash")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_carry_the_swarm() {
        let names = Protocols::new(&[0xab; 32]);
        assert_eq!(names.prefix, "/swarm/abababab");
        assert_eq!(names.kademlia.as_ref(), "/swarm/abababab/kad/1");
        assert_eq!(names.records, "/swarm/abababab/records/1");
    }

    #[test]
    fn a_node_listens_by_both_transports() {
        let listen: Vec<String> = default_listen().iter().map(ToString::to_string).collect();
        assert_eq!(
            listen,
            [
                "/ip4/0.0.0.0/udp/0/quic-v1",
                "/ip4/0.0.0.0/tcp/0",
                "/ip6/::/udp/0/quic-v1",
                "/ip6/::/tcp/0"
            ]
        );
        let loopback = Config::loopback([0; 32]).listen;
        assert_eq!(loopback[0].to_string(), "/ip4/127.0.0.1/udp/0/quic-v1");
    }
}
