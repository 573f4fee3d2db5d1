//! A stage's engine as members of a pipeline ask for work: bytes in, bytes out.
//!
//! Activations and their gradients are encoded ([`skippipe::encoding`]) in the formats that all
//! members agree on; sums of gradients and whole states are safetensors files, of f32. A whole
//! state has parameters under their names and the optimizer's tensors under theirs.
//!
//! Of a pipeline that meets others a stage has an anchor and a momentum, too
//! ([`OuterWorker`]), which are part of its state.
//!
//! A stage that is rebuilt from its neighbours (CheckFree) takes the mean of their layers, place by
//! place, and of what they have of bottlenecks, with the norms of their gradients as weights, and
//! begins with moments of zero; its anchor is that mean.

use std::collections::BTreeMap;
use std::sync::Arc;

use reproducible_ops::engine::Engine;
use reproducible_ops::program::Shape;
use reproducible_ops::scalar;
use reproducible_ops::tensor::Tensor;
use reproducible_ops::weights::Weights;
use skippipe::content::{Content, Digest};
use skippipe::encoding::{self, DecodeError, Format};
use skippipe::path::{Microbatch as Number, Stage};
use skippipe::replay::Arrival;
use skippipe::work::{self, Outcome, Task, Work};
use swarm_model::stages::{StagedModel, bottleneck};

use super::data::StepData;
use super::gradient::{
    GradientSum, LossGradient, Squares, VisitGradient, global_norm, visit_scale,
};
use super::programs::{StagePrograms, StageProgramsError};
use super::stage_engine::{StageEngine, StageError, state_root};
use super::stage_plan::Arrived;
use crate::assemble::OptimizerConfig;
use crate::averaging::outer::{ANCHOR, MOMENTUM};
use crate::averaging::worker::{OuterTerms, OuterWorker, Trainable, WorkerError as OuterError};
use crate::trainer::TrainState;

/// How tensors go from stage to stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Encoding {
    /// Hidden states.
    pub hidden: Format,
    /// Their gradients.
    pub gradient: Format,
}

/// What all members of a pipeline have alike, from which any of its stages is made.
#[derive(Clone)]
pub struct Blueprint {
    /// The model and its cuts.
    pub model: StagedModel,
    /// Rows and length of a microbatch.
    pub shape: [usize; 2],
    /// How gradients move parameters.
    pub optimizer: OptimizerConfig,
    /// Parameters before the first step, and the tables of RoPE.
    pub weights: Arc<Weights>,
    /// Rows of steps.
    pub data: Arc<StepData>,
    /// How tensors go from stage to stage.
    pub encoding: Encoding,
    /// How pipelines come together that train apart; none of a pipeline alone.
    pub outer: Option<OuterTerms>,
}

/// Why there is no stage to work with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkerError {
    /// Its programs cannot be made.
    #[error(transparent)]
    Programs(#[from] StageProgramsError),
    /// The engine does not take them.
    #[error(transparent)]
    Stage(#[from] StageError),
    /// The outer step does not fit its parameters.
    #[error(transparent)]
    Outer(#[from] OuterError),
    /// There is no commitment to its state.
    #[error("the stage's state: {0}")]
    State(String),
}

/// What is kept of a task until the step is over.
enum Kept {
    Loss(LossGradient),
    Visit(VisitGradient),
}

/// Whatever a member asks for, on an engine. Without a stage at first, for a member that has none.
pub struct StageWorker {
    blueprint: Blueprint,
    engine: Arc<dyn Engine>,
    stage: Option<StageEngine>,
    /// Anchor and momentum of the stage, where pipelines meet.
    outer: Option<OuterWorker>,
    kept: BTreeMap<Task, Kept>,
}

impl Blueprint {
    /// A stage's programs on an engine, with the parameters before the first step.
    ///
    /// # Errors
    /// See [`WorkerError`].
    pub fn stage(
        &self,
        engine: &Arc<dyn Engine>,
        stage: Stage,
    ) -> Result<StageEngine, WorkerError> {
        let (model, optimizer) = (&self.model, &self.optimizer);
        let programs = StagePrograms::new(model, stage.index(), self.shape, optimizer)?;
        Ok(StageEngine::new(
            engine.clone(),
            Arc::new(programs),
            &self.weights,
        )?)
    }

    /// Anchor and momentum of a stage whose parameters are its anchor; none of a pipeline alone.
    ///
    /// # Errors
    /// See [`WorkerError`].
    pub fn outer(
        &self,
        engine: &Arc<dyn Engine>,
        stage: &StageEngine,
    ) -> Result<Option<OuterWorker>, WorkerError> {
        let made = self
            .outer
            .map(|terms| OuterWorker::new(stage, engine.as_ref(), terms));
        Ok(made.transpose()?)
    }

    /// What came to a stage, read from what was sent.
    ///
    /// # Errors
    /// It is not in the formats that all members agree on.
    pub fn arrived<'a>(
        &self,
        arrivals: impl IntoIterator<Item = &'a Arrival>,
    ) -> Result<BTreeMap<Number, Arrived>, DecodeError> {
        let (shape, Encoding { hidden, gradient }) = (self.hidden(), self.encoding);
        let arrived = arrivals.into_iter().map(|arrival| {
            let arrived = Arrived {
                hidden: encoding::decode(hidden, &shape, arrival.input.bytes())?,
                gradient: encoding::decode(gradient, &shape, arrival.gradient.bytes())?,
            };
            Ok((arrival.microbatch, arrived))
        });
        arrived.collect()
    }

    /// A stage's whole state, as a peer sends or keeps it, cut into parameters and the rest.
    ///
    /// # Errors
    /// It is none. Whether it is the stage's, its root tells.
    pub fn read_state(&self, stage: Stage, content: &Content) -> Result<TrainState, String> {
        read_state(self, stage, content)
    }

    /// Names of a stage's parameters as sums of squares come: in alphabetical order.
    fn sorted_names(&self, stage: Stage) -> Vec<String> {
        let names = self.model.parameters(stage.index()).into_iter();
        let mut names: Vec<String> = names.map(|(name, _)| name).collect();
        names.sort();
        names
    }

    /// Shape of what goes from stage to stage.
    fn hidden(&self) -> Shape {
        let [rows, length] = self.shape;
        [rows, length, self.model.sent_width()].into()
    }
}

impl StageWorker {
    /// A worker; `stage` is what it begins with.
    ///
    /// # Errors
    /// See [`WorkerError`].
    pub fn new(
        blueprint: Blueprint,
        engine: Arc<dyn Engine>,
        stage: Option<Stage>,
    ) -> Result<Self, WorkerError> {
        let built = stage
            .map(|stage| blueprint.stage(&engine, stage))
            .transpose()?;
        let outer = match &built {
            Some(stage) => blueprint.outer(&engine, stage)?,
            None => None,
        };
        Ok(Self {
            blueprint,
            engine,
            stage: built,
            outer,
            kept: BTreeMap::new(),
        })
    }

    /// Digest of the stage's state; none without a stage.
    ///
    /// # Errors
    /// The engine lost an input.
    pub fn state(&self) -> Result<Option<Digest>, WorkerError> {
        let stage = self.stage.as_ref();
        let digest = stage.map(|stage| digest(stage, self.outer.as_ref()));
        digest.transpose().map_err(WorkerError::State)
    }

    /// Anchor and momentum of the stage, where pipelines meet.
    pub fn outer(&self) -> Option<&OuterWorker> {
        self.outer.as_ref()
    }

    /// The stage's parameters and optimizer state; none without a stage.
    ///
    /// # Errors
    /// The engine lost an input.
    pub fn train_state(&self) -> Result<Option<TrainState>, StageError> {
        self.stage.as_ref().map(StageEngine::state).transpose()
    }

    fn attempt(&mut self, task: Task, work: Work) -> Result<Outcome, String> {
        match work {
            Work::Forget(tasks) => {
                tasks.iter().for_each(|task| {
                    self.kept.remove(task);
                });
                Ok(Outcome::Nothing)
            }
            Work::Norm(squares) => self.norm(&squares),
            Work::Load { stage, state } => {
                let read = read_state(&self.blueprint, stage, &state)?;
                self.take_up(stage, &read, Some(&state))
            }
            Work::Average { stage, parts } => {
                let state = self.average(stage, &parts)?;
                self.take_up(stage, &state, None)
            }
            work => self.with_stage(task, work),
        }
    }

    fn with_stage(&mut self, task: Task, work: Work) -> Result<Outcome, String> {
        let Self {
            blueprint,
            stage,
            outer,
            kept,
            ..
        } = self;
        let stage = stage.as_mut().ok_or("there is no stage here")?;
        let Blueprint { data, encoding, .. } = &*blueprint;
        let hidden = |content: &Content| {
            let bytes = content.bytes();
            encoding::decode(encoding.hidden, &blueprint.hidden(), bytes).map_err(text)
        };
        let gradient_of = |content: &Content| {
            let bytes = content.bytes();
            encoding::decode(encoding.gradient, &blueprint.hidden(), bytes).map_err(text)
        };
        let outcome = match work {
            Work::Embed { step, microbatch } => {
                let output = stage
                    .embed(&data.microbatch(step, microbatch))
                    .map_err(text)?;
                Outcome::Content(encoded(encoding.hidden, &output)?)
            }
            Work::Forward {
                step,
                microbatch,
                input,
            } => {
                let rows = data.microbatch(step, microbatch);
                let output = stage.forward(&hidden(&input)?, &rows).map_err(text)?;
                Outcome::Content(encoded(encoding.hidden, &output)?)
            }
            Work::Loss {
                step,
                microbatch,
                input,
            } => {
                let rows = data.microbatch(step, microbatch);
                let tokens = data.step_tokens(step);
                let loss = stage.loss(&hidden(&input)?, &rows, tokens).map_err(text)?;
                let gradient = encoded(encoding.gradient, &loss.gradient)?;
                kept.insert(task, Kept::Loss(loss.parameters));
                Outcome::Loss(loss.loss.to_bits(), gradient)
            }
            Work::Backward {
                step,
                microbatch,
                input,
                gradient,
            } => {
                let rows = data.microbatch(step, microbatch);
                let (input, gradient) = (hidden(&input)?, gradient_of(&gradient)?);
                let back = stage.backward(&input, &rows, &gradient).map_err(text)?;
                kept.insert(task, Kept::Visit(back.1));
                Outcome::Content(encoded(encoding.gradient, &back.0)?)
            }
            Work::EmbedBackward {
                step,
                microbatch,
                gradient,
                loss,
            } => {
                let rows = data.microbatch(step, microbatch);
                let gradient = gradient_of(&gradient)?;
                let Some(Kept::Loss(head)) = kept.get(&loss) else {
                    return Err("the loss of the microbatch is not kept any more".into());
                };
                let visit = stage
                    .embed_backward(&rows, &gradient, head.clone())
                    .map_err(text)?;
                kept.remove(&loss);
                kept.insert(task, Kept::Visit(visit));
                Outcome::Nothing
            }
            Work::Sum(tasks) => {
                let visits = tasks.iter().map(|task| match kept.get(task) {
                    Some(Kept::Visit(visit)) => Ok(visit),
                    _ => Err("the gradient of a visit is not kept any more".to_owned()),
                });
                let visits: Vec<&VisitGradient> = visits.collect::<Result<_, _>>()?;
                let numbered = (0..).map(Number).zip(visits);
                content_of(&stage.sum(numbered).map_err(text)?)?
            }
            Work::Add(left, right) => {
                let sums = [read_sum(stage, &left)?, read_sum(stage, &right)?];
                content_of(&stage.combine(&sums).map_err(text)?)?
            }
            Work::Squares { step, sum, visits } => {
                let sum = read_sum(stage, &sum)?;
                let scale = scale(data, step, &visits);
                let squares = stage.squares(&sum, scale).map_err(text)?;
                Outcome::Squares(squares.values().map(|square| square.to_bits()).collect())
            }
            Work::Update {
                step,
                sum,
                visits,
                norm,
            } => {
                let sum = read_sum(stage, &sum)?;
                let scale = scale(data, step, &visits);
                let norm = f32::from_bits(norm);
                stage
                    .update(&sum, scale, norm, data.rate(step))
                    .map_err(text)?;
                Outcome::State(digest(stage, outer.as_ref())?)
            }
            Work::Contribute { .. } => {
                let (contribution, outer) = met(outer)?.contribute(stage)?;
                Outcome::Contribution(contribution, outer)
            }
            Work::Check(content) => {
                met(outer)?.check(&content)?;
                Outcome::Nothing
            }
            Work::CheckOuter(content) => {
                met(outer)?.check_outer(&content)?;
                Outcome::Nothing
            }
            Work::Mean(parts) => Outcome::Content(met(outer)?.mean(&parts)?),
            Work::Meet { met: did, content } => {
                let worker = met(outer)?;
                let ending = worker.ending(&did, content)?;
                worker.end(stage, ending)?;
                Outcome::State(worker.digest(stage)?)
            }
            Work::ExportOuter => Outcome::Content(met(outer)?.export()),
            Work::Export => {
                let TrainState {
                    params, optimizer, ..
                } = stage.state().map_err(text)?;
                let named = params.iter().chain(optimizer.iter());
                let mut all: Weights = named
                    .map(|(name, one)| (name.to_owned(), one.clone()))
                    .collect();
                if let Some(outer) = outer {
                    all.extend(outer.state().named());
                }
                Outcome::Content(Content::new(all.to_bytes()))
            }
            Work::Forget(_) | Work::Norm(_) | Work::Load { .. } | Work::Average { .. } => {
                return Err("this work is of no stage".into());
            }
        };
        Ok(outcome)
    }

    /// The norms of all gradients together and of each stage's.
    fn norm(&self, squares: &BTreeMap<Stage, Vec<u32>>) -> Result<Outcome, String> {
        let mut all = Squares::new();
        let mut stages = BTreeMap::new();
        let parameters = self.blueprint.model.all_parameters();
        let order: Vec<String> = parameters.into_iter().map(|(name, _)| name).collect();
        for (&stage, of_stage) in squares {
            let names = self.blueprint.sorted_names(stage);
            if names.len() != of_stage.len() {
                let (found, expected) = (of_stage.len(), names.len());
                return Err(format!("{stage} has {expected} parameters, not {found}"));
            }
            let values = of_stage.iter().map(|bits| f32::from_bits(*bits));
            let named: Squares = names.into_iter().zip(values).collect();
            let norm = global_norm(&order, &named).map_err(text)?;
            stages.insert(stage, norm.to_bits());
            all.extend(named);
        }
        let norm = global_norm(&order, &all).map_err(text)?;
        Ok(Outcome::Norm(norm.to_bits(), stages))
    }

    /// Holds a stage in a state. `whole` has its anchor and momentum, too, where pipelines meet; without,
    /// its anchor is where it is.
    fn take_up(
        &mut self,
        stage: Stage,
        state: &TrainState,
        whole: Option<&Content>,
    ) -> Result<Outcome, String> {
        let mut built = self.blueprint.stage(&self.engine, stage).map_err(text)?;
        built.load(state).map_err(text)?;
        let mut outer = self.blueprint.outer(&self.engine, &built).map_err(text)?;
        if let (Some(outer), Some(whole)) = (&mut outer, whole) {
            outer.take_over(whole)?;
        }
        let digest = digest(&built, outer.as_ref())?;
        self.stage = Some(built);
        self.outer = outer;
        self.kept.clear();
        Ok(Outcome::State(digest))
    }

    fn average(&self, stage: Stage, parts: &[(Content, u32)]) -> Result<TrainState, String> {
        let mut sources = Vec::new();
        for (content, weight) in parts {
            let tensors = Weights::from_bytes(content.bytes()).map_err(text)?;
            let weight = f32::from_bits(*weight);
            let usable = weight.is_finite() && weight > 0.0;
            sources.push((tensors, if usable { weight } else { 1.0 }));
        }
        let weights = sources.iter().map(|(_, weight)| *weight);
        let total = weights.reduce(scalar::add).ok_or("there is no neighbour")?;
        let layers = self.blueprint.model.layers(stage.index());
        let first = layers.ok_or_else(|| format!("there is no {stage}"))?.start;
        let mut params = Weights::default();
        for (name, shape) in self.blueprint.model.parameters(stage.index()) {
            let mut mean = vec![0.0; shape.iter().product()];
            for (tensors, weight) in &sources {
                let part = counterpart(tensors, &name, first)
                    .ok_or_else(|| format!("a neighbour has nothing that stands for `{name}`"))?;
                let share = scalar::div(*weight, total);
                let values = part.as_f32().map_err(text)?;
                if values.len() != mean.len() {
                    return Err(format!("a neighbour's part of `{name}` has another size"));
                }
                for (sum, value) in mean.iter_mut().zip(values) {
                    *sum = scalar::fma(share, *value, *sum);
                }
            }
            params.insert(&name, Tensor::f32(shape, mean).map_err(text)?);
        }
        let built = self.blueprint.stage(&self.engine, stage).map_err(text)?;
        let fresh = built.state().map_err(text)?;
        Ok(TrainState { params, ..fresh })
    }
}

impl Trainable for StageEngine {
    fn parameters(&self) -> Result<Weights, String> {
        Ok(self.state().map_err(text)?.params)
    }

    fn optimizer(&self) -> Result<Weights, String> {
        Ok(self.state().map_err(text)?.optimizer)
    }

    fn place(&mut self, parameters: &Weights) -> Result<(), String> {
        let optimizer = self.optimizer()?;
        self.restore(parameters, &optimizer)
    }

    fn restore(&mut self, parameters: &Weights, optimizer: &Weights) -> Result<(), String> {
        let state = TrainState {
            step: self.updates(),
            params: parameters.clone(),
            optimizer: optimizer.clone(),
        };
        self.load(&state).map_err(text)
    }
}

impl std::fmt::Debug for StageWorker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let layers = self.stage.as_ref().map(|stage| stage.programs().stage());
        f.debug_struct("StageWorker")
            .field("stage", &layers)
            .field("kept", &self.kept.len())
            .finish_non_exhaustive()
    }
}

impl work::Engine for StageWorker {
    fn perform(&mut self, task: Task, work: Work) -> Option<Outcome> {
        let silent = matches!(work, Work::Forget(_));
        let outcome = self.attempt(task, work).unwrap_or_else(Outcome::Refused);
        (!silent).then_some(outcome)
    }
}

/// Digest of a stage's whole state.
fn digest(stage: &StageEngine, outer: Option<&OuterWorker>) -> Result<Digest, String> {
    match outer {
        Some(outer) => outer.digest(stage),
        None => Ok(Digest(stage.digest().map_err(text)?)),
    }
}

fn met(outer: &mut Option<OuterWorker>) -> Result<&mut OuterWorker, String> {
    let outer = outer.as_mut();
    outer.ok_or_else(|| "this pipeline meets no others".into())
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn encoded(format: Format, tensor: &Tensor) -> Result<Content, String> {
    let bytes = encoding::encode(format, tensor).map_err(text)?;
    Ok(Content::new(bytes))
}

fn content_of(sum: &GradientSum) -> Result<Outcome, String> {
    let tensors = sum.read().map_err(text)?;
    Ok(Outcome::Content(Content::new(tensors.to_bytes())))
}

fn read_sum(stage: &StageEngine, content: &Content) -> Result<GradientSum, String> {
    let tensors = Weights::from_bytes(content.bytes()).map_err(text)?;
    stage.receive_sum(&tensors).map_err(text)
}

/// What makes a sum over these visits the mean over their tokens, given that losses are divided by
/// all tokens of the step.
fn scale(data: &StepData, step: u64, visits: &[Number]) -> f32 {
    let visited = data.tokens(step, visits.iter().copied());
    visit_scale(data.step_tokens(step), visited)
}

/// A whole state from a peer, cut into parameters and the rest.
fn read_state(
    blueprint: &Blueprint,
    stage: Stage,
    content: &Content,
) -> Result<TrainState, String> {
    let tensors = Weights::from_bytes(content.bytes()).map_err(text)?;
    let names = blueprint.sorted_names(stage);
    let (mut params, mut optimizer) = (Weights::default(), Weights::default());
    let is_outer = |name: &str| name.starts_with(ANCHOR) || name.starts_with(MOMENTUM);
    let is_meeting = blueprint.outer.is_some();
    for (name, tensor) in tensors.iter() {
        if is_meeting && is_outer(name) {
            continue;
        }
        let part = match names.binary_search_by(|known| known.as_str().cmp(name)) {
            Ok(_) => &mut params,
            Err(_) => &mut optimizer,
        };
        part.insert(name, tensor.clone());
    }
    let state = TrainState {
        step: 0,
        params,
        optimizer,
    };
    state_root(&state).map_err(text)?;
    Ok(state)
}

/// The tensor of a neighbour that stands where a parameter stands: of the layer at `place` of its
/// own stage that of the neighbour's layer at the same place, or its last; of a bottleneck the
/// neighbour's own, as all stages share the space of what is sent, and what tokens are.
fn counterpart<'w>(tensors: &'w Weights, name: &str, first: usize) -> Option<&'w Tensor> {
    if let Some((_, part)) = bottleneck::part_of(name) {
        let stands = |found: &&str| {
            let found = bottleneck::part_of(found);
            found.is_some_and(|(_, other)| other == part)
        };
        return tensors.get(tensors.names().find(stands)?);
    }
    let (layer, part) = layer_of(name)?;
    let layers = tensors.names().filter_map(layer_of);
    let layers = layers
        .filter(|(_, found)| *found == part)
        .map(|(layer, _)| layer);
    let mut layers: Vec<usize> = layers.collect();
    layers.sort_unstable();
    let place = layer.checked_sub(first)?.min(layers.len().checked_sub(1)?);
    tensors.get(&format!("{LAYERS}{}.{part}", layers[place]))
}

const LAYERS: &str = "model.layers.";

/// Number of a layer, and which of its parameters.
fn layer_of(name: &str) -> Option<(usize, &str)> {
    let (layer, part) = name.strip_prefix(LAYERS)?.split_once('.')?;
    Some((layer.parse().ok()?, part))
}
