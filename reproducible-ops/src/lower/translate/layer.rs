//! Matrix products, layers and activations.

use burn_ir::{
    ActivationOperationIr, DimOpIr, EmbeddingOpIr, HardSigmoidOpIr, LayerNormOpIr, LinearOpIr,
    MatmulOpIr,
};
use burn_ir::{ModuleOperationIr, ScalarIr, ScalarOpIr, TensorIr};

use super::{Fault, Translated, Translator, Value, dims};
use crate::program::{Builder, Comparison, Operator, TypeError, ValueId};

type LayerPattern = fn(&mut Builder, ValueId) -> Result<ValueId, TypeError>;

impl Translator {
    pub(super) fn module(&mut self, operation: &ModuleOperationIr) -> Translated {
        match operation {
            ModuleOperationIr::Embedding(op) => self.embedding(op),
            ModuleOperationIr::Linear(op) => self.linear(op),
            ModuleOperationIr::LayerNorm(op) => self.layer_norm(op),
            _ => Err(Fault::NoRule),
        }
    }

    pub(super) fn activation(&mut self, operation: &ActivationOperationIr) -> Translated {
        use ActivationOperationIr::*;
        match operation {
            Relu(op) => self.view(&op.input, &op.out, Self::relu),
            LeakyRelu(op) => self.leaky_relu(op),
            Sigmoid(op) => self.view(&op.input, &op.out, |this, x| Ok(this.builder.sigmoid(x)?)),
            HardSigmoid(op) => self.hard_sigmoid(op),
            Softmax(op) => self.along(op, Builder::softmax),
            LogSoftmax(op) => self.along(op, Builder::log_softmax),
            Softmin(op) => self.along(op, |builder, x| {
                let negative = builder.neg(x)?;
                builder.softmax(negative)
            }),
            _ => Err(Fault::NoRule),
        }
    }

    /// `a · b` as `a · (bᵀ)ᵀ`. A right side without a batch is one matrix for all rows of the left.
    pub(super) fn matmul(&mut self, op: &MatmulOpIr) -> Translated {
        let (a, b) = (self.get(&op.lhs)?, self.get(&op.rhs)?);
        let (shape_a, shape_b) = (dims(&op.lhs), dims(&op.rhs));
        let (batch_b, matrix_b) = shape_b.split_at(shape_b.len() - 2);
        if batch_b.iter().all(|&length| length == 1) {
            let b = self.builder.reshape(b, matrix_b)?;
            let product = self.rows_times(a, b)?;
            let value = self.builder.reshape(product, dims(&op.out))?;
            return self.set(&op.out, value);
        }
        let batch = &dims(&op.out)[..batch_b.len()];
        let a = self
            .builder
            .broadcast(a, [batch, &shape_a[batch.len()..]].concat())?;
        let b = self.builder.broadcast(b, [batch, matrix_b].concat())?;
        let b = self.builder.transpose(b)?;
        let value = self.builder.matmul_nt(a, b)?;
        self.set(&op.out, value)
    }

    /// `[…, K] · [K, N] → [rows, N]`.
    fn rows_times(&mut self, x: ValueId, weight: ValueId) -> Value {
        let shape = self.builder.shape_of(x);
        let rows = [shape.rows(), shape.last()];
        let x = self.builder.reshape(x, rows)?;
        let weight = self.builder.transpose(weight)?;
        Ok(self.builder.matmul_nt(x, weight)?)
    }

    fn linear(&mut self, op: &LinearOpIr) -> Translated {
        let (x, weight) = (self.get(&op.x)?, self.get(&op.weight)?);
        let product = self.rows_times(x, weight)?;
        let product = self.builder.reshape(product, dims(&op.out))?;
        let value = self.shifted(product, op.bias.as_ref(), &op.out)?;
        self.set(&op.out, value)
    }

    fn shifted(&mut self, x: ValueId, bias: Option<&TensorIr>, out: &TensorIr) -> Value {
        let Some(bias) = bias else { return Ok(x) };
        let bias = self.get_as(bias, out)?;
        self.binary(Operator::Add, x, bias)
    }

    fn embedding(&mut self, op: &EmbeddingOpIr) -> Translated {
        let (table, ids) = (self.get(&op.weights)?, self.get(&op.indices)?);
        let value = self.binary(Operator::GatherRows, table, ids)?;
        self.set(&op.out, value)
    }

    /// `(x − mean) / √(variance + ε) · γ + β` over the last axis, variance over the count.
    fn layer_norm(&mut self, op: &LayerNormOpIr) -> Translated {
        let x = self.get(&op.input)?;
        let shape = dims(&op.out);
        let mean = self.mean(x)?;
        let mean = self.builder.expand(mean, shape.clone())?;
        let centred = self.binary(Operator::Sub, x, mean)?;
        let square = self.binary(Operator::Mul, centred, centred)?;
        let variance = self.mean(square)?;
        let epsilon = self.full_like(op.epsilon, variance)?;
        let variance = self.binary(Operator::Add, variance, epsilon)?;
        let deviation = self.unary(Operator::Sqrt, variance)?;
        let deviation = self.builder.expand(deviation, shape)?;
        let normal = self.binary(Operator::Div, centred, deviation)?;
        let gamma = self.get_as(&op.gamma, &op.out)?;
        let scaled = self.binary(Operator::Mul, normal, gamma)?;
        let value = self.shifted(scaled, op.beta.as_ref(), &op.out)?;
        self.set(&op.out, value)
    }

    fn relu(&mut self, x: ValueId) -> Value {
        let zero = self.full_like(ScalarIr::Int(0), x)?;
        Ok(self.builder.max(x, zero)?)
    }

    fn leaky_relu(&mut self, op: &ScalarOpIr) -> Translated {
        let x = self.get(&op.lhs)?;
        let (zero, slope) = (
            self.full_like(ScalarIr::Int(0), x)?,
            self.full_like(op.rhs, x)?,
        );
        let negative = self.builder.compare(Comparison::Less, x, zero)?;
        let sloped = self.builder.mul(x, slope)?;
        let value = self.builder.select(negative, sloped, x)?;
        self.set(&op.out, value)
    }

    /// `clamp(α x + β, 0, 1)`.
    fn hard_sigmoid(&mut self, op: &HardSigmoidOpIr) -> Translated {
        let x = self.get(&op.tensor)?;
        let (alpha, beta) = (self.full_like(op.alpha, x)?, self.full_like(op.beta, x)?);
        let (zero, one) = (
            self.full_like(ScalarIr::Int(0), x)?,
            self.full_like(ScalarIr::Int(1), x)?,
        );
        let scaled = self.builder.mul(x, alpha)?;
        let line = self.builder.add(scaled, beta)?;
        let floor = self.builder.max(line, zero)?;
        let value = self.builder.min(floor, one)?;
        self.set(&op.out, value)
    }

    /// A pattern over the last axis, applied along any.
    fn along(&mut self, op: &DimOpIr, pattern: LayerPattern) -> Translated {
        let x = self.get(&op.input)?;
        let rows = self.swap_last(x, op.axis)?;
        let rows = pattern(&mut self.builder, rows)?;
        let value = self.swap_last(rows, op.axis)?;
        self.set(&op.out, value)
    }
}
