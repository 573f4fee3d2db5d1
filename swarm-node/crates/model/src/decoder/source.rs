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
        let values = self
            .weights
            .and_then(|weights| weights.get(name))
            .and_then(|tensor| tensor.as_f32().ok());
        match values {
            Some(values) => {
                let data = TensorData::new(values.to_vec(), shape);
                Param::initialized(
                    ParamId::new(),
                    Tensor::from_data(data, (self.device, DType::F32)),
                )
            }
            None => self.unfilled(shape),
        }
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
