//! A step of a stage as a plan: the bits of what its holders state, and of all that was sent.

use std::collections::BTreeMap;
use std::time::Duration;

use reproducible_ops::program::TensorType;
use reproducible_ops::tensor::Tensor;
use reproducible_ops::weights::Weights;
use skippipe::content::{Content, Digest};
use skippipe::encoding::{self, Format};
use skippipe::path::Hop;
use skippipe::replay::{Arrival, Replay, Replayed};
use skippipe::statements::Statements;
use skippipe::transcript::{Stated, StepRecord};
use swarm_model::stages::{HIDDEN_IN, HIDDEN_OUT};
use verde::execute::Executor;

use super::members::{blueprint, made, network};
use super::*;
use crate::pipeline::programs::gradient_of;
use crate::pipeline::stage_audit::{Evidence, recompute};
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
        let runs = plan.visits[&number];
        assert_eq!(sent(&mut executor, runs.forward, HIDDEN_OUT), visit.output);
        let passages = record.passages.iter();
        let passage = passages
            .clone()
            .find(|passage| passage.microbatch == number);
        let visits = &passage.unwrap().visits;
        let place = visits
            .iter()
            .position(|other| other.hop == visit.hop)
            .unwrap();
        let back = sent(&mut executor, runs.sent_back(), &gradient_of(HIDDEN_IN));
        // Of stage 0 the last of the path has it.
        let to = place.checked_sub(1).unwrap_or(visits.len() - 1);
        assert_eq!(back, visits[to].gradient);
    }
    executor.step(&[]).unwrap();
    assert_eq!(executor.state_root().unwrap(), after.0);
}

/// What somebody has made, if anything.
struct Made(Option<Content>);

impl Evidence for Made {
    fn content(&self, digest: &Digest) -> Option<Content> {
        self.0.clone().filter(|made| made.digest() == *digest)
    }

    fn state(&self, _: &Digest) -> Option<Weights> {
        None
    }
}

/// An audit of the stage alone comes to what the replay of all stages does, and names who is wrong.
fn check_audit(
    blueprint: &Blueprint,
    plan: &StagePlan,
    (record, stage): (&StepRecord, Stage),
    replayed: &Replayed,
) {
    let engine = engine();
    let audited = |record: &StepRecord, made: Option<Content>, statements: &Statements| {
        let (of, made) = ((record, stage, replayed.norm), Made(made));
        let computed = recompute(plan, engine.as_ref(), blueprint, of, &made).unwrap();
        let findings = computed.findings((record, stage), plan, statements, &made);
        (computed, findings)
    };
    let of_stage = replayed.sums.iter().filter(|(hop, _)| hop.stage == stage);
    let stated = of_stage.map(|(&hop, sums)| {
        let stated = Stated {
            state: replayed.states[stage.index()],
            sums: sums.clone(),
            signature: Vec::new(),
        };
        (hop, stated)
    });
    let stated: Statements = stated.collect();
    let (computed, findings) = audited(record, None, &stated);
    assert_eq!(findings, []);
    assert_eq!(computed.state, replayed.states[stage.index()]);
    assert_eq!(computed.sums.len(), stated.len());

    // One bit of what the first that is visited sent on.
    let (number, visit) = record.counted(stage).next().unwrap();
    let passages = record.passages.iter();
    let place = passages.clone().position(|one| one.microbatch == number);
    let passage = place.unwrap();
    let place = record.passages[passage].visits.iter();
    let place = place.clone().position(|one| one.hop == visit.hop).unwrap();
    let mut wrong = record.clone();
    let made = zeros_sent(blueprint);
    wrong.passages[passage].visits[place].output = made.digest();
    let (_, findings) = audited(&wrong, Some(made.clone()), &stated);
    let [found] = &findings[..] else {
        panic!("{findings:?}");
    };
    assert_eq!(found.hop, visit.hop);
    let run = plan.visits[&number].forward;
    let told = found.place.clone().unwrap();
    assert_eq!((told.run, told.output.as_deref()), (run, Some(HIDDEN_OUT)));
    assert!(matches!(told.element, Some((_, 0, right)) if right != 0));
    let (_, findings) = audited(&wrong, None, &stated);
    assert_eq!(findings[0].place.clone().unwrap().element, None);

    // A sum, and a state.
    let hop = *stated.keys().next().unwrap();
    let mut lies = stated.clone();
    lies.get_mut(&hop).unwrap().state.0[0] ^= 1;
    let (_, findings) = audited(record, None, &lies);
    assert_eq!((findings.len(), findings[0].hop), (1, hop));
    let root = record.reduce_tree(stage).root().unwrap();
    let root = Hop { stage, peer: root };
    let mut lies = stated.clone();
    lies.get_mut(&root).unwrap().sums.squares[1] ^= 1;
    let (_, findings) = audited(record, None, &lies);
    assert_eq!((findings.len(), findings[0].hop), (1, root));
    let told = findings[0].place.clone().unwrap();
    let square = stated[&root].sums.squares[1];
    assert_eq!(told.element, Some((0, square ^ 1, square)));
}

fn zeros_sent(blueprint: &Blueprint) -> Content {
    let [rows, length] = blueprint.shape;
    let zeros = Tensor::zeros(TensorType::f32([
        rows,
        length,
        blueprint.model.sent_width(),
    ]));
    Content::new(encoding::encode(blueprint.encoding.hidden, &zeros).unwrap())
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
                        check_audit(&blueprint, &plan, (&stepped.record, stage), &replayed);
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
