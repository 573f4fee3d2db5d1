//! Arithmetic and comparisons, element by element.

use burn_ir::{
    BinaryOpIr, ClampOpIr, FloatOperationIr, IntOperationIr, NumericOperationIr, ScalarIr,
    ScalarOpIr,
};
use burn_ir::{PadModeIr, TensorIr, UnaryOpIr};

use super::reduce::Reduction;
use super::{Fault, Translated, Translator, Value};
use crate::program::{Comparison, DType, Operator, ValueId};

/// Largest size of an integer exponent that is written as products.
const MAX_EXPONENT: u32 = 16;
const EXPONENT: &str =
    "exponents are integers from -16 to 16, 0.5 or -0.5; use exp and log, or products";

impl Translator {
    pub(super) fn numeric(&mut self, operation: &NumericOperationIr) -> Translated {
        use NumericOperationIr::*;
        match operation {
            Add(op) => self.pair(op, Operator::Add),
            Sub(op) => self.pair(op, Operator::Sub),
            Mul(op) => self.pair(op, Operator::Mul),
            Div(op) => self.quotient(op),
            AddScalar(op) => self.with_scalar(op, Operator::Add),
            SubScalar(op) => self.with_scalar(op, Operator::Sub),
            MulScalar(op) => self.with_scalar(op, Operator::Mul),
            DivScalar(op) => self.scalar_quotient(op),
            Greater(op) => self.compare(op, Comparison::Less, true),
            GreaterEqual(op) => self.compare(op, Comparison::LessEqual, true),
            Lower(op) => self.compare(op, Comparison::Less, false),
            LowerEqual(op) => self.compare(op, Comparison::LessEqual, false),
            GreaterElem(op) => self.compare_scalar(op, Comparison::Less, true),
            GreaterEqualElem(op) => self.compare_scalar(op, Comparison::LessEqual, true),
            LowerElem(op) => self.compare_scalar(op, Comparison::Less, false),
            LowerEqualElem(op) => self.compare_scalar(op, Comparison::LessEqual, false),
            Neg(op) => self.apply(op, Operator::Neg),
            Abs(op) => self.apply(op, Operator::Abs),
            Sign(op) => self.view(&op.input, &op.out, Self::sign),
            Clamp(op) => self.clamp(op),
            ClampMin(op) => self.with_scalar(op, Operator::Max),
            ClampMax(op) => self.with_scalar(op, Operator::Min),
            Full(op) => self.filled(&op.out, op.value),
            PowiScalar(op) => self.power(op),
            Pad(op) => match op.mode {
                PadModeIr::Constant(fill) if is_zero(fill) => self.pad(op),
                PadModeIr::Constant(fill) => self.surround(op, fill),
                _ => Err(Fault::Unsupported(
                    "only padding with a constant is supported",
                )),
            },
            Sum(op) => self.reduce_all(&op.input, &op.out, Reduction::Sum),
            Mean(op) => self.reduce_all(&op.input, &op.out, Reduction::Mean),
            Max(op) => self.reduce_all(&op.input, &op.out, Reduction::Max),
            Min(op) => self.reduce_all(&op.input, &op.out, Reduction::Min),
            MaxAbs(op) => self.reduce_all(&op.input, &op.out, Reduction::MaxAbs),
            SumDim(op) => self.reduce(&op.input, &op.out, &[op.axis], Reduction::Sum),
            SumDims(op) => self.reduce(&op.input, &op.out, &op.axes, Reduction::Sum),
            MeanDim(op) => self.reduce(&op.input, &op.out, &[op.axis], Reduction::Mean),
            MaxDim(op) => self.reduce(&op.input, &op.out, &[op.axis], Reduction::Max),
            MinDim(op) => self.reduce(&op.input, &op.out, &[op.axis], Reduction::Min),
            MaxAbsDim(op) => self.reduce(&op.input, &op.out, &[op.axis], Reduction::MaxAbs),
            ArgMax(op) => self.reduce(&op.input, &op.out, &[op.axis], Reduction::ArgMax),
            ArgMin(op) => self.reduce(&op.input, &op.out, &[op.axis], Reduction::ArgMin),
            MaxDimWithIndices(op) => {
                self.reduce(&op.tensor, &op.out, &[op.dim], Reduction::Max)?;
                self.reduce(&op.tensor, &op.out_indices, &[op.dim], Reduction::ArgMax)
            }
            MinDimWithIndices(op) => {
                self.reduce(&op.tensor, &op.out, &[op.dim], Reduction::Min)?;
                self.reduce(&op.tensor, &op.out_indices, &[op.dim], Reduction::ArgMin)
            }
            Rem(_) | RemScalar(_) | Prod(_) | ProdDim(_) | Powi(_) | CumSum(_) | CumProd(_)
            | CumMin(_) | CumMax(_) | ArgTopK(_) | TopK(_) | TopKWithIndices(_) | Sort(_)
            | SortWithIndices(_) | ArgSort(_) | IntRandom(_) => Err(Fault::NoRule),
        }
    }

    pub(super) fn float(&mut self, operation: &FloatOperationIr) -> Translated {
        use FloatOperationIr::*;
        match operation {
            Exp(op) => self.apply(op, Operator::Exp),
            Log(op) => self.apply(op, Operator::Log),
            Sqrt(op) => self.apply(op, Operator::Sqrt),
            Tanh(op) => self.apply(op, Operator::Tanh),
            Recip(op) => self.view(&op.input, &op.out, Self::reciprocal),
            PowfScalar(op) => self.power(op),
            IntoInt(op) => self.view(&op.input, &op.out, Self::truncate),
            Matmul(op) => self.matmul(op),
            IsNan(op) => self.view(&op.input, &op.out, Self::is_nan),
            _ => Err(Fault::NoRule),
        }
    }

    pub(super) fn int(&mut self, operation: &IntOperationIr) -> Translated {
        match operation {
            IntOperationIr::IntoFloat(op) => self.cast(op),
            _ => Err(Fault::NoRule),
        }
    }

    fn apply(&mut self, op: &UnaryOpIr, operator: Operator) -> Translated {
        self.view(&op.input, &op.out, |this, x| this.unary(operator, x))
    }

    fn with_scalar(&mut self, op: &ScalarOpIr, operator: Operator) -> Translated {
        let x = self.get(&op.lhs)?;
        let scalar = self.full_like(op.rhs, x)?;
        let value = self.binary(operator, x, scalar)?;
        self.set(&op.out, value)
    }

    fn quotient(&mut self, op: &BinaryOpIr) -> Translated {
        self.require_float(&op.lhs)?;
        self.pair(op, Operator::Div)
    }

    fn scalar_quotient(&mut self, op: &ScalarOpIr) -> Translated {
        self.require_float(&op.lhs)?;
        self.with_scalar(op, Operator::Div)
    }

    fn require_float(&mut self, tensor: &TensorIr) -> Translated {
        let x = self.get(tensor)?;
        if self.dtype_of(x) == DType::F32 {
            Ok(())
        } else {
            Err(Fault::NoRule)
        }
    }

    fn compare(&mut self, op: &BinaryOpIr, comparison: Comparison, swapped: bool) -> Translated {
        let (a, b) = (
            self.get_as(&op.lhs, &op.out)?,
            self.get_as(&op.rhs, &op.out)?,
        );
        let value = self.ordered(comparison, a, b, swapped)?;
        self.set(&op.out, value)
    }

    fn compare_scalar(
        &mut self,
        op: &ScalarOpIr,
        comparison: Comparison,
        swapped: bool,
    ) -> Translated {
        let a = self.get(&op.lhs)?;
        let b = self.full_like(op.rhs, a)?;
        let value = self.ordered(comparison, a, b, swapped)?;
        self.set(&op.out, value)
    }

    fn ordered(&mut self, comparison: Comparison, a: ValueId, b: ValueId, swapped: bool) -> Value {
        let (a, b) = if swapped { (b, a) } else { (a, b) };
        Ok(self.builder.compare(comparison, a, b)?)
    }

    fn clamp(&mut self, op: &ClampOpIr) -> Translated {
        let x = self.get(&op.tensor)?;
        let (min, max) = (self.full_like(op.min, x)?, self.full_like(op.max, x)?);
        let x = self.builder.max(x, min)?;
        let value = self.builder.min(x, max)?;
        self.set(&op.out, value)
    }

    /// 1, 0 or −1; 0 for NaN.
    fn sign(&mut self, x: ValueId) -> Value {
        let [zero, one, minus] = [0, 1, -1].map(|value| self.full_like(ScalarIr::Int(value), x));
        let (zero, one, minus) = (zero?, one?, minus?);
        let negative = self.builder.compare(Comparison::Less, x, zero)?;
        let positive = self.builder.compare(Comparison::Less, zero, x)?;
        let rest = self.builder.select(negative, minus, zero)?;
        Ok(self.builder.select(positive, one, rest)?)
    }

    pub(super) fn reciprocal(&mut self, x: ValueId) -> Value {
        let one = self.full_like(ScalarIr::Int(1), x)?;
        self.binary(Operator::Div, one, x)
    }

    fn is_nan(&mut self, x: ValueId) -> Value {
        let same = self.builder.compare(Comparison::Equal, x, x)?;
        self.unary(Operator::Not, same)
    }

    /// Rounding to nearest may go away from zero; where it did, one step back.
    fn truncate(&mut self, x: ValueId) -> Value {
        let rounded = self.builder.cast(x, DType::I32)?;
        let back = self.builder.cast(rounded, DType::F32)?;
        let (size, back_size) = (
            self.unary(Operator::Abs, x)?,
            self.unary(Operator::Abs, back)?,
        );
        let too_far = self.builder.compare(Comparison::Less, size, back_size)?;
        let sign = self.sign(rounded)?;
        let nearer = self.builder.sub(rounded, sign)?;
        Ok(self.builder.select(too_far, nearer, rounded)?)
    }

    fn power(&mut self, op: &ScalarOpIr) -> Translated {
        let exponent = op.rhs.elem::<f64>();
        self.view(&op.lhs, &op.out, |this, x| this.raise(x, exponent))
    }

    fn raise(&mut self, x: ValueId, exponent: f64) -> Value {
        if exponent < 0.0 {
            let power = self.raise(x, -exponent)?;
            return if self.dtype_of(x) == DType::F32 {
                self.reciprocal(power)
            } else {
                Err(Fault::NoRule)
            };
        }
        if exponent == 0.5 {
            return self.unary(Operator::Sqrt, x);
        }
        let small = exponent.fract() == 0.0 && exponent <= f64::from(MAX_EXPONENT);
        if small {
            self.products(x, exponent as u32)
        } else {
            Err(Fault::Unsupported(EXPONENT))
        }
    }

    /// xⁿ by repeated squaring; x⁰ is 1.
    fn products(&mut self, x: ValueId, n: u32) -> Value {
        match n {
            0 => self.full_like(ScalarIr::Int(1), x),
            1 => Ok(x),
            _ => {
                let half = self.products(x, n / 2)?;
                let square = self.binary(Operator::Mul, half, half)?;
                if n.is_multiple_of(2) {
                    Ok(square)
                } else {
                    self.binary(Operator::Mul, square, x)
                }
            }
        }
    }
}

fn is_zero(fill: ScalarIr) -> bool {
    match fill {
        ScalarIr::Float(value) => value.to_bits() == 0,
        other => other.elem::<i64>() == 0,
    }
}
