//! A token bucket: how much may come per second, and how much at once.

use std::time::Instant;

use crate::limits::Rate;

/// What is left of an allowance. Time is an argument.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    rate: Rate,
    left: f64,
    at: Instant,
}

impl Bucket {
    pub(crate) fn new(rate: Rate, now: Instant) -> Self {
        Self {
            rate,
            left: rate.burst,
            at: now,
        }
    }

    /// Takes an amount if there is as much.
    pub(crate) fn take(&mut self, amount: f64, now: Instant) -> bool {
        self.refill(now);
        let enough = amount <= self.left;
        if enough {
            self.left -= amount;
        }
        enough
    }

    /// True if nothing was taken for so long that the bucket is full again.
    pub(crate) fn is_full(&mut self, now: Instant) -> bool {
        self.refill(now);
        self.left >= self.rate.burst
    }

    fn refill(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.at).as_secs_f64();
        self.left = (self.left + elapsed * self.rate.per_second).min(self.rate.burst);
        self.at = self.at.max(now);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_burst_passes_and_then_only_the_rate() {
        let (rate, start) = (
            Rate {
                per_second: 2.0,
                burst: 5.0,
            },
            Instant::now(),
        );
        let mut bucket = Bucket::new(rate, start);
        assert_eq!((0..9).filter(|_| bucket.take(1.0, start)).count(), 5);
        let later = start + Duration::from_secs(1);
        assert_eq!((0..9).filter(|_| bucket.take(1.0, later)).count(), 2);
        assert!(!bucket.is_full(later));
        assert!(bucket.is_full(later + Duration::from_secs(3)));
        // Time that goes backwards gives nothing.
        assert!(bucket.take(5.0, start));
        assert!(!bucket.take(1.0, start));
    }
}
