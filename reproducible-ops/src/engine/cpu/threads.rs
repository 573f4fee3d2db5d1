//! The threads of an engine: a bounded pool that runs numbered parts of one step.

/// A pool of a fixed number of threads; one thread means the caller's own.
#[derive(Debug)]
pub(super) struct Threads {
    pool: Option<rayon::ThreadPool>,
    count: usize,
}

impl Threads {
    /// A pool of `count` threads, at least one. Where threads cannot be started, work stays on the caller's.
    pub fn new(count: usize) -> Self {
        let pool = (count > 1).then(|| rayon::ThreadPoolBuilder::new().num_threads(count).build().ok()).flatten();
        let count = pool.as_ref().map_or(1, rayon::ThreadPool::current_num_threads);
        Self { pool, count }
    }

    pub fn count(&self) -> usize {
        self.count
    }

    /// Runs `work` inside the pool, so that its parts need no further hand-over.
    pub fn install(&self, work: impl FnOnce() + Send) {
        match &self.pool {
            Some(pool) => pool.install(work),
            None => work(),
        }
    }

    /// Calls `task` once for each part number below `parts`, and returns when all calls have.
    pub fn for_each(&self, parts: usize, task: &(dyn Fn(usize) + Sync)) {
        halve(0, parts, task);
    }
}

fn halve(first: usize, count: usize, task: &(dyn Fn(usize) + Sync)) {
    match count {
        0 => {}
        1 => task(first),
        _ => {
            let half = count / 2;
            rayon::join(|| halve(first, half, task), || halve(first + half, count - half, task));
        }
    }
}
