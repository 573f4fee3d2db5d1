//! What a plan consists of: where values are found, and the steps that compute them.
//!
//! Steps name *base* values, those with a buffer of their own; what they read of them is said by a
//! [`Layout`].

use crate::program::ValueId;

use super::layout::Layout;
use super::rows::RowKernel;

/// Where a value's elements are found.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// The same word everywhere; there is no buffer.
    Splat(u32),
    /// In the buffer of value `base`.
    View {
        /// The value that owns the buffer.
        base: ValueId,
        /// Where in the buffer its elements lie.
        layout: Layout,
    },
}

/// Number of a buffer in a session's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BufferId(pub usize);

/// A kernel invocation.
#[derive(Debug)]
pub(super) enum Step {
    /// A fused kernel over rows.
    Rows(RowKernel),
    /// See [`Matmul`].
    Matmul(Matmul),
    /// See [`Gather`].
    Gather(Gather),
    /// See [`TakeMany`].
    TakeMany(TakeMany),
    /// See [`Paste`].
    Paste(Paste),
    /// See [`UpdateRows`].
    UpdateRows(UpdateRows),
    /// See [`Philox`].
    Philox(Philox),
}

/// A batch of products `A · Bᵀ` of one shape.
#[derive(Debug)]
pub(super) struct Matmul {
    /// Rows of A and C.
    pub m: usize,
    /// Rows of B, columns of C.
    pub n: usize,
    /// Columns of A and B.
    pub k: usize,
    /// Where A lies.
    pub a: MatmulOperand,
    /// Where B lies.
    pub b: MatmulOperand,
    /// Elements from one row of C to the next.
    pub c_row_stride: usize,
    /// Start of each matrix in A, B and C.
    pub batches: Vec<Starts>,
    /// Whether B is one weight that many runs share, so that its packed form is worth keeping.
    pub keep_packed: bool,
    /// What is computed.
    pub value: ValueId,
}

/// Strides of one operand of a product.
#[derive(Debug)]
pub(super) struct MatmulOperand {
    /// The value that owns the buffer.
    pub base: ValueId,
    /// Elements from one row to the next.
    pub row_stride: usize,
    /// Elements from one column to the next.
    pub k_stride: usize,
}

/// Places of the first elements of one product of a batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Starts {
    /// In A.
    pub a: usize,
    /// In B.
    pub b: usize,
    /// In C.
    pub c: usize,
}

/// Rows of a table by their numbers; a number that is no row's gives zeros.
#[derive(Debug)]
pub(super) struct Gather {
    /// The table.
    pub table: ValueId,
    /// Numbers of rows.
    pub ids: ValueId,
    /// Rows of the table.
    pub rows: usize,
    /// Elements of a row.
    pub width: usize,
    /// What is computed.
    pub value: ValueId,
}

/// Several elements of each row of `x` by their numbers.
#[derive(Debug)]
pub(super) struct TakeMany {
    /// What is taken from.
    pub x: ValueId,
    /// Numbers of elements.
    pub ids: ValueId,
    /// Elements of a row.
    pub length: usize,
    /// Elements taken of each row.
    pub picks: usize,
    /// What is computed.
    pub value: ValueId,
}

/// Copies operands to disjoint regions of a value.
#[derive(Debug)]
pub(super) struct Paste {
    /// What is copied where.
    pub operands: Vec<Pasted>,
    /// Whether the regions do not cover the value, so that it is set to zero first.
    pub clear: bool,
    /// What is computed.
    pub value: ValueId,
}

/// One operand of a [`Paste`].
#[derive(Debug)]
pub(super) struct Pasted {
    /// The value that owns the buffer it is read from.
    pub base: ValueId,
    /// Where in that buffer it lies.
    pub from: Layout,
    /// Its region, with the axes of `from`.
    pub to: Layout,
}

/// Overwrites `count` rows of each matrix of `base`, from row `at` of the matrix on.
#[derive(Debug)]
pub(super) struct UpdateRows {
    /// The matrices before.
    pub base: ValueId,
    /// What is written.
    pub rows: ValueId,
    /// First row that is written, by matrix.
    pub at: ValueId,
    /// Rows of a matrix.
    pub height: usize,
    /// Rows to be written.
    pub count: usize,
    /// Elements of a row.
    pub width: usize,
    /// What is computed.
    pub value: ValueId,
}

/// Rows of uniform numbers, each from its counter.
#[derive(Debug)]
pub(super) struct Philox {
    /// The key, two words.
    pub key: ValueId,
    /// Counters, three words for each row.
    pub counter: ValueId,
    /// Numbers of a row.
    pub lanes: usize,
    /// What is computed.
    pub value: ValueId,
}

impl Step {
    /// Base values that the step reads.
    pub fn reads(&self) -> Box<dyn Iterator<Item = ValueId> + '_> {
        match self {
            Self::Rows(kernel) => Box::new(kernel.loads.iter().map(|load| load.base)),
            Self::Matmul(step) => Box::new([step.a.base, step.b.base].into_iter()),
            Self::Gather(step) => Box::new([step.table, step.ids].into_iter()),
            Self::TakeMany(step) => Box::new([step.x, step.ids].into_iter()),
            Self::Paste(step) => Box::new(step.operands.iter().map(|pasted| pasted.base)),
            Self::UpdateRows(step) => Box::new([step.base, step.rows, step.at].into_iter()),
            Self::Philox(step) => Box::new([step.key, step.counter].into_iter()),
        }
    }

    /// Base values that the step computes.
    pub fn writes(&self) -> Box<dyn Iterator<Item = ValueId> + '_> {
        let value = match self {
            Self::Rows(kernel) => return Box::new(kernel.outputs.iter().map(|(id, _)| *id)),
            Self::Matmul(step) => step.value,
            Self::Gather(step) => step.value,
            Self::TakeMany(step) => step.value,
            Self::Paste(step) => step.value,
            Self::UpdateRows(step) => step.value,
            Self::Philox(step) => step.value,
        };
        Box::new(std::iter::once(value))
    }
}
