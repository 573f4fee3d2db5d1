//! Attention whose heads lie side by side in rows: no copy of a layout is planned, and the bits
//! are those of the reference.

use super::plan::Plan;
use super::step::Step;
use super::tests::{assert_equal, random_tensor};
use crate::program::{Builder, Operator, Program, Role, TensorType, ValueId};
use crate::random::Stream;
use crate::tensor::Tensor;

/// Batch, tokens, heads, width of a head.
#[derive(Clone, Copy)]
struct Sizes([usize; 4]);

impl Sizes {
    /// Rows of all heads as a batch of one matrix per head.
    fn split(self, b: &mut Builder, x: ValueId) -> ValueId {
        let Self([batch, tokens, heads, width]) = self;
        let x = b.reshape(x, [batch, tokens, heads, width]).unwrap();
        permute(b, x, [0, 2, 1, 3])
    }

    /// The heads side by side in rows again.
    fn merged(self, b: &mut Builder, x: ValueId, axes: [usize; 4]) -> ValueId {
        let Self([batch, tokens, heads, width]) = self;
        let x = permute(b, x, axes);
        b.reshape(x, [batch * tokens, heads * width]).unwrap()
    }

    /// A head normed, scores, shares, their mixture of values, and gradients as `grad` makes them.
    fn program(self) -> Program {
        let Self([batch, tokens, heads, width]) = self;
        let mut b = Builder::new();
        let rows = TensorType::f32([batch * tokens, heads * width]);
        let [q, k, v, d] = ["q", "k", "v", "d"]
            .map(|name| b.input(name, rows.clone(), Role::Data))
            .map(|x| self.split(&mut b, x));
        // A norm of each head, computed in the order in which heads lie.
        let square = b.mul(q, q).unwrap();
        let sum = b.sum(square).unwrap();
        let sum = b.broadcast(sum, [batch, heads, tokens, width]).unwrap();
        let q = b.div(q, sum).unwrap();
        let scores = b.matmul_nt(q, k).unwrap();
        let shares = b.softmax(scores).unwrap();
        let values = permute(&mut b, v, [0, 1, 3, 2]);
        let mixed = b.matmul_nt(shares, values).unwrap();
        let out = self.merged(&mut b, mixed, [0, 2, 1, 3]);
        b.output("mixed", out);
        // The gradient by the values: columns of A are the result's.
        let turned = permute(&mut b, d, [0, 1, 3, 2]);
        let weights = permute(&mut b, shares, [0, 1, 3, 2]);
        let by_values = b.matmul_nt(turned, weights).unwrap();
        let out = self.merged(&mut b, by_values, [0, 3, 1, 2]);
        b.output("by_values", out);
        // The gradient by the queries, followed by a chain of the same order.
        let by_shares = b.matmul_nt(d, v).unwrap();
        let keys = permute(&mut b, k, [0, 1, 3, 2]);
        let by_queries = b.matmul_nt(by_shares, keys).unwrap();
        let by_queries = b.mul(by_queries, q).unwrap();
        let chained = b.exp(by_queries).unwrap();
        let out = self.merged(&mut b, chained, [0, 2, 1, 3]);
        b.output("by_queries", out);
        // One value read in both orders.
        let other = b.mul(chained, mixed).unwrap();
        b.output("in order", other);
        let columns = permute(&mut b, other, [0, 1, 3, 2]);
        let total = b.sum(columns).unwrap();
        b.output("columns", total);
        b.finish()
    }
}

fn permute(b: &mut Builder, x: ValueId, axes: [usize; 4]) -> ValueId {
    b.push(Operator::Permute(axes.to_vec()), &[x]).unwrap()
}

const SIZES: [Sizes; 5] = [
    Sizes([2, 5, 3, 4]),
    Sizes([1, 33, 2, 70]),
    Sizes([2, 140, 2, 64]),
    Sizes([3, 1, 2, 8]),
    Sizes([1, 7, 4, 1]),
];

fn finite_tensor(stream: &mut Stream, ty: &TensorType) -> Tensor {
    let values = (0..ty.shape.elements()).map(|_| stream.uniform() - 0.3);
    Tensor::f32(ty.shape.clone(), values.collect()).unwrap()
}

#[test]
fn heads_have_the_bits_of_the_reference() {
    for (seed, sizes) in SIZES.into_iter().enumerate() {
        let program = sizes.program();
        let seed = seed as u64;
        let mut stream = Stream::from_seed("heads", seed);
        // Infinities and NaNs hide what order would show, so the second time without them.
        for draw in [random_tensor, finite_tensor] {
            let inputs: Vec<_> = program
                .inputs()
                .iter()
                .map(|input| draw(&mut stream, &input.ty))
                .collect();
            assert_equal(&program, &inputs, seed);
        }
    }
}

#[test]
fn heads_side_by_side_stay_so() {
    let plan = Plan::new(&Sizes([2, 140, 2, 64]).program());
    let products =
        |step: &&Step| matches!(step, Step::Matmul(product) if product.c_row_stride == 128);
    assert_eq!(
        plan.steps.iter().filter(products).count(),
        3,
        "{:?}",
        plan.steps
    );
}
