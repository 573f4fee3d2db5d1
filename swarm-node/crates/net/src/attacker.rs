//! Somebody who speaks one protocol, and that badly: for tests, and for whoever measures what a
//! node withstands (feature `attacker`).
//!
//! It connects over the same transports as a node does, and hands out raw streams, into which any
//! bytes can be written at any speed. It answers nothing.

use std::io;
use std::time::Duration;

use futures::StreamExt;
use libp2p::swarm::SwarmEvent;
use libp2p::swarm::dial_opts::DialOpts;
use libp2p::{Multiaddr, Stream, StreamProtocol, Swarm};
use swarm_identity::digest::Digest32;
use swarm_identity::{PeerId, Secret};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::bulk::streams::{self, OpenError, Opened};
use crate::config::Protocols;
use crate::limits::Limits;
use crate::{peer_id, transport};

/// Time for a connection, and for which one without streams is kept.
const PATIENCE: Duration = Duration::from_secs(60);

/// The protocol of gossip.
pub const GOSSIP: &str = "/meshsub/1.1.0";

/// The protocol of a swarm's requests.
pub fn requests(swarm: &Digest32) -> String {
    Protocols::new(swarm).requests.to_string()
}

/// The protocol of a swarm's blobs.
pub fn blobs(swarm: &Digest32) -> String {
    Protocols::new(swarm).blobs.to_string()
}

/// The protocol of a swarm's channels.
pub fn channels(swarm: &Digest32) -> String {
    Protocols::new(swarm).channels.to_string()
}

/// A gossip frame that subscribes to so many topics.
pub fn subscriptions(count: usize) -> Vec<u8> {
    let mut frame = Vec::new();
    for number in 0..count {
        let topic = format!("topic {number:09}");
        let inner = [&[0x08, 1, 0x12, topic.len() as u8], topic.as_bytes()].concat();
        frame.extend([0x0a, inner.len() as u8]);
        frame.extend(inner);
    }
    let length = frame.len() as u32;
    let mut whole = vec![
        (length & 0x7f) as u8 | 0x80,
        (length >> 7 & 0x7f) as u8 | 0x80,
        (length >> 14) as u8,
    ];
    whole.extend(frame);
    whole
}

/// Why an attacker is nowhere.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AttackError {
    /// The node did not let it in, or does not answer.
    #[error("{0} does not let the attacker in")]
    Refused(Multiaddr),
    /// The name of a protocol does not begin with a slash.
    #[error("`{0}` is no name of a protocol: it begins with a slash")]
    Protocol(String),
    /// There is no transport.
    #[error("the transport cannot be set up: {0}")]
    Transport(#[from] io::Error),
    /// It cannot listen or dial.
    #[error("{0}")]
    Address(String),
    /// No stream could be opened.
    #[error("the node opens no stream")]
    Stream,
}

/// An attacker that runs; dropped, it hangs up.
#[derive(Debug)]
pub struct Attacker {
    me: PeerId,
    commands: mpsc::Sender<(libp2p::PeerId, Opened)>,
    incoming: mpsc::Receiver<streams::Incoming>,
}

impl Attacker {
    /// Connects to a node.
    ///
    /// # Errors
    /// It is not let in, or the address or the protocol is none.
    pub async fn connect(
        secret: &Secret,
        protocol: &str,
        victim: &Multiaddr,
    ) -> Result<Self, AttackError> {
        let (mut swarm, incoming) = swarm(secret, protocol)?;
        let dial = DialOpts::unknown_peer_id().address(victim.clone()).build();
        let address = |error: libp2p::swarm::DialError| AttackError::Address(error.to_string());
        swarm.dial(dial).map_err(address)?;
        let let_in = timeout(PATIENCE, async {
            loop {
                match swarm.select_next_some().await {
                    SwarmEvent::ConnectionEstablished { .. } => return true,
                    SwarmEvent::OutgoingConnectionError { .. } => return false,
                    _ => {}
                }
            }
        });
        match let_in.await {
            Ok(true) => Ok(Self::run(secret, swarm, incoming)),
            _ => Err(AttackError::Refused(victim.clone())),
        }
    }

    /// Waits for others at an address.
    ///
    /// # Errors
    /// It cannot listen there.
    pub async fn listening(
        secret: &Secret,
        protocol: &str,
        at: Multiaddr,
    ) -> Result<(Self, Multiaddr), AttackError> {
        let (mut swarm, incoming) = swarm(secret, protocol)?;
        let refused = |error: libp2p::TransportError<_>| AttackError::Address(error.to_string());
        swarm.listen_on(at).map_err(refused)?;
        let address = loop {
            if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
                break address;
            }
        };
        Ok((Self::run(secret, swarm, incoming), address))
    }

    fn run(
        secret: &Secret,
        mut swarm: Swarm<streams::Behaviour>,
        incoming: mpsc::Receiver<streams::Incoming>,
    ) -> Self {
        let (commands, mut taken) = mpsc::channel::<(libp2p::PeerId, Opened)>(64);
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = swarm.select_next_some() => {}
                    command = taken.recv() => match command {
                        Some((peer, opened)) => swarm.behaviour_mut().open(peer, opened),
                        None => return,
                    },
                }
            }
        });
        Self {
            me: swarm_identity::NodeKey::from(secret).peer(),
            commands,
            incoming,
        }
    }

    /// Who it is.
    pub fn me(&self) -> PeerId {
        self.me
    }

    /// Opens a stream of its protocol.
    ///
    /// # Errors
    /// The node hung up, or does not take it.
    pub async fn open(&self, victim: PeerId) -> Result<Stream, AttackError> {
        let (sender, opened) = oneshot::channel();
        let victim = peer_id::to_libp2p(victim).map_err(|_| AttackError::Stream)?;
        let sent = self.commands.send((victim, sender)).await;
        sent.map_err(|_| AttackError::Stream)?;
        let opened: Result<Stream, OpenError> = opened.await.map_err(|_| AttackError::Stream)?;
        opened.map_err(|_| AttackError::Stream)
    }

    /// The next stream that a node opens; `None` if none comes.
    pub async fn incoming(&mut self) -> Option<Stream> {
        let incoming = timeout(PATIENCE, self.incoming.recv()).await;
        incoming.ok().flatten().map(|(_, stream)| stream)
    }
}

fn swarm(
    secret: &Secret,
    protocol: &str,
) -> Result<(Swarm<streams::Behaviour>, mpsc::Receiver<streams::Incoming>), AttackError> {
    let key = peer_id::key_pair(secret);
    let protocol = StreamProtocol::try_from_owned(protocol.into())
        .map_err(|_| AttackError::Protocol(protocol.into()))?;
    let (sender, incoming) = mpsc::channel(8);
    let swarm = Swarm::new(
        transport::build(&key, &Limits::default())?.connections,
        streams::Behaviour::new(protocol, sender),
        key.public().to_peer_id(),
        libp2p::swarm::Config::with_tokio_executor().with_idle_connection_timeout(PATIENCE),
    );
    Ok((swarm, incoming))
}
