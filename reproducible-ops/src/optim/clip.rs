//! Clipping by the global norm of all gradients.

use crate::program::{Builder, Built, Comparison, Operator, Shape, TypeError, ValueId};

/// Guards the division by a norm of zero, as in PyTorch's `clip_grad_norm_`.
const EPSILON: f32 = 1e-6;

/// Gradients after clipping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clipped {
    /// In the order given.
    pub gradients: Vec<ValueId>,
    /// The global norm before clipping, a scalar f32.
    pub norm: ValueId,
}

/// `√(Σ Σ g²)`, a scalar f32: squares are summed per gradient by [`Builder::sum_all`], then added
/// in the order given, which for a training step is that of the parameters' ids. 0 for no
/// gradients.
///
/// # Errors
/// A gradient is not f32.
pub fn global_norm(builder: &mut Builder, gradients: &[ValueId]) -> Built {
    let mut total = None;
    for &gradient in gradients {
        let square = builder.mul(gradient, gradient)?;
        let sum = builder.sum_all(square)?;
        total = Some(match total {
            None => sum,
            Some(total) => builder.add(total, sum)?,
        });
    }
    match total {
        Some(total) => builder.sqrt(total),
        None => builder.full(0.0, Shape::scalar()),
    }
}

/// Scales all gradients by `min(1, max_norm / (norm + 10⁻⁶))`.
///
/// If the norm is not finite (a gradient is infinite or NaN, or the sum of squares overflows at
/// norms above 1.8·10¹⁹), every clipped gradient is +0: a bad batch moves nothing but what the
/// optimizer moves by itself (momentum, decay), and parameters stay finite. The returned norm shows
/// the caller that it happened.
///
/// # Errors
/// A gradient is not f32.
pub fn clip_by_global_norm(
    builder: &mut Builder,
    gradients: &[ValueId],
    max_norm: f32,
) -> Result<Clipped, TypeError> {
    let norm = global_norm(builder, gradients)?;
    Ok(Clipped {
        gradients: clip_by_norm(builder, gradients, norm, max_norm)?,
        norm,
    })
}

/// Gradients clipped as by [`clip_by_global_norm`], in the order given, where their global norm is
/// known: a scalar f32, of which these may be a part only.
///
/// # Errors
/// A gradient or the norm is not f32.
pub fn clip_by_norm(
    builder: &mut Builder,
    gradients: &[ValueId],
    norm: ValueId,
    max_norm: f32,
) -> Result<Vec<ValueId>, TypeError> {
    let (scale, finite) = (scale(builder, norm, max_norm)?, is_finite(builder, norm)?);
    let clipped = gradients
        .iter()
        .map(|&gradient| scaled(builder, gradient, scale, finite));
    clipped.collect()
}

fn scale(builder: &mut Builder, norm: ValueId, max_norm: f32) -> Built {
    let epsilon = builder.full_like(EPSILON, norm)?;
    let guarded = builder.add(norm, epsilon)?;
    let limit = builder.full_like(max_norm, norm)?;
    let ratio = builder.div(limit, guarded)?;
    let one = builder.full_like(1.0, norm)?;
    builder.min(one, ratio)
}

/// `norm < ∞`, which is false for NaN.
fn is_finite(builder: &mut Builder, norm: ValueId) -> Built {
    let infinity = builder.full_like(f32::INFINITY, norm)?;
    builder.compare(Comparison::Less, norm, infinity)
}

fn scaled(builder: &mut Builder, gradient: ValueId, scale: ValueId, finite: ValueId) -> Built {
    let shape = builder.shape_of(gradient).clone();
    let scale = builder.broadcast(scale, shape.clone())?;
    let finite = builder.broadcast(finite, shape)?;
    let product = builder.mul(gradient, scale)?;
    let zero = builder.full_like(0.0, gradient)?;
    builder.push(Operator::Select, &[finite, product, zero])
}
