//! The programs of a stage: forward, backward, loss, and one optimizer step of its parameters.
//!
//! ```text
//! forward       tokens or hidden.in ─▶ hidden.out
//! backward      the same, gradient.hidden.out ─▶ gradient.hidden.in, gradient.{param}
//! loss          hidden.in, targets, weights, token_count ─▶ loss, gradient.hidden.in, gradient.{param}   stage 0
//! tie           body.{param}, head.{param} ─▶ gradient.{param}, of parameters in both                    stage 0
//! accumulation  gradient.{param}, visit.{param} ─▶ gradient.{param}
//! squares       gradient.{param}, visit_scale ─▶ square.{param}
//! update        gradient.{param}, visit_scale, grad_norm, learning_rate ─▶ parameters, moments, powers
//! ```
//! `backward` computes the forward pass again, so that nothing is kept between the two, and any
//! replica of the stage can do it. It is the derivative of ⟨hidden.out, gradient.hidden.out⟩, which
//! is the gradient that a program of the whole model hands back at this place, bit for bit: the
//! simplifier removes the product with 1 ([`reproducible_ops::grad`]). The gradient of what a
//! receiver adds by itself behind a bottleneck stays in its stage: it is one of its parameters.

use reproducible_ops::grad::gradients;
use reproducible_ops::optim::{GRAD_NORM, LEARNING_RATE, Optimizer, Parameter, clip_by_norm};
use reproducible_ops::program::{Builder, Built, Program, Role, Shape, TensorType, ValueId};
use swarm_model::programs::ProgramError;
use swarm_model::stages::{HIDDEN_IN, HIDDEN_OUT, StagedModel};

use super::microbatch::MicrobatchShape;
use crate::assemble::{self, AssembleError, GRADIENT, OptimizerConfig, parameters};
use crate::head;
use crate::supervised;

/// Prefix of the names of a visit's gradients.
pub const VISIT: &str = "visit.";
/// Prefix of the names of sums of squares.
pub const SQUARE: &str = "square.";
/// The scalar that a stage's gradient is multiplied by: tokens of the step over tokens of its
/// visits.
pub const VISIT_SCALE: &str = "visit_scale";
/// Prefix of the names of gradients through the body of stage 0.
pub(super) const BODY: &str = "body.";
/// Prefix of the names of gradients through the head.
pub(super) const HEAD: &str = "head.";

/// Why a stage has no programs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StageProgramsError {
    /// The stage cannot be recorded.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// It cannot be differentiated, or its update not be assembled.
    #[error(transparent)]
    Assemble(#[from] AssembleError),
}

/// The programs of a stage; its replicas share them.
#[derive(Clone, Debug)]
pub struct StagePrograms {
    /// The residual stream through the stage.
    pub forward: Program,
    /// Gradients by what goes in and by the parameters.
    pub backward: Program,
    /// Final norm, head and loss with their gradients; of stage 0 only.
    pub loss: Option<Program>,
    /// Adds the two gradients of parameters that both `backward` and `loss` have; only where there
    /// are such parameters.
    pub tie: Option<Program>,
    /// Adds the gradients of a visit to a sum.
    pub accumulation: Program,
    /// Sums of squares.
    pub squares: Program,
    /// Clips by a given norm and steps.
    pub update: Program,
    stage: usize,
    shape: MicrobatchShape,
    hidden: TensorType,
    model_parameters: Vec<String>,
}

impl StagePrograms {
    /// The programs of a stage for microbatches of `rows` rows of `length` tokens.
    ///
    /// # Errors
    /// There is no such stage, or the model is shorter than a row.
    pub fn new(
        model: &StagedModel,
        stage: usize,
        [rows, length]: [usize; 2],
        optimizer: &OptimizerConfig,
    ) -> Result<Self, StageProgramsError> {
        let config = model.config();
        let recorded = model.forward(stage, rows, length)?;
        let loss = recorded.head.as_ref().map(loss).transpose()?;
        let own = model.parameters(stage).into_iter();
        let own: Vec<(String, TensorType)> = own
            .map(|(name, shape)| (name, TensorType::f32(shape)))
            .collect();
        let whole = model.all_parameters().into_iter();
        Ok(Self {
            backward: backward(&recorded.body)?,
            tie: tie(&recorded.body, recorded.head.as_ref())?,
            forward: recorded.body,
            loss,
            accumulation: assemble::sum(&own, VISIT)?,
            squares: squares(&own)?,
            update: update(&own, optimizer)?,
            stage,
            shape: MicrobatchShape {
                rows,
                length,
                vocabulary: config.vocab_size,
            },
            hidden: TensorType::f32([rows, length, model.sent_width()]),
            model_parameters: whole.map(|(name, _)| name).collect(),
        })
    }

    /// Number of the stage.
    pub fn stage(&self) -> usize {
        self.stage
    }

    /// What microbatches must fit.
    pub fn shape(&self) -> &MicrobatchShape {
        &self.shape
    }

    /// Type of what goes from stage to stage: f32 `[rows, length, sent]`, where `sent` is
    /// [`StagedModel::sent_width`].
    pub fn hidden(&self) -> &TensorType {
        &self.hidden
    }

    /// Names and types of the stage's parameters.
    pub fn parameters(&self) -> Vec<(String, TensorType)> {
        parameters(&self.update)
    }

    /// Names of the parameters of all stages, in the order in which a norm is added up.
    pub fn model_parameters(&self) -> &[String] {
        &self.model_parameters
    }
}

/// Names of the outputs or inputs with gradients.
pub(super) fn gradient_of(name: &str) -> String {
    format!("{GRADIENT}{name}")
}

fn backward(forward: &Program) -> Result<Program, AssembleError> {
    let (mut builder, out) =
        head::reopen(forward, HIDDEN_OUT)?.ok_or(AssembleError::NoOutput(HIDDEN_OUT))?;
    let ty = builder.type_of(out).clone();
    let given = builder.input(gradient_of(HIDDEN_OUT), ty, Role::Data);
    let product = builder.mul(out, given)?;
    let inner = builder.sum_all(product)?;
    builder.output("inner", inner);
    differentiated(&builder.finish(), "inner", &[])
}

fn loss(head: &Program) -> Result<Program, AssembleError> {
    differentiated(&supervised::cross_entropy(head)?, "loss", &["loss"])
}

/// The gradients of an output by [`HIDDEN_IN`], where that is an input, and by all parameters, and
/// of the program's outputs those that are kept.
fn differentiated(
    program: &Program,
    scalar: &'static str,
    kept: &[&str],
) -> Result<Program, AssembleError> {
    let output = program.output_named(scalar);
    let output = output.ok_or(AssembleError::NoOutput(scalar))?;
    let hidden = program.input_named(HIDDEN_IN);
    let hidden = hidden.map(|id| (id, HIDDEN_IN.to_owned()));
    let params = program.inputs_with_role(Role::Param);
    let params = params.map(|(id, input)| (id, input.name.clone()));
    let (ids, names): (Vec<ValueId>, Vec<String>) = hidden.into_iter().chain(params).unzip();
    let (extended, found) = gradients(program, output, &ids)?;
    let (mut builder, values) = head::without_outputs(&extended)?;
    for output in extended.outputs() {
        if kept.contains(&output.name.as_str()) {
            builder.output(&output.name, values[output.value.index()]);
        }
    }
    for (name, gradient) in names.iter().zip(found) {
        builder.output(gradient_of(name), values[gradient.index()]);
    }
    Ok(builder.finish().prune_parameters())
}

fn tie(body: &Program, head: Option<&Program>) -> Result<Option<Program>, AssembleError> {
    let of_head = head.map_or(Vec::new(), parameters);
    let mut shared = parameters(body);
    shared.retain(|parameter| of_head.contains(parameter));
    if shared.is_empty() {
        return Ok(None);
    }
    let mut builder = Builder::new();
    for (name, ty) in shared {
        let body = builder.input(format!("{BODY}{name}"), ty.clone(), Role::Data);
        let head = builder.input(format!("{HEAD}{name}"), ty, Role::Data);
        // The embedding is read before the head is, and contributions are added in that order.
        let sum = builder.add(body, head)?;
        builder.output(gradient_of(&name), sum);
    }
    Ok(Some(builder.finish()))
}

fn squares(parameters: &[(String, TensorType)]) -> Result<Program, AssembleError> {
    let mut builder = Builder::new();
    let scaled = scaled_gradients(&mut builder, parameters)?;
    for ((name, _), gradient) in parameters.iter().zip(scaled) {
        let square = builder.mul(gradient, gradient)?;
        let sum = builder.sum_all(square)?;
        builder.output(format!("{SQUARE}{name}"), sum);
    }
    Ok(builder.finish())
}

fn update(
    parameters: &[(String, TensorType)],
    optimizer: &OptimizerConfig,
) -> Result<Program, AssembleError> {
    let mut builder = Builder::new();
    let mut values = Vec::with_capacity(parameters.len());
    for (name, ty) in parameters {
        values.push(builder.input(name, ty.clone(), Role::Param));
    }
    let scaled = scaled_gradients(&mut builder, parameters)?;
    let norm = scalar_input(&mut builder, GRAD_NORM);
    let learning_rate = scalar_input(&mut builder, LEARNING_RATE);
    let clipped = clip_by_norm(&mut builder, &scaled, norm, optimizer.max_norm)?;
    let named = parameters.iter().zip(values).zip(clipped);
    let stepped: Vec<Parameter> = named
        .map(|(((name, _), value), gradient)| Parameter {
            name: name.clone(),
            value,
            gradient,
        })
        .collect();
    let adamw = optimizer.adamw();
    adamw.update(&mut builder, learning_rate, &stepped)?;
    Ok(builder.finish())
}

/// `visit_scale · gradient.{param}` of each parameter.
fn scaled_gradients(
    builder: &mut Builder,
    parameters: &[(String, TensorType)],
) -> Result<Vec<ValueId>, AssembleError> {
    let mut gradients = Vec::with_capacity(parameters.len());
    for (name, ty) in parameters {
        gradients.push(builder.input(gradient_of(name), ty.clone(), Role::Data));
    }
    let scale = scalar_input(builder, VISIT_SCALE);
    let scaled = gradients.into_iter().map(|gradient| -> Built {
        let shape = builder.shape_of(gradient).clone();
        let scale = builder.broadcast(scale, shape)?;
        builder.mul(gradient, scale)
    });
    Ok(scaled.collect::<Result<_, _>>()?)
}

fn scalar_input(builder: &mut Builder, name: &str) -> ValueId {
    builder.input(name, TensorType::f32(Shape::scalar()), Role::Data)
}
