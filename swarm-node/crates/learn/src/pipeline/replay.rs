//! A step of all stages on one machine, from a record of who did what: the reference that tests
//! compare stages with. Transcripts are replayed by [`skippipe::replay`].
//!
//! ```text
//! microbatches in order:  stage 0 ─▶ stages of its path ─▶ loss ─▶ the same way back
//!                                    └ a tensor that goes from stage to stage is encoded and decoded
//! per stage:              sums of its replicas, each in microbatch order ─▶ added in the order of the record
//! all stages:             squares ─▶ norm ─▶ update of the stages that were visited
//! ```
//! Only what is in the record matters: which peer computed a visit decides which partial sum its
//! gradient is part of, and so the order of additions. Memory is that of one sum for each replica,
//! however many microbatches there are.

use std::collections::BTreeMap;

use reproducible_ops::scalar;
use reproducible_ops::tensor::Tensor;
use skippipe::encoding::{CarryError, Format, carried};
use skippipe::path::{Hop, Microbatch as Number, Path, Peer, Stage};

use super::gradient::{GradientSum, Squares, UnknownSquare, global_norm, visit_scale};
use super::microbatch::Microbatch;
use super::stage_engine::{StageEngine, StageError};
use super::worker::Encoding;

/// A microbatch and the way that it took. The peer of a hop is the replica whose sum the gradient
/// is part of.
#[derive(Clone, Debug, PartialEq)]
pub struct Passage {
    /// What was learned from.
    pub microbatch: Microbatch,
    /// Stages, and replicas of them.
    pub path: Path,
}

/// A step, as it is recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct StepSpec {
    /// Microbatches in their order.
    pub passages: Vec<Passage>,
    /// For each stage its replicas that were visited, in the order in which their sums are added.
    pub reduction: Vec<Vec<Peer>>,
    /// Learning rate.
    pub learning_rate: f32,
}

/// What a step did.
#[derive(Clone, Debug, PartialEq)]
pub struct StepOutcome {
    /// Token-mean loss before the step.
    pub loss: f32,
    /// Norm of the gradient of all visited stages before clipping.
    pub grad_norm: f32,
    /// Trained tokens of the step.
    pub tokens: usize,
    /// Trained tokens that visited each stage; a stage with none was not updated.
    pub visits: Vec<usize>,
}

/// Why a step cannot be replayed. No stage has changed, but where the engine failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// A stage does not compute it.
    #[error("{stage}: {source}")]
    Stage {
        /// The stage.
        stage: Stage,
        /// Why.
        source: StageError,
    },
    /// A tensor cannot be sent.
    #[error("between stages: {0}")]
    Carry(#[from] CarryError),
    /// A path goes through a stage that is not there.
    #[error("{microbatch} goes through {stage} of {stages} stages")]
    NoStage {
        /// The microbatch.
        microbatch: Number,
        /// The stage.
        stage: Stage,
        /// Stages there are.
        stages: usize,
    },
    /// The record adds up other replicas than were visited.
    #[error("the sums of {stage} are of {visited:?}, and the record adds {recorded:?}")]
    Reduction {
        /// The stage.
        stage: Stage,
        /// Replicas that were visited, ascending.
        visited: Vec<Peer>,
        /// Replicas of the record.
        recorded: Vec<Peer>,
    },
    /// Stages are of different models.
    #[error(transparent)]
    Square(#[from] UnknownSquare),
}

impl StepSpec {
    /// A step in which the sums of each stage's replicas are added in ascending order.
    pub fn ascending(passages: Vec<Passage>, stages: usize, learning_rate: f32) -> Self {
        let visited = |stage| visited(&passages, stage);
        let reduction = (0..stages).map(|stage| visited(Stage(stage as u16)));
        Self {
            reduction: reduction.collect(),
            learning_rate,
            passages,
        }
    }

    /// Trained tokens of the step.
    pub fn tokens(&self) -> usize {
        let passages = self.passages.iter();
        passages
            .map(|passage| passage.microbatch.token_count())
            .sum()
    }

    /// Trained tokens that visit a stage.
    pub fn tokens_of(&self, stage: Stage) -> usize {
        let passages = self.passages.iter();
        let visits = passages.filter(|passage| passage.path.hop_at(stage).is_some());
        visits.map(|passage| passage.microbatch.token_count()).sum()
    }

    fn check(&self, stages: usize) -> Result<(), ReplayError> {
        for (number, passage) in self.passages.iter().enumerate() {
            let mut hops = passage.path.hops().iter();
            if let Some(hop) = hops.find(|hop| hop.stage.index() >= stages) {
                return Err(ReplayError::NoStage {
                    microbatch: Number(number as u32),
                    stage: hop.stage,
                    stages,
                });
            }
        }
        for stage in 0..stages {
            let recorded = self.reduction.get(stage).cloned().unwrap_or_default();
            let stage = Stage(stage as u16);
            let visited = visited(&self.passages, stage);
            let mut sorted = recorded.clone();
            sorted.sort();
            if sorted != visited {
                return Err(ReplayError::Reduction {
                    stage,
                    visited,
                    recorded,
                });
            }
        }
        Ok(())
    }
}

/// Replicas of a stage that are visited, ascending.
fn visited(passages: &[Passage], stage: Stage) -> Vec<Peer> {
    let hops = passages.iter();
    let mut peers: Vec<Peer> = hops
        .filter_map(|passage| Some(passage.path.hop_at(stage)?.peer))
        .collect();
    peers.sort();
    peers.dedup();
    peers
}

/// Runs a step of all stages of a model, which are given in their order, and updates those that
/// were visited.
///
/// # Errors
/// See [`ReplayError`].
pub fn replay_step(
    stages: &mut [StageEngine],
    step: &StepSpec,
    encoding: Encoding,
) -> Result<StepOutcome, ReplayError> {
    step.check(stages.len())?;
    let tokens = step.tokens();
    let mut replay = Replay {
        sums: vec![BTreeMap::new(); stages.len()],
        stages,
        encoding,
        tokens,
    };
    let mut loss = 0.0;
    for passage in &step.passages {
        loss = scalar::add(loss, replay.pass(passage)?);
    }
    let (grad_norm, visits) = replay.update(step)?;
    Ok(StepOutcome {
        loss,
        grad_norm,
        tokens,
        visits,
    })
}

struct Replay<'a> {
    stages: &'a mut [StageEngine],
    encoding: Encoding,
    /// Trained tokens of the step.
    tokens: usize,
    /// Sums of each stage's replicas.
    sums: Vec<BTreeMap<Peer, GradientSum>>,
}

fn at<T>(stage: Stage, result: Result<T, StageError>) -> Result<T, ReplayError> {
    result.map_err(|source| ReplayError::Stage { stage, source })
}

impl Replay<'_> {
    /// A microbatch forward and backward; returns its share of the loss.
    fn pass(&mut self, passage: &Passage) -> Result<f32, ReplayError> {
        let Passage { microbatch, path } = passage;
        let (first, others) = (path.hops()[0], &path.hops()[1..]);
        let mut taken = Vec::with_capacity(others.len());
        let mut hidden = at(Stage::FIRST, self.stages[0].embed(microbatch))?;
        for hop in others {
            let input = carried(self.encoding.hidden, &hidden)?;
            let stage = &mut self.stages[hop.stage.index()];
            hidden = at(hop.stage, stage.forward(&input, microbatch))?;
            taken.push(input);
        }
        // What goes from stage 0 to itself is not sent.
        let is_sent = !others.is_empty();
        let hidden = self.carried_if(is_sent, self.encoding.hidden, hidden)?;
        let loss = self.stages[0].loss(&hidden, microbatch, self.tokens);
        let loss = at(Stage::FIRST, loss)?;
        let mut gradient = loss.gradient;
        for (hop, input) in others.iter().zip(taken).rev() {
            let received = carried(self.encoding.gradient, &gradient)?;
            let stage = &mut self.stages[hop.stage.index()];
            let (before, visit) = at(hop.stage, stage.backward(&input, microbatch, &received))?;
            self.add(*hop, &visit)?;
            gradient = before;
        }
        let gradient = self.carried_if(is_sent, self.encoding.gradient, gradient)?;
        let visit = self.stages[0].embed_backward(microbatch, &gradient, loss.parameters);
        self.add(first, &at(Stage::FIRST, visit)?)?;
        Ok(loss.loss)
    }

    fn carried_if(
        &self,
        is_sent: bool,
        format: Format,
        tensor: Tensor,
    ) -> Result<Tensor, CarryError> {
        match is_sent {
            true => carried(format, &tensor),
            false => Ok(tensor),
        }
    }

    fn add(&mut self, hop: Hop, visit: &super::gradient::VisitGradient) -> Result<(), ReplayError> {
        let stage = &mut self.stages[hop.stage.index()];
        let sums = &mut self.sums[hop.stage.index()];
        let so_far = sums.remove(&hop.peer);
        let so_far = so_far.unwrap_or_else(|| stage.zero_sum());
        let sum = at(hop.stage, stage.add_visit(&so_far, visit))?;
        sums.insert(hop.peer, sum);
        Ok(())
    }

    /// Updates the stages that were visited; returns the norm, and each stage's tokens.
    fn update(&mut self, step: &StepSpec) -> Result<(f32, Vec<usize>), ReplayError> {
        let numbers = (0..self.stages.len()).map(|stage| Stage(stage as u16));
        let visits: Vec<usize> = numbers.map(|stage| step.tokens_of(stage)).collect();
        let mut scaled = Vec::new();
        let mut squares = Squares::new();
        for (stage, engine) in self.stages.iter_mut().enumerate() {
            if visits[stage] == 0 {
                continue;
            }
            let number = Stage(stage as u16);
            let sums = step.reduction[stage].iter();
            let sums = sums.filter_map(|peer| self.sums[stage].get(peer));
            let sum = at(number, engine.combine(sums))?;
            let scale = visit_scale(self.tokens, visits[stage]);
            squares.extend(at(number, engine.squares(&sum, scale))?);
            scaled.push((number, sum, scale));
        }
        let norm = global_norm(self.stages[0].programs().model_parameters(), &squares)?;
        for (stage, sum, scale) in scaled {
            let engine = &mut self.stages[stage.index()];
            let updated = engine.update(&sum, scale, norm, step.learning_rate);
            at(stage, updated)?;
        }
        Ok((norm, visits))
    }
}
