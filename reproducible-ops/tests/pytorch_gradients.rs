//! Gradients of random programs against PyTorch.
//!
//! `tests/data/gradients.json` was written by `tests/pytorch/gradients.py`; nothing but the file is
//! needed here. The error of a gradient is the largest absolute difference divided by the largest
//! absolute value of the expected tensor.

#![allow(clippy::unwrap_used)]

use std::collections::HashSet;

use reproducible_ops::engine::reference;
use reproducible_ops::grad::{GradError, gradients};
use reproducible_ops::program::{
    Builder, Built, Comparison, DType, Operator, Program, Role, Shape, TensorType, ValueId,
};
use reproducible_ops::tensor::Tensor;
use serde_json::Value;

const TOLERANCE: f64 = 1e-4;
const FIXTURE: &str = include_str!("data/gradients.json");

struct Case {
    program: Program,
    loss: ValueId,
    inputs: Vec<Tensor>,
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn sizes(value: &Value) -> Vec<usize> {
    list(value)
        .iter()
        .map(|size| size.as_u64().unwrap() as usize)
        .collect()
}

fn numbers(value: &Value) -> Vec<f64> {
    list(value)
        .iter()
        .map(|number| number.as_f64().unwrap())
        .collect()
}

fn tensor(input: &Value) -> Tensor {
    let (shape, data) = (sizes(&input["shape"]), numbers(&input["data"]));
    match input["dtype"].as_str().unwrap() {
        "f32" => Tensor::f32(shape, data.iter().map(|&value| value as f32).collect()).unwrap(),
        _ => Tensor::i32(shape, data.iter().map(|&value| value as i32).collect()).unwrap(),
    }
}

fn case(recipe: &Value) -> Case {
    let inputs: Vec<Tensor> = list(&recipe["inputs"]).iter().map(tensor).collect();
    let mut b = Builder::new();
    let declare = |(index, tensor): (usize, &Tensor)| {
        b.input(format!("x{index}"), tensor.ty().clone(), Role::Param)
    };
    let mut values: Vec<ValueId> = inputs.iter().enumerate().map(declare).collect();
    for step in list(&recipe["steps"]) {
        let operands: Vec<ValueId> = sizes(&step[1])
            .into_iter()
            .map(|number| values[number])
            .collect();
        values.push(apply(&mut b, step[0].as_str().unwrap(), &operands, &step[2]).unwrap());
    }
    let loss = sizes(&recipe["ends"])
        .into_iter()
        .map(|number| end(&mut b, values[number]));
    let loss = loss
        .collect::<Vec<_>>()
        .into_iter()
        .reduce(|total, one| b.add(total, one).unwrap())
        .unwrap();
    b.output("loss", loss);
    let program = b.finish();
    Case {
        loss: program.output_named("loss").unwrap(),
        program,
        inputs,
    }
}

/// One term of the loss: the sum of the tanh of a value that nothing else reads.
fn end(b: &mut Builder, value: ValueId) -> ValueId {
    let bent = b.tanh(value).unwrap();
    b.sum_all(bent).unwrap()
}

fn apply(b: &mut Builder, operator: &str, x: &[ValueId], attributes: &Value) -> Built {
    let sizes = |name: &str| sizes(&attributes[name]);
    match operator {
        "softmax" => b.softmax(x[0]),
        "log_softmax" => b.log_softmax(x[0]),
        "silu" => b.silu(x[0]),
        "select_less" => {
            let less = b.compare(Comparison::Less, x[0], x[1])?;
            b.select(less, x[2], x[3])
        }
        "reshape" => b.reshape(x[0], sizes("shape")),
        "permute" => b.permute(x[0], &sizes("axes")),
        "expand" => b.expand(x[0], sizes("shape")),
        "slice" => b.push(
            Operator::Slice {
                starts: sizes("starts"),
                ends: sizes("ends"),
            },
            x,
        ),
        "pad" => b.push(
            Operator::Pad {
                before: sizes("before"),
                after: sizes("after"),
            },
            x,
        ),
        "concat" => b.push(
            Operator::Concat {
                axis: attributes["axis"].as_u64().unwrap() as usize,
            },
            x,
        ),
        plain => b.push(named(plain), x),
    }
}

fn named(operator: &str) -> Operator {
    use Operator::*;
    let plain = [
        Neg,
        Abs,
        Sqrt,
        Exp,
        Log,
        Tanh,
        Add,
        Sub,
        Mul,
        Div,
        Max,
        Min,
        MatmulNt,
        Sum,
        ReduceMax,
        GatherRows,
        TakeAlongLast,
        UpdateRows,
    ];
    plain
        .into_iter()
        .find(|known| known.name() == operator)
        .unwrap()
}

/// Largest difference relative to the largest expected magnitude.
fn error(found: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let difference = found
        .iter()
        .zip(expected)
        .map(|(&a, &b)| (f64::from(a) - b).abs())
        .fold(0.0, f64::max);
    let magnitude = expected
        .iter()
        .fold(0.0, |largest: f64, value| largest.max(value.abs()));
    if difference == 0.0 {
        0.0
    } else {
        difference / magnitude.max(f64::MIN_POSITIVE)
    }
}

/// Worst error over the loss and all gradients of one program.
fn worst(recipe: &Value) -> f64 {
    let case = case(recipe);
    let is_float = |id: &ValueId| case.program.type_of(*id).unwrap().dtype == DType::F32;
    let wrt: Vec<ValueId> = case.program.input_ids().filter(is_float).collect();
    let (extended, found) = gradients(&case.program, case.loss, &wrt).unwrap();
    let trace = reference::trace(&extended, &case.inputs).unwrap();
    let values = |id: ValueId| trace[id.index()].as_f32().unwrap();
    let of_loss = error(values(case.loss), &[recipe["loss"].as_f64().unwrap()]);
    let zero = |id: ValueId| vec![0.0; extended.type_of(id).unwrap().shape.elements()];
    let compare = |(&id, expected): (&ValueId, &Value)| match expected {
        Value::Null => error(values(id), &zero(id)),
        expected => error(values(id), &numbers(expected)),
    };
    found
        .iter()
        .zip(list(&recipe["gradients"]))
        .map(compare)
        .fold(of_loss, f64::max)
}

#[test]
fn random_programs_have_the_gradients_of_pytorch() {
    let fixture: Value = serde_json::from_str(FIXTURE).unwrap();
    let recipes = list(&fixture);
    assert!(recipes.len() >= 50);
    let errors: Vec<f64> = recipes.iter().map(worst).collect();
    for (index, error) in errors.iter().enumerate() {
        assert!(*error <= TOLERANCE, "program {index}: error {error:.2e}");
    }
    println!(
        "worst relative error {:.2e}",
        errors
            .iter()
            .fold(0.0, |worst: f64, &error| worst.max(error))
    );
}

#[test]
fn the_fixture_uses_every_operator() {
    let fixture: Value = serde_json::from_str(FIXTURE).unwrap();
    let steps = list(&fixture)
        .iter()
        .flat_map(|recipe| list(&recipe["steps"]));
    let used: HashSet<&str> = steps.map(|step| step[0].as_str().unwrap()).collect();
    assert_eq!(used.len(), 28, "{used:?}");
}

#[test]
fn an_integer_has_no_gradient() {
    let mut b = Builder::new();
    let ids = b.input("ids", TensorType::i32([2]), Role::Param);
    let hot = b.push(Operator::OneHot { classes: 3 }, &[ids]).unwrap();
    let loss = b.sum_all(hot).unwrap();
    assert_eq!(*b.shape_of(loss), Shape::scalar());
    let refused = gradients(&b.finish(), loss, &[ids]);
    assert!(matches!(refused, Err(GradError::NotFloat { .. })));
}
