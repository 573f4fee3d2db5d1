//! What a peer learns from: groups of completions of one prompt, each with its reward.
//!
//! All three stages of a round (answers, critiques, decisions) train the same way, so a group
//! carries its stage only for reports and for drawing. Tokens are those of the learner's own
//! tokenizer, also for text that came from elsewhere.

use swarm_round::Stage;

/// One sampled completion.
#[derive(Clone, Debug, PartialEq)]
pub struct Rollout {
    /// Tokens after the prompt, the end mark included where the completion ended by itself.
    pub tokens: Vec<u32>,
    /// Reward of the whole completion.
    pub reward: f32,
    /// Log-probability of each token under the policy that wrote it, if it was told; same length as
    /// `tokens`.
    pub behaviour_logp: Option<Vec<f32>>,
}

/// Completions of one prompt, compared with each other by GRPO.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// The stage that the prompt belongs to.
    pub stage: Stage,
    /// Prompt tokens, at least one.
    pub prompt: Vec<u32>,
    /// The completions in sampling order.
    pub rollouts: Vec<Rollout>,
}

impl Group {
    /// Rewards in the order of the completions.
    pub fn rewards(&self) -> Vec<f32> {
        self.rollouts.iter().map(|rollout| rollout.reward).collect()
    }

    /// Mean reward; 0 for a group without completions.
    pub fn mean_reward(&self) -> f32 {
        super::advantage::mean(&self.rewards())
    }

    /// Trained tokens: those of all completions.
    pub fn token_count(&self) -> usize {
        self.rollouts
            .iter()
            .map(|rollout| rollout.tokens.len())
            .sum()
    }
}
