//! Host tensors: a type and its elements as 32-bit words.
//!
//! Every element type occupies one word (f32 by its bits, bool as 0 or 1), so moving data never
//! depends on its type.
//!
//! An f32 tensor may be *kept at two bytes* a number, as it came from a file of bf16 or f16: see
//! [`Tensor::from_halves`]. That is how it lies in memory and no part of what it is: type, words and
//! equality are those of the widened numbers. Whoever reads [`Tensor::words`] has them widened, once,
//! and held as long as the tensor; [`Tensor::halves`] and [`Tensor::word_chunks`] spare that.

mod half;

use std::borrow::Cow;
use std::fmt;
use std::sync::OnceLock;

use crate::program::{DType, Shape, TensorType};

pub use half::{HalfFormat, Halves};

/// A dense, contiguous, row-major tensor.
#[derive(Clone)]
pub struct Tensor {
    ty: TensorType,
    elements: Elements,
}

/// How elements lie in memory.
#[derive(Clone)]
enum Elements {
    Words(Vec<u32>),
    /// Words of an f32 tensor at two bytes; widened once somebody asks for them as a slice.
    Halves {
        halves: Halves,
        widened: OnceLock<Vec<u32>>,
    },
}

/// Why a tensor cannot be made or read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TensorError {
    /// Element count and shape differ.
    #[error("{found} elements given for {ty}, which has {}", ty.shape.elements())]
    Length {
        /// The wanted type.
        ty: TensorType,
        /// Elements given.
        found: usize,
    },
    /// Read as another element type.
    #[error("tensor {ty} was read as {wanted}")]
    DType {
        /// Its type.
        ty: TensorType,
        /// The element type asked for.
        wanted: DType,
    },
}

impl Tensor {
    /// A tensor of raw words.
    ///
    /// # Errors
    /// The number of words is not that of the shape.
    pub fn from_words(ty: TensorType, words: Vec<u32>) -> Result<Self, TensorError> {
        if words.len() != ty.shape.elements() {
            return Err(TensorError::Length {
                found: words.len(),
                ty,
            });
        }
        Ok(Self::of_words(ty, words))
    }

    fn of_words(ty: TensorType, words: Vec<u32>) -> Self {
        let elements = Elements::Words(words);
        Self { ty, elements }
    }

    /// An f32 tensor that is kept at two bytes a number.
    ///
    /// ```
    /// use reproducible_ops::tensor::{HalfFormat, Tensor};
    ///
    /// let kept = Tensor::from_halves([2], HalfFormat::F16, vec![0x3c00, 0xc000])?;
    /// assert_eq!(kept, Tensor::f32([2], vec![1.0, -2.0])?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The number of values is not that of the shape.
    pub fn from_halves(
        shape: impl Into<Shape>,
        format: HalfFormat,
        bits: Vec<u16>,
    ) -> Result<Self, TensorError> {
        let ty = TensorType::f32(shape);
        if bits.len() != ty.shape.elements() {
            return Err(TensorError::Length {
                found: bits.len(),
                ty,
            });
        }
        let elements = Elements::Halves {
            halves: Halves::new(format, bits),
            widened: OnceLock::new(),
        };
        Ok(Self { ty, elements })
    }

    /// An f32 tensor.
    ///
    /// # Errors
    /// The number of values is not that of the shape.
    pub fn f32(shape: impl Into<Shape>, values: Vec<f32>) -> Result<Self, TensorError> {
        Self::from_words(TensorType::f32(shape), bytemuck::cast_vec(values))
    }

    /// An i32 tensor.
    ///
    /// # Errors
    /// The number of values is not that of the shape.
    pub fn i32(shape: impl Into<Shape>, values: Vec<i32>) -> Result<Self, TensorError> {
        Self::from_words(TensorType::i32(shape), bytemuck::cast_vec(values))
    }

    /// A bool tensor.
    ///
    /// # Errors
    /// The number of values is not that of the shape.
    pub fn bool(shape: impl Into<Shape>, values: &[bool]) -> Result<Self, TensorError> {
        let words = values.iter().map(|&value| u32::from(value)).collect();
        Self::from_words(TensorType::new(DType::Bool, shape), words)
    }

    /// All zeros (f32 +0, i32 0, false).
    pub fn zeros(ty: TensorType) -> Self {
        let words = vec![0; ty.shape.elements()];
        Self::of_words(ty, words)
    }

    /// Element type and shape.
    pub fn ty(&self) -> &TensorType {
        &self.ty
    }

    /// Axis lengths.
    pub fn shape(&self) -> &Shape {
        &self.ty.shape
    }

    /// Elements as words, row-major. A tensor that is kept at two bytes has them widened, and holds
    /// both from then on.
    pub fn words(&self) -> &[u32] {
        match &self.elements {
            Elements::Words(words) => words,
            Elements::Halves { halves, widened } => widened.get_or_init(|| halves.widened()),
        }
    }

    /// Elements as words, to be changed in place. Bool elements must stay 0 or 1. A tensor that was
    /// kept at two bytes is kept as words from then on.
    pub fn words_mut(&mut self) -> &mut [u32] {
        if let Elements::Halves { halves, widened } = &mut self.elements {
            let words = widened.take().unwrap_or_else(|| halves.widened());
            self.elements = Elements::Words(words);
        }
        match &mut self.elements {
            Elements::Words(words) => words,
            Elements::Halves { .. } => unreachable!("invariant: they were widened above"),
        }
    }

    /// The numbers at two bytes, where they are kept so.
    pub fn halves(&self) -> Option<&Halves> {
        match &self.elements {
            Elements::Words(_) => None,
            Elements::Halves { halves, .. } => Some(halves),
        }
    }

    /// The words, `size` at a time; of a tensor that is kept at two bytes each chunk is widened by
    /// itself.
    ///
    /// # Panics
    /// `size` is 0.
    pub fn word_chunks(&self, size: usize) -> impl Iterator<Item = Cow<'_, [u32]>> {
        let count = self.ty.shape.elements();
        let starts = (0..count).step_by(size);
        starts.map(move |start| {
            let end = count.min(start + size);
            match &self.elements {
                Elements::Words(words) => Cow::Borrowed(&words[start..end]),
                Elements::Halves { halves, .. } => {
                    let mut words = vec![0; end - start];
                    halves.widen_into(start, &mut words);
                    Cow::Owned(words)
                }
            }
        })
    }

    /// Bytes of memory that the elements take as they are kept: 2 or 4 for each.
    pub fn bytes(&self) -> usize {
        let width = if self.halves().is_some() { 2 } else { 4 };
        width * self.ty.shape.elements()
    }

    /// Elements as f32.
    ///
    /// # Errors
    /// The tensor is not f32.
    pub fn as_f32(&self) -> Result<&[f32], TensorError> {
        self.require(DType::F32)?;
        Ok(bytemuck::cast_slice(self.words()))
    }

    /// Elements as i32.
    ///
    /// # Errors
    /// The tensor is not i32.
    pub fn as_i32(&self) -> Result<&[i32], TensorError> {
        self.require(DType::I32)?;
        Ok(bytemuck::cast_slice(self.words()))
    }

    /// The first element of an f32 tensor that is no number, or whose magnitude is above `limit`:
    /// its number in row-major order, and itself. One pass over memory, and a second one only if
    /// there is such an element.
    pub fn first_beyond(&self, limit: f32) -> Option<(usize, f32)> {
        if self.ty.dtype != DType::F32 {
            return None;
        }
        // Bits without their sign are in the order of magnitudes, with infinity and then NaN behind
        // all numbers.
        let limit = limit.abs().to_bits();
        let magnitude = |word: u32| word & (u32::MAX >> 1);
        let largest = match &self.elements {
            Elements::Words(words) => words.iter().map(|&word| magnitude(word)).fold(0, u32::max),
            Elements::Halves { halves, .. } => halves.largest(),
        };
        if largest <= limit {
            return None;
        }
        let mut elements = 0..self.ty.shape.elements();
        let index = elements.find(|&index| magnitude(self.word(index)) > limit)?;
        Some((index, f32::from_bits(self.word(index))))
    }

    /// One element's word.
    fn word(&self, index: usize) -> u32 {
        match &self.elements {
            Elements::Words(words) => words[index],
            Elements::Halves { halves, .. } => halves.format().widen(halves.bits()[index]),
        }
    }

    fn require(&self, wanted: DType) -> Result<(), TensorError> {
        if self.ty.dtype == wanted {
            return Ok(());
        }
        Err(TensorError::DType {
            ty: self.ty.clone(),
            wanted,
        })
    }
}

/// Tensors are equal if type and words are, however each is kept.
impl PartialEq for Tensor {
    fn eq(&self, other: &Self) -> bool {
        if self.ty != other.ty {
            return false;
        }
        match (self.halves(), other.halves()) {
            (Some(own), Some(others)) if own.format() == others.format() => own == others,
            _ => self.words() == other.words(),
        }
    }
}

impl Eq for Tensor {}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Tensor");
        shown.field("ty", &self.ty);
        match &self.elements {
            Elements::Words(words) => shown.field("words", words),
            Elements::Halves { halves, .. } => shown.field("halves", halves),
        };
        shown.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept() -> Tensor {
        let bits = vec![0x3c00, 0x8001, 0x7bff, 0xfc00, 0x0000];
        Tensor::from_halves([5], HalfFormat::F16, bits).unwrap()
    }

    #[test]
    fn a_tensor_kept_at_two_bytes_is_the_widened_one() {
        let halves = kept();
        let wide = Tensor::from_words(halves.ty().clone(), halves.words().to_vec()).unwrap();
        assert_eq!(halves, wide);
        assert_eq!([halves.bytes(), wide.bytes()], [10, 20]);
        let mut chunks = kept()
            .word_chunks(2)
            .map(Cow::into_owned)
            .collect::<Vec<_>>();
        assert_eq!(chunks.concat(), wide.words());
        assert_eq!(chunks.pop().unwrap().len(), 1);
        for limit in [f32::MAX, 65_503.0, 1.0, 0.0] {
            assert_eq!(
                kept().first_beyond(limit),
                wide.first_beyond(limit),
                "{limit}"
            );
        }
        assert_eq!(wide.first_beyond(65_503.0), Some((2, 65_504.0)));
    }

    #[test]
    fn what_is_changed_is_kept_as_words() {
        let mut changed = kept();
        changed.words_mut()[4] = 0.1f32.to_bits();
        assert!(changed.halves().is_none());
        assert_ne!(changed, kept());
        assert_eq!(changed.words()[..4], kept().words()[..4]);
        let short = Tensor::from_halves([3], HalfFormat::Bf16, vec![0; 2]);
        assert!(matches!(short, Err(TensorError::Length { found: 2, .. })));
    }
}
