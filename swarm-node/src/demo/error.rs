//! Why a demo fails.

use std::path::PathBuf;

use reproducible_ops::weights::LoadError;
use swarm_identity::key::KeyError;
use swarm_learn::eval::EvalError;
use swarm_learn::peer::PeerError;
use swarm_learn::programs::TrainError;
use swarm_round::sim::run::SimulationError;

use super::rewards::RewardReport;
use crate::cluster::ClusterError;
use crate::job::{EngineError, FactoryError};
use crate::node::round_file::RoundFileError;

/// Why a demo fails.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DemoError {
    /// No such engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A peer cannot be made.
    #[error(transparent)]
    ModelFactory(#[from] FactoryError),
    /// The rounds cannot be simulated.
    #[error(transparent)]
    Simulation(#[from] SimulationError),
    /// A simulated key.
    #[error("{0}; take another seed")]
    Key(#[from] KeyError),
    /// Held-out questions cannot be asked.
    #[error("held-out questions: {0}")]
    Eval(#[from] EvalError),
    /// A peer's parameters cannot be read.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// A peer failed in a round.
    #[error("peer {peer} failed: {source}")]
    Peer {
        /// Its number, from 0.
        peer: usize,
        /// Why.
        source: PeerError,
    },
    /// The thread that settles.
    #[error("the thread that settles rewards did not start: {0}; settle nowhere with --chain none")]
    Thread(#[from] std::io::Error),
    /// Somebody asked for the end before it.
    #[error("the demo was stopped before its end")]
    Stopped {
        /// The signal's number.
        signal: usize,
        /// What became of the rewards until then.
        rewards: Box<RewardReport>,
    },
    /// The threads that peers learn on.
    #[error("the worker threads did not start: {0}; take fewer with --threads")]
    Workers(#[from] rayon::ThreadPoolBuildError),
    /// The peers' processes.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// A peer's process ended by itself.
    #[error("peer {peer} ended by itself ({how}); its log is {log}", log = log.display())]
    Fallen {
        /// Its number, from 1.
        peer: usize,
        /// How.
        how: String,
        /// Its log.
        log: PathBuf,
    },
    /// What a peer decided proves nothing.
    #[error("the rounds of peer {peer}: {source}")]
    Rounds {
        /// Its number, from 1.
        peer: usize,
        /// What is wrong.
        source: RoundFileError,
    },
    /// What a peer learned cannot be read.
    #[error("what peer {peer} learned: {source}")]
    Weights {
        /// Its number, from 1.
        peer: usize,
        /// What is wrong.
        source: LoadError,
    },
    /// A folder or a file.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A demo without families.
    #[error("there is no family; name one with demo.families")]
    NoFamily,
    /// A demo without peers.
    #[error("there is no peer; set demo.peers to 2 or more")]
    NoPeer,
}
