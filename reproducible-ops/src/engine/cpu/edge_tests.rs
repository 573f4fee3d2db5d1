//! Programs at the edges of what the plan and the kernels can do, bit for bit against the
//! reference.

use super::tests::{assert_equal, random_tensor};
use super::{CpuEngine, InstructionSet};
use crate::engine::{Engine, reference};
use crate::program::{
    Builder, Comparison, DType, Operator, Program, Role, Shape, TensorType, ValueId,
};
use crate::random::Stream;
use crate::tensor::Tensor;

fn f32_input(b: &mut Builder, name: &str, shape: &[usize], role: Role) -> ValueId {
    b.input(name, TensorType::f32(shape), role)
}

fn data(b: &mut Builder, name: &str, shape: &[usize]) -> ValueId {
    f32_input(b, name, shape, Role::Data)
}

fn push(b: &mut Builder, operator: Operator, inputs: &[ValueId]) -> ValueId {
    b.push(operator, inputs).expect("typed")
}

fn slice(b: &mut Builder, x: ValueId, starts: &[usize], ends: &[usize]) -> ValueId {
    push(
        b,
        Operator::Slice {
            starts: starts.to_vec(),
            ends: ends.to_vec(),
        },
        &[x],
    )
}

fn inputs_for(program: &Program, seed: u64) -> Vec<Tensor> {
    let mut stream = Stream::from_seed("edge test", seed);
    program
        .inputs()
        .iter()
        .map(|input| random_tensor(&mut stream, &input.ty))
        .collect()
}

/// Declares every value as an output and compares with the reference.
fn assert_outputs(mut b: Builder, values: &[ValueId]) {
    for (index, &value) in values.iter().enumerate() {
        b.output(format!("out{index}"), value);
    }
    let program = b.finish();
    program.validate().expect("valid");
    assert_equal(&program, &inputs_for(&program, 1), 1);
}

/// Runs `steps` times with `advance` between and compares all outputs and inputs with the reference
/// each time.
fn assert_carried(program: &Program, steps: u64) {
    for threads in [1, 2] {
        let mut session = CpuEngine::new(threads).load(program).expect("valid");
        let mut inputs = inputs_for(program, 0);
        for step in 0..steps {
            let fresh = inputs_for(program, step);
            for (index, declared) in program.inputs().iter().enumerate() {
                if step == 0 || program.output_named(&declared.name).is_none() {
                    inputs[index] = fresh[index].clone();
                    session
                        .write(&declared.name, &inputs[index])
                        .expect("typed");
                }
            }
            session.run().expect("written");
            let expected = reference::evaluate(program, &inputs).expect("valid");
            for (output, expected) in program.outputs().iter().zip(&expected) {
                assert_eq!(
                    session.read(&output.name).as_ref(),
                    Ok(expected),
                    "{} of step {step}",
                    output.name
                );
            }
            session.advance();
            for (output, expected) in program.outputs().iter().zip(expected) {
                let Some(id) = program.input_named(&output.name) else {
                    continue;
                };
                if program.type_of(id) == Some(expected.ty()) {
                    assert_eq!(
                        session.input_words(&output.name),
                        Ok(expected.words().to_vec()),
                        "{}",
                        output.name
                    );
                    inputs[id.index()] = expected;
                }
            }
        }
    }
}

/// Every operator on one element type and shape, as far as it takes it.
fn elementwise_operators() -> Vec<(Operator, Vec<DType>)> {
    use DType::{Bool, F32, I32};
    use Operator::*;
    let comparisons = [Comparison::Equal, Comparison::Less, Comparison::LessEqual].map(Compare);
    let floats = [
        Neg,
        Abs,
        Sqrt,
        Exp,
        Log,
        Tanh,
        Cast(I32),
        Cast(Bool),
        Cast(F32),
    ];
    let integers = [Neg, Abs, Cast(F32), Cast(Bool), Cast(I32)];
    let pairs = || {
        [Add, Sub, Mul, Max, Min]
            .into_iter()
            .chain(comparisons.clone())
    };
    let unary = |operators: Vec<Operator>, dtype| {
        operators
            .into_iter()
            .map(move |operator| (operator, vec![dtype]))
    };
    let mut all: Vec<(Operator, Vec<DType>)> = unary(floats.to_vec(), F32).collect();
    all.extend(unary(integers.to_vec(), I32));
    all.extend(unary(vec![Not, Cast(F32), Cast(I32), Cast(Bool)], Bool));
    all.extend(
        pairs()
            .chain([Div])
            .map(|operator| (operator, vec![F32; 2])),
    );
    all.extend(pairs().map(|operator| (operator, vec![I32; 2])));
    all.extend([And, Or].map(|operator| (operator, vec![Bool; 2])));
    all.extend([F32, I32, Bool].map(|dtype| (Select, vec![Bool, dtype, dtype])));
    all
}

const SIZES: [usize; 9] = [0, 1, 2, 15, 17, 255, 256, 257, 2_049];

#[test]
fn every_elementwise_operator_at_every_size() {
    for size in SIZES {
        let mut b = Builder::new();
        let mut values = Vec::new();
        for (index, (operator, dtypes)) in elementwise_operators().into_iter().enumerate() {
            let types = dtypes.iter().enumerate();
            let inputs: Vec<ValueId> = types
                .map(|(place, &dtype)| {
                    b.input(
                        format!("{index}.{place}"),
                        TensorType::new(dtype, [size]),
                        Role::Data,
                    )
                })
                .collect();
            values.push(push(&mut b, operator, &inputs));
        }
        assert_outputs(b, &values);
    }
}

/// Every way an operand can reach a kernel: in order, one word, one per row, one row for all,
/// strided.
#[test]
fn every_pair_of_operand_kinds() {
    for [rows, cols] in [[1, 1], [1, 7], [5, 1], [3, 16], [70, 33], [4, 257]] {
        let mut b = Builder::new();
        let whole = data(&mut b, "whole", &[rows, cols]);
        let scalar = data(&mut b, "scalar", &[1, 1]);
        let per_row = data(&mut b, "per_row", &[rows, 1]);
        let one_row = data(&mut b, "one_row", &[1, cols]);
        let turned = data(&mut b, "turned", &[cols, rows]);
        let turned = b.transpose(turned).expect("typed");
        let wide = data(&mut b, "wide", &[rows, cols + 3]);
        let cut = slice(&mut b, wide, &[0, 2], &[rows, cols + 2]);
        let computed = b.reduce_max(whole).expect("typed");
        let splat = b.full(-1.5, [rows, cols]).expect("typed");
        let mut kinds = vec![whole, turned, cut, splat];
        kinds.extend(
            [scalar, per_row, one_row, computed].map(|x| b.expand(x, [rows, cols]).expect("typed")),
        );
        let condition = b.compare(Comparison::Less, turned, whole).expect("typed");
        let by_row = b
            .compare(Comparison::Less, per_row, computed)
            .expect("typed");
        let by_row = b.expand(by_row, [rows, cols]).expect("typed");
        let mut values = Vec::new();
        for &x in &kinds {
            values.extend(
                [
                    Operator::Sum,
                    Operator::ReduceMax,
                    Operator::Argmax,
                    Operator::Exp,
                ]
                .map(|o| push(&mut b, o, &[x])),
            );
            for &y in &kinds {
                values.push(b.sub(x, y).expect("typed"));
                values.push(b.select(condition, x, y).expect("typed"));
                values.push(b.select(by_row, x, y).expect("typed"));
            }
        }
        assert_outputs(b, &values);
    }
}

#[test]
fn reductions_and_products_of_every_length() {
    for size in [0, 1, 15, 16, 17, 255, 256, 257, 513, 65_537, 66_049] {
        let mut b = Builder::new();
        let rows = if size > 1_000 { 2 } else { 5 };
        let x = data(&mut b, "x", &[rows, size]);
        let y = data(&mut b, "y", &[3, size]);
        let mut values = vec![
            b.sum(x),
            b.reduce_max(x),
            b.matmul_nt(x, y),
            b.matmul_nt(y, y),
            b.softmax(x),
        ];
        if size > 0 {
            values.push(b.push(Operator::Argmax, &[x]));
        }
        let values: Vec<ValueId> = values
            .into_iter()
            .map(|value| value.expect("typed"))
            .collect();
        assert_outputs(b, &values);
    }
}

#[test]
fn products_of_every_small_shape() {
    for [m, n, k] in [
        [0, 3, 4],
        [3, 0, 4],
        [3, 4, 0],
        [1, 1, 1],
        [1, 33, 5],
        [33, 1, 5],
        [65, 65, 65],
        [17, 130, 300],
    ] {
        let mut b = Builder::new();
        let x = data(&mut b, "x", &[2, m, k]);
        let y = data(&mut b, "y", &[2, n, k]);
        let turned = data(&mut b, "turned", &[2, k, n]);
        let turned = b.transpose(turned).expect("typed");
        let shared = f32_input(&mut b, "shared", &[1, n, k], Role::Param);
        let shared = b.expand(shared, [2, n, k]).expect("typed");
        let values = [y, turned, shared].map(|y| b.matmul_nt(x, y).expect("typed"));
        assert_outputs(b, &values);
    }
}

#[test]
fn a_row_alone_has_the_bits_it_has_in_a_batch() {
    let program = |rows: usize| {
        let mut b = Builder::new();
        let x = data(&mut b, "x", &[rows, 300]);
        let w = f32_input(&mut b, "w", &[70, 300], Role::Param);
        let y = b
            .softmax(x)
            .and_then(|p| b.matmul_nt(p, w))
            .and_then(|y| b.silu(y))
            .expect("typed");
        let sum = b.sum(y).expect("typed");
        let sum = b.expand(sum, [rows, 70]).expect("typed");
        let value = b.div(y, sum).expect("typed");
        b.output("y", value);
        b.finish()
    };
    let rows = 67;
    let (batch, single) = (program(rows), program(1));
    let inputs = inputs_for(&batch, 5);
    for isa in InstructionSet::available() {
        for threads in 1..=5 {
            let engine = CpuEngine::with_instruction_set(isa, threads).expect("available");
            let mut whole = engine.load(&batch).expect("valid");
            let mut alone = engine.load(&single).expect("valid");
            whole.write("x", &inputs[0]).expect("typed");
            whole.write("w", &inputs[1]).expect("typed");
            whole.run().expect("written");
            alone.write("w", &inputs[1]).expect("typed");
            for row in [0, 1, 31, 66] {
                alone
                    .write_words("x", &inputs[0].words()[row * 300..][..300])
                    .expect("sized");
                alone.run().expect("written");
                let expected = &whole.read_words("y").expect("declared")[row * 70..][..70];
                assert_eq!(
                    alone.read_words("y"),
                    Ok(expected.to_vec()),
                    "row {row} on {isa} with {threads} threads"
                );
            }
        }
    }
}

#[test]
fn zeros_at_the_end_of_the_reduced_axis_change_nothing() {
    for (k, padded) in [(1, 2), (250, 256), (255, 300), (256, 257), (300, 1_024)] {
        let mut b = Builder::new();
        let (x, y) = (data(&mut b, "x", &[9, k]), data(&mut b, "y", &[20, k]));
        let pad = || Operator::Pad {
            before: vec![0, 0],
            after: vec![0, padded - k],
        };
        let (wide_x, wide_y) = (push(&mut b, pad(), &[x]), push(&mut b, pad(), &[y]));
        let pairs = [
            (b.sum(x), b.sum(wide_x)),
            (b.matmul_nt(x, y), b.matmul_nt(wide_x, wide_y)),
        ];
        for (index, (plain, wide)) in pairs.into_iter().enumerate() {
            b.output(format!("plain{index}"), plain.expect("typed"));
            b.output(format!("wide{index}"), wide.expect("typed"));
        }
        let program = b.finish();
        let mut stream = Stream::from_seed("padding", k as u64);
        // Finite values only: infinity times a padding zero is NaN.
        let finite = |input: &crate::program::Input, stream: &mut Stream| {
            let values = (0..input.ty.shape.elements())
                .map(|_| (stream.uniform() - 0.5) * 1e-20)
                .collect();
            Tensor::f32(input.ty.shape.clone(), values).expect("sized")
        };
        let inputs: Vec<Tensor> = program
            .inputs()
            .iter()
            .map(|input| finite(input, &mut stream))
            .collect();
        assert_equal(&program, &inputs, k as u64);
        let outputs = reference::evaluate(&program, &inputs).expect("valid");
        assert_eq!((&outputs[0], &outputs[2]), (&outputs[1], &outputs[3]));
    }
}

#[test]
fn inputs_are_canonical_when_they_enter() {
    let mut b = Builder::new();
    let x = data(&mut b, "x", &[3]);
    let flag = b.input("flag", TensorType::new(DType::Bool, [3]), Role::Data);
    let not = push(&mut b, Operator::Not, &[flag]);
    let program = {
        b.output("x out", x);
        b.output("flag out", flag);
        b.output("not", not);
        b.finish()
    };
    let nan = Tensor::from_words(
        TensorType::f32([3]),
        vec![0xffc0_0000, 0x7f80_0001, 0x8000_0000],
    )
    .expect("sized");
    let flags =
        Tensor::from_words(TensorType::new(DType::Bool, [3]), vec![0, 2, u32::MAX]).expect("sized");
    let inputs = [nan, flags];
    let expected = reference::evaluate(&program, &inputs).expect("valid");
    assert_eq!(expected[0].words(), [0x7fc0_0000, 0x7fc0_0000, 0x8000_0000]);
    assert_eq!(
        (expected[1].words(), expected[2].words()),
        (&[0, 1, 1][..], &[1, 0, 0][..])
    );
    assert_equal(&program, &inputs, 0);
}

#[test]
fn outputs_may_be_inputs_constants_views_and_each_other() {
    let mut b = Builder::new();
    let x = data(&mut b, "x", &[4, 6]);
    let y = b.exp(x).expect("typed");
    let full = b.full(2.5, [3, 2]).expect("typed");
    let counter = push(
        &mut b,
        Operator::Iota {
            shape: Shape::from([9]),
            axis: 0,
        },
        &[],
    );
    let few = push(
        &mut b,
        Operator::Iota {
            shape: Shape::from([4]),
            axis: 0,
        },
        &[],
    );
    let head = slice(&mut b, y, &[0, 0], &[1, 6]);
    let tail = slice(&mut b, y, &[2, 1], &[4, 5]);
    let turned = b.transpose(y).expect("typed");
    let flat = b.reshape(turned, [24]).expect("typed");
    let wide = b.reshape(y, [2, 12]).expect("typed");
    assert_outputs(
        b,
        &[
            x, x, full, few, counter, few, head, y, y, tail, turned, flat, wide, y,
        ],
    );
}

#[test]
fn a_carried_output_may_be_part_of_a_larger_value() {
    let mut b = Builder::new();
    let s = f32_input(&mut b, "s", &[2, 3], Role::State);
    let t = f32_input(&mut b, "t", &[3, 2], Role::State);
    let x = data(&mut b, "x", &[4, 3]);
    let grown = push(
        &mut b,
        Operator::Pad {
            before: vec![0, 0],
            after: vec![2, 0],
        },
        &[s],
    );
    let sum = b.add(grown, x).expect("typed");
    let next = slice(&mut b, sum, &[0, 0], &[2, 3]);
    let turned = b.transpose(s).expect("typed");
    b.output("s", next);
    b.output("t", turned);
    b.output("sum", sum);
    let shifted = b.exp(t).expect("typed");
    b.output("e", shifted);
    assert_carried(&b.finish(), 4);
}

#[test]
fn states_may_change_places_or_stay() {
    let mut b = Builder::new();
    let p = f32_input(&mut b, "p", &[5], Role::State);
    let q = f32_input(&mut b, "q", &[5], Role::State);
    let r = f32_input(&mut b, "r", &[5], Role::State);
    let sum = b.add(p, q).expect("typed");
    b.output("p", q);
    b.output("q", p);
    b.output("r", r);
    b.output("sum", sum);
    assert_carried(&b.finish(), 4);
}

/// Row updates of a state: what `rows`, `at` and the outputs may be.
struct Cache {
    b: Builder,
    cache: ValueId,
    rows: ValueId,
    at: ValueId,
}

impl Cache {
    fn new() -> Self {
        let mut b = Builder::new();
        let cache = f32_input(&mut b, "cache", &[2, 5, 3], Role::State);
        let rows = data(&mut b, "rows", &[2, 2, 3]);
        let at = b.input("at", TensorType::i32([2]), Role::Data);
        Self { b, cache, rows, at }
    }

    fn update(&mut self, base: ValueId, rows: ValueId) -> ValueId {
        push(&mut self.b, Operator::UpdateRows, &[base, rows, self.at])
    }

    fn finish(mut self, next: ValueId, others: &[ValueId]) {
        self.b.output("cache", next);
        for (index, &other) in others.iter().enumerate() {
            self.b.output(format!("other{index}"), other);
        }
        assert_carried(&self.b.finish(), 4);
    }
}

#[test]
fn an_update_may_be_read_before_and_after() {
    let mut c = Cache::new();
    let before = c.b.exp(c.cache).expect("typed");
    let next = c.update(c.cache, c.rows);
    let after = c.b.sub(next, c.cache).expect("typed");
    c.finish(next, &[before, after]);
    let mut c = Cache::new();
    let before = c.b.exp(c.cache).expect("typed");
    let next = c.update(c.cache, c.rows);
    let after = c.b.sum(next).expect("typed");
    let total = c.b.sum_all(before).expect("typed");
    c.finish(next, &[after, total, next]);
}

#[test]
fn an_update_may_take_its_rows_from_the_state() {
    let mut c = Cache::new();
    let rows = slice(&mut c.b, c.cache, &[0, 3, 0], &[2, 5, 3]);
    let next = c.update(c.cache, rows);
    c.finish(next, &[]);
    let mut c = Cache::new();
    let cache = c.cache;
    let next = c.update(cache, cache);
    c.finish(next, &[cache]);
    let mut c = Cache::new();
    let head = slice(&mut c.b, c.cache, &[0, 0, 0], &[1, 5, 3]);
    let head = c.b.reshape(head, [5, 3]).expect("typed");
    let flat = slice(&mut c.b, head, &[0, 0], &[4, 3]);
    let rows = c.b.reshape(flat, [2, 2, 3]).expect("typed");
    let next = c.update(c.cache, rows);
    c.finish(next, &[]);
}

#[test]
fn one_state_may_be_updated_twice() {
    let mut c = Cache::new();
    let once = c.update(c.cache, c.rows);
    let doubled = c.b.exp(c.rows).expect("typed");
    let other = c.update(c.cache, doubled);
    c.finish(once, &[other]);
    let mut c = Cache::new();
    let once = c.update(c.cache, c.rows);
    let doubled = c.b.exp(c.rows).expect("typed");
    let one = push(
        &mut c.b,
        Operator::Iota {
            shape: Shape::from([2]),
            axis: 0,
        },
        &[],
    );
    let next = push(&mut c.b, Operator::UpdateRows, &[once, doubled, one]);
    c.finish(next, &[once]);
}

#[test]
fn an_update_of_part_of_a_state_leaves_the_state() {
    let mut c = Cache::new();
    let part = slice(&mut c.b, c.cache, &[0, 0, 0], &[1, 5, 3]);
    let part = c.b.reshape(part, [1, 5, 3]).expect("typed");
    let rows = slice(&mut c.b, c.rows, &[0, 0, 0], &[1, 2, 3]);
    let at = slice(&mut c.b, c.at, &[0], &[1]);
    let next = push(&mut c.b, Operator::UpdateRows, &[part, rows, at]);
    let all = c.b.exp(c.cache).expect("typed");
    c.finish(next, &[all]);
}

#[test]
fn integer_states_may_index_themselves() {
    let mut b = Builder::new();
    let counts = b.input("counts", TensorType::i32([1, 1]), Role::State);
    let rows = b.input("rows", TensorType::i32([1, 1]), Role::Data);
    let at = b.reshape(counts, Shape::scalar()).expect("typed");
    let flat = b.reshape(counts, [1, 1]).expect("typed");
    let next = push(&mut b, Operator::UpdateRows, &[flat, rows, at]);
    b.output("counts", next);
    assert_carried(&b.finish(), 5);
}

#[test]
fn a_buffer_may_be_larger_than_the_value_in_it() {
    let mut b = Builder::new();
    let big = data(&mut b, "big", &[50, 40]);
    let x = b.input("x", TensorType::i32([3]), Role::Data);
    let table = data(&mut b, "table", &[3, 4, 2]);
    let rows = data(&mut b, "rows", &[3, 1, 2]);
    let mut values = Vec::new();
    // A large dead temporary first, so that the small ones inherit its buffer.
    for round in 0..3 {
        let grown = b.matmul_nt(big, big).expect("typed");
        let scaled = b
            .full(0.5 + round as f32, [50, 50])
            .and_then(|c| b.mul(grown, c))
            .expect("typed");
        let turned = b.transpose(scaled).expect("typed");
        let product = b.matmul_nt(turned, turned).expect("typed");
        values.push(b.sum_all(product).expect("typed"));
        let cast = b.cast(product, DType::I32).expect("typed");
        let ids = slice(&mut b, cast, &[round, 0], &[round + 1, 3]);
        let ids = b.reshape(ids, [3]).expect("typed");
        let at = push(&mut b, Operator::Mul, &[ids, x]);
        let at = push(&mut b, Operator::Min, &[at, x]);
        let base = b.exp(table).expect("typed");
        let updated = push(&mut b, Operator::UpdateRows, &[base, rows, at]);
        let flat = b.reshape(updated, [6, 4]).expect("typed");
        values.push(push(&mut b, Operator::GatherRows, &[flat, at]));
        let picks = push(&mut b, Operator::Concat { axis: 0 }, &[at, at]);
        let picks = b.reshape(picks, [3, 2]).expect("typed");
        let few = b.reshape(flat, [3, 8]).expect("typed");
        values.push(push(&mut b, Operator::TakeAlongLast, &[few, picks]));
        let padded = push(
            &mut b,
            Operator::Pad {
                before: vec![1, 0],
                after: vec![0, 1],
            },
            &[flat],
        );
        values.push(b.sum(padded).expect("typed"));
        let key = slice(&mut b, at, &[0], &[2]);
        let counter = push(&mut b, Operator::Concat { axis: 0 }, &[at, x]);
        let counter = b.reshape(counter, [2, 3]).expect("typed");
        values.push(push(
            &mut b,
            Operator::PhiloxUniform { lanes: 67 },
            &[key, counter],
        ));
    }
    // An index vector that is the start of a longer counter.
    push(
        &mut b,
        Operator::Iota {
            shape: Shape::from([40]),
            axis: 0,
        },
        &[],
    );
    let long = push(
        &mut b,
        Operator::Iota {
            shape: Shape::from([7, 40]),
            axis: 1,
        },
        &[],
    );
    let short = push(
        &mut b,
        Operator::Iota {
            shape: Shape::from([3]),
            axis: 0,
        },
        &[],
    );
    values.push(long);
    values.push(push(&mut b, Operator::UpdateRows, &[table, rows, short]));
    assert_outputs(b, &values);
}

#[test]
fn empty_values_of_many_shapes() {
    let mut b = Builder::new();
    let x = data(&mut b, "x", &[3, 4]);
    let none = slice(&mut b, x, &[3, 4], &[3, 4]);
    let no_rows = slice(&mut b, x, &[3, 0], &[3, 4]);
    let no_cols = slice(&mut b, x, &[0, 4], &[3, 4]);
    let five = b.full(1.0, [5, 0]).expect("typed");
    let five = b.exp(five).expect("typed");
    let three = b.exp(no_cols).expect("typed");
    let cube = b.reshape(no_cols, [2, 0, 7]).expect("typed");
    let longer = b.reshape(three, [5, 0]).expect("typed");
    let mut values = vec![none, no_rows, no_cols, five, three, cube];
    for x in [none, no_rows, no_cols, five, three, cube, longer] {
        let turned = b.transpose(x).expect("typed");
        for x in [x, turned] {
            values.extend(
                [b.sum(x), b.reduce_max(x), b.softmax(x), b.matmul_nt(x, x)]
                    .map(|x| x.expect("typed")),
            );
            let rank = b.shape_of(x).rank();
            values.push(push(
                &mut b,
                Operator::Pad {
                    before: vec![1; rank],
                    after: vec![2; rank],
                },
                &[x],
            ));
            values.push(push(&mut b, Operator::Concat { axis: rank - 1 }, &[x, x]));
        }
    }
    let joined = push(&mut b, Operator::Concat { axis: 1 }, &[no_cols, x, no_cols]);
    let ids = b.input("ids", TensorType::i32([3, 0]), Role::Data);
    let id = b.input("id", TensorType::i32([3, 1]), Role::Data);
    values.extend([
        joined,
        push(&mut b, Operator::TakeAlongLast, &[x, ids]),
        push(&mut b, Operator::GatherRows, &[x, ids]),
    ]);
    values.extend([
        push(&mut b, Operator::TakeAlongLast, &[no_cols, id]),
        push(&mut b, Operator::GatherRows, &[no_rows, id]),
    ]);
    values.extend([0, 1].map(|classes| push(&mut b, Operator::OneHot { classes }, &[id])));
    assert_outputs(b, &values);
}

#[test]
fn eight_axes_and_scalars() {
    let mut b = Builder::new();
    let x = data(&mut b, "x", &[2, 1, 3, 2, 1, 2, 3, 2]);
    let s = data(&mut b, "s", &[]);
    let turned = b.permute(x, &[7, 2, 0, 6, 4, 3, 5, 1]).expect("typed");
    let flat = b.reshape(turned, [12, 12]).expect("typed");
    let sums = b.sum(turned).expect("typed");
    let wide = b.broadcast(s, [2, 3, 2, 3, 1, 2, 2, 1]).expect("typed");
    let added = b.add(turned, wide).expect("typed");
    let back = b.permute(added, &[2, 7, 1, 5, 4, 6, 3, 0]).expect("typed");
    let both = b.mul(back, x).expect("typed");
    let exp = b.exp(s).expect("typed");
    let double = b.add(exp, exp).expect("typed");
    let row = b
        .reshape(s, [1])
        .and_then(|row| b.softmax(row))
        .expect("typed");
    let hot = b.input("id", TensorType::i32([]), Role::Data);
    let hot = push(&mut b, Operator::OneHot { classes: 5 }, &[hot]);
    assert_outputs(b, &[turned, flat, sums, added, both, double, row, hot]);
}

#[test]
fn groups_split_where_registers_and_loads_run_out() {
    let mut b = Builder::new();
    let inputs: Vec<ValueId> = (0..120)
        .map(|index| data(&mut b, &format!("x{index}"), &[6, 9]))
        .collect();
    let mut sum = inputs[0];
    let mut kept = Vec::new();
    for (index, &x) in inputs.iter().enumerate() {
        let turned = if index % 3 == 0 { b.exp(x) } else { b.neg(x) }.expect("typed");
        sum = b.add(sum, turned).expect("typed");
        kept.push(turned);
    }
    // All kept values are live at the end.
    let product = kept
        .iter()
        .fold(sum, |acc, &x| b.mul(acc, x).expect("typed"));
    let rows = b
        .reduce_max(product)
        .and_then(|rows| b.expand(rows, [6, 9]))
        .expect("typed");
    let last = b.sub(sum, rows).expect("typed");
    kept.extend([product, last]);
    assert_outputs(b, &kept);
}

#[test]
fn long_rows_are_cut_in_no_other_way() {
    let mut b = Builder::new();
    let x = data(&mut b, "x", &[2, 5_000]);
    let gain = data(&mut b, "gain", &[1, 5_000]);
    let gain = b.expand(gain, [2, 5_000]).expect("typed");
    let soft = b.softmax(x).expect("typed");
    let scaled = b.mul(soft, gain).expect("typed");
    let total = b.sum(scaled).expect("typed");
    assert_outputs(b, &[soft, scaled, total]);
}

#[test]
fn a_weight_is_packed_again_when_it_changes() {
    let mut b = Builder::new();
    let w = f32_input(&mut b, "w", &[40, 30], Role::Param);
    let x = data(&mut b, "x", &[3, 30]);
    let y = b.matmul_nt(x, w).expect("typed");
    let half = b
        .full_like(0.5, w)
        .and_then(|half| b.mul(w, half))
        .expect("typed");
    b.output("w", half);
    b.output("y", y);
    assert_carried(&b.finish(), 4);
}
