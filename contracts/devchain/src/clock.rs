//! Time of the dev chain: the wall clock with an offset, or a time that stands still until it is
//! set again.
//!
//! ```text
//!            set(t)                         advance(d)
//! Running ───────────▶ Standing at t    Running: offset + d, Standing: t + d
//!    └── pin(t): runs on from t, and the next block has exactly t
//! ```
//! Nothing here reads a clock: the wall time is an argument. Block times never fall; several blocks
//! may share a second, as on Arbitrum, so that ten transactions at a standing time are all mined at
//! that time.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Latest time that can be set, in Unix seconds (year 9999): sums of times and delays stay far from
/// overflow.
pub const MAX_TIME: u64 = 253_402_300_799;

/// What time it is on a chain, in Unix seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    pace: Pace,
    /// Time of the next block, set for that one block.
    pinned: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Pace {
    /// Seconds ahead of the wall clock, negative if behind.
    Running(i64),
    /// Does not move by itself.
    Standing(u64),
}

/// Why a time was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TimeError {
    /// Block times never fall.
    #[error("time {wanted} is before the latest block at {latest}: set {latest} or later")]
    Backwards {
        /// The time asked for.
        wanted: u64,
        /// The time of the latest block.
        latest: u64,
    },
    /// Beyond [`MAX_TIME`].
    #[error("time {0} is beyond {MAX_TIME}: give Unix seconds, not milliseconds")]
    TooLate(u64),
}

impl Clock {
    /// The wall clock.
    pub fn running() -> Self {
        Self {
            pace: Pace::Running(0),
            pinned: None,
        }
    }

    /// A time that stands still at `time`.
    pub const fn standing(time: u64) -> Self {
        Self {
            pace: Pace::Standing(time),
            pinned: None,
        }
    }

    /// The time, given that of the wall clock.
    pub fn now(&self, wall: u64) -> u64 {
        match self.pace {
            Pace::Running(offset) => wall.saturating_add_signed(offset),
            Pace::Standing(time) => time,
        }
    }

    /// Time of the next block after one of time `latest`.
    pub fn next_block(&self, wall: u64, latest: u64) -> u64 {
        self.pinned.unwrap_or_else(|| self.now(wall)).max(latest)
    }

    /// The clock after a block was mined: a pinned time was for that block alone.
    pub fn mined(self) -> Self {
        Self {
            pinned: None,
            ..self
        }
    }

    /// Stands still at `time`.
    ///
    /// # Errors
    /// [`TimeError`] if `time` is before the latest block or absurd.
    pub fn set(self, time: u64, latest: u64) -> Result<Self, TimeError> {
        check(time, latest)?;
        Ok(Self::standing(time))
    }

    /// Goes on from `time` as before (running or standing); the next block has exactly `time`.
    ///
    /// # Errors
    /// [`TimeError`] if `time` is before the latest block or absurd.
    pub fn pin(self, time: u64, wall: u64, latest: u64) -> Result<Self, TimeError> {
        check(time, latest)?;
        Ok(Self {
            pace: self.pace.at(time, wall),
            pinned: Some(time),
        })
    }

    /// Moves ahead by seconds, from the latest block if that is later; a pinned time is forgotten.
    ///
    /// # Errors
    /// [`TimeError::TooLate`].
    pub fn advance(self, seconds: u64, wall: u64, latest: u64) -> Result<Self, TimeError> {
        let time = self.now(wall).max(latest).saturating_add(seconds);
        check(time, latest)?;
        Ok(Self {
            pace: self.pace.at(time, wall),
            pinned: None,
        })
    }
}

impl Pace {
    /// The same kind of time, such that it is `time` at wall time `wall`.
    #[expect(
        clippy::expect_used,
        reason = "seconds of a clock have less than 64 bits"
    )]
    fn at(self, time: u64, wall: u64) -> Self {
        match self {
            // Checked to be at most `MAX_TIME`; a system counts signed seconds.
            Self::Running(_) => Self::Running(
                time.checked_signed_diff(wall)
                    .expect("invariant: both times are below 2^63"),
            ),
            Self::Standing(_) => Self::Standing(time),
        }
    }
}

fn check(time: u64, latest: u64) -> Result<(), TimeError> {
    if time > MAX_TIME {
        return Err(TimeError::TooLate(time));
    }
    if time < latest {
        return Err(TimeError::Backwards {
            wanted: time,
            latest,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn standing_time_moves_only_when_told() {
        let clock = Clock::standing(1_000);
        assert_eq!((clock.now(5), clock.now(9_999)), (1_000, 1_000));
        let later = clock.advance(60, 7, 0).unwrap();
        assert_eq!(later.now(123), 1_060);
        assert_eq!(
            later.set(1_059, 1_060),
            Err(TimeError::Backwards {
                wanted: 1_059,
                latest: 1_060
            })
        );
    }

    #[test]
    fn running_time_keeps_its_offset() {
        let clock = Clock::running().advance(100, 1_000, 0).unwrap();
        assert_eq!((clock.now(1_000), clock.now(1_010)), (1_100, 1_110));
        let pinned = clock.pin(5_000, 1_010, 1_100).unwrap();
        assert_eq!(
            (
                pinned.next_block(1_020, 1_100),
                pinned.mined().next_block(1_020, 5_000)
            ),
            (5_000, 5_010)
        );
    }

    #[test]
    fn milliseconds_are_refused() {
        assert_eq!(
            Clock::running().set(1_700_000_000_000, 0),
            Err(TimeError::TooLate(1_700_000_000_000))
        );
    }

    proptest! {
        #[test]
        fn block_times_never_fall(wall in 0..=u64::MAX / 2, latest in 0..MAX_TIME, seconds: u64, time: u64) {
            let start = Clock::running();
            let advanced = start.advance(seconds, wall, latest).unwrap_or(start);
            let pinned = advanced.pin(time, wall, latest).unwrap_or(advanced);
            prop_assert!(pinned.next_block(wall, latest) >= latest);
        }
    }
}
