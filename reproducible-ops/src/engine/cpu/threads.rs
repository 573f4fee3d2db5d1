//! The threads of an engine: a bounded pool in which sessions execute, one at a time.
//!
//! ```text
//! session thread                     desk                       first pool thread
//!   exchange ──work──▶ Empty ─▶ Given(work) ─▶ Taken ◀──take──── serve
//!            ◀──work── Empty ◀─ Done(work)  ◀──────────────────── execute: parts go to the other pool threads
//! ```
//!
//! The first pool thread serves the desk for the life of the engine, so that a run starts inside
//! the pool: handing a closure to the pool from outside would allocate every few dozen runs.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::gemm::GemmScratch;
use super::work::Work;

/// A pool of a fixed number of threads; one thread means the caller's own.
pub(super) struct Threads {
    pool: Option<rayon::ThreadPool>,
    count: usize,
    desk: Arc<Desk>,
}

/// Where a session's work waits for the pool, and comes back.
struct Desk {
    slot: Mutex<Slot>,
    changed: Condvar,
    /// Packing memory, one for each part of a product.
    scratch: Vec<Mutex<GemmScratch>>,
}

enum Slot {
    Empty,
    Given(Work),
    Taken,
    Done(Work, Option<Panic>),
    Closed,
}

type Panic = Box<dyn Any + Send>;

impl Threads {
    /// A pool of `count` threads, at least one. Where threads cannot be started, work stays on the
    /// caller's.
    pub fn new(count: usize) -> Self {
        let pool = (count > 1)
            .then(|| {
                rayon::ThreadPoolBuilder::new()
                    .num_threads(count)
                    .build()
                    .ok()
            })
            .flatten();
        let count = pool
            .as_ref()
            .map_or(1, rayon::ThreadPool::current_num_threads);
        let scratch = (0..count).map(|_| Mutex::new(GemmScratch::new())).collect();
        let desk = Arc::new(Desk {
            slot: Mutex::new(Slot::Empty),
            changed: Condvar::new(),
            scratch,
        });
        if let Some(pool) = &pool {
            let desk = Arc::clone(&desk);
            pool.spawn(move || desk.serve());
        }
        Self { pool, count, desk }
    }

    pub fn count(&self) -> usize {
        self.count
    }

    /// Executes a session's work in the pool, and returns when it is done. Sessions of one engine
    /// take turns.
    pub fn execute(&self, work: &mut Work) {
        match &self.pool {
            Some(_) => self.desk.exchange(work),
            None => work.execute(&self.desk.scratch),
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.desk.set(self.desk.lock(), Slot::Closed);
    }
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&'a self, guard: MutexGuard<'a, Slot>) -> MutexGuard<'a, Slot> {
        self.changed
            .wait(guard)
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, mut guard: MutexGuard<'_, Slot>, slot: Slot) {
        *guard = slot;
        drop(guard);
        self.changed.notify_all();
    }

    /// Gives work to the pool and takes it back when it is done.
    fn exchange(&self, work: &mut Work) {
        let mut slot = self.lock();
        while !matches!(*slot, Slot::Empty) {
            slot = self.wait(slot);
        }
        self.set(slot, Slot::Given(std::mem::take(work)));
        let mut slot = self.lock();
        loop {
            match std::mem::replace(&mut *slot, Slot::Empty) {
                Slot::Done(done, panic) => {
                    *work = done;
                    self.set(slot, Slot::Empty);
                    return panic.map_or((), |panic| resume_unwind(panic));
                }
                other => *slot = other,
            }
            slot = self.wait(slot);
        }
    }

    /// Executes what is given until the desk closes. A panic goes back to the session that gave the
    /// work.
    fn serve(&self) {
        let mut slot = self.lock();
        loop {
            match std::mem::replace(&mut *slot, Slot::Taken) {
                Slot::Closed => return,
                Slot::Given(mut work) => {
                    drop(slot);
                    let panic =
                        catch_unwind(AssertUnwindSafe(|| work.execute(&self.scratch))).err();
                    self.set(self.lock(), Slot::Done(work, panic));
                    slot = self.lock();
                }
                other => {
                    *slot = other;
                    slot = self.wait(slot);
                }
            }
        }
    }
}

/// Calls `task` once for each part number below `parts`, on any threads of the pool, and returns
/// when all calls have.
pub(super) fn for_each(parts: usize, task: &(dyn Fn(usize) + Sync)) {
    halve(0, parts, task);
}

fn halve(first: usize, count: usize, task: &(dyn Fn(usize) + Sync)) {
    match count {
        0 => {}
        1 => task(first),
        _ => {
            let half = count / 2;
            rayon::join(
                || halve(first, half, task),
                || halve(first + half, count - half, task),
            );
        }
    }
}
