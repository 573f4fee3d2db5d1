//! A replica as a member asks it for work: a trainer's inner steps, and outer steps on its
//! parameters.
//!
//! A replica's state is what its next round depends on: parameters and optimizer of the trainer,
//! and under `anchor.{p}` and `momentum.{p}` those of the outer step; a tree over all of them names
//! it, as [`crate::pipeline::stage_engine::state_root`] names a stage's.

use reproducible_ops::engine::Engine;
use reproducible_ops::program::TensorType;
use reproducible_ops::weights::Weights;
use skippipe::content::{Content, Digest};
use verde::state::StateTree;
use verde::tensor;

use super::contribution::{Formats, Layout};
use super::outer::{ANCHOR, MOMENTUM, Outer, OuterError, OuterPrograms, OuterState, OuterStep};
use super::work::{self, Move, Outcome, Work};

/// What trains a replica between two outer steps: a trainer of a model, or the stages of a
/// pipeline.
pub trait Inner {
    /// The inner steps of a round, from 0.
    ///
    /// # Errors
    /// It cannot train on: why.
    fn train(&mut self, round: u64) -> Result<(), String>;

    /// A copy of the parameters.
    ///
    /// # Errors
    /// The engine lost an input.
    fn parameters(&self) -> Result<Weights, String>;

    /// What the next inner step depends on besides parameters and data, under names that no
    /// parameter has.
    ///
    /// # Errors
    /// The engine lost an input.
    fn optimizer(&self) -> Result<Weights, String>;

    /// Puts other parameters in place; the optimizer's state stays.
    ///
    /// # Errors
    /// They are not those of the model.
    fn place(&mut self, parameters: &Weights) -> Result<(), String>;

    /// Puts other parameters and another optimizer's state in place, as [`Inner::parameters`] and
    /// [`Inner::optimizer`] gave them.
    ///
    /// # Errors
    /// They are not those of the model.
    fn restore(&mut self, parameters: &Weights, optimizer: &Weights) -> Result<(), String>;
}

/// A replica.
pub struct ReplicaWorker<I> {
    inner: I,
    step: OuterStep,
    state: OuterState,
    layout: Layout,
    /// The contribution of this round, as everybody reads it.
    own: Option<Weights>,
    /// Names and types of the parameters.
    types: Vec<(String, TensorType)>,
}

/// Why there is no replica to work with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkerError {
    /// The outer step does not fit the parameters.
    #[error(transparent)]
    Outer(#[from] OuterError),
    /// The trainer has no parameters.
    #[error("the replica's trainer: {0}")]
    Inner(String),
}

impl<I: Inner> ReplicaWorker<I> {
    /// A replica before its first round: its anchor is what the trainer has.
    ///
    /// # Errors
    /// See [`WorkerError`].
    pub fn new(
        inner: I,
        engine: &dyn Engine,
        outer: Outer,
        formats: Formats,
    ) -> Result<Self, WorkerError> {
        let parameters = inner.parameters().map_err(WorkerError::Inner)?;
        let types = parameters.iter();
        let types: Vec<(String, TensorType)> = types
            .map(|(name, tensor)| (name.to_owned(), tensor.ty().clone()))
            .collect();
        let programs = OuterPrograms::new(outer, &types).map_err(OuterError::from)?;
        Ok(Self {
            step: OuterStep::new(engine, &programs)?,
            state: OuterState::initial(parameters),
            layout: Layout::new(programs.contributed(), formats),
            own: None,
            types,
            inner,
        })
    }

    /// Bytes of a contribution, and of a mean.
    pub fn contribution_bytes(&self) -> usize {
        self.layout.bytes()
    }

    /// Bytes of an exported anchor and momentum.
    pub fn outer_bytes(&self) -> usize {
        self.state.named().to_bytes().len()
    }

    /// Anchor and momentum.
    pub fn outer(&self) -> &OuterState {
        &self.state
    }

    /// What trains it.
    pub fn inner(&self) -> &I {
        &self.inner
    }

    /// What trains it, to be told something.
    pub fn inner_mut(&mut self) -> &mut I {
        &mut self.inner
    }

    /// Everything that the next round depends on, between two rounds.
    ///
    /// # Errors
    /// The engine lost an input.
    pub fn checkpoint(&self) -> Result<Weights, String> {
        let mut all = self.state.named();
        all.extend(self.inner.parameters()?);
        all.extend(self.inner.optimizer()?);
        Ok(all)
    }

    /// Goes on from a [`ReplicaWorker::checkpoint`]; gives the digest of the state, which a record
    /// has.
    ///
    /// # Errors
    /// It is one of another model or optimizer. The replica is then not to be used.
    pub fn restore(&mut self, checkpoint: &Weights) -> Result<Digest, String> {
        let outer = self.checked_outer(OuterState::from_named(checkpoint))?;
        let (mut parameters, mut optimizer) = (Weights::new(), Weights::new());
        for (name, tensor) in checkpoint.iter() {
            let is_of_outer = name.starts_with(ANCHOR) || name.starts_with(MOMENTUM);
            if self.state.anchor.get(name).is_some() {
                parameters.insert(name, tensor.clone());
            } else if !is_of_outer {
                optimizer.insert(name, tensor.clone());
            }
        }
        self.inner.restore(&parameters, &optimizer)?;
        self.state = outer;
        self.own = None;
        self.state_digest()
    }

    fn attempt(&mut self, work: Work) -> Result<Outcome, String> {
        match work {
            Work::Train { round } => {
                self.inner.train(round)?;
                let parameters = self.inner.parameters()?;
                let contribution = self
                    .step
                    .contribution(&parameters, &self.state)
                    .map_err(text)?;
                let content = self.layout.write(&contribution).map_err(text)?;
                self.own = Some(self.layout.read(&content).map_err(text)?);
                Ok(Outcome::Trained {
                    contribution: content,
                    outer: self.outer_digest()?,
                })
            }
            Work::Check(content) => {
                // Within these bounds a step stays finite.
                self.layout
                    .read(&content)
                    .map_err(text)?
                    .check_parameters()
                    .map_err(text)?;
                Ok(Outcome::Good)
            }
            Work::Mean(parts) => {
                let mean = self.mean(&parts)?;
                Ok(Outcome::Content(self.layout.write(&mean).map_err(text)?))
            }
            Work::Move(ending) => self.end(ending),
            Work::Export => Ok(Outcome::Content(Content::new(
                self.state.named().to_bytes(),
            ))),
        }
    }

    fn mean(&mut self, parts: &[Content]) -> Result<Weights, String> {
        let parts = parts
            .iter()
            .map(|part| self.layout.read(part).map_err(text));
        let parts: Vec<Weights> = parts.collect::<Result<_, _>>()?;
        self.step.mean(&parts).map_err(text)
    }

    fn end(&mut self, ending: Move) -> Result<Outcome, String> {
        let own = self.own.as_ref().ok_or("no round has been trained")?;
        let next = match ending {
            Move::Stay => None,
            Move::Own => Some(self.step.step(&self.state, own, own).map_err(text)?),
            Move::Parts(parts) => {
                let own = own.clone();
                let mean = self.mean(&parts)?;
                Some(self.step.step(&self.state, &mean, &own).map_err(text)?)
            }
            Move::Mean(content) => {
                let mean = self.layout.read(&content).map_err(text)?;
                Some(self.step.step(&self.state, &mean, own).map_err(text)?)
            }
            Move::Adopt(content) => Some(self.read_outer(&content)?),
        };
        if let Some(next) = next {
            finite(&next)?;
            self.inner.place(&next.anchor)?;
            self.state = next;
        }
        self.own = None;
        Ok(Outcome::Moved {
            state: self.state_digest()?,
            outer: self.outer_digest()?,
        })
    }

    /// Anchor and momentum of another replica, which are those of the same model.
    fn read_outer(&self, content: &Content) -> Result<OuterState, String> {
        let tensors = Weights::from_bytes(content.bytes()).map_err(text)?;
        self.checked_outer(OuterState::from_named(&tensors))
    }

    fn checked_outer(&self, state: OuterState) -> Result<OuterState, String> {
        for of in [&state.anchor, &state.momentum] {
            let fits =
                |(name, ty): &(String, TensorType)| of.get(name).is_some_and(|one| one.ty() == ty);
            if of.len() != self.types.len() || !self.types.iter().all(fits) {
                return Err("an anchor and momentum of another model".into());
            }
        }
        Ok(state)
    }

    fn outer_digest(&self) -> Result<Digest, String> {
        root(&self.state.named())
    }

    fn state_digest(&self) -> Result<Digest, String> {
        root(&self.checkpoint()?)
    }
}

impl<I: Inner> work::Engine for ReplicaWorker<I> {
    fn perform(&mut self, work: Work) -> Outcome {
        self.attempt(work).unwrap_or_else(Outcome::Refused)
    }
}

impl<I> std::fmt::Debug for ReplicaWorker<I> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReplicaWorker")
            .field("parameters", &self.types.len())
            .finish_non_exhaustive()
    }
}

fn root(tensors: &Weights) -> Result<Digest, String> {
    let roots = tensors
        .iter()
        .map(|(name, tensor)| (name, tensor::root(tensor)));
    Ok(Digest(StateTree::new(roots).map_err(text)?.root()))
}

fn finite(state: &OuterState) -> Result<(), String> {
    for (name, tensor) in state.anchor.iter().chain(state.momentum.iter()) {
        if let Some((index, value)) = tensor.first_beyond(f32::MAX) {
            return Err(format!("element {index} of `{name}` would become {value}"));
        }
    }
    Ok(())
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
