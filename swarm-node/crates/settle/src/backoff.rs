//! Exponential backoff: how long to wait after a transaction was refused.
//!
//! A try that the chain took stays in progress: should a reorganisation take it back, the writer
//! brings it in again.

/// Wait after the first refusal, in milliseconds.
const FIRST_WAIT_MS: u64 = 2_000;
/// Longest wait between two tries, in milliseconds.
const LONGEST_WAIT_MS: u64 = 60_000;

/// Tries of one transaction of one epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backoff {
    /// Tries begun; the number of the try in progress.
    pub tries: u32,
    /// A try is with the writer, which does not let go of it before it is refused.
    busy: bool,
    /// No try before this time of the node's own clock.
    not_before_ms: u64,
}

impl Backoff {
    /// Begins a try if none is in progress and the wait is over.
    pub fn begin(&mut self, now_ms: u64) -> bool {
        let free = !self.busy && now_ms >= self.not_before_ms;
        if free {
            self.busy = true;
            self.tries = self.tries.saturating_add(1);
        }
        free
    }

    /// The try has had its effect: another may begin at once.
    pub fn release(&mut self) {
        self.busy = false;
    }

    /// The try was refused: wait, longer each time.
    pub fn refused(&mut self, now_ms: u64) {
        let doublings = self.tries.saturating_sub(1).min(16);
        self.busy = false;
        self.not_before_ms = now_ms.saturating_add(LONGEST_WAIT_MS.min(FIRST_WAIT_MS << doublings));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_try_at_a_time_with_growing_waits() {
        let mut backoff = Backoff::default();
        assert!(backoff.begin(0) && !backoff.begin(1_000_000));
        backoff.refused(10);
        assert!(!backoff.begin(2_009) && backoff.begin(2_010));
        backoff.refused(3_000);
        assert!(!backoff.begin(6_999) && backoff.begin(7_000));
        for _ in 0..100 {
            backoff.refused(0);
            assert!(backoff.begin(LONGEST_WAIT_MS));
        }
        assert_eq!(backoff.tries, 103);
    }
}
