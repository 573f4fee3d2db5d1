//! What a node is made of, and what its owner asks of it.

use std::sync::Arc;

use swarm_identity::PeerId;
use swarm_round::SwarmConfig;
use swarm_round::clock::Round;
use swarm_round::state::{Core, Output};
use tokio::sync::oneshot;

use super::archive::Archive;
use super::board::Board;
use super::control::{Control, Mode};
use super::disk::Disk;
use super::schedule::Schedule;
use super::settling::Settling;
use super::status::Status;
use super::votes::Votes;
use super::worker::Worker;

/// What the owner asks of a running node.
#[derive(Debug)]
pub enum Request {
    /// What is it doing?
    Status(oneshot::Sender<Box<Status>>),
    /// Pause, resume, drain; the answer is what it will do.
    Control(Control, oneshot::Sender<Mode>),
    /// The record of a decided round, if it is kept.
    Record(Round, oneshot::Sender<Option<Vec<u8>>>),
}

/// Everything that a node is made of.
pub struct NodeParts {
    /// The round core, with the archive's rounds taken over.
    pub core: Core,
    /// The swarm.
    pub config: Arc<SwarmConfig>,
    /// The node.
    pub peer: PeerId,
    /// The network.
    pub network: swarm_net::Handle,
    /// The thread that writes.
    pub disk: Disk,
    /// The thread with the model; none for an observer.
    pub worker: Option<Worker>,
    /// When the model works.
    pub schedule: Schedule,
    /// Addresses of peers that were given.
    pub given: usize,
    /// Decided rounds.
    pub archive: Archive,
    /// Where events are shown.
    pub board: Board,
    /// Which votes on outcomes are handed on; none in a swarm that settles nowhere.
    pub votes: Option<Votes>,
    /// The settling node; none without a chain or a wallet.
    pub settling: Option<Settling>,
    /// What the core wants since before its last end.
    pub outstanding: Vec<Output>,
}
