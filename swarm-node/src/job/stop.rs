//! A request that long work ends early, with what it has done so far saved.
//!
//! Whoever starts the work makes a [`Stop`] and hands clones of it down; a loop looks at it between
//! two steps. What the request comes from (a signal, a test) is not known here.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// How often something that waits looks at the request.
pub const STOP_POLL: Duration = Duration::from_millis(50);

/// A request to end early. All clones are the same request; it is never taken back.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicUsize>);

impl Stop {
    /// True once somebody has asked.
    pub fn is_requested(&self) -> bool {
        self.0.load(Ordering::Relaxed) != 0
    }

    /// The number that the request was made with: a signal's. `None` while there is no request.
    pub fn signal(&self) -> Option<usize> {
        Some(self.0.load(Ordering::Relaxed)).filter(|signal| *signal != 0)
    }

    /// Asks for the end, as a signal with this number would.
    pub fn request(&self, signal: i32) {
        let signal = usize::try_from(signal).unwrap_or(1);
        self.0.store(signal, Ordering::Relaxed);
    }

    /// Where a signal handler writes its signal's number; 0 is no request.
    pub fn cell(&self) -> &Arc<AtomicUsize> {
        &self.0
    }

    /// Waits for the request.
    pub async fn requested(&self) {
        while !self.is_requested() {
            tokio::time::sleep(STOP_POLL).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_are_one_request() {
        let stop = Stop::default();
        let clone = stop.clone();
        assert_eq!((clone.is_requested(), clone.signal()), (false, None));
        stop.cell().store(15, Ordering::Relaxed);
        assert_eq!((clone.is_requested(), clone.signal()), (true, Some(15)));
    }
}
