//! The loss of group-relative policy optimisation, appended to a forward program.
//!
//! ```text
//! ratio = exp(logp − old_logp)
//! d     = reference_logp − logp
//! term  = −ρ · min(ratio · A, clip(ratio, 1 − low, 1 + high) · A)  +  κ · (exp(d) − d − 1)
//! loss  = Σ loss_weight · term / token_count
//! ```
//! A is the advantage; ρ = min(exp(old_logp − behaviour_logp), cap) the optional truncated
//! importance correction for text that another policy wrote; the last term the optional penalty of
//! Schulman's k3 estimate of the Kullback-Leibler divergence to a reference policy. Means are over
//! tokens, not over completions (DAPO, section 3.3), with its asymmetric clipping (section 3.1).
//!
//! Losses and gradients are those of TRL 1.16 with `loss_type="dapo"`,
//! `use_bias_correction_kl=False` and `vllm_importance_sampling_mode="token_truncate"`; the tests
//! compare them. TRL, too, weights the surrogate by ρ and not the divergence. Its defaults differ
//! in two places:
//!
//! * It multiplies the divergence by the ratio and differentiates the product, which makes the
//!   gradient an unbiased one of the divergence (DeepSeek-V3.2). Here the penalty is that of
//!   DeepSeekMath (equations 3 and 4), for which weights κ are published, and it does not grow with
//!   the ratio.
//! * It weights a completion by the ratio of the whole text, or by 0 above a bound. A product over
//!   many tokens of another model's text can pass any bound and the text be lost; a cap per token
//!   keeps learning from it.
//!
//! Data inputs beside those of [`super::head`]: `advantage`, `old_logp`, and where configured
//! `behaviour_logp` (a positive number, which no log-probability is, stands for the old policy's
//! own) and `reference_logp`, all f32`[B, T]`. Further outputs: `entropy`, `clip_fraction` and,
//! with a reference, `divergence`, token means like the loss.
//!
//! With one optimizer step per batch the old policy is the policy itself: after differentiation
//! `old_logp` is bound to the program's own `logp` ([`on_policy`]), which makes every ratio exactly
//! 1 and costs no second forward pass.

use reproducible_ops::program::{
    Comparison, DType, EditError, Operator, Program, TypeError, ValueId,
};
use serde::{Deserialize, Serialize};

use super::head::{Head, HeadError};

/// Constants of the loss.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GrpoConfig {
    /// How far under 1 the ratio counts.
    pub clip_low: f32,
    /// How far over 1 the ratio counts.
    pub clip_high: f32,
    /// Weight κ of the divergence to the reference policy; none for no penalty and no
    /// `reference_logp`.
    pub divergence: Option<f32>,
    /// Cap of the importance weight ρ; none for no correction and no `behaviour_logp`. At 1, text
    /// of which its writer claims too little can never weigh more than the learner's own.
    pub importance_cap: Option<f32>,
}

impl Default for GrpoConfig {
    fn default() -> Self {
        Self {
            clip_low: 0.2,
            clip_high: 0.28,
            divergence: None,
            importance_cap: Some(1.0),
        }
    }
}

/// The forward program with the loss.
///
/// # Errors
/// The program has no `logits` of shape `[rows, length, vocabulary]`.
pub fn policy_loss(forward: &Program, config: &GrpoConfig) -> Result<Program, HeadError> {
    let mut head = Head::new(forward)?;
    let old_logp = head.token_input("old_logp");
    let (surrogate, clipped) = surrogate(&mut head, old_logp, config)?;
    let corrected = match config.importance_cap {
        Some(cap) => importance(&mut head, surrogate, old_logp, cap)?,
        None => surrogate,
    };
    let gain = head.builder.neg(corrected)?;
    let mut loss = head.token_mean(gain)?;
    if let Some(weight) = config.divergence {
        loss = penalised(&mut head, loss, weight)?;
    }
    let clip_fraction = head.token_mean(clipped)?;
    let entropy = head.entropy()?;
    head.builder.output("clip_fraction", clip_fraction);
    head.builder.output("entropy", entropy);
    Ok(head.finish(loss))
}

/// Binds the old policy's log-probabilities to the program's own; to be called after
/// differentiation.
///
/// # Errors
/// The program has no `old_logp` or no `logp`.
pub fn on_policy(program: &Program) -> Result<Program, EditError> {
    let Some(logp) = program.output_named("logp") else {
        return Err(EditError::NoSuchInput {
            name: "logp".into(),
        });
    };
    program.bind("old_logp", logp)
}

/// The clipped surrogate, and 1 where clipping took effect.
fn surrogate(
    head: &mut Head,
    old_logp: ValueId,
    config: &GrpoConfig,
) -> Result<(ValueId, ValueId), TypeError> {
    let advantage = head.token_input("advantage");
    let ratio = exp_difference(head, head.logp, old_logp)?;
    let builder = &mut head.builder;
    let low = builder.full_like(1.0 - config.clip_low, ratio)?;
    let high = builder.full_like(1.0 + config.clip_high, ratio)?;
    let clipped = builder.max(ratio, low)?;
    let clipped = builder.min(clipped, high)?;
    let (free, bounded) = (
        builder.mul(ratio, advantage)?,
        builder.mul(clipped, advantage)?,
    );
    let surrogate = builder.min(free, bounded)?;
    let took_effect = builder.compare(Comparison::Less, bounded, free)?;
    let took_effect = builder.push(Operator::Cast(DType::F32), &[took_effect])?;
    Ok((surrogate, took_effect))
}

/// `exp(a − b)` where a token is trained, 1 elsewhere.
fn exp_difference(head: &mut Head, a: ValueId, b: ValueId) -> Result<ValueId, TypeError> {
    let difference = head.builder.sub(a, b)?;
    let difference = head.where_trained(difference)?;
    head.builder.exp(difference)
}

fn importance(
    head: &mut Head,
    surrogate: ValueId,
    old_logp: ValueId,
    cap: f32,
) -> Result<ValueId, TypeError> {
    let behaviour = head.token_input("behaviour_logp");
    let zero = head.builder.full_like(0.0, behaviour)?;
    let told = head
        .builder
        .compare(Comparison::LessEqual, behaviour, zero)?;
    let behaviour = head.builder.select(told, behaviour, old_logp)?;
    let weight = exp_difference(head, old_logp, behaviour)?;
    let cap = head.builder.full_like(cap, weight)?;
    let weight = head.builder.min(weight, cap)?;
    head.builder.mul(weight, surrogate)
}

/// Adds the weighted divergence to the reference policy.
fn penalised(head: &mut Head, loss: ValueId, weight: f32) -> Result<ValueId, TypeError> {
    let reference = head.token_input("reference_logp");
    let difference = head.builder.sub(reference, head.logp)?;
    let difference = head.where_trained(difference)?;
    let exp = head.builder.exp(difference)?;
    let one = head.builder.full_like(1.0, exp)?;
    let excess = head.builder.sub(exp, difference)?;
    let excess = head.builder.sub(excess, one)?;
    let divergence = head.token_mean(excess)?;
    head.builder.output("divergence", divergence);
    let weight = head.builder.full_like(weight, divergence)?;
    let penalty = head.builder.mul(weight, divergence)?;
    head.builder.add(loss, penalty)
}

#[cfg(test)]
mod tests;
