//! What to multiply: shapes, operands, batches, and the checks that make the kernels safe to run.

use super::driver::{Matrix, Source};
use super::operand::{GemmError, Operand};
use super::packed::PackedB;
use crate::engine::cpu::InstructionSet;

/// Sizes of `C[m, n] = A[m, k] · B[n, k]ᵀ`. Any of them may be zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Rows of A and C.
    pub m: usize,
    /// Rows of B, columns of C.
    pub n: usize,
    /// Length of the reduced axis.
    pub k: usize,
}

/// The right operand.
#[derive(Clone, Copy, Debug)]
pub enum Rhs<'a> {
    /// Read from a tensor, packed on the way if that pays.
    Strided(Operand<'a>),
    /// Packed before; every batch uses the same one and [`Offsets::b`] is not read.
    Packed(&'a PackedB),
}

/// Where one matrix of a batch begins, added to the operands' offsets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offsets {
    /// Floats to add to A's offset.
    pub a: usize,
    /// Floats to add to B's offset.
    pub b: usize,
    /// Position of `c[0][0]` in the output slice.
    pub c: usize,
}

/// A checked multiplication, ready to run any number of times.
#[derive(Clone, Copy, Debug)]
pub struct Gemm<'a> {
    pub(super) isa: InstructionSet,
    pub(super) shape: Shape,
    pub(super) a: Operand<'a>,
    pub(super) b: Rhs<'a>,
    pub(super) batches: &'a [Offsets],
    pub(super) c_row_stride: usize,
    output_len: usize,
}

impl<'a> Gemm<'a> {
    /// One product, written from the start of the output with rows `c_row_stride` apart.
    ///
    /// # Errors
    /// See [`Gemm::batched`].
    pub fn new(
        isa: InstructionSet,
        shape: Shape,
        a: Operand<'a>,
        b: Rhs<'a>,
        c_row_stride: usize,
    ) -> Result<Self, GemmError> {
        const ONE: &[Offsets] = &[Offsets { a: 0, b: 0, c: 0 }];
        Self::batched(isa, shape, a, b, c_row_stride, ONE)
    }

    /// One product of the same shape and strides per entry of `batches`.
    ///
    /// Outputs must be disjoint and ascending: matrices one after the other, or side by side in
    /// wider rows (the heads of an attention layer).
    ///
    /// # Errors
    /// The instruction set is not available, an operand reaches past its slice, a packed operand
    /// does not fit, or outputs overlap.
    pub fn batched(
        isa: InstructionSet,
        shape: Shape,
        a: Operand<'a>,
        b: Rhs<'a>,
        c_row_stride: usize,
        batches: &'a [Offsets],
    ) -> Result<Self, GemmError> {
        isa.require()?;
        check_rhs(isa, shape, &b, batches)?;
        for (batch, offsets) in batches.iter().enumerate() {
            a.view("a", shape.m, shape.k, batch, offsets.a)?;
        }
        let output_len = check_output(shape, c_row_stride, batches)?;
        Ok(Self {
            isa,
            shape,
            a,
            b,
            batches,
            c_row_stride,
            output_len,
        })
    }

    /// Floats that the output slice must have.
    #[must_use]
    pub const fn output_len(&self) -> usize {
        self.output_len
    }

    /// The matrices of one batch, as the driver takes them.
    pub(super) fn matrix(&self, offsets: &Offsets, c: *mut f32) -> Matrix {
        let Shape { m, n, k } = self.shape;
        Matrix {
            a: self.a.from(offsets.a, m, k),
            b: match &self.b {
                Rhs::Strided(operand) => Source::Strided {
                    view: operand.from(offsets.b, n, k),
                    end: operand.data.as_ptr_range().end,
                },
                Rhs::Packed(packed) => packed.source(),
            },
            c: c.wrapping_add(offsets.c),
            c_stride: self.c_row_stride,
            k,
        }
    }
}

fn check_rhs(
    isa: InstructionSet,
    shape: Shape,
    b: &Rhs<'_>,
    batches: &[Offsets],
) -> Result<(), GemmError> {
    match b {
        Rhs::Packed(packed) => check_packed(isa, shape, packed),
        Rhs::Strided(operand) => batches.iter().enumerate().try_for_each(|(batch, offsets)| {
            operand
                .view("b", shape.n, shape.k, batch, offsets.b)
                .map(drop)
        }),
    }
}

fn check_packed(isa: InstructionSet, shape: Shape, packed: &PackedB) -> Result<(), GemmError> {
    let Shape { n, k, .. } = shape;
    let (packed_n, packed_k, packed_isa) = (packed.n(), packed.k(), packed.isa());
    if (packed_n, packed_k, packed_isa) == (n, k, isa) {
        return Ok(());
    }
    Err(GemmError::PackedMismatch {
        packed_n,
        packed_k,
        packed_isa,
        n,
        k,
        isa,
    })
}

/// Checks that outputs are disjoint; returns the length they need.
fn check_output(shape: Shape, stride: usize, batches: &[Offsets]) -> Result<usize, GemmError> {
    let Shape { m, n, .. } = shape;
    let Some(last) = batches.last() else {
        return Ok(0);
    };
    if m == 0 || n == 0 {
        return Ok(0);
    }
    if m > 1 && stride < n {
        return Err(GemmError::RowOverlap { stride, n });
    }
    let too_large = GemmError::TooLarge { operand: "c" };
    let extent = (m - 1)
        .checked_mul(stride)
        .and_then(|rows| rows.checked_add(n))
        .ok_or(too_large.clone())?;
    let output = Output {
        m,
        n,
        stride,
        extent,
    };
    let overlap = batches
        .windows(2)
        .position(|pair| matches!(pair, [x, y] if !output.follows(x.c, y.c)));
    if let Some(index) = overlap {
        return Err(GemmError::BatchOverlap { batch: index + 1 });
    }
    extent.checked_add(last.c).ok_or(too_large)
}

/// The cells that one output matrix covers.
struct Output {
    m: usize,
    n: usize,
    stride: usize,
    /// From the first cell to one past the last.
    extent: usize,
}

impl Output {
    /// Whether the matrix at `after` lies wholly behind the one at `before`, or right of it in the
    /// same wider rows.
    fn follows(&self, before: usize, after: usize) -> bool {
        let past = before
            .checked_add(self.extent)
            .is_some_and(|end| after >= end);
        past || (self.m > 1 && self.is_beside(before, after))
    }

    /// Both matrices keep inside rows of `stride`, and the later one is right of the earlier or in
    /// later rows.
    fn is_beside(&self, before: usize, after: usize) -> bool {
        let cell = |at: usize| (at / self.stride, at % self.stride);
        let ((row, col), (next_row, next_col)) = (cell(before), cell(after));
        let room = self.stride - self.n;
        let right = next_row == row && next_col >= col + self.n;
        let below = next_row >= row.saturating_add(self.m);
        col <= room && next_col <= room && (right || below)
    }
}
