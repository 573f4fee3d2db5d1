//! What to multiply: shapes, strided operands, batches, and the checks that make the kernels safe
//! to run.

use thiserror::Error;

use super::driver::{Matrix, Source};
use super::pack::View;
use super::packed::PackedB;
use crate::engine::cpu::Path;
use crate::engine::cpu::path::PathError;

/// Sizes of `C[m, n] = A[m, k] · B[n, k]ᵀ`. Any of them may be zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Rows of A and C.
    pub m: usize,
    /// Rows of B, columns of C.
    pub n: usize,
    /// Length of the reduced axis.
    pub k: usize,
}

/// A matrix inside a slice: element `(row, k)` is `data[offset + row * row_stride + k * k_stride]`.
///
/// Strides may be anything, zero included, so a transposed, permuted or broadcast tensor needs no
/// copy.
#[derive(Clone, Copy, Debug)]
pub struct Operand<'a> {
    /// The tensor's floats.
    pub data: &'a [f32],
    /// Position of element `(0, 0)`.
    pub offset: usize,
    /// Floats from one row to the next.
    pub row_stride: usize,
    /// Floats from one step of the reduced axis to the next.
    pub k_stride: usize,
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

/// Why a multiplication cannot be run.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum GemmError {
    /// The path does not run on this machine.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A matrix reaches past the end of its slice.
    #[error("operand `{operand}` of batch {batch} needs {needed} floats, its slice has {len}")]
    OutOfBounds {
        /// `a`, `b` or `c`.
        operand: &'static str,
        /// Index of the matrix in the batch.
        batch: usize,
        /// Length that the slice must have.
        needed: usize,
        /// Length that it has.
        len: usize,
    },
    /// A position does not fit into an address.
    #[error("operand `{operand}` is larger than the address space: check sizes and strides")]
    TooLarge {
        /// `a`, `b` or `c`.
        operand: &'static str,
    },
    /// Rows of the output would overwrite each other.
    #[error("the output's row stride is {stride}, but a row has {n} columns")]
    RowOverlap {
        /// The row stride given.
        stride: usize,
        /// Columns of the output.
        n: usize,
    },
    /// Matrices of the output are not in ascending order without overlap.
    #[error(
        "output matrix {batch} does not begin after the one before it: give disjoint outputs in \
         ascending order"
    )]
    BatchOverlap {
        /// Index of the later matrix.
        batch: usize,
    },
    /// The packed operand belongs to another shape or path.
    #[error(
        "the packed operand is {packed_n} x {packed_k} for {packed_path}, the product needs {n} x \
         {k} for {path}: pack it again"
    )]
    PackedMismatch {
        /// Rows of the packed operand.
        packed_n: usize,
        /// Reduced length of the packed operand.
        packed_k: usize,
        /// Path of the packed operand.
        packed_path: Path,
        /// Rows needed.
        n: usize,
        /// Reduced length needed.
        k: usize,
        /// Path of the product.
        path: Path,
    },
    /// There is no scratch to work with.
    #[error("no scratch was given: pass one per part, at least one")]
    NoScratch,
}

/// A checked multiplication, ready to run any number of times.
#[derive(Clone, Copy, Debug)]
pub struct Gemm<'a> {
    pub(super) path: Path,
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
        path: Path,
        shape: Shape,
        a: Operand<'a>,
        b: Rhs<'a>,
        c_row_stride: usize,
    ) -> Result<Self, GemmError> {
        const ONE: &[Offsets] = &[Offsets { a: 0, b: 0, c: 0 }];
        Self::batched(path, shape, a, b, c_row_stride, ONE)
    }

    /// One product of the same shape and strides per entry of `batches`.
    ///
    /// Outputs must be disjoint and ascending: matrices one after the other, or side by side in
    /// wider rows (the heads of an attention layer).
    ///
    /// # Errors
    /// The path is not available, an operand reaches past its slice, a packed operand does not fit,
    /// or outputs overlap.
    pub fn batched(
        path: Path,
        shape: Shape,
        a: Operand<'a>,
        b: Rhs<'a>,
        c_row_stride: usize,
        batches: &'a [Offsets],
    ) -> Result<Self, GemmError> {
        path.require()?;
        check_rhs(path, shape, &b, batches)?;
        for (batch, offsets) in batches.iter().enumerate() {
            a.view("a", shape.m, shape.k, batch, offsets.a)?;
        }
        let output_len = check_output(shape, c_row_stride, batches)?;
        Ok(Self {
            path,
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
                Rhs::Packed(packed) => Source::Packed {
                    start: packed.start(),
                    n,
                },
            },
            c: c.wrapping_add(offsets.c),
            c_stride: self.c_row_stride,
            k,
        }
    }
}

impl Operand<'_> {
    /// The view of `rows` rows of `k` that begins `extra` after the offset, if the slice holds it.
    pub(super) fn view(
        &self,
        operand: &'static str,
        rows: usize,
        k: usize,
        batch: usize,
        extra: usize,
    ) -> Result<View, GemmError> {
        let needed = self
            .needed(rows, k, extra)
            .ok_or(GemmError::TooLarge { operand })?;
        let len = self.data.len();
        if needed > len {
            return Err(GemmError::OutOfBounds {
                operand,
                batch,
                needed,
                len,
            });
        }
        Ok(self.from(extra, rows, k))
    }

    /// Length of the shortest slice that holds the matrix; `None` if it does not fit into an
    /// address.
    fn needed(&self, rows: usize, k: usize, extra: usize) -> Option<usize> {
        if rows == 0 || k == 0 {
            return Some(0);
        }
        let row = (rows - 1).checked_mul(self.row_stride)?;
        let step = (k - 1).checked_mul(self.k_stride)?;
        self.offset
            .checked_add(extra)?
            .checked_add(row)?
            .checked_add(step)?
            .checked_add(1)
    }

    /// The view without checks. The stride of an axis of length one is 1, which lets kernels read
    /// it in place.
    fn from(&self, extra: usize, rows: usize, k: usize) -> View {
        View {
            start: self
                .data
                .as_ptr()
                .wrapping_add(self.offset)
                .wrapping_add(extra),
            row_stride: if rows > 1 { self.row_stride } else { 1 },
            k_stride: if k > 1 { self.k_stride } else { 1 },
        }
    }
}

fn check_rhs(path: Path, shape: Shape, b: &Rhs<'_>, batches: &[Offsets]) -> Result<(), GemmError> {
    match b {
        Rhs::Packed(packed) => check_packed(path, shape, packed),
        Rhs::Strided(operand) => batches.iter().enumerate().try_for_each(|(batch, offsets)| {
            operand
                .view("b", shape.n, shape.k, batch, offsets.b)
                .map(drop)
        }),
    }
}

fn check_packed(path: Path, shape: Shape, packed: &PackedB) -> Result<(), GemmError> {
    let Shape { n, k, .. } = shape;
    let (packed_n, packed_k, packed_path) = (packed.n(), packed.k(), packed.path());
    if (packed_n, packed_k, packed_path) == (n, k, path) {
        return Ok(());
    }
    Err(GemmError::PackedMismatch {
        packed_n,
        packed_k,
        packed_path,
        n,
        k,
        path,
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
