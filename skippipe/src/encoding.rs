//! Tensors on the wire: hidden states and their gradients between stages, in 32, 16 or about 8
//! bits.
//!
//! ```text
//! format, 1 byte ‖ rank, 1 byte ‖ length of each axis, 4 bytes ‖ elements, row-major
//!
//! F32   4 bytes each                                                              4 bytes an element
//! Bf16  the upper half of the f32, rounded to nearest even                        2
//! Int8  per block of up to 64 along the last axis: scale, 4 bytes ‖ 1 byte each   1.0625
//! ```
//! Numbers are little-endian. A block of [`Format::Int8`] has `scale = max|x| / 127` and elements
//! `q = round(x / scale)`, ties to even, and is read as `q · scale`; every operation is one of
//! [`reproducible_ops::scalar`]. A scale below the normal numbers is rounded up, so that no `q` is
//! above 127. The error of an element is at most half a scale, and a rounding of f32.
//!
//! Invariants: equal tensors have equal bytes on every machine, and bytes that are read have one
//! tensor. What is lost is lost for both sides: whoever computes on a tensor that was sent computes
//! on [`carried`], and so does whoever checks it. Reading trusts nothing: format and shape are
//! those that the reader expects, the length follows from them before anything is allocated, and
//! NaN, infinity and blocks that no writer makes are refused.

use reproducible_ops::program::{DType, Shape, TensorType};
use reproducible_ops::scalar;
use reproducible_ops::tensor::{Tensor, TensorError};
use serde::{Deserialize, Serialize};

/// Elements that share a scale in [`Format::Int8`].
pub const BLOCK: usize = 64;

/// The largest magnitude that does not round to infinity as bf16.
const LARGEST_BF16: f32 = f32::from_bits(0x7f7f_7fff);
/// 2¹²⁷: up to here `127 · scale` is finite, however it is rounded.
const LARGEST_INT8: f32 = f32::from_bits(0x7f00_0000);
/// Largest integer of a block.
const LEVELS: f32 = 127.0;

/// How an f32 tensor is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Every bit.
    #[default]
    F32,
    /// bfloat16, rounded to nearest even.
    Bf16,
    /// 8-bit integers with a scale for each block.
    Int8,
}

/// Why a tensor cannot be written.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// Only f32 tensors are sent.
    #[error("a tensor {0} cannot be encoded; only f32 tensors of up to 255 axes can")]
    Type(TensorType),
    /// NaN, infinity, or beyond what the format can hold.
    #[error(
        "element {index} is {value}; {format:?} holds finite numbers up to a magnitude of {limit:e}"
    )]
    Value {
        /// Place in row-major order.
        index: usize,
        /// The element.
        value: f32,
        /// The format.
        format: Format,
        /// The largest magnitude.
        limit: f32,
    },
}

/// Why bytes are no tensor of the expected format and shape.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The number of bytes does not follow from format and shape.
    #[error("{found} bytes, where a tensor {shape} in {format:?} has {expected}")]
    Length {
        /// The expected format.
        format: Format,
        /// The expected shape.
        shape: Shape,
        /// Its bytes.
        expected: usize,
        /// Bytes given.
        found: usize,
    },
    /// The header says something else.
    #[error("the header {found:02x?} is not that of a tensor {shape} in {format:?}")]
    Header {
        /// The expected format.
        format: Format,
        /// The expected shape.
        shape: Shape,
        /// Bytes given.
        found: Vec<u8>,
    },
    /// NaN or infinity.
    #[error("element {index} is {value}; only finite numbers are taken")]
    NotFinite {
        /// Place in row-major order.
        index: usize,
        /// The element.
        value: f32,
    },
    /// No writer makes this block.
    #[error("block {block} has the scale {scale:e} and integers up to {largest}; no tensor has it")]
    Block {
        /// Place among the blocks.
        block: usize,
        /// Its scale.
        scale: f32,
        /// The largest magnitude of its integers.
        largest: u8,
    },
    /// The elements are not as many as the shape has.
    #[error(transparent)]
    Tensor(#[from] TensorError),
}

/// Why a tensor cannot pass the wire.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CarryError {
    /// It cannot be written.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// It cannot be read.
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

impl Format {
    fn tag(self) -> u8 {
        match self {
            Self::F32 => 1,
            Self::Bf16 => 2,
            Self::Int8 => 3,
        }
    }

    /// The largest magnitude of an element.
    fn limit(self) -> f32 {
        match self {
            Self::F32 => f32::MAX,
            Self::Bf16 => LARGEST_BF16,
            Self::Int8 => LARGEST_INT8,
        }
    }

    /// Bytes of a tensor of this shape, header included.
    ///
    /// ```
    /// use reproducible_ops::program::Shape;
    /// use skippipe::encoding::Format;
    ///
    /// let shape = Shape::new([2, 100]);
    /// assert_eq!(Format::F32.bytes(&shape), 10 + 2 * 400);
    /// assert_eq!(Format::Int8.bytes(&shape), 10 + 2 * (4 + 64 + 4 + 36));
    /// ```
    pub fn bytes(self, shape: &Shape) -> usize {
        let elements = match self {
            Self::F32 => 4 * shape.elements(),
            Self::Bf16 => 2 * shape.elements(),
            Self::Int8 => shape.elements() + 4 * shape.rows() * shape.last().div_ceil(BLOCK),
        };
        2 + 4 * shape.rank() + elements
    }

    fn header(self, shape: &Shape) -> Vec<u8> {
        let mut header = vec![self.tag(), shape.rank() as u8];
        for dim in shape.dims() {
            // A program's limits keep axes far below what four bytes hold.
            header.extend((*dim as u32).to_le_bytes());
        }
        header
    }
}

/// The bytes of an f32 tensor.
///
/// # Errors
/// Another element type, or an element that the format cannot hold.
pub fn encode(format: Format, tensor: &Tensor) -> Result<Vec<u8>, EncodeError> {
    let (shape, limit) = (tensor.shape(), format.limit());
    if tensor.ty().dtype != DType::F32 || shape.rank() > usize::from(u8::MAX) {
        return Err(EncodeError::Type(tensor.ty().clone()));
    }
    if let Some((index, value)) = tensor.first_beyond(limit) {
        return Err(EncodeError::Value {
            index,
            value,
            format,
            limit,
        });
    }
    let mut bytes = format.header(shape);
    bytes.reserve_exact(format.bytes(shape) - bytes.len());
    let words = tensor.words();
    match format {
        Format::F32 => bytes.extend(words.iter().flat_map(|word| word.to_le_bytes())),
        Format::Bf16 => bytes.extend(words.iter().flat_map(|word| to_bf16(*word).to_le_bytes())),
        Format::Int8 => {
            for block in blocks(shape, words) {
                write_block(block, &mut bytes);
            }
        }
    }
    Ok(bytes)
}

/// The f32 tensor of this shape in these bytes.
///
/// # Errors
/// See [`DecodeError`].
pub fn decode(format: Format, shape: &Shape, bytes: &[u8]) -> Result<Tensor, DecodeError> {
    let expected = format.bytes(shape);
    if bytes.len() != expected {
        return Err(DecodeError::Length {
            format,
            shape: shape.clone(),
            expected,
            found: bytes.len(),
        });
    }
    let header = format.header(shape);
    let (found, payload) = bytes.split_at(header.len());
    if *found != header {
        return Err(DecodeError::Header {
            format,
            shape: shape.clone(),
            found: found.to_vec(),
        });
    }
    let words = match format {
        Format::F32 => {
            let (words, _) = payload.as_chunks::<4>();
            words.iter().map(|word| u32::from_le_bytes(*word)).collect()
        }
        Format::Bf16 => {
            let (halves, _) = payload.as_chunks::<2>();
            let upper = halves.iter().map(|half| u16::from_le_bytes(*half));
            upper.map(|upper| u32::from(upper) << 16).collect()
        }
        Format::Int8 => read_blocks(shape, payload)?,
    };
    let tensor = Tensor::from_words(TensorType::f32(shape.clone()), words)?;
    match tensor.first_beyond(f32::MAX) {
        Some((index, value)) => Err(DecodeError::NotFinite { index, value }),
        None => Ok(tensor),
    }
}

/// What a receiver reads of a tensor that was sent: the one to compute on.
///
/// # Errors
/// The format cannot hold it.
pub fn carried(format: Format, tensor: &Tensor) -> Result<Tensor, CarryError> {
    Ok(decode(format, tensor.shape(), &encode(format, tensor)?)?)
}

/// The upper half of a finite f32, rounded to nearest even.
fn to_bf16(word: u32) -> u16 {
    let even = (word >> 16) & 1;
    ((word + 0x7fff + even) >> 16) as u16
}

/// The blocks of rows along the last axis.
fn blocks<'a, T>(shape: &Shape, elements: &'a [T]) -> impl Iterator<Item = &'a [T]> {
    let rows = elements.chunks(shape.last().max(1));
    rows.flat_map(|row| row.chunks(BLOCK))
}

fn write_block(words: &[u32], bytes: &mut Vec<u8>) {
    let values = words.iter().map(|word| f32::from_bits(*word));
    let largest = values.clone().fold(0.0, |so_far, value: f32| {
        scalar::max(so_far, scalar::abs(value))
    });
    let scale = scale(largest);
    bytes.extend(scale.to_bits().to_le_bytes());
    bytes.extend(values.map(|value| quantised(value, scale).cast_unsigned()));
}

/// `largest / 127`; a subnormal one is rounded up, because to round it down may leave out more than
/// half of it for each of 127 steps.
fn scale(largest: f32) -> f32 {
    let scale = scalar::div(largest, LEVELS);
    let is_short = scale < f32::MIN_POSITIVE && scalar::mul(LEVELS, scale) < largest;
    f32::from_bits(scale.to_bits() + u32::from(is_short))
}

fn quantised(value: f32, scale: f32) -> i8 {
    if scale == 0.0 {
        return 0;
    }
    let level = scalar::cast::f32_to_i32(scalar::div(value, scale));
    level.clamp(-127, 127) as i8
}

/// The elements of a payload whose length follows from the shape.
fn read_blocks(shape: &Shape, payload: &[u8]) -> Result<Vec<u32>, DecodeError> {
    let mut words = Vec::with_capacity(shape.elements());
    let mut rest = payload;
    let lengths = blocks_lengths(shape);
    for (block, length) in lengths.enumerate() {
        let (head, tail) = rest.split_at(4);
        let (levels, after) = tail.split_at(length);
        rest = after;
        let scale = f32::from_le_bytes([head[0], head[1], head[2], head[3]]);
        check_block(block, scale, levels)?;
        let values = levels.iter().map(|level| f32::from(level.cast_signed()));
        words.extend(values.map(|level| scalar::mul(level, scale).to_bits()));
    }
    Ok(words)
}

fn blocks_lengths(shape: &Shape) -> impl Iterator<Item = usize> {
    let width = shape.last();
    let of_row = (0..width)
        .step_by(BLOCK)
        .map(move |at| BLOCK.min(width - at));
    std::iter::repeat_n(of_row, shape.rows()).flatten()
}

/// Refuses blocks that [`write_block`] never makes: the largest integer of a block is 127, but that
/// of a scale that was rounded up, and that of zeros.
fn check_block(block: usize, scale: f32, levels: &[u8]) -> Result<(), DecodeError> {
    let magnitudes = levels
        .iter()
        .map(|level| level.cast_signed().unsigned_abs());
    let largest = magnitudes.fold(0, u8::max);
    let is_made = match scale {
        _ if scale.is_sign_negative() || !scale.is_finite() => false,
        0.0 => largest == 0,
        _ if scale < f32::MIN_POSITIVE => (1..=127).contains(&largest),
        _ => largest == 127,
    };
    match is_made {
        true => Ok(()),
        false => Err(DecodeError::Block {
            block,
            scale,
            largest,
        }),
    }
}

#[cfg(test)]
mod tests;
