//! An engine in a thread of its own: work is done in the order in which it is asked for.

use std::io;
use std::sync::mpsc;
use std::thread::{Builder, JoinHandle};

use tokio::sync::mpsc as outcomes;

/// The way to an engine `E`, asked for work `W`. The thread ends when it is dropped.
#[derive(Debug)]
pub struct EngineThread<E, W> {
    work: mpsc::Sender<W>,
    thread: JoinHandle<E>,
}

impl<E: Send + 'static, W: Send + 'static> EngineThread<E, W> {
    /// Starts the thread. What work comes to arrives at the receiver, which holds no more than is
    /// asked for at a time.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start<D: Send + 'static>(
        name: &str,
        mut engine: E,
        perform: impl Fn(&mut E, W) -> Option<D> + Send + 'static,
    ) -> io::Result<(Self, outcomes::UnboundedReceiver<D>)> {
        let (work, asked) = mpsc::channel::<W>();
        // Bounded by what is asked for: a member has a few tasks under way.
        let (done, receiver) = outcomes::unbounded_channel();
        let thread = Builder::new().name(name.into()).spawn(move || {
            while let Ok(work) = asked.recv() {
                if let Some(outcome) = perform(&mut engine, work)
                    && done.send(outcome).is_err()
                {
                    break;
                }
            }
            engine
        })?;
        Ok((Self { work, thread }, receiver))
    }

    /// Asks for work. False if the thread is gone.
    pub fn ask(&self, work: W) -> bool {
        self.work.send(work).is_ok()
    }

    /// Ends the thread when all that was asked for is done, and gives its engine back; none if it
    /// panicked.
    pub fn end(self) -> Option<E> {
        drop(self.work);
        self.thread.join().ok()
    }
}
