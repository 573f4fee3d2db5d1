//! Operators that Burn lacks, callable from Burn code.
//!
//! On a capture device they are recorded as one primitive, and operands that do not fit are an
//! error of [`lower`](super::lower()). On any other device they run at once, by the reference
//! engine, so that the same model code can be tried without lowering it.

use burn::prelude::*;
use burn_capture::{CaptureBackend, CaptureClient};
use burn_ir::{CustomOpIr, ScalarIr, TensorIr};
use burn_router::{RouterClient, RouterTensor};

use super::constants::{burn_data, host_tensor};
use super::record::{Recordable, burn_type, record_custom};
use crate::engine::reference;
use crate::program::{Builder, DType, Operator, Role};
use crate::tensor::Tensor as HostTensor;

pub(super) const UPDATE_ROWS: &str = "reproducible.update_rows";
pub(super) const PHILOX_UNIFORM: &str = "reproducible.philox_uniform";
pub(super) const ONE_HOT: &str = "reproducible.one_hot";

/// Writes `rows: [batch…, r, D]` into `base: [batch…, R, D]` from row `at: [batch…]` on; rows that
/// fall outside are dropped. This is how a key or value cache is written: `B` is `D − 2`.
///
/// # Panics
/// Shapes that do not fit, outside of a recording.
pub fn update_rows<const D: usize, const B: usize>(
    base: Tensor<D>,
    rows: Tensor<D>,
    at: Tensor<B, Int>,
) -> Tensor<D> {
    let shape = base.dims();
    let operands = [Operand::of(base), Operand::of(rows), Operand::of(at)];
    apply(
        UPDATE_ROWS,
        &Operator::UpdateRows,
        operands,
        shape,
        DType::F32,
        &[],
    )
}

/// `(key: [2], counter: [N, 3]) → [N, lanes]`, uniform in (0, 1): see [`crate::random`].
///
/// # Panics
/// Shapes that do not fit, outside of a recording.
pub fn philox_uniform(key: Tensor<1, Int>, counter: Tensor<2, Int>, lanes: usize) -> Tensor<2> {
    let [rows, _] = counter.dims();
    let operator = Operator::PhiloxUniform { lanes };
    apply(
        PHILOX_UNIFORM,
        &operator,
        [Operand::of(key), Operand::of(counter)],
        [rows, lanes],
        DType::F32,
        &[lanes],
    )
}

/// `ids: […] → […, classes]`: 1 at the id, 0 elsewhere; all 0 for an id out of range. `E` is `D +
/// 1`. (Burn's own `one_hot` reads the ids on the host, which a recording cannot.)
///
/// # Panics
/// Shapes that do not fit, outside of a recording.
pub fn one_hot<const D: usize, const E: usize>(ids: Tensor<D, Int>, classes: usize) -> Tensor<E> {
    let mut shape = [classes; E];
    for (to, from) in shape.iter_mut().zip(ids.dims()) {
        *to = from;
    }
    apply(
        ONE_HOT,
        &Operator::OneHot { classes },
        [Operand::of(ids)],
        shape,
        DType::F32,
        &[classes],
    )
}

/// An operand of either kind of device, without its rank and element kind.
struct Operand {
    recorded: Option<RouterTensor<CaptureClient>>,
    data: Box<dyn FnOnce() -> TensorData>,
    device: Device,
}

impl Operand {
    fn of<const D: usize, K: Recordable>(tensor: Tensor<D, K>) -> Self {
        let device = tensor.device();
        let recorded = tensor.clone().try_into_primitive::<CaptureBackend>().ok();
        Self {
            recorded,
            data: Box::new(move || tensor.into_data()),
            device,
        }
    }
}

fn apply<const D: usize, const N: usize>(
    id: &'static str,
    operator: &Operator,
    operands: [Operand; N],
    shape: [usize; D],
    dtype: DType,
    attributes: &[usize],
) -> Tensor<D> {
    let recorded: Option<Vec<_>> = operands
        .iter()
        .map(|operand| operand.recorded.clone())
        .collect();
    match recorded {
        Some(recorded) => record_operator(id, recorded, shape, dtype, attributes),
        None => run(operator, operands),
    }
}

fn record_operator<const D: usize>(
    id: &'static str,
    operands: Vec<RouterTensor<CaptureClient>>,
    shape: [usize; D],
    dtype: DType,
    attributes: &[usize],
) -> Tensor<D> {
    let client = operands[0].client.clone();
    let out = TensorIr::uninit(client.create_empty_handle(), shape.into(), burn_type(dtype));
    let inputs: Vec<TensorIr> = operands.into_iter().map(RouterTensor::into_ir).collect();
    let attributes = attributes
        .iter()
        .map(|&value| ScalarIr::UInt(value as u64))
        .collect();
    let operation = CustomOpIr::with_scalars(id, &inputs, &[out], attributes);
    Tensor::from_primitive::<CaptureBackend>(record_custom(&client, operation))
}

/// Executes one operator on host values.
fn run<const D: usize, const N: usize>(operator: &Operator, operands: [Operand; N]) -> Tensor<D> {
    let device = operands[0].device.clone();
    let hosts: Vec<HostTensor> = operands
        .into_iter()
        .map(|operand| {
            host_tensor(&(operand.data)())
                .unwrap_or_else(|error| panic!("{}: {error:?}", operator.name()))
        })
        .collect();
    let result = run_on_host(operator, &hosts)
        .unwrap_or_else(|error| panic!("{}: {error}", operator.name()));
    Tensor::from_data(burn_data(&result), &device)
}

fn run_on_host(
    operator: &Operator,
    operands: &[HostTensor],
) -> Result<HostTensor, Box<dyn std::error::Error>> {
    let mut builder = Builder::new();
    let names: Vec<String> = (0..operands.len()).map(|index| index.to_string()).collect();
    let inputs = names
        .iter()
        .zip(operands)
        .map(|(name, operand)| builder.input(name, operand.ty().clone(), Role::Data));
    let inputs: Vec<_> = inputs.collect();
    let value = builder.push(operator.clone(), &inputs)?;
    builder.output("result", value);
    let mut results = reference::evaluate(&builder.finish(), operands)?;
    results.pop().ok_or_else(|| "no result".into())
}

/// The operator of a recorded custom operation, or `None` for one that is not ours.
pub(super) fn operator_of(custom: &CustomOpIr) -> Option<Operator> {
    let attribute = || match custom.scalars.first() {
        Some(ScalarIr::UInt(value)) => usize::try_from(*value).ok(),
        _ => None,
    };
    match custom.id.as_str() {
        UPDATE_ROWS => Some(Operator::UpdateRows),
        PHILOX_UNIFORM => Some(Operator::PhiloxUniform {
            lanes: attribute()?,
        }),
        ONE_HOT => Some(Operator::OneHot {
            classes: attribute()?,
        }),
        _ => None,
    }
}
