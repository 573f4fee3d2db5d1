//! Whole training programs from a forward program: loss, gradients, clipping and optimizer in one
//! graph.
//!
//! ```text
//! forward ─▶ loss head ─┬─▶ training_step   gradients, clipping, AdamW: one step as one program,
//!                       │                   for one microbatch
//!                       ├─▶ accumulation    gradients added to state `gradient.{param}`,
//!                       │                   for any number of microbatches
//!                       ├─▶ gradient        the same gradients apart, as outputs
//!                       └─▶ scoring         `logp` alone
//! parameters ──────────────▶ sum            gradients apart added to state `gradient.{param}`
//!                     └────▶ update         clipping and AdamW from the accumulated gradients
//! ```
//! `accumulation` once per microbatch and then `update` computes what `training_step` computes; two
//! programs serve batches of any size. `gradient` and `sum` are `accumulation` in two programs, of
//! the same bits, for whoever checks the gradient of one microbatch alone. Outputs carry the names
//! of the inputs they replace, so `Session::advance` moves to the next step.

use reproducible_ops::grad::{GradError, gradients};
use reproducible_ops::optim::{
    AdamW, GRAD_NORM, LEARNING_RATE, Optimizer, Parameter, StepError, TrainStep,
    clip_by_global_norm,
};
use reproducible_ops::program::{
    Builder, Built, DecodeError, EditError, Program, Role, TensorType, TypeError, ValueId,
};
use serde::{Deserialize, Serialize};

use super::grpo::{self, GrpoConfig};
use super::head::{self, HeadError};
use super::supervised;

/// Prefix of the names of accumulated gradients.
pub const GRADIENT: &str = "gradient.";

/// What is minimised.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Objective {
    /// Cross-entropy on given completions.
    Supervised,
    /// GRPO with the ratio starting from the policy itself: one optimizer step per batch.
    OnPolicy(GrpoConfig),
    /// GRPO against recorded log-probabilities `old_logp`: several optimizer steps per batch.
    OffPolicy(GrpoConfig),
}

/// AdamW with clipping by the global norm.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OptimizerConfig {
    /// Decay of the mean of gradients.
    pub beta1: f32,
    /// Decay of the mean of squared gradients.
    pub beta2: f32,
    /// Added to the root of the second moment.
    pub epsilon: f32,
    /// Decoupled decay of matrices, multiplied by the learning rate.
    pub weight_decay: f32,
    /// Largest norm of the whole gradient.
    pub max_norm: f32,
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        Self {
            beta1: 0.9,
            beta2: 0.99,
            epsilon: 1e-8,
            weight_decay: 0.0,
            max_norm: 1.0,
        }
    }
}

impl OptimizerConfig {
    pub(super) fn adamw(&self) -> AdamW {
        let Self {
            beta1,
            beta2,
            epsilon,
            weight_decay,
            ..
        } = *self;
        AdamW {
            beta1,
            beta2,
            epsilon,
            weight_decay,
            ..AdamW::default()
        }
    }
}

/// Why a training program cannot be assembled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AssembleError {
    /// The loss does not fit the forward program.
    #[error("loss: {0}")]
    Head(#[from] HeadError),
    /// The program cannot be differentiated.
    #[error("gradients: {0}")]
    Grad(#[from] GradError),
    /// The step cannot be assembled.
    #[error("training step: {0}")]
    Step(#[from] StepError),
    /// A value cannot be wired.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// A node cannot be appended.
    #[error(transparent)]
    Type(#[from] TypeError),
    /// Forward values cannot be computed again.
    #[error("recomputing: {0}")]
    Recompute(#[from] DecodeError),
    /// The assembled program lost something that it must have.
    #[error("the program has no output `{0}`")]
    NoOutput(&'static str),
    /// The forward program lacks an input of the expected rank.
    #[error("the forward program has no input `{0}` of shape [rows, length]")]
    NoInput(&'static str),
}

impl Objective {
    /// The forward program with this loss.
    ///
    /// # Errors
    /// The program has no usable `logits`.
    pub fn loss(&self, forward: &Program) -> Result<Program, HeadError> {
        match self {
            Self::Supervised => supervised::cross_entropy(forward),
            Self::OnPolicy(config) | Self::OffPolicy(config) => grpo::policy_loss(forward, config),
        }
    }

    /// Holds constant what the loss must not be differentiated by.
    fn close(&self, differentiated: &Program) -> Result<Program, EditError> {
        match self {
            Self::OnPolicy(_) => grpo::on_policy(differentiated),
            Self::Supervised | Self::OffPolicy(_) => Ok(differentiated.clone()),
        }
    }

    /// The constants of GRPO, where it is the objective.
    pub fn grpo(&self) -> Option<&GrpoConfig> {
        match self {
            Self::Supervised => None,
            Self::OnPolicy(config) | Self::OffPolicy(config) => Some(config),
        }
    }
}

/// Name and type of each parameter, in the program's order.
pub fn parameters(program: &Program) -> Vec<(String, TensorType)> {
    program
        .inputs_with_role(Role::Param)
        .map(|(_, input)| (input.name.clone(), input.ty.clone()))
        .collect()
}

/// The whole step for batches of one microbatch. Further outputs are those of the loss, and
/// `grad_norm`.
///
/// # Errors
/// See [`AssembleError`].
pub fn training_step(
    forward: &Program,
    objective: &Objective,
    optimizer: &OptimizerConfig,
) -> Result<Program, AssembleError> {
    let loss = objective.loss(forward)?;
    let step = TrainStep::assemble(&loss, "loss", &optimizer.adamw(), Some(optimizer.max_norm))?;
    Ok(objective.close(&step)?.prune())
}

/// Adds the gradients of one microbatch to state.
///
/// # Errors
/// See [`AssembleError`].
pub fn accumulation(forward: &Program, objective: &Objective) -> Result<Program, AssembleError> {
    with_gradients(forward, objective, |builder, name, ty, gradient| {
        let so_far = builder.input(name, ty, Role::State);
        builder.add(so_far, gradient)
    })
}

/// The gradients of one microbatch: outputs `gradient.{param}`.
///
/// # Errors
/// See [`AssembleError`].
pub fn gradient(forward: &Program, objective: &Objective) -> Result<Program, AssembleError> {
    with_gradients(forward, objective, |_, _, _, gradient| Ok(gradient))
}

/// The differentiated loss, with an output `gradient.{param}` that is made of each gradient.
fn with_gradients(
    forward: &Program,
    objective: &Objective,
    made: impl Fn(&mut Builder, &str, TensorType, ValueId) -> Built,
) -> Result<Program, AssembleError> {
    let (program, gradients) = differentiated(&objective.loss(forward)?)?;
    let mut builder = Builder::from_program(&program);
    for ((name, ty), gradient) in parameters(&program).into_iter().zip(gradients) {
        let name = format!("{GRADIENT}{name}");
        let value = made(&mut builder, &name, ty, gradient)?;
        builder.output(name, value);
    }
    Ok(objective.close(&builder.finish())?.prune())
}

/// Adds the gradients `{part}{param}` to state `gradient.{param}`.
///
/// # Errors
/// See [`AssembleError`].
pub fn sum(parameters: &[(String, TensorType)], part: &str) -> Result<Program, AssembleError> {
    let mut builder = Builder::new();
    for (name, ty) in parameters {
        let sum = format!("{GRADIENT}{name}");
        let so_far = builder.input(&sum, ty.clone(), Role::State);
        let gradient = builder.input(format!("{part}{name}"), ty.clone(), Role::Data);
        let value = builder.add(so_far, gradient)?;
        builder.output(sum, value);
    }
    Ok(builder.finish())
}

/// Clips accumulated gradients and steps the parameters of `forward`.
///
/// # Errors
/// See [`AssembleError`].
pub fn update(forward: &Program, optimizer: &OptimizerConfig) -> Result<Program, AssembleError> {
    let mut builder = Builder::new();
    let names = parameters(forward);
    let values: Vec<ValueId> = names
        .iter()
        .map(|(name, ty)| builder.input(name, ty.clone(), Role::Param))
        .collect();
    let gradients = names
        .iter()
        .map(|(name, ty)| builder.input(format!("{GRADIENT}{name}"), ty.clone(), Role::Data));
    let gradients: Vec<ValueId> = gradients.collect();
    let learning_rate = builder.input(LEARNING_RATE, TensorType::f32([0usize; 0]), Role::Data);
    let clipped = clip_by_global_norm(&mut builder, &gradients, optimizer.max_norm)?;
    let named = names.into_iter().zip(values).zip(clipped.gradients);
    let parameters: Vec<Parameter> = named
        .map(|(((name, _), value), gradient)| Parameter {
            name,
            value,
            gradient,
        })
        .collect();
    optimizer
        .adamw()
        .update(&mut builder, learning_rate, &parameters)?;
    builder.output(GRAD_NORM, clipped.norm);
    Ok(builder.finish())
}

/// Log-probabilities of given completions alone.
///
/// # Errors
/// See [`AssembleError`].
pub fn scoring(forward: &Program) -> Result<Program, AssembleError> {
    let scored = supervised::cross_entropy(forward)?;
    let (mut builder, logp) =
        head::reopen(&scored, "logp")?.ok_or(AssembleError::NoOutput("logp"))?;
    builder.output("logp", logp);
    Ok(builder.finish().prune())
}

/// The program with the gradients of its loss by every parameter.
fn differentiated(program: &Program) -> Result<(Program, Vec<ValueId>), AssembleError> {
    let loss = program
        .output_named("loss")
        .ok_or(AssembleError::NoOutput("loss"))?;
    let wrt: Vec<ValueId> = program
        .inputs_with_role(Role::Param)
        .map(|(id, _)| id)
        .collect();
    Ok(gradients(program, loss, &wrt)?)
}
