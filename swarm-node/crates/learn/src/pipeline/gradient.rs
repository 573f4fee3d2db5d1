//! Gradients of a stage's parameters on their way from a visit to the update.
//!
//! ```text
//! LossGradient ─┐
//! backward ─────┴▶ VisitGradient ─▶ GradientSum of a replica ─▶ GradientSum of the stage ─▶ squares
//!                  one microbatch    in microbatch order         in a given order             │
//!                                                              norm of all stages ◀───────────┘
//! ```
//! They stay in the engine's memory. Only sums are sent, from replica to replica.

use std::collections::BTreeMap;

use reproducible_ops::engine::EngineError;
use reproducible_ops::scalar;
use reproducible_ops::weights::{Buffers, Weights};

/// Gradient of the head's parameters by one microbatch's loss, under the names of parameters.
#[derive(Clone, Debug)]
pub struct LossGradient(pub(super) Buffers);

/// Gradient of all of a stage's parameters by one microbatch's loss, over the tokens of the step.
#[derive(Clone, Debug)]
pub struct VisitGradient(pub(super) Buffers);

/// Sum of gradients of several visits, or of several such sums.
#[derive(Clone, Debug)]
pub struct GradientSum(pub(super) Buffers);

/// `Σ g²` of some parameters' scaled gradients, by name.
pub type Squares = BTreeMap<String, f32>;

impl LossGradient {
    /// A copy on the host, under the names of parameters.
    ///
    /// # Errors
    /// The device failed.
    pub fn read(&self) -> Result<Weights, EngineError> {
        read(&self.0)
    }
}

impl VisitGradient {
    /// A copy on the host, under the names of parameters.
    ///
    /// # Errors
    /// The device failed.
    pub fn read(&self) -> Result<Weights, EngineError> {
        read(&self.0)
    }
}

impl GradientSum {
    /// A copy on the host, under the names of parameters: what a replica sends to another.
    ///
    /// # Errors
    /// The device failed.
    pub fn read(&self) -> Result<Weights, EngineError> {
        read(&self.0)
    }
}

fn read(buffers: &Buffers) -> Result<Weights, EngineError> {
    let read = buffers.iter();
    read.map(|(name, buffer)| Ok((name.clone(), buffer.read()?)))
        .collect()
}

/// A parameter whose square is not given, or a square of no parameter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a sum of squares is given for `{0}`, which is no parameter of the model")]
pub struct UnknownSquare(pub String);

/// The norm of a gradient over all stages: the root of the squares, added in the order of the
/// model's parameters as [`reproducible_ops::optim::global_norm`] adds them. Parameters of stages
/// that were not visited have no square and add nothing.
///
/// # Errors
/// A square of a parameter that the model does not have.
pub fn global_norm(model_parameters: &[String], squares: &Squares) -> Result<f32, UnknownSquare> {
    if let Some(name) = squares.keys().find(|name| !model_parameters.contains(name)) {
        return Err(UnknownSquare(name.clone()));
    }
    let in_order = model_parameters.iter().filter_map(|name| squares.get(name));
    let total = in_order.copied().reduce(scalar::add);
    // A gradient of no parameters has the norm 0.
    Ok(total.map_or(0.0, scalar::sqrt))
}

/// What a stage's gradient is multiplied by so that it is the mean over the tokens that visited the
/// stage: tokens of the step over tokens of the visits, rounded to f32. Exactly 1 where both are
/// equal.
pub fn visit_scale(tokens_of_step: usize, tokens_of_visits: usize) -> f32 {
    scalar::div(tokens_of_step as f32, tokens_of_visits as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn squares_are_added_in_the_order_of_the_model() {
        let order = ["z", "a", "y", "m", "b", "c"].map(String::from);
        let small = ["a", "m", "b", "c"].map(|name| (name.to_owned(), 1.0));
        let mut squares = Squares::from(small);
        squares.insert("z".into(), 16_777_216.0);
        // 2²⁴ + 1 is 2²⁴ again and again, and 4 + 2²⁴ is more.
        assert_eq!(global_norm(&order, &squares), Ok(4096.0));
        let turned: Vec<String> = order.iter().rev().cloned().collect();
        assert!(global_norm(&turned, &squares).unwrap() > 4096.0);
        let unknown = global_norm(&order[..5], &squares);
        assert_eq!(unknown, Err(UnknownSquare("c".into())));
        assert_eq!(global_norm(&order, &Squares::new()), Ok(0.0));
    }

    #[test]
    fn the_scale_is_one_where_nothing_is_skipped() {
        for tokens in [1, 3, 777, (1 << 24) + 1] {
            assert_eq!(visit_scale(tokens, tokens).to_bits(), 1f32.to_bits());
        }
        assert_eq!(visit_scale(12, 8), 1.5);
    }
}
