//! A small program like a training step: the operators together, as engines fuse them.

use crate::program::{
    Builder, Built, Comparison, Operator, Role, Shape, TensorType, TypeError, ValueId,
};

use super::case::Case;
use super::inputs::Kind;

/// Name of the case.
pub(super) const NAME: &str = "a small training step";

const VOCABULARY: usize = 37;
const TOKENS: usize = 12;
const WIDTH: usize = 24;
const HIDDEN: usize = 40;

/// Embedding, RMSNorm, causal attention with dropout noise, SiLU, log-softmax loss, one product of
/// the backward pass and one momentum update.
pub(super) fn case() -> Result<Case, TypeError> {
    let mut b = Builder::new();
    let table = b.input("table", TensorType::f32([VOCABULARY, WIDTH]), Role::Param);
    let weight = b.input("weight", TensorType::f32([HIDDEN, WIDTH]), Role::Param);
    let back = b.input("back", TensorType::f32([WIDTH, HIDDEN]), Role::Param);
    let moment = b.input("moment", TensorType::f32([HIDDEN, WIDTH]), Role::State);
    let ids = b.input("ids", TensorType::i32([TOKENS]), Role::Data);
    let key = b.input("key", TensorType::i32([2]), Role::Data);
    let counter = b.input("counter", TensorType::i32([TOKENS, 3]), Role::Data);
    let x = b.push(Operator::GatherRows, &[table, ids])?;
    let normed = rms_norm(&mut b, x)?;
    let mixed = attention(&mut b, normed, key, counter)?;
    let x = b.add(x, mixed)?;
    let inner = b.matmul_nt(x, weight)?;
    let active = b.silu(inner)?;
    let squashed = b.tanh(active)?;
    let out = b.matmul_nt(squashed, back)?;
    let logits = b.matmul_nt(out, table)?;
    let loss = cross_entropy(&mut b, logits, ids)?;
    let (down, across) = (b.transpose(squashed)?, b.transpose(x)?);
    let gradient = b.matmul_nt(down, across)?;
    update(&mut b, weight, moment, gradient)?;
    b.output("mixed", mixed);
    b.output("loss", loss);
    Ok(Case::new(NAME, b.finish(), Kind::Ordinary))
}

/// `x / √(mean(x²) + 1e−6)` over the last axis.
fn rms_norm(b: &mut Builder, x: ValueId) -> Built {
    let shape = b.shape_of(x).clone();
    let square = b.mul(x, x)?;
    let sum = b.sum(square)?;
    let (count, tiny) = (
        b.full_like(shape.last() as f32, sum)?,
        b.full_like(1e-6, sum)?,
    );
    let mean = b.div(sum, count)?;
    let shifted = b.add(mean, tiny)?;
    let root = b.sqrt(shifted)?;
    let root = b.expand(root, shape)?;
    b.div(x, root)
}

/// Causal self-attention without projections, scores disturbed by uniform noise.
fn attention(b: &mut Builder, x: ValueId, key: ValueId, counter: ValueId) -> Built {
    let scores = b.matmul_nt(x, x)?;
    let noise = b.push(Operator::PhiloxUniform { lanes: TOKENS }, &[key, counter])?;
    let scores = b.mul(scores, noise)?;
    let shape = Shape::from([TOKENS, TOKENS]);
    let row = b.push(
        Operator::Iota {
            shape: shape.clone(),
            axis: 0,
        },
        &[],
    )?;
    let column = b.push(Operator::Iota { shape, axis: 1 }, &[])?;
    let seen = b.compare(Comparison::LessEqual, column, row)?;
    let never = b.full_like(f32::NEG_INFINITY, scores)?;
    let masked = b.select(seen, scores, never)?;
    let weights = b.softmax(masked)?;
    let values = b.transpose(x)?;
    b.matmul_nt(weights, values)
}

/// Mean over tokens of `−log p(id)`.
fn cross_entropy(b: &mut Builder, logits: ValueId, ids: ValueId) -> Built {
    let log_p = b.log_softmax(logits)?;
    let column = b.reshape(ids, [TOKENS, 1])?;
    let chosen = b.push(Operator::TakeAlongLast, &[log_p, column])?;
    let total = b.sum_all(chosen)?;
    let count = b.full_like(-(TOKENS as f32), total)?;
    b.div(total, count)
}

/// `m ← 0.9·m + 0.1·g`, `w ← w − 0.01·m / (|m| + 1e−8)`.
fn update(
    b: &mut Builder,
    weight: ValueId,
    moment: ValueId,
    gradient: ValueId,
) -> Result<(), TypeError> {
    let (keep, take) = (b.full_like(0.9, moment)?, b.full_like(0.1, moment)?);
    let (kept, taken) = (b.mul(moment, keep)?, b.mul(gradient, take)?);
    let next = b.add(kept, taken)?;
    let size = b.push(Operator::Abs, &[next])?;
    let (tiny, rate) = (b.full_like(1e-8, moment)?, b.full_like(0.01, moment)?);
    let size = b.add(size, tiny)?;
    let scaled = b.mul(next, rate)?;
    let change = b.div(scaled, size)?;
    let value = b.sub(weight, change)?;
    b.output("moment", next);
    b.output("weight", value);
    Ok(())
}
