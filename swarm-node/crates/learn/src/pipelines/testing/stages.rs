//! Real stages of a nano model.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use reproducible_ops::engine::cpu::CpuEngine;
use reproducible_ops::weights::Weights;
use skippipe::content::Digest;
use skippipe::meeting::{Interval, Reason, Replica, Taken};
use skippipe::path::{Peer, Stage};
use skippipe::replay::Replay as OfPipeline;
use skippipe::testing::network::settings as pipeline_settings;
use swarm_model::stages::StagedModel;
use swarm_model::{ModelConfig, init};

use super::network::Pipelines;
use crate::assemble::{Objective, OptimizerConfig};
use crate::averaging::contribution::Formats;
use crate::averaging::outer::Outer;
use crate::averaging::pairing::Group;
use crate::averaging::replay::Replayed;
use crate::averaging::testing::network::{Network as Trainers, settings as trainer_settings};
use crate::averaging::trainer::{Rows, TrainerReplica, shard};
use crate::averaging::transcript::Roster;
use crate::averaging::worker::{OuterTerms, ReplicaWorker, Trainable as _};
use crate::data_set::DataSet;
use crate::inputs::{Example, Sample};
use crate::pipeline::data::{Apart, StepData};
use crate::pipeline::worker::{Blueprint, Encoding, StageWorker};
use crate::pipelines::replay::Replay;
use crate::pipelines::settings::{Seat, Settings, Sizes};
use crate::programs::Programs;
use crate::schedule::Schedule;
use crate::setup;
use crate::training_plan::Sampling;

pub const JOB: Digest = Digest([7; 32]);
const ROWS: usize = 2;
const LENGTH: usize = 12;
const MICROBATCHES: usize = 2;
/// Steps between two meetings.
pub const EVERY: u64 = 2;
const RATE: f32 = 3e-3;

fn config() -> ModelConfig {
    ModelConfig {
        num_layers: 2,
        ..ModelConfig::preset("nano").unwrap()
    }
}

fn data() -> DataSet {
    let example = |number: u32| {
        let tokens = (0..LENGTH as u32 - 1).map(|at| (number * 5 + at * (1 + number % 3)) % 60);
        Example {
            prompt: vec![number % 60],
            samples: vec![Sample {
                tokens: tokens.collect(),
                weight: 1.0,
                ..Sample::default()
            }],
        }
    };
    let examples: Vec<Example> = (0..40).map(example).collect();
    DataSet::pack(&examples, LENGTH).unwrap()
}

/// What a job of these tests is.
#[derive(Clone)]
pub struct Job {
    pub pipelines: u32,
    pub replicas: Vec<usize>,
    pub outer: Outer,
    pub rounds: u64,
    pub rate: f32,
    /// Seeds of initial weights, by pipeline; of one seed where they begin alike.
    pub seeds: Vec<u64>,
    pub begins: Vec<Duration>,
}

impl Job {
    pub fn new(pipelines: u32, replicas: &[usize], outer: Outer, rounds: u64) -> Self {
        Self {
            pipelines,
            replicas: replicas.to_vec(),
            outer,
            rounds,
            rate: RATE,
            seeds: vec![4; pipelines as usize],
            begins: vec![Duration::ZERO; pipelines as usize],
        }
    }

    fn stages(&self) -> u16 {
        self.replicas.len() as u16
    }

    fn peers(&self) -> u32 {
        self.replicas.iter().sum::<usize>() as u32
    }

    pub fn interval(&self) -> Interval {
        Interval::new(EVERY)
    }

    fn blueprint(&self, pipeline: Replica) -> Blueprint {
        let config = config();
        let schedule = Schedule::constant(self.rate, 2);
        let rates = (0..EVERY * self.rounds).map(|step| schedule.rate(step));
        let sampling = Sampling {
            key: [0; 2],
            microbatches: MICROBATCHES,
        };
        let all = StepData::new(data(), sampling, ROWS, rates.collect()).unwrap();
        let own = shard(&JOB, data().rows(), self.pipelines, pipeline);
        let weights = init::initialise(&config, self.seeds[pipeline.index()]).unwrap();
        Blueprint {
            weights: Arc::new(setup::with_tables(&config, LENGTH, &weights).unwrap()),
            model: StagedModel::new(config, usize::from(self.stages())).unwrap(),
            shape: [ROWS, LENGTH],
            optimizer: OptimizerConfig::default(),
            data: Arc::new(all.apart(Apart {
                job: JOB,
                pipeline,
                own: own.into(),
                interval: self.interval(),
            })),
            encoding: Encoding::default(),
            outer: Some(OuterTerms {
                outer: self.outer,
                formats: Formats::default(),
            }),
        }
    }

    fn worker(&self, pipeline: Replica, stage: Option<Stage>, threads: usize) -> StageWorker {
        let engine = Arc::new(CpuEngine::new(threads));
        StageWorker::new(self.blueprint(pipeline), engine, stage).unwrap()
    }

    pub fn start(&self) -> Pipelines<StageWorker> {
        let stages = (0..self.stages()).map(Stage);
        let sizes = stages.map(|stage| {
            let worker = self.worker(Replica(0), Some(stage), 1);
            let outer = worker.outer().unwrap();
            Sizes {
                contribution: outer.contribution_bytes(),
                outer: outer.outer_bytes(),
            }
        });
        let settings = Settings {
            job: JOB,
            paired: self.outer.is_paired(),
            pipelines: self.pipelines,
            peers: self.peers(),
            sizes: sizes.collect(),
            patience: Duration::from_secs(4),
            again: Duration::from_millis(500),
        };
        let steps = self.interval().steps(self.rounds);
        let pipeline = pipeline_settings(self.stages(), self.peers(), MICROBATCHES as u32, steps);
        let interval = self.interval();
        Pipelines::new(
            settings,
            &pipeline,
            interval,
            &self.replicas,
            self.begins.clone(),
            |pipeline| {
                let job = self.clone();
                Box::new(move |stage| {
                    let worker = job.worker(pipeline, stage, 1);
                    let state = worker.state().unwrap();
                    (worker, state)
                })
            },
        )
    }

    /// Another number of threads, and nothing but the records; every state that was stated is compared.
    #[track_caller]
    pub fn check(&self, lived: &Pipelines<StageWorker>) -> Replayed {
        let mut stated = BTreeMap::new();
        for (pipeline, steps) in (0..).map(Replica).zip(lived.steps()) {
            for stepped in steps {
                stated.insert((pipeline, stepped.record.step), stepped.statements);
            }
        }
        let pipelines = (0..self.pipelines).map(Replica).map(|pipeline| {
            let stages = (0..self.stages()).map(Stage);
            let stages: Vec<StageWorker> = stages
                .map(|stage| self.worker(pipeline, Some(stage), 2))
                .collect();
            let states = stages.iter().map(|one| one.state().unwrap().unwrap());
            let states = states.collect();
            OfPipeline::new(stages, states, 2)
        });
        let mut replay = Replay::new(
            JOB,
            self.outer.is_paired(),
            self.interval(),
            pipelines.collect(),
        );
        let mut compared = 0;
        let replayed = replay.run(&lived.records(), &mut |pipeline, record, stepped| {
            for (hop, said) in &stated[&(pipeline, record.step)] {
                let computed = stepped.states[hop.stage.index()];
                assert_eq!(
                    computed, said.state,
                    "{hop:?} of {pipeline}, step {}",
                    record.step
                );
                compared += 1;
            }
        });
        assert!(compared > 0);
        replayed.unwrap()
    }
}

/// Parameters of all stages of a pipeline, of the first that lives of each.
fn parameters(lived: &Pipelines<StageWorker>, pipeline: usize) -> Weights {
    let network = &lived.networks[pipeline];
    let mut all = Weights::new();
    for peers in network.living().values() {
        let worker = network.engine(*peers.first().unwrap()).unwrap();
        all.extend(worker.train_state().unwrap().unwrap().params);
    }
    all
}

#[test]
fn stages_that_meet_are_replayed_bit_for_bit() {
    for (outer, pipelines) in [(Outer::NOLOCO, 4), (Outer::DILOCO, 3)] {
        let job = Job::new(pipelines, &[1, 1], outer, 3);
        let mut lived = job.start();
        let all: Vec<usize> = (0..pipelines as usize).collect();
        lived.run(Duration::from_secs(600), &all);
        let replayed = job.check(&lived);
        assert_eq!(
            replayed.averaged,
            3 * 2 * pipelines as usize,
            "{replayed:?}"
        );
        assert!(replayed.alone.is_empty() && replayed.one_sided.is_empty());
        assert_eq!((lived.refused, lived.faults.len()), (0, 0));
        let apart = parameters(&lived, 0) != parameters(&lived, 1);
        assert_eq!(
            apart,
            outer.is_paired(),
            "after a mean of all, all are the same"
        );
    }
}

/// Pipelines of one stage are replicas that are one trainer, bit for bit.
#[test]
fn pipelines_of_one_stage_are_trainers_that_average() {
    const PIPELINES: u32 = 4;
    for outer in [Outer::NOLOCO, Outer::DILOCO] {
        let job = Job::new(PIPELINES, &[1], outer, 3);
        let mut lived = job.start();
        lived.run(Duration::from_secs(600), &[0, 1, 2, 3]);
        let replayed = job.check(&lived);
        assert_eq!(replayed.averaged, 3 * PIPELINES as usize);

        let engine = CpuEngine::new(1);
        let config = config();
        let forward = swarm_model::programs::forward(&config, ROWS, LENGTH).unwrap();
        let programs = Programs::new(&forward, Objective::Supervised, &OptimizerConfig::default());
        let programs = Arc::new(programs.unwrap());
        let weights = init::initialise(&config, 4).unwrap();
        let trainers = (0..PIPELINES).map(Replica).map(|replica| {
            let trainer = setup::trainer(&engine, &config, programs.clone(), &weights).unwrap();
            let rows = Rows {
                job: JOB,
                own: shard(&JOB, data().rows(), PIPELINES, replica),
                data: Arc::new(data()),
                batch: ROWS * MICROBATCHES,
                schedule: Schedule::constant(RATE, 2),
            };
            let inner = TrainerReplica::new(trainer, replica, rows, EVERY);
            ReplicaWorker::new(inner, &engine, outer, Formats::default()).unwrap()
        });
        let trainers: Vec<_> = trainers.collect();
        let sizes = [trainers[0].contribution_bytes(), trainers[0].outer_bytes()];
        let settings = trainer_settings(outer.is_paired(), PIPELINES, 3, sizes);
        let mut network = Trainers::new(settings, trainers, 3);
        network.run(Duration::from_secs(600));
        assert!(network.is_finished());
        for replica in (0..PIPELINES).map(Replica) {
            let trainer = network.engine(replica).unwrap();
            let stage = lived.networks[replica.index()].engine(Peer(0)).unwrap();
            assert_eq!(stage.outer().unwrap().state(), trainer.outer(), "{replica}");
            let expected = trainer.inner().parameters().unwrap();
            assert_eq!(parameters(&lived, replica.index()), expected, "{replica}");
        }
    }
}

fn sums(lived: &Pipelines<StageWorker>) -> Vec<f64> {
    let mut sums: Vec<f64> = Vec::new();
    for pipeline in 0..lived.networks.len() {
        let all = parameters(lived, pipeline);
        let values = all
            .iter()
            .flat_map(|(_, tensor)| tensor.as_f32().unwrap().to_vec());
        let values: Vec<f64> = values.map(f64::from).collect();
        sums.resize(values.len(), 0.0);
        sums.iter_mut().zip(values).for_each(|(sum, x)| *sum += x);
    }
    sums
}

/// Without training, gossip keeps the sum of all anchors and brings them together.
#[test]
fn gossip_of_stages_keeps_the_sum_of_all() {
    let mut job = Job::new(4, &[1, 1], Outer::NOLOCO, 4);
    job.rate = 0.0;
    job.seeds = vec![1, 2, 3, 4];
    let mut lived = job.start();
    let before = sums(&lived);
    let spread = |lived: &Pipelines<StageWorker>| -> f64 {
        let mean: Vec<f64> = sums(lived).iter().map(|sum| sum / 4.0).collect();
        let one = parameters(lived, 0);
        let values = one
            .iter()
            .flat_map(|(_, tensor)| tensor.as_f32().unwrap().to_vec());
        values
            .zip(mean)
            .map(|(x, mean)| (f64::from(x) - mean).powi(2))
            .sum()
    };
    let apart = spread(&lived);
    lived.run(Duration::from_secs(600), &[0, 1, 2, 3]);
    let replayed = job.check(&lived);
    assert_eq!(replayed.averaged, 4 * 2 * 4);
    let after = sums(&lived);
    for (before, after) in before.iter().zip(&after) {
        assert!((before - after).abs() < 1e-5, "{before} became {after}");
    }
    let left = spread(&lived) / apart;
    assert!(left < 0.5, "of the spread {left} is left");
}

/// Who speaks, who leads and whole stages' other holders are killed; replicas stay the same.
#[test]
fn peers_that_are_killed_are_replayed_bit_for_bit() {
    for (outer, seed) in [(Outer::NOLOCO, 1_u64), (Outer::DILOCO, 2)] {
        let job = Job::new(2, &[2, 2], outer, 4);
        let mut lived = job.start();
        let seat = |pipeline, peer| Seat {
            pipeline: Replica(pipeline),
            peer: Peer(peer),
        };
        let at = |millis| Duration::from_millis(millis);
        for (number, seat) in [seat(0, 2), seat(1, 0), seat(0, 0)].into_iter().enumerate() {
            let killed = at(700 + 900 * seed + 1500 * number as u64);
            lived.kill_at(seat, killed);
            lived.revive_at(seat, killed + at(2500));
        }
        lived.run(Duration::from_secs(900), &[0, 1]);
        let replayed = job.check(&lived);
        assert!(replayed.averaged >= 8, "{replayed:?}");
        assert_eq!(lived.refused, 0);
        let records = lived.records();
        assert!(records.iter().all(|one| one.len() == 12));
        let joined = records.iter().flatten().map(|one| one.joined.len());
        assert!(joined.sum::<usize>() > 0, "somebody came back");
    }
}

/// A pipeline that missed a mean takes over the anchor of whoever leads.
#[test]
fn who_missed_a_mean_takes_over_an_anchor() {
    let mut job = Job::new(3, &[1, 1], Outer::DILOCO, 5);
    let leader = |round| Group::of(&JOB, round, &Roster::initial(3), false, Replica(0)).leader();
    let late = (0..3).find(|late| {
        [0, 1]
            .iter()
            .all(|round| leader(*round) != Some(Replica(*late)))
    });
    let late = late.unwrap() as usize;
    // It comes to the first meeting when the others have gone on, and is waited for at the second.
    job.begins[late] = Duration::from_millis(6500);
    let mut lived = job.start();
    lived.run(Duration::from_secs(600), &[0, 1, 2]);
    let replayed = job.check(&lived);
    assert!(replayed.adopted >= 2, "{replayed:?}");
    let missed = &lived.records()[late][EVERY as usize].met;
    assert!(
        missed
            .values()
            .all(|met| matches!(met.taken, Taken::Alone(reason) if reason != Reason::Single)),
        "{missed:?}"
    );
    let all = [0, 1, 2].map(|pipeline| parameters(&lived, pipeline));
    assert!(
        all[0] == all[1] && all[1] == all[2],
        "the last meeting was of all"
    );
}
