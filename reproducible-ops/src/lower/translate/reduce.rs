//! Reductions: the reduced axes go last, become one, and the result goes back to Burn's shape.

use burn_ir::{ScalarIr, TensorIr};

use super::{Translated, Translator, Value, dims};
use crate::program::{DType, Operator, ValueId};

/// What is computed over the last axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reduction {
    Sum,
    Mean,
    Max,
    Min,
    MaxAbs,
    ArgMax,
    ArgMin,
}

impl Translator {
    /// Over some axes, which keep length 1 in Burn's result.
    pub(super) fn reduce(
        &mut self,
        input: &TensorIr,
        out: &TensorIr,
        axes: &[usize],
        reduction: Reduction,
    ) -> Translated {
        let x = self.get(input)?;
        let rows = self.rows_of(x, axes)?;
        let value = self.over_last(rows, reduction)?;
        let value = self.builder.reshape(value, dims(out))?;
        self.set(out, value)
    }

    /// Over all elements; sums take the last axis first, as [`crate::program::Builder::sum_all`]
    /// does.
    pub(super) fn reduce_all(
        &mut self,
        input: &TensorIr,
        out: &TensorIr,
        reduction: Reduction,
    ) -> Translated {
        let x = self.get(input)?;
        let count = self.builder.shape_of(x).elements();
        let value = match reduction {
            Reduction::Sum => self.builder.sum_all(x)?,
            Reduction::Mean => {
                let sum = self.builder.sum_all(x)?;
                self.divide_by(sum, count)?
            }
            _ => {
                let row = self.builder.reshape(x, [count])?;
                self.over_last(row, reduction)?
            }
        };
        let value = self.builder.reshape(value, dims(out))?;
        self.set(out, value)
    }

    /// Whether any element is true (or all are): of numbers, any that is not zero.
    pub(super) fn any(
        &mut self,
        input: &TensorIr,
        out: &TensorIr,
        axis: Option<usize>,
        all: bool,
    ) -> Translated {
        let x = self.get(input)?;
        let truth = self.builder.cast(x, DType::Bool)?;
        let truth = self.negate_if(all, truth)?;
        let number = self.builder.cast(truth, DType::F32)?;
        let axes: Vec<usize> =
            axis.map_or_else(|| (0..dims(input).len()).collect(), |axis| vec![axis]);
        let rows = self.rows_of(number, &axes)?;
        let largest = self.builder.reduce_max(rows)?;
        // The largest of none is −∞, which is not zero; no element is true.
        let zero = self.full_like(ScalarIr::Int(0), largest)?;
        let largest = self.builder.max(largest, zero)?;
        let found = self.builder.cast(largest, DType::Bool)?;
        let found = self.negate_if(all, found)?;
        let value = self.builder.reshape(found, dims(out))?;
        self.set(out, value)
    }

    fn negate_if(&mut self, negate: bool, x: ValueId) -> Value {
        if negate {
            self.unary(Operator::Not, x)
        } else {
            Ok(x)
        }
    }

    /// `[kept…, product of the reduced axes]`.
    fn rows_of(&mut self, x: ValueId, axes: &[usize]) -> Value {
        let shape = self.shape_of(x);
        let kept: Vec<usize> = (0..shape.len())
            .filter(|axis| !axes.contains(axis))
            .collect();
        let reduced: Vec<usize> = (0..shape.len())
            .filter(|axis| axes.contains(axis))
            .collect();
        let order: Vec<usize> = kept.iter().chain(&reduced).copied().collect();
        let x = self.builder.permute(x, &order)?;
        let mut rows: Vec<usize> = kept.iter().map(|&axis| shape[axis]).collect();
        rows.push(reduced.iter().map(|&axis| shape[axis]).product());
        Ok(self.builder.reshape(x, rows)?)
    }

    fn over_last(&mut self, x: ValueId, reduction: Reduction) -> Value {
        match reduction {
            Reduction::Sum => Ok(self.builder.sum(x)?),
            Reduction::Mean => self.mean(x),
            Reduction::Max => Ok(self.builder.reduce_max(x)?),
            Reduction::Min => self.negated(x, Operator::ReduceMax),
            Reduction::MaxAbs => {
                let size = self.unary(Operator::Abs, x)?;
                Ok(self.builder.reduce_max(size)?)
            }
            Reduction::ArgMax => self.unary(Operator::Argmax, x),
            Reduction::ArgMin => {
                let negative = self.builder.neg(x)?;
                self.unary(Operator::Argmax, negative)
            }
        }
    }

    /// Sum over the last axis, then one division.
    pub(super) fn mean(&mut self, x: ValueId) -> Value {
        let count = self.builder.shape_of(x).last();
        let sum = self.builder.sum(x)?;
        self.divide_by(sum, count)
    }

    fn divide_by(&mut self, x: ValueId, count: usize) -> Value {
        let count = self.full_like(ScalarIr::UInt(count as u64), x)?;
        self.binary(Operator::Div, x, count)
    }

    /// `−f(−x)`: the smallest is the negated largest of the negated.
    fn negated(&mut self, x: ValueId, operator: Operator) -> Value {
        let negative = self.builder.neg(x)?;
        let value = self.unary(operator, negative)?;
        Ok(self.builder.neg(value)?)
    }
}
