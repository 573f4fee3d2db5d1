//! Why a model cannot be lowered, and where.

use std::fmt;

use burn_ir::OperationIr;

use crate::program::{TensorType, TypeError};

/// Where in the recorded model something happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Number of the recorded operation, from 0.
    pub index: usize,
    /// The operation's name, `Float::Sin`.
    pub operator: String,
    /// Element type and shape of its first output.
    pub output: String,
    /// The parameter that was used last on the way to this operation's operands.
    pub after: Option<String>,
}

impl Place {
    pub(super) fn new(index: usize, operation: &OperationIr, after: Option<String>) -> Box<Self> {
        let output = operation.outputs().next();
        let output = output.map_or_else(String::new, |out| {
            format!("{:?}{:?}", out.dtype, out.shape.to_vec())
        });
        Box::new(Self {
            index,
            operator: operator_name(operation),
            output,
            after,
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "operation {} (`{}` giving {}",
            self.index, self.operator, self.output
        )?;
        match &self.after {
            Some(parameter) => write!(f, ", after parameter `{parameter}`)"),
            None => write!(f, ")"),
        }
    }
}

/// `Group::Variant` of an operation, read from its debug form, which nests as `Group(DType,
/// Variant(Description {…`.
pub(super) fn operator_name(operation: &OperationIr) -> String {
    if let OperationIr::Custom(custom) = operation {
        return format!("Custom::{}", custom.id);
    }
    let text = format!("{operation:?}");
    let head = match text.split_once('{') {
        Some((head, _)) => head,
        None => &text,
    };
    let words: Vec<&str> = head
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    match words.as_slice() {
        [group, .., variant, description] if description.ends_with("Ir") => {
            format!("{group}::{variant}")
        }
        _ => words.join("::"),
    }
}

/// Why a model cannot be lowered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LowerError {
    /// An operator without a reproducible meaning.
    #[error("unsupported Burn operator at {place}; {remedy}")]
    Unsupported {
        /// Where.
        place: Box<Place>,
        /// What to write instead.
        remedy: &'static str,
    },
    /// A supported operator on operands that the primitives do not take.
    #[error(
        "{place} cannot be expressed: {reason}; see the table in the documentation of \
         `reproducible_ops::lower`"
    )]
    Operands {
        /// Where.
        place: Box<Place>,
        /// Which primitive refused what.
        reason: TypeError,
    },
    /// An element type other than f32, integers and bool.
    #[error("{place} uses element type {dtype}; cast to f32, i32 or bool")]
    DType {
        /// Where.
        place: Box<Place>,
        /// Burn's name of the type.
        dtype: String,
    },
    /// An integer that i32 cannot hold.
    #[error("{place} uses the integer {value}, which does not fit i32; use a smaller one")]
    Range {
        /// Where.
        place: Box<Place>,
        /// The integer.
        value: i64,
    },
    /// A tensor that was not made while recording.
    #[error(
        "{place} reads a tensor of another recording; declare it with `Recorder::constant`, or \
         make it inside"
    )]
    Foreign {
        /// Where.
        place: Box<Place>,
    },
    /// The translation gives another type than Burn: an error of this crate.
    #[error("{place} was translated to {found}, but Burn expects {expected}; please report this")]
    Mismatch {
        /// Where.
        place: Box<Place>,
        /// What Burn declares.
        expected: TensorType,
        /// What the program has.
        found: TensorType,
    },
    /// Two inputs or two outputs with one name.
    #[error("the name `{name}` is used twice for an {what}; names are unique")]
    DuplicateName {
        /// `input` or `output`.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// An output that the recording does not know.
    #[error("output `{name}` was not computed on the recorder's device from its inputs")]
    UnknownOutput {
        /// The output's name.
        name: String,
    },
    /// A parameter of an element type that weights cannot hold.
    #[error("parameter `{name}` has element type {dtype}; cast it to f32")]
    Parameter {
        /// Burn path of the parameter.
        name: String,
        /// Burn's name of the type.
        dtype: String,
    },
    /// A constant whose rank differs from the rank asked for.
    #[error("constant `{name}` has shape {shape}, but {rank} axes were asked for")]
    ConstantRank {
        /// The constant's name.
        name: String,
        /// Its shape.
        shape: String,
        /// The rank of the Burn tensor.
        rank: usize,
    },
    /// The forward function panicked: Burn's checks do, and so does reading a value while
    /// recording.
    #[error(
        "the forward function stopped after {operations} operations (the last: {last}): {message}; \
         shapes must agree, all tensors must be on `Recorder::device`, and values cannot be read \
         while recording"
    )]
    Panicked {
        /// Operations recorded before.
        operations: usize,
        /// The last of them.
        last: String,
        /// The panic's message.
        message: String,
    },
    /// Burn refused the recording: most likely a tensor of another recording took part.
    #[error(
        "recording failed: {0}; tensors belong to the recording that made them, hand values over \
         as inputs"
    )]
    Capture(String),
}
