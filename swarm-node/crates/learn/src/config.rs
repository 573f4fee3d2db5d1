//! The settings of learning.

use serde::Serialize;
use swarm_settings::{Kind, section};

use super::assemble::OptimizerConfig;
use super::guard::GuardConfig;
use super::peer::PeerConfig;
use super::sapo::Mix;

const UNIT: Kind = Kind::Number(0.0, 1.0);

section! {
    /// How peers learn, in `demo` and `train`.
    #[derive(Serialize)]
    pub struct LearnConfig: "learn" {
        /// Completions per question, compared with each other by GRPO.
        group: u8 = "8", Kind::Integer(2, 16);
        /// Learning rate of reinforcement learning after its warm-up.
        learning_rate: f32 = "0.0003", UNIT;
        /// Steps of linear warm-up.
        warmup: u64 = "5", Kind::Integer(0, 100_000);
        /// AdamW: decay of the mean of gradients.
        beta1: f32 = "0.9", UNIT;
        /// AdamW: decay of the mean of squared gradients.
        beta2: f32 = "0.99", UNIT;
        /// AdamW: added to the root of the second moment.
        epsilon: f32 = "0.00000001", UNIT;
        /// AdamW: decoupled decay of matrices.
        weight_decay: f32 = "0.0", UNIT;
        /// Largest norm of the whole gradient; longer ones are clipped.
        max_norm: f32 = "1.0", Kind::Number(1e-6, 1e6);
        /// Longest completion, in tokens, end mark included.
        max_new: usize = "20", Kind::Integer(1, 4096);
        /// Samples per critique and decision; 1 trains neither.
        stage_samples: u32 = "8", Kind::Integer(1, 64);
        /// Reward for foreseeing the winner, beside 1 for a right decision.
        foreseen_reward: f32 = "0.25", UNIT;
        /// Answered questions in the moving mean of rewards that guards training.
        guard_window: usize = "80", Kind::Integer(1, 100_000);
        /// Fall below the best moving mean that rolls training back.
        guard_drop: f32 = "0.1", UNIT;
        /// Tokens of a packed training row.
        row_length: usize = "128", Kind::Integer(16, 32_768);
        /// Rows of a microbatch; changes memory and the order of sums.
        rows: usize = "8", Kind::Integer(1, 1024);
    }
}

impl LearnConfig {
    /// AdamW as these settings say.
    pub fn optimizer(&self) -> OptimizerConfig {
        let Self {
            beta1,
            beta2,
            epsilon,
            weight_decay,
            max_norm,
            ..
        } = *self;
        OptimizerConfig {
            beta1,
            beta2,
            epsilon,
            weight_decay,
            max_norm,
        }
    }

    /// The guard as these settings say.
    pub fn guard(&self) -> GuardConfig {
        GuardConfig {
            window: self.guard_window,
            drop: self.guard_drop,
        }
    }

    /// A peer that trains on this mix of groups.
    pub fn peer(&self, mix: Mix) -> PeerConfig {
        PeerConfig {
            mix,
            max_new: self.max_new,
            stage_samples: self.stage_samples,
            learning_rate: self.learning_rate,
            warmup: self.warmup,
            guard: self.guard(),
            foreseen_reward: self.foreseen_reward,
        }
    }
}
