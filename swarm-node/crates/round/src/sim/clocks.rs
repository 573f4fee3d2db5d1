//! The clocks of simulated peers: how far each is off, and how it drifts.
//!
//! ```text
//! local(t) = t + skew + ⌊(t − start) · drift / 10⁶⌋
//! ```
//! All in integers, so that a clock shows the same on every machine. A clock never runs backwards,
//! and [`global`](PeerClock::global) is the first true moment at which it shows a time: what a core
//! wants done at a local time is never done before.

use crate::clock::Millis;

/// Largest drift either way, in parts per million: a tenth of all time.
pub const MAX_DRIFT_PPM: i32 = 100_000;

const MILLION: i128 = 1_000_000;

/// The clock of one peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerClock {
    start: Millis,
    skew_ms: i64,
    drift_ppm: i32,
}

impl PeerClock {
    /// A clock that runs `skew_ms` ahead at `start` and gains `drift_ppm` microseconds in every
    /// second from then on (loses, if negative), at most [`MAX_DRIFT_PPM`].
    pub fn new(start: Millis, skew_ms: i64, drift_ppm: i32) -> Self {
        Self {
            start,
            skew_ms,
            drift_ppm: drift_ppm.clamp(-MAX_DRIFT_PPM, MAX_DRIFT_PPM),
        }
    }

    /// What the clock shows at a true time.
    pub fn local(&self, now: Millis) -> Millis {
        let elapsed = i128::from(now) - i128::from(self.start);
        let gained = (elapsed * i128::from(self.drift_ppm)).div_euclid(MILLION);
        clamped(i128::from(now) + i128::from(self.skew_ms) + gained)
    }

    /// The first true time at which the clock shows `local` or more.
    pub fn global(&self, local: Millis) -> Millis {
        let rate = MILLION + i128::from(self.drift_ppm);
        let shown = i128::from(local) - i128::from(self.start) - i128::from(self.skew_ms);
        // The smallest number of milliseconds whose product with the rate reaches it, rounded up.
        let elapsed = -(-shown * MILLION).div_euclid(rate);
        clamped(i128::from(self.start) + elapsed)
    }

    /// How far the clock is off at most when it shows or should show `at`, in milliseconds.
    pub fn deviation(&self, at: Millis) -> u64 {
        let shown = self.local(at).abs_diff(at);
        shown.max(self.global(at).abs_diff(at))
    }
}

fn clamped(time: i128) -> Millis {
    Millis::try_from(time.max(0)).unwrap_or(Millis::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_clock_is_off_by_its_skew_and_its_drift() {
        let clock = PeerClock::new(10_000, -300, 50);
        assert_eq!(clock.local(10_000), 9_700);
        // 50 ppm are 50 ms in 1000 s.
        assert_eq!(clock.local(1_010_000), 1_009_750);
        assert_eq!(PeerClock::new(0, 0, -50).local(1_000_000), 999_950);
        assert_eq!(PeerClock::new(0, -300, 0).local(100), 0);
    }

    #[test]
    fn a_skewed_clock_is_off_by_its_skew_for_ever() {
        let clock = PeerClock::new(10_000, -300, 0);
        assert!([300, 9_000, 1 << 40].map(|now| clock.deviation(now)) == [300; 3]);
        assert_eq!(PeerClock::new(0, 0, 50).deviation(1_000_000), 50);
    }

    proptest! {
        #[test]
        fn global_is_the_first_moment_that_shows_a_time(
            start in 0u64..1 << 41, skew in -5_000_000i64..5_000_000,
            drift in -MAX_DRIFT_PPM..=MAX_DRIFT_PPM, wanted in 0u64..1 << 42,
        ) {
            let clock = PeerClock::new(start, skew, drift);
            let at = clock.global(wanted);
            prop_assert!(clock.local(at) >= wanted);
            prop_assert!(at == 0 || clock.local(at - 1) < wanted);
        }

        #[test]
        fn no_clock_runs_backwards(
            start in 0u64..1 << 41, skew in -5_000_000i64..5_000_000,
            drift in -MAX_DRIFT_PPM..=MAX_DRIFT_PPM, now in 0u64..1 << 42, step in 0u64..5_000,
        ) {
            let clock = PeerClock::new(start, skew, drift);
            prop_assert!(clock.local(now) <= clock.local(now + step));
        }
    }
}
