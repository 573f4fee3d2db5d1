//! Stochastic gradient descent.

use crate::program::{Builder, Role, TensorType, TypeError, ValueId};

use super::step::{Optimizer, Parameter};

/// `p ← p − lr · g`, or with momentum μ: `b ← μ·b + g`, `p ← p − lr · b` (the form of PyTorch,
/// without dampening).
///
/// The state of parameter `p` is `sgd.momentum.{p}`, which starts at zero; without momentum there
/// is none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sgd {
    /// μ in `[0, 1)`.
    pub momentum: Option<f32>,
}

impl Sgd {
    /// The direction of the step: the gradient, or the momentum buffer after adding it.
    fn direction(
        &self,
        builder: &mut Builder,
        parameter: &Parameter,
    ) -> Result<ValueId, TypeError> {
        let Some(momentum) = self.momentum else {
            return Ok(parameter.gradient);
        };
        let name = format!("sgd.momentum.{}", parameter.name);
        let ty = TensorType::f32(builder.shape_of(parameter.value).clone());
        let buffer = builder.input(&name, ty, Role::State);
        let factor = builder.full_like(momentum, buffer)?;
        let kept = builder.mul(factor, buffer)?;
        let next = builder.add(kept, parameter.gradient)?;
        builder.output(name, next);
        Ok(next)
    }
}

impl Optimizer for Sgd {
    fn update(
        &self,
        builder: &mut Builder,
        learning_rate: ValueId,
        parameters: &[Parameter],
    ) -> Result<(), TypeError> {
        for parameter in parameters {
            let direction = self.direction(builder, parameter)?;
            let shape = builder.shape_of(parameter.value).clone();
            let rate = builder.broadcast(learning_rate, shape)?;
            let change = builder.mul(rate, direction)?;
            let next = builder.sub(parameter.value, change)?;
            builder.output(&parameter.name, next);
        }
        Ok(())
    }
}
