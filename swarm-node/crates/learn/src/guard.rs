//! Watches the reward, because a policy can collapse without losing entropy.
//!
//! ```text
//! rewards of questions ──▶ mean of the last `window`
//!     ├─ best so far ────────────▶ Best      keep a copy of the state
//!     ├─ `drop` under the best ──▶ RollBack  return to that copy
//!     └─ else ───────────────────▶ Continue
//! ```
//! The window counts questions, not rounds: the mean of a few questions is mostly noise, and a
//! round may have few.
//!
//! Invariant: [`Verdict::RollBack`] comes only after a [`Verdict::Best`], so there is a state to
//! return to.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::advantage::mean;

/// When to distrust the training.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GuardConfig {
    /// Questions in the moving mean; at least those of one round.
    pub window: usize,
    /// Fall below the best moving mean, in reward, that ends trust.
    pub drop: f32,
}

impl Default for GuardConfig {
    fn default() -> Self {
        Self {
            window: 80,
            drop: 0.10,
        }
    }
}

/// What to do after a round.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    /// Carry on.
    Continue,
    /// The moving mean is the best so far: keep a copy of the state.
    Best,
    /// The moving mean fell too far: stop, or return to the state that was kept.
    RollBack {
        /// The best moving mean.
        best: f32,
        /// The moving mean seen.
        seen: f32,
    },
}

/// Moving mean of the reward and the best it has been.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Guard {
    config: GuardConfig,
    recent: VecDeque<f32>,
    best: Option<f32>,
}

impl Guard {
    /// A guard that has seen nothing. A window of 0 counts as 1.
    pub fn new(config: GuardConfig) -> Self {
        Self {
            config,
            recent: VecDeque::new(),
            best: None,
        }
    }

    /// Takes the mean rewards of the questions of a round; none change nothing.
    pub fn observe(&mut self, rewards: &[f32]) -> Verdict {
        if rewards.is_empty() {
            return Verdict::Continue;
        }
        self.recent.extend(rewards);
        let surplus = self
            .recent
            .len()
            .saturating_sub(self.config.window.max(rewards.len()));
        self.recent.drain(..surplus);
        match self.moving_mean() {
            Some(seen) => self.judge(seen),
            None => Verdict::Continue,
        }
    }

    fn judge(&mut self, seen: f32) -> Verdict {
        match self.best {
            Some(best) if best - seen >= self.config.drop => self.roll_back(best, seen),
            Some(best) if seen <= best => Verdict::Continue,
            _ => {
                self.best = Some(seen);
                Verdict::Best
            }
        }
    }

    /// The old rewards belong to the state that is given up.
    fn roll_back(&mut self, best: f32, seen: f32) -> Verdict {
        self.recent.clear();
        Verdict::RollBack { best, seen }
    }

    /// Whether there has been a [`Verdict::Best`], so that a state to return to must be kept.
    pub fn has_best(&self) -> bool {
        self.best.is_some()
    }

    /// The mean over a full window.
    pub fn moving_mean(&self) -> Option<f32> {
        let full = self.recent.len() >= self.config.window.max(1);
        full.then(|| mean(&self.recent.iter().copied().collect::<Vec<_>>()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(rewards: &[f32]) -> Vec<Verdict> {
        let mut guard = Guard::new(GuardConfig {
            window: 2,
            drop: 0.10,
        });
        rewards
            .iter()
            .map(|&reward| guard.observe(&[reward]))
            .collect()
    }

    #[test]
    fn growth_is_best_and_a_dip_is_tolerated() {
        let verdicts = run(&[0.25, 0.25, 0.5, 0.4375, 0.5]);
        assert_eq!(
            verdicts[..4],
            [
                Verdict::Continue,
                Verdict::Best,
                Verdict::Best,
                Verdict::Best
            ]
        );
        assert_eq!(
            run(&[0.5, 0.5, 0.45, 0.45])[2..],
            [Verdict::Continue, Verdict::Continue]
        );
    }

    #[test]
    fn collapse_rolls_back_once_and_starts_a_new_window() {
        let verdicts = run(&[0.5, 0.5, 0.25, 0.4375, 0.5]);
        assert_eq!(
            verdicts[2],
            Verdict::RollBack {
                best: 0.5,
                seen: 0.375
            }
        );
        assert_eq!(verdicts[3..], [Verdict::Continue, Verdict::Continue]);
    }

    #[test]
    fn it_resumes_from_its_saved_form() {
        let mut guard = Guard::new(GuardConfig {
            window: 5,
            drop: 0.10,
        });
        for round in 0..7 {
            guard.observe(&[round as f32 * 0.05]);
        }
        let text = serde_json::to_string(&guard).unwrap();
        let mut again: Guard = serde_json::from_str(&text).unwrap();
        assert_eq!(again, guard);
        assert_eq!(again.observe(&[-9.0]), guard.observe(&[-9.0]));
    }

    #[test]
    fn a_window_is_a_number_of_questions_however_rounds_divide_them() {
        let mut guard = Guard::new(GuardConfig {
            window: 4,
            drop: 0.10,
        });
        assert_eq!(guard.observe(&[1.0, 0.0, 1.0]), Verdict::Continue);
        assert_eq!(guard.observe(&[]), Verdict::Continue);
        assert_eq!(guard.observe(&[0.0]), Verdict::Best);
        assert_eq!(guard.moving_mean(), Some(0.5));
        // A round of more questions than the window counts as a whole.
        guard.observe(&[1.0, 1.0, 0.75, 0.5, 0.5, 0.75]);
        assert_eq!(guard.moving_mean(), Some(0.75));
        assert_eq!(
            guard.observe(&[0.0; 2]),
            Verdict::RollBack {
                best: 0.75,
                seen: 0.3125
            }
        );
    }
}
