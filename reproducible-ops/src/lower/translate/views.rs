//! Shapes: reshape, permute, slices, concatenation and lookups along an axis.

use burn_ir::{CatOpIr, GatherOpIr, RepeatDimOpIr, SelectOpIr, SliceAssignOpIr, SliceOpIr};

use super::{Fault, Translated, Translator, Value, dims};
use crate::program::{Operator, ValueId};

const STEP: &str = "slices with a step other than 1 are not views; reshape and slice instead";

/// Views along one axis.
impl Translator {
    /// Swaps two axes.
    pub(super) fn swap(&mut self, x: ValueId, a: usize, b: usize) -> Value {
        let mut axes: Vec<usize> = (0..self.shape_of(x).len()).collect();
        axes.swap(a, b);
        Ok(self.builder.permute(x, &axes)?)
    }

    /// Swaps an axis with the last one; doing it twice gives the operand back.
    pub(super) fn swap_last(&mut self, x: ValueId, axis: usize) -> Value {
        let last = self.shape_of(x).len() - 1;
        self.swap(x, axis, last)
    }

    fn narrow(&mut self, x: ValueId, axis: usize, start: usize, end: usize) -> Value {
        let mut ends = self.shape_of(x);
        let mut starts = vec![0; ends.len()];
        (starts[axis], ends[axis]) = (start, end);
        self.cut(x, starts, ends)
    }

    fn cut(&mut self, x: ValueId, starts: Vec<usize>, ends: Vec<usize>) -> Value {
        let whole = starts.iter().all(|&start| start == 0) && ends == self.shape_of(x);
        if whole {
            return Ok(x);
        }
        self.unary(Operator::Slice { starts, ends }, x)
    }

    /// Concatenation without empty parts.
    fn concat(&mut self, parts: &[ValueId], axis: usize) -> Value {
        let full = |part: &&ValueId| self.builder.shape_of(**part).dims()[axis] != 0;
        let kept: Vec<ValueId> = parts.iter().filter(full).copied().collect();
        match (kept.as_slice(), parts) {
            ([one], _) | ([], [one, ..]) => Ok(*one),
            _ => Ok(self.builder.push(Operator::Concat { axis }, &kept)?),
        }
    }
}

/// First and one-past-last index per axis; axes without a slice are whole.
fn bounds(
    slices: &[burn::tensor::Slice],
    shape: &[usize],
) -> Result<(Vec<usize>, Vec<usize>), Fault> {
    let mut bounds = (vec![0; shape.len()], shape.to_vec());
    for (axis, slice) in slices.iter().enumerate().take(shape.len()) {
        if slice.step != 1 {
            return Err(Fault::Unsupported(STEP));
        }
        let range = slice.to_range(shape[axis]);
        let end = range.end.min(shape[axis]);
        (bounds.0[axis], bounds.1[axis]) = (range.start.min(end), end);
    }
    Ok(bounds)
}

impl Translator {
    pub(super) fn slice(&mut self, op: &SliceOpIr) -> Translated {
        let x = self.get(&op.tensor)?;
        let (starts, ends) = bounds(&op.ranges, &dims(&op.tensor))?;
        let value = self.cut(x, starts, ends)?;
        self.set(&op.out, value)
    }

    pub(super) fn slice_assign(&mut self, op: &SliceAssignOpIr) -> Translated {
        let (base, part) = (self.get(&op.tensor)?, self.get(&op.value)?);
        let (starts, ends) = bounds(&op.ranges, &dims(&op.tensor))?;
        let value = self.replace(base, part, &starts, &ends, 0)?;
        self.set(&op.out, value)
    }

    /// `base` with the given box replaced: along each axis, what is before, the replaced middle,
    /// what is after.
    fn replace(
        &mut self,
        base: ValueId,
        part: ValueId,
        starts: &[usize],
        ends: &[usize],
        axis: usize,
    ) -> Value {
        let Some(&length) = self.shape_of(base).get(axis) else {
            return Ok(part);
        };
        let before = self.narrow(base, axis, 0, starts[axis])?;
        let middle = self.narrow(base, axis, starts[axis], ends[axis])?;
        let middle = self.replace(middle, part, starts, ends, axis + 1)?;
        let after = self.narrow(base, axis, ends[axis], length)?;
        self.concat(&[before, middle, after], axis)
    }

    pub(super) fn cat(&mut self, op: &CatOpIr) -> Translated {
        let parts = op
            .tensors
            .iter()
            .map(|part| self.get(part))
            .collect::<Result<Vec<_>, _>>()?;
        let value = self.concat(&parts, op.dim)?;
        self.set(&op.out, value)
    }

    /// `[…, n, …]` as `[…, 1, n, …]`, repeated, and flattened again.
    pub(super) fn repeat(&mut self, op: &RepeatDimOpIr) -> Translated {
        let x = self.get(&op.tensor)?;
        let mut shape = dims(&op.tensor);
        shape.insert(op.dim, 1);
        let x = self.builder.reshape(x, shape.clone())?;
        shape[op.dim] = op.times;
        let x = self.builder.expand(x, shape)?;
        let value = self.builder.reshape(x, dims(&op.out))?;
        self.set(&op.out, value)
    }

    /// Rows of the operand with `dim` first: a table of `[R, rest]`.
    pub(super) fn select(&mut self, op: &SelectOpIr) -> Translated {
        let (x, ids) = (self.get(&op.tensor)?, self.get(&op.indices)?);
        let table = self.swap(x, 0, op.dim)?;
        let mut shape = self.shape_of(table);
        let width = shape[1..].iter().product();
        let table = self.builder.reshape(table, [shape[0], width])?;
        let rows = self.binary(Operator::GatherRows, table, ids)?;
        shape[0] = self.shape_of(rows)[0];
        let rows = self.builder.reshape(rows, shape)?;
        let value = self.swap(rows, 0, op.dim)?;
        self.set(&op.out, value)
    }

    pub(super) fn gather(&mut self, op: &GatherOpIr) -> Translated {
        let (x, ids) = (self.get(&op.tensor)?, self.get(&op.indices)?);
        // Burn reads only the leading part of the other axes where the indices are shorter.
        let mut ends = dims(&op.indices);
        ends[op.dim] = dims(&op.tensor)[op.dim];
        let x = self.cut(x, vec![0; ends.len()], ends)?;
        let (x, ids) = (self.swap_last(x, op.dim)?, self.swap_last(ids, op.dim)?);
        let taken = self.binary(Operator::TakeAlongLast, x, ids)?;
        let value = self.swap_last(taken, op.dim)?;
        self.set(&op.out, value)
    }

    /// Values of `fill` around the operand.
    pub(super) fn surround(
        &mut self,
        op: &burn_ir::PadOpIr,
        fill: burn_ir::ScalarIr,
    ) -> Translated {
        let mut x = self.get(&op.input)?;
        for (axis, &(before, after)) in op.padding.iter().enumerate() {
            let mut shape = self.shape_of(x);
            let dtype = self.dtype_of(x);
            shape[axis] = before;
            let head = self.full(fill, dtype, shape.clone())?;
            shape[axis] = after;
            let tail = self.full(fill, dtype, shape)?;
            x = self.concat(&[head, x, tail], axis)?;
        }
        self.set(&op.out, x)
    }

    /// Zeros around the operand.
    pub(super) fn pad(&mut self, op: &burn_ir::PadOpIr) -> Translated {
        let x = self.get(&op.input)?;
        let (before, after) = op.padding.iter().copied().unzip();
        let value = self.unary(Operator::Pad { before, after }, x)?;
        self.set(&op.out, value)
    }
}
