//! A replica as a member asks it for work: a trainer's inner steps, and outer steps on its
//! parameters ([`OuterWorker`], which takes those of a pipeline's stage as well).
//!
//! A replica's state is what its next round depends on: parameters and optimizer of the trainer,
//! and under `anchor.{p}` and `momentum.{p}` those of the outer step; a tree over all of them names
//! it, as [`crate::pipeline::stage_engine::state_root`] names a stage's.

use reproducible_ops::engine::Engine;
use reproducible_ops::program::TensorType;
use reproducible_ops::weights::Weights;
use skippipe::content::{Content, Digest};
use skippipe::meeting::{Met, Part, Taken};
use verde::state::StateTree;
use verde::tensor;

use super::contribution::{Formats, Layout};
use super::outer::{ANCHOR, MOMENTUM, Outer, OuterError, OuterPrograms, OuterState, OuterStep};
use super::work::{self, Move, Outcome, Work};

const NOT_CONTRIBUTED: &str = "no round has been trained";

/// What outer steps move: parameters, and an optimizer that goes on from wherever they are. A
/// trainer of a model, or a stage of a pipeline.
pub trait Trainable {
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

    /// Puts other parameters and another optimizer's state in place, as [`Trainable::parameters`]
    /// and [`Trainable::optimizer`] gave them.
    ///
    /// # Errors
    /// They are not those of the model.
    fn restore(&mut self, parameters: &Weights, optimizer: &Weights) -> Result<(), String>;
}

/// What trains a replica between two outer steps.
pub trait Inner: Trainable {
    /// The inner steps of a round, from 0.
    ///
    /// # Errors
    /// It cannot train on: why.
    fn train(&mut self, round: u64) -> Result<(), String>;
}

/// How replicas come together, and how what they contribute is sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OuterTerms {
    /// The outer step.
    pub outer: Outer,
    /// Formats of contributions.
    pub formats: Formats,
}

/// Anchor and momentum of something trainable, and the programs that move them.
pub struct OuterWorker {
    step: OuterStep,
    state: OuterState,
    layout: Layout,
    paired: bool,
    /// The contribution of this round: its bytes, and as everybody reads them.
    own: Option<(Content, Weights)>,
    /// Names and types of the parameters.
    types: Vec<(String, TensorType)>,
}

/// A replica.
pub struct ReplicaWorker<I> {
    inner: I,
    outer: OuterWorker,
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

impl OuterWorker {
    /// Before the first round: the anchor is what is trained.
    ///
    /// # Errors
    /// See [`WorkerError`].
    pub fn new(
        inner: &impl Trainable,
        engine: &dyn Engine,
        terms: OuterTerms,
    ) -> Result<Self, WorkerError> {
        let OuterTerms { outer, formats } = terms;
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
            paired: outer.is_paired(),
            own: None,
            types,
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
    pub fn state(&self) -> &OuterState {
        &self.state
    }

    /// Everything that the next round depends on, between two rounds.
    ///
    /// # Errors
    /// The engine lost an input.
    pub fn checkpoint(&self, inner: &impl Trainable) -> Result<Weights, String> {
        let mut all = self.state.named();
        all.extend(inner.parameters()?);
        all.extend(inner.optimizer()?);
        Ok(all)
    }

    /// Digest of [`OuterWorker::checkpoint`].
    ///
    /// # Errors
    /// The engine lost an input.
    pub fn digest(&self, inner: &impl Trainable) -> Result<Digest, String> {
        root(&self.checkpoint(inner)?)
    }

    /// Goes on from an [`OuterWorker::checkpoint`]; gives its digest.
    ///
    /// # Errors
    /// It is one of another model or optimizer. What is trained is then not to be used.
    pub fn restore(
        &mut self,
        inner: &mut impl Trainable,
        checkpoint: &Weights,
    ) -> Result<Digest, String> {
        let outer = self.checked(OuterState::from_named(checkpoint))?;
        let (mut parameters, mut optimizer) = (Weights::new(), Weights::new());
        for (name, tensor) in checkpoint.iter() {
            let is_of_outer = name.starts_with(ANCHOR) || name.starts_with(MOMENTUM);
            if self.state.anchor.get(name).is_some() {
                parameters.insert(name, tensor.clone());
            } else if !is_of_outer {
                optimizer.insert(name, tensor.clone());
            }
        }
        inner.restore(&parameters, &optimizer)?;
        self.state = outer;
        self.own = None;
        self.digest(inner)
    }

    /// The contribution to this round, and the digest of the anchor and momentum that it is a change
    /// of.
    ///
    /// # Errors
    /// Parameters cannot be sent: a number is not finite.
    pub fn contribute(&mut self, inner: &impl Trainable) -> Result<(Content, Digest), String> {
        let parameters = inner.parameters()?;
        let contribution = self
            .step
            .contribution(&parameters, &self.state)
            .map_err(text)?;
        let content = self.layout.write(&contribution).map_err(text)?;
        let read = self.layout.read(&content).map_err(text)?;
        self.own = Some((content.clone(), read));
        Ok((content, self.outer_digest()?))
    }

    /// Whether a content is a contribution, or a mean of them: within bounds in which a step stays
    /// finite.
    ///
    /// # Errors
    /// Why it is none.
    pub fn check(&self, content: &Content) -> Result<(), String> {
        let read = self.layout.read(content).map_err(text)?;
        read.check_parameters().map_err(text)
    }

    /// Whether a content is an anchor and momentum of the same model, all numbers finite.
    ///
    /// # Errors
    /// Why it is none.
    pub fn check_outer(&self, content: &Content) -> Result<(), String> {
        finite(&self.read_outer(content)?)
    }

    /// The mean of contributions, as it is sent.
    ///
    /// # Errors
    /// One of them is none.
    pub fn mean(&mut self, parts: &[Content]) -> Result<Content, String> {
        let mean = self.mean_of(parts)?;
        self.layout.write(&mean).map_err(text)
    }

    /// Takes over anchor and momentum from bytes that have them, with other tensors perhaps.
    ///
    /// # Errors
    /// They are of another model, or a number is not finite.
    pub fn take_over(&mut self, content: &Content) -> Result<(), String> {
        let state = self.read_outer(content)?;
        finite(&state)?;
        self.state = state;
        self.own = None;
        Ok(())
    }

    /// Anchor and momentum as bytes.
    pub fn export(&self) -> Content {
        Content::new(self.state.named().to_bytes())
    }

    fn mean_of(&mut self, parts: &[Content]) -> Result<Weights, String> {
        let parts = parts
            .iter()
            .map(|part| self.layout.read(part).map_err(text));
        let parts: Vec<Weights> = parts.collect::<Result<_, _>>()?;
        self.step.mean(&parts).map_err(text)
    }

    /// How a round ends by what a record says of it. `content` is what it takes besides the own
    /// contribution: [`Met::needed`].
    ///
    /// # Errors
    /// It needs a content that is not given, or no contribution was made.
    pub fn ending(&self, met: &Met, content: Option<Content>) -> Result<Move, String> {
        let (own, _) = self.own.as_ref().ok_or(NOT_CONTRIBUTED)?;
        let given = || content.clone().ok_or("what the step takes is not here");
        Ok(match &met.taken {
            Taken::Averaged { mean: Some(_), .. } => Move::Mean(given()?),
            Taken::Averaged { parts, mean: None } => {
                let part = |part: &Part| match part.contribution == own.digest() {
                    true => Ok(own.clone()),
                    false => given(),
                };
                Move::Parts(parts.iter().map(part).collect::<Result<_, _>>()?)
            }
            Taken::Adopted { .. } => Move::Adopt(given()?),
            Taken::Alone(reason) => Move::alone(self.paired, *reason),
        })
    }

    /// Ends a round. If it cannot, nothing has changed.
    ///
    /// # Errors
    /// No contribution was made, or a content is none.
    pub fn end(&mut self, inner: &mut impl Trainable, ending: Move) -> Result<(), String> {
        let own = self.own.take().ok_or(NOT_CONTRIBUTED)?;
        let ended = self.end_with(inner, ending, &own.1);
        if ended.is_err() {
            self.own = Some(own);
        }
        ended
    }

    fn end_with(
        &mut self,
        inner: &mut impl Trainable,
        ending: Move,
        own: &Weights,
    ) -> Result<(), String> {
        let next = match ending {
            Move::Stay => return Ok(()),
            Move::Own => self.step.step(&self.state, own, own).map_err(text)?,
            Move::Parts(parts) => {
                let mean = self.mean_of(&parts)?;
                self.step.step(&self.state, &mean, own).map_err(text)?
            }
            Move::Mean(content) => {
                let mean = self.layout.read(&content).map_err(text)?;
                self.step.step(&self.state, &mean, own).map_err(text)?
            }
            Move::Adopt(content) => self.read_outer(&content)?,
        };
        finite(&next)?;
        inner.place(&next.anchor)?;
        self.state = next;
        Ok(())
    }

    /// Anchor and momentum of another replica, which are those of the same model.
    fn read_outer(&self, content: &Content) -> Result<OuterState, String> {
        let tensors = Weights::from_bytes(content.bytes()).map_err(text)?;
        self.checked(OuterState::from_named(&tensors))
    }

    fn checked(&self, state: OuterState) -> Result<OuterState, String> {
        for of in [&state.anchor, &state.momentum] {
            let fits =
                |(name, ty): &(String, TensorType)| of.get(name).is_some_and(|one| one.ty() == ty);
            if of.len() != self.types.len() || !self.types.iter().all(fits) {
                return Err("an anchor and momentum of another model".into());
            }
        }
        Ok(state)
    }

    /// Digest of anchor and momentum.
    ///
    /// # Errors
    /// Two tensors have one name.
    pub fn outer_digest(&self) -> Result<Digest, String> {
        root(&self.state.named())
    }
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
        let outer = OuterWorker::new(&inner, engine, OuterTerms { outer, formats })?;
        Ok(Self { inner, outer })
    }

    /// Bytes of a contribution, and of a mean.
    pub fn contribution_bytes(&self) -> usize {
        self.outer.contribution_bytes()
    }

    /// Bytes of an exported anchor and momentum.
    pub fn outer_bytes(&self) -> usize {
        self.outer.outer_bytes()
    }

    /// Anchor and momentum.
    pub fn outer(&self) -> &OuterState {
        self.outer.state()
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
        self.outer.checkpoint(&self.inner)
    }

    /// Goes on from a [`ReplicaWorker::checkpoint`]; gives the digest of the state, which a record
    /// has.
    ///
    /// # Errors
    /// It is one of another model or optimizer. The replica is then not to be used.
    pub fn restore(&mut self, checkpoint: &Weights) -> Result<Digest, String> {
        self.outer.restore(&mut self.inner, checkpoint)
    }

    fn attempt(&mut self, work: Work) -> Result<Outcome, String> {
        let Self { inner, outer } = self;
        match work {
            Work::Train { round } => {
                inner.train(round)?;
                let (contribution, outer) = outer.contribute(inner)?;
                Ok(Outcome::Trained {
                    contribution,
                    outer,
                })
            }
            Work::Check(content) => outer.check(&content).map(|()| Outcome::Good),
            Work::Mean(parts) => outer.mean(&parts).map(Outcome::Content),
            Work::Move(ending) => {
                outer.end(inner, ending)?;
                Ok(Outcome::Moved {
                    state: outer.digest(inner)?,
                    outer: outer.outer_digest()?,
                })
            }
            Work::Export => Ok(Outcome::Content(outer.export())),
        }
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
            .field("parameters", &self.outer.types.len())
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
