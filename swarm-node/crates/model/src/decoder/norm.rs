//! The norm before attention and SwiGLU, and of queries and keys.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::source::Source;

/// `x · (1 / √(mean(x²) + ε)) · weight` over the last axis (Zhang and Sennrich 2019).
#[derive(Module, Debug)]
pub struct RmsNorm {
    /// As wide as the last axis.
    pub weight: Param<Tensor<1>>,
    #[module(skip)]
    epsilon: f32,
}

impl RmsNorm {
    pub(super) fn build(source: &Source<'_>, path: &str, width: usize, epsilon: f32) -> Self {
        Self {
            weight: source.param(&format!("{path}.weight"), [width]),
            epsilon,
        }
    }

    /// `[…, width]` to the same shape.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let mean = (x.clone() * x.clone()).mean_dim(D - 1);
        let inverse = (mean + self.epsilon).sqrt().recip();
        x * inverse * self.weight.val().unsqueeze()
    }
}
