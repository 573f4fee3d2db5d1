//! Random applications of every operator, by its name in the operator table: the tests of `element`
//! and of its twin on a chain draw from here.

use reproducible_ops::conformance::edge_words;
use reproducible_ops::program::{DType, Elementwise, Node, Operator, Shape, TensorType, ValueId};
use reproducible_ops::random::Stream;
use reproducible_ops::tensor::Tensor;

/// A node and its operands.
pub struct Case {
    pub node: Node,
    pub operands: Vec<Tensor>,
}

/// Lengths of rows: around the ends of tiles, and many short ones.
const WIDTHS: [usize; 14] = [1, 2, 3, 5, 15, 16, 17, 64, 255, 256, 257, 300, 512, 513];
/// Lengths of other axes.
const LENGTHS: [usize; 6] = [1, 1, 2, 3, 4, 5];
/// Lengths over which is reduced; the last have more blocks than one chain joins.
const REDUCED: [usize; 12] = [0, 1, 2, 16, 17, 200, 255, 256, 257, 511, 1_000, 1_300];
/// More than 256 blocks.
pub const LONG: usize = 65_536 + 300;

/// How often a float is not an ordinary number, in 1,000: so that a sum is now and then neither NaN
/// nor infinite.
const WILD: [u32; 4] = [0, 2, 500, 1_000];

impl Case {
    /// The node that applies an operator to these operands.
    pub fn new(operator: Operator, operands: Vec<Tensor>) -> Self {
        let types: Vec<&TensorType> = operands.iter().map(Tensor::ty).collect();
        let ty = operator.infer(&types).unwrap();
        let inputs = (0..operands.len() as u32).map(ValueId).collect();
        let node = Node {
            operator,
            inputs,
            ty,
        };
        Self { node, operands }
    }

    /// A case of a row of the elementwise table.
    pub fn elementwise(stream: &mut Stream, row: Elementwise) -> Self {
        let shape = shape(stream, 3);
        let operands = row.operands().iter();
        let operands = operands.map(|&dtype| tensor(stream, dtype, &shape));
        Self::new(row.operator(), operands.collect())
    }

    /// A case of an operator on whole tensors; none where this knows no operator of the name.
    pub fn tensor(stream: &mut Stream, name: &str) -> Option<Self> {
        Some(match name {
            "full" => full(stream),
            "iota" => iota(stream),
            "matmul_nt" => {
                let length = pick(stream, &REDUCED);
                product(stream, length)
            }
            "sum" => reduction(stream, Operator::Sum, 0),
            "reduce_max" => reduction(stream, Operator::ReduceMax, 0),
            "argmax" => reduction(stream, Operator::Argmax, 1),
            "reshape" => reshape(stream),
            "permute" => permute(stream),
            "expand" => expand(stream),
            "slice" => slice(stream),
            "concat" => concat(stream),
            "pad" => pad(stream),
            "gather_rows" => gather_rows(stream),
            "one_hot" => one_hot(stream),
            "take_along_last" => take_along_last(stream),
            "update_rows" => update_rows(stream),
            "philox_uniform" => philox_uniform(stream),
            _ => return None,
        })
    }
}

/// A reduction of a few rows of this length.
pub fn reduction_of(stream: &mut Stream, operator: Operator, length: usize) -> Case {
    let shape = [shape(stream, 2), vec![length]].concat();
    let x = tensor(stream, DType::F32, &shape);
    Case::new(operator, vec![x])
}

fn reduction(stream: &mut Stream, operator: Operator, least: usize) -> Case {
    let length = pick(stream, &REDUCED).max(least);
    reduction_of(stream, operator, length)
}

/// A matrix product over this length.
pub fn product(stream: &mut Stream, length: usize) -> Case {
    let batch = outer(stream, 1);
    let [a, b] = [0; 2].map(|_| {
        let rows = pick(stream, &LENGTHS);
        let shape = [&batch[..], &[rows, length]].concat();
        tensor(stream, DType::F32, &shape)
    });
    Case::new(Operator::MatmulNt, vec![a, b])
}

fn full(stream: &mut Stream) -> Case {
    let dtype = dtype(stream);
    let bits = match dtype {
        DType::F32 => pick(stream, edge_words(dtype)),
        DType::I32 => stream.next_u32(),
        DType::Bool => stream.next_u32() & 1,
    };
    let shape = Shape::new(shape(stream, 3));
    Case::new(Operator::Full { dtype, bits, shape }, Vec::new())
}

fn iota(stream: &mut Stream) -> Case {
    let shape = at_least_one_axis(stream);
    let axis = stream.index(shape.len());
    let shape = Shape::new(shape);
    Case::new(Operator::Iota { shape, axis }, Vec::new())
}

fn reshape(stream: &mut Stream) -> Case {
    let dims = shape(stream, 3);
    let x = any(stream, &dims);
    let elements = dims.iter().product::<usize>();
    let divisors: Vec<usize> = (1..=elements).filter(|n| elements % n == 0).collect();
    let rows = pick(stream, &divisors);
    let shape = Shape::new([rows, 1, elements / rows]);
    Case::new(Operator::Reshape(shape), vec![x])
}

fn permute(stream: &mut Stream) -> Case {
    let dims = shape(stream, 4);
    let mut axes: Vec<usize> = (0..dims.len()).collect();
    stream.shuffle(&mut axes);
    Case::new(Operator::Permute(axes), vec![any(stream, &dims)])
}

fn expand(stream: &mut Stream) -> Case {
    let wide = shape(stream, 4);
    let mut narrow = wide.clone();
    for length in &mut narrow {
        if stream.chance(0.5) {
            *length = 1;
        }
    }
    let x = any(stream, &narrow);
    Case::new(Operator::Expand(Shape::new(wide)), vec![x])
}

fn slice(stream: &mut Stream) -> Case {
    let dims = shape(stream, 4);
    let starts: Vec<usize> = dims.iter().map(|&length| stream.index(length)).collect();
    let pairs = dims.iter().zip(&starts);
    let ends = pairs.map(|(length, start)| start + 1 + stream.index(length - start));
    let ends = ends.collect();
    let x = any(stream, &dims);
    Case::new(Operator::Slice { starts, ends }, vec![x])
}

fn concat(stream: &mut Stream) -> Case {
    let dims = at_least_one_axis(stream);
    let axis = stream.index(dims.len());
    let dtype = dtype(stream);
    let parts = 1 + stream.index(5);
    let operands = (0..parts).map(|_| {
        let mut own = dims.clone();
        own[axis] = stream.index(dims[axis] + 2);
        tensor(stream, dtype, &own)
    });
    let operands = operands.collect();
    Case::new(Operator::Concat { axis }, operands)
}

fn pad(stream: &mut Stream) -> Case {
    let dims = shape(stream, 4);
    let [before, after] = [0; 2].map(|_| dims.iter().map(|_| stream.index(3)).collect());
    let x = any(stream, &dims);
    Case::new(Operator::Pad { before, after }, vec![x])
}

fn gather_rows(stream: &mut Stream) -> Case {
    let (rows, width) = (stream.index(8), pick(stream, &WIDTHS));
    let table = any(stream, &[rows, width]);
    let shape = shape(stream, 2);
    let ids = ids(stream, &shape, rows);
    Case::new(Operator::GatherRows, vec![table, ids])
}

fn one_hot(stream: &mut Stream) -> Case {
    let classes = pick(stream, &WIDTHS);
    let shape = shape(stream, 2);
    let ids = ids(stream, &shape, classes);
    Case::new(Operator::OneHot { classes }, vec![ids])
}

fn take_along_last(stream: &mut Stream) -> Case {
    let outer = outer(stream, 2);
    let (width, picks) = (pick(stream, &WIDTHS), pick(stream, &WIDTHS));
    let x = any(stream, &[&outer[..], &[width]].concat());
    let ids = ids(stream, &[&outer[..], &[picks]].concat(), width);
    Case::new(Operator::TakeAlongLast, vec![x, ids])
}

fn update_rows(stream: &mut Stream) -> Case {
    let (batch, width) = (outer(stream, 2), pick(stream, &WIDTHS));
    let (height, count) = (1 + stream.index(7), stream.index(5));
    let dtype = dtype(stream);
    let [base, rows] = [height, count].map(|rows| {
        let shape = [&batch[..], &[rows, width]].concat();
        tensor(stream, dtype, &shape)
    });
    let starts = ids(stream, &batch, height);
    Case::new(Operator::UpdateRows, vec![base, rows, starts])
}

fn philox_uniform(stream: &mut Stream) -> Case {
    let (lanes, rows) = (pick(stream, &WIDTHS), 1 + stream.index(5));
    let mut words = |shape: &[usize]| {
        let ty = TensorType::i32(shape);
        let words = (0..ty.shape.elements()).map(|_| stream.next_u32());
        Tensor::from_words(ty.clone(), words.collect()).unwrap()
    };
    let (key, counter) = (words(&[2]), words(&[rows, 3]));
    Case::new(Operator::PhiloxUniform { lanes }, vec![key, counter])
}

// ---- shapes and words

fn pick<T: Copy>(stream: &mut Stream, items: &[T]) -> T {
    items[stream.index(items.len())]
}

fn dtype(stream: &mut Stream) -> DType {
    pick(stream, &[DType::F32, DType::I32, DType::Bool])
}

/// Up to `most` axes before the last.
fn outer(stream: &mut Stream, most: usize) -> Vec<usize> {
    let axes = stream.index(most + 1);
    (0..axes).map(|_| pick(stream, &LENGTHS)).collect()
}

/// Up to `most` axes; now and then none.
fn shape(stream: &mut Stream, most: usize) -> Vec<usize> {
    let mut dims = outer(stream, most);
    if let Some(last) = dims.last_mut() {
        *last = pick(stream, &WIDTHS);
    }
    dims
}

fn at_least_one_axis(stream: &mut Stream) -> Vec<usize> {
    [outer(stream, 2), vec![pick(stream, &WIDTHS)]].concat()
}

/// A tensor of any type.
fn any(stream: &mut Stream, shape: &[usize]) -> Tensor {
    let dtype = dtype(stream);
    tensor(stream, dtype, shape)
}

/// A tensor of this type; its words may be any, also those that no engine makes.
pub fn tensor(stream: &mut Stream, dtype: DType, shape: &[usize]) -> Tensor {
    let ty = TensorType::new(dtype, shape);
    let wild = pick(stream, &WILD);
    let words = (0..ty.shape.elements()).map(|_| match dtype {
        DType::F32 => float(stream, wild),
        DType::I32 => integer(stream),
        DType::Bool => match stream.index(50) {
            0 => stream.next_u32(),
            _ => stream.next_u32() & 1,
        },
    });
    let words = words.collect();
    Tensor::from_words(ty, words).unwrap()
}

/// Ids of which most are below `count`.
fn ids(stream: &mut Stream, shape: &[usize], count: usize) -> Tensor {
    let ty = TensorType::i32(shape);
    let words = (0..ty.shape.elements()).map(|_| match stream.index(8) {
        0 => integer(stream),
        _ => stream.range(-2, count as i64 + 1) as u32,
    });
    let words = words.collect();
    Tensor::from_words(ty, words).unwrap()
}

fn integer(stream: &mut Stream) -> u32 {
    match stream.index(3) {
        0 => pick(stream, edge_words(DType::I32)),
        1 => stream.next_u32(),
        _ => stream.range(-9, 9) as u32,
    }
}

fn float(stream: &mut Stream, wild: u32) -> u32 {
    if stream.next_u32() % 1_000 >= wild {
        let scale = f32::from_bits((119 + stream.next_u32() % 16) << 23);
        return ((stream.uniform() - 0.5) * 8.0 * scale).to_bits();
    }
    match stream.index(4) {
        0 => stream.next_u32(),
        // Products of these underflow, and some are subnormal themselves.
        1 => stream.next_u32() & 0x807f_ffff | (stream.next_u32() % 96) << 23,
        _ => pick(stream, edge_words(DType::F32)),
    }
}
