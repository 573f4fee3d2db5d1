//! Group-relative advantages of GRPO (DeepSeekMath, section 4.1): how much better a completion is
//! than its siblings.
//!
//! The standard deviation is the unbiased one, over n − 1, as `torch.std` and TRL have it, with
//! TRL's ε. The population's only scales all advantages of a group by √(n / (n − 1)), 7 % for a
//! group of 8, and would be as good a definition; but published hyper-parameters of GRPO (learning
//! rates, weights of penalties) were found with the unbiased one.
//!
//! Host arithmetic with the fixed order and rounding of [`reproducible_ops::scalar`], so every peer
//! gets equal bits.

use reproducible_ops::scalar::{add, div, mul, reduce, sqrt, sub};

/// Keeps the division finite for groups whose rewards barely differ.
pub const EPSILON: f32 = 1e-4;

/// Mean of `values`; 0 for none.
pub fn mean(values: &[f32]) -> f32 {
    if values.is_empty() {
        return 0.0;
    }
    div(reduce::sum(values), values.len() as f32)
}

/// `(r − mean) / (std + ε)` with the unbiased standard deviation, for each reward of a group; 0 for
/// a group of one, which has nothing to be compared with.
pub fn advantages(rewards: &[f32]) -> Vec<f32> {
    if rewards.len() < 2 {
        return vec![0.0; rewards.len()];
    }
    let mean_reward = mean(rewards);
    let centred: Vec<f32> = rewards
        .iter()
        .map(|&reward| sub(reward, mean_reward))
        .collect();
    let squares: Vec<f32> = centred.iter().map(|&x| mul(x, x)).collect();
    let variance = div(reduce::sum(&squares), (rewards.len() - 1) as f32);
    let scale = add(sqrt(variance), EPSILON);
    centred.iter().map(|&x| div(x, scale)).collect()
}

/// True if the rewards tell completions apart. A group of equal rewards has zero advantage
/// everywhere: it costs training work and teaches nothing.
pub fn is_informative(rewards: &[f32]) -> bool {
    rewards.windows(2).any(|pair| pair[0] != pair[1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advantages_are_centred_and_scaled() {
        let found = advantages(&[1.0, 0.0, 0.0, 1.0]);
        let expected = 0.5 / ((1f32 / 3.0).sqrt() + EPSILON);
        assert_eq!(found, [expected, -expected, -expected, expected]);
        assert_eq!(mean(&found), 0.0);
    }

    #[test]
    fn one_winner_of_eight_stands_out() {
        let mut rewards = [0.0; 8];
        rewards[3] = 1.0;
        let found = advantages(&rewards);
        // Centred 7/8 and −1/8; the unbiased variance is (49 + 7) / 64 / 7 = 1/8.
        assert!((found[3] - 7.0 / 8f32.sqrt()).abs() < 1e-3, "{}", found[3]);
        assert!(
            found
                .iter()
                .enumerate()
                .all(|(at, &x)| at == 3 || (x + 1.0 / 8f32.sqrt()).abs() < 1e-3)
        );
    }

    #[test]
    fn equal_rewards_teach_nothing() {
        assert!(
            !is_informative(&[0.3; 8]) && !is_informative(&[]) && is_informative(&[0.0, 0.0, 0.1])
        );
        assert!(advantages(&[0.25; 8]).iter().all(|&x| x == 0.0));
        assert!(advantages(&[]).is_empty() && advantages(&[0.7]) == [0.0]);
        assert_eq!(mean(&[]), 0.0);
    }
}
