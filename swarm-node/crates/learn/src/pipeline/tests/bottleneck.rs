//! Stages with learned maps between them.

use reproducible_ops::tensor::Tensor;

use super::*;
use crate::pipeline::replay::replay_step;
use crate::pipeline::worker::Encoding;

/// Loss of a microbatch, and the gradient of stage 1's parameters.
fn pass(stages: &mut [StageEngine], microbatch: &Microbatch) -> (f32, Weights) {
    let tokens = microbatch.token_count();
    let first = stages[0].embed(microbatch).unwrap();
    let second = stages[1].forward(&first, microbatch).unwrap();
    let third = stages[2].forward(&second, microbatch).unwrap();
    let loss = stages[0].loss(&third, microbatch, tokens).unwrap();
    let (gradient, _) = stages[2]
        .backward(&second, microbatch, &loss.gradient)
        .unwrap();
    let (_, visit) = stages[1].backward(&first, microbatch, &gradient).unwrap();
    (loss.loss, visit.read().unwrap())
}

#[test]
fn a_bottleneck_of_one_begins_as_no_bottleneck() {
    let microbatch = microbatches(0).remove(0);
    let (plain, expected) = pass(&mut stages(&config(true), 3, 0), &microbatch);
    for residual in [false, true] {
        let (loss, gradient) = pass(&mut staged(&narrow(3, 1, residual)), &microbatch);
        assert_eq!(loss.to_bits(), plain.to_bits());
        for (name, tensor) in expected.iter() {
            // Equal as numbers: a product with the identity makes −0 +0.
            let found = gradient.get(name).unwrap().as_f32().unwrap();
            assert_eq!(found, tensor.as_f32().unwrap(), "{name}");
        }
    }
}

/// Tokens are not sent: another token at one place changes what a stage computes of the same
/// hidden states, and of the embedding only that token's row has a gradient.
#[test]
fn the_residual_path_reads_the_tokens() {
    let mut stages = staged(&narrow(3, 4, true));
    let microbatch = microbatches(0).remove(0);
    let hidden = stages[0].embed(&microbatch).unwrap();
    let mut other = microbatch.clone();
    other.tokens[0] = (other.tokens[0] + 1) % 17;
    let [here, there] = [&microbatch, &other].map(|rows| stages[1].forward(&hidden, rows).unwrap());
    assert_ne!(here, there);
    let ones = mapped(&here, |_| 1.0);
    let (_, visit) = stages[1].backward(&hidden, &microbatch, &ones).unwrap();
    let gradient = visit.read().unwrap();
    let gradient = gradient.get("bottleneck.1.embedding").unwrap();
    for (token, row) in gradient.as_f32().unwrap().chunks(12).enumerate() {
        let is_there = microbatch.tokens.contains(&(token as i32));
        assert_eq!(row.iter().any(|value| *value != 0.0), is_there, "{token}");
    }
    let mut plain = staged(&narrow(3, 4, false));
    let [here, there] = [&microbatch, &other].map(|rows| plain[1].forward(&hidden, rows).unwrap());
    assert_eq!(here, there);
}

#[test]
fn the_maps_learn() {
    let model = narrow(3, 4, true);
    let mut stages = staged(&model);
    assert_eq!(
        stages[1].programs().hidden().shape.dims(),
        [ROWS, LENGTH, 3]
    );
    let before = tensors(&states(&stages));
    // Some microbatches skip a stage: what one stage sends, any other takes.
    let spec = spec(0, 3, |number| match number % 2 {
        0 => full(3),
        _ => path([(0, 0), (2, 0)]),
    });
    let step = |_| replay_step(&mut stages, &spec, Encoding::default()).unwrap();
    let losses: Vec<f32> = (0..20).map(step).map(|outcome| outcome.loss).collect();
    assert!(losses[19] < 0.9 * losses[0], "{losses:?}");
    let after = tensors(&states(&stages));
    for (name, _) in model.all_parameters() {
        assert_ne!(after.get(&name), before.get(&name), "{name}");
    }
}

#[test]
fn gradients_of_the_maps_are_differences_of_the_loss() {
    let microbatch = microbatches(0).remove(0);
    let mut stages = staged(&narrow(3, 4, true));
    let (_, gradient) = pass(&mut stages, &microbatch);
    let state = stages[1].state().unwrap();
    let row = microbatch.tokens[1] as usize * 12;
    let elements = [
        ("bottleneck.1.down", 5),
        ("bottleneck.1.up", 17),
        ("bottleneck.1.embedding", row + 2),
    ];
    for (name, element) in elements {
        let mut loss_at = |shift: f32| {
            let mut shifted = state.clone();
            let values = shifted.params.get(name).unwrap();
            let mut changed = values.as_f32().unwrap().to_vec();
            changed[element] += shift;
            let changed = Tensor::f32(values.shape().clone(), changed).unwrap();
            shifted.params.insert(name, changed);
            stages[1].load(&shifted).unwrap();
            pass(&mut stages, &microbatch).0
        };
        let difference = (loss_at(0.02) - loss_at(-0.02)) / 0.04;
        let expected = gradient.get(name).unwrap().as_f32().unwrap()[element];
        assert!(expected.abs() > 1e-3, "{name}: {expected}");
        assert!(
            (difference / expected - 1.0).abs() < 0.02,
            "{difference} {expected}"
        );
    }
}
