//! What is emitted: no pointless nodes.

use super::super::*;
use crate::program::{Operator, Role};

/// Operator names of the nodes that differentiation appended.
fn appended(program: &Program, loss: ValueId, wrt: &[ValueId]) -> Vec<&'static str> {
    let (extended, _) = gradients(program, loss, wrt).unwrap();
    extended.nodes()[program.nodes().len()..]
        .iter()
        .map(|node| node.operator.name())
        .collect()
}

#[test]
fn a_linear_layer_costs_two_products_and_folds_its_transposes() {
    let mut b = Builder::new();
    let x = b.input("x", TensorType::f32([8, 3]), Role::Data);
    let w = b.input("w", TensorType::f32([3, 5]), Role::Param);
    let bias = b.input("bias", TensorType::f32([5]), Role::Param);
    let transposed = b.transpose(w).unwrap();
    let y = b.matmul_nt(x, transposed).unwrap();
    let repeated = b.broadcast(bias, [8, 5]).unwrap();
    let y = b.add(y, repeated).unwrap();
    let y = b.tanh(y).unwrap();
    let loss = b.sum_all(y).unwrap();
    let program = b.finish();
    let (extended, found) = gradients(&program, loss, &[x, w, bias]).unwrap();

    let by_x = extended.node_of(found[0]).unwrap();
    assert_eq!(by_x.operator, Operator::MatmulNt);
    assert_eq!(
        by_x.inputs[1], w,
        "the transpose of the transpose is the weight itself"
    );
    let by_w = extended.node_of(found[1]).unwrap();
    assert_eq!(
        by_w.operator,
        Operator::MatmulNt,
        "transposed by swapping the factors"
    );
    let sums = ["permute", "sum", "reshape"];
    let names = appended(&program, loss, &[bias]);
    assert_eq!(names[names.len() - 3..], sums, "{names:?}");
}

#[test]
fn a_mean_adds_constants_only() {
    let mut b = Builder::new();
    let x = b.input("x", TensorType::f32([4, 3]), Role::Param);
    let sum = b.sum_all(x).unwrap();
    let count = b.full_like(12.0, sum).unwrap();
    let mean = b.div(sum, count).unwrap();
    let loss = b.neg(mean).unwrap();
    let program = b.finish();
    assert_eq!(appended(&program, loss, &[x]), ["full"]);
    let (extended, found) = gradients(&program, loss, &[x]).unwrap();
    let Operator::Full { bits, .. } = extended.node_of(found[0]).unwrap().operator else {
        panic!()
    };
    assert_eq!(bits, (-1.0f32 / 12.0).to_bits());
}

#[test]
fn the_maximum_inside_a_softmax_has_no_gradient() {
    let mut b = Builder::new();
    let x = b.input("x", TensorType::f32([4, 3]), Role::Param);
    let y = b.input("y", TensorType::f32([4, 3]), Role::Data);
    let (soft, log) = (b.softmax(x).unwrap(), b.log_softmax(x).unwrap());
    let sum = b.add(soft, log).unwrap();
    let product = b.mul(sum, y).unwrap();
    let loss = b.sum_all(product).unwrap();
    let names = appended(&b.finish(), loss, &[x]);
    assert!(!names.contains(&"argmax"), "{names:?}");
}

#[test]
fn a_maximum_that_matters_keeps_its_gradient() {
    let mut b = Builder::new();
    let x = b.input("x", TensorType::f32([4, 3]), Role::Param);
    let soft = b.softmax(x).unwrap();
    let max = b.reduce_max(x).unwrap();
    let max = b.expand(max, [4, 3]).unwrap();
    let scaled = b.mul(soft, max).unwrap();
    let loss = b.sum_all(scaled).unwrap();
    let names = appended(&b.finish(), loss, &[x]);
    assert!(names.contains(&"argmax"), "{names:?}");
}

#[test]
fn softmax_is_one_reduction_and_no_division() {
    let mut b = Builder::new();
    let x = b.input("x", TensorType::f32([4, 3]), Role::Param);
    let y = b.input("y", TensorType::f32([4, 3]), Role::Data);
    let soft = b.softmax(x).unwrap();
    let product = b.mul(soft, y).unwrap();
    let loss = b.sum_all(product).unwrap();
    let names = appended(&b.finish(), loss, &[x]);
    assert_eq!(
        names,
        ["mul", "sum", "expand", "sub", "mul"],
        "the loss's own product is shared"
    );
}

#[test]
fn a_split_tensor_gets_its_gradient_by_concat() {
    let mut b = Builder::new();
    let x = b.input("x", TensorType::f32([2, 6]), Role::Param);
    let part = |b: &mut Builder, from: usize| {
        let slice = Operator::Slice {
            starts: vec![0, from],
            ends: vec![2, from + 2],
        };
        let part = b.push(slice, &[x]).unwrap();
        b.tanh(part).unwrap()
    };
    let parts = [part(&mut b, 4), part(&mut b, 0), part(&mut b, 2)];
    let total = parts
        .iter()
        .skip(1)
        .fold(parts[0], |total, &part| b.mul(total, part).unwrap());
    let loss = b.sum_all(total).unwrap();
    let names = appended(&b.finish(), loss, &[x]);
    assert_eq!(names.last(), Some(&"concat"), "{names:?}");
    assert!(!names.contains(&"pad"), "{names:?}");
}

#[test]
fn nothing_is_computed_for_what_is_not_asked() {
    let mut b = Builder::new();
    let x = b.input("x", TensorType::f32([4, 3]), Role::Param);
    let y = b.input("y", TensorType::f32([5, 3]), Role::Param);
    let product = b.matmul_nt(x, y).unwrap();
    let loss = b.sum_all(product).unwrap();
    let names = appended(&b.finish(), loss, &[x]);
    assert_eq!(
        names.iter().filter(|&&name| name == "matmul_nt").count(),
        1,
        "{names:?}"
    );
}
