//! What tests of running nodes share.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use libp2p::swarm::SwarmEvent;
use libp2p::swarm::dial_opts::DialOpts;
use libp2p::{Multiaddr, Stream, StreamProtocol, Swarm};
use swarm_identity::{PeerId, Secret};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::bulk::blob::{Blob, BlobId, Blobs};
use crate::bulk::streams::{self, OpenError, Opened};
use crate::config::Config;
use crate::event::{Event, Events, GossipId, Reply};
use crate::handle::Handle;
use crate::limits::{Behaviour, Limits};
use crate::task::start;
use crate::{peer_id, transport};

pub(crate) const SWARM: [u8; 32] = [9; 32];
/// Longer than anything here takes on a busy machine; tests wait for events, not for time.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A node and what it told so far.
pub(crate) struct Node {
    pub(crate) handle: Handle,
    pub(crate) events: Events,
    pub(crate) addresses: Vec<Multiaddr>,
}

pub(crate) fn secret(byte: u8) -> Secret {
    Secret::from_bytes(&[byte; 32]).unwrap()
}

pub(crate) fn config(bootstrap: &[Multiaddr]) -> Config {
    Config {
        bootstrap: bootstrap.to_vec(),
        ..Config::loopback(SWARM)
    }
}

impl Node {
    pub(crate) async fn start(byte: u8, config: Config) -> Self {
        Self::serving(byte, config, Memory::default()).await
    }

    pub(crate) async fn serving(byte: u8, config: Config, blobs: Memory) -> Self {
        let expected = config.listen.len();
        let (handle, events) = start(config, &secret(byte), Arc::new(blobs)).await.unwrap();
        let mut node = Self {
            handle,
            events,
            addresses: Vec::new(),
        };
        while node.addresses.len() < expected {
            let address = node
                .wait(|event| match event {
                    Event::Listening(address) => Some(address),
                    _ => None,
                })
                .await;
            node.addresses.push(address);
        }
        node
    }

    /// A node by one transport: `quic-v1` or `tcp`.
    pub(crate) async fn by(byte: u8, transport: &str, bootstrap: &[Multiaddr]) -> Self {
        let mut config = config(bootstrap);
        config
            .listen
            .retain(|address| address.to_string().contains(transport));
        Self::start(byte, config).await
    }

    pub(crate) async fn wait<T>(&mut self, wanted: impl Fn(Event) -> Option<T>) -> T {
        let found = async {
            loop {
                let event = self.events.next().await.expect("the network ended");
                if let Some(found) = wanted(event) {
                    return found;
                }
            }
        };
        timeout(PATIENCE, found).await.expect("nothing came")
    }

    pub(crate) async fn connected(&mut self, to: PeerId) {
        self.wait(|event| match event {
            Event::Connected { peer, .. } => (peer == to).then_some(()),
            _ => None,
        })
        .await;
    }

    pub(crate) async fn disconnected(&mut self, from: PeerId) {
        self.wait(|event| match event {
            Event::Disconnected { peer } => (peer == from).then_some(()),
            _ => None,
        })
        .await;
    }

    pub(crate) async fn record(&mut self) -> (PeerId, GossipId, Arc<[u8]>) {
        self.wait(|event| match event {
            Event::Gossip { from, id, bytes } => Some((from, id, bytes)),
            _ => None,
        })
        .await
    }

    pub(crate) async fn asked(&mut self) -> (PeerId, Vec<u8>, Reply) {
        self.wait(|event| match event {
            Event::Request { from, bytes, reply } => Some((from, bytes, reply)),
            _ => None,
        })
        .await
    }

    pub(crate) async fn publish(&self, text: &str) {
        self.handle.publish(text.as_bytes().into()).await.unwrap();
    }

    pub(crate) fn me(&self) -> PeerId {
        self.handle.me()
    }

    /// Waits until the node has so many peers.
    pub(crate) async fn has_peers(&self, count: usize) {
        let mut snapshot = self.handle.snapshot.clone();
        let enough = snapshot.wait_for(|snapshot| snapshot.peers.len() >= count);
        timeout(PATIENCE, enough).await.expect("too few").unwrap();
    }

    pub(crate) async fn banned(&mut self) -> (PeerId, Behaviour) {
        self.wait(|event| match event {
            Event::Banned { peer, reason, .. } => Some((peer, reason)),
            _ => None,
        })
        .await
    }

    /// Waits until what was counted is as wanted.
    pub(crate) async fn counted(&self, wanted: impl Fn(&crate::Stats) -> bool) {
        let mut snapshot = self.handle.snapshot.clone();
        let counted = snapshot.wait_for(|snapshot| wanted(&snapshot.stats));
        timeout(PATIENCE, counted)
            .await
            .expect("not counted")
            .unwrap();
    }
}

/// Blobs in memory.
#[derive(Default)]
pub(crate) struct Memory(HashMap<BlobId, Arc<Vec<u8>>>);

impl Memory {
    /// Serves bytes under a name, which may be that of others.
    pub(crate) fn with(mut self, id: BlobId, bytes: Vec<u8>) -> Self {
        self.0.insert(id, Arc::new(bytes));
        self
    }
}

impl Blobs for Memory {
    fn open(&self, id: &BlobId) -> Option<Arc<dyn Blob>> {
        let blob: Arc<Vec<u8>> = self.0.get(id)?.clone();
        Some(blob)
    }
}

/// Somebody who speaks one protocol, and that badly.
pub(crate) struct Attacker {
    pub(crate) me: PeerId,
    commands: mpsc::Sender<(libp2p::PeerId, Opened)>,
    incoming: mpsc::Receiver<streams::Incoming>,
}

impl Attacker {
    /// Connects to a node; `false` in the second place if it does not let the attacker in.
    pub(crate) async fn new(byte: u8, protocol: &str, victim: &Multiaddr) -> (Self, bool) {
        let (mut swarm, incoming) = Self::swarm(byte, protocol);
        let dial = DialOpts::unknown_peer_id().address(victim.clone()).build();
        swarm.dial(dial).unwrap();
        let let_in = timeout(PATIENCE, async {
            loop {
                match swarm.select_next_some().await {
                    SwarmEvent::ConnectionEstablished { .. } => return true,
                    SwarmEvent::OutgoingConnectionError { .. } => return false,
                    _ => {}
                }
            }
        });
        let let_in = let_in.await.unwrap();
        (Self::run(swarm, incoming), let_in)
    }

    /// Waits for others at an address.
    pub(crate) async fn listening(byte: u8, protocol: &str, at: &str) -> (Self, Multiaddr) {
        let (mut swarm, incoming) = Self::swarm(byte, protocol);
        swarm.listen_on(at.parse().unwrap()).unwrap();
        let address = loop {
            if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
                break address;
            }
        };
        (Self::run(swarm, incoming), address)
    }

    fn swarm(
        byte: u8,
        protocol: &str,
    ) -> (Swarm<streams::Behaviour>, mpsc::Receiver<streams::Incoming>) {
        let key = peer_id::key_pair(&secret(byte));
        let protocol = StreamProtocol::try_from_owned(protocol.into()).unwrap();
        let (sender, incoming) = mpsc::channel(8);
        let swarm = Swarm::new(
            transport::build(&key, &Limits::default())
                .unwrap()
                .connections,
            streams::Behaviour::new(protocol, sender),
            key.public().to_peer_id(),
            libp2p::swarm::Config::with_tokio_executor().with_idle_connection_timeout(PATIENCE),
        );
        (swarm, incoming)
    }

    fn run(
        mut swarm: Swarm<streams::Behaviour>,
        incoming: mpsc::Receiver<streams::Incoming>,
    ) -> Self {
        let me = peer_id::from_libp2p(swarm.local_peer_id()).unwrap();
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
            me,
            commands,
            incoming,
        }
    }

    pub(crate) async fn open(&self, victim: PeerId) -> Result<Stream, OpenError> {
        let (sender, opened) = oneshot::channel();
        let victim = peer_id::to_libp2p(victim).unwrap();
        let sent = self.commands.send((victim, sender)).await;
        sent.map_err(|_| OpenError::Broken)?;
        opened.await.map_err(|_| OpenError::Broken)?
    }

    /// The next stream that a node opens.
    pub(crate) async fn incoming(&mut self) -> Stream {
        let incoming = timeout(PATIENCE, self.incoming.recv()).await;
        incoming.expect("nobody asked").expect("it runs").1
    }
}
