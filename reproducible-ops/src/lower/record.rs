//! Runs a forward function on a capture device and keeps what it declared.

use std::any::Any;
use std::collections::{BTreeMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};

use burn::backend::DispatchDevice;
use burn::prelude::*;
use burn::tensor::kind::Basic;
use burn::tensor::{BackendPrimitive, DType as BurnType};
use burn_capture::{
    CaptureBackend, CaptureChannel, CaptureClient, CaptureDevice, CapturedGraph, TensorId,
};
use burn_ir::{CustomOpIr, OperationIr, TensorIr};
use burn_router::{RouterClient, RouterTensor, get_client};

use super::error::{LowerError, Place};
use crate::program::{DType, Input, Role, TensorType};
use crate::tensor::Tensor as HostTensor;
use crate::weights::Weights;

/// Name under which the capture device sees a declared input.
const INPUT: &str = "reproducible.input";

/// Element kinds of Burn tensors that can be recorded: float, int and bool.
pub trait Recordable:
    Basic + BackendPrimitive<CaptureBackend, Primitive = RouterTensor<CaptureClient>> + 'static
{
}

impl<K> Recordable for K where
    K: Basic + BackendPrimitive<CaptureBackend, Primitive = RouterTensor<CaptureClient>> + 'static
{
}

/// What a forward function declares while it is recorded: inputs, constants and outputs.
///
/// Methods do not fail; a mistake is reported by [`lower`](super::lower()) when the function has
/// returned.
pub struct Recorder {
    client: CaptureClient,
    device: Device,
    pub(super) declared: Vec<(TensorId, Input)>,
    outputs: Vec<(String, TensorId)>,
    constants: Weights,
    fault: Option<LowerError>,
}

/// Everything that a recording yields.
pub(super) struct Recording {
    pub(super) operations: Vec<OperationIr>,
    pub(super) values: BTreeMap<TensorId, TensorData>,
    pub(super) declared: Vec<(TensorId, Input)>,
    pub(super) outputs: Vec<(String, TensorId)>,
    pub(super) constants: Weights,
}

impl Recorder {
    fn new(device: CaptureDevice) -> Self {
        let client = get_client::<CaptureChannel>(&device);
        let device = Device::new(DispatchDevice::Capture(device));
        let (declared, outputs, constants) = (Vec::new(), Vec::new(), Weights::new());
        Self {
            client,
            device,
            declared,
            outputs,
            constants,
            fault: None,
        }
    }

    /// The device on which the forward function makes its own tensors (`arange`, `zeros`, masks).
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Declares an f32 input.
    pub fn float<const D: usize>(
        &mut self,
        name: &str,
        role: Role,
        shape: [usize; D],
    ) -> Tensor<D> {
        self.declare(name, role, TensorType::new(DType::F32, shape))
    }

    /// Declares an i32 input.
    pub fn int<const D: usize>(
        &mut self,
        name: &str,
        role: Role,
        shape: [usize; D],
    ) -> Tensor<D, Int> {
        self.declare(name, role, TensorType::new(DType::I32, shape))
    }

    /// Declares a bool input.
    pub fn bool<const D: usize>(
        &mut self,
        name: &str,
        role: Role,
        shape: [usize; D],
    ) -> Tensor<D, Bool> {
        self.declare(name, role, TensorType::new(DType::Bool, shape))
    }

    /// Declares an f32 [`Role::Constant`] input and keeps its value for
    /// [`Lowered::constants`](super::Lowered).
    pub fn constant<const D: usize>(&mut self, name: &str, value: HostTensor) -> Tensor<D> {
        let ty = value.ty().clone();
        let dims: [usize; D] = ty.shape.dims().try_into().unwrap_or_else(|_| {
            let (name, shape) = (name.into(), ty.shape.to_string());
            self.fail(LowerError::ConstantRank {
                name,
                shape,
                rank: D,
            });
            [1; D]
        });
        self.constants.insert(name, value);
        self.float(name, Role::Constant, dims)
    }

    /// Declares a result. The tensor may be used further.
    pub fn output<const D: usize, K: Recordable>(&mut self, name: &str, tensor: Tensor<D, K>) {
        match tensor.try_into_primitive::<CaptureBackend>() {
            Ok(primitive) => self.outputs.push((name.into(), primitive.id())),
            Err(_) => self.fail(LowerError::UnknownOutput { name: name.into() }),
        }
    }

    pub(super) fn declare<const D: usize, K: Recordable>(
        &mut self,
        name: &str,
        role: Role,
        ty: TensorType,
    ) -> Tensor<D, K> {
        let id = self.client.create_empty_handle();
        let out = TensorIr::uninit(id, ty.shape.dims().to_vec().into(), burn_type(ty.dtype));
        let primitive = record_custom(&self.client, CustomOpIr::new(INPUT, &[], &[out]));
        self.declared.push((
            id,
            Input {
                name: name.into(),
                ty,
                role,
            },
        ));
        Tensor::from_primitive::<CaptureBackend>(primitive)
    }

    fn fail(&mut self, error: LowerError) {
        self.fault.get_or_insert(error);
    }

    fn finish(self, captured: CapturedGraph) -> Result<Recording, LowerError> {
        self.check_names()?;
        let Self {
            declared,
            outputs,
            constants,
            fault,
            ..
        } = self;
        let recording = Recording {
            operations: captured.graph.operations,
            values: captured.values,
            declared,
            outputs,
            constants,
        };
        match fault {
            Some(fault) => Err(fault),
            None => Ok(recording),
        }
    }

    fn check_names(&self) -> Result<(), LowerError> {
        unique(
            "input",
            self.declared.iter().map(|(_, input)| input.name.as_str()),
        )?;
        unique("output", self.outputs.iter().map(|(name, _)| name.as_str()))
    }
}

fn unique<'a>(what: &'static str, names: impl Iterator<Item = &'a str>) -> Result<(), LowerError> {
    let mut seen = HashSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(LowerError::DuplicateName {
                what,
                name: name.into(),
            });
        }
    }
    Ok(())
}

/// Whether an operation only stands for a declared input.
pub(super) fn is_input(operation: &OperationIr) -> bool {
    matches!(operation, OperationIr::Custom(custom) if custom.id == INPUT)
}

/// Records a custom operation with exactly one output.
pub(super) fn record_custom(
    client: &CaptureClient,
    operation: CustomOpIr,
) -> RouterTensor<CaptureClient> {
    let [out] = operation.outputs.as_slice() else {
        unreachable!("custom operations of this crate have one output");
    };
    let tensor = RouterTensor::new(out.id, out.shape.clone(), out.dtype, client.clone());
    client.register_op(OperationIr::Custom(operation));
    tensor
}

/// The Burn type that stands for an element type on the capture device.
pub(super) fn burn_type(dtype: DType) -> BurnType {
    match dtype {
        DType::F32 => BurnType::F32,
        DType::I32 => BurnType::I64,
        DType::Bool => BurnType::Bool(burn::tensor::BoolStore::U8),
    }
}

/// Runs `forward` on a capture device.
pub(super) fn record(forward: impl FnOnce(&mut Recorder)) -> Result<Recording, LowerError> {
    let leased = LeasedDevice::take();
    let mut outcome = None;
    let captured = leased.0.capture_scope(|scope| {
        let mut recorder = Recorder::new(leased.0);
        let run = catch_unwind(AssertUnwindSafe(|| forward(&mut recorder)));
        outcome = Some((recorder, run));
        // Inputs and outputs are kept here by tensor id, so the graph itself needs no boundary.
        scope.complete([], [])
    });
    let captured = captured.map_err(|error| LowerError::Capture(error.to_string()))?;
    let (recorder, run) =
        outcome.ok_or_else(|| LowerError::Capture("the capture scope did not run".into()))?;
    run.map_err(|payload| panicked(&captured.graph.operations, payload.as_ref()))?;
    recorder.finish(captured)
}

fn panicked(operations: &[OperationIr], payload: &(dyn Any + Send)) -> LowerError {
    let text = payload.downcast_ref::<String>().cloned();
    let text = text.or_else(|| payload.downcast_ref::<&str>().map(ToString::to_string));
    let computed: Vec<_> = operations
        .iter()
        .filter(|operation| !is_input(operation))
        .collect();
    let last = computed.last().map_or_else(
        || "none".into(),
        |last| Place::new(computed.len() - 1, last, None).to_string(),
    );
    LowerError::Panicked {
        operations: computed.len(),
        last,
        message: text.unwrap_or_else(|| "no message".into()),
    }
}

/// Capture devices are numbered by a process-wide u16 that is never reused and allow one recording
/// at a time, so finished ones are kept for the next recording.
struct LeasedDevice(CaptureDevice);

static IDLE: Mutex<Vec<CaptureDevice>> = Mutex::new(Vec::new());

impl LeasedDevice {
    fn take() -> Self {
        let idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Self(idle.unwrap_or_default())
    }
}

impl Drop for LeasedDevice {
    fn drop(&mut self) {
        IDLE.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(self.0);
    }
}
