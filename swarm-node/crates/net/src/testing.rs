//! What tests of running nodes share.

pub(crate) mod dns;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use libp2p::Multiaddr;
use swarm_identity::{PeerId, Secret};
use tokio::time::timeout;

use crate::attacker::Attacker;
use crate::bulk::blob::{Blob, BlobId, Blobs};
use crate::config::Config;
use crate::event::{Event, Events, GossipId, Reply};
use crate::handle::{Handle, Snapshot};
use crate::limits::Behaviour;
use crate::source::Source;
use crate::task::start;

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

    /// Offers an address as one that peers told.
    pub(crate) async fn offered(&self, address: &Multiaddr) {
        let addresses = vec![address.clone()];
        self.handle.offer(Source::Peers, addresses).await;
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
        self.seen(|snapshot| wanted(&snapshot.stats)).await;
    }

    /// Waits until what is known of the network is as wanted.
    pub(crate) async fn seen(&self, wanted: impl Fn(&Snapshot) -> bool) {
        let mut snapshot = self.handle.snapshot.clone();
        let seen = snapshot.wait_for(|snapshot| wanted(snapshot));
        timeout(PATIENCE, seen).await.expect("not seen").unwrap();
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

/// An attacker that a node lets in.
pub(crate) async fn attacker(byte: u8, protocol: &str, victim: &Multiaddr) -> Attacker {
    let attacker = Attacker::connect(&secret(byte), protocol, victim).await;
    attacker.expect("it was not let in")
}
