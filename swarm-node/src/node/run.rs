//! The node's loop: it carries inputs to the core and outputs from it, and nothing else.
//!
//! ```text
//! network ──gossip──▶ Input::Envelope ─▶ ┌──────┐ ─▶ Broadcast ──▶ network
//!        ──request──▶ Input::Asked ────▶ │ Core │ ─▶ Ask ────────▶ requests to a few peers
//! disk ────signed───▶ Input::Signed ───▶ │      │ ─▶ Sign, Decided ─▶ disk
//! worker ──work─────▶ Input::Work ─────▶ │      │ ─▶ Need, Decided ─▶ worker
//! settling node ◀─── votes, tables ──── network    └──▶ Decided ─▶ settling node
//! time ─────────────▶ Input::Tick ─────▶ └──────┘ ─▶ everything else: events, status
//! ```
//! One task owns everything; what waits (disk, model, peers) is elsewhere and answers through
//! channels. What a peer can make the node do is bounded: the network has its limits, the core its
//! own, and at most 64 requests of this node are under way.

use std::time::Duration;

use swarm_round::state::Input;
use swarm_settle::node::NodeEvent as SettlingEvent;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio::time::sleep;

use super::asking::Answered;
use super::disk::Written;
use super::node::Node;
use super::parts::{NodeParts, Request};
use super::time::wall_clock;
use super::worker::Done;
use crate::job::Stop;

/// Longest wait for something to come.
const WAKE_EVERY: Duration = Duration::from_secs(1);

/// What comes to a node from elsewhere.
pub struct Sources {
    /// From the network.
    pub network: swarm_net::Events,
    /// From the thread that writes.
    pub disk: mpsc::UnboundedReceiver<Written>,
    /// From the model; of an observer nothing ever comes.
    pub worker: mpsc::UnboundedReceiver<Done>,
    /// From the settling node; nothing comes where there is none.
    pub settling: mpsc::Receiver<SettlingEvent>,
    /// From the owner.
    pub owner: mpsc::Receiver<Request>,
    /// The request to end.
    pub stop: Stop,
}

/// Why a node ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Its owner drained it.
    Drained,
    /// A signal asked for it.
    Stopped,
    /// Something could not be written, so nothing may be signed any more.
    DiskFailed(String),
    /// Another process that was there before signs with this node's key.
    Copy,
    /// The network ended by itself, which is a mistake of this program.
    NetworkGone,
}

/// Runs a node until it is drained or stopped. All that it did is on disk then.
pub async fn run(mut parts: NodeParts, mut from: Sources) -> Ended {
    let outstanding = std::mem::take(&mut parts.outstanding);
    let mut node = Node::new(parts, wall_clock());
    node.carry_out(outstanding, wall_clock()).await;
    node.adopt_archived(wall_clock()).await;
    let mut asking = JoinSet::new();
    let ended = loop {
        node.attend(wall_clock());
        node.ask_peers(&mut asking);
        if node.is_drained() {
            break Ended::Drained;
        }
        if node.is_copy() {
            break Ended::Copy;
        }
        let wait = Duration::from_millis(node.next_tick().saturating_sub(wall_clock()));
        tokio::select! {
            event = from.network.next() => match event {
                Some(event) => node.heard(event, wall_clock()).await,
                None => break Ended::NetworkGone,
            },
            Some(written) = from.disk.recv() => match written {
                Written::Answer(answer) => node.input(*answer, wall_clock()).await,
                Written::Failed(text) => break Ended::DiskFailed(text),
            },
            Some(done) = from.worker.recv() => node.worked(done, wall_clock()).await,
            Some(event) = from.settling.recv() => node.settled(event, wall_clock()).await,
            Some(answered) = asking.join_next() => {
                if let Some(answered) = finished(answered) {
                    node.answered(answered, wall_clock()).await;
                }
            }
            Some(request) = from.owner.recv() => node.owner(request, wall_clock()),
            () = sleep(wait.min(WAKE_EVERY)) => node.input(Input::Tick, wall_clock()).await,
            () = from.stop.requested() => break Ended::Stopped,
        }
    };
    node.end().await;
    ended
}

/// The result of a request's task. One that panicked has printed why, and its answer is missing
/// like that of a peer which is gone.
fn finished(answered: Result<Answered, JoinError>) -> Option<Answered> {
    answered.ok()
}
