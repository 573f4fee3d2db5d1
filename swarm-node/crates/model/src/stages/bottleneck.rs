//! Learned maps at the boundaries of stages, so that fewer numbers are sent.
//!
//! ```text
//! sender   x [B, T, d] ─▶ x · downᵀ ─▶ [B, T, d/c] ─────▶ [B, T, d/c] ─▶ z · upᵀ ─▶ x [B, T, d]   receiver
//! ```
//! Each stage has a map of its own for what it sends and one for what it takes, both trained with
//! the rest. A microbatch that skips a stage goes from any sender to any receiver, so all stages
//! share one space of what is sent. They begin with the same maps: number i of what is sent is the
//! sum of the coordinates i, i + d/c, i + 2·d/c, … over √c, and `up` is the transpose of `down`.
//! The product of both is an orthogonal projection; to pass a second boundary at the beginning
//! loses nothing that the first one left. With c = 1 they are the identity.
//!
//! Limits: what receivers could know anyway, such as the embedding of tokens, is not kept apart
//! from what is sent, because only stage 0 has the embedding.

use reproducible_ops::scalar;
use reproducible_ops::tensor::{Tensor, TensorError};

/// Why a model has no such bottleneck.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a bottleneck of {compression} in {stages} stages of width {width}; it must divide the width, \
     and there must be a boundary"
)]
pub struct BottleneckError {
    /// How many times fewer numbers are sent.
    pub compression: usize,
    /// Stages of the model.
    pub stages: usize,
    /// Width of the residual stream.
    pub width: usize,
}

/// Name of a stage's map before it sends, `[d/c, d]`.
pub fn down(stage: usize) -> String {
    format!("bottleneck.{stage}.down")
}

/// Name of a stage's map of what it takes, `[d, d/c]`.
pub fn up(stage: usize) -> String {
    format!("bottleneck.{stage}.up")
}

/// The stage whose map has this name; none for other parameters.
pub(super) fn stage_of(name: &str) -> Option<usize> {
    let (stage, _) = name.strip_prefix("bottleneck.")?.split_once('.')?;
    stage.parse().ok()
}

/// The two maps of every stage before training, `[d/c, d]` and `[d, d/c]`.
pub(super) fn initial(width: usize, sent: usize) -> Result<[Tensor; 2], TensorError> {
    let share = scalar::div(1.0, scalar::sqrt((width / sent) as f32));
    let at = |number: usize, coordinate: usize| match coordinate % sent == number {
        true => share,
        false => 0.0,
    };
    let rows =
        (0..sent).flat_map(|number| (0..width).map(move |coordinate| at(number, coordinate)));
    let columns =
        (0..width).flat_map(|coordinate| (0..sent).map(move |number| at(number, coordinate)));
    Ok([
        Tensor::f32([sent, width], rows.collect())?,
        Tensor::f32([width, sent], columns.collect())?,
    ])
}
