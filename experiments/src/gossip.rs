//! NoLoCo against DiLoCo at equal bytes: replicas of a small decoder on text, all members of a job
//! in memory, and as a reference one trainer that takes the mean gradient of all replicas' rows in
//! every step.
//!
//! All arms see the same rows: replica r takes in step s what it takes in every arm. DiLoCo's
//! replicas send their changes to a leader and get the mean, 2 (n − 1) / n models for each and
//! round on average; NoLoCo's send each other changes and anchors, 2 models for each and round. So
//! DiLoCo meets n / (n − 1) times as often. Bytes are those of all messages, as they were sent. The
//! reference would send 2 (n − 1) / n models for each replica in every step, by a ring.
//!
//! A replica's loss is that of its anchor, after the outer step. The spread is the root mean square
//! distance of the anchors to their mean, over the mean's norm.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use reproducible_ops::engine::cpu::CpuEngine;
use reproducible_ops::tensor::Tensor;
use reproducible_ops::weights::Weights;
use serde_json::{Value, json};
use skippipe::content::Digest;
use swarm_learn::assemble::{Objective, OptimizerConfig};
use swarm_learn::averaging::contribution::Formats;
use swarm_learn::averaging::outer::{Outer, contraction};
use swarm_learn::averaging::replay::Replay;
use swarm_learn::averaging::settings::Settings;
use swarm_learn::averaging::testing::network::Network;
use swarm_learn::averaging::trainer::{Rows, TrainerReplica};
use swarm_learn::averaging::transcript::Replica;
use swarm_learn::averaging::work::{self, Outcome, Work};
use swarm_learn::averaging::worker::ReplicaWorker;
use swarm_learn::data_set::DataSet;
use swarm_learn::inputs::Example;
use swarm_learn::programs::Programs;
use swarm_learn::schedule::Schedule;
use swarm_learn::setup;
use swarm_learn::trainer::Trainer;
use swarm_model::config::RopeScaling;
use swarm_model::{ModelConfig, init};

use crate::curves::{Curve, render};
use crate::experiment::Experiment;
use crate::machine;
use crate::samples::{mean_and_spread, rounded};
use crate::svg;
use crate::table::Table;
use crate::text::Text;

/// See the module.
pub const EXPERIMENT: Experiment = Experiment {
    name: "gossip",
    about: "NoLoCo against DiLoCo at equal bytes, and against a mean gradient in every step",
    run,
};

/// Positions of a row.
const LENGTH: usize = 64;
/// Rows of a replica's step.
const ROWS: usize = 8;

/// Trains replicas of a decoder on text, apart and together.
#[derive(Debug, Parser)]
#[command(name = "gossip")]
struct Options {
    /// The text; by default shared/data/text/tinyshakespeare.txt beside or above the workspace.
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// Replicas.
    #[arg(long, default_value_t = 4)]
    replicas: u32,
    /// Inner steps of a replica; a multiple of both numbers of inner steps of a round.
    #[arg(long, default_value_t = 240)]
    steps: u64,
    /// Inner steps of a round of NoLoCo; a multiple of the number of replicas.
    #[arg(long, default_value_t = 20)]
    inner: u64,
    /// Seeds, from 1; all count.
    #[arg(long, default_value_t = 3)]
    seeds: u64,
    /// Highest learning rate.
    #[arg(long, default_value_t = 3e-3)]
    rate: f32,
    /// Threads of the engine.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Rows of held-out text.
    #[arg(long, default_value_t = 64)]
    held_out: usize,
    /// Whether the transcripts of the first seed are computed again.
    #[arg(long)]
    replay: bool,
    /// Where the picture of the curves goes.
    #[arg(long, value_name = "FILE", default_value = "target/gossip.svg")]
    plot: PathBuf,
}

/// A way to train replicas.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Arm {
    /// One mean gradient in every step.
    Synchronous,
    /// Outer steps after so many inner ones.
    Apart(Outer, u64),
}

/// What one run of an arm came to.
struct Run {
    /// After each round (of the reference after as many steps as NoLoCo's): inner steps done,
    /// held-out loss of every replica, spread.
    points: Vec<(u64, Vec<f64>, f64)>,
    /// Held-out loss of the mean of all anchors, at the end.
    mean_model: f64,
    /// Bytes that each replica sent.
    sent: Vec<u64>,
}

/// What runs have in common.
struct Bench {
    options: Options,
    config: ModelConfig,
    engine: CpuEngine,
    programs: Arc<Programs>,
    training: Arc<DataSet>,
    held_out: Vec<Example>,
}

/// A replica that keeps what each round has left.
struct Watched {
    worker: ReplicaWorker<TrainerReplica>,
    anchors: Vec<Weights>,
}

impl work::Engine for Watched {
    fn perform(&mut self, work: Work) -> Outcome {
        let outcome = self.worker.perform(work);
        if matches!(outcome, Outcome::Moved { .. }) {
            self.anchors.push(self.worker.outer().anchor.clone());
        }
        outcome
    }
}

fn run(arguments: &[String]) -> Result<Value> {
    let options = Options::try_parse_from(arguments)?;
    let replicas = u64::from(options.replicas);
    ensure!(
        replicas >= 2 && options.seeds > 0,
        "--replicas must be at least 2, --seeds at least 1"
    );
    ensure!(
        options.inner.is_multiple_of(replicas),
        "--inner must be a multiple of --replicas"
    );
    let together = options.inner / replicas * (replicas - 1);
    let both = [options.inner, together];
    ensure!(
        both.into_iter()
            .all(|inner| options.steps.is_multiple_of(inner)),
        "--steps must be a multiple of {} and of {together}",
        options.inner
    );
    let arms = [
        Arm::Synchronous,
        Arm::Apart(Outer::DILOCO, together),
        Arm::Apart(Outer::NOLOCO, options.inner),
    ];
    let text = Text::load(options.data.clone())?;
    let bench = Bench::new(options, &text)?;
    let started = Instant::now();
    let mut runs: Vec<Vec<Run>> = arms.iter().map(|_| Vec::new()).collect();
    for seed in 1..=bench.options.seeds {
        for (arm, runs) in arms.iter().zip(&mut runs) {
            let run = bench.run(*arm, seed)?;
            let (loss, seconds) = (mean(&run.last().1), started.elapsed().as_secs_f64());
            eprintln!(
                "{seconds:6.0} s  {}, seed {seed}: {loss:.4} nats held out",
                arm.name()
            );
            runs.push(run);
        }
    }
    print!(
        "{}\n{}",
        bench.outcomes(&arms, &runs),
        bench.curves(&arms, &runs)
    );
    let curves = arms.iter().zip(&runs).map(|(arm, runs)| Curve {
        name: arm.name().to_owned(),
        points: mean_points(runs),
    });
    let curves: Vec<Curve> = curves.collect();
    let title = "Held-out loss of replicas over inner steps, mean of seeds";
    svg::save(
        &bench.options.plot,
        &render(title, "nats a character", &curves),
    )?;
    let of = |(arm, runs): (&Arm, &Vec<Run>)| bench.summary(*arm, runs);
    Ok(json!({
        "experiment": "gossip", "unit": "nats a character", "replicas": replicas,
        "parameters": bench.config.parameter_count(), "steps": bench.options.steps,
        "tokens": bench.options.steps * replicas * (ROWS * LENGTH) as u64,
        "seeds": bench.options.seeds, "load": machine::load(),
        "arms": arms.iter().zip(&runs).map(of).collect::<Vec<_>>(),
        "seconds": rounded(started.elapsed().as_secs_f64()),
    }))
}

impl Arm {
    fn name(self) -> &'static str {
        match self {
            Self::Synchronous => "every step",
            Self::Apart(outer, _) if outer.is_paired() => "NoLoCo",
            Self::Apart(..) => "DiLoCo",
        }
    }
}

impl Run {
    fn last(&self) -> &(u64, Vec<f64>, f64) {
        &self.points[self.points.len() - 1]
    }

    /// What it had come to after so many steps.
    fn at(&self, step: u64) -> Option<&(u64, Vec<f64>, f64)> {
        self.points.iter().find(|point| point.0 == step)
    }
}

impl Bench {
    fn new(options: Options, text: &Text) -> Result<Self> {
        let config = config(text.vocabulary());
        let optimizer = OptimizerConfig::default();
        let objective = Objective::Supervised;
        let programs = setup::training_programs(&config, ROWS, LENGTH, objective, &optimizer)?;
        let held_out = text.held_out_examples(LENGTH);
        let every = (held_out.len() / options.held_out.max(1)).max(1);
        let held_out: Vec<Example> = held_out
            .into_iter()
            .step_by(every)
            .take(options.held_out)
            .collect();
        ensure!(
            !held_out.is_empty(),
            "the text has no held-out row; it needs {} characters",
            10 * LENGTH + 10
        );
        Ok(Self {
            engine: CpuEngine::new(options.threads),
            programs,
            training: Arc::new(DataSet::pack(&text.training_examples(LENGTH), LENGTH)?),
            held_out,
            config,
            options,
        })
    }

    fn rows(&self, seed: u64) -> Rows {
        let steps = self.options.steps;
        let schedule = Schedule {
            peak: self.options.rate,
            warmup: steps / 15,
            decay: steps / 3,
            total: steps,
            floor: 0.1,
        };
        Rows {
            job: job(seed),
            own: (0..self.training.rows()).collect(),
            data: self.training.clone(),
            batch: ROWS,
            schedule,
        }
    }

    fn trainer(&self, seed: u64) -> Result<Trainer> {
        let weights = init::initialise(&self.config, seed)?;
        Ok(setup::trainer(
            &self.engine,
            &self.config,
            self.programs.clone(),
            &weights,
        )?)
    }

    fn run(&self, arm: Arm, seed: u64) -> Result<Run> {
        match arm {
            Arm::Synchronous => self.synchronous(seed),
            Arm::Apart(outer, inner) => self.apart(outer, inner, seed),
        }
    }

    /// One trainer of all replicas' rows: what averaging gradients in every step computes, but for
    /// the order of additions.
    fn synchronous(&self, seed: u64) -> Result<Run> {
        let mut trainer = self.trainer(seed)?;
        let rows = self.rows(seed);
        let mut points = Vec::new();
        for step in 0..self.options.steps {
            let replicas = (0..self.options.replicas).map(Replica);
            let batch: Vec<usize> = replicas.flat_map(|one| rows.batch(one, step)).collect();
            trainer.step_on_rows(&rows.data, &batch, rows.schedule.rate(step))?;
            if (step + 1).is_multiple_of(self.options.inner) {
                points.push((step + 1, vec![self.loss(&trainer.params()?)?], 0.0));
            }
        }
        let model = 4 * self.config.parameter_count() as u64;
        let replicas = u64::from(self.options.replicas);
        let sent = 2 * (replicas - 1) * model * self.options.steps / replicas;
        Ok(Run {
            points,
            mean_model: self.loss(&trainer.params()?)?,
            sent: vec![sent; replicas as usize],
        })
    }

    fn replicas(&self, outer: Outer, inner: u64, seed: u64) -> Result<Vec<Watched>> {
        let rows = self.rows(seed);
        let replica = |replica| {
            let trainer = self.trainer(seed)?;
            let inner = TrainerReplica::new(trainer, Replica(replica), rows.clone(), inner);
            let worker = ReplicaWorker::new(inner, &self.engine, outer, Formats::default())?;
            Ok(Watched {
                worker,
                anchors: Vec::new(),
            })
        };
        (0..self.options.replicas).map(replica).collect()
    }

    fn apart(&self, outer: Outer, inner: u64, seed: u64) -> Result<Run> {
        let engines = self.replicas(outer, inner, seed)?;
        let settings = Settings {
            job: job(seed),
            paired: outer.is_paired(),
            replicas: self.options.replicas,
            rounds: self.options.steps / inner,
            contribution_bytes: engines[0].worker.contribution_bytes(),
            outer_bytes: engines[0].worker.outer_bytes(),
            patience: Duration::from_secs(2),
            again: Duration::from_secs(1),
        };
        let mut network = Network::new(settings, engines, seed);
        network.run(Duration::from_secs(1 << 20));
        ensure!(
            network.is_finished(),
            "a replica cannot go on: {:?}",
            network.events.last()
        );
        if self.options.replay && seed == 1 {
            let replicas = self.replicas(outer, inner, seed)?;
            let replayed =
                Replay::new(job(seed), outer.is_paired(), replicas).run(network.transcripts())?;
            eprintln!("          replayed {} rounds, bit for bit", replayed.rounds);
        }
        let all = (0..self.options.replicas).map(|one| network.engine(Replica(one)));
        let anchors = all.map(|one| one.map(|one| one.anchors.as_slice()));
        let anchors: Vec<&[Weights]> = anchors
            .collect::<Option<_>>()
            .context("a replica has ended")?;
        let mut points = Vec::new();
        for round in 0..anchors[0].len() {
            let now: Vec<&Weights> = anchors.iter().map(|of| &of[round]).collect();
            // DiLoCo's are all the same.
            let losses = if outer.is_paired() {
                &now[..]
            } else {
                &now[..1]
            };
            let losses = losses.iter().map(|one| self.loss(one));
            let losses: Vec<f64> = losses.collect::<Result<_>>()?;
            points.push(((round as u64 + 1) * inner, losses, spread(&now)?));
        }
        let last: Vec<&Weights> = anchors.iter().filter_map(|of| of.last()).collect();
        Ok(Run {
            points,
            mean_model: self.loss(&mean_of(&last)?)?,
            sent: network.sent.clone(),
        })
    }

    /// Mean loss of held-out tokens.
    fn loss(&self, parameters: &Weights) -> Result<f64> {
        let mut scorer = setup::scorer(&self.engine, &self.config, ROWS, LENGTH, parameters)?;
        let sequences: Vec<_> = self.held_out.iter().map(Example::sequence).collect();
        let all = scorer.score(&sequences)?;
        let tokens = all.iter().map(Vec::len).sum::<usize>();
        let sum: f64 = all.iter().flatten().map(|logp| f64::from(*logp)).sum();
        Ok(-sum / tokens as f64)
    }

    fn outcomes(&self, arms: &[Arm], runs: &[Vec<Run>]) -> Table {
        let mut table = Table::new([
            "arm",
            "inner steps",
            "rounds",
            "MB a replica",
            "held out, nats",
            "replicas' deviation",
            "spread %",
            "mean model, nats",
        ]);
        for (arm, runs) in arms.iter().zip(runs) {
            let inner = match arm {
                Arm::Synchronous => 1,
                Arm::Apart(_, inner) => *inner,
            };
            let all = |of: &dyn Fn(&Run) -> f64| runs.iter().map(of).collect::<Vec<f64>>();
            let (loss, deviation) = mean_and_spread(&all(&|run| mean(&run.last().1)));
            let among = mean(&all(&|run| mean_and_spread(&run.last().1).1));
            let (model, of_model) = mean_and_spread(&all(&|run| run.mean_model));
            table.row(vec![
                arm.name().into(),
                inner.to_string(),
                (self.options.steps / inner).to_string(),
                format!("{:.2}", mean(&all(&Run::megabytes))),
                format!("{loss:.4} ± {deviation:.4}"),
                format!("{among:.4}"),
                format!("{:.2}", 100.0 * mean(&all(&|run| run.last().2))),
                format!("{model:.4} ± {of_model:.4}"),
            ]);
        }
        table
    }

    /// Where all arms have just averaged.
    fn curves(&self, arms: &[Arm], runs: &[Vec<Run>]) -> Table {
        let mut table = Table::new([
            "steps",
            "every step",
            "DiLoCo",
            "NoLoCo",
            "spread of NoLoCo %",
        ]);
        for step in (1..=self.options.steps).filter(|step| step.is_multiple_of(self.options.inner))
        {
            let losses = runs.iter().map(|runs| {
                let at = runs.iter().map(|run| Some(mean(&run.at(step)?.1)));
                at.collect::<Option<Vec<f64>>>().map(|losses| mean(&losses))
            });
            let Some(losses) = losses.collect::<Option<Vec<f64>>>() else {
                continue;
            };
            let apart: Vec<f64> = runs[arms.len() - 1]
                .iter()
                .filter_map(|run| Some(run.at(step)?.2))
                .collect();
            let mut row = vec![step.to_string()];
            row.extend(losses.iter().map(|loss| format!("{loss:.4}")));
            row.push(format!("{:.2}", 100.0 * mean(&apart)));
            table.row(row);
        }
        table
    }

    fn summary(&self, arm: Arm, runs: &[Run]) -> Value {
        let of = |pick: &dyn Fn(&Run) -> f64| {
            runs.iter()
                .map(|run| rounded(pick(run)))
                .collect::<Vec<_>>()
        };
        let inner = match arm {
            Arm::Synchronous => 1,
            Arm::Apart(_, inner) => inner,
        };
        let expected = match arm {
            Arm::Apart(Outer::NoLoCo { pull, .. }, _) => {
                rounded(contraction(self.options.replicas, f64::from(pull)))
            }
            _ => None,
        };
        json!({
            "arm": arm.name(), "inner_steps": inner, "megabytes": of(&Run::megabytes),
            "held_out": of(&|run| mean(&run.last().1)),
            "deviation_of_replicas": of(&|run| mean_and_spread(&run.last().1).1),
            "spread_percent": of(&|run| 100.0 * run.last().2), "mean_model": of(&|run| run.mean_model),
            "contraction_of_spread": expected,
        })
    }
}

impl Run {
    /// Bytes that a replica sent, on average, in 10⁶.
    fn megabytes(&self) -> f64 {
        self.sent.iter().sum::<u64>() as f64 / self.sent.len() as f64 / 1e6
    }
}

fn job(seed: u64) -> Digest {
    Digest::of(format!("gossip experiment, seed {seed}").as_bytes())
}

/// A decoder of two layers.
fn config(vocabulary: usize) -> ModelConfig {
    ModelConfig {
        vocab_size: vocabulary,
        hidden_size: 64,
        num_layers: 2,
        num_heads: 4,
        num_kv_heads: 4,
        head_dim: 16,
        intermediate_size: 176,
        max_positions: LENGTH,
        rms_norm_eps: 1e-6,
        rope_theta: 10_000.0,
        rope_scaling: RopeScaling::Default,
        qkv_bias: false,
        qk_norm: false,
        tied_embeddings: false,
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// The mean of all seeds' points.
fn mean_points(runs: &[Run]) -> Vec<(f64, f64)> {
    let steps = runs.first().into_iter().flat_map(|run| &run.points);
    let of = |step: u64| {
        let all = runs.iter().filter_map(|run| Some(mean(&run.at(step)?.1)));
        (step as f64, mean(&all.collect::<Vec<f64>>()))
    };
    steps.map(|point| of(point.0)).collect()
}

/// The mean of parameters, tensor by tensor.
fn mean_of(all: &[&Weights]) -> Result<Weights> {
    let first = all.first().context("no replicas")?;
    let of = |(name, tensor): (&str, &Tensor)| {
        let mut sum = vec![0.0; tensor.shape().elements()];
        for weights in all {
            let other = weights.get(name).context("replicas of different models")?;
            for (sum, value) in sum.iter_mut().zip(other.as_f32()?) {
                *sum += f64::from(*value);
            }
        }
        let mean = sum
            .iter()
            .map(|sum| (sum / all.len() as f64) as f32)
            .collect();
        Ok((name.to_owned(), Tensor::f32(tensor.shape().clone(), mean)?))
    };
    first.iter().map(of).collect()
}

/// Root mean square distance to the mean, over the mean's norm.
fn spread(all: &[&Weights]) -> Result<f64> {
    let centre = mean_of(all)?;
    let (mut apart, mut norm) = (0.0, 0.0);
    for (name, tensor) in centre.iter() {
        let centre = tensor.as_f32()?;
        norm += centre
            .iter()
            .map(|value| f64::from(*value).powi(2))
            .sum::<f64>();
        for weights in all {
            let own = weights
                .get(name)
                .context("replicas of different models")?
                .as_f32()?;
            let gaps = own
                .iter()
                .zip(centre)
                .map(|(own, centre)| f64::from(own - centre).powi(2));
            apart += gaps.sum::<f64>() / all.len() as f64;
        }
    }
    Ok((apart / norm).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights(values: [f32; 2]) -> Weights {
        let tensor = Tensor::f32([2], values.to_vec()).unwrap();
        [("w".to_owned(), tensor)].into_iter().collect()
    }

    #[test]
    fn the_spread_is_relative_to_the_mean() {
        let [one, other] = [weights([4.0, 3.0]), weights([2.0, 5.0])];
        assert_eq!(mean_of(&[&one, &other]).unwrap(), weights([3.0, 4.0]));
        assert!((spread(&[&one, &other]).unwrap() - 2f64.sqrt() / 5.0).abs() < 1e-9);
        assert_eq!(spread(&[&one, &one]).unwrap(), 0.0);
    }

    #[test]
    fn arms_of_equal_bytes_are_played() {
        let folder = tempfile::tempdir().unwrap();
        let (text, plot) = (
            folder.path().join("text.txt"),
            folder.path().join("plots/gossip.svg"),
        );
        std::fs::write(&text, "to be, or not to be: ".repeat(200)).unwrap();
        let given = format!(
            "gossip --data {} --plot {} --replicas 4 --steps 12 --inner 4 --seeds 1 --held-out 2 --replay",
            text.display(),
            plot.display()
        );
        let arguments: Vec<String> = given.split(' ').map(str::to_owned).collect();
        let result = run(&arguments).unwrap();
        let arms = result["arms"].as_array().unwrap();
        let megabytes: Vec<f64> = arms
            .iter()
            .map(|arm| arm["megabytes"][0].as_f64().unwrap())
            .collect();
        assert!(
            (megabytes[1] / megabytes[2] - 1.0).abs() < 0.01,
            "{megabytes:?}"
        );
        assert!(megabytes[0] > 2.5 * megabytes[1]);
        assert_eq!(
            (
                arms[1]["spread_percent"][0].as_f64(),
                arms[1]["inner_steps"].as_u64()
            ),
            (Some(0.0), Some(3))
        );
        assert!(arms[2]["spread_percent"][0].as_f64().unwrap() > 0.0);
        assert!(std::fs::read_to_string(&plot).unwrap().contains("NoLoCo"));
        let uneven = ["gossip", "--inner", "7"].map(str::to_owned);
        assert!(run(&uneven).unwrap_err().to_string().contains("--inner"));
    }
}
