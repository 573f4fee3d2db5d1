//! Programs whose backward pass computes forward values again.

use proptest::prelude::*;

use super::*;
use crate::engine::Engine;
use crate::engine::reference::ReferenceEngine;
use crate::grad::gradients;
use crate::tensor::Tensor;

const WIDTH: usize = 6;

/// `layers` of x + w₂ · tanh(w₁ · x), the sum of the result's squares, and its gradients by all
/// weights. Also the number of forward nodes.
fn residual(layers: usize) -> (Program, usize) {
    let mut b = Builder::new();
    let mut x = b.input("x", TensorType::f32([3, WIDTH]), Role::Data);
    let weights: Vec<ValueId> = (0..2 * layers)
        .map(|number| {
            let ty = TensorType::f32([WIDTH, WIDTH]);
            b.input(format!("weight.{number}"), ty, Role::Param)
        })
        .collect();
    for pair in weights.chunks(2) {
        let inner = b.matmul_nt(x, pair[0]).unwrap();
        let inner = b.tanh(inner).unwrap();
        let change = b.matmul_nt(inner, pair[1]).unwrap();
        x = b.add(x, change).unwrap();
    }
    let squares = b.mul(x, x).unwrap();
    let loss = b.sum_all(squares).unwrap();
    b.output("loss", loss);
    let forward = b.finish();
    let (extended, found) = gradients(&forward, loss, &weights).unwrap();
    let mut b = Builder::from_program(&extended);
    for (weight, gradient) in weights.iter().zip(found) {
        b.output(format!("gradient.{}", weight.0), gradient);
    }
    (b.finish(), forward.nodes().len())
}

/// All outputs of a program as words.
fn outputs(program: &Program) -> Vec<Vec<u32>> {
    let mut session = ReferenceEngine.load(program).unwrap();
    let mut next = 1.0f32;
    for input in program.inputs() {
        let values = (0..input.ty.shape.elements()).map(|_| {
            next = (next * 1.37) % 2.0 - 0.7;
            next
        });
        let tensor = Tensor::f32(input.ty.shape.clone(), values.collect()).unwrap();
        session.write(&input.name, &tensor).unwrap();
    }
    session.run().unwrap();
    let names = program.outputs().iter();
    names
        .map(|output| session.read_words(&output.name).unwrap())
        .collect()
}

/// Forward nodes that nodes behind them read.
fn read_backward(program: &Program, forward: usize) -> usize {
    let mut read: Vec<usize> = program.nodes()[forward..]
        .iter()
        .flat_map(|node| &node.inputs)
        .filter_map(|id| id.index().checked_sub(program.inputs().len()))
        .filter(|&node| node < forward)
        .collect();
    read.sort_unstable();
    read.dedup();
    read.len()
}

proptest! {
    #[test]
    fn any_number_of_segments_gives_the_same_bits(layers in 1usize..7, segments in 0usize..12) {
        let (program, forward) = residual(layers);
        let again = program.recompute_forward(forward, segments).unwrap();
        prop_assert_eq!(outputs(&program), outputs(&again));
        prop_assert_eq!(&program.nodes()[..forward], &again.nodes()[..forward]);
        prop_assert!(read_backward(&again, forward) <= read_backward(&program, forward));
    }
}

#[test]
fn one_segment_changes_nothing() {
    let (program, forward) = residual(3);
    assert_eq!(program.recompute_forward(forward, 1).unwrap(), program);
    assert_eq!(program.recompute_forward(forward, 0).unwrap(), program);
}

#[test]
fn the_backward_pass_reads_only_what_crosses_and_the_last_segment() {
    let (program, forward) = residual(6);
    let again = program.recompute_forward(forward, 6).unwrap();
    // Of six layers each product, tanh and sum but the very last are read; of six segments the sums
    // of five, and the last layer.
    let (before, after) = (
        read_backward(&program, forward),
        read_backward(&again, forward),
    );
    assert!(after <= 5 + before - 5 * (before / 6), "{before} {after}");
    assert!(again.nodes().len() > program.nodes().len());
}
