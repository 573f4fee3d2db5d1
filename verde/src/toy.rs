//! A job small enough to be read: a weight of three numbers, trained on six examples.
//!
//! ```text
//! accumulate: gradient + the example that the counter names      run 0, run 1
//! update:     weight − rate(counter) · gradient                  run 2
//!             counter + 1
//! ```
//! It has all that a real one has: two programs, several runs of one, a state with a counter, a
//! data set and a table of rates as constants, and a tensor that is given.

use reproducible_ops::program::{Builder, DType, Operator, Program, Role, Shape, TensorType};
use reproducible_ops::tensor::Tensor;

use crate::plan::{Constant, Plan, Run, Slot, Source};
use crate::tensor;

const WIDTH: usize = 3;
const EXAMPLES: usize = 6;
/// Steps for which there is a rate.
pub const STEPS: usize = 3;

fn vector() -> TensorType {
    TensorType::f32([WIDTH])
}

fn counter() -> TensorType {
    TensorType::i32([1])
}

/// `gradient + data[counter] · given`, and the counter of the next example.
fn accumulate() -> Program {
    let mut builder = Builder::new();
    let data = builder.input("data", TensorType::f32([EXAMPLES, WIDTH]), Role::Constant);
    let example = builder.input("example", counter(), Role::State);
    let gradient = builder.input("gradient", vector(), Role::State);
    let scale = builder.input("scale", vector(), Role::Data);
    let row = builder
        .push(Operator::GatherRows, &[data, example])
        .unwrap();
    let row = builder.reshape(row, Shape::new([WIDTH])).unwrap();
    let row = builder.mul(row, scale).unwrap();
    let sum = builder.add(gradient, row).unwrap();
    let one = integer(&mut builder, 1);
    let next = builder.push(Operator::Add, &[example, one]).unwrap();
    builder.output("gradient", sum);
    builder.output("example", next);
    builder.finish()
}

/// `weight − rates[step] · gradient`, and the next step.
fn update() -> Program {
    let mut builder = Builder::new();
    let gradient = builder.input("gradient", vector(), Role::Data);
    let rates = builder.input("rates", TensorType::f32([STEPS, 1]), Role::Constant);
    let step = builder.input("step", counter(), Role::State);
    let weight = builder.input("weight", vector(), Role::Param);
    let rate = builder.push(Operator::GatherRows, &[rates, step]).unwrap();
    let rate = builder.reshape(rate, Shape::scalar()).unwrap();
    let rate = builder.broadcast(rate, Shape::new([WIDTH])).unwrap();
    let change = builder.mul(rate, gradient).unwrap();
    let weight = builder.sub(weight, change).unwrap();
    let one = integer(&mut builder, 1);
    let next = builder.push(Operator::Add, &[step, one]).unwrap();
    builder.output("weight", weight);
    builder.output("step", next);
    builder.finish()
}

fn integer(builder: &mut Builder, value: u32) -> reproducible_ops::program::ValueId {
    let full = Operator::Full {
        dtype: DType::I32,
        bits: value,
        shape: Shape::new([1]),
    };
    builder.push(full, &[]).unwrap()
}

/// The constants: data, rates, zero gradients.
pub fn constants() -> Vec<Tensor> {
    let number = |at: usize| (at as f32 * 0.37).mul_add(1.5, -2.0);
    let data = (0..EXAMPLES * WIDTH).map(number).collect();
    let rates = (0..STEPS).map(|step| 0.5 / (step + 1) as f32).collect();
    vec![
        Tensor::f32([EXAMPLES, WIDTH], data).unwrap(),
        Tensor::f32([STEPS, 1], rates).unwrap(),
        Tensor::f32([WIDTH], vec![0.0; WIDTH]).unwrap(),
    ]
}

/// The state before the first step: example, step, weight.
pub fn state() -> Vec<Tensor> {
    let zero = || Tensor::i32([1], vec![0]).unwrap();
    vec![
        zero(),
        zero(),
        Tensor::f32([WIDTH], vec![1.0, -1.0, 0.25]).unwrap(),
    ]
}

/// What is given to a step.
pub fn given(step: usize) -> Vec<Tensor> {
    let scale = vec![1.0 + step as f32; WIDTH];
    vec![Tensor::f32([WIDTH], scale).unwrap()]
}

/// The plan, and its programs.
pub fn plan() -> (Plan, Vec<Program>) {
    let programs = vec![accumulate(), update()];
    let slot = |name: &str, ty: &TensorType| Slot {
        name: name.into(),
        ty: ty.clone(),
    };
    let constants = constants();
    let constant = |name: &str, tensor: &Tensor| Constant {
        slot: slot(name, tensor.ty()),
        root: tensor::root(tensor),
    };
    let (data, rates, zeros) = (
        Source::Constant(0),
        Source::Constant(1),
        Source::Constant(2),
    );
    let (example, step, weight) = (Source::State(0), Source::State(1), Source::State(2));
    let output = |run, output| Source::Output { run, output };
    let plan = Plan {
        programs: programs.iter().map(Program::digest).collect(),
        constants: vec![
            constant("data", &constants[0]),
            constant("rates", &constants[1]),
            constant("zeros", &constants[2]),
        ],
        state: vec![
            slot("example", &counter()),
            slot("step", &counter()),
            slot("weight", &vector()),
        ],
        given: vec![slot("scale", &vector())],
        runs: vec![
            Run {
                program: 0,
                inputs: vec![data, example, zeros, Source::Given(0)],
            },
            Run {
                program: 0,
                inputs: vec![data, output(0, 1), output(0, 0), Source::Given(0)],
            },
            Run {
                program: 1,
                inputs: vec![output(1, 0), rates, step, weight],
            },
        ],
        next: vec![output(1, 1), output(2, 1), output(2, 0)],
    };
    (plan, programs)
}
