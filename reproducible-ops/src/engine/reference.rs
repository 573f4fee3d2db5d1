//! The reference: every operator over [`crate::scalar`], one element after another.
//!
//! This is the executable meaning of a program. It is slow, allocates freely and is what every
//! other engine is tested against, bit for bit. [`ReferenceEngine`] runs it behind the interface of
//! an engine.

mod session;

pub use session::ReferenceEngine;

use crate::program::{
    Comparison, DType, Elementwise, Node, Operator, Program, Shape, TensorType, TypeError,
    elementwise,
};
use crate::random;
use crate::scalar;
use crate::tensor::Tensor;

use super::{EngineError, canonicalise};

/// Evaluates a program and returns its outputs in declaration order. `inputs` are in id order.
///
/// # Errors
/// The program is invalid, or an input is missing or of another type.
pub fn evaluate(program: &Program, inputs: &[Tensor]) -> Result<Vec<Tensor>, EngineError> {
    let trace = trace(program, inputs)?;
    Ok(program
        .outputs()
        .iter()
        .map(|output| trace[output.value.index()].clone())
        .collect())
}

/// Evaluates a program and returns every value by id: inputs, then node outputs.
///
/// # Errors
/// The program is invalid, or an input is missing or of another type.
pub fn trace(program: &Program, inputs: &[Tensor]) -> Result<Vec<Tensor>, EngineError> {
    program.validate()?;
    check_inputs(program, inputs)?;
    let mut values: Vec<Tensor> = inputs[..program.inputs().len()]
        .iter()
        .map(canonical)
        .collect();
    for node in program.nodes() {
        let operands: Vec<&Tensor> = node.inputs.iter().map(|id| &values[id.index()]).collect();
        values.push(apply(node, &operands));
    }
    Ok(values)
}

/// Applies one operator to operands: what a node computes, without its program.
///
/// # Errors
/// The operator does not take operands of these types.
pub fn evaluate_operator(operator: &Operator, operands: &[&Tensor]) -> Result<Tensor, TypeError> {
    let types: Vec<&TensorType> = operands.iter().map(|operand| operand.ty()).collect();
    let node = Node {
        ty: operator.infer(&types)?,
        operator: operator.clone(),
        inputs: Vec::new(),
    };
    Ok(apply(&node, operands))
}

fn canonical(input: &Tensor) -> Tensor {
    let mut input = input.clone();
    let dtype = input.ty().dtype;
    canonicalise(dtype, input.words_mut());
    input
}

fn check_inputs(program: &Program, inputs: &[Tensor]) -> Result<(), EngineError> {
    for (index, declared) in program.inputs().iter().enumerate() {
        let given = inputs
            .get(index)
            .ok_or_else(|| EngineError::Unwritten(declared.name.clone()))?;
        if *given.ty() != declared.ty {
            let (name, expected, found) = (
                declared.name.clone(),
                declared.ty.clone(),
                given.ty().clone(),
            );
            return Err(EngineError::InputType {
                name,
                expected,
                found,
            });
        }
    }
    Ok(())
}

/// Applies one node to operands of the types its program was validated with.
fn apply(node: &Node, operands: &[&Tensor]) -> Tensor {
    use Operator::*;
    let words = match &node.operator {
        elementwise!() => elementwise(&node.operator, operands),
        Full { bits, .. } => vec![*bits; node.ty.shape.elements()],
        Iota { shape, axis } => iota(shape, *axis),
        Reshape(_) => operands[0].words().to_vec(),
        Permute(axes) => permute(operands[0], axes, &node.ty.shape),
        Expand(_) => expand(operands[0], &node.ty.shape),
        Slice { starts, .. } => slice(operands[0], starts, &node.ty.shape),
        Concat { axis } => concat(operands, *axis, &node.ty.shape),
        Pad { before, .. } => pad(operands[0], before, &node.ty.shape),
        MatmulNt => matmul_nt(operands[0], operands[1]),
        Sum => rows_f32(operands[0])
            .map(|row| scalar::reduce::sum(row).to_bits())
            .collect(),
        ReduceMax => rows_f32(operands[0])
            .map(|row| scalar::reduce::max(row).to_bits())
            .collect(),
        Argmax => rows_f32(operands[0]).map(argmax).collect(),
        GatherRows => gather_rows(operands[0], operands[1]),
        OneHot { classes } => one_hot(operands[0], *classes),
        TakeAlongLast => take_along_last(operands[0], operands[1]),
        UpdateRows => update_rows(operands[0], operands[1], operands[2]),
        PhiloxUniform { lanes } => philox_uniform(operands[0], operands[1], *lanes),
    };
    into_tensor(node.ty.clone(), words)
}

fn into_tensor(ty: TensorType, words: Vec<u32>) -> Tensor {
    let mut tensor = Tensor::zeros(ty);
    tensor.words_mut().copy_from_slice(&words);
    tensor
}

#[expect(clippy::expect_used, reason = "the program was validated")]
fn elementwise(operator: &Operator, operands: &[&Tensor]) -> Vec<u32> {
    let dtypes: Vec<DType> = operands.iter().map(|operand| operand.ty().dtype).collect();
    let row = Elementwise::of(operator, &dtypes)
        .expect("invariant: inference accepts the types of the operator table only");
    let mut element = vec![0; operands.len()];
    (0..operands[0].words().len())
        .map(|index| {
            for (word, operand) in element.iter_mut().zip(operands) {
                *word = operand.words()[index];
            }
            row.apply(&element)
        })
        .collect()
}

/// Copies `shape` elements whose places in `source` follow `offset` and `strides`.
fn strided(source: &[u32], offset: usize, strides: &[usize], shape: &Shape) -> Vec<u32> {
    if shape.elements() == 0 {
        return Vec::new();
    }
    let mut places = vec![offset];
    for (&dim, &stride) in shape.dims().iter().zip(strides) {
        let along = |&start: &usize| (0..dim).map(move |index| start + index * stride);
        places = places.iter().flat_map(along).collect();
    }
    places.into_iter().map(|place| source[place]).collect()
}

fn iota(shape: &Shape, axis: usize) -> Vec<u32> {
    let counter: Vec<u32> = (0..shape.dims()[axis] as u32).collect();
    let mut strides = vec![0; shape.rank()];
    strides[axis] = 1;
    strided(&counter, 0, &strides, shape)
}

fn permute(x: &Tensor, axes: &[usize], shape: &Shape) -> Vec<u32> {
    let own = x.shape().strides();
    let strides: Vec<usize> = axes.iter().map(|&axis| own[axis]).collect();
    strided(x.words(), 0, &strides, shape)
}

fn expand(x: &Tensor, shape: &Shape) -> Vec<u32> {
    let own = x.shape().strides();
    let repeated = x
        .shape()
        .dims()
        .iter()
        .zip(shape.dims())
        .map(|(&from, &to)| from != to);
    let strides: Vec<usize> = own
        .iter()
        .zip(repeated)
        .map(|(&stride, repeat)| if repeat { 0 } else { stride })
        .collect();
    strided(x.words(), 0, &strides, shape)
}

fn slice(x: &Tensor, starts: &[usize], shape: &Shape) -> Vec<u32> {
    let strides = x.shape().strides();
    let offset = starts
        .iter()
        .zip(&strides)
        .map(|(start, stride)| start * stride)
        .sum();
    strided(x.words(), offset, &strides, shape)
}

fn concat(operands: &[&Tensor], axis: usize, shape: &Shape) -> Vec<u32> {
    let outer: usize = shape.dims()[..axis].iter().product();
    let mut words = Vec::with_capacity(shape.elements());
    for block in 0..outer {
        for operand in operands {
            let length: usize = operand.shape().dims()[axis..].iter().product();
            words.extend(&operand.words()[block * length..(block + 1) * length]);
        }
    }
    words
}

fn pad(x: &Tensor, before: &[usize], shape: &Shape) -> Vec<u32> {
    let mut words = vec![0; shape.elements()];
    let strides = shape.strides();
    let offset: usize = before
        .iter()
        .zip(&strides)
        .map(|(skip, stride)| skip * stride)
        .sum();
    let places: Vec<u32> = (0..words.len() as u32).collect();
    let targets = strided(&places, offset.min(words.len()), &strides, x.shape());
    targets
        .iter()
        .zip(x.words())
        .for_each(|(&place, &word)| words[place as usize] = word);
    words
}

fn rows_f32(x: &Tensor) -> impl Iterator<Item = &[f32]> {
    let (rows, last) = (x.shape().rows(), x.shape().last());
    let values: &[f32] = bytemuck::cast_slice(x.words());
    (0..rows).map(move |row| &values[row * last..(row + 1) * last])
}

fn matmul_nt(a: &Tensor, b: &Tensor) -> Vec<u32> {
    let (m, n, k) = (dim_from_end(a, 2), dim_from_end(b, 2), a.shape().last());
    let batches = if m == 0 || n == 0 {
        0
    } else {
        a.shape().rows() / m
    };
    let (a, b): (&[f32], &[f32]) = (
        bytemuck::cast_slice(a.words()),
        bytemuck::cast_slice(b.words()),
    );
    let mut words = Vec::with_capacity(batches * m * n);
    for (batch, row, column) in
        (0..batches).flat_map(|i| (0..m).flat_map(move |j| (0..n).map(move |l| (i, j, l))))
    {
        let left = &a[(batch * m + row) * k..][..k];
        let right = &b[(batch * n + column) * k..][..k];
        words.push(scalar::reduce::dot(left, right).to_bits());
    }
    words
}

/// The index of the largest element.
#[expect(clippy::expect_used, reason = "inference refuses empty rows")]
fn argmax(row: &[f32]) -> u32 {
    scalar::reduce::argmax(row).expect("invariant: a row of `argmax` is not empty") as u32
}

fn dim_from_end(x: &Tensor, back: usize) -> usize {
    x.shape().dims()[x.shape().rank() - back]
}

/// `id` as an index below `count`.
fn in_range(id: u32, count: usize) -> Option<usize> {
    let index = id as usize;
    (index < count).then_some(index)
}

fn gather_rows(table: &Tensor, ids: &Tensor) -> Vec<u32> {
    let (rows, width) = (table.shape().rows(), table.shape().last());
    let zeros = vec![0; width];
    let row = |&id: &u32| {
        in_range(id, rows).map_or(&zeros[..], |row| &table.words()[row * width..][..width])
    };
    ids.words().iter().flat_map(row).copied().collect()
}

fn one_hot(ids: &Tensor, classes: usize) -> Vec<u32> {
    let mut words = vec![0; ids.words().len() * classes];
    for (row, &id) in ids.words().iter().enumerate() {
        if let Some(class) = in_range(id, classes) {
            words[row * classes + class] = 1.0f32.to_bits();
        }
    }
    words
}

fn take_along_last(x: &Tensor, ids: &Tensor) -> Vec<u32> {
    let (length, picks) = (x.shape().last(), ids.shape().last());
    let pick = |(place, &id): (usize, &u32)| match in_range(id, length) {
        Some(index) => x.words()[place / picks * length + index],
        None => 0,
    };
    ids.words().iter().enumerate().map(pick).collect()
}

fn update_rows(base: &Tensor, rows: &Tensor, at: &Tensor) -> Vec<u32> {
    let mut words = base.words().to_vec();
    let (height, count, width) = (
        dim_from_end(base, 2),
        dim_from_end(rows, 2),
        base.shape().last(),
    );
    for (batch, &start) in at.words().iter().enumerate() {
        for row in 0..count {
            let target = i64::from(start as i32) + row as i64;
            if (0..height as i64).contains(&target) {
                let to = (batch * height + target as usize) * width;
                let from = (batch * count + row) * width;
                words[to..to + width].copy_from_slice(&rows.words()[from..from + width]);
            }
        }
    }
    words
}

fn philox_uniform(key: &Tensor, counter: &Tensor, lanes: usize) -> Vec<u32> {
    let key = [key.words()[0], key.words()[1]];
    let rows = counter
        .words()
        .chunks_exact(3)
        .map(|row| [row[0], row[1], row[2]]);
    let element = |(row, lane): ([u32; 3], u32)| random::uniform_at(key, row, lane).to_bits();
    rows.flat_map(|row| (0..lanes as u32).map(move |lane| (row, lane)))
        .map(element)
        .collect()
}
