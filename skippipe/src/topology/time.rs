//! Durations and moments in whole microseconds: sums of them are the same on every machine.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};

use serde::{Deserialize, Serialize};

/// A duration, or a moment after the start of a step, in microseconds.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Default,
)]
#[serde(transparent)]
pub struct Micros(pub u64);

impl Micros {
    /// No time.
    pub const ZERO: Self = Self(0);

    /// For display and tables.
    pub fn as_seconds(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// The nearest whole microsecond; none for a negative number, one that is not finite, or one of
    /// 2⁵³ microseconds (285 years) and more.
    ///
    /// ```
    /// use skippipe::topology::Micros;
    /// assert_eq!(Micros::from_seconds(0.44), Some(Micros(440_000)));
    /// assert_eq!(Micros::from_seconds(-1.0), None);
    /// ```
    pub fn from_seconds(seconds: f64) -> Option<Self> {
        let micros = (seconds * 1e6).round();
        (0.0..9_007_199_254_740_992.0)
            .contains(&micros)
            .then_some(Self(micros as u64))
    }
}

impl Add for Micros {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl AddAssign for Micros {
    fn add_assign(&mut self, other: Self) {
        self.0 += other.0;
    }
}

impl Sub for Micros {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} s", self.as_seconds())
    }
}
