//! A step of a stage as a plan: the bits of what its holders state, and of all that was sent.

use std::collections::BTreeMap;
use std::time::Duration;

use skippipe::content::Digest;
use skippipe::encoding::{self, Format};
use skippipe::replay::{Arrival, Replay};
use skippipe::transcript::StepRecord;
use swarm_model::stages::{HIDDEN_IN, HIDDEN_OUT};
use verde::execute::Executor;

use super::members::{blueprint, made, network};
use super::*;
use crate::pipeline::programs::gradient_of;
use crate::pipeline::stage_plan::{StagePlan, StagePlanError, StageStep};
use crate::pipeline::worker::Blueprint;

/// The plan's next state and sent tensors are those of the record.
fn check(
    blueprint: &Blueprint,
    (plan, record, stage): (&StagePlan, &StepRecord, Stage),
    (before, after): (Digest, Digest),
) {
    let engine = engine();
    let schedule = plan.schedule().unwrap();
    let mut executor =
        Executor::new(engine.as_ref(), schedule, &plan.constants, &plan.state).unwrap();
    assert_eq!(executor.state_root().unwrap(), before.0);
    let format = blueprint.encoding.hidden;
    let sent = |executor: &mut Executor<'_>, run: u32, name: &str| {
        let values = executor.run_values(&[], run as usize).unwrap();
        let run = &plan.plan.runs[run as usize];
        let program = &plan.programs[run.program as usize];
        let value = program.output_named(name).unwrap();
        let bytes = encoding::encode(format, &values[value.index()]).unwrap();
        Digest::of(&bytes)
    };
    for (number, visit) in record.counted(stage) {
        let (forward, backward) = plan.visits[&number];
        assert_eq!(sent(&mut executor, forward, HIDDEN_OUT), visit.output);
        let Some(backward) = backward else { continue };
        let passages = record.passages.iter();
        let passage = passages
            .clone()
            .find(|passage| passage.microbatch == number);
        let visits = &passage.unwrap().visits;
        let place = visits
            .iter()
            .position(|other| other.hop == visit.hop)
            .unwrap();
        let back = sent(&mut executor, backward, &gradient_of(HIDDEN_IN));
        assert_eq!(back, visits[place - 1].gradient);
    }
    executor.step(&[]).unwrap();
    assert_eq!(executor.state_root().unwrap(), after.0);
}

#[test]
fn a_step_of_a_stage_is_a_plan_with_the_bits_that_its_holders_state() {
    let plain = StagedModel::new(config(true), 3).unwrap();
    let cases = [
        (5, Format::F32, plain.clone()),
        (6, Format::Int8, plain),
        (7, Format::F32, narrow(3, 4, true)),
        (8, Format::Int8, narrow(3, 3, true)),
    ];
    for (seed, format, model) in cases {
        let blueprint = blueprint(model, 3, format);
        let mut network = network(&blueprint, &[2, 3, 1], 3, seed);
        network.skips = 1;
        network.run(Duration::from_secs(600));
        let stages = (0..3).map(|stage| made(&blueprint, Some(Stage(stage))));
        let (stages, states): (Vec<_>, Vec<_>) = stages.unzip();
        let states: Vec<Digest> = states.into_iter().map(Option::unwrap).collect();
        let mut replay = Replay::new(stages, states.clone(), 2);
        let mut before = states;
        let (mut planned, mut steps) = (0, network.steps());
        for stepped in &mut steps {
            let of_stages = replay.stages().iter();
            let own: Vec<TrainState> = of_stages
                .map(|worker| worker.train_state().unwrap().unwrap())
                .collect();
            let mut arrivals: BTreeMap<Stage, Vec<Arrival>> = BTreeMap::new();
            let mut seen =
                |arrival: Arrival| arrivals.entry(arrival.hop.stage).or_default().push(arrival);
            let replayed = replay.step_with(&stepped.record, &mut seen).unwrap();
            for (index, state) in own.iter().enumerate() {
                let stage = Stage(index as u16);
                let found = blueprint
                    .arrived(arrivals.get(&stage).into_iter().flatten())
                    .unwrap();
                let programs = blueprint
                    .stage(&engine(), stage)
                    .unwrap()
                    .programs()
                    .clone();
                let step = StageStep {
                    record: &stepped.record,
                    data: &blueprint.data,
                    arrived: &found,
                    norm: replayed.norm,
                };
                match StagePlan::new(&programs, &blueprint.weights, state, step) {
                    Ok(plan) => {
                        planned += 1;
                        let states = (before[index], replayed.states[index]);
                        check(&blueprint, (&plan, &stepped.record, stage), states);
                    }
                    Err(StagePlanError::Still(..)) => {
                        assert_eq!(before[index], replayed.states[index]);
                    }
                    Err(other) => panic!("{other}"),
                }
            }
            before = replayed.states;
        }
        assert!(
            planned >= 7,
            "{planned} of {} steps of stages",
            steps.len() * 3
        );
    }
}
