//! Where modules take their parameters from.

use burn::module::{Param, ParamId};
use burn::tensor::{DType, Device, Tensor, TensorData};
use reproducible_ops::weights::Weights;

/// Makes parameters on a device: from weights that passed the config's check, or unfilled.
pub(super) struct Source<'a> {
    pub(super) weights: Option<&'a Weights>,
    pub(super) device: &'a Device,
}

impl Source<'_> {
    pub(super) fn param<const D: usize>(&self, name: &str, shape: [usize; D]) -> Param<Tensor<D>> {
        let Some(weights) = self.weights else {
            return self.unfilled(shape);
        };
        #[expect(
            clippy::expect_used,
            reason = "names, shapes and types were compared with the config's before"
        )]
        let values = weights
            .get(name)
            .and_then(|tensor| tensor.as_f32().ok())
            .expect("invariant: checked weights have every parameter as f32");
        let data = TensorData::new(values.to_vec(), shape);
        Param::initialized(
            ParamId::new(),
            Tensor::from_data(data, (self.device, DType::F32)),
        )
    }

    fn unfilled<const D: usize>(&self, shape: [usize; D]) -> Param<Tensor<D>> {
        let zeros = move |device: &Device, _| Tensor::zeros(shape, (device, DType::F32));
        Param::uninitialized(
            ParamId::new(),
            zeros,
            self.device.clone(),
            false,
            shape.into(),
        )
    }
}
