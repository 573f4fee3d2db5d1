//! The outer step, by which replicas that trained apart come together, as reproducible programs.
//!
//! ```text
//! φ  anchor: the parameters that the last outer step left      θ  parameters after H inner steps
//! Δ = θ − φ   the change                                       m  outer momentum
//!
//! DiLoCo   m ← μ m + mean(Δ)                             φ ← φ + η (mean(Δ) + μ m)      θ ← φ
//! NoLoCo   m ← α m + β mean(Δ) + γ (mean(φ) − φ)         φ ← φ + m                      θ ← φ
//! ```
//! DiLoCo (arXiv 2311.08105) takes the mean over all replicas and steps as SGD with Nesterov's
//! momentum does, whose gradient is −mean(Δ). NoLoCo (arXiv 2506.10911) takes it over a pair, and
//! pulls the two anchors together. Products and sums are rounded one by one, in the order of the
//! formulas; a mean is one chain of additions in the order of replicas, divided by their number. A
//! step alone is the step of a group of one: its pull is zero.
//!
//! **What a pair's step keeps.** The pulls of the two are γ (φ₂ − φ₁) / 2 and its negative, and
//! their changes count alike, so without changes φ₁ + φ₂ becomes φ₁ + φ₂ + α (m₁ + m₂): the sum is
//! kept where the momenta are zero, or each other's negative, and over all replicas of a swarm that
//! began with momenta of zero, as long as both of every pair step. It is kept up to the rounding of
//! the eight operations, and exactly where all of them are exact.
//!
//! **What becomes of the spread.** Without changes and with momenta of zero, a pair's difference is
//! multiplied by 1 − γ. Of the squared distances to the mean of N replicas, a random pairing leaves
//! in expectation the share [`contraction`]`(N, γ)` = 1 − c γ (2 − γ), where c = ½ for odd N and N
//! / (2 (N − 1)) for even. It is exactly one half at γ = 1 for odd N, and for even N at γ = 1 −
//! 1/√N; at γ = 1 and even N it is (N − 2) / (2 (N − 1)), less than one half and near it for many.
//! At the default of 0.7 it is 0.545 for many, 0.48 for eight, 0.393 for four. Later steps have
//! momenta, with which the spread no longer falls by this share each time: at the default, 60 steps
//! of eight replicas leave less than a millionth of it.

use reproducible_ops::engine::{Engine, EngineError, Session};
use reproducible_ops::program::{Builder, Program, Role, Shape, TensorType, TypeError, ValueId};
use reproducible_ops::tensor::Tensor;
use reproducible_ops::weights::Weights;
use serde::{Deserialize, Serialize};

/// Prefix of the names of changes in a contribution.
pub const CHANGE: &str = "change.";
/// Prefix of the names of anchors in a contribution and in an outer state.
pub const ANCHOR: &str = "anchor.";
/// Prefix of the names of momenta in an outer state.
pub const MOMENTUM: &str = "momentum.";
const PART: &str = "part.";
const MEAN: &str = "mean.";
const OWN: &str = "own.";
const COUNT: &str = "count";

/// How replicas come together.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Outer {
    /// All replicas take one step together.
    DiLoCo {
        /// η.
        rate: f32,
        /// μ in `[0, 1)`.
        momentum: f32,
    },
    /// Replicas step in pairs.
    NoLoCo {
        /// α in `[0, 1)`.
        momentum: f32,
        /// β.
        rate: f32,
        /// γ.
        pull: f32,
    },
}

impl Outer {
    /// DiLoCo as published: Nesterov's momentum with a rate of 0.7.
    pub const DILOCO: Self = Self::DiLoCo {
        rate: 0.7,
        momentum: 0.9,
    };
    /// NoLoCo as its authors run it.
    pub const NOLOCO: Self = Self::NoLoCo {
        momentum: 0.5,
        rate: 0.7,
        pull: 0.7,
    };

    /// Whether replicas meet in pairs.
    pub fn is_paired(&self) -> bool {
        matches!(self, Self::NoLoCo { .. })
    }
}

/// The share of the squared distances to the mean of `replicas` that one gossip leaves in
/// expectation; see the module.
///
/// ```
/// use swarm_learn::averaging::outer::contraction;
///
/// assert_eq!(contraction(5, 1.0), 0.5);
/// assert_eq!(contraction(16, 0.75), 0.5);
/// assert_eq!(contraction(2, 1.0), 0.0);
/// ```
pub fn contraction(replicas: u32, pull: f64) -> f64 {
    let count = f64::from(replicas);
    let met = match replicas {
        0 | 1 => 0.0,
        _ if replicas.is_multiple_of(2) => count / (2.0 * (count - 1.0)),
        _ => 0.5,
    };
    1.0 - met * pull * (2.0 - pull)
}

/// Why an outer step cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OuterError {
    /// A program cannot be made of these parameters.
    #[error("outer step: {0}")]
    Type(#[from] TypeError),
    /// The engine refuses a program or a tensor.
    #[error("outer step: {0}")]
    Engine(#[from] EngineError),
    /// Not all tensors are there.
    #[error("outer step: {found} tensors are given where the program reads {expected}")]
    Missing {
        /// Inputs of the program.
        expected: usize,
        /// Tensors given.
        found: usize,
    },
    /// A mean of nothing.
    #[error("outer step: a mean needs at least one contribution")]
    Nothing,
}

/// The programs of an outer step over some parameters: those of a whole model, or of a stage.
#[derive(Clone, Debug)]
pub struct OuterPrograms {
    /// `θ, anchor.{p} → change.{p}`.
    pub change: Program,
    /// `x, part.x → x`, for every tensor x of a contribution.
    pub sum: Program,
    /// `x, count → x`.
    pub mean: Program,
    /// `anchor.{p}, momentum.{p}, mean.x, own.x → anchor.{p}, momentum.{p}`; DiLoCo reads no
    /// `own.x`.
    pub step: Program,
    outer: Outer,
    parameters: Vec<(String, TensorType)>,
}

impl OuterPrograms {
    /// For f32 parameters of these names and types.
    ///
    /// # Errors
    /// A parameter is of another type.
    pub fn new(outer: Outer, parameters: &[(String, TensorType)]) -> Result<Self, TypeError> {
        let contributed = contributed(&outer, parameters);
        Ok(Self {
            change: change(parameters)?,
            sum: sum(&contributed)?,
            mean: mean(&contributed)?,
            step: step(&outer, parameters)?,
            outer,
            parameters: parameters.to_vec(),
        })
    }

    /// How replicas come together.
    pub fn outer(&self) -> &Outer {
        &self.outer
    }

    /// Names and shapes of a contribution's tensors: changes, and where replicas meet in pairs
    /// anchors.
    pub fn contributed(&self) -> Vec<(String, Shape)> {
        let contributed = contributed(&self.outer, &self.parameters).into_iter();
        contributed.map(|(name, ty)| (name, ty.shape)).collect()
    }
}

fn contributed(outer: &Outer, parameters: &[(String, TensorType)]) -> Vec<(String, TensorType)> {
    let prefixes: &[&str] = match outer {
        Outer::DiLoCo { .. } => &[CHANGE],
        Outer::NoLoCo { .. } => &[CHANGE, ANCHOR],
    };
    let all = prefixes.iter().flat_map(|prefix| {
        let named = parameters.iter();
        named.map(move |(name, ty)| (format!("{prefix}{name}"), ty.clone()))
    });
    all.collect()
}

fn change(parameters: &[(String, TensorType)]) -> Result<Program, TypeError> {
    let mut builder = Builder::new();
    for (name, ty) in parameters {
        let parameter = builder.input(name, ty.clone(), Role::Data);
        let anchor = builder.input(format!("{ANCHOR}{name}"), ty.clone(), Role::Data);
        let change = builder.sub(parameter, anchor)?;
        builder.output(format!("{CHANGE}{name}"), change);
    }
    Ok(builder.finish())
}

fn sum(contributed: &[(String, TensorType)]) -> Result<Program, TypeError> {
    let mut builder = Builder::new();
    for (name, ty) in contributed {
        let so_far = builder.input(name, ty.clone(), Role::State);
        let part = builder.input(format!("{PART}{name}"), ty.clone(), Role::Data);
        let sum = builder.add(so_far, part)?;
        builder.output(name, sum);
    }
    Ok(builder.finish())
}

fn mean(contributed: &[(String, TensorType)]) -> Result<Program, TypeError> {
    let mut builder = Builder::new();
    let count = builder.input(COUNT, TensorType::f32(Shape::scalar()), Role::Data);
    for (name, ty) in contributed {
        let sum = builder.input(name, ty.clone(), Role::State);
        let count = builder.broadcast(count, ty.shape.clone())?;
        let mean = builder.div(sum, count)?;
        builder.output(name, mean);
    }
    Ok(builder.finish())
}

fn step(outer: &Outer, parameters: &[(String, TensorType)]) -> Result<Program, TypeError> {
    let mut builder = Builder::new();
    let b = &mut builder;
    for (name, ty) in parameters {
        let input = |b: &mut Builder, prefix: &str, role| {
            b.input(format!("{prefix}{name}"), ty.clone(), role)
        };
        let anchor = input(b, ANCHOR, Role::State);
        let momentum = input(b, MOMENTUM, Role::State);
        let change = input(b, &format!("{MEAN}{CHANGE}"), Role::Data);
        let (moved, velocity) = match *outer {
            Outer::DiLoCo { rate, momentum: of } => {
                let kept = scaled(b, of, momentum)?;
                let velocity = b.add(kept, change)?;
                let ahead = scaled(b, of, velocity)?;
                let direction = b.add(change, ahead)?;
                (scaled(b, rate, direction)?, velocity)
            }
            Outer::NoLoCo {
                momentum: of,
                rate,
                pull,
            } => {
                // The own anchor as it was sent: what both compare is what both know, so that their
                // pulls are each other's negative in every format.
                let common = input(b, &format!("{MEAN}{ANCHOR}"), Role::Data);
                let own = input(b, &format!("{OWN}{ANCHOR}"), Role::Data);
                let kept = scaled(b, of, momentum)?;
                let pushed = scaled(b, rate, change)?;
                let apart = b.sub(common, own)?;
                let pulled = scaled(b, pull, apart)?;
                let velocity = b.add(kept, pushed)?;
                let velocity = b.add(velocity, pulled)?;
                (velocity, velocity)
            }
        };
        let next = b.add(anchor, moved)?;
        b.output(format!("{ANCHOR}{name}"), next);
        b.output(format!("{MOMENTUM}{name}"), velocity);
    }
    Ok(builder.finish())
}

fn scaled(builder: &mut Builder, factor: f32, x: ValueId) -> Result<ValueId, TypeError> {
    let factor = builder.full_like(factor, x)?;
    builder.mul(factor, x)
}

/// Anchors and momenta by the names of parameters: what an outer step moves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OuterState {
    /// φ.
    pub anchor: Weights,
    /// m.
    pub momentum: Weights,
}

impl OuterState {
    /// Before the first step: these parameters, and momenta of zero.
    pub fn initial(parameters: Weights) -> Self {
        let zeros = parameters.iter();
        let zeros =
            zeros.map(|(name, tensor)| (name.to_owned(), Tensor::zeros(tensor.ty().clone())));
        Self {
            momentum: zeros.collect(),
            anchor: parameters,
        }
    }

    /// All tensors, under `anchor.{p}` and `momentum.{p}`.
    pub fn named(&self) -> Weights {
        let parts = [(ANCHOR, &self.anchor), (MOMENTUM, &self.momentum)];
        parts
            .into_iter()
            .flat_map(|part| prefixed(part.0, part.1))
            .collect()
    }

    /// Reads [`OuterState::named`]; tensors of other names are left out.
    pub fn from_named(tensors: &Weights) -> Self {
        Self {
            anchor: stripped(ANCHOR, tensors),
            momentum: stripped(MOMENTUM, tensors),
        }
    }
}

/// The programs of an outer step on an engine.
pub struct OuterStep {
    change: Box<dyn Session>,
    sum: Box<dyn Session>,
    mean: Box<dyn Session>,
    step: Box<dyn Session>,
    outer: Outer,
}

impl OuterStep {
    /// Loads the programs.
    ///
    /// # Errors
    /// The engine refuses one.
    pub fn new(engine: &dyn Engine, programs: &OuterPrograms) -> Result<Self, OuterError> {
        Ok(Self {
            change: engine.load(&programs.change)?,
            sum: engine.load(&programs.sum)?,
            mean: engine.load(&programs.mean)?,
            step: engine.load(&programs.step)?,
            outer: programs.outer,
        })
    }

    /// What a replica contributes: the change of its parameters, and where replicas meet in pairs
    /// its anchor.
    ///
    /// # Errors
    /// A tensor is missing or of another type.
    pub fn contribution(
        &mut self,
        parameters: &Weights,
        state: &OuterState,
    ) -> Result<Weights, OuterError> {
        let inputs = [("", parameters), (ANCHOR, &state.anchor)];
        let mut contribution = compute(self.change.as_mut(), &inputs, None)?;
        if self.outer.is_paired() {
            contribution.extend(prefixed(ANCHOR, &state.anchor));
        }
        Ok(contribution)
    }

    /// The mean of contributions: one chain of additions in the order given, and one division.
    ///
    /// # Errors
    /// There are none, or a tensor is missing or of another type.
    pub fn mean(&mut self, parts: &[Weights]) -> Result<Weights, OuterError> {
        let (first, others) = parts.split_first().ok_or(OuterError::Nothing)?;
        let mut sum = first.clone();
        for part in others {
            sum = compute(self.sum.as_mut(), &[("", &sum), (PART, part)], None)?;
        }
        let count = parts.len() as f32;
        compute(self.mean.as_mut(), &[("", &sum)], Some((COUNT, count)))
    }

    /// The state after a step of a group with this mean. `own` is the replica's own contribution,
    /// as the group has it.
    ///
    /// # Errors
    /// A tensor is missing or of another type.
    pub fn step(
        &mut self,
        state: &OuterState,
        mean: &Weights,
        own: &Weights,
    ) -> Result<OuterState, OuterError> {
        let mut inputs = state.named();
        inputs.extend(prefixed(MEAN, mean));
        if self.outer.is_paired() {
            let anchors = own.iter().filter(|(name, _)| name.starts_with(ANCHOR));
            inputs.extend(anchors.map(|(name, tensor)| (format!("{OWN}{name}"), tensor.clone())));
        }
        let next = compute(self.step.as_mut(), &[("", &inputs)], None)?;
        Ok(OuterState::from_named(&next))
    }
}

fn prefixed(prefix: &str, tensors: &Weights) -> Vec<(String, Tensor)> {
    let named = tensors.iter();
    named
        .map(|(name, tensor)| (format!("{prefix}{name}"), tensor.clone()))
        .collect()
}

fn stripped(prefix: &str, tensors: &Weights) -> Weights {
    let named = tensors.iter();
    let of = named
        .filter_map(|(name, tensor)| Some((name.strip_prefix(prefix)?.to_owned(), tensor.clone())));
    of.collect()
}

/// Runs a program whose inputs are all given, and reads all of its outputs.
fn compute(
    session: &mut dyn Session,
    tensors: &[(&str, &Weights)],
    scalar: Option<(&str, f32)>,
) -> Result<Weights, OuterError> {
    // An input that is not given would keep the value of the run before.
    let expected = session.program().inputs().len();
    let found = tensors.iter().map(|(_, all)| all.len()).sum::<usize>() + scalar.iter().len();
    if found != expected {
        return Err(OuterError::Missing { expected, found });
    }
    for (prefix, all) in tensors {
        for (name, tensor) in all.iter() {
            session.write(&format!("{prefix}{name}"), tensor)?;
        }
    }
    if let Some((name, value)) = scalar {
        session.write_words(name, &[value.to_bits()])?;
    }
    session.run()?;
    let outputs = session.program().outputs().iter();
    outputs
        .map(|output| Ok((output.name.clone(), session.read(&output.name)?)))
        .collect()
}
