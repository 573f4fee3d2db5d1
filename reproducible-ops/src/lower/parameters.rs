//! Parameters of a Burn module: as inputs of a recording, and as weights.

use std::collections::HashMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::prelude::*;

use super::constants::host_tensor;
use super::error::LowerError;
use super::record::{Recordable, Recorder};
use crate::program::{DType, Role, TensorType};
use crate::weights::Weights;

/// The module with every parameter replaced by an input of the recording. A parameter that occurs
/// twice (tied weights) is one input, named by the place where it occurs first.
pub(super) fn place_parameters<M: Module>(model: &M, recorder: &mut Recorder) -> M {
    let device = recorder.device().clone();
    let mut mapper = Placement {
        recorder,
        path: Vec::new(),
        known: Known::default(),
    };
    // The parameters are on the device already; moving takes the constant tensors of the module
    // along.
    model.clone().map(&mut mapper).to_device(&device)
}

/// Parameter values under their Burn paths (`layers.0.attention.query.weight`).
///
/// # Errors
/// [`LowerError::Parameter`] for an element type that is not float or an integer that i32 cannot
/// hold.
pub fn parameters<M: Module>(model: &M) -> Result<Weights, LowerError> {
    let mut visitor = Collection {
        path: Vec::new(),
        seen: HashMap::new(),
        weights: Weights::new(),
        fault: None,
    };
    model.visit(&mut visitor);
    match visitor.fault {
        Some(fault) => Err(fault),
        None => Ok(visitor.weights),
    }
}

/// Tensors already declared, by parameter id; the rank is that of the parameter, so the cast never
/// fails.
#[derive(Default)]
struct Known(HashMap<ParamId, Box<dyn std::any::Any>>);

struct Placement<'a> {
    recorder: &'a mut Recorder,
    path: Vec<String>,
    known: Known,
}

impl Placement<'_> {
    fn place<const D: usize, K: Recordable>(
        &mut self,
        id: ParamId,
        dims: [usize; D],
        dtype: DType,
    ) -> Tensor<D, K> {
        let known = self
            .known
            .0
            .get(&id)
            .and_then(|known| known.downcast_ref::<Tensor<D, K>>());
        if let Some(known) = known {
            return known.clone();
        }
        let tensor: Tensor<D, K> = self.recorder.declare(
            &self.path.join("."),
            Role::Param,
            TensorType::new(dtype, dims),
        );
        self.known.0.insert(id, Box::new(tensor.clone()));
        tensor
    }
}

impl ModuleMapper for Placement<'_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.into());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        Param::initialized(
            param.id,
            self.place(param.id, param.lazy_shape().dims(), DType::F32),
        )
    }

    fn map_int<const D: usize>(&mut self, param: Param<Tensor<D, Int>>) -> Param<Tensor<D, Int>> {
        Param::initialized(
            param.id,
            self.place(param.id, param.lazy_shape().dims(), DType::I32),
        )
    }

    fn map_bool<const D: usize>(
        &mut self,
        param: Param<Tensor<D, Bool>>,
    ) -> Param<Tensor<D, Bool>> {
        Param::initialized(
            param.id,
            self.place(param.id, param.lazy_shape().dims(), DType::Bool),
        )
    }
}

struct Collection {
    path: Vec<String>,
    seen: HashMap<ParamId, ()>,
    weights: Weights,
    fault: Option<LowerError>,
}

impl Collection {
    fn add(&mut self, id: ParamId, data: impl FnOnce() -> TensorData) {
        if self.seen.insert(id, ()).is_some() {
            return;
        }
        let (name, data) = (self.path.join("."), data());
        match host_tensor(&data) {
            Ok(tensor) => self.weights.insert(&name, tensor),
            Err(_) => {
                let dtype = format!("{:?}", data.dtype());
                self.fault
                    .get_or_insert(LowerError::Parameter { name, dtype });
            }
        }
    }
}

impl ModuleVisitor for Collection {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.into());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.add(param.id, || param.val().into_data());
    }

    fn visit_int<const D: usize>(&mut self, param: &Param<Tensor<D, Int>>) {
        self.add(param.id, || param.val().into_data());
    }

    fn visit_bool<const D: usize>(&mut self, param: &Param<Tensor<D, Bool>>) {
        self.add(param.id, || param.val().into_data());
    }
}
