//! Pipelines against the trainer of the whole model.

mod bottleneck;
mod hostile;
mod members;
mod plans;
mod replicas;
mod skips;
mod whole;

use std::sync::Arc;

use reproducible_ops::engine::Engine;
use reproducible_ops::engine::cpu::CpuEngine;
use reproducible_ops::program::Role;
use reproducible_ops::scalar;
use reproducible_ops::tensor::Tensor;
use reproducible_ops::weights::Weights;
use skippipe::path::{Hop, Path, Peer, Stage};
use swarm_model::config::RopeScaling;
use swarm_model::stages::StagedModel;
use swarm_model::stages::bottleneck::Bottleneck;
use swarm_model::{ModelConfig, init};

use super::microbatch::Microbatch;
use super::programs::StagePrograms;
use super::replay::{Passage, StepSpec};
use super::stage_engine::StageEngine;
use crate::assemble::{Objective, OptimizerConfig};
use crate::inputs::{Example, Sample};
use crate::programs::Programs;
use crate::setup;
use crate::trainer::{TrainState, Trainer};

pub(super) const ROWS: usize = 2;
pub(super) const LENGTH: usize = 6;
const RATE: f32 = 3e-3;

/// Clips every step, and decays.
const OPTIMIZER: OptimizerConfig = OptimizerConfig {
    beta1: 0.9,
    beta2: 0.99,
    epsilon: 1e-8,
    weight_decay: 0.1,
    max_norm: 0.05,
};

/// A decoder with three layers.
fn config(tied_embeddings: bool) -> ModelConfig {
    ModelConfig {
        vocab_size: 17,
        hidden_size: 12,
        num_layers: 3,
        num_heads: 4,
        num_kv_heads: 2,
        head_dim: 4,
        intermediate_size: 20,
        max_positions: 16,
        rms_norm_eps: 1e-6,
        rope_theta: 10_000.0,
        rope_scaling: RopeScaling::Default,
        qkv_bias: true,
        qk_norm: false,
        tied_embeddings,
    }
}

fn weights(config: &ModelConfig) -> Weights {
    init::initialise(config, 4).unwrap()
}

fn engine() -> Arc<dyn Engine> {
    Arc::new(CpuEngine::new(1))
}

/// All stages of a model, whose first has so many layers.
fn stages(config: &ModelConfig, stages: usize, first: usize) -> Vec<StageEngine> {
    staged(&StagedModel::with_first(config.clone(), stages, first).unwrap())
}

fn staged(model: &StagedModel) -> Vec<StageEngine> {
    let tensors = with_bottlenecks(model);
    let engine = engine();
    let stage = |stage| {
        let programs = StagePrograms::new(model, stage, [ROWS, LENGTH], &OPTIMIZER).unwrap();
        StageEngine::new(engine.clone(), Arc::new(programs), &tensors).unwrap()
    };
    (0..model.stages()).map(stage).collect()
}

/// All that stages begin with.
fn with_bottlenecks(model: &StagedModel) -> Weights {
    let weights = weights(model.config());
    let mut tensors = setup::with_tables(model.config(), LENGTH, &weights).unwrap();
    tensors.extend(model.initial_bottlenecks(&weights).unwrap());
    tensors
}

/// A model whose stages begin, behind the first, with a bottleneck.
fn narrow(stages: usize, compression: usize, residual: bool) -> StagedModel {
    let model = StagedModel::new(config(true), stages).unwrap();
    let bottleneck = Bottleneck {
        compression,
        residual,
    };
    model.with_bottleneck(bottleneck).unwrap()
}

fn trainer(config: &ModelConfig, weights: &Weights) -> Trainer {
    let forward = swarm_model::programs::forward(config, ROWS, LENGTH).unwrap();
    let programs = Programs::new(&forward, Objective::Supervised, &OPTIMIZER).unwrap();
    setup::trainer(engine().as_ref(), config, Arc::new(programs), weights).unwrap()
}

/// Examples of different lengths, in at least five microbatches.
fn batch(step: u32) -> Vec<Example> {
    let example = |number: u32| {
        let token = |at: u32| (number * 5 + at * 3 + step * 7) % 17;
        let tokens = |range: std::ops::Range<u32>| range.map(token).collect::<Vec<u32>>();
        Example {
            prompt: tokens(0..1 + number % 2),
            samples: vec![Sample {
                tokens: tokens(3..5 + number % 4),
                weight: 1.0,
                ..Sample::default()
            }],
        }
    };
    (0..18).map(example).collect()
}

fn microbatches(step: u32) -> Vec<Microbatch> {
    Microbatch::of_batch(&batch(step), ROWS, LENGTH).unwrap()
}

/// A path through stages with the replica of each.
fn path(hops: impl IntoIterator<Item = (u16, u32)>) -> Path {
    let hops = hops.into_iter().map(|(stage, peer)| Hop {
        stage: Stage(stage),
        peer: Peer(peer),
    });
    Path::new(hops.collect()).unwrap()
}

/// A step whose microbatches take the paths that `path_of` gives for their numbers.
fn spec(step: u32, stages: usize, path_of: impl Fn(usize) -> Path) -> StepSpec {
    let passages = microbatches(step).into_iter().enumerate();
    let passages = passages.map(|(number, microbatch)| Passage {
        microbatch,
        path: path_of(number),
    });
    StepSpec::ascending(passages.collect(), stages, RATE)
}

fn full(stages: usize) -> Path {
    path((0..stages as u16).map(|stage| (stage, 0)))
}

/// Everything of a state by name.
fn tensors(states: &[TrainState]) -> Weights {
    let parts = states
        .iter()
        .flat_map(|state| [&state.params, &state.optimizer]);
    let named = parts.flat_map(|part| part.iter());
    named
        .map(|(name, tensor)| (name.to_owned(), tensor.clone()))
        .collect()
}

fn states(stages: &[StageEngine]) -> Vec<TrainState> {
    stages.iter().map(|stage| stage.state().unwrap()).collect()
}

/// First moments after the first step, whose gradient is clipped.
fn first_moment(gradient: &Tensor, norm: f32) -> Tensor {
    let clip = scalar::div(OPTIMIZER.max_norm, scalar::add(norm, 1e-6));
    let share = scalar::sub(1.0, OPTIMIZER.beta1);
    let moment = |g| scalar::add(0.0, scalar::mul(share, scalar::mul(g, clip)));
    mapped(gradient, moment)
}

fn mapped(tensor: &Tensor, of: impl Fn(f32) -> f32) -> Tensor {
    let values = tensor.as_f32().unwrap().iter().map(|x| of(*x)).collect();
    Tensor::f32(tensor.shape().clone(), values).unwrap()
}
