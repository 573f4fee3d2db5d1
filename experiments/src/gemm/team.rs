//! Threads that wait for work by spinning, so that waking them costs no more than the measured
//! products allow.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// A fixed number of threads, the caller's among them, that run parts of one task at a time.
pub struct Team {
    threads: usize,
    /// The task in progress. Its lifetime is erased; [`Team::run`] keeps it alive until all parts
    /// are done.
    task: Mutex<Option<Task>>,
    /// Counts tasks; workers start when it grows.
    round: AtomicUsize,
    /// Workers that finished the task.
    done: AtomicUsize,
}

/// A task that the workers call with their part.
#[derive(Clone, Copy)]
struct Task(&'static (dyn Fn(usize) + Sync));

/// The round that ends the workers.
const END: usize = usize::MAX;

/// Runs `body` with a team of `threads` threads.
pub fn with<T>(threads: usize, body: impl FnOnce(&Team) -> T) -> T {
    let team = Team {
        threads,
        task: Mutex::new(None),
        round: AtomicUsize::new(0),
        done: AtomicUsize::new(0),
    };
    std::thread::scope(|scope| {
        for part in 1..threads {
            let team = &team;
            scope.spawn(move || team.work(part));
        }
        let _end = End(&team);
        body(&team)
    })
}

/// Ends the workers, even when the body panics.
struct End<'a>(&'a Team);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.round.store(END, Ordering::Release);
    }
}

impl Team {
    /// Number of parts of every task.
    pub const fn threads(&self) -> usize {
        self.threads
    }

    /// Calls `task` once for every part, on all threads, and returns when every part is done.
    pub fn run(&self, task: &(dyn Fn(usize) + Sync)) {
        // SAFETY: workers use the reference only between the two steps below, while `task` is
        // borrowed.
        let task = Task(unsafe {
            std::mem::transmute::<&(dyn Fn(usize) + Sync), &'static (dyn Fn(usize) + Sync)>(task)
        });
        *self.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
        self.done.store(0, Ordering::Relaxed);
        self.round.fetch_add(1, Ordering::Release);
        (task.0)(0);
        spin(|| self.done.load(Ordering::Acquire) + 1 >= self.threads);
    }

    fn work(&self, part: usize) {
        let mut seen = 0;
        loop {
            spin(|| self.round.load(Ordering::Acquire) != seen);
            seen = self.round.load(Ordering::Acquire);
            if seen == END {
                return;
            }
            let task = *self.task.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(Task(task)) = task {
                task(part);
            }
            self.done.fetch_add(1, Ordering::Release);
        }
    }
}

/// Waits for a condition; lets others run after a while, because the machine may have fewer free
/// cores than threads.
fn spin(ready: impl Fn() -> bool) {
    let mut turns = 0_u32;
    while !ready() {
        turns += 1;
        if turns.is_multiple_of(1 << 14) {
            std::thread::yield_now();
        } else {
            std::hint::spin_loop();
        }
    }
}
