//! One stage's parameters and moments on an engine, and all that a peer computes with them.
//!
//! ```text
//!              stage 0                                    other stages
//! forward      embed(microbatch) ─▶ hidden                forward(hidden, microbatch) ─▶ hidden
//! loss         loss(hidden, microbatch, tokens)
//!                ─▶ loss, gradient, LossGradient
//! backward     embed_backward(microbatch, gradient,       backward(hidden, microbatch, gradient)
//!                LossGradient) ─▶ VisitGradient             ─▶ gradient, VisitGradient
//! step         zero_sum, add_visit, combine ─▶ GradientSum ─▶ squares, update
//! ```
//! Nothing is kept between calls but parameters, moments and powers: `backward` takes what
//! `forward` took, so any replica of the stage can do either. Calls are synchronous and a function
//! of their arguments and the state. A microbatch is what the record names and the job's data hold;
//! stages other than 0 read of it who attends to whom, and tokens where a bottleneck has a residual
//! path ([`swarm_model::stages::bottleneck`]).
//!
//! Invariants: only [`StageEngine::update`] and [`StageEngine::load`] change the state, and a call
//! that fails changes nothing. All sessions read the same buffers of parameters. Tensors,
//! microbatches, sums and states may come from anybody: type and finiteness are checked before they
//! are used, and what a stage hands on is finite, too.

use std::sync::Arc;

use reproducible_ops::engine::{Buffer, Engine, EngineError, Session};
use reproducible_ops::optim::{GRAD_NORM, LEARNING_RATE};
use reproducible_ops::program::{Digest, Program, Role};
use reproducible_ops::tensor::Tensor;
use reproducible_ops::weights::{Buffers, Weights};
use skippipe::path::Microbatch as Number;
use swarm_model::stages::{HIDDEN_IN, HIDDEN_OUT};
use verde::state::{StateError, StateTree};
use verde::tensor;

pub use super::check::StageError;
use super::check::{FINITE, NOT_NEGATIVE, POSITIVE, check, check_all, require};
use super::gradient::{GradientSum, LossGradient, Squares, VisitGradient};
use super::microbatch::Microbatch;
use super::programs::{BODY, HEAD, SQUARE, StagePrograms, VISIT, VISIT_SCALE, gradient_of};
use crate::trainer::{TrainState, names, write_role};

/// What comes of a microbatch's loss.
#[derive(Clone, Debug)]
pub struct Loss {
    /// The microbatch's share of the step's mean loss.
    pub loss: f32,
    /// Gradient by the hidden states that the head took.
    pub gradient: Tensor,
    /// Gradient by the head's parameters.
    pub parameters: LossGradient,
}

/// A stage on an engine.
pub struct StageEngine {
    programs: Arc<StagePrograms>,
    engine: Arc<dyn Engine>,
    forward: Box<dyn Session>,
    backward: Box<dyn Session>,
    loss: Option<Box<dyn Session>>,
    tie: Option<Box<dyn Session>>,
    accumulation: Box<dyn Session>,
    squares: Box<dyn Session>,
    update: Box<dyn Session>,
    zeros: GradientSum,
    step: u64,
}

impl StageEngine {
    /// A stage before its first update. `weights` holds its parameters (with those of
    /// [`swarm_model::stages::StagedModel::initial_bottlenecks`]) and the tables of RoPE (see
    /// [`crate::setup::with_tables`]); others are not looked at.
    ///
    /// # Errors
    /// A tensor is missing or has another shape; the engine refuses a program.
    pub fn new(
        engine: Arc<dyn Engine>,
        programs: Arc<StagePrograms>,
        weights: &Weights,
    ) -> Result<Self, StageError> {
        let optional = |program: &Option<Program>| {
            let load = |program| engine.load(program);
            program.as_ref().map(load).transpose()
        };
        let mut stage = Self {
            forward: engine.load(&programs.forward)?,
            backward: engine.load(&programs.backward)?,
            loss: optional(&programs.loss)?,
            tie: optional(&programs.tie)?,
            accumulation: engine.load(&programs.accumulation)?,
            squares: engine.load(&programs.squares)?,
            update: engine.load(&programs.update)?,
            zeros: zeros(engine.as_ref(), &programs)?,
            step: 0,
            programs,
            engine,
        };
        for session in [&mut stage.forward, &mut stage.backward] {
            write_role(session.as_mut(), Role::Constant, weights)?;
        }
        let initial = TrainState::initial(&stage.programs.update, weights)?;
        stage.load(&initial)?;
        Ok(stage)
    }

    /// The programs that are run.
    pub fn programs(&self) -> &Arc<StagePrograms> {
        &self.programs
    }

    /// Updates done.
    pub fn updates(&self) -> u64 {
        self.step
    }

    fn stage(&self) -> usize {
        self.programs.stage()
    }

    fn require_stage(&self, is_first: bool, call: &'static str) -> Result<(), StageError> {
        let stage = self.stage();
        match (stage == 0) == is_first {
            true => Ok(()),
            false => Err(StageError::Call { stage, call }),
        }
    }

    /// Checks type and finiteness of hidden states or their gradient.
    fn check_hidden(&self, name: &str, found: &Tensor) -> Result<(), StageError> {
        check(self.stage(), name, self.programs.hidden(), found)
    }
}

/// The passes of a microbatch.
impl StageEngine {
    /// Hidden states of type [`StagePrograms::hidden`] behind the embedding and stage 0's own
    /// layers.
    ///
    /// # Errors
    /// This is not stage 0, or the microbatch does not fit.
    pub fn embed(&mut self, microbatch: &Microbatch) -> Result<Tensor, StageError> {
        self.require_stage(true, "embed")?;
        microbatch.check(self.programs.shape())?;
        write(self.forward.as_mut(), &microbatch.inputs())?;
        self.run_forward()
    }

    /// Hidden states of type [`StagePrograms::hidden`] behind the stage's layers, from those before
    /// them.
    ///
    /// # Errors
    /// This is stage 0, or hidden states or microbatch do not fit.
    pub fn forward(
        &mut self,
        hidden: &Tensor,
        microbatch: &Microbatch,
    ) -> Result<Tensor, StageError> {
        self.require_stage(false, "forward")?;
        self.check_hidden(HIDDEN_IN, hidden)?;
        microbatch.check(self.programs.shape())?;
        write(self.forward.as_mut(), &microbatch.inputs())?;
        self.forward.write(HIDDEN_IN, hidden)?;
        self.run_forward()
    }

    fn run_forward(&mut self) -> Result<Tensor, StageError> {
        self.forward.run()?;
        let hidden = self.forward.read(HIDDEN_OUT)?;
        self.check_hidden(HIDDEN_OUT, &hidden)?;
        Ok(hidden)
    }

    /// Loss of a microbatch from the last hidden states. `tokens` are the trained tokens of the
    /// whole step, by which loss and gradients are divided.
    ///
    /// # Errors
    /// This is not stage 0; hidden states or microbatch do not fit; the step has no tokens; the
    /// loss is not finite.
    pub fn loss(
        &mut self,
        hidden: &Tensor,
        microbatch: &Microbatch,
        tokens: usize,
    ) -> Result<Loss, StageError> {
        self.require_stage(true, "loss")?;
        self.check_hidden(HIDDEN_IN, hidden)?;
        microbatch.check(self.programs.shape())?;
        require("the number of tokens of a step", tokens as f32, POSITIVE)?;
        let stage = self.stage();
        let session = self.loss.as_mut();
        let session = session.ok_or(StageError::Call {
            stage,
            call: "loss",
        })?;
        write(session.as_mut(), &microbatch.inputs())?;
        session.write_words("token_count", &[(tokens as f32).to_bits()])?;
        session.write(HIDDEN_IN, hidden)?;
        session.run()?;
        let loss = read_scalar(session.as_ref(), "loss")?;
        require("the loss", loss, FINITE)?;
        let gradient = session.read(&gradient_of(HIDDEN_IN))?;
        let parameters = LossGradient(parameter_gradients(session.as_ref())?);
        self.check_hidden(&gradient_of(HIDDEN_IN), &gradient)?;
        Ok(Loss {
            loss,
            gradient,
            parameters,
        })
    }

    /// Gradient of stage 0's parameters by a microbatch's loss, from the gradient by the hidden
    /// states that [`StageEngine::embed`] gave and the head's part of the same microbatch.
    ///
    /// # Errors
    /// This is not stage 0, or microbatch or gradient do not fit.
    pub fn embed_backward(
        &mut self,
        microbatch: &Microbatch,
        gradient: &Tensor,
        head: LossGradient,
    ) -> Result<VisitGradient, StageError> {
        self.require_stage(true, "embed_backward")?;
        microbatch.check(self.programs.shape())?;
        write(self.backward.as_mut(), &microbatch.inputs())?;
        let body = self.run_backward(gradient)?;
        Ok(VisitGradient(self.joined(body, head.0)?))
    }

    /// Gradients by the hidden states that [`StageEngine::forward`] took and by the stage's
    /// parameters, from the gradient by those that it gave.
    ///
    /// # Errors
    /// This is stage 0, or hidden states, microbatch or gradient do not fit.
    pub fn backward(
        &mut self,
        hidden: &Tensor,
        microbatch: &Microbatch,
        gradient: &Tensor,
    ) -> Result<(Tensor, VisitGradient), StageError> {
        self.require_stage(false, "backward")?;
        self.check_hidden(HIDDEN_IN, hidden)?;
        microbatch.check(self.programs.shape())?;
        write(self.backward.as_mut(), &microbatch.inputs())?;
        if self.programs.backward.input_named(HIDDEN_IN).is_some() {
            self.backward.write(HIDDEN_IN, hidden)?;
        }
        let parameters = self.run_backward(gradient)?;
        let gradient = self.backward.read(&gradient_of(HIDDEN_IN))?;
        self.check_hidden(&gradient_of(HIDDEN_IN), &gradient)?;
        Ok((gradient, VisitGradient(parameters)))
    }

    fn run_backward(&mut self, gradient: &Tensor) -> Result<Buffers, StageError> {
        let name = gradient_of(HIDDEN_OUT);
        self.check_hidden(&name, gradient)?;
        self.backward.write(&name, gradient)?;
        self.backward.run()?;
        Ok(parameter_gradients(self.backward.as_ref())?)
    }

    /// The gradients of all of stage 0's parameters; those that body and head share are added.
    fn joined(&mut self, mut body: Buffers, head: Buffers) -> Result<Buffers, StageError> {
        let shared = match &mut self.tie {
            None => Buffers::new(),
            Some(session) => {
                for (name, ours) in body.iter().filter(|(name, _)| head.contains_key(*name)) {
                    session.bind(&format!("{BODY}{name}"), ours)?;
                    session.bind(&format!("{HEAD}{name}"), &head[name])?;
                }
                session.run()?;
                parameter_gradients(session.as_ref())?
            }
        };
        body.extend(head);
        body.extend(shared);
        Ok(body)
    }
}

/// The optimizer step.
impl StageEngine {
    /// The sum of no gradients.
    pub fn zero_sum(&self) -> GradientSum {
        self.zeros.clone()
    }

    /// A sum and the gradient of one more visit.
    ///
    /// # Errors
    /// One of them is of another stage or engine.
    pub fn add_visit(
        &mut self,
        so_far: &GradientSum,
        visit: &VisitGradient,
    ) -> Result<GradientSum, StageError> {
        self.add(so_far, [&visit.0])
    }

    /// The gradients of visits, added to zero one after another. They are given in ascending order
    /// of microbatches, whatever order they were computed in: a `BTreeMap` by microbatch gives it.
    ///
    /// # Errors
    /// They are not in order, or one is of another stage or engine.
    pub fn sum<'a>(
        &mut self,
        visits: impl IntoIterator<Item = (Number, &'a VisitGradient)>,
    ) -> Result<GradientSum, StageError> {
        let (numbers, parts): (Vec<Number>, Vec<&Buffers>) = visits
            .into_iter()
            .map(|(number, visit)| (number, &visit.0))
            .unzip();
        for pair in numbers.windows(2) {
            let (before, after) = (pair[0], pair[1]);
            if after <= before {
                return Err(StageError::Order { before, after });
            }
        }
        self.add(&self.zeros.clone(), parts)
    }

    /// The sums of replicas, added to zero one after another in the order given.
    ///
    /// # Errors
    /// One is of another stage or engine.
    pub fn combine<'a>(
        &mut self,
        sums: impl IntoIterator<Item = &'a GradientSum>,
    ) -> Result<GradientSum, StageError> {
        self.add(&self.zeros.clone(), sums.into_iter().map(|sum| &sum.0))
    }

    fn add<'a>(
        &mut self,
        so_far: &GradientSum,
        parts: impl IntoIterator<Item = &'a Buffers>,
    ) -> Result<GradientSum, StageError> {
        for (name, buffer) in &so_far.0 {
            self.accumulation.bind(&gradient_of(name), buffer)?;
        }
        for part in parts {
            for (name, buffer) in part {
                self.accumulation.bind(&format!("{VISIT}{name}"), buffer)?;
            }
            self.accumulation.run()?;
            self.accumulation.advance();
        }
        let sum = so_far.0.keys().map(|name| {
            let buffer = self.accumulation.input(&gradient_of(name))?;
            Ok((name.clone(), buffer))
        });
        Ok(GradientSum(sum.collect::<Result<_, EngineError>>()?))
    }

    /// A sum that another replica of this stage sent.
    ///
    /// # Errors
    /// A tensor is missing, is too many, has another type or is not finite.
    pub fn receive_sum(&self, sent: &Weights) -> Result<GradientSum, StageError> {
        check_all(self.stage(), &self.programs.parameters(), sent)?;
        Ok(GradientSum(sent.upload(self.engine.as_ref())?))
    }

    /// `Σ g²` of each parameter's scaled gradient. `scale` is [`super::gradient::visit_scale`].
    ///
    /// # Errors
    /// The scale is not positive and finite, or the sum is of another stage or engine. Squares may
    /// be infinite.
    pub fn squares(&mut self, sum: &GradientSum, scale: f32) -> Result<Squares, StageError> {
        require(VISIT_SCALE, scale, POSITIVE)?;
        bind_gradients(self.squares.as_mut(), sum, scale)?;
        self.squares.run()?;
        let square = |name: &String| {
            let square = read_scalar(self.squares.as_ref(), &format!("{SQUARE}{name}"))?;
            Ok((name.clone(), square))
        };
        sum.0.keys().map(square).collect()
    }

    /// Clips by the norm of all stages' gradients and steps. `scale` is that of
    /// [`StageEngine::squares`].
    ///
    /// # Errors
    /// A number is not finite or negative (training diverged, or its coordinator lies), or the sum
    /// is of another stage or engine.
    pub fn update(
        &mut self,
        sum: &GradientSum,
        scale: f32,
        norm: f32,
        learning_rate: f32,
    ) -> Result<(), StageError> {
        require(VISIT_SCALE, scale, POSITIVE)?;
        require("the gradient's norm", norm, NOT_NEGATIVE)?;
        require("the learning rate", learning_rate, NOT_NEGATIVE)?;
        let session = self.update.as_mut();
        bind_gradients(session, sum, scale)?;
        session.write_words(GRAD_NORM, &[norm.to_bits()])?;
        session.write_words(LEARNING_RATE, &[learning_rate.to_bits()])?;
        session.run()?;
        session.advance();
        self.step += 1;
        self.publish()
    }

    /// Hands the parameters to the sessions that read them.
    fn publish(&mut self) -> Result<(), StageError> {
        let readers = [
            Some(&mut self.forward),
            Some(&mut self.backward),
            self.loss.as_mut(),
        ];
        for session in readers.into_iter().flatten() {
            for name in names(session.program(), Role::Param) {
                session.bind(&name, &self.update.input(&name)?)?;
            }
        }
        Ok(())
    }
}

/// The state.
impl StageEngine {
    /// A copy of parameters and optimizer state; `step` counts the stage's updates.
    ///
    /// # Errors
    /// Only where the engine lost an input.
    pub fn state(&self) -> Result<TrainState, StageError> {
        let read = |role| -> Result<Weights, StageError> {
            let named = names(&self.programs.update, role).into_iter();
            let read = named.map(|name| {
                let tensor = self.update.input(&name)?.read()?;
                Ok((name, tensor))
            });
            read.collect()
        };
        Ok(TrainState {
            step: self.step,
            params: read(Role::Param)?,
            optimizer: read(Role::State)?,
        })
    }

    /// Continues from a state. Whoever got it from a peer compares [`state_root`] before.
    ///
    /// # Errors
    /// A tensor is missing, is too many, has another type or is not finite.
    pub fn load(&mut self, state: &TrainState) -> Result<(), StageError> {
        let parts = [
            (Role::Param, &state.params),
            (Role::State, &state.optimizer),
        ];
        for (role, tensors) in parts {
            let inputs = self.programs.update.inputs_with_role(role);
            let expected = inputs.map(|(_, input)| (input.name.clone(), input.ty.clone()));
            check_all(self.stage(), &expected.collect::<Vec<_>>(), tensors)?;
        }
        for (_, tensors) in parts {
            tensors.write_to(self.update.as_mut())?;
        }
        self.step = state.step;
        self.publish()
    }

    /// The root of the state; see [`state_root`].
    ///
    /// # Errors
    /// Only where the engine lost an input.
    pub fn digest(&self) -> Result<Digest, StageError> {
        Ok(state_root(&self.state()?)?)
    }
}

/// What names a stage's state: [`StateTree`] over parameters, moments and powers, by their names,
/// which is all that the next step depends on. The count of updates is not part of it.
///
/// # Errors
/// Two tensors have one name, or a name is too long.
pub fn state_root(state: &TrainState) -> Result<Digest, StateError> {
    let tensors = state.params.iter().chain(state.optimizer.iter());
    let roots = tensors.map(|(name, tensor)| (name, tensor::root(tensor)));
    Ok(StateTree::new(roots)?.root())
}

fn zeros(engine: &dyn Engine, programs: &StagePrograms) -> Result<GradientSum, EngineError> {
    let zeros = programs.parameters().into_iter().map(|(name, ty)| {
        let buffer = engine.upload(&Tensor::zeros(ty))?;
        Ok((name, buffer))
    });
    Ok(GradientSum(zeros.collect::<Result<_, EngineError>>()?))
}

/// Writes the inputs that the program has.
fn write(session: &mut dyn Session, inputs: &[(&str, Vec<u32>)]) -> Result<(), EngineError> {
    for (name, words) in inputs {
        // A stage without layers reads no positions, a body no targets, and tokens are read by stage
        // 0 and by the residual paths of bottlenecks.
        if session.program().input_named(name).is_some() {
            session.write_words(name, words)?;
        }
    }
    Ok(())
}

/// The outputs `gradient.{param}`, by parameter.
fn parameter_gradients(session: &dyn Session) -> Result<Buffers, EngineError> {
    let prefix = gradient_of("");
    let outputs = session.program().outputs().iter();
    let names = outputs.filter_map(|output| output.name.strip_prefix(&prefix));
    let params = names.filter(|name| *name != HIDDEN_IN);
    let named = params.map(|name| Ok((name.to_owned(), session.output(&gradient_of(name))?)));
    named.collect::<Result<_, EngineError>>()
}

fn bind_gradients(
    session: &mut dyn Session,
    sum: &GradientSum,
    scale: f32,
) -> Result<(), EngineError> {
    let bind = |(name, buffer): (&String, &Buffer)| session.bind(&gradient_of(name), buffer);
    sum.0.iter().try_for_each(bind)?;
    session.write_words(VISIT_SCALE, &[scale.to_bits()])
}

fn read_scalar(session: &dyn Session, name: &str) -> Result<f32, EngineError> {
    Ok(f32::from_bits(session.read_words(name)?[0]))
}
