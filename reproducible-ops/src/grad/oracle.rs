//! A second, independent meaning of programs for tests: all f32 values are computed in f64, without
//! reduction trees.
//!
//! It agrees with the reference engine up to rounding, is smooth enough for finite differences, and
//! knows nothing of gradients. Integers and bools are held in f64 as well.

use crate::program::{Comparison, DType, Node, Operator, Program, Shape, ValueId};

/// Values of one program, by id.
pub(crate) type Values = Vec<Vec<f64>>;

/// Every value of a program from its inputs, row-major.
pub(crate) fn evaluate(program: &Program, inputs: &[Vec<f64>]) -> Values {
    let mut values = inputs.to_vec();
    for node in program.nodes() {
        let operands: Vec<Operand<'_>> = node
            .inputs
            .iter()
            .map(|&id| operand(program, &values, id))
            .collect();
        let value = apply(node, &operands);
        assert_eq!(
            value.len(),
            node.ty.shape.elements(),
            "{}",
            node.operator.name()
        );
        values.push(value);
    }
    values
}

struct Operand<'a> {
    data: &'a [f64],
    shape: &'a Shape,
    dtype: DType,
}

fn operand<'a>(program: &'a Program, values: &'a Values, id: ValueId) -> Operand<'a> {
    let ty = program.type_of(id).unwrap();
    Operand {
        data: &values[id.index()],
        shape: &ty.shape,
        dtype: ty.dtype,
    }
}

fn apply(node: &Node, x: &[Operand<'_>]) -> Vec<f64> {
    use Operator::*;
    let shape = &node.ty.shape;
    match &node.operator {
        Full { dtype, bits, .. } => vec![constant(*dtype, *bits); shape.elements()],
        Iota { axis, .. } => places(shape).map(|place| place[*axis] as f64).collect(),
        Cast(to) => x[0].data.iter().map(|&value| cast(value, *to)).collect(),
        Select => each3(x, |condition, a, b| if condition != 0.0 { a } else { b }),
        MatmulNt => matmul_nt(x, shape),
        Sum => rows(&x[0]).map(|row| row.iter().sum()).collect(),
        ReduceMax => rows(&x[0])
            .map(|row| row.iter().copied().fold(f64::NEG_INFINITY, f64::max))
            .collect(),
        Argmax => rows(&x[0]).map(argmax).collect(),
        Reshape(_) => x[0].data.to_vec(),
        Permute(axes) => places(shape)
            .map(|place| at(&x[0], &unpermuted(&place, axes)))
            .collect(),
        Expand(_) => places(shape)
            .map(|place| at(&x[0], &clamped(&place, x[0].shape)))
            .collect(),
        Slice { starts, .. } => places(shape)
            .map(|place| at(&x[0], &plus(&place, starts)))
            .collect(),
        Concat { axis } => places(shape)
            .map(|place| concatenated(x, place, *axis))
            .collect(),
        Pad { before, .. } => places(shape)
            .map(|place| padded(&x[0], &place, before))
            .collect(),
        GatherRows => gather_rows(x),
        OneHot { classes } => one_hot(&x[0], *classes),
        TakeAlongLast => take_along_last(x),
        UpdateRows => update_rows(x),
        PhiloxUniform { .. } => vec![0.5; shape.elements()],
        Neg => each(x, |a| -a),
        Abs => each(x, f64::abs),
        Sqrt => each(x, f64::sqrt),
        Exp => each(x, f64::exp),
        Log => each(x, f64::ln),
        Tanh => each(x, f64::tanh),
        Not => each(x, |a| 1.0 - a),
        Add => each2(x, |a, b| a + b),
        Sub => each2(x, |a, b| a - b),
        Mul | And => each2(x, |a, b| a * b),
        Div => each2(x, |a, b| a / b),
        Max | Or => each2(x, f64::max),
        Min => each2(x, f64::min),
        Compare(Comparison::Equal) => each2(x, |a, b| f64::from(a == b)),
        Compare(Comparison::Less) => each2(x, |a, b| f64::from(a < b)),
        Compare(Comparison::LessEqual) => each2(x, |a, b| f64::from(a <= b)),
    }
}

/// The least operand for which a derivative is tested by finite differences.
pub(crate) fn least_operand(operator: &Operator) -> f64 {
    match operator {
        Operator::Sqrt | Operator::Log => 0.2,
        Operator::Div => 0.3,
        _ => -1.0,
    }
}

fn constant(dtype: DType, bits: u32) -> f64 {
    match dtype {
        DType::F32 => f64::from(f32::from_bits(bits)),
        DType::I32 => f64::from(bits as i32),
        DType::Bool => f64::from(bits),
    }
}

fn cast(value: f64, to: DType) -> f64 {
    match to {
        DType::F32 => value,
        DType::I32 => value.round_ties_even(),
        DType::Bool => f64::from(value != 0.0),
    }
}

fn each(x: &[Operand<'_>], f: impl Fn(f64) -> f64) -> Vec<f64> {
    x[0].data.iter().map(|&a| f(a)).collect()
}

fn each2(x: &[Operand<'_>], f: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    assert_eq!(x[0].dtype, x[1].dtype);
    x[0].data
        .iter()
        .zip(x[1].data)
        .map(|(&a, &b)| f(a, b))
        .collect()
}

fn each3(x: &[Operand<'_>], f: impl Fn(f64, f64, f64) -> f64) -> Vec<f64> {
    (0..x[0].data.len())
        .map(|i| f(x[0].data[i], x[1].data[i], x[2].data[i]))
        .collect()
}

/// Every index tuple of a shape in row-major order.
fn places(shape: &Shape) -> impl Iterator<Item = Vec<usize>> {
    let (dims, strides) = (shape.dims().to_vec(), shape.strides());
    let place = move |flat: usize| {
        dims.iter()
            .zip(&strides)
            .map(|(dim, stride)| flat / stride % dim)
            .collect()
    };
    (0..shape.elements()).map(place)
}

fn at(x: &Operand<'_>, place: &[usize]) -> f64 {
    x.data[place
        .iter()
        .zip(x.shape.strides())
        .map(|(index, stride)| index * stride)
        .sum::<usize>()]
}

fn unpermuted(place: &[usize], axes: &[usize]) -> Vec<usize> {
    let mut source = vec![0; axes.len()];
    axes.iter()
        .zip(place)
        .for_each(|(&axis, &index)| source[axis] = index);
    source
}

fn clamped(place: &[usize], shape: &Shape) -> Vec<usize> {
    place
        .iter()
        .zip(shape.dims())
        .map(|(&index, &dim)| index.min(dim - 1))
        .collect()
}

fn plus(place: &[usize], starts: &[usize]) -> Vec<usize> {
    place
        .iter()
        .zip(starts)
        .map(|(index, start)| index + start)
        .collect()
}

fn concatenated(x: &[Operand<'_>], mut place: Vec<usize>, axis: usize) -> f64 {
    let mut operands = x.iter();
    let mut operand = operands.next().unwrap();
    while place[axis] >= operand.shape.dims()[axis] {
        place[axis] -= operand.shape.dims()[axis];
        operand = operands.next().unwrap();
    }
    at(operand, &place)
}

fn padded(x: &Operand<'_>, place: &[usize], before: &[usize]) -> f64 {
    let inner: Option<Vec<usize>> = place
        .iter()
        .zip(before)
        .map(|(index, skip)| index.checked_sub(*skip))
        .collect();
    match inner {
        Some(inner)
            if inner
                .iter()
                .zip(x.shape.dims())
                .all(|(index, dim)| index < dim) =>
        {
            at(x, &inner)
        }
        _ => 0.0,
    }
}

fn rows<'a>(x: &Operand<'a>) -> impl Iterator<Item = &'a [f64]> {
    let (data, last) = (x.data, x.shape.last());
    (0..x.shape.rows()).map(move |row| &data[row * last..(row + 1) * last])
}

fn argmax(row: &[f64]) -> f64 {
    let best = (0..row.len()).fold(
        0,
        |best, index| if row[index] > row[best] { index } else { best },
    );
    best as f64
}

fn matmul_nt(x: &[Operand<'_>], shape: &Shape) -> Vec<f64> {
    let element = |place: Vec<usize>| {
        let rank = place.len();
        let (mut left, mut right) = (place.clone(), place.clone());
        right[rank - 2] = place[rank - 1];
        let product = |k: usize| {
            (left[rank - 1], right[rank - 1]) = (k, k);
            at(&x[0], &left) * at(&x[1], &right)
        };
        (0..x[0].shape.last()).map(product).sum()
    };
    places(shape).map(element).collect()
}

fn gather_rows(x: &[Operand<'_>]) -> Vec<f64> {
    let width = x[0].shape.last();
    let row = |&id: &f64| (0..width).map(move |column| (id, column));
    let value = |(id, column): (f64, usize)| {
        if (0.0..x[0].shape.rows() as f64).contains(&id) {
            x[0].data[id as usize * width + column]
        } else {
            0.0
        }
    };
    x[1].data.iter().flat_map(row).map(value).collect()
}

fn one_hot(ids: &Operand<'_>, classes: usize) -> Vec<f64> {
    ids.data
        .iter()
        .flat_map(|&id| (0..classes).map(move |class| f64::from(class as f64 == id)))
        .collect()
}

fn take_along_last(x: &[Operand<'_>]) -> Vec<f64> {
    let picks = x[1].shape.last();
    let value = |(place, &id): (usize, &f64)| {
        let row = &x[0].data[place / picks * x[0].shape.last()..][..x[0].shape.last()];
        if id < 0.0 {
            0.0
        } else {
            row.get(id as usize).copied().unwrap_or(0.0)
        }
    };
    x[1].data.iter().enumerate().map(value).collect()
}

fn update_rows(x: &[Operand<'_>]) -> Vec<f64> {
    let (rank, width) = (x[0].shape.rank(), x[0].shape.last());
    let (height, count) = (x[0].shape.dims()[rank - 2], x[1].shape.dims()[rank - 2]);
    let value = |place: usize| {
        let (batch, row, column) = (
            place / (height * width),
            place / width % height,
            place % width,
        );
        let offset = row as f64 - x[2].data[batch];
        if (0.0..count as f64).contains(&offset) {
            x[1].data[(batch * count + offset as usize) * width + column]
        } else {
            x[0].data[place]
        }
    };
    (0..x[0].data.len()).map(value).collect()
}
