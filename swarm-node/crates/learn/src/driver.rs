//! Learning peers behind the simulator, several at a time.
//!
//! Peers are independent between stages, so the number of threads changes time and nothing else.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use rayon::iter::{IndexedParallelIterator, IntoParallelRefIterator, ParallelIterator};
use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};
use swarm_round::sim::{Driver, Job};
use swarm_round::{Answers, Critiques, DecidedRound, Decisions};

use super::peer::{LearnReport, Peer, PeerError};

/// What learning peers report from a simulation.
#[derive(Debug, Default)]
pub struct Journal {
    /// Learning reports by round, then peer.
    pub reports: BTreeMap<(u64, usize), LearnReport>,
    /// Failures in the order they were noticed; a peer that fails is silent in that stage.
    pub failures: Vec<(usize, PeerError)>,
}

/// Peers of a simulation.
pub struct Swarm {
    peers: Vec<Mutex<Peer>>,
    /// None works on the caller's thread. A pool of one thread would do the same, but a caller that
    /// is a thread of another pool would meanwhile begin other work of that pool.
    pool: Option<ThreadPool>,
    /// What happened so far.
    pub journal: Journal,
}

impl Swarm {
    /// A swarm whose peers work on up to `threads` threads.
    ///
    /// # Errors
    /// The threads do not start.
    pub fn new(peers: Vec<Peer>, threads: usize) -> Result<Self, ThreadPoolBuildError> {
        let threads = threads.min(peers.len());
        let pool = (threads > 1).then(|| ThreadPoolBuilder::new().num_threads(threads).build());
        Ok(Self {
            peers: peers.into_iter().map(Mutex::new).collect(),
            pool: pool.transpose()?,
            journal: Journal::default(),
        })
    }

    /// Number of peers.
    pub fn len(&self) -> usize {
        self.peers.len()
    }

    /// True without peers.
    pub fn is_empty(&self) -> bool {
        self.peers.is_empty()
    }

    /// Works on every peer, in parallel; results by peer.
    pub fn each<R: Send>(&self, work: impl Fn(usize, &mut Peer) -> R + Sync) -> Vec<R> {
        let all: Vec<usize> = (0..self.peers.len()).collect();
        self.parallel(&all, |&at| at, |&at, peer| work(at, peer))
    }

    /// Works on items, each with its peer, in parallel; results by item. Two items of one peer must
    /// not be in the same call.
    fn parallel<T: Sync, R: Send>(
        &self,
        items: &[T],
        peer_of: impl Fn(&T) -> usize + Sync,
        work: impl Fn(&T, &mut Peer) -> R + Sync,
    ) -> Vec<R> {
        let one = |item: &T| {
            let peer = &self.peers[peer_of(item)];
            // A peer that panicked ends the program once all threads are done.
            let mut peer = peer.lock().unwrap_or_else(PoisonError::into_inner);
            work(item, &mut peer)
        };
        match &self.pool {
            Some(pool) => pool.install(|| items.par_iter().with_max_len(1).map(one).collect()),
            None => items.iter().map(one).collect(),
        }
    }

    /// Work of one stage; a failure is noted and leaves an empty result.
    fn stage<R: Send + Default>(
        &mut self,
        jobs: &[Job],
        work: impl Fn(&mut Peer, &Job) -> Result<R, PeerError> + Sync,
    ) -> Vec<R> {
        let done = self.parallel(jobs, |job| job.peer, |job, peer| work(peer, job));
        let results = jobs.iter().zip(done);
        results
            .map(|(job, done)| self.note(job.peer, done).unwrap_or_default())
            .collect()
    }

    fn note<R>(&mut self, peer: usize, done: Result<R, PeerError>) -> Option<R> {
        match done {
            Ok(result) => Some(result),
            Err(error) => {
                self.journal.failures.push((peer, error));
                None
            }
        }
    }
}

impl Driver for Swarm {
    fn answers(&mut self, jobs: &[Job]) -> Vec<Answers> {
        self.stage(jobs, |peer, job| peer.answers(&job.task))
    }

    fn critiques(&mut self, jobs: &[Job]) -> Vec<Critiques> {
        self.stage(jobs, |peer, job| peer.critiques(&job.task))
    }

    fn decisions(&mut self, jobs: &[Job]) -> Vec<Decisions> {
        self.stage(jobs, |peer, job| peer.decisions(&job.task))
    }

    fn learn(&mut self, rounds: &[(usize, Arc<DecidedRound>)]) {
        let done = self.parallel(
            rounds,
            |(peer, _)| *peer,
            |(_, decided), peer| peer.learn(&decided.result),
        );
        for ((peer, decided), done) in rounds.iter().zip(done) {
            if let Some(report) = self.note(*peer, done) {
                self.journal
                    .reports
                    .insert((decided.round(), *peer), report);
            }
        }
    }
}
