//! Host tensors: a type and its elements as 32-bit words.
//!
//! Every element type occupies one word (f32 by its bits, bool as 0 or 1), so moving data never
//! depends on its type.

use crate::program::{DType, Shape, TensorType};

/// A dense, contiguous, row-major tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    ty: TensorType,
    words: Vec<u32>,
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
        Ok(Self { ty, words })
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
        Self { ty, words }
    }

    /// Element type and shape.
    pub fn ty(&self) -> &TensorType {
        &self.ty
    }

    /// Axis lengths.
    pub fn shape(&self) -> &Shape {
        &self.ty.shape
    }

    /// Elements as words, row-major.
    pub fn words(&self) -> &[u32] {
        &self.words
    }

    /// Elements as words, to be changed in place. Bool elements must stay 0 or 1.
    pub fn words_mut(&mut self) -> &mut [u32] {
        &mut self.words
    }

    /// Elements as f32.
    ///
    /// # Errors
    /// The tensor is not f32.
    pub fn as_f32(&self) -> Result<&[f32], TensorError> {
        self.require(DType::F32)?;
        Ok(bytemuck::cast_slice(&self.words))
    }

    /// Elements as i32.
    ///
    /// # Errors
    /// The tensor is not i32.
    pub fn as_i32(&self) -> Result<&[i32], TensorError> {
        self.require(DType::I32)?;
        Ok(bytemuck::cast_slice(&self.words))
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
        let magnitude = |word: &u32| word & (u32::MAX >> 1);
        if self.words.iter().map(magnitude).fold(0, u32::max) <= limit {
            return None;
        }
        let index = self.words.iter().position(|word| magnitude(word) > limit)?;
        Some((index, f32::from_bits(self.words[index])))
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
