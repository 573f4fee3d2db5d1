//! A matrix inside a slice, and why a multiplication refuses its operands.

use thiserror::Error;

use super::pack::View;
use crate::engine::cpu::InstructionSet;
use crate::engine::cpu::instruction_set::InstructionSetError;

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
    pub(super) fn from(&self, extra: usize, rows: usize, k: usize) -> View {
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

/// Why a multiplication cannot be run.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum GemmError {
    /// The instruction set does not run on this machine.
    #[error(transparent)]
    InstructionSet(#[from] InstructionSetError),
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
    /// The packed operand belongs to another shape or instruction set.
    #[error(
        "the packed operand is {packed_n} x {packed_k} for {packed_isa}, the product needs {n} x \
         {k} for {isa}: pack it again"
    )]
    PackedMismatch {
        /// Rows of the packed operand.
        packed_n: usize,
        /// Reduced length of the packed operand.
        packed_k: usize,
        /// Instruction set of the packed operand.
        packed_isa: InstructionSet,
        /// Rows needed.
        n: usize,
        /// Reduced length needed.
        k: usize,
        /// Instruction set of the product.
        isa: InstructionSet,
    },
    /// There is no scratch to work with.
    #[error("no scratch was given: pass one per part, at least one")]
    NoScratch,
}
