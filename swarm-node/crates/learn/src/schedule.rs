//! Learning rate by step: linear warm-up, plateau, linear decay.
//!
//! ```text
//! peak      ┌──────────┐
//!          /            \
//! 0   ____/              \__ floor · peak
//!       warm-up   …   decay
//! ```
//! Only additions, multiplications and divisions of f32, each correctly rounded: a cosine of the
//! standard library would make the learning rate, and with it the model's digest, depend on the
//! platform.

use serde::{Deserialize, Serialize};

/// The shape of the learning rate over a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// Highest learning rate.
    pub peak: f32,
    /// Steps of warm-up; the first step has rate `peak / warmup`.
    pub warmup: u64,
    /// Steps of decay at the end; 0 for none.
    pub decay: u64,
    /// Steps of the whole run; ignored without decay.
    pub total: u64,
    /// Rate after the decay, as a fraction of `peak`.
    pub floor: f32,
}

impl Schedule {
    /// Warm-up to a constant rate.
    pub fn constant(peak: f32, warmup: u64) -> Self {
        Self {
            peak,
            warmup,
            decay: 0,
            total: 0,
            floor: 1.0,
        }
    }

    /// The learning rate of a step, counted from 0.
    pub fn rate(&self, step: u64) -> f32 {
        let rising = fraction(step.saturating_add(1), self.warmup);
        let left = if self.decay == 0 {
            1.0
        } else {
            fraction(self.total.saturating_sub(step), self.decay)
        };
        let falling = self.floor + (1.0 - self.floor) * left;
        self.peak * rising * falling
    }
}

/// `part / whole`, at most 1; 1 where `whole` is 0.
fn fraction(part: u64, whole: u64) -> f32 {
    if part >= whole {
        1.0
    } else {
        part as f32 / whole as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_phases() {
        let schedule = Schedule {
            peak: 1.0,
            warmup: 4,
            decay: 10,
            total: 100,
            floor: 0.0,
        };
        let rates: Vec<f32> = [0, 3, 50, 90, 95, 99, 100, 200]
            .map(|step| schedule.rate(step))
            .to_vec();
        assert_eq!(rates, [0.25, 1.0, 1.0, 1.0, 0.5, 0.1, 0.0, 0.0]);
    }

    #[test]
    fn a_floor_and_a_constant() {
        let schedule = Schedule {
            peak: 2.0,
            warmup: 0,
            decay: 10,
            total: 10,
            floor: 0.5,
        };
        assert_eq!(
            [schedule.rate(0), schedule.rate(5), schedule.rate(10)],
            [2.0, 1.5, 1.0]
        );
        let constant = Schedule::constant(3e-4, 5);
        assert_eq!(constant.rate(0), 3e-4 / 5.0);
        assert_eq!(constant.rate(u64::MAX), 3e-4);
    }
}
