//! A stage that is skipped is not there.

use super::*;
use crate::assemble::GRADIENT;
use crate::pipeline::replay::replay_step;
use crate::pipeline::worker::Encoding;
use crate::trainer::write_role;

/// The model without layer 1, the second of its three.
fn shorter(config: &ModelConfig) -> ModelConfig {
    ModelConfig {
        num_layers: 2,
        ..config.clone()
    }
}

/// The name in the model without layer 1; none for what that layer has.
fn renamed(name: &str) -> Option<String> {
    match name.contains("layers.1.") {
        true => None,
        false => Some(name.replace("layers.2.", "layers.1.")),
    }
}

fn without_layer(weights: &Weights) -> Weights {
    let kept = weights.iter();
    kept.filter_map(|(name, tensor)| Some((renamed(name)?, tensor.clone())))
        .collect()
}

#[test]
fn a_stage_that_nobody_visits_is_absent() {
    for tied in [false, true] {
        let config = config(tied);
        let mut stages = stages(&config, 4, 0);
        let initial = states(&stages);
        let mut trainer = trainer(&shorter(&config), &without_layer(&weights(&config)));
        for step in 0..3 {
            let spec = spec(step, 4, |_| path([(0, 0), (1, 0), (3, 0)]));
            let outcome = replay_step(&mut stages, &spec, Encoding::default()).unwrap();
            let report = trainer.step(&batch(step), RATE).unwrap();
            assert_eq!(outcome.visits[2], 0);
            assert_eq!(outcome.loss.to_bits(), report.loss.to_bits());
            assert_eq!(outcome.grad_norm.to_bits(), report.grad_norm.to_bits());
        }
        let mut found = states(&stages);
        assert_eq!(found.remove(2), initial[2], "untouched, powers included");
        let expected = tensors(&[trainer.state().unwrap()]);
        assert_eq!(without_layer(&tensors(&found)), expected);
    }
}

/// Gradients of one microbatch by the whole-model program of a trainer.
fn whole(
    config: &ModelConfig,
    weights: &Weights,
    microbatch: &Microbatch,
    tokens: usize,
) -> Weights {
    let forward = swarm_model::programs::forward(config, ROWS, LENGTH).unwrap();
    let programs = Programs::new(&forward, Objective::Supervised, &OPTIMIZER).unwrap();
    let mut session = engine().load(&programs.accumulation).unwrap();
    let tensors = setup::with_tables(config, LENGTH, weights).unwrap();
    write_role(session.as_mut(), Role::Param, &tensors).unwrap();
    write_role(session.as_mut(), Role::Constant, &tensors).unwrap();
    for (_, input) in programs.accumulation.inputs_with_role(Role::State) {
        let zeros = Tensor::zeros(input.ty.clone());
        session.write(&input.name, &zeros).unwrap();
    }
    for (name, words) in microbatch.inputs() {
        session.write_words(name, &words).unwrap();
    }
    let tokens = (tokens as f32).to_bits();
    session.write_words("token_count", &[tokens]).unwrap();
    session.run().unwrap();
    let params = programs.accumulation.inputs_with_role(Role::Param);
    let gradients = params.map(|(_, input)| {
        let name = input.name.clone();
        let gradient = session.read(&format!("{GRADIENT}{name}")).unwrap();
        (name, gradient)
    });
    gradients.collect()
}

/// Some microbatches skip stage 2: its gradient is the mean over the rest, and clipping sees it so.
#[test]
fn a_stage_learns_the_mean_over_its_visits() {
    let config = config(false);
    let mut stages = stages(&config, 4, 0);
    let skips = |number: usize| number.is_multiple_of(3);
    let spec = spec(0, 4, |number| match skips(number) {
        true => path([(0, 0), (1, 0), (3, 0)]),
        false => full(4),
    });
    let outcome = replay_step(&mut stages, &spec, Encoding::default()).unwrap();
    let (tokens, weights) = (spec.tokens(), weights(&config));
    assert!(outcome.visits[2] > 0 && outcome.visits[2] < tokens);
    assert_eq!(outcome.visits[1], tokens);

    // Sums of gradients by whole-model programs, of the whole and the shorter model.
    let mut sums: Weights = Weights::new();
    for (number, passage) in spec.passages.iter().enumerate() {
        let gradients: Weights = match skips(number) {
            false => whole(&config, &weights, &passage.microbatch, tokens),
            true => {
                let (config, reduced) = (shorter(&config), without_layer(&weights));
                let found = whole(&config, &reduced, &passage.microbatch, tokens);
                let own = weights.names();
                own.filter_map(|name| Some((name.to_owned(), found.get(&renamed(name)?)?.clone())))
                    .collect()
            }
        };
        for (name, gradient) in gradients.iter() {
            let zeros = Tensor::zeros(gradient.ty().clone());
            let so_far = sums.get(name).unwrap_or(&zeros).clone();
            sums.insert(name, zipped(&so_far, gradient, scalar::add));
        }
    }
    let scale = tokens as f32 / outcome.visits[2] as f32;
    let mut total = None;
    for (name, shape) in config.parameters() {
        let mut sum = sums.get(&name).unwrap().clone();
        if name.contains("layers.1.") {
            sum = mapped(&sum, |g| scalar::mul(g, scale));
        }
        let square = mapped(&sum, |g| scalar::mul(g, g));
        // Rows, then their sums.
        let rows = square.as_f32().unwrap().chunks(*shape.last().unwrap());
        let rows: Vec<f32> = rows.map(scalar::reduce::sum).collect();
        let square = match rows.len() {
            1 => rows[0],
            _ => scalar::reduce::sum(&rows),
        };
        total = Some(total.map_or(square, |total| scalar::add(total, square)));
        sums.insert(&name, sum);
    }
    let norm = scalar::sqrt(total.unwrap());
    assert_eq!(outcome.grad_norm.to_bits(), norm.to_bits());
    assert!(norm > OPTIMIZER.max_norm);
    let found = tensors(&states(&stages));
    for (name, sum) in sums.iter() {
        let found = found.get(&format!("adamw.m.{name}")).unwrap();
        assert_eq!(*found, first_moment(sum, norm), "{name}");
    }
}

fn zipped(a: &Tensor, b: &Tensor, of: impl Fn(f32, f32) -> f32) -> Tensor {
    let pairs = a.as_f32().unwrap().iter().zip(b.as_f32().unwrap());
    let values = pairs.map(|(a, b)| of(*a, *b)).collect();
    Tensor::f32(a.shape().clone(), values).unwrap()
}
