//! Assembles a training step from a forward program and an optimizer.

use crate::grad::{GradError, gradients};
use crate::program::{Builder, DecodeError, Program, Role, Shape, TensorType, TypeError, ValueId};

use super::clip::{clip_by_global_norm, global_norm};
use super::{GRAD_NORM, LEARNING_RATE};

/// A parameter with its gradient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Name of the input, and of the output that replaces it.
    pub name: String,
    /// The current value.
    pub value: ValueId,
    /// Gradient of the loss by it, same shape.
    pub gradient: ValueId,
}

/// An update rule.
pub trait Optimizer {
    /// Appends the update of all parameters to a program: state inputs, and outputs under the names
    /// of the inputs that they replace. `learning_rate` is a scalar f32.
    ///
    /// # Errors
    /// A node would be too large; see [`TypeError`].
    fn update(
        &self,
        builder: &mut Builder,
        learning_rate: ValueId,
        parameters: &[Parameter],
    ) -> Result<(), TypeError>;
}

/// Why a training step cannot be assembled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StepError {
    /// The program has no output of this name.
    #[error("the program has no output named `{0}` to minimise")]
    NoSuchLoss(String),
    /// The program has no parameters.
    #[error("the program has no inputs with the role of a parameter: there is nothing to train")]
    NoParameters,
    /// The loss cannot be differentiated.
    #[error("differentiating `{loss}`: {source}")]
    Gradient {
        /// Name of the loss output.
        loss: String,
        /// The reason.
        source: GradError,
    },
    /// The update cannot be expressed.
    #[error("appending the optimizer: {0}")]
    Update(#[from] TypeError),
    /// The assembled program breaks a rule, for example by two inputs or outputs of one name.
    #[error("the assembled step is not valid: {0}")]
    Invalid(#[from] DecodeError),
}

/// Assembles training steps.
pub struct TrainStep;

impl TrainStep {
    /// A program that runs forward, backward and the update of every [`Role::Param`] input.
    ///
    /// `forward` must have a single f32 output called `loss`. The result keeps its inputs and
    /// outputs, and adds
    /// * inputs: [`LEARNING_RATE`], the optimizer's state (see [`super::initial_state`]);
    /// * outputs: the next value of every parameter and state under its own name, and
    ///   [`GRAD_NORM`].
    ///
    /// With `max_norm` the gradients are scaled down to that global norm, see
    /// [`clip_by_global_norm`]. Without it they are used as they are, and only a caller that
    /// watches `grad_norm` notices one that is not finite.
    ///
    /// # Errors
    /// No such loss, no parameters, a loss that cannot be differentiated, names that collide.
    pub fn assemble(
        forward: &Program,
        loss: &str,
        optimizer: &dyn Optimizer,
        max_norm: Option<f32>,
    ) -> Result<Program, StepError> {
        let (program, mut parameters) = differentiate(forward, loss)?;
        let mut builder = Builder::from_program(&program);
        let norm = clip(&mut builder, &mut parameters, max_norm)?;
        let learning_rate =
            builder.input(LEARNING_RATE, TensorType::f32(Shape::scalar()), Role::Data);
        optimizer.update(&mut builder, learning_rate, &parameters)?;
        builder.output(GRAD_NORM, norm);
        let step = builder.finish();
        step.validate()?;
        Ok(step)
    }
}

fn differentiate(forward: &Program, loss: &str) -> Result<(Program, Vec<Parameter>), StepError> {
    let value = forward
        .output_named(loss)
        .ok_or_else(|| StepError::NoSuchLoss(loss.into()))?;
    let params: Vec<(ValueId, String)> = forward
        .inputs_with_role(Role::Param)
        .map(|(id, input)| (id, input.name.clone()))
        .collect();
    if params.is_empty() {
        return Err(StepError::NoParameters);
    }
    let ids: Vec<ValueId> = params.iter().map(|(id, _)| *id).collect();
    let (program, found) =
        gradients(forward, value, &ids).map_err(|source| StepError::Gradient {
            loss: loss.into(),
            source,
        })?;
    let parameter = |((value, name), gradient)| Parameter {
        name,
        value,
        gradient,
    };
    Ok((
        program,
        params.into_iter().zip(found).map(parameter).collect(),
    ))
}

/// Replaces the gradients by clipped ones where asked; returns the norm before.
fn clip(
    builder: &mut Builder,
    parameters: &mut [Parameter],
    max_norm: Option<f32>,
) -> Result<ValueId, TypeError> {
    let gradients: Vec<ValueId> = parameters
        .iter()
        .map(|parameter| parameter.gradient)
        .collect();
    let Some(max_norm) = max_norm else {
        return global_norm(builder, &gradients);
    };
    let clipped = clip_by_global_norm(builder, &gradients, max_norm)?;
    for (parameter, gradient) in parameters.iter_mut().zip(clipped.gradients) {
        parameter.gradient = gradient;
    }
    Ok(clipped.norm)
}
