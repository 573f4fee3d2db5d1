//! Matrices: projections and the token embedding.

use burn::module::{Module, Param, ParamId};
use burn::tensor::{DType, Device, Int, Tensor, TensorData, module::embedding};

use super::WeightSource;

/// Makes parameters on a device from a source.
pub(super) struct Loader<'a, S> {
    pub(super) source: &'a mut S,
    pub(super) device: &'a Device,
}

impl<S: WeightSource> Loader<'_, S> {
    pub(super) fn param<const D: usize>(
        &mut self,
        name: &str,
        shape: [usize; D],
    ) -> Result<Param<Tensor<D>>, S::Error> {
        let data: TensorData = self.source.weight(name, &shape)?;
        let tensor = Tensor::from_data(data, (self.device, DType::F32));
        Ok(Param::initialized(ParamId::new(), tensor))
    }
}

/// `y = x · Wᵀ (+ b)` with `W` stored `[out, in]` as Hugging Face does, so that both operands are contiguous along the
/// contracted axis.
#[derive(Module, Debug)]
pub struct Linear {
    /// `[out, in]`.
    pub weight: Param<Tensor<2>>,
    /// `[out]`.
    pub bias: Option<Param<Tensor<1>>>,
}

impl Linear {
    pub(super) fn load<S: WeightSource>(
        loader: &mut Loader<'_, S>,
        path: &str,
        [output, input]: [usize; 2],
        bias: bool,
    ) -> Result<Self, S::Error> {
        let weight = loader.param(&format!("{path}.weight"), [output, input])?;
        let bias = bias.then(|| loader.param(&format!("{path}.bias"), [output])).transpose()?;
        Ok(Self { weight, bias })
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

/// `x · Wᵀ` for `x` `[B, T, in]` and `W` `[out, in]`: one matrix product over all tokens of the batch.
pub(super) fn project(x: Tensor<3>, weight: Tensor<2>) -> Tensor<3> {
    let [batch, tokens, input] = x.dims();
    let [output, _] = weight.dims();
    x.reshape([batch * tokens, input]).matmul(weight.transpose()).reshape([batch, tokens, output])
}

/// A row per token id.
#[derive(Module, Debug)]
pub struct Embedding {
    /// `[vocab, hidden]`.
    pub weight: Param<Tensor<2>>,
}

impl Embedding {
    pub(super) fn load<S: WeightSource>(
        loader: &mut Loader<'_, S>,
        path: &str,
        shape: [usize; 2],
    ) -> Result<Self, S::Error> {
        Ok(Self { weight: loader.param(&format!("{path}.weight"), shape)? })
    }

    /// Ids `[B, T]` to `[B, T, hidden]`.
    pub fn forward(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        embedding(self.weight.val(), ids)
    }
}
