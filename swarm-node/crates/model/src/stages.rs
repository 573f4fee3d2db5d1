//! A model cut into stages, for pipelines whose peers hold a stage each.
//!
//! ```text
//! stage 0   tokens ─▶ embedding, its own layers ─▶ hidden ───┐
//! stage 1                     hidden ─▶ layers ─▶ hidden ◀───┘
//!   ⋮                                                ⋮
//! stage 0   hidden ─▶ final norm, head ─▶ logits ◀───┘
//! ```
//! Stage 0 holds both ends of the model, so a head that is tied to the embedding is one parameter
//! of one stage. Every stage takes and gives the residual stream, so a stage that is skipped is the
//! identity.
//!
//! Invariants: layers of stages are consecutive and in order, and every stage but the first has
//! some. Parameters have the names that they have in the whole model: those of all stages together
//! are its checkpoint. What a stage computes is recorded from the same modules as
//! [`super::programs::forward`], so the stages one after another give the bits of the whole model,
//! unless there is a [`bottleneck`] between them.

pub mod bottleneck;

use std::ops::Range;

use burn::prelude::{Int, Tensor};
use burn::tensor::module::embedding;
use reproducible_ops::lower::Recorder;
use reproducible_ops::program::{Program, Role};
use reproducible_ops::weights::Weights;

use self::bottleneck::{Bottleneck, BottleneckError, InitialError};
use super::ModelConfig;
use super::decoder::{Context, Mask, project};
use super::programs::{self, ProgramError};

/// Residual stream that a stage takes, f32 `[B, T, sent]`; see [`StagedModel::sent_width`].
pub const HIDDEN_IN: &str = "hidden.in";
/// Residual stream that a stage gives, f32 `[B, T, sent]`.
pub const HIDDEN_OUT: &str = "hidden.out";

/// Why a model cannot be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{layers} layers, {first} of them in stage 0, cannot be cut into {stages} stages; every stage \
     but the first needs a layer, and a single stage holds all"
)]
pub struct CutError {
    /// Layers of the model.
    pub layers: usize,
    /// Stages asked for.
    pub stages: usize,
    /// Layers asked for in stage 0.
    pub first: usize,
}

/// A model and where it is cut.
#[derive(Clone, Debug, PartialEq)]
pub struct StagedModel {
    config: ModelConfig,
    /// Layers of each stage.
    layers: Vec<Range<usize>>,
    /// How fewer numbers are sent than the residual stream has.
    bottleneck: Option<Bottleneck>,
}

/// Forward programs of a stage. Both have the stage's parameters only, under the names and in the
/// order of the whole model.
#[derive(Clone, Debug)]
pub struct StageForward {
    /// `tokens` i32 `[B, T]` at stage 0, [`HIDDEN_IN`] elsewhere (and `tokens`, where a
    /// [`bottleneck`] has a residual path), and where the stage has layers `positions segment
    /// parent` i32 `[B, T]` and the tables of RoPE → [`HIDDEN_OUT`].
    pub body: Program,
    /// At stage 0 [`HIDDEN_IN`] (and `tokens`, as above) → `logits` f32 `[B, T, vocab]`.
    pub head: Option<Program>,
}

impl StagedModel {
    /// A model in stages as even as can be: a single stage holds all layers; of several the first
    /// holds none, and the others differ by one layer at most, earlier ones having more.
    ///
    /// # Errors
    /// More stages than layers allow.
    pub fn new(config: ModelConfig, stages: usize) -> Result<Self, CutError> {
        let first = match stages {
            1 => config.num_layers,
            _ => 0,
        };
        Self::with_first(config, stages, first)
    }

    /// A model whose stage 0 holds the `first` layers, too. The rest is cut as by
    /// [`StagedModel::new`].
    ///
    /// ```
    /// use swarm_model::ModelConfig;
    /// use swarm_model::stages::StagedModel;
    ///
    /// let config = ModelConfig { num_layers: 6, ..ModelConfig::preset("nano")? };
    /// let model = StagedModel::with_first(config, 3, 1)?;
    /// let layers = (0..3).map(|stage| model.layers(stage));
    /// assert!(layers.eq([Some(0..1), Some(1..4), Some(4..6)]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// A stage would have no layer, or a layer no stage.
    pub fn with_first(config: ModelConfig, stages: usize, first: usize) -> Result<Self, CutError> {
        let layers = config.num_layers;
        let refused = CutError {
            layers,
            stages,
            first,
        };
        let rest = layers.checked_sub(first).ok_or(refused)?;
        let others = stages.checked_sub(1).ok_or(refused)?;
        if rest < others || (others == 0 && rest > 0) {
            return Err(refused);
        }
        let mut cut = Vec::with_capacity(stages);
        cut.push(0..first);
        let mut start = first;
        for other in 0..others {
            let end = start + rest / others + usize::from(other < rest % others);
            cut.push(start..end);
            start = end;
        }
        Ok(Self {
            config,
            layers: cut,
            bottleneck: None,
        })
    }

    /// The same stages with a [`bottleneck`] at every boundary.
    ///
    /// # Errors
    /// Its compression does not divide the width, or there is one stage only.
    pub fn with_bottleneck(self, bottleneck: Bottleneck) -> Result<Self, BottleneckError> {
        let (stages, width) = (self.stages(), self.config.hidden_size);
        let compression = bottleneck.compression;
        if stages < 2 || compression == 0 || !width.is_multiple_of(compression) {
            return Err(BottleneckError {
                compression,
                stages,
                width,
            });
        }
        Ok(Self {
            bottleneck: Some(bottleneck),
            ..self
        })
    }

    /// The whole model.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// What is at every boundary; none where the residual stream is sent as it is.
    pub fn bottleneck(&self) -> Option<Bottleneck> {
        self.bottleneck
    }

    /// Number of stages.
    pub fn stages(&self) -> usize {
        self.layers.len()
    }

    /// Layers of a stage; none where there is no such stage.
    pub fn layers(&self, stage: usize) -> Option<Range<usize>> {
        self.layers.get(stage).cloned()
    }

    /// Numbers for each token between stages.
    pub fn sent_width(&self) -> usize {
        let width = self.config.hidden_size;
        self.bottleneck
            .map_or(width, |bottleneck| width / bottleneck.compression)
    }

    /// Names and shapes of all stages' parameters: [`ModelConfig::parameters`], then those of
    /// bottlenecks, by stage.
    pub fn all_parameters(&self) -> Vec<(String, Vec<usize>)> {
        let mut all = self.config.parameters();
        if let Some(Bottleneck { residual, .. }) = self.bottleneck {
            let (width, sent) = (self.config.hidden_size, self.sent_width());
            for stage in 0..self.stages() {
                all.push((bottleneck::up(stage), vec![width, sent]));
                if residual {
                    let table = vec![self.config.vocab_size, width];
                    all.push((bottleneck::embedding(stage), table));
                }
                all.push((bottleneck::down(stage), vec![sent, width]));
            }
        }
        all
    }

    /// Names and shapes of a stage's parameters, in the order of [`StagedModel::all_parameters`];
    /// none where there is no such stage.
    pub fn parameters(&self, stage: usize) -> Vec<(String, Vec<usize>)> {
        let mut all = self.all_parameters();
        all.retain(|(name, _)| self.stage_of(name) == Some(stage));
        all
    }

    /// The parameters of all bottlenecks before training, to be added to the model's weights; none
    /// without bottlenecks.
    ///
    /// # Errors
    /// There is a residual path, and the weights have no embedding of the model.
    pub fn initial_bottlenecks(&self, weights: &Weights) -> Result<Weights, InitialError> {
        let mut all = Weights::new();
        let Some(Bottleneck { residual, .. }) = self.bottleneck else {
            return Ok(all);
        };
        let (width, sent) = (self.config.hidden_size, self.sent_width());
        let [down, up] = bottleneck::initial(width, sent)?;
        let table = match residual {
            true => {
                let whole = weights.get(bottleneck::EMBED_TOKENS);
                let whole = whole.ok_or(InitialError::NoEmbedding)?;
                let shape = [self.config.vocab_size, width];
                Some(bottleneck::lost(whole, shape, sent)?)
            }
            false => None,
        };
        for stage in 0..self.stages() {
            all.insert(&bottleneck::up(stage), up.clone());
            if let Some(table) = &table {
                all.insert(&bottleneck::embedding(stage), table.clone());
            }
            all.insert(&bottleneck::down(stage), down.clone());
        }
        Ok(all)
    }

    /// The stage that holds a parameter; none where the model has no such layer.
    fn stage_of(&self, parameter: &str) -> Option<usize> {
        if let Some(rest) = parameter.strip_prefix("model.layers.") {
            let layer = rest.split('.').next()?.parse().ok()?;
            return self.layers.iter().position(|own| own.contains(&layer));
        }
        Some(bottleneck::part_of(parameter).map_or(0, |(stage, _)| stage))
    }

    /// The forward programs of a stage for `rows` rows of `length` tokens.
    ///
    /// # Errors
    /// There is no such stage, or see [`ProgramError`].
    pub fn forward(
        &self,
        stage: usize,
        rows: usize,
        length: usize,
    ) -> Result<StageForward, ProgramError> {
        programs::check_lengths(&self.config, length, length)?;
        let layers = self.layers(stage).ok_or(ProgramError::Stage {
            stage,
            stages: self.stages(),
        })?;
        let body = self.body(stage, layers, [rows, length])?;
        let head = match stage {
            0 => Some(self.head([rows, length])?),
            _ => None,
        };
        Ok(StageForward { body, head })
    }

    fn body(
        &self,
        stage: usize,
        layers: Range<usize>,
        shape: [usize; 2],
    ) -> Result<Program, ProgramError> {
        let recorded = programs::record(&self.config, |model, recorder| {
            let x = match stage {
                0 => model.model.embed_tokens.forward(tokens(recorder, shape)),
                _ => self.taken(recorder, stage, shape),
            };
            let context = self.context(recorder, shape);
            let x = model.through_layers(layers, x, &context, &mut |_, rows| rows);
            let sent = self.sent(recorder, stage, x);
            recorder.output(HIDDEN_OUT, sent);
        });
        Ok(recorded?.prune_parameters())
    }

    fn head(&self, shape: [usize; 2]) -> Result<Program, ProgramError> {
        let recorded = programs::record(&self.config, |model, recorder| {
            let x = self.taken(recorder, 0, shape);
            recorder.output("logits", model.logits(model.model.norm.forward(x)));
        });
        Ok(recorded?.prune_parameters())
    }

    /// The residual stream that a stage takes, `[B, T, hidden]`.
    fn taken(
        &self,
        recorder: &mut Recorder,
        stage: usize,
        [rows, length]: [usize; 2],
    ) -> Tensor<3> {
        let (width, sent) = (self.config.hidden_size, self.sent_width());
        let taken = recorder.float(HIDDEN_IN, Role::Data, [rows, length, sent]);
        let Some(Bottleneck { residual, .. }) = self.bottleneck else {
            return taken;
        };
        let up = recorder.float(&bottleneck::up(stage), Role::Param, [width, sent]);
        let taken = project(taken, up);
        if !residual {
            return taken;
        }
        let shape = [self.config.vocab_size, width];
        let table = recorder.float(&bottleneck::embedding(stage), Role::Param, shape);
        taken + embedding(table, tokens(recorder, [rows, length]))
    }

    /// What a stage sends of its residual stream `[B, T, hidden]`.
    fn sent(&self, recorder: &mut Recorder, stage: usize, x: Tensor<3>) -> Tensor<3> {
        let (width, sent) = (self.config.hidden_size, self.sent_width());
        if self.bottleneck.is_none() {
            return x;
        }
        let down = recorder.float(&bottleneck::down(stage), Role::Param, [sent, width]);
        project(x, down)
    }

    /// Positions and mask as in [`programs::forward`].
    fn context(&self, recorder: &mut Recorder, shape: [usize; 2]) -> Context {
        let mut input = |name| recorder.int::<2>(name, Role::Data, shape);
        let positions = input("positions");
        let (segment, parent) = (input("segment"), input("parent"));
        let mask = Mask::segments(positions.clone(), segment, parent);
        programs::context(recorder, [shape[1], self.config.head_dim], positions, mask)
    }
}

/// The data input `tokens`, i32 `[B, T]`.
fn tokens(recorder: &mut Recorder, shape: [usize; 2]) -> Tensor<2, Int> {
    recorder.int("tokens", Role::Data, shape)
}

#[cfg(test)]
mod tests {
    use reproducible_ops::engine::reference::ReferenceEngine;
    use reproducible_ops::engine::{Engine, Session};
    use reproducible_ops::tensor::Tensor;

    use super::*;
    use crate::tests::tiny;
    use crate::{init, rope};

    const SHAPE: [usize; 2] = [2, 5];

    fn deep(tied_embeddings: bool) -> ModelConfig {
        ModelConfig {
            num_layers: 3,
            tied_embeddings,
            ..tiny()
        }
    }

    fn names(program: &Program) -> Vec<String> {
        let parameters = program.inputs_with_role(Role::Param);
        parameters.map(|(_, input)| input.name.clone()).collect()
    }

    #[test]
    fn impossible_cuts_are_refused() {
        for (stages, first) in [(0, 0), (1, 0), (1, 2), (5, 0), (4, 1), (2, 4)] {
            let error = StagedModel::with_first(deep(false), stages, first).unwrap_err();
            assert_eq!((error.stages, error.first), (stages, first));
        }
        let model = StagedModel::new(deep(false), 2).unwrap();
        let error = model.forward(2, 1, 4).unwrap_err().to_string();
        assert!(error.contains("stage 2"), "{error}");
    }

    #[test]
    fn every_parameter_is_of_one_stage() {
        for tied in [false, true] {
            for (stages, first) in [(1, 3), (2, 0), (2, 2), (3, 1), (4, 0)] {
                let model = StagedModel::with_first(deep(tied), stages, first).unwrap();
                let mut all = Vec::new();
                for stage in 0..stages {
                    let own: Vec<String> =
                        model.parameters(stage).into_iter().map(|p| p.0).collect();
                    let forward = model.forward(stage, 1, 4).unwrap();
                    let mut recorded = names(&forward.body);
                    recorded.extend(forward.head.iter().flat_map(names));
                    recorded.sort();
                    recorded.dedup();
                    let mut sorted = own.clone();
                    sorted.sort();
                    assert_eq!(recorded, sorted, "stage {stage} of {stages}");
                    all.extend(own);
                }
                let mut expected: Vec<String> =
                    deep(tied).parameters().into_iter().map(|p| p.0).collect();
                expected.sort();
                all.sort();
                assert_eq!(all, expected);
            }
        }
    }

    fn run(program: &Program, weights: &Weights, hidden: Option<&Tensor>) -> Tensor {
        let mut session: Box<dyn Session> = ReferenceEngine.load(program).unwrap();
        for name in names(program) {
            session.write(&name, weights.get(&name).unwrap()).unwrap();
        }
        let config = deep(false);
        if rope::addressed(program) > 0 {
            let tables = rope::Tables::new(&config, rope::addressed(program)).unwrap();
            tables.write_to(session.as_mut()).unwrap();
        }
        let integers = |of: fn(u32) -> u32| (0..10).map(of).collect::<Vec<u32>>();
        let inputs = [
            ("tokens", integers(|at| at * 7 % 19)),
            ("positions", integers(|at| at % 5)),
            ("segment", integers(|_| 0)),
            ("parent", integers(|_| 0)),
        ];
        for (name, words) in inputs {
            if program.input_named(name).is_some() {
                session.write_words(name, &words).unwrap();
            }
        }
        if let Some(hidden) = hidden {
            session.write(HIDDEN_IN, hidden).unwrap();
        }
        session.run().unwrap();
        session.read(&program.outputs()[0].name).unwrap()
    }

    fn narrow(compression: usize, residual: bool) -> StagedModel {
        let bottleneck = Bottleneck {
            compression,
            residual,
        };
        let cut = StagedModel::new(deep(true), 3).unwrap();
        cut.with_bottleneck(bottleneck).unwrap()
    }

    #[test]
    fn bottlenecks_begin_as_one_projection() {
        for residual in [false, true] {
            let model = narrow(4, residual);
            assert_eq!(model.sent_width(), 3);
            let weights = init::initialise(model.config(), 9).unwrap();
            let maps = model.initial_bottlenecks(&weights).unwrap();
            let all: Vec<String> = model.all_parameters().into_iter().map(|p| p.0).collect();
            let plain = deep(true).parameters().len();
            assert!(all[plain..].iter().all(|name| maps.contains(name)));
            assert_eq!(maps.len(), all.len() - plain);
            assert_eq!(maps.len(), if residual { 9 } else { 6 });
            let values = |name: &str| maps.get(name).unwrap().as_f32().unwrap();
            let (down, up) = (values("bottleneck.2.down"), values("bottleneck.0.up"));
            for i in 0..3 {
                for j in 0..3 {
                    let product = (0..12)
                        .map(|k| down[i * 12 + k] * up[k * 3 + j])
                        .sum::<f32>();
                    assert_eq!(product, if i == j { 1.0 } else { 0.0 }, "{i}, {j}");
                }
            }
            let forward = model.forward(1, 1, 4).unwrap().body;
            let own: Vec<String> = model.parameters(1).into_iter().map(|p| p.0).collect();
            assert_eq!(names(&forward), own);
            let shape = |id| forward.type_of(id).unwrap().shape.dims().to_vec();
            assert_eq!(shape(forward.input_named(HIDDEN_IN).unwrap()), [1, 4, 3]);
            assert_eq!(shape(forward.output_named(HIDDEN_OUT).unwrap()), [1, 4, 3]);
            assert_eq!(forward.input_named("tokens").is_some(), residual);
        }
    }

    #[test]
    fn impossible_bottlenecks_are_refused() {
        let bottleneck = |compression| Bottleneck {
            compression,
            residual: true,
        };
        for (stages, compression) in [(3, 5), (3, 0), (1, 2)] {
            let cut = StagedModel::new(deep(true), stages).unwrap();
            assert!(cut.with_bottleneck(bottleneck(compression)).is_err());
        }
        let empty = narrow(4, true).initial_bottlenecks(&Weights::new());
        assert!(matches!(empty, Err(InitialError::NoEmbedding)));
        assert!(
            narrow(4, false)
                .initial_bottlenecks(&Weights::new())
                .is_ok()
        );
    }

    /// What a boundary loses of an embedding before training, the residual path adds again.
    #[test]
    fn embeddings_pass_a_boundary() {
        let model = narrow(4, true);
        let mut weights = init::initialise(model.config(), 9).unwrap();
        weights.extend(model.initial_bottlenecks(&weights).unwrap());
        let sent = run(&model.forward(0, 2, 5).unwrap().body, &weights, None);
        assert_eq!(sent.shape().dims(), [2, 5, 3]);
        let rows = |name: &str| weights.get(name).unwrap().as_f32().unwrap().to_vec();
        let (whole, table) = (
            rows(bottleneck::EMBED_TOKENS),
            rows("bottleneck.1.embedding"),
        );
        let up = rows("bottleneck.1.up");
        for (place, numbers) in sent.as_f32().unwrap().chunks(3).enumerate() {
            let token = place * 7 % 19;
            for coordinate in 0..12 {
                let taken = (0..3).map(|number| up[coordinate * 3 + number] * numbers[number]);
                let found = taken.sum::<f32>() + table[token * 12 + coordinate];
                let expected = whole[token * 12 + coordinate];
                assert!((found - expected).abs() < 1e-6, "{found} {expected}");
            }
        }
    }

    #[test]
    fn stages_one_after_another_are_the_model_bit_for_bit() {
        let [rows, length] = SHAPE;
        for tied in [false, true] {
            let config = deep(tied);
            let weights = init::initialise(&config, 9).unwrap();
            let whole = programs::forward(&config, rows, length).unwrap();
            let expected = run(&whole, &weights, None);
            for (stages, first) in [(1, 3), (2, 1), (3, 0), (4, 0)] {
                let model = StagedModel::with_first(config.clone(), stages, first).unwrap();
                let forward = |stage| model.forward(stage, rows, length).unwrap();
                let start = run(&forward(0).body, &weights, None);
                let hidden = (1..stages).fold(start, |hidden, stage| {
                    run(&forward(stage).body, &weights, Some(&hidden))
                });
                let head = forward(0).head.unwrap();
                assert_eq!(run(&head, &weights, Some(&hidden)), expected, "{stages}");
            }
        }
    }
}
