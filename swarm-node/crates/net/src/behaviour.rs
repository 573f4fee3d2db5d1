//! What the swarm is made of, outermost first: whoever is refused by the first parts never reaches
//! the later ones.

use libp2p::identity::Keypair;
use libp2p::kad::store::{MemoryStore, MemoryStoreConfig};
use libp2p::swarm::NetworkBehaviour;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::{
    StreamProtocol, allow_block_list, autonat, connection_limits, dcutr, gossipsub, identify, kad,
    mdns, memory_connection_limits, ping, relay, request_response, upnp,
};
use tokio::sync::mpsc;

use crate::bulk::streams::{self, Incoming};
use crate::candidates;
use crate::config::{Config, Protocols};
use crate::gate;
use crate::gossip::{self, Gossip, GossipSettings};
use crate::limits::{
    CIRCUIT_BYTES, CIRCUIT_TIME, IDENTIFY_INTERVAL, Limits, PING_INTERVAL, PING_TIMEOUT,
    SEARCH_TIME,
};
use crate::request;
use crate::run_name;

#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    limits: connection_limits::Behaviour,
    memory: memory_connection_limits::Behaviour,
    pub(crate) banned: allow_block_list::Behaviour<allow_block_list::BlockedPeers>,
    pub(crate) gate: gate::Behaviour,
    pub(crate) identify: identify::Behaviour,
    ping: ping::Behaviour,
    pub(crate) gossip: Gossip,
    pub(crate) kademlia: kad::Behaviour<MemoryStore>,
    pub(crate) requests: request_response::Behaviour<request::Codec>,
    pub(crate) runs: request_response::Behaviour<request::Codec>,
    pub(crate) blobs: streams::Behaviour,
    pub(crate) channels: streams::Behaviour,
    pub(crate) reachable: candidates::Behaviour,
    reaches: autonat::v2::server::Behaviour,
    relay: relay::client::Behaviour,
    relay_server: Toggle<relay::Behaviour>,
    hole_punching: Toggle<dcutr::Behaviour>,
    pub(crate) mdns: Toggle<mdns::tokio::Behaviour>,
    upnp: Toggle<upnp::tokio::Behaviour>,
}

/// What did not work, and why.
pub(crate) type Failed = (String, String);

/// All parts; some may not work on this machine, and are named.
pub(crate) fn build(
    config: &Config,
    protocols: &Protocols,
    key: &Keypair,
    relay: relay::client::Behaviour,
    (blobs, channels): (mpsc::Sender<Incoming>, mpsc::Sender<Incoming>),
    run: u64,
) -> Result<(Behaviour, Vec<Failed>), GossipSettings> {
    let me = key.public().to_peer_id();
    let mut failed = Vec::new();
    let topic = gossipsub::IdentTopic::new(&protocols.records);
    let behaviour = Behaviour {
        limits: connection_limits::Behaviour::new(connection_limits(&config.limits)),
        memory: memory_connection_limits::Behaviour::with_max_percentage(
            config.limits.memory_share,
        ),
        banned: allow_block_list::Behaviour::default(),
        gate: gate::Behaviour::new(config.limits.clone()),
        identify: identify::Behaviour::new(
            identify::Config::new(protocols.prefix.clone(), key.public())
                .with_agent_version(run_name::named(&config.agent, run))
                .with_push_listen_addr_updates(true)
                .with_interval(IDENTIFY_INTERVAL)
                .with_cache_size(0),
        ),
        ping: ping::Behaviour::new(
            ping::Config::new()
                .with_interval(PING_INTERVAL)
                .with_timeout(PING_TIMEOUT),
        ),
        gossip: gossip::behaviour(&topic)?,
        kademlia: kademlia(protocols, me),
        requests: requests(&config.limits, &protocols.requests),
        runs: requests(&config.limits, &protocols.runs),
        blobs: streams::Behaviour::new(protocols.blobs.clone(), blobs),
        channels: streams::Behaviour::new(protocols.channels.clone(), channels),
        reachable: candidates::Behaviour::default(),
        reaches: autonat::v2::server::Behaviour::default(),
        relay,
        relay_server: config
            .relay_server
            .then(|| relay::Behaviour::new(me, relay_limits(&config.limits)))
            .into(),
        hole_punching: config
            .hole_punching
            .then(|| dcutr::Behaviour::new(me))
            .into(),
        mdns: local_network(config, me, &mut failed).into(),
        upnp: config.upnp.then(upnp::tokio::Behaviour::default).into(),
    };
    Ok((behaviour, failed))
}

fn connection_limits(limits: &Limits) -> connection_limits::ConnectionLimits {
    connection_limits::ConnectionLimits::default()
        .with_max_pending_incoming(Some(limits.pending))
        .with_max_pending_outgoing(Some(limits.pending))
        .with_max_established_incoming(Some(limits.incoming))
        .with_max_established_outgoing(Some(limits.outgoing))
        .with_max_established_per_peer(Some(limits.per_peer))
}

fn relay_limits(limits: &Limits) -> relay::Config {
    relay::Config {
        max_reservations: limits.relay_places,
        max_circuits: limits.circuits,
        max_circuit_bytes: CIRCUIT_BYTES,
        max_circuit_duration: CIRCUIT_TIME,
        ..relay::Config::default()
    }
}

/// Kademlia finds peers; it stores nothing for anybody. Peers enter its table once identify has
/// told their addresses, and only those of this swarm.
fn kademlia(protocols: &Protocols, me: libp2p::PeerId) -> kad::Behaviour<MemoryStore> {
    let mut config = kad::Config::new(protocols.kademlia.clone());
    config
        .set_kbucket_inserts(kad::BucketInserts::Manual)
        .set_record_filtering(kad::StoreInserts::FilterBoth)
        .disjoint_query_paths(true)
        .set_query_timeout(SEARCH_TIME)
        .set_replication_interval(None)
        .set_publication_interval(None)
        .set_provider_publication_interval(None);
    let nothing = MemoryStoreConfig {
        max_records: 0,
        max_provided_keys: 0,
        ..MemoryStoreConfig::default()
    };
    let mut kademlia =
        kad::Behaviour::with_config(me, MemoryStore::with_config(me, nothing), config);
    kademlia.set_mode(Some(kad::Mode::Server));
    kademlia
}

fn requests(
    limits: &Limits,
    protocol: &StreamProtocol,
) -> request_response::Behaviour<request::Codec> {
    let config = request_response::Config::default()
        .with_request_timeout(limits.request_time)
        .with_max_concurrent_streams(limits.waiting_per_peer);
    // What is left is for the answer.
    let codec = request::Codec {
        time: limits.request_time.mul_f64(0.75),
    };
    let full = request_response::ProtocolSupport::Full;
    request_response::Behaviour::with_codec(codec, [(protocol.clone(), full)], config)
}

fn local_network(
    config: &Config,
    me: libp2p::PeerId,
    failed: &mut Vec<Failed>,
) -> Option<mdns::tokio::Behaviour> {
    if !config.mdns {
        return None;
    }
    let local = mdns::tokio::Behaviour::new(mdns::Config::default(), me);
    local
        .map_err(|error| failed.push(("mDNS".into(), error.to_string())))
        .ok()
}
