//! Data that the forward function embeds: tensors made from values while recording.

use burn::tensor::{DType as BurnType, TensorData};

use crate::program::{Builder, DType, Operator, Role, Shape, TensorType, TypeError, ValueId};
use crate::scalar::canon;
use crate::tensor::Tensor;
use crate::weights::Weights;

/// Why Burn data has no counterpart here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum DataFault {
    /// The element type.
    DType(BurnType),
    /// An integer beyond i32.
    Range(i64),
}

/// The element type that stands for one of Burn's. Arithmetic in half precision rounds otherwise,
/// so it has none.
pub(super) fn element_type(dtype: BurnType) -> Option<DType> {
    match dtype {
        BurnType::F32 => Some(DType::F32),
        BurnType::Bool(_) => Some(DType::Bool),
        _ if dtype.is_int() || dtype.is_uint() => Some(DType::I32),
        _ => None,
    }
}

/// Burn data as a tensor: half floats are widened exactly, integers narrowed and checked, NaN made
/// canonical.
pub(super) fn host_tensor(data: &TensorData) -> Result<Tensor, DataFault> {
    let half = matches!(data.dtype(), BurnType::F16 | BurnType::BF16);
    let dtype = if half {
        Some(DType::F32)
    } else {
        element_type(data.dtype())
    };
    let dtype = dtype.ok_or(DataFault::DType(data.dtype()))?;
    let words: Vec<u32> = match dtype {
        DType::F32 => data
            .iter::<f32>()
            .map(|value| canon(value).to_bits())
            .collect(),
        DType::Bool => data.iter::<bool>().map(u32::from).collect(),
        DType::I32 => data.iter::<i64>().map(narrow).collect::<Result<_, _>>()?,
    };
    let ty = TensorType::new(dtype, data.shape().to_vec());
    Tensor::from_words(ty, words).map_err(|_| DataFault::DType(data.dtype()))
}

fn narrow(value: i64) -> Result<u32, DataFault> {
    i32::try_from(value)
        .map(i32::cast_unsigned)
        .map_err(|_| DataFault::Range(value))
}

/// A tensor as Burn data, for [`Tensor::from_data`](burn::tensor::Tensor::from_data).
pub fn burn_data(tensor: &Tensor) -> TensorData {
    let shape = tensor.shape().dims().to_vec();
    let words = tensor.words();
    match tensor.ty().dtype {
        DType::F32 => TensorData::new(
            words.iter().map(|&word| f32::from_bits(word)).collect(),
            shape,
        ),
        DType::I32 => TensorData::new(
            words.iter().map(|&word| word.cast_signed()).collect(),
            shape,
        ),
        DType::Bool => TensorData::new(words.iter().map(|&word| word != 0).collect(), shape),
    }
}

/// Turns embedded data into values of a program: equal elements become `full`, counted ones `iota`,
/// the rest named constants.
#[derive(Debug, Default)]
pub(super) struct Embedding {
    generated: Vec<(Tensor, ValueId)>,
    /// Values of the generated constants.
    pub(super) values: Weights,
}

impl Embedding {
    pub(super) fn embed(
        &mut self,
        builder: &mut Builder,
        tensor: Tensor,
    ) -> Result<ValueId, TypeError> {
        if let Some(bits) = constant_word(&tensor) {
            let shape = tensor.shape().clone();
            return builder.push(
                Operator::Full {
                    dtype: tensor.ty().dtype,
                    bits,
                    shape,
                },
                &[],
            );
        }
        if let Some((start, step)) = progression(&tensor) {
            return counted(builder, tensor.shape(), start, step);
        }
        Ok(self.constant(builder, tensor))
    }

    fn constant(&mut self, builder: &mut Builder, tensor: Tensor) -> ValueId {
        if let Some((_, known)) = self.generated.iter().find(|(other, _)| *other == tensor) {
            return *known;
        }
        let name = format!("constant.{}", self.generated.len());
        let value = builder.input(&name, tensor.ty().clone(), Role::Constant);
        self.values.insert(&name, tensor.clone());
        self.generated.push((tensor, value));
        value
    }
}

/// The word that all elements share; zero where there are none.
fn constant_word(tensor: &Tensor) -> Option<u32> {
    let first = tensor.words().first().copied().unwrap_or(0);
    tensor
        .words()
        .iter()
        .all(|&word| word == first)
        .then_some(first)
}

/// Start and step of a one-dimensional i32 tensor that counts.
fn progression(tensor: &Tensor) -> Option<(i32, i32)> {
    let &[start, second, ..] = tensor.as_i32().ok()? else {
        return None;
    };
    let step = second.wrapping_sub(start);
    let expected = |index: usize| start.wrapping_add(step.wrapping_mul(index as i32));
    let counts = tensor
        .as_i32()
        .ok()?
        .iter()
        .enumerate()
        .all(|(index, &value)| value == expected(index));
    (tensor.shape().rank() == 1 && counts).then_some((start, step))
}

/// `start + step · iota`.
fn counted(
    builder: &mut Builder,
    shape: &Shape,
    start: i32,
    step: i32,
) -> Result<ValueId, TypeError> {
    let mut value = builder.push(
        Operator::Iota {
            shape: shape.clone(),
            axis: 0,
        },
        &[],
    )?;
    if step != 1 {
        let step = full_i32(builder, shape, step)?;
        value = builder.mul(value, step)?;
    }
    if start != 0 {
        let start = full_i32(builder, shape, start)?;
        value = builder.add(value, start)?;
    }
    Ok(value)
}

fn full_i32(builder: &mut Builder, shape: &Shape, value: i32) -> Result<ValueId, TypeError> {
    builder.push(
        Operator::Full {
            dtype: DType::I32,
            bits: value.cast_unsigned(),
            shape: shape.clone(),
        },
        &[],
    )
}
