//! GRPO beside TRL, and the optimizer beside PyTorch, by numbers recorded in
//! `tests/trl/expected.json`.
//!
//! TRL computed them in float64 from inputs that float32 holds exactly, so whatever differs is the
//! rounding of our float32 programs: some ten operations on numbers around 1, that is a few times
//! 10⁻⁷. A wrong bound, sign or order differs by 10⁻³ and more.

use std::collections::BTreeMap;

use reproducible_ops::engine::reference::ReferenceEngine;
use reproducible_ops::engine::{Engine, Session};
use reproducible_ops::optim::{GRAD_NORM, LEARNING_RATE};
use reproducible_ops::program::{Builder, Program, Role, TensorType};
use reproducible_ops::tensor::Tensor;
use reproducible_ops::weights::Weights;
use serde::Deserialize;

use super::super::advantage::advantages;
use super::super::assemble::{self, GRADIENT, Objective, OptimizerConfig};
use super::super::inputs::UNTOLD;
use super::super::trainer::{TrainState, write_role};
use super::GrpoConfig;

/// Largest absolute difference.
const TOLERANCE: f64 = 1e-6;

#[derive(Deserialize)]
struct Expected {
    /// Rows, length, vocabulary.
    shape: [usize; 3],
    /// Of the rows, which are one group.
    rewards: Vec<f32>,
    logits: Vec<f32>,
    targets: Vec<i32>,
    mask: Vec<f32>,
    old_logp: Vec<f32>,
    reference_logp: Vec<f32>,
    /// None where the writer of a token told no log-probability.
    sampling_logp: Vec<Option<f32>>,
    cases: BTreeMap<String, Case>,
    groups: Vec<Group>,
    optimizer: OptimizerRun,
}

#[derive(Deserialize)]
struct Case {
    off_policy: bool,
    divergence: Option<f32>,
    importance_cap: Option<f32>,
    loss: f64,
    clip_fraction: f64,
    entropy: f64,
    kl: Option<f64>,
    gradient: Vec<f64>,
}

#[derive(Deserialize)]
struct Group {
    rewards: Vec<f32>,
    advantages: Vec<f64>,
}

#[derive(Deserialize)]
struct OptimizerRun {
    settings: OptimizerConfig,
    shapes: BTreeMap<String, Vec<usize>>,
    start: BTreeMap<String, Vec<f32>>,
    steps: Vec<OptimizerStep>,
}

#[derive(Deserialize)]
struct OptimizerStep {
    learning_rate: f32,
    gradients: BTreeMap<String, Vec<f32>>,
    norm: f64,
    parameters: BTreeMap<String, Vec<f64>>,
}

fn expected() -> Expected {
    serde_json::from_str(include_str!("../../tests/trl/expected.json")).unwrap()
}

fn floats(words: &[u32]) -> Vec<f32> {
    words.iter().copied().map(f32::from_bits).collect()
}

fn largest_difference(found: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    found
        .iter()
        .zip(expected)
        .map(|(&found, expected)| (f64::from(found) - expected).abs())
        .fold(0.0, f64::max)
}

fn assert_close(what: &str, found: &[f32], expected: &[f64]) {
    let difference = largest_difference(found, expected);
    assert!(
        difference <= TOLERANCE,
        "{what} differs by {difference:e}: {found:?}, expected {expected:?}"
    );
}

/// A forward program whose logits are its only parameter.
fn logits_alone(shape: [usize; 3]) -> Program {
    let mut builder = Builder::new();
    let logits = builder.input("logits", TensorType::f32(shape), Role::Param);
    builder.output("logits", logits);
    builder.finish()
}

/// Runs our loss and its gradient on the recorded inputs.
fn run(expected: &Expected, case: &Case) -> Box<dyn Session> {
    let &Case {
        divergence,
        importance_cap,
        ..
    } = case;
    let config = GrpoConfig {
        clip_low: 0.2,
        clip_high: 0.28,
        divergence,
        importance_cap,
    };
    let objective = if case.off_policy {
        Objective::OffPolicy(config)
    } else {
        Objective::OnPolicy(config)
    };
    let program = assemble::accumulation(&logits_alone(expected.shape), &objective).unwrap();
    let mut session = ReferenceEngine.load(&program).unwrap();
    for (name, tensor) in inputs(expected) {
        // On-policy programs read no old log-probabilities, and so on.
        if program.input_named(name).is_some() {
            session.write(name, &tensor).unwrap();
        }
    }
    let gradient = format!("{GRADIENT}logits");
    session
        .write(&gradient, &Tensor::zeros(TensorType::f32(expected.shape)))
        .unwrap();
    session.run().unwrap();
    session
}

fn inputs(expected: &Expected) -> Vec<(&'static str, Tensor)> {
    let [rows, length, _] = expected.shape;
    let per_token = |values: Vec<f32>| Tensor::f32([rows, length], values).unwrap();
    let advantage = advantages(&expected.rewards)
        .into_iter()
        .flat_map(|x| vec![x; length])
        .collect();
    let behaviour = expected
        .sampling_logp
        .iter()
        .map(|logp| logp.unwrap_or(UNTOLD))
        .collect();
    vec![
        (
            "logits",
            Tensor::f32(expected.shape, expected.logits.clone()).unwrap(),
        ),
        (
            "targets",
            Tensor::i32([rows, length], expected.targets.clone()).unwrap(),
        ),
        (
            "token_count",
            Tensor::f32([0usize; 0], vec![expected.mask.iter().sum()]).unwrap(),
        ),
        ("loss_weight", per_token(expected.mask.clone())),
        ("advantage", per_token(advantage)),
        ("old_logp", per_token(expected.old_logp.clone())),
        ("behaviour_logp", per_token(behaviour)),
        ("reference_logp", per_token(expected.reference_logp.clone())),
    ]
}

fn output(session: &dyn Session, name: &str) -> Vec<f32> {
    floats(&session.read_words(name).unwrap())
}

fn gradient(session: &dyn Session) -> Vec<f32> {
    output(session, &format!("{GRADIENT}logits"))
}

fn compare(name: &str) {
    let expected = expected();
    let case = &expected.cases[name];
    let session = run(&expected, case);
    let session = session.as_ref();
    assert_close("the loss", &output(session, "loss"), &[case.loss]);
    assert_close(
        "the clip fraction",
        &output(session, "clip_fraction"),
        &[case.clip_fraction],
    );
    assert_close("the entropy", &output(session, "entropy"), &[case.entropy]);
    if let Some(kl) = case.kl {
        assert_close("the divergence", &output(session, "divergence"), &[kl]);
    }
    assert_close("the gradient", &gradient(session), &case.gradient);
}

#[test]
fn on_policy_is_that_of_trl() {
    compare("on_policy");
}

#[test]
fn clipping_off_policy_is_that_of_trl() {
    compare("off_policy");
}

#[test]
fn the_divergence_to_the_reference_is_that_of_trl() {
    compare("divergence");
}

#[test]
fn capped_importance_is_that_of_trl() {
    compare("cap_2");
    compare("cap_1");
}

#[test]
fn all_terms_together_are_those_of_trl() {
    compare("all");
}

/// The one known difference: TRL's default `use_bias_correction_kl` multiplies the divergence by
/// the policy ratio.
#[test]
fn trl_with_its_corrected_divergence_differs_in_the_gradient_alone() {
    let expected = expected();
    let case = &expected.cases["corrected_divergence"];
    let session = run(&expected, case);
    assert_close("the loss", &output(session.as_ref(), "loss"), &[case.loss]);
    assert!(largest_difference(&gradient(session.as_ref()), &case.gradient) > 1e-3);
}

#[test]
fn advantages_are_those_of_trl() {
    for group in expected().groups {
        assert_close(
            "an advantage",
            &advantages(&group.rewards),
            &group.advantages,
        );
    }
}

#[test]
fn clipping_by_norm_and_adamw_are_those_of_pytorch() {
    let run = expected().optimizer;
    let mut builder = Builder::new();
    for (name, shape) in &run.shapes {
        builder.input(name, TensorType::f32(shape.clone()), Role::Param);
    }
    let program = assemble::update(&builder.finish(), &run.settings).unwrap();
    let tensor = |name: &str, values: &[f32]| {
        Tensor::f32(run.shapes[name].clone(), values.to_vec()).unwrap()
    };
    let start: Weights = run
        .start
        .iter()
        .map(|(name, values)| (name.clone(), tensor(name, values)))
        .collect();
    let state = TrainState::initial(&program, &start).unwrap();
    let mut session = ReferenceEngine.load(&program).unwrap();
    write_role(session.as_mut(), Role::Param, &state.params).unwrap();
    write_role(session.as_mut(), Role::State, &state.optimizer).unwrap();
    let clipped = run
        .steps
        .iter()
        .map(|step| step.norm > f64::from(run.settings.max_norm))
        .collect::<Vec<_>>();
    assert!(clipped.contains(&true) && clipped.contains(&false));
    for step in &run.steps {
        for (name, values) in &step.gradients {
            session
                .write(&format!("{GRADIENT}{name}"), &tensor(name, values))
                .unwrap();
        }
        session
            .write_words(LEARNING_RATE, &[step.learning_rate.to_bits()])
            .unwrap();
        session.run().unwrap();
        assert_close(
            "the norm",
            &output(session.as_ref(), GRAD_NORM),
            &[step.norm],
        );
        session.advance();
        for (name, values) in &step.parameters {
            assert_close(name, &floats(&session.input_words(name).unwrap()), values);
        }
    }
}
