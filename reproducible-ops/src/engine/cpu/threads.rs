//! The threads of an engine: a bounded pool in which sessions execute, one at a time.
//!
//! ```text
//! session thread ──work──▶ requests ──▶ first pool thread executes: parts go to the other pool threads
//!                ◀──work── results  ◀──┘
//! ```

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use super::gemm::GemmScratch;
use super::work::Work;

/// A pool of a fixed number of threads; one thread means the caller's own.
pub(super) struct Threads {
    pool: Option<Pool>,
    /// Packing memory, one for each part of a product.
    scratch: Arc<Vec<Mutex<GemmScratch>>>,
}

/// A pool whose first thread executes what comes through a channel.
///
/// `rayon::ThreadPool::install` would do the same without a channel, but from outside the pool it
/// allocates: its queue grows by a block every few dozen calls, and a run must not allocate.
struct Pool {
    /// Dropped before the pool, which ends the first thread's loop.
    channel: Mutex<Channel>,
    _threads: rayon::ThreadPool,
}

/// The session's ends.
struct Channel {
    requests: SyncSender<Work>,
    results: Receiver<Executed>,
}

/// Work that comes back, with the panic that it ended in.
struct Executed {
    work: Work,
    panic: Option<Box<dyn Any + Send>>,
}

impl Threads {
    /// A pool of `count` threads, at least one. Where threads cannot be started, work stays on the
    /// caller's.
    pub fn new(count: usize) -> Self {
        let threads = if count > 1 {
            let builder = rayon::ThreadPoolBuilder::new().num_threads(count);
            builder.build().ok()
        } else {
            None
        };
        let count = match &threads {
            Some(threads) => threads.current_num_threads(),
            None => 1,
        };
        let scratch = (0..count).map(|_| Mutex::new(GemmScratch::new()));
        let scratch = Arc::new(scratch.collect());
        Self {
            pool: threads.map(|threads| Pool::new(threads, Arc::clone(&scratch))),
            scratch,
        }
    }

    pub fn count(&self) -> usize {
        self.scratch.len()
    }

    /// Executes a session's work in the pool, and returns when it is done. Sessions of one engine
    /// take turns.
    pub fn execute(&self, work: &mut Work) {
        let Some(pool) = &self.pool else {
            return work.execute(&self.scratch);
        };
        let executed = pool.execute(std::mem::take(work));
        *work = executed.work;
        if let Some(panic) = executed.panic {
            resume_unwind(panic);
        }
    }
}

impl Pool {
    fn new(threads: rayon::ThreadPool, scratch: Arc<Vec<Mutex<GemmScratch>>>) -> Self {
        // A thread allocates when it looks for work the first time: now, and not in the middle of a
        // run.
        threads.broadcast(|_| ());
        let (requests, taken) = sync_channel(1);
        let (done, results) = sync_channel(1);
        threads.spawn(move || serve(&taken, &done, &scratch));
        Self {
            channel: Mutex::new(Channel { requests, results }),
            _threads: threads,
        }
    }

    #[expect(
        clippy::expect_used,
        reason = "the loop ends when the pool is dropped, and catches every panic"
    )]
    fn execute(&self, work: Work) -> Executed {
        const SERVED: &str = "invariant: the first thread serves as long as its pool lives";
        // No panic leaves a channel half used: the work of a poisoned turn came back.
        let channel = self.channel.lock().unwrap_or_else(PoisonError::into_inner);
        channel.requests.send(work).expect(SERVED);
        channel.results.recv().expect(SERVED)
    }
}

/// Executes what is requested until the session's ends are dropped.
fn serve(
    requests: &Receiver<Work>,
    results: &SyncSender<Executed>,
    scratch: &[Mutex<GemmScratch>],
) {
    for mut work in requests {
        let panic = catch_unwind(AssertUnwindSafe(|| work.execute(scratch))).err();
        if results.send(Executed { work, panic }).is_err() {
            return;
        }
    }
}
