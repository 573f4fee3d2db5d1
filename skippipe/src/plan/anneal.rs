//! Simulated annealing, in whole numbers: the same on every machine.
//!
//! A change that makes a plan dearer by Δ is kept if Δ ≤ T · e, where T falls from a thousandth of
//! the plan's time to zero and e is drawn from an exponential distribution: `−log₂ u` of a random
//! word u, by its leading zeros and, between powers of two, a straight line. That is Metropolis's
//! rule but for the straight lines, which are off by at most 0.09 of T.

use reproducible_ops::random::Stream;

use super::draft::Draft;
use super::moves::{Mover, Undo};
use super::request::{PlanError, Request};
use crate::sim::{Ended, Simulator};
use crate::topology::Network;

/// What a draft is judged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Cost {
    /// The time of the step.
    pub(super) time: u64,
    /// When microbatches come back: the fourth root of the mean of fourth powers.
    spread: u64,
}

impl Cost {
    /// What a search minimises. Most changes leave the last microbatch where it is; how late the
    /// others are, the later the more it counts, shows which way leads on.
    pub(super) fn sum(self) -> u64 {
        self.time + 8 * self.spread
    }
}

/// A draft in the hands of a search.
#[derive(Clone)]
pub(super) struct Search<'a> {
    network: &'a Network,
    simulator: Simulator,
    pub(super) best: Draft,
    pub(super) cost: Cost,
}

impl<'a> Search<'a> {
    /// Begins with a draft.
    ///
    /// # Errors
    /// It deadlocks.
    pub(super) fn new(draft: Draft, network: &'a Network) -> Result<Self, PlanError> {
        let mut simulator = Simulator::new();
        crate::sim::check(network, &draft.schedule)?;
        let ended = simulator.run_until(network, &draft.schedule, u64::MAX)?;
        let Ended::At(time) = ended else {
            unreachable!("invariant: no moment is after the last one");
        };
        let cost = cost(&simulator, time, draft.schedule.len());
        Ok(Self {
            network,
            simulator,
            best: draft,
            cost,
        })
    }

    /// Tries so many changes, from the best draft known; the best of all that were seen is kept.
    ///
    /// # Errors
    /// A draft deadlocks, which ascending stages rule out.
    pub(super) fn anneal(
        &mut self,
        movable: Vec<u32>,
        request: &Request,
        chain: u32,
        evaluations: u32,
    ) -> Result<(), PlanError> {
        let mut draft = self.best.clone();
        let mut current = self.cost;
        let heat = self.cost.time / 1000;
        let mut undo = Undo::default();
        let random = Stream::from_seed(
            "skippipe plan",
            request.seed.wrapping_add(u64::from(chain) << 32),
        );
        let mut mover = Mover::new(self.network, random, movable);
        mover.late = self.latest(draft.schedule.len());
        for step in 0..evaluations {
            if !mover.change(&mut draft, &mut undo) {
                continue;
            }
            let left = u128::from(evaluations - step);
            let all = u128::from(evaluations);
            let temperature = (u128::from(heat) * left * left / (all * all)) as u64;
            let limit = current.sum() + excess(temperature, mover.word());
            let ended = self
                .simulator
                .run_until(self.network, &draft.schedule, limit)?;
            let found = match ended {
                Ended::At(time) => cost(&self.simulator, time, draft.schedule.len()),
                Ended::Later => {
                    undo.apply(&mut draft);
                    continue;
                }
            };
            if found.sum() > limit {
                undo.apply(&mut draft);
                continue;
            }
            current = found;
            mover.late = self.latest(draft.schedule.len());
            if current < self.cost {
                self.cost = current;
                self.best.clone_from(&draft);
            }
        }
        Ok(())
    }

    /// The microbatch that came back last.
    #[expect(
        clippy::expect_used,
        reason = "a draft has a microbatch at each source"
    )]
    fn latest(&self, microbatches: usize) -> usize {
        let last = (0..microbatches).max_by_key(|index| self.simulator.done(*index));
        last.expect("invariant: a draft has microbatches")
    }
}

fn cost(simulator: &Simulator, time: u64, microbatches: usize) -> Cost {
    // Shares of the step's time in 1/2²⁴: their fourth powers have 96 bits, and there are at most
    // 2²⁴.
    let all = u128::from(time.max(1));
    let fourth_powers = (0..microbatches).map(|index| {
        let share = (u128::from(simulator.done(index)) << 24) / all;
        (share * share) * (share * share)
    });
    let mean = fourth_powers.sum::<u128>() / microbatches.max(1) as u128;
    let spread = ((mean.isqrt().isqrt() * all) >> 24) as u64;
    Cost { time, spread }
}

/// `temperature · −log₂(word / 2³²)`, with a straight line between powers of two.
pub(super) fn excess(temperature: u64, word: u32) -> u64 {
    let word = word.max(1);
    let zeros = u64::from(word.leading_zeros());
    // Between 1 (just below 2ᵏ⁺¹) and 0 (2ᵏ), in 1/2³¹: how far it is to the next power of two.
    let fraction = u64::from(!(word << zeros) & 0x7fff_ffff);
    let scaled = u128::from(temperature) * u128::from((zeros << 31) + fraction);
    (scaled >> 31) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excess_is_the_binary_logarithm_at_powers_of_two_and_near_it_between() {
        for power in 0..32 {
            let word = 1_u32 << (31 - power);
            assert!(
                excess(1000, word).abs_diff((power + 1) * 1000) <= 1,
                "{power}"
            );
        }
        for word in [3_u32 << 29, 0xffff_ffff, 5 << 20, 12345] {
            let exact = 1000.0 * (32.0 - f64::from(word).log2());
            assert!((excess(1000, word) as f64 - exact).abs() < 90.0);
        }
    }
}
