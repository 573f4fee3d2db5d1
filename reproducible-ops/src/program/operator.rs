//! The primitive operators: the whole vocabulary of a program.
//!
//! The meaning of each is in [`crate::scalar`] (one element) and [`crate::engine::reference`] (a
//! whole tensor). A new one needs a scalar meaning, type inference, an encoding tag, a kernel, a
//! gradient rule and tests.

use super::types::{DType, Shape};

/// How two numbers are compared. Greater-than is the swapped form, not-equal the negated one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Comparison {
    /// `a == b`; false if either is NaN; −0 equals +0.
    Equal,
    /// `a < b`; false if either is NaN.
    Less,
    /// `a <= b`; false if either is NaN.
    LessEqual,
}

/// An operator with its attributes. "Last axis" of a scalar does not exist; such operands are
/// refused.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Operator {
    /// `() → shape`: every element is the value with these bits (f32 bits, i32 bits, or 0/1).
    Full {
        /// Element type.
        dtype: DType,
        /// The value's 32 bits; a NaN must be canonical.
        bits: u32,
        /// Shape of the output.
        shape: Shape,
    },
    /// `() → shape`, i32: the index along `axis`.
    Iota {
        /// Shape of the output.
        shape: Shape,
        /// The axis that is counted.
        axis: usize,
    },

    /// `−x`, f32 or i32.
    Neg,
    /// `|x|`, f32 or i32 (`i32::MIN` stays).
    Abs,
    /// Square root, f32.
    Sqrt,
    /// eˣ by the fixed program of [`crate::scalar::exp`].
    Exp,
    /// Natural logarithm by the fixed program of [`crate::scalar::log`].
    Log,
    /// Hyperbolic tangent by the fixed program of [`crate::scalar::tanh`].
    Tanh,
    /// Logical negation of a bool.
    Not,
    /// Conversion: f32→i32 rounds to nearest even and saturates, NaN → 0; number→bool is `x != 0`.
    Cast(DType),

    /// `a + b`, f32 or i32.
    Add,
    /// `a − b`, f32 or i32.
    Sub,
    /// `a · b`, f32 or i32.
    Mul,
    /// `a / b`, f32.
    Div,
    /// The larger; −0 < +0; NaN if either is NaN. f32 or i32.
    Max,
    /// The smaller; −0 < +0; NaN if either is NaN. f32 or i32.
    Min,
    /// Logical and of bools.
    And,
    /// Logical or of bools.
    Or,
    /// Comparison of f32 or i32 operands; the result is bool.
    Compare(Comparison),
    /// `(condition, a, b) → a where condition else b`, bits unchanged.
    Select,

    /// `(a: [batch…, M, K], b: [batch…, N, K]) → [batch…, M, N]`: `a · bᵀ`, each element one
    /// dot-product tree over K.
    MatmulNt,
    /// `[…, K] → […, 1]`: sum by the reduction tree.
    Sum,
    /// `[…, K] → […, 1]`: largest element; −∞ for K = 0.
    ReduceMax,
    /// `[…, K] → […, 1]`, i32: index of the largest element, the lowest at ties; a NaN counts as
    /// largest. K ≥ 1.
    Argmax,

    /// Same elements in the same order under another shape.
    Reshape(Shape),
    /// Output axis `i` is input axis `axes[i]`.
    Permute(Vec<usize>),
    /// Axes of length 1 repeated to the given shape; same rank.
    Expand(Shape),
    /// Elements `starts[i]..ends[i]` along each axis.
    Slice {
        /// First index per axis.
        starts: Vec<usize>,
        /// One past the last index per axis.
        ends: Vec<usize>,
    },
    /// Operands one after another along `axis`.
    Concat {
        /// The axis along which lengths add up.
        axis: usize,
    },
    /// Zeros (f32 +0, i32 0, false) around the operand.
    Pad {
        /// Zeros before, per axis.
        before: Vec<usize>,
        /// Zeros after, per axis.
        after: Vec<usize>,
    },

    /// `(table: [R, D], ids: i32 […]) → […, D]`. An id outside `0..R` gives a row of zeros.
    GatherRows,
    /// `i32 […] → f32 […, classes]`: 1 at the id, 0 elsewhere; all 0 for an id out of range.
    OneHot {
        /// Length of the new last axis.
        classes: usize,
    },
    /// `(x: […, C], ids: i32 […, P]) → […, P]`. An id outside `0..C` gives 0.
    TakeAlongLast,
    /// `(base: [batch…, R, D], rows: [batch…, r, D], at: i32 [batch…]) → base` with rows `at..at+r`
    /// replaced; rows that fall outside `0..R` are dropped.
    UpdateRows,
    /// `(key: i32 [2], counter: i32 [N, 3]) → f32 [N, lanes]`, uniform in (0, 1): see
    /// [`crate::random::uniform_at`].
    PhiloxUniform {
        /// Length of the output's last axis.
        lanes: usize,
    },
}

impl Operator {
    /// The name used in texts and traces.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Full { .. } => "full",
            Self::Iota { .. } => "iota",
            Self::Neg => "neg",
            Self::Abs => "abs",
            Self::Sqrt => "sqrt",
            Self::Exp => "exp",
            Self::Log => "log",
            Self::Tanh => "tanh",
            Self::Not => "not",
            Self::Cast(_) => "cast",
            Self::Add => "add",
            Self::Sub => "sub",
            Self::Mul => "mul",
            Self::Div => "div",
            Self::Max => "max",
            Self::Min => "min",
            Self::And => "and",
            Self::Or => "or",
            Self::Compare(Comparison::Equal) => "equal",
            Self::Compare(Comparison::Less) => "less",
            Self::Compare(Comparison::LessEqual) => "less_equal",
            Self::Select => "select",
            Self::MatmulNt => "matmul_nt",
            Self::Sum => "sum",
            Self::ReduceMax => "reduce_max",
            Self::Argmax => "argmax",
            Self::Reshape(_) => "reshape",
            Self::Permute(_) => "permute",
            Self::Expand(_) => "expand",
            Self::Slice { .. } => "slice",
            Self::Concat { .. } => "concat",
            Self::Pad { .. } => "pad",
            Self::GatherRows => "gather_rows",
            Self::OneHot { .. } => "one_hot",
            Self::TakeAlongLast => "take_along_last",
            Self::UpdateRows => "update_rows",
            Self::PhiloxUniform { .. } => "philox_uniform",
        }
    }

    /// Whether each output element depends only on the elements at the same place of same-shaped
    /// operands.
    pub fn is_elementwise(&self) -> bool {
        use Operator::*;
        matches!(
            self,
            Neg | Abs
                | Sqrt
                | Exp
                | Log
                | Tanh
                | Not
                | Cast(_)
                | Add
                | Sub
                | Mul
                | Div
                | Max
                | Min
                | And
                | Or
                | Compare(_)
                | Select
        )
    }

    /// Whether the output only rearranges or repeats elements of its one operand, so that an engine
    /// may read through it.
    pub fn is_view(&self) -> bool {
        use Operator::*;
        matches!(self, Reshape(_) | Permute(_) | Expand(_) | Slice { .. })
    }
}
