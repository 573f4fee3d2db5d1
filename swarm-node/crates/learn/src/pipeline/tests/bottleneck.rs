//! Stages with learned maps between them.

use reproducible_ops::tensor::Tensor;

use super::*;
use crate::pipeline::replay::replay_step;
use crate::pipeline::worker::Encoding;

fn model(compression: usize) -> StagedModel {
    let model = StagedModel::new(config(false), 3).unwrap();
    model.with_bottleneck(compression).unwrap()
}

/// Loss of a microbatch, and the gradient of stage 1's parameters.
fn pass(stages: &mut [StageEngine], microbatch: &Microbatch) -> (f32, Weights) {
    let (layout, tokens) = (&microbatch.layout, microbatch.token_count());
    let first = stages[0].embed(microbatch).unwrap();
    let second = stages[1].forward(&first, layout).unwrap();
    let third = stages[2].forward(&second, layout).unwrap();
    let loss = stages[0].loss(&third, microbatch, tokens).unwrap();
    let (gradient, _) = stages[2].backward(&second, layout, &loss.gradient).unwrap();
    let (_, visit) = stages[1].backward(&first, layout, &gradient).unwrap();
    (loss.loss, visit.read().unwrap())
}

#[test]
fn a_bottleneck_of_one_begins_as_no_bottleneck() {
    let microbatch = microbatches(0).remove(0);
    let (plain, expected) = pass(&mut stages(&config(false), 3, 0), &microbatch);
    let (loss, gradient) = pass(&mut staged(&model(1)), &microbatch);
    assert_eq!(loss.to_bits(), plain.to_bits());
    for (name, tensor) in expected.iter() {
        // Equal as numbers: a product with the identity makes −0 +0.
        let found = gradient.get(name).unwrap().as_f32().unwrap();
        assert_eq!(found, tensor.as_f32().unwrap(), "{name}");
    }
}

#[test]
fn the_maps_learn() {
    let model = model(4);
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
    let mut stages = staged(&model(4));
    let (_, gradient) = pass(&mut stages, &microbatch);
    let state = stages[1].state().unwrap();
    for (name, element) in [("bottleneck.1.down", 5), ("bottleneck.1.up", 17)] {
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
