//! AdamW: Adam with decoupled weight decay (Loshchilov & Hutter, arXiv:1711.05101, algorithm 2).

use crate::program::{Builder, Built, Role, Shape, TensorType, TypeError, ValueId};

use super::state::{BETA1_POWER, BETA2_POWER};
use super::step::{Optimizer, Parameter};

/// Which parameters decay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Decay {
    /// Parameters with two or more axes: weights and embeddings, but neither biases nor the gains
    /// of norms.
    #[default]
    Matrices,
    /// All of them.
    All,
}

impl Decay {
    fn covers(self, rank: usize) -> bool {
        self == Self::All || rank >= 2
    }
}

/// Hyper-parameters of AdamW. Per element, with the powers β₁ᵗ and β₂ᵗ of the step t = 1, 2, …:
///
/// ```text
/// m ← β₁·m + (1 − β₁)·g
/// v ← β₂·v + (1 − β₂)·g²
/// p ← p·(1 − lr·λ) − (lr / (1 − β₁ᵗ)) · m / (√v · (1 / √(1 − β₂ᵗ)) + ε)
/// ```
///
/// State: `adamw.m.{p}` and `adamw.v.{p}`, zero at the start; `adamw.beta1_power` and
/// `adamw.beta2_power`, the scalars β₁ᵗ⁻¹ and β₂ᵗ⁻¹, 1 at the start. The learning rate is an input
/// of the step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamW {
    /// β₁, decay of the mean of gradients, in `[0, 1)`.
    pub beta1: f32,
    /// β₂, decay of the mean of squared gradients, in `[0, 1)`.
    pub beta2: f32,
    /// ε, added to the root of the second moment.
    pub epsilon: f32,
    /// λ, multiplied by the learning rate; 0 for no decay.
    pub weight_decay: f32,
    /// The parameters that λ applies to.
    pub decay: Decay,
}

impl Default for AdamW {
    fn default() -> Self {
        Self {
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.01,
            decay: Decay::Matrices,
        }
    }
}

/// The scalars that one step shares among all parameters.
struct Scalars {
    /// `lr / (1 − β₁ᵗ)`.
    rate: ValueId,
    /// `1 / √(1 − β₂ᵗ)`.
    root: ValueId,
    /// `1 − lr·λ`.
    keep: ValueId,
}

impl Optimizer for AdamW {
    fn update(
        &self,
        builder: &mut Builder,
        learning_rate: ValueId,
        parameters: &[Parameter],
    ) -> Result<(), TypeError> {
        let scalars = self.scalars(builder, learning_rate)?;
        for parameter in parameters {
            self.update_one(builder, &scalars, parameter)?;
        }
        Ok(())
    }
}

impl AdamW {
    fn scalars(&self, builder: &mut Builder, learning_rate: ValueId) -> Result<Scalars, TypeError> {
        let one = builder.full(1.0, Shape::scalar())?;
        let first = remaining(builder, BETA1_POWER, self.beta1)?;
        let second = remaining(builder, BETA2_POWER, self.beta2)?;
        let rate = builder.div(learning_rate, first)?;
        let root = builder.sqrt(second)?;
        let root = builder.div(one, root)?;
        let lambda = builder.full(self.weight_decay, Shape::scalar())?;
        let decayed = builder.mul(learning_rate, lambda)?;
        let keep = builder.sub(one, decayed)?;
        Ok(Scalars { rate, root, keep })
    }

    fn update_one(
        &self,
        builder: &mut Builder,
        scalars: &Scalars,
        parameter: &Parameter,
    ) -> Result<(), TypeError> {
        let gradient = parameter.gradient;
        let square = builder.mul(gradient, gradient)?;
        let mean = moment(
            builder,
            &format!("adamw.m.{}", parameter.name),
            self.beta1,
            gradient,
        )?;
        let spread = moment(
            builder,
            &format!("adamw.v.{}", parameter.name),
            self.beta2,
            square,
        )?;
        let change = self.change(builder, scalars, mean, spread)?;
        let kept = self.kept(builder, scalars, parameter.value)?;
        let next = builder.sub(kept, change)?;
        builder.output(&parameter.name, next);
        Ok(())
    }

    /// `rate · m / (√v · root + ε)`.
    fn change(
        &self,
        builder: &mut Builder,
        scalars: &Scalars,
        mean: ValueId,
        spread: ValueId,
    ) -> Built {
        let shape = builder.shape_of(mean).clone();
        let root = builder.broadcast(scalars.root, shape.clone())?;
        let rate = builder.broadcast(scalars.rate, shape)?;
        let deviation = builder.sqrt(spread)?;
        let deviation = builder.mul(deviation, root)?;
        let epsilon = builder.full_like(self.epsilon, deviation)?;
        let deviation = builder.add(deviation, epsilon)?;
        let direction = builder.div(mean, deviation)?;
        builder.mul(rate, direction)
    }

    /// `p · (1 − lr·λ)` where the parameter decays, else `p`.
    fn kept(&self, builder: &mut Builder, scalars: &Scalars, value: ValueId) -> Built {
        let shape = builder.shape_of(value).clone();
        if self.weight_decay == 0.0 || !self.decay.covers(shape.rank()) {
            return Ok(value);
        }
        let keep = builder.broadcast(scalars.keep, shape)?;
        builder.mul(value, keep)
    }
}

/// Declares the state scalar `name` = βᵗ⁻¹, returns `1 − βᵗ` and outputs βᵗ.
fn remaining(builder: &mut Builder, name: &str, beta: f32) -> Built {
    let power = builder.input(name, TensorType::f32(Shape::scalar()), Role::State);
    let beta = builder.full_like(beta, power)?;
    let power = builder.mul(power, beta)?;
    builder.output(name, power);
    let one = builder.full_like(1.0, power)?;
    builder.sub(one, power)
}

/// Declares the moment `name`, returns `β·moment + (1 − β)·sample` and outputs it.
fn moment(builder: &mut Builder, name: &str, beta: f32, sample: ValueId) -> Built {
    let ty = builder.type_of(sample).clone();
    let old = builder.input(name, ty, Role::State);
    let kept = builder.full_like(beta, old)?;
    let kept = builder.mul(kept, old)?;
    let share = builder.full_like(crate::scalar::sub(1.0, beta), sample)?;
    let share = builder.mul(share, sample)?;
    let next = builder.add(kept, share)?;
    builder.output(name, next);
    Ok(next)
}
