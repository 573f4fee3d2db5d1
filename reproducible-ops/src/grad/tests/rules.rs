//! Every rule by itself, with a random gradient arriving from above.

use super::super::*;
use super::differences::check;
use crate::program::{Built, Comparison, Elementwise, Operator, Role, Shape};
use crate::random::Stream;

/// Inputs of the given shapes with values in `(low, low + 2)`, an operator under test, and a loss
/// that weighs every element of its result differently.
struct Case {
    b: Builder,
    values: Vec<Vec<f64>>,
    stream: Stream,
}

impl Case {
    fn new() -> Self {
        Self {
            b: Builder::new(),
            values: Vec::new(),
            stream: Stream::from_seed("gradient rules", 1),
        }
    }

    fn float(&mut self, dims: &[usize], low: f64) -> ValueId {
        let count = dims.iter().product();
        self.values.push(
            (0..count)
                .map(|_| low + 2.0 * f64::from(self.stream.uniform()))
                .collect(),
        );
        let name = format!("x{}", self.values.len());
        self.b.input(name, TensorType::f32(dims), Role::Data)
    }

    fn ids(&mut self, dims: &[usize], ids: &[i32]) -> ValueId {
        self.values
            .push(ids.iter().map(|&id| f64::from(id)).collect());
        let name = format!("x{}", self.values.len());
        self.b.input(name, TensorType::i32(dims), Role::Data)
    }

    fn check(mut self, result: Built) {
        let result = result.unwrap();
        let dims = self.b.shape_of(result).dims().to_vec();
        let weights = self.float(&dims, -1.0);
        let weighted = self.b.mul(result, weights).unwrap();
        let loss = self.b.sum_all(weighted).unwrap();
        self.b.output("loss", loss);
        let program = self.b.finish();
        check(
            &program,
            program.output_named("loss").unwrap(),
            &self.values,
        );
    }
}

/// Every row of the operator table between floats; what else is elementwise has no derivative.
#[test]
fn elementwise() {
    let floats = |row: &&Elementwise| {
        row.result() == DType::F32 && row.operands().iter().all(|&dtype| dtype == DType::F32)
    };
    for row in Elementwise::ALL.iter().filter(floats) {
        let mut case = Case::new();
        let low = oracle::least_operand(&row.operator());
        let operands: Vec<ValueId> = row
            .operands()
            .iter()
            .map(|_| case.float(&[3, 5], low))
            .collect();
        let y = case.b.push(row.operator(), &operands);
        case.check(y);
    }
}

#[test]
fn reductions() {
    for operator in [Operator::Sum, Operator::ReduceMax] {
        let mut case = Case::new();
        let x = case.float(&[3, 5], -1.0);
        let y = case.b.push(operator, &[x]);
        case.check(y);
    }
}

#[test]
fn select_and_square() {
    let mut case = Case::new();
    let (x, y, z) = (
        case.float(&[7], -1.0),
        case.float(&[7], -1.0),
        case.float(&[7], -1.0),
    );
    let less = case.b.compare(Comparison::Less, x, y).unwrap();
    let square = case.b.mul(y, y).unwrap();
    let chosen = case.b.select(less, square, z);
    case.check(chosen);
}

#[test]
fn matmul_nt() {
    for (a, b) in [
        (&[3, 4][..], &[5, 4][..]),
        (&[2, 2, 3, 4], &[2, 2, 1, 4]),
        (&[1, 1], &[6, 1]),
    ] {
        let mut case = Case::new();
        let (x, y) = (case.float(a, -1.0), case.float(b, -1.0));
        let product = case.b.matmul_nt(x, y);
        case.check(product);
    }
    let mut case = Case::new();
    let x = case.float(&[3, 4], -1.0);
    let gram = case.b.matmul_nt(x, x);
    case.check(gram);
}

#[test]
fn movement() {
    use Operator::*;
    let operators = [
        Reshape(Shape::new([4, 6])),
        Permute(vec![2, 0, 1]),
        Slice {
            starts: vec![0, 1, 2],
            ends: vec![1, 3, 4],
        },
        Pad {
            before: vec![1, 0, 2],
            after: vec![0, 3, 0],
        },
    ];
    for operator in operators {
        let mut case = Case::new();
        let x = case.float(&[2, 3, 4], -1.0);
        let y = case.b.push(operator, &[x]);
        case.check(y);
    }
}

#[test]
fn expand() {
    let cases: [(&[usize], &[usize]); 8] = [
        (&[1, 1, 4], &[2, 3, 4]),
        (&[2, 1, 4], &[2, 3, 4]),
        (&[2, 3, 1], &[2, 3, 4]),
        (&[1, 3, 1], &[2, 3, 4]),
        (&[1, 1, 1], &[2, 3, 4]),
        (&[1, 1, 2], &[1, 5, 2]),
        (&[2, 1, 3, 1, 2], &[2, 2, 3, 3, 2]),
        (&[2, 3], &[2, 3]),
    ];
    for (from, to) in cases {
        let mut case = Case::new();
        let x = case.float(from, -1.0);
        let y = case.b.push(Operator::Expand(Shape::from(to)), &[x]);
        case.check(y);
    }
}

#[test]
fn concat_of_a_value_with_itself_and_others() {
    let mut case = Case::new();
    let (x, y) = (case.float(&[2, 1, 3], -1.0), case.float(&[2, 4, 3], -1.0));
    let joined = case.b.push(Operator::Concat { axis: 1 }, &[x, y, x]);
    case.check(joined);
}

#[test]
fn gather_rows_sums_repeated_and_skips_missing_ids() {
    let mut case = Case::new();
    let (table, ids) = (
        case.float(&[4, 3], -1.0),
        case.ids(&[2, 3], &[1, 3, 1, -1, 4, 1]),
    );
    let rows = case.b.push(Operator::GatherRows, &[table, ids]);
    case.check(rows);
}

#[test]
fn take_along_last() {
    for (picks, ids) in [(1, &[2, -1, 5][..]), (3, &[0, 0, 4, 1, 2, 1, 9, 3, 3])] {
        let mut case = Case::new();
        let (x, ids) = (case.float(&[3, 5], -1.0), case.ids(&[3, picks], ids));
        let picked = case.b.push(Operator::TakeAlongLast, &[x, ids]);
        case.check(picked);
    }
}

#[test]
fn an_infinite_gradient_stays_at_the_picked_place() {
    let mut b = Builder::new();
    let x = b.input("x", TensorType::f32([1, 3]), Role::Param);
    let ids = b.input("ids", TensorType::i32([1, 1]), Role::Data);
    let picked = b.push(Operator::TakeAlongLast, &[x, ids]).unwrap();
    let root = b.sqrt(picked).unwrap();
    let loss = b.sum_all(root).unwrap();
    let (extended, found) = gradients(&b.finish(), loss, &[x]).unwrap();
    let inputs = crate::program::tests::random::tensors(&extended, &[vec![0.0; 3], vec![1.0]]);
    let trace = crate::engine::reference::trace(&extended, &inputs).unwrap();
    assert_eq!(
        trace[found[0].index()].as_f32().unwrap(),
        [0.0, f32::INFINITY, 0.0]
    );
}

#[test]
fn update_rows_inside_and_across_the_edges() {
    let mut case = Case::new();
    let (base, rows) = (case.float(&[5, 4, 2], -1.0), case.float(&[5, 2, 2], -1.0));
    let at = case.ids(&[5], &[1, -1, 3, 9, i32::MAX]);
    let updated = case.b.push(Operator::UpdateRows, &[base, rows, at]);
    case.check(updated);
}

#[test]
fn update_rows_without_batch() {
    let mut case = Case::new();
    let (base, rows, at) = (
        case.float(&[4, 2], -1.0),
        case.float(&[1, 2], -1.0),
        case.ids(&[], &[2]),
    );
    let updated = case.b.push(Operator::UpdateRows, &[base, rows, at]);
    case.check(updated);
}

#[test]
fn patterns() {
    for pattern in [
        Builder::softmax,
        Builder::log_softmax,
        Builder::sigmoid,
        Builder::silu,
    ] {
        let mut case = Case::new();
        let x = case.float(&[2, 3, 5], -1.0);
        let y = pattern(&mut case.b, x);
        case.check(y);
    }
}

#[test]
fn softmax_whose_parts_are_read_elsewhere() {
    let mut case = Case::new();
    let x = case.float(&[3, 5], -1.0);
    let b = &mut case.b;
    let (probabilities, log) = (b.softmax(x).unwrap(), b.log_softmax(x).unwrap());
    let max = b.reduce_max(x).unwrap();
    let max = b.expand(max, [3, 5]).unwrap();
    let entropy = b.mul(probabilities, log).unwrap();
    let all = b.mul(entropy, max);
    case.check(all);
}

#[test]
fn rms_norm() {
    let mut case = Case::new();
    let (x, gain) = (case.float(&[4, 6], -1.0), case.float(&[6], 0.0));
    let b = &mut case.b;
    let square = b.mul(x, x).unwrap();
    let sum = b.sum(square).unwrap();
    let six = b.full(6.0, [4, 1]).unwrap();
    let epsilon = b.full(1e-5, [4, 1]).unwrap();
    let mean = b.div(sum, six).unwrap();
    let mean = b.add(mean, epsilon).unwrap();
    let root = b.sqrt(mean).unwrap();
    let root = b.expand(root, [4, 6]).unwrap();
    let normal = b.div(x, root).unwrap();
    let gain = b.broadcast(gain, [4, 6]).unwrap();
    let y = b.mul(normal, gain);
    case.check(y);
}

#[test]
fn ties_go_to_the_first() {
    let tied = |operator: Operator| {
        let mut b = Builder::new();
        let x = b.input("x", TensorType::f32([2]), Role::Param);
        let y = b.input("y", TensorType::f32([2]), Role::Param);
        let best = b.push(operator, &[x, y]).unwrap();
        let loss = b.sum_all(best).unwrap();
        let (extended, found) = gradients(&b.finish(), loss, &[x, y]).unwrap();
        let values = oracle::evaluate(&extended, &[vec![1.0, 2.0], vec![1.0, 3.0]]);
        found
            .iter()
            .map(|id| values[id.index()].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(tied(Operator::Max), [[1.0, 0.0], [0.0, 1.0]]);
    assert_eq!(tied(Operator::Min), [[1.0, 1.0], [0.0, 0.0]]);
}

#[test]
fn the_first_largest_element_gets_the_gradient() {
    let mut b = Builder::new();
    let x = b.input("x", TensorType::f32([4]), Role::Param);
    let max = b.reduce_max(x).unwrap();
    let (extended, found) = gradients(&b.finish(), max, &[x]).unwrap();
    let values = oracle::evaluate(&extended, &[vec![1.0, 3.0, 3.0, -3.0]]);
    assert_eq!(values[found[0].index()], [0.0, 1.0, 0.0, 0.0]);
}
