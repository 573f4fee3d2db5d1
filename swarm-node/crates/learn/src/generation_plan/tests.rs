use std::sync::Arc;

use reproducible_ops::engine::Engine;
use reproducible_ops::engine::cpu::{CpuEngine, InstructionSet};
use reproducible_ops::engine::reference::ReferenceEngine;
use reproducible_ops::random::key_from;
use swarm_model::Generator;
use swarm_model::generate::Prompt;
use swarm_model::init::initialise;
use verde::execute::Executor;
use verde::step::StepInputs;

use super::*;

/// Rows of a step.
const ROWS: usize = 3;
const MAX_NEW: usize = 6;
/// Tokens that end an answer: an untrained model draws one of so many soon.
const ENDS: [u32; 9] = [0, 7, 14, 21, 28, 35, 42, 49, 56];

pub(in crate::generation_plan) fn config() -> ModelConfig {
    ModelConfig {
        hidden_size: 16,
        num_layers: 2,
        num_heads: 2,
        num_kv_heads: 1,
        head_dim: 8,
        intermediate_size: 32,
        ..ModelConfig::preset("nano").unwrap()
    }
}

fn weights() -> Weights {
    initialise(&config(), 3).unwrap()
}

/// Prompts of several lengths, with indices that are not their places.
fn prompts() -> Vec<Prompt> {
    let prompt = |number: u32| Prompt {
        tokens: (0..=number).map(|at| (number * 11 + at * 5) % 64).collect(),
        index: 40 + 3 * number,
    };
    (0..6).map(prompt).collect()
}

fn key(seed: u8) -> [u32; 2] {
    key_from("generation plan", &[seed; 32], &[0; 32])
}

fn request(prompts: &[Prompt], temperature: f32) -> Request<'_> {
    Request {
        prompts,
        samples: 2,
        max_new: MAX_NEW,
        key: key(1),
        temperature,
    }
}

fn planned(request: &Request<'_>) -> GenerationPlan {
    GenerationPlan::new(&config(), &weights(), request, &ENDS, ROWS).unwrap()
}

/// Four steps of three answers, two to each of six prompts.
pub fn generation() -> GenerationPlan {
    let prompts = prompts();
    planned(&request(&prompts, 1.0))
}

fn execute<'a>(planned: &'a GenerationPlan, engine: &'a dyn Engine) -> Executor<'a> {
    let schedule = planned.schedule().unwrap();
    Executor::new(engine, schedule, &planned.constants, &planned.state).unwrap()
}

/// Every answer of a job, by its steps.
fn answered(planned: &GenerationPlan, engine: &dyn Engine) -> Vec<Vec<u32>> {
    let mut executor = execute(planned, engine);
    for _ in 0..planned.sizes().steps() {
        executor.step(&[]).unwrap();
    }
    planned.answers(&executor.state().unwrap())
}

#[test]
fn a_plan_answers_as_the_generator_does() {
    let engine: Arc<dyn Engine> = Arc::new(CpuEngine::new(1));
    let mut generator = Generator::new(engine.clone(), config(), &ENDS).unwrap();
    generator.set_weights(weights()).unwrap();
    let prompts = prompts();
    let mut seen = Vec::new();
    for temperature in [0.0, 0.4, 1.0] {
        for seed in [1, 2] {
            let request = Request {
                key: key(seed),
                ..request(&prompts, temperature)
            };
            let expected: Vec<Vec<u32>> = generator
                .generate(&request)
                .unwrap()
                .into_iter()
                .flatten()
                .map(|generation| generation.tokens)
                .collect();
            let found = answered(&planned(&request), engine.as_ref());
            assert_eq!(found, expected, "temperature {temperature}, seed {seed}");
            seen.extend(found);
        }
    }
    // Answers that end at once, later, and not at all; and the key and the temperature matter.
    let lengths: Vec<usize> = seen.iter().map(Vec::len).collect();
    let ended = |tokens: &Vec<u32>| ENDS.contains(&tokens[tokens.len() - 1]);
    assert!(lengths.contains(&1) && lengths.iter().any(|length| (2..MAX_NEW).contains(length)));
    assert!(
        seen.iter()
            .any(|tokens| tokens.len() == MAX_NEW && !ended(tokens))
    );
    let kinds: Vec<&[Vec<u32>]> = seen.chunks(12).collect();
    assert_eq!(kinds[0], kinds[1], "without noise no key matters");
    assert!(kinds[2] != kinds[3] && kinds[2] != kinds[4] && kinds[0] != kinds[2]);
}

#[test]
fn a_step_answers_its_prompts_and_leaves_the_rest() {
    let (planned, engine) = (generation(), CpuEngine::new(1));
    let all = answered(&planned, &engine);
    let mut executor = execute(&planned, &engine);
    assert_eq!(planned.sizes().steps(), 4);
    for step in 0..4 {
        executor.step(&[]).unwrap();
        let state = executor.state().unwrap();
        let (done, rest) = all.split_at((step + 1) * ROWS);
        let mut expected = done.to_vec();
        expected.resize(done.len() + rest.len(), Vec::new());
        assert_eq!(planned.answers(&state), expected);
        let read = |name: &str| &state[planned.place_in_state(name).unwrap()];
        assert_eq!(read(STEP).as_i32().unwrap(), [step as i32 + 1]);
        assert_eq!(read(KEY).words(), key(1));
    }
    // A step that the job does not have writes nothing.
    executor.step(&[]).unwrap();
    assert_eq!(planned.answers(&executor.state().unwrap()), all);
}

#[test]
fn an_answer_does_not_depend_on_the_rows_of_a_step() {
    let (prompts, engine) = (prompts(), CpuEngine::new(2));
    let request = request(&prompts, 1.0);
    let known = answered(&planned(&request), &engine);
    for rows in [1, 4, 12] {
        let (config, weights) = (config(), weights());
        let planned = GenerationPlan::new(&config, &weights, &request, &ENDS, rows).unwrap();
        assert_eq!(answered(&planned, &engine), known, "{rows} rows");
    }
}

#[test]
fn roots_and_values_are_the_same_on_every_engine() {
    let planned = generation();
    let roots = |engine: &dyn Engine| {
        let mut executor = execute(&planned, engine);
        executor.step(&[]).unwrap();
        executor.step(&[]).unwrap();
        executor.state_root().unwrap()
    };
    let known = roots(&ReferenceEngine);
    for isa in InstructionSet::available() {
        let engine = CpuEngine::with_instruction_set(isa, 2).unwrap();
        assert_eq!(roots(&engine), known, "{}", engine.name());
    }
    let engine = CpuEngine::new(2);
    let mut executor = execute(&planned, &engine);
    executor.step(&[]).unwrap();
    let state = executor.state().unwrap();
    let inputs = StepInputs {
        state: &state,
        constants: &planned.constants,
        given: &[],
    };
    let schedule = planned.schedule().unwrap();
    for run in 0..planned.plan.runs.len() {
        let expected = schedule.run_values(inputs, run).unwrap();
        let found = executor.run_values(&[], run).unwrap();
        assert!(expected.iter().map(AsRef::as_ref).eq(&found), "run {run}");
    }
}

/// Whatever an answer depends on is in the root of the state or in the digest of the plan.
#[test]
fn everything_that_an_answer_depends_on_is_bound() {
    let (prompts, known) = (prompts(), generation());
    let asked = request(&prompts, 1.0);
    let root = |planned: &GenerationPlan| {
        let schedule = planned.schedule().unwrap();
        schedule.state_root(&planned.state).unwrap()
    };
    let other = Request {
        key: key(2),
        ..asked
    };
    let other = planned(&other);
    assert_eq!(other.plan.digest(), known.plan.digest());
    assert_ne!(root(&other), root(&known), "key");
    let differs = |what: &str, other: GenerationPlan| {
        assert_ne!(other.plan.digest(), known.plan.digest(), "{what}");
    };
    differs(
        "temperature",
        planned(&request(&prompts, 1.0_f32.next_up())),
    );
    for change in [
        |prompt: &mut Prompt| prompt.tokens[2] ^= 1,
        |prompt: &mut Prompt| prompt.index ^= 1,
        |prompt: &mut Prompt| prompt.tokens.truncate(3),
    ] {
        let mut others = prompts.clone();
        change(&mut others[3]);
        differs("a prompt", planned(&request(&others, 1.0)));
    }
    let (config, mut weights) = (config(), weights());
    let made = |weights: &Weights, ends: &[u32]| {
        GenerationPlan::new(&config, weights, &asked, ends, ROWS).unwrap()
    };
    differs("what ends an answer", made(&weights, &ENDS[1..]));
    let name = weights.names().next().unwrap().to_owned();
    weights.get_mut(&name).unwrap().words_mut()[5] ^= 1;
    differs("a weight", made(&weights, &ENDS));
}

#[test]
fn a_token_that_is_wrong_changes_its_answer_from_there_on() {
    let (planned, engine) = (generation(), CpuEngine::new(1));
    let right = answered(&planned, &engine);
    let long = right.iter().skip(ROWS).position(|answer| answer.len() > 3);
    let row = ROWS + long.unwrap();
    let step = row / ROWS;
    let fault = planned.token_fault(step as u64, row % ROWS, 2).unwrap();
    let mut executor = execute(&planned, &engine);
    executor.break_with(fault);
    for _ in 0..4 {
        executor.step(&[]).unwrap();
    }
    let wrong = planned.answers(&executor.state().unwrap());
    for (at, (right, wrong)) in right.iter().zip(&wrong).enumerate() {
        if at == row {
            assert_eq!(wrong[..2], right[..2]);
            assert_eq!(wrong[2], right[2] ^ 1);
        } else {
            assert_eq!(wrong, right, "answer {at}");
        }
    }
    for (step, row, token) in [(0, ROWS, 0), (0, 0, MAX_NEW), (1 << 31, 0, 0)] {
        assert!(planned.token_fault(step, row, token).is_none());
    }
}

#[test]
fn what_is_no_plan_is_named() {
    let (config, weights, prompts) = (config(), weights(), prompts());
    let error = |request: Request<'_>, ends: &[u32], rows| {
        let plan = GenerationPlan::new(&config, &weights, &request, ends, rows);
        plan.unwrap_err().to_string()
    };
    let asked = request(&prompts, 1.0);
    assert!(error(asked, &ENDS, 0).contains("rows of a step is 0"));
    assert!(error(asked, &ENDS, 5).contains("6 prompts, 2 samples of each"));
    assert!(error(asked, &[], ROWS).contains("tokens that end an answer is 0"));
    let none = Request {
        prompts: &[],
        ..asked
    };
    assert!(error(none, &ENDS, ROWS).contains("rows of prompts is 0"));
    let long = Request {
        max_new: 1 << 20,
        ..asked
    };
    assert!(error(long, &ENDS, ROWS).contains("positions"));
    let silent = Request {
        max_new: 0,
        ..asked
    };
    assert!(error(silent, &ENDS, ROWS).contains("tokens of an answer is 0"));
    let cold = Request {
        temperature: -1.0,
        ..asked
    };
    assert!(error(cold, &ENDS, ROWS).contains("temperature is -1"));
    let mut lacking = weights.clone();
    let name = lacking.names().next().unwrap().to_owned();
    lacking.remove(&name);
    let plan = GenerationPlan::new(&config, &lacking, &asked, &ENDS, ROWS);
    assert!(plan.unwrap_err().to_string().contains(&name));
}
