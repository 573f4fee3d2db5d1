//! What the network tells the daemon.

use std::sync::Arc;
use std::time::Duration;

use libp2p::Multiaddr;
use swarm_identity::PeerId;
use tokio::sync::{mpsc, oneshot};

use crate::limits::{Behaviour, MAX_ANSWER_BYTES};
use crate::source::Source;

/// Name of a gossiped record: the SHA-256 of its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GossipId(pub [u8; 32]);

/// What becomes of a gossiped record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is good: neighbours get it.
    Accept,
    /// It is late, early, or nobody can tell yet: neighbours do not get it, its sender is not
    /// blamed.
    Ignore,
    /// It is provably wrong, whoever sees it and whenever: its sender is blamed.
    Reject,
}

/// How a peer is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// Without anybody between.
    Direct,
    /// Through a relay: for control messages only.
    Relayed,
}

/// Whether others can reach this node without being called first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reachability {
    /// Nobody has tried yet.
    Unknown,
    /// Others reached it at this address.
    Public {
        /// The address.
        address: Multiaddr,
    },
    /// Others tried and failed.
    Private {
        /// Addresses at relays by which it can be called all the same; none means that it must call
        /// everybody itself.
        relays: Vec<Multiaddr>,
    },
}

/// What happened on the network.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// A gossiped record that this node had not seen. It is forwarded only after
    /// [`crate::Handle::judge`], which must come within
    /// [`JUDGE_WITHIN_SECONDS`](crate::limits::JUDGE_WITHIN_SECONDS).
    Gossip {
        /// The neighbour that sent it, not its author.
        from: PeerId,
        /// Its name.
        id: GossipId,
        /// Its bytes, at most [`MAX_RECORD_BYTES`](crate::limits::MAX_RECORD_BYTES).
        bytes: Arc<[u8]>,
    },
    /// A peer asks something.
    Request {
        /// Who.
        from: PeerId,
        /// What, at most [`MAX_REQUEST_BYTES`](crate::limits::MAX_REQUEST_BYTES).
        bytes: Vec<u8>,
        /// Where the answer goes; dropped without one, the request is refused.
        reply: Reply,
    },
    /// The first connection with a peer.
    Connected {
        /// Who.
        peer: PeerId,
        /// Where it is.
        address: Multiaddr,
        /// By which way.
        route: Route,
    },
    /// The last connection with a peer is gone.
    Disconnected {
        /// Who.
        peer: PeerId,
    },
    /// The node listens at an address.
    Listening(Multiaddr),
    /// It is known better whether others can reach this node.
    Reachability(Reachability),
    /// A peer is let in no more, for a time.
    Banned {
        /// Who.
        peer: PeerId,
        /// What it did last.
        reason: Behaviour,
        /// For how long.
        lasts: Duration,
    },
    /// Another process has this node's key, as its signature proves.
    DuplicateIdentity {
        /// True if this process began later, and must end.
        is_newcomer: bool,
    },
    /// A source gave peers that it had not given before.
    Given {
        /// The source; never [`Source::Peers`], which gives all the time.
        source: Source,
        /// How many.
        peers: usize,
    },
    /// Something that was asked for does not work here; the node goes on without it.
    Unavailable {
        /// What: `mDNS`, `UPnP`, an address to listen at, a name, the file of known addresses.
        what: String,
        /// Why.
        reason: String,
    },
}

/// Where the answer to a request goes.
#[derive(Debug)]
pub struct Reply(pub(crate) oneshot::Sender<Vec<u8>>);

impl Reply {
    /// Sends the answer, at most [`MAX_ANSWER_BYTES`]; a longer one is not sent, and the request is
    /// refused. False if it was too long or the peer no longer waits.
    pub fn send(self, bytes: Vec<u8>) -> bool {
        bytes.len() <= MAX_ANSWER_BYTES && self.0.send(bytes).is_ok()
    }
}

/// The network's events, in order; at most [`Limits::events`](crate::Limits::events) wait, and
/// further records and requests are dropped until they are taken.
#[derive(Debug)]
pub struct Events(pub(crate) mpsc::Receiver<Event>);

impl Events {
    /// The next event; `None` once the network is shut down.
    pub async fn next(&mut self) -> Option<Event> {
        self.0.recv().await
    }

    /// The next event if one is there.
    pub fn try_next(&mut self) -> Option<Event> {
        self.0.try_recv().ok()
    }
}
