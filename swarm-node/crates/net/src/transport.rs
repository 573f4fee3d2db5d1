//! How connections are made: QUIC, and TCP with Noise and Yamux; circuits of relays.
//!
//! QUIC keeps control messages fast beside bulk data, TCP moves bulk better on lossy links, so both
//! are offered. Identities are proven in the handshake of either.

use std::io;
use std::time::Duration;

use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::{Boxed, OrTransport};
use libp2p::core::upgrade::Version;
use libp2p::identity::Keypair;
use libp2p::{PeerId, Transport, noise, quic, relay, tcp, yamux};

use crate::limits::{Limits, MAX_CHANNEL_JOBS};

/// Bytes that a peer may send unread on one QUIC stream.
const QUIC_STREAM_WINDOW: u32 = 4 << 20;
/// The same on all of a connection. A job that is slow leaves a stream's window of its channel
/// unread for as long as it likes; two such windows are left for all else when every job does.
const QUIC_CONNECTION_WINDOW: u32 = (2 + MAX_CHANNEL_JOBS as u32) * QUIC_STREAM_WINDOW;
/// Silence after which a QUIC connection is dead.
const QUIC_SILENCE: Duration = Duration::from_secs(30);
/// Time for a connection and its handshakes. A peer that tests whether another can be reached gives
/// up after 10 s (AutoNAT) and then tells nothing; a call that is not answered must end before.
const HANDSHAKE: Duration = Duration::from_secs(6);

pub(crate) type Connections = Boxed<(PeerId, StreamMuxerBox)>;

/// The transport, and the part of the swarm that uses relays with it.
pub(crate) struct Built {
    pub(crate) connections: Connections,
    pub(crate) relay: relay::client::Behaviour,
}

/// Builds the transport. It knows IP addresses alone; names are looked up before
/// ([`crate::resolve`]).
///
/// # Errors
/// The key cannot be used for Noise.
pub(crate) fn build(key: &Keypair, limits: &Limits) -> io::Result<Built> {
    let (circuits, relay) = relay::client::new(key.public().to_peer_id());
    let circuits = circuits
        .upgrade(Version::V1Lazy)
        .authenticate(noise_config(key)?)
        .multiplex(yamux_config(limits))
        .timeout(HANDSHAKE)
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
    let all = OrTransport::new(circuits, direct(key, limits)?).map(|either, _| either.into_inner());
    Ok(Built {
        connections: all.boxed(),
        relay,
    })
}

fn direct(key: &Keypair, limits: &Limits) -> io::Result<Connections> {
    let quic = quic::tokio::Transport::new(quic_config(key, limits))
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
    let tcp = tcp::tokio::Transport::new(tcp::Config::default().nodelay(true))
        .upgrade(Version::V1Lazy)
        .authenticate(noise_config(key)?)
        .multiplex(yamux_config(limits))
        .timeout(HANDSHAKE)
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
    let either = OrTransport::new(quic, tcp).map(|either, _| either.into_inner());
    Ok(either.boxed())
}

fn noise_config(key: &Keypair) -> io::Result<noise::Config> {
    noise::Config::new(key).map_err(io::Error::other)
}

fn yamux_config(limits: &Limits) -> yamux::Config {
    let mut config = yamux::Config::default();
    config.set_max_num_streams(limits.streams_per_connection);
    config
}

fn quic_config(key: &Keypair, limits: &Limits) -> quic::Config {
    let mut config = quic::Config::new(key);
    config.max_concurrent_stream_limit =
        u32::try_from(limits.streams_per_connection).unwrap_or(u32::MAX);
    config.max_stream_data = QUIC_STREAM_WINDOW;
    config.max_connection_data = QUIC_CONNECTION_WINDOW;
    config.max_idle_timeout = QUIC_SILENCE.as_millis() as u32;
    config.handshake_timeout = HANDSHAKE;
    config
}
