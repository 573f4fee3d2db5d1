//! What can be wrong with weights and their files.

use std::io;
use std::path::PathBuf;

use super::MAX_PARAMETER;
use crate::program::TensorType;

/// Why a file or its bytes cannot be read. Nothing is kept of a file that fails.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The file cannot be opened or read.
    #[error("cannot read {path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file inside a folder or given by path is not valid.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<LoadError>,
    },
    /// Not a whole safetensors file.
    #[error(
        "not a valid safetensors file of {bytes} bytes: {reason}; it is truncated or corrupted, \
         fetch it again"
    )]
    Format {
        /// Length of the data.
        bytes: usize,
        /// What does not fit.
        reason: String,
    },
    /// A name that occurs twice.
    #[error("tensor `{name}` occurs twice; keep one")]
    Duplicate {
        /// The name.
        name: String,
    },
    /// An element type that cannot be converted exactly.
    #[error(
        "tensor `{name}` has element type {dtype}; convert the file to F32, F16, BF16, I32 or BOOL"
    )]
    DType {
        /// The tensor.
        name: String,
        /// Its type in safetensors' words.
        dtype: String,
    },
    /// An element without meaning in its type: a 64-bit integer beyond i32, or a bool other than 0
    /// and 1.
    #[error("tensor `{name}`: element {index} is {value}, which {dtype} does not hold")]
    Element {
        /// The tensor.
        name: String,
        /// Number of the element.
        index: usize,
        /// Its value.
        value: i64,
        /// The type it should fit.
        dtype: &'static str,
    },
    /// A NaN or an infinity.
    #[error(
        "tensor `{name}`: element {index} is {value}, but weights are finite numbers; the file is \
         corrupted, or its training diverged: fetch it again, or take an earlier checkpoint"
    )]
    NotFinite {
        /// The tensor.
        name: String,
        /// Number of the element, row-major from 0.
        index: usize,
        /// Its value.
        value: f32,
    },
    /// A parameter that no trained model has.
    #[error(
        "tensor `{name}`: element {index} is {value}, beyond ±{MAX_PARAMETER}, where a model's \
         numbers overflow; the file is corrupted, or its training diverged: fetch it again, or \
         take an earlier checkpoint"
    )]
    TooLarge {
        /// The tensor.
        name: String,
        /// Number of the element, row-major from 0.
        index: usize,
        /// Its value.
        value: f32,
    },
    /// The index of a sharded model is not valid, or names a file outside of its folder.
    #[error(
        "the index of the sharded model is wrong: {reason}; fetch `model.safetensors.index.json` \
         again"
    )]
    Index {
        /// What does not fit.
        reason: String,
    },
    /// A folder without weights.
    #[error(
        "{path} has neither `model.safetensors` nor `model.safetensors.index.json`",
        path = path.display()
    )]
    NoWeights {
        /// The folder.
        path: PathBuf,
    },
}

/// Why weights cannot be written. The file that was there before is untouched.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {path}: {source}", path = path.display())]
pub struct SaveError {
    /// The file.
    pub path: PathBuf,
    /// What the system says.
    pub source: io::Error,
}

/// Why weights do not fit a program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// A parameter is not there.
    #[error(
        "parameter `{name}` {expected} is missing; use the checkpoint of this model, or the model \
         of this checkpoint"
    )]
    Missing {
        /// The parameter.
        name: String,
        /// What the program takes.
        expected: TensorType,
    },
    /// A tensor has another type.
    #[error(
        "`{name}` is {found}, but the model takes {expected}; the checkpoint is of another model \
         size or layout"
    )]
    Type {
        /// The tensor.
        name: String,
        /// What the program takes.
        expected: TensorType,
        /// What was found.
        found: TensorType,
    },
    /// A tensor that the program does not take.
    #[error(
        "`{name}` {found} is not part of the model; the checkpoint is of another, probably larger, \
         model"
    )]
    Unexpected {
        /// The tensor.
        name: String,
        /// Its type.
        found: TensorType,
    },
}
