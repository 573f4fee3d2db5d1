//! Matrices: projections and the token embedding.

use burn::module::{Module, Param};
use burn::tensor::{Int, Tensor, module::embedding};

use super::source::Source;

/// `y = x · Wᵀ (+ b)` with `W` stored `[out, in]` as Hugging Face does, so that both operands are
/// contiguous along the contracted axis.
#[derive(Module, Debug)]
pub struct Linear {
    /// `[out, in]`.
    pub weight: Param<Tensor<2>>,
    /// `[out]`.
    pub bias: Option<Param<Tensor<1>>>,
}

impl Linear {
    pub(super) fn build(
        source: &Source<'_>,
        path: &str,
        [output, input]: [usize; 2],
        bias: bool,
    ) -> Self {
        let weight = source.param(&format!("{path}.weight"), [output, input]);
        let bias = bias.then(|| source.param(&format!("{path}.bias"), [output]));
        Self { weight, bias }
    }

    /// `[B, T, in]` to `[B, T, out]`.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let y = project(x, self.weight.val());
        match &self.bias {
            Some(bias) => y + bias.val().unsqueeze(),
            None => y,
        }
    }
}

/// `x · Wᵀ` for `x` `[B, T, in]` and `W` `[out, in]`: one matrix product over all tokens of the
/// batch.
pub(crate) fn project(x: Tensor<3>, weight: Tensor<2>) -> Tensor<3> {
    let [batch, tokens, input] = x.dims();
    let [output, _] = weight.dims();
    x.reshape([batch * tokens, input])
        .matmul(weight.transpose())
        .reshape([batch, tokens, output])
}

/// A row per token id.
#[derive(Module, Debug)]
pub struct Embedding {
    /// `[vocab, hidden]`.
    pub weight: Param<Tensor<2>>,
}

impl Embedding {
    /// Ids `[B, T]` to `[B, T, hidden]`.
    pub fn forward(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        embedding(self.weight.val(), ids)
    }
}
