//! A small decoder in stages, trained on text by the members of a pipeline ([`skippipe::member`])
//! on a network in memory, and what it makes of text that was held out.
//!
//! Members, leader, encodings and stages are those that peers run; only links and clocks are
//! simulated, so what is learned has the bits that peers would learn.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reproducible_ops::engine::Engine;
use reproducible_ops::random::Stream;
use skippipe::content::Digest;
use skippipe::encoding::Format;
use skippipe::event::Event;
use skippipe::path::{Hop, Microbatch, Path, Stage};
use skippipe::settings::Settings;
use skippipe::testing::network::{Network, Planner};
use skippipe::transcript::Roster;
use swarm_learn::assemble::OptimizerConfig;
use swarm_learn::pipeline::data::StepData;
use swarm_learn::pipeline::stage_engine::StageEngine;
use swarm_learn::pipeline::worker::{Blueprint, Encoding};
use swarm_learn::setup;
use swarm_learn::training_plan::Sampling;
use swarm_model::config::RopeScaling;
use swarm_model::stages::StagedModel;
use swarm_model::stages::bottleneck::Bottleneck;
use swarm_model::{ModelConfig, init};

use crate::stage_workers::workers;
use crate::text::Text;

/// Rows of a microbatch.
const ROWS: usize = 2;
/// Positions of a row.
const LENGTH: usize = 128;
/// Microbatches of a step.
pub const MICROBATCHES: u32 = 12;
/// Tokens of a microbatch, which go from stage to stage at a time.
pub const HOP_TOKENS: usize = ROWS * LENGTH;
/// Tokens of a step.
pub const STEP_TOKENS: u64 = MICROBATCHES as u64 * HOP_TOKENS as u64;
/// Farthest that a path goes ahead; 1 is the next stage.
const MAX_JUMP: u16 = 4;

/// A model, and how it is trained.
#[derive(Clone, Copy, Debug)]
pub struct Arm {
    /// What a table calls it.
    pub name: &'static str,
    /// Layers, in as many stages behind the first as `stages` says.
    pub layers: usize,
    /// Stages with layers.
    pub stages: u16,
    /// Stages with layers that each microbatch leaves out.
    pub skips: u16,
    /// What is at every boundary.
    pub bottleneck: Option<Bottleneck>,
    /// How they are sent.
    pub format: Format,
}

/// How long and how fast.
#[derive(Clone, Copy, Debug)]
pub struct Training {
    /// Steps.
    pub steps: u64,
    /// Highest learning rate; it rises for a tenth of the steps and falls to nothing in the last
    /// half.
    pub rate: f32,
    /// Seed of initial weights, of the order of rows and of what is skipped.
    pub seed: u64,
}

/// What experiments that train on text are told.
#[derive(Debug, clap::Args)]
pub struct TrainingOptions {
    /// The text; by default shared/data/text/tinyshakespeare.txt beside or above the workspace.
    #[arg(long, value_name = "FILE")]
    pub data: Option<PathBuf>,
    /// Steps of each model.
    #[arg(long, default_value_t = 300)]
    pub steps: u64,
    /// Seeds, from 1; all count.
    #[arg(long, default_value_t = 3)]
    pub seeds: u64,
    /// Highest learning rate.
    #[arg(long, default_value_t = 3e-3)]
    pub rate: f32,
    /// Threads of the engine.
    #[arg(long, default_value_t = 2)]
    pub threads: usize,
    /// Microbatches of held-out text.
    #[arg(long, default_value_t = 96)]
    pub held_out: u32,
}

impl TrainingOptions {
    /// The training of a seed.
    pub fn training(&self, seed: u64) -> Training {
        Training {
            steps: self.steps,
            rate: self.rate,
            seed,
        }
    }
}

/// A trained model.
pub struct Trained {
    /// Mean loss of each step before its update, in nats a token.
    pub losses: Vec<f32>,
    /// Bytes from peer to peer for each microbatch and hop.
    pub hop_bytes: usize,
    stages: Vec<StageEngine>,
}

fn decoder(layers: usize, vocabulary: usize) -> ModelConfig {
    ModelConfig {
        vocab_size: vocabulary,
        hidden_size: 128,
        num_layers: layers,
        num_heads: 4,
        num_kv_heads: 4,
        head_dim: 32,
        intermediate_size: 384,
        max_positions: LENGTH,
        rms_norm_eps: 1e-6,
        rope_theta: 10_000.0,
        rope_scaling: RopeScaling::Default,
        qkv_bias: false,
        qk_norm: false,
        tied_embeddings: true,
    }
}

impl Arm {
    /// Parameters of all stages together.
    ///
    /// # Errors
    /// There is no such model.
    pub fn parameters(&self, text: &Text) -> Result<usize> {
        let shapes = self.model(text)?.all_parameters().into_iter();
        Ok(shapes
            .map(|(_, shape)| shape.iter().product::<usize>())
            .sum())
    }

    fn model(&self, text: &Text) -> Result<StagedModel> {
        let config = decoder(self.layers, text.vocabulary());
        let model = StagedModel::new(config, usize::from(self.stages) + 1)?;
        Ok(match self.bottleneck {
            Some(bottleneck) => model.with_bottleneck(bottleneck)?,
            None => model,
        })
    }

    /// Trains it, one peer for each stage.
    ///
    /// # Errors
    /// The text is too short, or the pipeline does not come to its end.
    pub fn train(
        &self,
        training: &Training,
        text: &Text,
        engine: &Arc<dyn Engine>,
    ) -> Result<Trained> {
        let blueprint = self.blueprint(training, text)?;
        let stages = self.stages + 1;
        let first = blueprint.stage(engine, Stage::FIRST)?;
        let hidden = first.programs().hidden().shape.clone();
        let settings = settings(stages, training.steps);
        let mut network = Network::new(
            settings,
            &vec![1; usize::from(stages)],
            training.seed,
            workers(&blueprint, engine),
        );
        network.planner = Some(planner(self.skips, training.seed));
        network.run(Duration::MAX);
        ensure!(
            network.is_finished(),
            "the pipeline of `{}` stands still",
            self.name
        );
        let mut losses = BTreeMap::new();
        for (_, _, event) in &network.events {
            if let Event::Stepped(stepped) = event {
                losses.insert(stepped.record.step, stepped.record.loss());
            }
        }
        let mut trained = Vec::new();
        for (stage, peers) in network.living() {
            let peer = peers.first().context("a stage without a peer")?;
            let worker = network.engine(*peer).context("a peer without an engine")?;
            let state = worker.train_state()?.context("a peer without a stage")?;
            let mut stage = blueprint.stage(engine, stage)?;
            stage.load(&state)?;
            trained.push(stage);
        }
        Ok(Trained {
            losses: losses.into_values().collect(),
            hop_bytes: self.format.bytes(&hidden),
            stages: trained,
        })
    }

    fn blueprint(&self, training: &Training, text: &Text) -> Result<Blueprint> {
        let model = self.model(text)?;
        let mut weights = init::initialise(model.config(), training.seed)?;
        weights = setup::with_tables(model.config(), LENGTH, &weights)?;
        weights.extend(model.initial_bottlenecks(&weights)?);
        let sampling = Sampling {
            key: [training.seed as u32, 0x7e87],
            microbatches: MICROBATCHES as usize,
        };
        let rates = (0..training.steps).map(|step| training.rate_at(step));
        let data = StepData::new(text.training(LENGTH)?, sampling, ROWS, rates.collect())?;
        Ok(Blueprint {
            model,
            shape: [ROWS, LENGTH],
            optimizer: OptimizerConfig::default(),
            weights: Arc::new(weights),
            data: Arc::new(data),
            encoding: Encoding {
                hidden: self.format,
                gradient: self.format,
            },
            outer: None,
        })
    }
}

impl Training {
    fn rate_at(&self, step: u64) -> f32 {
        let (step, steps) = (step as f32, self.steps.max(1) as f32);
        let rise = ((step + 1.0) / (steps / 10.0)).min(1.0);
        let fall = ((steps - step) / (steps / 2.0)).min(1.0);
        self.rate * rise.min(fall)
    }
}

impl Trained {
    /// Mean loss of text that was held out, in nats a token, where of every microbatch as many
    /// stages are left out. `microbatches` are looked at, the same ones and the same left out
    /// whatever the model.
    ///
    /// # Errors
    /// The engine fails, or the text is too short.
    pub fn held_out(&mut self, text: &Text, removed: u16, microbatches: u32) -> Result<f64> {
        let sampling = Sampling {
            key: [1, 0x4e1d],
            microbatches: MICROBATCHES as usize,
        };
        let data = StepData::new(text.held_out(LENGTH)?, sampling, ROWS, Vec::new())?;
        let stages = self.stages.len() as u16 - 1;
        let (mut sum, mut tokens) = (0.0, 0);
        for number in 0..microbatches {
            let (step, microbatch) = (u64::from(number / MICROBATCHES), number % MICROBATCHES);
            let kept = &visited(stages, removed, step, HELD_OUT)[microbatch as usize];
            let rows = data.microbatch(step, Microbatch(microbatch));
            let [first, others @ ..] = &mut self.stages[..] else {
                anyhow::bail!("a model without stages");
            };
            let mut hidden = first.embed(&rows)?;
            for stage in kept {
                hidden = others[usize::from(*stage) - 1].forward(&hidden, &rows)?;
            }
            let count = rows.token_count();
            sum += f64::from(first.loss(&hidden, &rows, count)?.loss) * count as f64;
            tokens += count;
        }
        Ok(sum / tokens.max(1) as f64)
    }
}

/// Seed of what is left out when held-out text is looked at.
const HELD_OUT: u64 = 0;

/// Paths through one peer of each stage.
#[expect(
    clippy::expect_used,
    reason = "nobody leaves this network, and stages ascend"
)]
fn planner(skips: u16, seed: u64) -> Planner {
    Box::new(move |roster: &Roster, step| {
        let stages = roster.0.len() as u16 - 1;
        let paths = visited(stages, skips, step, seed + 1);
        let path = |kept: &Vec<u16>| {
            let stages = std::iter::once(Stage::FIRST).chain(kept.iter().copied().map(Stage));
            let hops = stages.map(|stage| {
                let mut holders = roster.of(stage).iter().copied();
                let peer = holders.next().expect("invariant: every stage has a peer");
                Hop { stage, peer }
            });
            Path::new(hops.collect()).expect("invariant: stages ascend from the first")
        };
        paths.iter().map(path).collect()
    })
}

/// The stages with layers, from 1, that each microbatch of a step visits. Every one is left out by
/// as many microbatches, if they divide so, and no path jumps too far.
fn visited(stages: u16, skips: u16, step: u64, seed: u64) -> Vec<Vec<u16>> {
    let mut random = Stream::from_seed(&format!("stages left out by {seed}"), step);
    let places = usize::from(stages);
    loop {
        let mut order: Vec<u16> = (1..=stages).collect();
        random.shuffle(&mut order);
        let offsets = random.distinct(usize::from(skips), places);
        let paths = (0..MICROBATCHES as usize).map(|microbatch| {
            let out = offsets
                .iter()
                .map(|offset| order[(microbatch + offset) % places]);
            let out: Vec<u16> = out.collect();
            (1..=stages).filter(|stage| !out.contains(stage)).collect()
        });
        let paths: Vec<Vec<u16>> = paths.collect();
        if paths
            .iter()
            .all(|path| longest_jump(path, stages) <= MAX_JUMP)
        {
            return paths;
        }
    }
}

/// The farthest that a path goes ahead, from the embedding before stage 1 to the head behind the
/// last.
#[expect(clippy::expect_used, reason = "embedding and head are two stops")]
fn longest_jump(path: &[u16], stages: u16) -> u16 {
    let stops = [0]
        .into_iter()
        .chain(path.iter().copied())
        .chain([stages + 1]);
    let stops: Vec<u16> = stops.collect();
    let jumps = stops.windows(2).map(|pair| pair[1] - pair[0]);
    jumps.max().expect("invariant: there are two stops")
}

fn settings(stages: u16, steps: u64) -> Settings {
    Settings {
        job: Digest::of(b"staged text"),
        stages,
        peers: u32::from(stages),
        most_peers: u32::from(stages),
        microbatches: MICROBATCHES,
        steps,
        slots: MICROBATCHES as usize,
        hop_time: Duration::from_secs(60),
        phase_time: Duration::from_secs(60),
        step_time: Duration::from_secs(600),
        keep_every: steps + 1,
        rebuild: false,
        meetings: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stage_is_left_out_as_often() {
        for (stages, skips) in [(12, 0), (12, 3), (12, 4), (12, 6), (3, 1)] {
            for step in 0..20 {
                let paths = visited(stages, skips, step, 1);
                assert_eq!(paths.len(), MICROBATCHES as usize);
                for stage in 1..=stages {
                    let visits = paths.iter().filter(|path| path.contains(&stage)).count();
                    let expected = MICROBATCHES * u32::from(stages - skips) / u32::from(stages);
                    assert_eq!(visits, expected as usize, "{stage} of {stages}");
                }
            }
        }
        assert_ne!(visited(12, 3, 0, 1), visited(12, 3, 1, 1));
    }
}
