//! Outer steps by the formulas, element by element; and real trainers.

mod formulas;
mod spread;
mod trainers;

use reproducible_ops::engine::Engine;
use reproducible_ops::program::TensorType;
use reproducible_ops::random::Stream;
use reproducible_ops::tensor::Tensor;
use reproducible_ops::weights::Weights;

use super::outer::{Outer, OuterPrograms, OuterState, OuterStep};

/// Parameters of odd shapes.
fn types() -> Vec<(String, TensorType)> {
    let shapes: [(&str, &[usize]); 3] = [("a", &[7, 37]), ("b", &[300]), ("c", &[1, 1])];
    let typed = shapes.map(|(name, shape)| (name.to_owned(), TensorType::f32(shape.to_vec())));
    typed.to_vec()
}

fn drawn(stream: &mut Stream, mut of: impl FnMut(&mut Stream) -> f32) -> Weights {
    let types = types().into_iter();
    let tensors = types.map(|(name, ty)| {
        let values = (0..ty.shape.elements()).map(|_| of(stream)).collect();
        (name, Tensor::f32(ty.shape, values).unwrap())
    });
    tensors.collect()
}

fn uniform(stream: &mut Stream) -> Weights {
    drawn(stream, |stream| stream.uniform() - 0.5)
}

/// Sixteenths up to 4: sums, halves and products by ½ and ¾ of these are exact.
fn sixteenths(stream: &mut Stream) -> Weights {
    drawn(stream, |stream| stream.range(-64, 64) as f32 / 16.0)
}

fn step(engine: &dyn Engine, outer: Outer) -> OuterStep {
    OuterStep::new(engine, &OuterPrograms::new(outer, &types()).unwrap()).unwrap()
}

/// All elements of some tensors, in order.
fn elements(weights: &Weights) -> Vec<f32> {
    let all = weights
        .iter()
        .flat_map(|(_, tensor)| tensor.as_f32().unwrap().to_vec());
    all.collect()
}

fn bits(weights: &Weights) -> Vec<u32> {
    elements(weights).into_iter().map(f32::to_bits).collect()
}

/// A pair's step, without inner steps in between.
fn gossip(step: &mut OuterStep, states: &mut [OuterState], pair: [usize; 2]) {
    let own = pair.map(|one| {
        let state = &states[one];
        step.contribution(&state.anchor, state).unwrap()
    });
    let mean = step.mean(&own).unwrap();
    for (one, own) in pair.into_iter().zip(&own) {
        states[one] = step.step(&states[one], &mean, own).unwrap();
    }
}
