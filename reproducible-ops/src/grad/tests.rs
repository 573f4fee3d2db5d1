//! Gradients against finite differences, and the shape of what is emitted.

mod differences;
mod economy;
mod rules;

use super::*;
use crate::program::{Role, Shape};

fn build(f: impl FnOnce(&mut Builder, ValueId) -> ValueId) -> (Program, ValueId, ValueId) {
    let mut b = Builder::new();
    let x = b.input("x", TensorType::f32([2, 3]), Role::Param);
    let loss = f(&mut b, x);
    b.output("loss", loss);
    let program = b.finish();
    let loss = program.output_named("loss").unwrap();
    (program, loss, ValueId(0))
}

#[test]
fn ids_of_the_original_stay_valid() {
    let (program, loss, x) = build(|b, x| {
        let e = b.exp(x).unwrap();
        b.tanh(e).unwrap();
        b.sum_all(e).unwrap()
    });
    let (extended, _) = gradients(&program, loss, &[x]).unwrap();
    assert_eq!(
        &extended.nodes()[..program.nodes().len()],
        program.nodes(),
        "unused nodes are kept too"
    );
    assert_eq!(extended.outputs(), program.outputs());
}

#[test]
fn a_value_the_loss_ignores_has_a_zero_gradient() {
    let mut b = Builder::new();
    let x = b.input("x", TensorType::f32([2]), Role::Param);
    let unused = b.input("unused", TensorType::f32([4, 1]), Role::Param);
    let loss = b.sum_all(x).unwrap();
    let (extended, found) = gradients(&b.finish(), loss_id(loss), &[unused, x]).unwrap();
    let zero = extended.node_of(found[0]).unwrap();
    let full = crate::program::Operator::Full {
        dtype: DType::F32,
        bits: 0,
        shape: Shape::new([4, 1]),
    };
    assert_eq!(zero.operator, full);
}

/// No inputs are declared after nodes here, so builder ids are program ids.
fn loss_id(id: ValueId) -> ValueId {
    id
}

#[test]
fn unsuitable_requests_are_refused() {
    let (program, loss, x) = build(|b, x| {
        let y = b.cast(x, DType::I32).unwrap();
        let y = b.cast(y, DType::F32).unwrap();
        b.sum_all(y).unwrap()
    });
    assert_eq!(
        gradients(&program, loss, &[x]),
        Err(GradError::Independent { count: 1 }),
        "through integers only"
    );
    assert!(matches!(
        gradients(&program, ValueId(99), &[x]),
        Err(GradError::NoSuchValue { value: 99, .. })
    ));
    assert!(matches!(
        gradients(&program, loss, &[ValueId(77)]),
        Err(GradError::NoSuchValue { value: 77, .. })
    ));
    assert!(matches!(
        gradients(&program, x, &[x]),
        Err(GradError::Loss { .. })
    ));
    assert!(matches!(
        gradients(&program, loss, &[ValueId(1)]),
        Err(GradError::NotFloat { value: 1, .. })
    ));
}

#[test]
fn a_gradient_that_would_be_too_large_names_its_node() {
    let mut b = Builder::new();
    let table = b.input("table", TensorType::f32([1 << 16, 1]), Role::Param);
    let ids = b.input("ids", TensorType::i32([1 << 16]), Role::Data);
    let rows = b
        .push(crate::program::Operator::GatherRows, &[table, ids])
        .unwrap();
    let loss = b.sum_all(rows).unwrap();
    let refused = gradients(&b.finish(), loss, &[table]).unwrap_err();
    assert!(
        matches!(
            refused,
            GradError::Node {
                node: 0,
                operator: "gather_rows",
                ..
            }
        ),
        "{refused}"
    );
}

#[test]
fn the_loss_by_itself_is_one() {
    let mut b = Builder::new();
    let x = b.input("x", TensorType::f32([1, 1]), Role::Param);
    let (extended, found) = gradients(&b.finish(), x, &[x]).unwrap();
    let one = crate::program::Operator::Full {
        dtype: DType::F32,
        bits: 1f32.to_bits(),
        shape: Shape::new([1, 1]),
    };
    assert_eq!(extended.node_of(found[0]).unwrap().operator, one);
}

#[test]
fn intermediate_values_can_be_differentiated_by() {
    let mut b = Builder::new();
    let x = b.input("x", TensorType::f32([3]), Role::Param);
    let e = b.exp(x).unwrap();
    let square = b.mul(e, e).unwrap();
    let loss = b.sum_all(square).unwrap();
    let program = b.finish();
    let (extended, found) = gradients(&program, loss, &[e, x]).unwrap();
    let values = oracle::evaluate(&extended, &[vec![0.0, 1.0, -1.0]]);
    let by_e: Vec<f64> = values[e.index()].iter().map(|e| 2.0 * e).collect();
    let by_x: Vec<f64> = values[e.index()].iter().map(|e| 2.0 * e * e).collect();
    assert_eq!(values[found[0].index()], by_e);
    assert_eq!(values[found[1].index()], by_x);
}

#[test]
fn gradients_can_be_differentiated_again() {
    let mut b = Builder::new();
    let x = b.input("x", TensorType::f32([1]), Role::Param);
    let loss = b.tanh(x).unwrap();
    let (once, first) = gradients(&b.finish(), loss, &[x]).unwrap();
    let (twice, second) = gradients(&once, first[0], &[x]).unwrap();
    let value = oracle::evaluate(&twice, &[vec![0.7]])[second[0].index()][0];
    let y = 0.7f64.tanh();
    assert!((value + 2.0 * y * (1.0 - y * y)).abs() < 1e-12);
}
