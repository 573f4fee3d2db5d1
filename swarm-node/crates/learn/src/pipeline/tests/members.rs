//! Members of a pipeline, with real stages, on a network in memory where peers are killed.

use std::collections::BTreeMap;
use std::time::Duration;

use reproducible_ops::random::Stream;
use reproducible_ops::weights::Weights;
use skippipe::content::Digest;
use skippipe::encoding::Format;
use skippipe::replay::Replay;
use skippipe::testing::network::{Network, settings};
use verde::execute::Executor;

use super::*;
use crate::data_set::DataSet;
use crate::pipeline::data::StepData;
use crate::pipeline::worker::{Blueprint, Encoding, StageWorker};
use crate::training_plan::{DRAW, STEP, Sampling, TrainingPlan};

const MICROBATCHES: usize = 6;
const SAMPLING: Sampling = Sampling {
    key: [77, 3],
    microbatches: MICROBATCHES,
};

fn data() -> DataSet {
    DataSet::pack(&batch(1), LENGTH).unwrap()
}

pub(super) fn blueprint(stages: usize, steps: usize, format: Format) -> Blueprint {
    let config = config(true);
    let data = StepData::new(data(), SAMPLING, ROWS, vec![RATE; steps]).unwrap();
    Blueprint {
        weights: Arc::new(setup::with_tables(&config, LENGTH, &weights(&config)).unwrap()),
        model: StagedModel::new(config, stages).unwrap(),
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
        let blueprint = blueprint(stages, STEPS, Format::F32);
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

#[test]
fn whoever_is_killed_one_machine_computes_the_same_bits_from_the_record() {
    for (seed, format) in [(1, Format::F32), (2, Format::Bf16), (3, Format::Int8)] {
        let blueprint = blueprint(3, 8, format);
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
        let stages = (0..3).map(|stage| made(&blueprint, Some(Stage(stage))));
        let (stages, states): (Vec<_>, Vec<_>) = stages.unzip();
        let states = states.into_iter().map(Option::unwrap).collect();
        let mut replay = Replay::new(stages, states, 2);
        let steps = network.steps();
        assert_eq!(steps.len(), 8, "seed {seed}");
        for stepped in &steps {
            let replayed = replay.step(&stepped.record).unwrap();
            assert_eq!(replayed.norm, stepped.norm);
            for (hop, (state, _)) in &stepped.statements {
                assert_eq!(replayed.states[hop.stage.index()], *state, "{hop:?}");
            }
        }
        let joined = steps
            .iter()
            .map(|stepped| stepped.record.joined.len())
            .sum::<usize>();
        assert!(joined > 0, "somebody came back");
    }
}
