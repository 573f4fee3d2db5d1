//! How a peer learns.

use serde::{Deserialize, Serialize};

use crate::guard::GuardConfig;
use crate::sapo::Mix;

/// How a peer learns.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PeerConfig {
    /// Own and external groups per update.
    pub mix: Mix,
    /// Longest completion in tokens, the end mark included.
    pub max_new: usize,
    /// Samples per critique and decision; the first one is published, all are trained on. 1 trains
    /// neither.
    pub stage_samples: u32,
    /// Learning rate.
    pub learning_rate: f32,
    /// Steps of warm-up.
    pub warmup: u64,
    /// When to roll back.
    pub guard: GuardConfig,
    /// Reward for foreseeing the winner, beside 1 for a right decision.
    pub foreseen_reward: f32,
}

impl Default for PeerConfig {
    fn default() -> Self {
        Self {
            mix: Mix::default(),
            max_new: 20,
            stage_samples: 8,
            learning_rate: 3e-4,
            warmup: 5,
            guard: GuardConfig::default(),
            foreseen_reward: 0.25,
        }
    }
}
