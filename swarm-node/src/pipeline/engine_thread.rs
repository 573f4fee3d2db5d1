//! The engine in a thread of its own: work is done in the order in which it is asked for.

use std::io;
use std::sync::mpsc;
use std::thread::{Builder, JoinHandle};

use skippipe::work::{Engine, Outcome, Task, Work};
use swarm_learn::pipeline::worker::StageWorker;
use tokio::sync::mpsc as outcomes;

/// What comes back.
pub type Done = (Task, Outcome);

/// The way to a stage's engine. The thread ends when it is dropped.
#[derive(Debug)]
pub struct EngineThread {
    work: mpsc::Sender<(Task, Work)>,
    thread: JoinHandle<StageWorker>,
}

impl EngineThread {
    /// Starts the thread. What work comes to arrives at the receiver, which holds no more than members
    /// ask for at a time.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(mut worker: StageWorker) -> io::Result<(Self, outcomes::UnboundedReceiver<Done>)> {
        let (work, asked) = mpsc::channel::<(Task, Work)>();
        // Bounded by what is asked for: a member has a few tasks for each slot under way.
        let (done, receiver) = outcomes::unbounded_channel();
        let thread = Builder::new().name("stage".into()).spawn(move || {
            while let Ok((task, work)) = asked.recv() {
                if let Some(outcome) = worker.perform(task, work)
                    && done.send((task, outcome)).is_err()
                {
                    break;
                }
            }
            worker
        })?;
        Ok((Self { work, thread }, receiver))
    }

    /// Asks for work. False if the thread is gone.
    pub fn ask(&self, task: Task, work: Work) -> bool {
        self.work.send((task, work)).is_ok()
    }

    /// Ends the thread when all that was asked for is done, and gives its stage back; none if it
    /// panicked.
    pub fn end(self) -> Option<StageWorker> {
        drop(self.work);
        self.thread.join().ok()
    }
}
