//! Members of a pipeline, with real stages, on a network in memory where peers are killed.

use std::collections::BTreeMap;
use std::time::Duration;

use reproducible_ops::random::Stream;
use reproducible_ops::weights::Weights;
use skippipe::content::Digest;
use skippipe::encoding::Format;
use skippipe::replay::Replay;
use skippipe::testing::network::{Network, settings};
use skippipe::transcript::Recovery;
use verde::execute::Executor;

use super::*;
use crate::data_set::DataSet;
use crate::job_plan::STEP;
use crate::pipeline::data::StepData;
use crate::pipeline::worker::{Blueprint, Encoding, StageWorker};
use crate::training_plan::{DRAW, Sampling, TrainingPlan};

const MICROBATCHES: usize = 6;
const SAMPLING: Sampling = Sampling {
    key: [77, 3],
    microbatches: MICROBATCHES,
};

fn data() -> DataSet {
    DataSet::pack(&batch(1), LENGTH).unwrap()
}

pub(super) fn blueprint(model: StagedModel, steps: usize, format: Format) -> Blueprint {
    let data = StepData::new(data(), SAMPLING, ROWS, vec![RATE; steps]).unwrap();
    Blueprint {
        weights: Arc::new(with_bottlenecks(&model)),
        model,
        shape: [ROWS, LENGTH],
        optimizer: OPTIMIZER,
        data: Arc::new(data),
        encoding: Encoding {
            hidden: format,
            gradient: format,
        },
        outer: None,
    }
}

fn plain(stages: usize) -> StagedModel {
    StagedModel::new(config(true), stages).unwrap()
}

pub(super) fn made(blueprint: &Blueprint, stage: Option<Stage>) -> (StageWorker, Option<Digest>) {
    let worker = StageWorker::new(blueprint.clone(), engine(), stage).unwrap();
    let state = worker.state().unwrap();
    (worker, state)
}

pub(super) fn network(
    blueprint: &Blueprint,
    replicas: &[usize],
    steps: u64,
    seed: u64,
) -> Network<StageWorker> {
    let peers = replicas.iter().sum::<usize>() as u32;
    let settings = settings(replicas.len() as u16, peers, MICROBATCHES as u32, steps);
    let blueprint = blueprint.clone();
    let make = move |stage| made(&blueprint, stage);
    Network::new(settings, replicas, seed, Box::new(make))
}

/// Parameters and moments of the first living holder of each stage.
fn final_tensors(network: &Network<StageWorker>) -> Weights {
    let holders: BTreeMap<_, _> = network.living();
    let states = holders.values().map(|peers| {
        let first = *peers.first().unwrap();
        network
            .engine(first)
            .unwrap()
            .train_state()
            .unwrap()
            .unwrap()
    });
    tensors(&states.collect::<Vec<_>>())
}

#[test]
fn a_pipeline_without_skips_is_the_job_of_one_machine() {
    const STEPS: usize = 3;
    let config = config(true);
    let forward = swarm_model::programs::forward(&config, ROWS, LENGTH).unwrap();
    let programs = Programs::new(&forward, Objective::Supervised, &OPTIMIZER).unwrap();
    let tables = setup::with_tables(&config, LENGTH, &weights(&config)).unwrap();
    let plan = TrainingPlan::new(&programs, &tables, &data(), SAMPLING, vec![RATE; STEPS]).unwrap();
    let engine = engine();
    let schedule = plan.schedule().unwrap();
    let mut job = Executor::new(engine.as_ref(), schedule, &plan.constants, &plan.state).unwrap();
    for _ in 0..STEPS {
        job.step(&[]).unwrap();
    }
    let mut expected = plan.train_state(STEPS as u64, job.state().unwrap());
    for counter in [STEP, DRAW] {
        expected.optimizer.remove(counter).unwrap();
    }
    let expected = tensors(&[expected]);
    for stages in [1, 2, 4] {
        let blueprint = blueprint(plain(stages), STEPS, Format::F32);
        let mut network = network(&blueprint, &vec![1; stages], STEPS as u64, 4);
        network.run(Duration::from_secs(600));
        assert_eq!(network.steps().len(), STEPS);
        let found = final_tensors(&network);
        assert!(found.names().eq(expected.names()));
        for (name, tensor) in expected.iter() {
            assert_eq!(found.get(name), Some(tensor), "{name}, {stages} stages");
        }
    }
}

/// One machine computes the states that members stated, from their records.
fn check_replay(blueprint: &Blueprint, network: &Network<StageWorker>) {
    let stages = (0..blueprint.model.stages() as u16).map(Stage);
    let stages = stages.map(|stage| made(blueprint, Some(stage)));
    let (stages, states): (Vec<_>, Vec<_>) = stages.unzip();
    let states = states.into_iter().map(Option::unwrap).collect();
    let mut replay = Replay::new(stages, states, 2);
    for stepped in &network.steps() {
        let replayed = replay.step(&stepped.record).unwrap();
        assert_eq!(replayed.norm, stepped.norm);
        for (hop, stated) in &stepped.statements {
            assert_eq!(replayed.states[hop.stage.index()], stated.state, "{hop:?}");
            assert_eq!(replayed.sums.get(hop), Some(&stated.sums), "{hop:?}");
        }
    }
}

#[test]
fn whoever_is_killed_one_machine_computes_the_same_bits_from_the_record() {
    let cases = [
        (1, Format::F32, plain(3)),
        (2, Format::Bf16, plain(3)),
        (3, Format::Int8, plain(3)),
        (4, Format::F32, narrow(3, 4, true)),
        (5, Format::Int8, narrow(3, 3, true)),
    ];
    for (seed, format, model) in cases {
        let blueprint = blueprint(model, 8, format);
        let mut network = network(&blueprint, &[2, 2, 2], 8, seed);
        network.skips = usize::from(format != Format::F32);
        let mut random = Stream::from_seed("pipeline kills", seed);
        let mut at = Duration::from_millis(500);
        for peer in [3, 2, 5] {
            at += Duration::from_millis(random.below(3000));
            network.kill_at(Peer(peer), at);
            network.revive_at(Peer(peer), at + Duration::from_secs(4));
        }
        network.kill_at(Peer(0), at + Duration::from_secs(1));
        network.run(Duration::from_secs(900));
        let steps = network.steps();
        assert_eq!(steps.len(), 8, "seed {seed}");
        check_replay(&blueprint, &network);
        let joined = steps
            .iter()
            .map(|stepped| stepped.record.joined.len())
            .sum::<usize>();
        assert!(joined > 0, "somebody came back");
    }
}

/// The only holder of a stage is lost: its layers, and what it has of bottlenecks, are the mean of
/// its neighbours'.
#[test]
fn a_lost_stage_between_bottlenecks_is_rebuilt_from_its_neighbours() {
    for residual in [false, true] {
        let blueprint = blueprint(narrow(4, 4, residual), 8, Format::F32);
        let mut network = network(&blueprint, &[1, 1, 1, 1], 8, 6);
        network.kill_at(Peer(2), Duration::from_secs(2));
        network.revive_at(Peer(2), Duration::from_secs(3));
        network.run(Duration::from_secs(900));
        let steps = network.steps();
        assert_eq!(steps.len(), 8);
        let joined = steps.iter().flat_map(|stepped| &stepped.record.joined);
        let rebuilt = joined.filter(|joined| matches!(joined.recovery, Recovery::Averaged { .. }));
        let rebuilt: Vec<Stage> = rebuilt.map(|joined| joined.hop.stage).collect();
        assert_eq!(rebuilt, [Stage(2)]);
        check_replay(&blueprint, &network);
    }
}
