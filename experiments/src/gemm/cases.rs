//! The products that are measured, and their operands.

use reproducible_ops::engine::cpu::gemm::{Offsets, Operand, Shape};

/// A batch of products `C[m, n] = A[m, k] · B[n, k]ᵀ`.
pub struct Case {
    /// Name in tables and in `--only`.
    pub name: &'static str,
    /// Number of products.
    pub batch: usize,
    /// Sizes of each.
    pub shape: Shape,
    /// Whether A's steps of k lie side by side; otherwise its rows do.
    pub a_by_rows: bool,
    /// Whether B's steps of k lie side by side; otherwise its rows do.
    pub b_by_rows: bool,
    /// Whether ours packs B once and keeps it, as a model does with its weights.
    pub weights: bool,
}

const fn case(
    name: &'static str,
    batch: usize,
    sizes: [usize; 3],
    a_by_rows: bool,
    b_by_rows: bool,
) -> Case {
    let [m, n, k] = sizes;
    Case {
        name,
        batch,
        shape: Shape { m, n, k },
        a_by_rows,
        b_by_rows,
        weights: false,
    }
}

const fn weights(case: Case) -> Case {
    Case {
        weights: true,
        ..case
    }
}

/// Squares first, then what a small decoder does in training and in generation.
pub const CASES: &[Case] = &[
    case("256^3", 1, [256, 256, 256], true, false),
    case("512^3", 1, [512, 512, 512], true, false),
    case("1024^3", 1, [1024, 1024, 1024], true, false),
    case("256^3 nt", 1, [256, 256, 256], true, true),
    case("512^3 nt", 1, [512, 512, 512], true, true),
    case("1024^3 nt", 1, [1024, 1024, 1024], true, true),
    case("layer 2000x96x96 nt", 1, [2000, 96, 96], true, true),
    case("layer 2000x256x96 nt", 1, [2000, 256, 96], true, true),
    case("layer 2000x96x256 nt", 1, [2000, 96, 256], true, true),
    case(
        "layer gradient 2000x96x256",
        1,
        [2000, 96, 256],
        true,
        false,
    ),
    case(
        "weight gradient 256x96x2000",
        1,
        [256, 96, 2000],
        false,
        false,
    ),
    case("scores 64 of 100x100x24", 64, [100, 100, 24], true, true),
    case("mixing 64 of 100x24x100", 64, [100, 24, 100], true, false),
    weights(case("decode 1x1024x1024", 1, [1, 1024, 1024], true, true)),
    weights(case("decode 16x1024x1024", 1, [16, 1024, 1024], true, true)),
];

impl Case {
    /// Floating-point operations of one call.
    pub fn flops(&self) -> f64 {
        let Shape { m, n, k } = self.shape;
        2.0 * (self.batch * m * n * k) as f64
    }

    /// Strides of A: from row to row and from step to step.
    pub fn a_strides(&self) -> [usize; 2] {
        strides(self.a_by_rows, self.shape.m, self.shape.k)
    }

    /// Strides of B: from row to row and from step to step.
    pub fn b_strides(&self) -> [usize; 2] {
        strides(self.b_by_rows, self.shape.n, self.shape.k)
    }
}

fn strides(by_rows: bool, rows: usize, k: usize) -> [usize; 2] {
    if by_rows { [k, 1] } else { [1, rows] }
}

/// Operands of one case.
pub struct Data {
    /// Every A, one after the other.
    pub a: Vec<f32>,
    /// Every B, one after the other.
    pub b: Vec<f32>,
    /// Where each product begins.
    pub offsets: Vec<Offsets>,
}

impl Data {
    /// Operands with entries of a size that keeps results near one.
    pub fn new(case: &Case) -> Self {
        let Shape { m, n, k } = case.shape;
        let scale = 1.0 / (k as f32).sqrt();
        let offset = |i| Offsets {
            a: i * m * k,
            b: i * n * k,
            c: i * m * n,
        };
        Self {
            a: values(case.batch * m * k, 1.0, 17),
            b: values(case.batch * n * k, scale, 29),
            offsets: (0..case.batch).map(offset).collect(),
        }
    }
}

/// Numbers in `-scale..scale` without a pattern that matters to speed.
fn values(len: usize, scale: f32, seed: u32) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((state >> 8) as f32 / (1 << 23) as f32 - 1.0) * scale
    };
    (0..len).map(|_| next()).collect()
}

/// A view of all of `data`.
pub fn operand(data: &[f32], [row_stride, k_stride]: [usize; 2]) -> Operand<'_> {
    Operand {
        data,
        offset: 0,
        row_stride,
        k_stride,
    }
}
