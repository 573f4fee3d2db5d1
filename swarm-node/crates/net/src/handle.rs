//! What the daemon holds: commands to the network, and what is known of it.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use libp2p::Multiaddr;
use swarm_identity::PeerId;
use thiserror::Error;
use tokio::sync::{mpsc, oneshot, watch};

use crate::bulk::blob::BlobId;
use crate::bulk::fetch::{self, FetchError, Fetched};
use crate::bulk::network::{Network, Purpose, Reports, Traffic};
use crate::bulk::streams::{OpenError, Opened};
use crate::channel::registry::Registry;
use crate::event::{GossipId, Verdict};
use crate::limits::{Behaviour, Limits, MAX_OFFERED, MAX_RECORD_BYTES, MAX_REQUEST_BYTES};
use crate::peers::PeerInfo;
use crate::request::RequestError;
use crate::source::{Source, SourceInfo};
use crate::stats::Stats;

/// Commands that wait for the network.
pub(crate) const COMMANDS: usize = 4096;

/// Where the outcome of a request goes.
pub(crate) type Answer = oneshot::Sender<Result<Vec<u8>, RequestError>>;

/// What the daemon asks of the network.
#[derive(Debug)]
pub(crate) enum Command {
    Publish(Arc<[u8]>),
    Judge(GossipId, PeerId, Verdict),
    Request(PeerId, Vec<u8>, Answer),
    Report(PeerId, Behaviour),
    Offer(Source, Vec<Multiaddr>),
    Open(PeerId, Purpose, Opened),
    Moved(PeerId, Purpose, Traffic),
    Shutdown(oneshot::Sender<()>),
}

/// What is known of the network, as of the last second.
#[derive(Clone, Debug, Default)]
pub(crate) struct Snapshot {
    pub(crate) peers: Vec<PeerInfo>,
    pub(crate) stats: Stats,
    pub(crate) unanswered: Vec<Multiaddr>,
    pub(crate) sources: Vec<SourceInfo>,
    pub(crate) reachable_at: Vec<Multiaddr>,
}

impl Snapshot {
    pub(crate) fn connected_since(&self, peer: &PeerId) -> Option<SystemTime> {
        let info = self.peers.iter().find(|info| info.peer == *peer)?;
        Some(info.since)
    }
}

/// Why a record is not published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PublishError {
    /// It is longer than a record may be.
    #[error("a record of {0} bytes is over the limit of {MAX_RECORD_BYTES}; send it as a blob")]
    TooLong(usize),
    /// The network was shut down.
    #[error("the network is shut down")]
    Closed,
}

/// Commands to a running network; cheap to clone. The network ends when all of them are dropped.
#[derive(Clone, Debug)]
pub struct Handle {
    pub(crate) me: PeerId,
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) snapshot: watch::Receiver<Snapshot>,
    pub(crate) limits: Arc<Limits>,
    pub(crate) jobs: Arc<Registry>,
}

impl Handle {
    /// This node.
    pub fn me(&self) -> PeerId {
        self.me
    }

    /// Publishes a signed record to the swarm. Without a neighbour it waits in a bounded queue,
    /// from which the oldest is dropped.
    ///
    /// # Errors
    /// Every [`PublishError`].
    pub async fn publish(&self, bytes: Arc<[u8]>) -> Result<(), PublishError> {
        if bytes.len() > MAX_RECORD_BYTES {
            return Err(PublishError::TooLong(bytes.len()));
        }
        let sent = self.commands.send(Command::Publish(bytes)).await;
        sent.map_err(|_| PublishError::Closed)
    }

    /// Says what becomes of a record that came with [`Event::Gossip`](crate::Event::Gossip). It
    /// also scores the neighbour: a good record counts for it, a rejected one against it.
    ///
    /// False if the network has not taken 4096 earlier commands yet, or is shut down; the record is
    /// not forwarded then.
    pub fn judge(&self, id: GossipId, from: PeerId, verdict: Verdict) -> bool {
        let command = Command::Judge(id, from, verdict);
        self.commands.try_send(command).is_ok()
    }

    /// Asks a peer, over the connection that there is or a new one.
    ///
    /// # Errors
    /// Every [`RequestError`]; none takes longer than [`Limits::request_time`] and a handshake.
    ///
    /// [`Limits::request_time`]: crate::Limits::request_time
    pub async fn request(&self, peer: PeerId, bytes: Vec<u8>) -> Result<Vec<u8>, RequestError> {
        if bytes.len() > MAX_REQUEST_BYTES {
            return Err(RequestError::TooLong(bytes.len()));
        }
        let (sender, answer) = oneshot::channel();
        let command = Command::Request(peer, bytes, sender);
        let sent = self.commands.send(command).await;
        sent.map_err(|_| RequestError::Closed)?;
        answer.await.map_err(|_| RequestError::Closed)?
    }

    /// Fetches a blob into a file from whichever of the peers have it, several at once. Only direct
    /// connections are used. The file appears when all of it is there and right; what came stays
    /// beside it (`.partial`, `.outline`) if the fetch is given up, dropped or killed, and the next
    /// one goes on from there. Two fetches into one file at once are not allowed.
    ///
    /// # Errors
    /// Every [`FetchError`].
    pub async fn fetch(
        &self,
        blob: BlobId,
        into: &Path,
        from: Vec<PeerId>,
    ) -> Result<Fetched, FetchError> {
        fetch::fetch(self.clone(), &self.limits, (blob, into), from).await
    }

    /// Tells what a peer did; its score, and whether it is banned, follow from
    /// [`crate::limits`].
    pub fn report(&self, peer: PeerId, behaviour: Behaviour) -> bool {
        let command = Command::Report(peer, behaviour);
        self.commands.try_send(command).is_ok()
    }

    /// The connected peers, as of the last second.
    pub fn peers(&self) -> Vec<PeerInfo> {
        self.snapshot.borrow().peers.clone()
    }

    /// When the connection with a peer began, if there is one, as of the last second.
    pub fn connected_since(&self, peer: &PeerId) -> Option<SystemTime> {
        self.snapshot.borrow().connected_since(peer)
    }

    /// What was counted, as of the last second.
    pub fn stats(&self) -> Stats {
        self.snapshot.borrow().stats
    }

    /// The configured addresses that do not answer, as of the last second: what a node without
    /// peers waits for.
    pub fn unanswered(&self) -> Vec<Multiaddr> {
        self.snapshot.borrow().unanswered.clone()
    }

    /// The sources of peers that are in use and what each has given, the most trusted first, as of
    /// the last second.
    pub fn sources(&self) -> Vec<SourceInfo> {
        self.snapshot.borrow().sources.clone()
    }

    /// Addresses at which others have reached this node, or at which its operator says that it is
    /// reached, without relays, as of the last second.
    pub fn reachable_at(&self) -> Vec<Multiaddr> {
        self.snapshot.borrow().reachable_at.clone()
    }

    /// Adds addresses to those that the node calls while it wants more peers, and notes that their
    /// source is in use, even if there are none. At most [`MAX_OFFERED`] are taken.
    pub async fn offer(&self, source: Source, mut addresses: Vec<Multiaddr>) {
        addresses.truncate(MAX_OFFERED);
        // A network that is shut down dials nobody, and whoever asks sees it by its events.
        let _ = self.commands.send(Command::Offer(source, addresses)).await;
    }

    /// Writes the file of known addresses and ends the network. Other handles are of no use then.
    pub async fn shutdown(self) {
        let (done, ended) = oneshot::channel();
        let sent = self.commands.send(Command::Shutdown(done)).await;
        if sent.is_ok() {
            let _ = ended.await;
        }
    }

    /// Opens a raw stream with a peer, over a direct connection.
    pub(crate) async fn open_for(
        &self,
        peer: PeerId,
        purpose: Purpose,
    ) -> Result<libp2p::Stream, OpenError> {
        let (sender, opened) = oneshot::channel();
        let open = Command::Open(peer, purpose, sender);
        let sent = self.commands.send(open).await;
        sent.map_err(|_| OpenError::Unreachable)?;
        opened.await.map_err(|_| OpenError::Broken)?
    }
}

impl Reports for Handle {
    fn report(&self, peer: PeerId, behaviour: Behaviour) {
        Self::report(self, peer, behaviour);
    }

    fn moved(&self, peer: PeerId, purpose: Purpose, traffic: Traffic) {
        // Counters may miss a little while the network is behind.
        let moved = Command::Moved(peer, purpose, traffic);
        let _ = self.commands.try_send(moved);
    }
}

impl Network for Handle {
    type Stream = libp2p::Stream;

    async fn open(&self, peer: PeerId) -> Result<libp2p::Stream, OpenError> {
        self.open_for(peer, Purpose::Blobs).await
    }
}

/// Reports of the server, which does not keep the network from ending.
#[derive(Clone, Debug)]
pub(crate) struct WeakReports(pub(crate) mpsc::WeakSender<Command>);

impl WeakReports {
    fn send(&self, command: Command) {
        if let Some(commands) = self.0.upgrade() {
            // As for a handle: reports may be lost while the network is behind.
            let _ = commands.try_send(command);
        }
    }
}

impl Reports for WeakReports {
    fn report(&self, peer: PeerId, behaviour: Behaviour) {
        self.send(Command::Report(peer, behaviour));
    }

    fn moved(&self, peer: PeerId, purpose: Purpose, traffic: Traffic) {
        self.send(Command::Moved(peer, purpose, traffic));
    }
}
