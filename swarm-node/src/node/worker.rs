//! The thread on which the node's model works: it writes for the stages of rounds, and learns from
//! decided ones.
//!
//! ```text
//! stage(task) ─▶ ┌ stages ┐ first        ─▶ Done::Work      before its window ends
//! learn(round) ─▶│ rounds │ oldest first ─▶ Done::Learned   with a checkpoint
//!                └────────┘
//! ```
//! A window closes at its time, a lesson can wait: stages go before rounds. At most
//! [`MAX_ROUNDS`] rounds wait; when more do, the oldest is left out, and said so.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use swarm_round::clock::Round;
use swarm_round::{DecidedRound, Stage, StageTask};
use tokio::sync::mpsc;

use super::learner::{Learned, Learner};
use swarm_round::work::Work;

/// Most decided rounds that wait for being learned from.
pub const MAX_ROUNDS: usize = 32;
/// Most tasks that wait: the three stages of a round, and those of one that is running late.
const MAX_STAGES: usize = 6;

/// What the model did.
#[derive(Debug)]
pub enum Done {
    /// It wrote for a stage of a round.
    Work(Round, Work),
    /// It learned from a round.
    Learned(Box<Learned>),
    /// It did not learn from a round, because too many waited.
    Skipped(Round),
    /// It failed at a stage, or at learning.
    Failed {
        /// The round.
        round: Round,
        /// The stage; none for learning.
        stage: Option<Stage>,
        /// Why.
        reason: String,
    },
}

#[derive(Default)]
struct Queue {
    stages: VecDeque<StageTask>,
    rounds: BTreeMap<Round, Arc<DecidedRound>>,
    /// While it rests, the one round that may be learned from all the same.
    rest: Option<Option<Round>>,
    is_over: bool,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Nothing is done while the lock is held that could leave the queue half changed.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Job {
    Stage(StageTask),
    Learn(Arc<DecidedRound>),
}

/// The worker's end that the node holds. Dropped, it lets the work at hand be finished and ends.
pub struct Worker {
    shared: Arc<Shared>,
    done: mpsc::UnboundedSender<Done>,
    lessons_before: u64,
    thread: Option<thread::JoinHandle<()>>,
}

impl Worker {
    /// A thread with this learner, and where its results come out; there is at most one for each
    /// task given.
    ///
    /// # Errors
    /// The system starts no thread.
    pub fn start(
        mut learner: Box<dyn Learner>,
    ) -> io::Result<(Self, mpsc::UnboundedReceiver<Done>)> {
        let (done, results) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared::default());
        let (queue, out) = (shared.clone(), done.clone());
        let lessons_before = learner.lessons();
        let thread = thread::Builder::new().name("model".into()).spawn(move || {
            while let Some(job) = next(&queue) {
                // A node that is gone wants no results.
                let _ = out.send(work(learner.as_mut(), job));
            }
        })?;
        let worker = Self {
            shared,
            done,
            lessons_before,
            thread: Some(thread),
        };
        Ok((worker, results))
    }

    /// Wants a stage's work. Tasks of earlier rounds are of no use any more.
    pub fn stage(&self, task: StageTask) {
        let mut queue = self.shared.queue();
        queue.stages.retain(|waiting| waiting.round >= task.round);
        if queue.stages.len() < MAX_STAGES {
            queue.stages.push_back(task);
        }
        self.shared.changed.notify_one();
    }

    /// Wants a round learned from.
    pub fn learn(&self, decided: Arc<DecidedRound>) {
        let mut queue = self.shared.queue();
        queue.rounds.insert(decided.round(), decided);
        if queue.rounds.len() > MAX_ROUNDS
            && let Some((round, _)) = queue.rounds.pop_first()
        {
            let _ = self.done.send(Done::Skipped(round));
        }
        self.shared.changed.notify_one();
    }

    /// Lets rounds wait, all but the one that was begun; stages that are wanted are worked on all
    /// the same.
    pub fn rest(&self, begun: Option<Round>) {
        self.shared.queue().rest = Some(begun);
        self.shared.changed.notify_one();
    }

    /// Lets rounds wait no more.
    pub fn work(&self) {
        self.shared.queue().rest = None;
        self.shared.changed.notify_one();
    }

    /// Rounds that the model had learned from when the thread started.
    pub fn lessons_before(&self) -> u64 {
        self.lessons_before
    }

    /// How many rounds wait.
    pub fn waiting(&self) -> usize {
        self.shared.queue().rounds.len()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.shared.queue().is_over = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic of the learner was printed by its own thread.
            let _ = thread.join();
        }
    }
}

/// The next job; none when the node is gone.
fn next(shared: &Shared) -> Option<Job> {
    let mut queue = shared.queue();
    loop {
        if queue.is_over {
            return None;
        }
        if let Some(task) = queue.stages.pop_front() {
            return Some(Job::Stage(task));
        }
        let lesson = match queue.rest {
            None => queue.rounds.pop_first().map(|(_, decided)| decided),
            Some(begun) => begun.and_then(|round| queue.rounds.remove(&round)),
        };
        if let Some(decided) = lesson {
            return Some(Job::Learn(decided));
        }
        queue = shared
            .changed
            .wait(queue)
            .unwrap_or_else(PoisonError::into_inner);
    }
}

fn work(learner: &mut dyn Learner, job: Job) -> Done {
    match job {
        Job::Stage(task) => match learner.work(&task) {
            Ok(work) => Done::Work(task.round, work),
            Err(error) => Done::Failed {
                round: task.round,
                stage: Some(task.stage),
                reason: error.to_string(),
            },
        },
        Job::Learn(decided) => match learner.learn(&decided) {
            Ok(learned) => Done::Learned(Box::new(learned)),
            Err(error) => Done::Failed {
                round: decided.round(),
                stage: None,
                reason: error.to_string(),
            },
        },
    }
}
