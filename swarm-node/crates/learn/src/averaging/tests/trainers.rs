//! Real trainers as replicas, on a network in memory; and outer steps on one stage's parameters.

use std::sync::Arc;
use std::time::Duration;

use reproducible_ops::engine::cpu::CpuEngine;
use skippipe::content::Digest;
use swarm_model::stages::StagedModel;
use swarm_model::{ModelConfig, init};

use super::*;
use crate::assemble::{Objective, OptimizerConfig};
use crate::averaging::contribution::Formats;
use crate::averaging::replay::Replay;
use crate::averaging::testing::network::{Network, settings};
use crate::averaging::trainer::{Rows, TrainerReplica, shard};
use crate::averaging::transcript::{Reason, Replica};
use crate::averaging::work::{Engine as _, Move, Outcome, Work};
use crate::averaging::worker::{ReplicaWorker, Trainable as _};
use crate::data_set::DataSet;
use crate::inputs::{Example, Sample};
use crate::pipeline::programs::StagePrograms;
use crate::programs::Programs;
use crate::schedule::Schedule;
use crate::setup;

const JOB: Digest = Digest([7; 32]);
const ROWS: usize = 2;
const LENGTH: usize = 12;

fn config() -> ModelConfig {
    ModelConfig {
        num_layers: 2,
        ..ModelConfig::preset("nano").unwrap()
    }
}

fn examples() -> Vec<Example> {
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
    (0..40).map(example).collect()
}

/// Rows of the examples; each replica of `replicas` has its own.
fn rows(rate: f32, replicas: u32, replica: u32) -> Rows {
    let data = DataSet::pack(&examples(), LENGTH).unwrap();
    Rows {
        job: JOB,
        own: shard(&JOB, data.rows(), replicas, Replica(replica)),
        data: Arc::new(data),
        batch: 4,
        schedule: Schedule::constant(rate, 2),
    }
}

/// Replicas with an engine of so many threads.
fn replicas(outer: Outer, count: u32, threads: usize) -> Vec<ReplicaWorker<TrainerReplica>> {
    let engine = CpuEngine::new(threads);
    let config = config();
    let forward = swarm_model::programs::forward(&config, ROWS, LENGTH).unwrap();
    let programs = Programs::new(&forward, Objective::Supervised, &OptimizerConfig::default());
    let programs = Arc::new(programs.unwrap());
    let weights = init::initialise(&config, 4).unwrap();
    let replica = |replica| {
        let trainer = setup::trainer(&engine, &config, programs.clone(), &weights).unwrap();
        let rows = rows(3e-3, count, replica);
        let inner = TrainerReplica::new(trainer, Replica(replica), rows, 2);
        ReplicaWorker::new(inner, &engine, outer, Formats::default()).unwrap()
    };
    (0..count).map(replica).collect()
}

#[test]
fn trainers_that_are_killed_and_cut_off_are_replayed_bit_for_bit() {
    for outer in [Outer::NOLOCO, Outer::DILOCO] {
        let engines = replicas(outer, 4, 1);
        let sizes = [engines[0].contribution_bytes(), engines[0].outer_bytes()];
        let mut network = Network::new(settings(outer.is_paired(), 4, 5, sizes), engines, 3);
        network.loss = 20;
        network.kill_at(Replica(2), Duration::from_millis(1400));
        network.run(Duration::from_secs(600));
        assert!(network.is_finished());
        // Another number of threads, and nothing but the transcripts.
        let mut replay = Replay::new(JOB, outer.is_paired(), replicas(outer, 4, 2));
        let replayed = replay.run(network.transcripts()).unwrap();
        assert!(replayed.averaged >= 6, "{replayed:?}");
        assert!(
            replayed
                .alone
                .keys()
                .any(|reason| *reason != Reason::Single),
            "{replayed:?}"
        );
        for replica in [0, 1, 3].map(Replica) {
            let lived = network.engine(replica).unwrap();
            let computed = &replay.engines()[replica.index()];
            assert_eq!(lived.outer(), computed.outer(), "{replica}");
            let parameters = [lived, computed].map(|one| one.inner().parameters().unwrap());
            assert_eq!(bits(&parameters[0]), bits(&parameters[1]), "{replica}");
        }
    }
}

#[test]
fn replicas_draw_rows_of_their_own() {
    let rows = [1, 2].map(|replica| rows(1e-3, 4, replica));
    let drawn = |at: usize, step| rows[at].batch(Replica(1 + at as u32), step);
    assert_eq!(drawn(0, 5), drawn(0, 5));
    assert_ne!(drawn(0, 5), drawn(0, 6));
    for step in 0..20 {
        for at in [0, 1] {
            assert!(drawn(at, step).iter().all(|row| rows[at].own.contains(row)));
        }
    }
}

/// Rows that were packed before are what a trainer packs of their examples, bit for bit.
#[test]
fn a_step_on_rows_is_the_step_on_their_examples() {
    let mut both = replicas(Outer::NOLOCO, 2, 1);
    let rows = rows(1e-3, 2, 0);
    let drawn = rows.batch(Replica(0), 0);
    // Each example has a row of its own, in their order.
    let batch: Vec<Example> = drawn.iter().map(|row| examples()[*row].clone()).collect();
    let of_rows = both[0].inner_mut().trainer_mut();
    let of_rows = of_rows.step_on_rows(&rows.data, &drawn, 1e-3).unwrap();
    let of_batch = both[1]
        .inner_mut()
        .trainer_mut()
        .step(&batch, 1e-3)
        .unwrap();
    assert_eq!(of_rows, of_batch);
    let [one, other] = [0, 1].map(|at| bits(&both[at].inner().parameters().unwrap()));
    assert_eq!(one, other);
    let trainer = both[0].inner_mut().trainer_mut();
    let refused = trainer.step_on_rows(&rows.data, &[0], 1e-3).unwrap_err();
    assert!(
        refused.to_string().contains("1 rows of 12 tokens"),
        "{refused}"
    );
    assert!(trainer.step_on_rows(&rows.data, &[0, 40], 1e-3).is_err());
}

#[test]
fn a_replica_goes_on_from_its_checkpoint() {
    let mut both = replicas(Outer::NOLOCO, 1, 1);
    both.extend(replicas(Outer::NOLOCO, 1, 2));
    let [mut lived, mut restored] = <[_; 2]>::try_from(both).unwrap();
    let round = |of: &mut ReplicaWorker<TrainerReplica>, number| {
        of.perform(Work::Train { round: number });
        of.perform(Work::Move(Move::Own))
    };
    let Outcome::Moved { state, .. } = round(&mut lived, 0) else {
        panic!("the round is over")
    };
    assert_eq!(restored.restore(&lived.checkpoint().unwrap()), Ok(state));
    assert_eq!(round(&mut lived, 3), round(&mut restored, 3));
    let mut other = lived.checkpoint().unwrap();
    other.remove("anchor.model.norm.weight");
    assert!(restored.restore(&other).is_err());
}

/// Replicas of one stage, each in a pipeline of its own, come together by themselves: steps of all
/// stages are that of the whole model.
#[test]
fn stages_step_as_the_whole_model_does() {
    let config = config();
    let model = StagedModel::new(config.clone(), 2).unwrap();
    let engine = CpuEngine::new(1);
    let weights = [5, 6].map(|seed| init::initialise(&config, seed).unwrap());
    let moved = |types: &[(String, TensorType)]| {
        let of = |weights: &Weights| -> Weights {
            let named = types.iter();
            let named = named.map(|(name, _)| (name.clone(), weights.get(name).unwrap().clone()));
            named.collect()
        };
        let programs = OuterPrograms::new(Outer::NOLOCO, types).unwrap();
        let mut step = OuterStep::new(&engine, &programs).unwrap();
        let mut states = [&weights[0], &weights[1]].map(|one| OuterState::initial(of(one)));
        gossip(&mut step, &mut states, [0, 1]);
        states[0].anchor.clone()
    };
    let whole = model.all_parameters().into_iter();
    let whole: Vec<_> = whole
        .map(|(name, shape)| (name, TensorType::f32(shape)))
        .collect();
    let whole = moved(&whole);
    let mut of_stages = Weights::new();
    for stage in 0..2 {
        let programs =
            StagePrograms::new(&model, stage, [ROWS, LENGTH], &OptimizerConfig::default());
        of_stages.extend(moved(&programs.unwrap().parameters()));
    }
    assert_eq!(of_stages, whole);
}
