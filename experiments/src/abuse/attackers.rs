//! Attackers that speak all protocols of a node, and what they send.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use swarm_identity::{PeerId, Secret};
use swarm_net::limits::MAX_RECORD_BYTES;
use swarm_net::{Config, Event, Handle, Limits, Multiaddr, NoBlobs};
use tokio::time::{sleep, timeout};

use super::victim::Target;

/// Records that are kept to be sent again.
const HEARD: usize = 512;
/// Time for a connection.
const PATIENCE: Duration = Duration::from_secs(3);

/// The key of the next attacker, which nobody has banned yet.
///
/// # Errors
/// With negligible probability a number gives no key.
pub fn next_key() -> Result<Secret> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let mut bytes = [0x5a; 32];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    Ok(Secret::from_bytes(&bytes)?)
}

/// A whole network stack in hostile hands.
pub struct Hostile {
    handle: Handle,
    victim: PeerId,
    is_connected: Arc<AtomicBool>,
    heard: Arc<Mutex<Vec<Arc<[u8]>>>>,
}

impl Hostile {
    /// Connects to the victim.
    ///
    /// # Errors
    /// The network does not start.
    pub async fn start(secret: &Secret, target: &Target) -> Result<Self> {
        Self::around(secret, target, &target.quic).await
    }

    /// Connects to another node of the swarm, and knows the victim.
    ///
    /// # Errors
    /// The network does not start.
    pub async fn around(secret: &Secret, target: &Target, at: &Multiaddr) -> Result<Self> {
        let config = Config {
            bootstrap: vec![at.clone(), target.quic.clone()],
            limits: Limits {
                outbox: 4096,
                request_time: Duration::from_secs(2),
                ..Limits::default()
            },
            ..Config::loopback(target.config.swarm_id())
        };
        let (handle, mut events) = swarm_net::start(config, secret, Arc::new(NoBlobs)).await?;
        let is_connected = Arc::new(AtomicBool::new(false));
        let heard: Arc<Mutex<Vec<Arc<[u8]>>>> = Arc::default();
        let (connected, kept, victim) = (is_connected.clone(), heard.clone(), target.peer);
        tokio::spawn(async move {
            while let Some(event) = events.next().await {
                match event {
                    Event::Connected { peer, .. } if peer == victim => {
                        connected.store(true, Ordering::Relaxed);
                    }
                    Event::Disconnected { peer } if peer == victim => {
                        connected.store(false, Ordering::Relaxed);
                    }
                    Event::Gossip { bytes, .. } => {
                        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                        if kept.len() < HEARD {
                            kept.push(bytes);
                        }
                    }
                    _ => {}
                }
            }
        });
        let hostile = Self {
            handle,
            victim,
            is_connected,
            heard,
        };
        let connected = async {
            while !hostile.is_connected() {
                sleep(Duration::from_millis(20)).await;
            }
        };
        // Whoever is not let in sees it by `is_connected`.
        let _ = timeout(PATIENCE, connected).await;
        Ok(hostile)
    }

    /// True while the victim lets it in.
    pub fn is_connected(&self) -> bool {
        self.is_connected.load(Ordering::Relaxed)
    }

    /// Publishes anything; false if that is too long.
    pub async fn publish(&self, mut bytes: Vec<u8>) -> bool {
        bytes.truncate(MAX_RECORD_BYTES);
        let published = self.handle.publish(bytes.into()).await;
        // The attackers share this machine with the victim; its cores must not be the limit.
        sleep(Duration::from_millis(2)).await;
        published.is_ok()
    }

    /// Asks the victim anything.
    pub async fn ask(&self, bytes: Vec<u8>) {
        // What it answers is nobody's concern.
        let _ = self.handle.request(self.victim, bytes).await;
    }

    /// The records that came since the last call.
    pub fn heard(&self) -> Vec<Arc<[u8]>> {
        std::mem::take(&mut *self.heard.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Hangs up.
    pub async fn end(self) {
        self.handle.shutdown().await;
    }
}
