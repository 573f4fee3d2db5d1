//! A recorded function evaluated by the reference engine gives what Burn's flex backend gives.

mod block;
mod errors;
mod operators;

use burn::nn::Linear;
use burn::prelude::*;

use super::{LowerError, Lowered, Recordable, Recorder, constants, lower};
use crate::engine::reference::evaluate;
use crate::program::{DType, Program, Role};
use crate::tensor::Tensor as HostTensor;
use crate::weights::Weights;

/// A module without parameters.
const NONE: Option<Linear> = None;

/// Numbers between −2 and 2 that do not repeat soon.
fn numbers(count: usize) -> Vec<f32> {
    (0..count)
        .map(|i| ((i * 7919 + 104_729) % 4001) as f32 / 1000.0 - 2.0)
        .collect()
}

fn floats<const D: usize>(shape: [usize; D]) -> HostTensor {
    HostTensor::f32(shape, numbers(shape.iter().product())).unwrap()
}

fn ints<const D: usize>(shape: [usize; D], modulus: i32) -> HostTensor {
    let count = shape.iter().product::<usize>() as i32;
    HostTensor::i32(shape, (0..count).map(|i| i * 5 % modulus).collect()).unwrap()
}

fn on_flex<const D: usize, K: burn::tensor::kind::Basic>(host: &HostTensor) -> Tensor<D, K> {
    Tensor::from_data(constants::burn_data(host), &Device::flex())
}

/// Evaluates a lowered function; inputs by name.
fn evaluate_named(
    lowered: &Lowered,
    inputs: &[(&str, HostTensor)],
    params: &Weights,
) -> Vec<HostTensor> {
    let find = |name: &str| {
        let given = inputs
            .iter()
            .find(|(given, _)| *given == name)
            .map(|(_, tensor)| tensor);
        let found = given
            .or_else(|| params.get(name))
            .or_else(|| lowered.constants.get(name));
        found.unwrap_or_else(|| panic!("no input {name}")).clone()
    };
    let inputs: Vec<_> = lowered
        .program
        .inputs()
        .iter()
        .map(|input| find(&input.name))
        .collect();
    lowered.program.validate().unwrap();
    evaluate(&lowered.program, &inputs).unwrap()
}

fn values(tensor: &HostTensor) -> Vec<f64> {
    match tensor.ty().dtype {
        DType::F32 => tensor.as_f32().unwrap().iter().map(|&x| x.into()).collect(),
        _ => tensor
            .words()
            .iter()
            .map(|&word| word.cast_signed().into())
            .collect(),
    }
}

fn assert_close(found: &HostTensor, expected: &TensorData, tolerance: f64) {
    assert_eq!(found.shape().dims(), &expected.shape().to_vec()[..]);
    let expected: Vec<f64> = expected.iter::<f64>().collect();
    for (index, (found, expected)) in values(found).into_iter().zip(expected).enumerate() {
        let close =
            (found - expected).abs() <= tolerance * expected.abs().max(1.0) || found == expected;
        assert!(
            close || found.is_nan() && expected.is_nan(),
            "element {index}: {found} for {expected}"
        );
    }
}

/// Lowers `f` over one float input.
fn lower_one<const D: usize, const E: usize, K: Recordable>(
    shape: [usize; D],
    f: impl Fn(Tensor<D>) -> Tensor<E, K>,
) -> Result<Lowered, LowerError> {
    lower(&NONE, |_, recorder| {
        let x = recorder.float("x", Role::Data, shape);
        recorder.output("y", f(x));
    })
}

/// `f` over `numbers` gives the same lowered as on flex.
fn same<const D: usize, const E: usize, K: Recordable>(
    shape: [usize; D],
    f: impl Fn(Tensor<D>) -> Tensor<E, K>,
) {
    same_on(floats(shape), f);
}

fn same_on<const D: usize, const E: usize, K: Recordable>(
    x: HostTensor,
    f: impl Fn(Tensor<D>) -> Tensor<E, K>,
) {
    let shape: [usize; D] = x.shape().dims().try_into().unwrap();
    let lowered = lower_one(shape, &f).unwrap();
    let expected = f(on_flex(&x)).into_data();
    let found = evaluate_named(&lowered, &[("x", x)], &Weights::new());
    assert_close(&found[0], &expected, 1e-5);
}

/// Like [`same`] for a function of floats and integers.
fn same_with_ints<const D: usize, const I: usize, const E: usize, K: Recordable>(
    x: HostTensor,
    ids: HostTensor,
    f: impl Fn(Tensor<D>, Tensor<I, Int>) -> Tensor<E, K>,
) {
    let lowered = lower(&NONE, |_, recorder| {
        let x = recorder.float("x", Role::Data, x.shape().dims().try_into().unwrap());
        let ids = recorder.int("ids", Role::Data, ids.shape().dims().try_into().unwrap());
        recorder.output("y", f(x, ids));
    });
    let lowered = lowered.unwrap();
    let expected = f(on_flex(&x), on_flex(&ids)).into_data();
    let found = evaluate_named(&lowered, &[("x", x), ("ids", ids)], &Weights::new());
    assert_close(&found[0], &expected, 1e-5);
}

fn operators(program: &Program) -> Vec<&'static str> {
    program
        .nodes()
        .iter()
        .map(|node| node.operator.name())
        .collect()
}

/// A recorder's tensor of data, for tests that need its device only.
fn embedded<const D: usize>(recorder: &Recorder, values: &[f32], shape: [usize; D]) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), recorder.device())
}
