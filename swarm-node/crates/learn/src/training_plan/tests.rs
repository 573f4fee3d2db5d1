use std::sync::Arc;

use reproducible_ops::engine::Engine;
use reproducible_ops::engine::cpu::{CpuEngine, InstructionSet};
use reproducible_ops::engine::reference::ReferenceEngine;
use reproducible_ops::program::Digest;
use reproducible_ops::scalar;
use verde::execute::Executor;
use verde::step::StepInputs;

use super::super::assemble::{Objective, OptimizerConfig};
use super::super::inputs::{Example, Sample};
use super::super::schedule::Schedule as Rates;
use super::super::testing::{forward, weights};
use super::super::trainer::Trainer;
use super::*;

const ROWS: usize = 2;
const LENGTH: usize = 7;
const MICROBATCHES: usize = 3;
const STEPS: u64 = 4;
const SAMPLING: Sampling = Sampling {
    key: [0x1234_5678, 0xffff_fffe],
    microbatches: MICROBATCHES,
};

/// Examples that fill a row each, with prompts and completions of several lengths.
fn examples() -> Vec<Example> {
    let example = |number: u32| {
        let token = |at: usize| (number * 7 + at as u32 * 5) % 64;
        let tokens: Vec<u32> = (0..=LENGTH).map(token).collect();
        let (prompt, completion) = tokens.split_at(1 + number as usize % (LENGTH - 1));
        let sample = Sample {
            tokens: completion.to_vec(),
            weight: 1.0,
            ..Sample::default()
        };
        Example {
            prompt: prompt.to_vec(),
            samples: vec![sample],
        }
    };
    (0..11).map(example).collect()
}

fn programs() -> Programs {
    let config = OptimizerConfig {
        weight_decay: 0.1,
        ..OptimizerConfig::default()
    };
    Programs::new(&forward(ROWS, LENGTH), Objective::Supervised, &config).unwrap()
}

fn rates() -> Rates {
    Rates {
        peak: 3e-2,
        warmup: 2,
        decay: 2,
        total: STEPS,
        floor: 0.1,
    }
}

fn table() -> Vec<f32> {
    (0..STEPS).map(|step| rates().rate(step)).collect()
}

fn planned(data: &DataSet, sampling: Sampling, table: Vec<f32>) -> TrainingPlan {
    TrainingPlan::new(&programs(), &weights(1), data, sampling, table).unwrap()
}

pub fn training() -> TrainingPlan {
    let data = DataSet::pack(&examples(), LENGTH).unwrap();
    assert_eq!(data.rows(), examples().len());
    planned(&data, SAMPLING, table())
}

fn execute<'a>(training: &'a TrainingPlan, engine: &'a dyn Engine) -> Executor<'a> {
    let schedule = training.schedule().unwrap();
    Executor::new(engine, schedule, &training.constants, &training.state).unwrap()
}

fn sum(values: &[f32]) -> f32 {
    values
        .iter()
        .fold(0.0, |sum, value| scalar::add(sum, *value))
}

#[test]
fn a_plan_trains_as_a_trainer_does() {
    let (training, examples) = (training(), examples());
    let engine = CpuEngine::new(1);
    let mut executor = execute(&training, &engine);
    let mut trainer = Trainer::new(&engine, Arc::new(programs()), &weights(1)).unwrap();
    for step in 0..STEPS {
        let draws = step as u32 * MICROBATCHES as u32..;
        let rows = draws.take(MICROBATCHES);
        let rows = rows.flat_map(|draw| drawn_rows(SAMPLING.key, draw, ROWS, examples.len()));
        let batch: Vec<Example> = rows.map(|row| examples[row].clone()).collect();
        let report = trainer.step(&batch, rates().rate(step)).unwrap();
        assert_eq!(report.microbatches, MICROBATCHES);
        executor.step(&[]).unwrap();
        let state = executor.state().unwrap();
        let mut ours = training.train_state(step + 1, state.clone());
        for (name, expected) in [(STEP, step as i32 + 1), (DRAW, 3 * (step as i32 + 1))] {
            let counter = ours.optimizer.remove(name).unwrap();
            assert_eq!(counter.as_i32().unwrap(), [expected], "{name}");
        }
        let theirs = trainer.state().unwrap();
        for (name, tensor) in theirs.params.iter().chain(theirs.optimizer.iter()) {
            let own = ours.params.get(name).or(ours.optimizer.get(name)).unwrap();
            assert_eq!(own.words(), tensor.words(), "step {step}, {name}");
        }
        assert_eq!(ours, theirs);
        let told = |name: &str| executor.scalars(name).unwrap();
        assert_eq!(sum(&told("loss")).to_bits(), report.loss.to_bits());
        assert_eq!(told("grad_norm"), [report.grad_norm]);
        assert_eq!(told(LEARNING_RATE), [report.learning_rate]);
        assert_eq!(told(TOKEN_COUNT).last(), Some(&(report.tokens as f32)));
    }
}

#[test]
fn rows_are_drawn_evenly_and_anew_for_every_microbatch() {
    let (rows, draws) = (10, 4000);
    let mut times = vec![0_usize; rows];
    for draw in 0..draws {
        let drawn = drawn_rows([7, 9], draw, 4, rows);
        drawn.iter().for_each(|row| times[*row] += 1);
        assert_ne!(
            drawn_rows([7, 10], draw, 4, 1 << 20),
            drawn_rows([7, 9], draw, 4, 1 << 20)
        );
    }
    // 1,600 each; five standard deviations of 38.
    assert!(
        times.iter().all(|times| times.abs_diff(1600) < 190),
        "{times:?}"
    );
    assert_eq!(drawn_rows([1, 2], 3, 5, 1), [0; 5]);
}

/// Whatever the next step depends on is in the root of the state or in the digest of the plan.
#[test]
fn everything_that_a_step_depends_on_is_bound() {
    let training = training();
    let root = |state: &[Tensor]| training.schedule().unwrap().state_root(state).unwrap();
    let known = root(&training.state);
    let kinds = [
        "head",
        "adamw.m.head",
        "adamw.v.query",
        "adamw.beta1_power",
        STEP,
        DRAW,
    ];
    for name in kinds {
        let slots = &training.plan.state;
        let place = slots.iter().position(|slot| slot.name == name).unwrap();
        let mut other = training.state.clone();
        *other[place].words_mut().last_mut().unwrap() ^= 1;
        assert_ne!(root(&other), known, "{name}");
    }
    let digest = training.plan.digest();
    let data = DataSet::pack(&examples(), LENGTH).unwrap();
    let key = Sampling {
        key: [SAMPLING.key[0], SAMPLING.key[1] ^ 1],
        ..SAMPLING
    };
    assert_ne!(planned(&data, key, table()).plan.digest(), digest, "key");
    let mut rates = table();
    rates[3] = rates[3].next_up();
    assert_ne!(
        planned(&data, SAMPLING, rates).plan.digest(),
        digest,
        "a rate"
    );
    let mut others = examples();
    others[5].prompt[0] ^= 1;
    let data = DataSet::pack(&others, LENGTH).unwrap();
    assert_ne!(
        planned(&data, SAMPLING, table()).plan.digest(),
        digest,
        "a row"
    );
    let mut tables = weights(1);
    tables.get_mut("place").unwrap().words_mut()[3] ^= 1;
    let data = DataSet::pack(&examples(), LENGTH).unwrap();
    let other = TrainingPlan::new(&programs(), &tables, &data, SAMPLING, table()).unwrap();
    assert_ne!(other.plan.digest(), digest, "a table of the model");
    assert_eq!(planned(&data, SAMPLING, table()), training);
}

/// What is not in the state does not matter: a run that begins anew from one goes on alike.
#[test]
fn a_state_is_all_that_the_next_steps_depend_on() {
    let training = training();
    let engine = CpuEngine::new(2);
    let mut whole = execute(&training, &engine);
    whole.step(&[]).unwrap();
    whole.step(&[]).unwrap();
    let saved = training.train_state(2, whole.state().unwrap());
    whole.step(&[]).unwrap();
    let mut resumed = execute(&training, &engine);
    resumed
        .restore(&training.tensors_of(&saved).unwrap())
        .unwrap();
    resumed.step(&[]).unwrap();
    assert_eq!(resumed.state().unwrap(), whole.state().unwrap());
}

fn chain(training: &TrainingPlan, engine: &dyn Engine) -> Vec<Digest> {
    let mut executor = execute(training, engine);
    let mut roots = vec![executor.state_root().unwrap()];
    for _ in 0..STEPS {
        executor.step(&[]).unwrap();
        roots.push(executor.state_root().unwrap());
    }
    roots
}

#[test]
fn the_chain_of_roots_is_the_same_on_every_engine() {
    let training = training();
    let known = chain(&training, &ReferenceEngine);
    for isa in InstructionSet::available() {
        for threads in 1..=4 {
            let engine = CpuEngine::with_instruction_set(isa, threads).unwrap();
            assert_eq!(chain(&training, &engine), known, "{}", engine.name());
        }
    }
}

#[test]
fn an_engine_computes_every_value_of_a_run_as_the_reference_does() {
    let training = training();
    let engine = CpuEngine::new(2);
    let mut executor = execute(&training, &engine);
    executor.step(&[]).unwrap();
    let state = executor.state().unwrap();
    let inputs = StepInputs {
        state: &state,
        constants: &training.constants,
        given: &[],
    };
    let schedule = training.schedule().unwrap();
    for run in 0..training.plan.runs.len() {
        let expected = schedule.run_values(inputs, run).unwrap();
        let found = executor.run_values(&[], run).unwrap();
        assert!(expected.iter().map(AsRef::as_ref).eq(&found), "run {run}");
    }
    let (tree, next) = schedule.step_tree(inputs).unwrap();
    executor.step(&[]).unwrap();
    assert_eq!(next, executor.state().unwrap());
    assert_eq!(*tree.next_state(), executor.state_root().unwrap());
}

#[test]
fn what_is_no_plan_is_named() {
    let data = DataSet::pack(&examples(), LENGTH).unwrap();
    let error = |programs: &Programs, sampling, table| {
        let plan = TrainingPlan::new(programs, &weights(1), &data, sampling, table);
        plan.unwrap_err().to_string()
    };
    let none = Sampling {
        microbatches: 0,
        ..SAMPLING
    };
    assert!(error(&programs(), none, table()).contains("microbatches of a step is 0"));
    assert!(error(&programs(), SAMPLING, Vec::new()).contains("steps is 0"));
    let grpo = Objective::OnPolicy(Default::default());
    let grpo = Programs::new(&forward(ROWS, LENGTH), grpo, &OptimizerConfig::default()).unwrap();
    assert!(error(&grpo, SAMPLING, table()).contains("`advantage`"));
    let longer = forward(ROWS, LENGTH + 1);
    let longer = Programs::new(&longer, Objective::Supervised, &OptimizerConfig::default());
    assert!(error(&longer.unwrap(), SAMPLING, table()).contains("bound to"));
}
