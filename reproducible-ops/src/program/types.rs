//! Element types and shapes of values.

use std::fmt;

/// Sizes that no program may exceed. They bound what a decoder allocates and what a peer can ask
/// for.
pub mod limits {
    /// Axes of one tensor.
    pub const MAX_RANK: usize = 8;
    /// Elements of one tensor: 2³¹, so that every index fits an i32.
    pub const MAX_ELEMENTS: usize = 1 << 31;
    /// Inputs and nodes of one program together.
    pub const MAX_VALUES: usize = 1 << 20;
    /// Operands of one node (only `concat` takes more than three).
    pub const MAX_OPERANDS: usize = 1 << 12;
    /// Bytes of an input or output name.
    pub const MAX_NAME_BYTES: usize = 256;
    /// Bytes of one encoded program.
    pub const MAX_PROGRAM_BYTES: usize = 1 << 28;
}

/// Element type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DType {
    /// IEEE-754 binary32.
    F32,
    /// Two's complement, wrapping.
    I32,
    /// Zero or one.
    Bool,
}

impl DType {
    /// The number that stands for the type in an encoded program, in commitments and in contracts.
    pub fn tag(self) -> u8 {
        match self {
            Self::F32 => 0,
            Self::I32 => 1,
            Self::Bool => 2,
        }
    }

    /// The name used in texts.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::I32 => "i32",
            Self::Bool => "bool",
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A Rust type whose values are held as words of 32 bits.
pub(crate) trait Element: Copy {
    /// The element type that it stands for.
    const DTYPE: DType;

    /// The value that a word holds.
    fn from_word(word: u32) -> Self;

    /// The word that holds the value.
    fn to_word(self) -> u32;
}

impl Element for f32 {
    const DTYPE: DType = DType::F32;

    #[inline(always)]
    fn from_word(word: u32) -> Self {
        Self::from_bits(word)
    }

    #[inline(always)]
    fn to_word(self) -> u32 {
        self.to_bits()
    }
}

impl Element for i32 {
    const DTYPE: DType = DType::I32;

    #[inline(always)]
    fn from_word(word: u32) -> Self {
        word.cast_signed()
    }

    #[inline(always)]
    fn to_word(self) -> u32 {
        self.cast_unsigned()
    }
}

impl Element for bool {
    const DTYPE: DType = DType::Bool;

    #[inline(always)]
    fn from_word(word: u32) -> Self {
        word != 0
    }

    #[inline(always)]
    fn to_word(self) -> u32 {
        u32::from(self)
    }
}

/// Lengths of the axes, outermost first. Rank 0 is a scalar.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Shape(Vec<usize>);

impl Shape {
    /// A shape with these axis lengths.
    pub fn new(dims: impl Into<Vec<usize>>) -> Self {
        Self(dims.into())
    }

    /// The shape of a scalar.
    pub fn scalar() -> Self {
        Self(Vec::new())
    }

    /// Axis lengths, outermost first.
    pub fn dims(&self) -> &[usize] {
        &self.0
    }

    /// Number of axes.
    pub fn rank(&self) -> usize {
        self.0.len()
    }

    /// Number of elements; 1 for a scalar. Saturates, so that an absurd shape fails the limit
    /// instead of wrapping.
    pub fn elements(&self) -> usize {
        self.0.iter().fold(1, |n, &dim| n.saturating_mul(dim))
    }

    /// Whether rank, every axis and the number of elements stay below [`limits`]. An axis counts
    /// even beside one of length 0, for its length is encoded and looped over.
    pub fn is_within_limits(&self) -> bool {
        let axes_fit = self.0.iter().all(|&dim| dim <= limits::MAX_ELEMENTS);
        self.rank() <= limits::MAX_RANK && axes_fit && self.elements() <= limits::MAX_ELEMENTS
    }

    /// Length of the last axis; 1 for a scalar.
    pub fn last(&self) -> usize {
        self.0.last().copied().unwrap_or(1)
    }

    /// Number of rows: the product of all axes but the last.
    pub fn rows(&self) -> usize {
        let outer = self.0.len().saturating_sub(1);
        self.0[..outer]
            .iter()
            .fold(1, |n, &dim| n.saturating_mul(dim))
    }

    /// The same shape with another last axis; a scalar gains one.
    pub fn with_last(&self, last: usize) -> Self {
        let mut dims = self.0.clone();
        dims.pop();
        dims.push(last);
        Self(dims)
    }

    /// Distance in elements between neighbours along each axis of a contiguous tensor.
    pub fn strides(&self) -> Vec<usize> {
        let mut strides = vec![1usize; self.0.len()];
        for axis in (1..self.0.len()).rev() {
            strides[axis - 1] = strides[axis].saturating_mul(self.0[axis]);
        }
        strides
    }
}

impl From<Vec<usize>> for Shape {
    fn from(dims: Vec<usize>) -> Self {
        Self(dims)
    }
}

impl From<&[usize]> for Shape {
    fn from(dims: &[usize]) -> Self {
        Self(dims.to_vec())
    }
}

impl<const N: usize> From<[usize; N]> for Shape {
    fn from(dims: [usize; N]) -> Self {
        Self(dims.to_vec())
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// Element type and shape of a value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TensorType {
    /// Element type.
    pub dtype: DType,
    /// Axis lengths.
    pub shape: Shape,
}

impl TensorType {
    /// A type of these elements and axes.
    pub fn new(dtype: DType, shape: impl Into<Shape>) -> Self {
        Self {
            dtype,
            shape: shape.into(),
        }
    }

    /// An f32 tensor type.
    pub fn f32(shape: impl Into<Shape>) -> Self {
        Self::new(DType::F32, shape)
    }

    /// An i32 tensor type.
    pub fn i32(shape: impl Into<Shape>) -> Self {
        Self::new(DType::I32, shape)
    }
}

impl fmt::Display for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.dtype, self.shape)
    }
}
