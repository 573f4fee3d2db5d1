//! The thread that writes to the node's store: what is signed, decided rounds, the journal.
//!
//! ```text
//! Decided(round) ──────▶ archive, results ┐
//! Note(records) ───────▶ journal ┴─ on disk with the next signature
//! Sign(place, digest) ─▶ sign-once table ─▶ Signed │ Refused     back to the core
//! Evidence ────────────▶ a file of its own
//! Forget(before) ──────▶ floors of the sign-once table, journal
//! ```
//! A write waits for the disk, which the node must not. Jobs are done in the order in which they
//! were given: what a signature depends on is given before it, and is on disk when it leaves. Once
//! a write has failed nothing is signed any more, and the node must end.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use swarm_identity::digest::Digest32;
use swarm_identity::{Place, Signer};
use swarm_round::agreement::RoundRecord;
use swarm_round::clock::Round;
use swarm_round::heard::Evidence;
use swarm_round::journal::Record;
use swarm_round::payload::Kind;
use swarm_round::state::Input;
use swarm_round::{DecidedRound, SwarmId};
use swarm_store::{Journal, SignOnceTable};
use tokio::sync::mpsc;

use super::archive::Archive;
use super::evidence_file;
use super::settling::Results;

/// Most jobs that wait; a round of the largest swarm asks for fewer than a hundred signatures.
const QUEUE: usize = 4096;

/// Rounds between two looks for those that are too old to be kept.
const PRUNE_EVERY: Round = 64;

/// What came of a job.
#[derive(Debug)]
pub enum Written {
    /// An answer for the core: `Signed` or `Refused`.
    Answer(Box<Input>),
    /// Something could not be written: nothing is written or signed after it.
    Failed(String),
}

enum Job {
    Keep(Arc<DecidedRound>),
    Note(Round, Vec<Record>),
    Sign(Place, Digest32),
    Evidence(Box<Evidence>),
    Forget(Round),
}

/// The thread's end that the node holds. Dropped, it lets all jobs be done and ends.
pub struct Disk {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<thread::JoinHandle<()>>,
}

/// What the thread writes with.
pub struct DiskParts {
    /// The swarm whose rounds they are.
    pub swarm: SwarmId,
    /// The key with its table.
    pub signer: Signer<SignOnceTable>,
    /// Where decided rounds are kept.
    pub archive: Archive,
    /// Where is kept what they came to.
    pub results: Results,
    /// Where the core's inputs are noted.
    pub journal: Journal,
    /// Folder of proofs that peers contradicted themselves.
    pub evidence: PathBuf,
    /// Decided rounds to keep.
    pub keep_rounds: u64,
}

impl Disk {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system starts no thread.
    pub fn start(parts: DiskParts) -> io::Result<(Self, mpsc::UnboundedReceiver<Written>)> {
        let (jobs, mut queue) = mpsc::channel(QUEUE);
        // At most one answer for each job, and jobs are bounded.
        let (out, written) = mpsc::unbounded_channel();
        let thread = thread::Builder::new().name("disk".into()).spawn(move || {
            while let Some(job) = queue.blocking_recv() {
                let written = parts.write(job);
                let has_failed = matches!(written, Some(Written::Failed(_)));
                if let Some(written) = written {
                    // A node that is gone wants no answers.
                    let _ = out.send(written);
                }
                if has_failed {
                    break;
                }
            }
        })?;
        let disk = Self {
            jobs: Some(jobs),
            thread: Some(thread),
        };
        Ok((disk, written))
    }

    /// Wants a signature.
    pub async fn sign(&self, place: Place, digest: Digest32) {
        self.give(Job::Sign(place, digest)).await;
    }

    /// Wants inputs of the core noted, in the segment of a round.
    pub async fn note(&self, segment: Round, records: Vec<Record>) {
        if !records.is_empty() {
            self.give(Job::Note(segment, records)).await;
        }
    }

    /// Wants a decided round kept.
    pub async fn keep(&self, decided: Arc<DecidedRound>) {
        self.give(Job::Keep(decided)).await;
    }

    /// Wants the proof kept that a peer contradicted itself.
    pub async fn evidence(&self, evidence: Box<Evidence>) {
        self.give(Job::Evidence(evidence)).await;
    }

    /// Nothing is signed for rounds below this one any more.
    pub async fn forget_before(&self, round: Round) {
        self.give(Job::Forget(round)).await;
    }

    async fn give(&self, job: Job) {
        if let Some(jobs) = &self.jobs {
            // The thread lives as long as this value; if it panicked, its own message says so, and
            // without signatures the node is silent.
            let _ = jobs.send(job).await;
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl DiskParts {
    fn write(&self, job: Job) -> Option<Written> {
        match job {
            Job::Sign(place, digest) => Some(Written::Answer(Box::new(self.sign(place, &digest)))),
            Job::Keep(decided) => self.keep(&decided).err().map(Written::Failed),
            Job::Note(segment, records) => self.note(segment, &records).err().map(Written::Failed),
            Job::Evidence(evidence) => {
                // The node can do without.
                if let Err(error) = evidence_file::keep(&self.evidence, &evidence) {
                    tracing::warn!(%error, "evidence is not kept");
                }
                None
            }
            Job::Forget(round) => self.forget(round).err().map(Written::Failed),
        }
    }

    fn sign(&self, place: Place, digest: &Digest32) -> Input {
        match self.signer.sign(&place, digest) {
            Ok(signature) => Input::Signed(place, signature),
            Err(error) => {
                tracing::warn!(%error, "not signed");
                Input::Refused(place)
            }
        }
    }

    fn keep(&self, decided: &DecidedRound) -> Result<(), String> {
        let record = RoundRecord::from(decided).to_bytes();
        let record = record.map_err(|error| error.to_string())?;
        let round = decided.round();
        let kept = self.archive.put(round, &record);
        let kept = kept.map_err(|error| error.to_string());
        let kept = kept.and_then(|()| self.results.put(decided));
        let kept = kept.and_then(|()| match round.is_multiple_of(PRUNE_EVERY) {
            true => self.prune(),
            false => Ok(()),
        });
        kept.map_err(|error| format!("round {round} is not kept: {error}"))
    }

    fn prune(&self) -> Result<(), String> {
        let pruned = self.archive.prune(self.keep_rounds);
        pruned.map_err(|error| error.to_string())?;
        self.results.prune(self.keep_rounds)
    }

    fn note(&self, segment: Round, records: &[Record]) -> Result<(), String> {
        let records: Result<Vec<_>, _> = records.iter().map(Record::to_bytes).collect();
        let records = records.map_err(|error| error.to_string())?;
        self.journal
            .append(segment, &records)
            .map_err(|error| format!("the journal cannot be written: {error}"))
    }

    fn forget(&self, before: Round) -> Result<(), String> {
        for kind in Kind::ALL {
            let forgotten = self.signer.forget_before(&self.swarm, kind as u8, before);
            forgotten.map_err(|error| error.to_string())?;
        }
        let forgotten = self.journal.forget_before(before);
        forgotten.map_err(|error| error.to_string())
    }
}
