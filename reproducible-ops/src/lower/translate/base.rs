//! Operations that every element type has.

use burn_ir::TensorIr;
use burn_ir::{
    BaseOperationIr, BinaryOpIr, BoolOperationIr, CastOpIr, MaskFillOpIr, MaskWhereOpIr, ScalarIr,
    ScalarOpIr,
};

use super::{Fault, Translated, Translator, Value, dims, type_of};
use crate::program::{Comparison, DType, Operator, ValueId};

impl Translator {
    pub(super) fn base(&mut self, operation: &BaseOperationIr) -> Translated {
        use BaseOperationIr::*;
        match operation {
            Reshape(op) => self.reshape(&op.input, &op.out),
            Expand(op) => self.expand(&op.input, &op.out),
            SwapDims(op) => self.view(&op.input, &op.out, |this, x| this.swap(x, op.dim1, op.dim2)),
            Permute(op) => self.view(&op.input, &op.out, |this, x| {
                Ok(this.builder.permute(x, &op.axes)?)
            }),
            Slice(op) => self.slice(op),
            SliceAssign(op) => self.slice_assign(op),
            Select(op) => self.select(op),
            Gather(op) => self.gather(op),
            Cat(op) => self.cat(op),
            RepeatDim(op) => self.repeat(op),
            MaskWhere(op) => self.mask_where(op),
            MaskFill(op) => self.mask_fill(op),
            Equal(op) => self.equal(op, false),
            NotEqual(op) => self.equal(op, true),
            EqualElem(op) => self.equal_elem(op, false),
            NotEqualElem(op) => self.equal_elem(op, true),
            Cast(op) => self.cast(op),
            Zeros(op) | Empty(op) => self.filled(&op.out, ScalarIr::Int(0)),
            Ones(op) => self.filled(&op.out, ScalarIr::Int(1)),
            Any(op) => self.any(&op.input, &op.out, None, false),
            All(op) => self.any(&op.input, &op.out, None, true),
            AnyDim(op) => self.any(&op.input, &op.out, Some(op.axis), false),
            AllDim(op) => self.any(&op.input, &op.out, Some(op.axis), true),
            Flip(_) | Unfold(_) | SelectAssign(_) | Scatter(_) | ScatterNd(_) | GatherNd(_) => {
                Err(Fault::NoRule)
            }
        }
    }

    pub(super) fn bool(&mut self, operation: &BoolOperationIr) -> Translated {
        use BoolOperationIr::*;
        match operation {
            IntoFloat(op) | IntoInt(op) => self.cast(op),
            Not(op) => self.view(&op.input, &op.out, |this, x| this.unary(Operator::Not, x)),
            And(op) => self.pair(op, Operator::And),
            Or(op) => self.pair(op, Operator::Or),
            Xor(op) => self.equal(op, true),
        }
    }

    /// An operation with one operand.
    pub(super) fn view(
        &mut self,
        input: &TensorIr,
        out: &TensorIr,
        rule: impl FnOnce(&mut Self, ValueId) -> Value,
    ) -> Translated {
        let x = self.get(input)?;
        let value = rule(self, x)?;
        self.set(out, value)
    }

    /// An operation with two operands, repeated to the shape of the result.
    pub(super) fn pair(&mut self, op: &BinaryOpIr, operator: Operator) -> Translated {
        let (a, b) = (
            self.get_as(&op.lhs, &op.out)?,
            self.get_as(&op.rhs, &op.out)?,
        );
        let value = self.binary(operator, a, b)?;
        self.set(&op.out, value)
    }

    fn reshape(&mut self, input: &TensorIr, out: &TensorIr) -> Translated {
        self.view(input, out, |this, x| {
            Ok(this.builder.reshape(x, dims(out))?)
        })
    }

    fn expand(&mut self, input: &TensorIr, out: &TensorIr) -> Translated {
        self.view(input, out, |this, x| {
            Ok(this.builder.broadcast(x, dims(out))?)
        })
    }

    pub(super) fn cast(&mut self, op: &CastOpIr) -> Translated {
        let to = type_of(&op.out)?.dtype;
        self.view(&op.input, &op.out, |this, x| {
            Ok(this.builder.cast(x, to)?)
        })
    }

    pub(super) fn filled(&mut self, out: &TensorIr, value: ScalarIr) -> Translated {
        let ty = type_of(out)?;
        let value = self.full(value, ty.dtype, ty.shape)?;
        self.set(out, value)
    }

    fn mask_where(&mut self, op: &MaskWhereOpIr) -> Translated {
        let mask = self.get_as(&op.mask, &op.out)?;
        let (masked, kept) = (
            self.get_as(&op.value, &op.out)?,
            self.get_as(&op.tensor, &op.out)?,
        );
        let value = self.builder.select(mask, masked, kept)?;
        self.set(&op.out, value)
    }

    fn mask_fill(&mut self, op: &MaskFillOpIr) -> Translated {
        let (mask, kept) = (
            self.get_as(&op.mask, &op.out)?,
            self.get_as(&op.tensor, &op.out)?,
        );
        let masked = self.full_like(op.value, kept)?;
        let value = self.builder.select(mask, masked, kept)?;
        self.set(&op.out, value)
    }

    fn equal(&mut self, op: &BinaryOpIr, negated: bool) -> Translated {
        let (a, b) = (
            self.get_as(&op.lhs, &op.out)?,
            self.get_as(&op.rhs, &op.out)?,
        );
        let value = self.equality(a, b, negated)?;
        self.set(&op.out, value)
    }

    fn equal_elem(&mut self, op: &ScalarOpIr, negated: bool) -> Translated {
        let a = self.get(&op.lhs)?;
        let b = self.full_like(op.rhs, a)?;
        let value = self.equality(a, b, negated)?;
        self.set(&op.out, value)
    }

    /// Bools are compared as integers.
    fn equality(&mut self, a: ValueId, b: ValueId, negated: bool) -> Value {
        let bools = self.dtype_of(a) == DType::Bool;
        let number = |this: &mut Self, x| {
            if bools {
                this.builder.cast(x, DType::I32)
            } else {
                Ok(x)
            }
        };
        let (a, b) = (number(self, a)?, number(self, b)?);
        let equal = self.builder.compare(Comparison::Equal, a, b)?;
        if negated {
            self.unary(Operator::Not, equal)
        } else {
            Ok(equal)
        }
    }
}
