//! The primitive operators, the whole vocabulary of a program, and the *operator table*.
//!
//! The table has two parts, both in this file:
//!
//! * `operator_table!` has one row per operator: encoding tag, name, number of operands and
//!   attributes. [`OPERATORS`] shows it.
//! * `elementwise_table!` has one row per elementwise operator and choice of element types: the
//!   function of [`crate::scalar`] that is its meaning. [`Elementwise`](super::Elementwise) shows
//!   it.
//!
//! Whatever must know every operator is an expansion of a table or a `match` without wildcard:
//! encoding and decoding, type inference, the reference engine, the loops of the CPU engine, known
//! answers, test vectors. A table is a macro that hands its rows to another macro,
//! `operator_table!(callback)`; the callback turns each row into an arm or an entry.

use std::fmt;

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

/// The first part of the operator table: how operators are written.
///
/// `tag "name" (operands) [attributes] (operator)`. Tags and names are never reused or changed;
/// attributes follow the tag in this order.
macro_rules! operator_table {
    ($expand:ident) => {
        $expand! {
            elementwise {
                 2 "neg"             (1)   []                 (Neg)
                 3 "abs"             (1)   []                 (Abs)
                 4 "sqrt"            (1)   []                 (Sqrt)
                 5 "exp"             (1)   []                 (Exp)
                 6 "log"             (1)   []                 (Log)
                 7 "tanh"            (1)   []                 (Tanh)
                 8 "not"             (1)   []                 (Not)
                 9 "cast"            (1)   [to]               (Cast(to))
                10 "add"             (2)   []                 (Add)
                11 "sub"             (2)   []                 (Sub)
                12 "mul"             (2)   []                 (Mul)
                13 "div"             (2)   []                 (Div)
                14 "max"             (2)   []                 (Max)
                15 "min"             (2)   []                 (Min)
                16 "and"             (2)   []                 (And)
                17 "or"              (2)   []                 (Or)
                18 "equal"           (2)   []                 (Compare(Comparison::Equal))
                19 "less"            (2)   []                 (Compare(Comparison::Less))
                20 "less_equal"      (2)   []                 (Compare(Comparison::LessEqual))
                21 "select"          (3)   []                 (Select)
            }
            tensor {
                 0 "full"            (0)   [dtype bits shape] (Full { dtype, bits, shape })
                 1 "iota"            (0)   [shape axis]       (Iota { shape, axis })
                22 "matmul_nt"       (2)   []                 (MatmulNt)
                23 "sum"             (1)   []                 (Sum)
                24 "reduce_max"      (1)   []                 (ReduceMax)
                25 "argmax"          (1)   []                 (Argmax)
                26 "reshape"         (1)   [shape]            (Reshape(shape))
                27 "permute"         (1)   [axes]             (Permute(axes))
                28 "expand"          (1)   [shape]            (Expand(shape))
                29 "slice"           (1)   [starts ends]      (Slice { starts, ends })
                30 "concat"          (1..) [axis]             (Concat { axis })
                31 "pad"             (1)   [before after]     (Pad { before, after })
                32 "gather_rows"     (2)   []                 (GatherRows)
                33 "one_hot"         (1)   [classes]          (OneHot { classes })
                34 "take_along_last" (2)   []                 (TakeAlongLast)
                35 "update_rows"     (3)   []                 (UpdateRows)
                36 "philox_uniform"  (2)   [lanes]            (PhiloxUniform { lanes })
            }
        }
    };
}

/// The second part of the operator table: what elementwise operators mean.
///
/// `Row "name" (operator) (operand types) -> result type, function;`. A row is found by its
/// operator and operand types. Its name is that of its known answer in [`crate::conformance`].
macro_rules! elementwise_table {
    ($expand:ident) => {
        $expand! {
            NegF32        "neg"               (Neg)   (f32)  -> f32,  scalar::neg;
            NegI32        "neg i32"           (Neg)   (i32)  -> i32,  scalar::int::neg;
            AbsF32        "abs"               (Abs)   (f32)  -> f32,  scalar::abs;
            AbsI32        "abs i32"           (Abs)   (i32)  -> i32,  scalar::int::abs;
            SqrtF32       "sqrt"              (Sqrt)  (f32)  -> f32,  scalar::sqrt;
            ExpF32        "exp"               (Exp)   (f32)  -> f32,  scalar::exp;
            LogF32        "log"               (Log)   (f32)  -> f32,  scalar::log;
            TanhF32       "tanh"              (Tanh)  (f32)  -> f32,  scalar::tanh;
            NotBool       "not"               (Not)   (bool) -> bool, scalar::logic::not;

            CastF32ToF32  "cast f32 to f32"   (Cast(DType::F32))  (f32)  -> f32,  scalar::cast::same;
            CastI32ToF32  "cast i32 to f32"   (Cast(DType::F32))  (i32)  -> f32,  scalar::cast::i32_to_f32;
            CastBoolToF32 "cast bool to f32"  (Cast(DType::F32))  (bool) -> f32,  scalar::cast::bool_to_f32;
            CastF32ToI32  "cast f32 to i32"   (Cast(DType::I32))  (f32)  -> i32,  scalar::cast::f32_to_i32;
            CastI32ToI32  "cast i32 to i32"   (Cast(DType::I32))  (i32)  -> i32,  scalar::cast::same;
            CastBoolToI32 "cast bool to i32"  (Cast(DType::I32))  (bool) -> i32,  scalar::cast::bool_to_i32;
            CastF32ToBool "cast f32 to bool"  (Cast(DType::Bool)) (f32)  -> bool, scalar::cast::f32_to_bool;
            CastI32ToBool "cast i32 to bool"  (Cast(DType::Bool)) (i32)  -> bool, scalar::cast::i32_to_bool;
            CastBoolToBool "cast bool to bool" (Cast(DType::Bool)) (bool) -> bool, scalar::cast::same;

            AddF32        "add"               (Add)   (f32, f32)   -> f32,  scalar::add;
            AddI32        "add i32"           (Add)   (i32, i32)   -> i32,  scalar::int::add;
            SubF32        "sub"               (Sub)   (f32, f32)   -> f32,  scalar::sub;
            SubI32        "sub i32"           (Sub)   (i32, i32)   -> i32,  scalar::int::sub;
            MulF32        "mul"               (Mul)   (f32, f32)   -> f32,  scalar::mul;
            MulI32        "mul i32"           (Mul)   (i32, i32)   -> i32,  scalar::int::mul;
            DivF32        "div"               (Div)   (f32, f32)   -> f32,  scalar::div;
            MaxF32        "max"               (Max)   (f32, f32)   -> f32,  scalar::max;
            MaxI32        "max i32"           (Max)   (i32, i32)   -> i32,  scalar::int::max;
            MinF32        "min"               (Min)   (f32, f32)   -> f32,  scalar::min;
            MinI32        "min i32"           (Min)   (i32, i32)   -> i32,  scalar::int::min;
            AndBool       "and"               (And)   (bool, bool) -> bool, scalar::logic::and;
            OrBool        "or"                (Or)    (bool, bool) -> bool, scalar::logic::or;

            EqualF32      "equal"             (Compare(Comparison::Equal))     (f32, f32) -> bool, scalar::compare::eq;
            EqualI32      "equal i32"         (Compare(Comparison::Equal))     (i32, i32) -> bool, scalar::compare::eq;
            LessF32       "less"              (Compare(Comparison::Less))      (f32, f32) -> bool, scalar::compare::lt;
            LessI32       "less i32"          (Compare(Comparison::Less))      (i32, i32) -> bool, scalar::compare::lt;
            LessEqualF32  "less_equal"        (Compare(Comparison::LessEqual)) (f32, f32) -> bool, scalar::compare::le;
            LessEqualI32  "less_equal i32"    (Compare(Comparison::LessEqual)) (i32, i32) -> bool, scalar::compare::le;

            SelectF32     "select"            (Select) (bool, f32, f32)   -> f32,  scalar::compare::select;
            SelectI32     "select i32"        (Select) (bool, i32, i32)   -> i32,  scalar::compare::select;
            SelectBool    "select bool"       (Select) (bool, bool, bool) -> bool, scalar::compare::select;
        }
    };
}

pub(crate) use {elementwise_table, operator_table};

/// How many operands an operator takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Arity {
    /// This many.
    Exactly(usize),
    /// This many or more.
    AtLeast(usize),
}

impl Arity {
    /// The fewest operands.
    pub fn least(self) -> usize {
        match self {
            Self::Exactly(count) | Self::AtLeast(count) => count,
        }
    }

    /// Whether an operator of this arity takes `count` operands.
    pub fn allows(self, count: usize) -> bool {
        match self {
            Self::Exactly(exact) => count == exact,
            Self::AtLeast(least) => count >= least,
        }
    }
}

impl fmt::Display for Arity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(count) => write!(f, "{count}"),
            Self::AtLeast(count) => write!(f, "{count} or more"),
        }
    }
}

/// A row of [`OPERATORS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OperatorRow {
    /// The first byte of the operator's canonical encoding.
    pub tag: u8,
    /// The name used in texts and traces.
    pub name: &'static str,
    /// How many operands it takes.
    pub arity: Arity,
    /// Its attributes, in the order in which they follow the tag.
    pub attributes: &'static [&'static str],
    /// Whether it is computed element by element: see [`Operator::is_elementwise`].
    pub elementwise: bool,
}

macro_rules! arity {
    ($count:literal) => {
        Arity::Exactly($count)
    };
    ($count:literal ..) => {
        Arity::AtLeast($count)
    };
}

macro_rules! define_rows {
    ($($section:ident {
        $($tag:literal $name:literal $arity:tt [$($attribute:ident)*] ($($operator:tt)+))*
    })*) => {
        /// Every operator.
        ///
        /// | tag | name | operands | attributes | |
        /// |---|---|---|---|---|
        $($(#[doc = concat!(
            "| ", $tag, " | `", $name, "` | ", stringify!($arity), " | ",
            $("`", stringify!($attribute), "` ",)* "| ", stringify!($section), " |"
        )])*)*
        pub const OPERATORS: &[OperatorRow] = &[$($(row!($section $tag $name $arity [$($attribute)*]),)*)*];

        impl Operator {
            /// The operator's row of [`OPERATORS`].
            pub fn row(&self) -> &'static OperatorRow {
                match self {
                    $($(Self::$($operator)+ => {
                        let _ = ($($attribute,)*);
                        &row!($section $tag $name $arity [$($attribute)*])
                    })*)*
                }
            }
        }
    };
}

macro_rules! row {
    ($section:ident $tag:literal $name:literal $arity:tt [$($attribute:ident)*]) => {
        OperatorRow {
            tag: $tag,
            name: $name,
            arity: arity! $arity,
            attributes: &[$(stringify!($attribute)),*],
            elementwise: is_elementwise!($section),
        }
    };
}

macro_rules! is_elementwise {
    (elementwise) => {
        true
    };
    (tensor) => {
        false
    };
}

operator_table!(define_rows);

/// The pattern of one operator, whatever its attributes.
macro_rules! any {
    ([] $($operator:tt)+) => {
        $crate::program::Operator::$($operator)+
    };
    ([$($attribute:ident)+] $variant:ident $fields:tt) => {
        $crate::program::Operator::$variant { .. }
    };
}

macro_rules! define_pattern {
    (
        elementwise { $($tag:literal $name:literal $arity:tt $attributes:tt ($($operator:tt)+))* }
        tensor $others:tt
    ) => {
        /// The pattern of all elementwise operators, so that a `match` that treats them alike needs
        /// no wildcard.
        macro_rules! elementwise {
            () => { $($crate::program::any!($attributes $($operator)+))|* };
        }
    };
}

operator_table!(define_pattern);

pub(crate) use {any, elementwise};

impl Operator {
    /// The name used in texts and traces.
    pub fn name(&self) -> &'static str {
        self.row().name
    }

    /// Whether each output element depends only on the elements at the same place of same-shaped
    /// operands.
    pub fn is_elementwise(&self) -> bool {
        self.row().elementwise
    }

    /// Whether the output only rearranges or repeats elements of its one operand, so that an engine
    /// may read through it.
    pub fn is_view(&self) -> bool {
        use Operator::*;
        matches!(self, Reshape(_) | Permute(_) | Expand(_) | Slice { .. })
    }
}
