//! What a stage takes from others, checked; and why it refuses.

use reproducible_ops::engine::EngineError;
use reproducible_ops::program::TensorType;
use reproducible_ops::tensor::{Tensor, TensorError};
use reproducible_ops::weights::Weights;
use skippipe::path::Microbatch as Number;
use verde::state::StateError;

use super::microbatch::MicrobatchError;
use crate::programs::TrainError;

/// Why a stage does not compute what it is asked for. Its state is as before.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StageError {
    /// The engine refused a program or an input.
    #[error("engine: {0}")]
    Engine(#[from] EngineError),
    /// A tensor is missing.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// A tensor could not be read.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// The microbatch does not fit.
    #[error(transparent)]
    Microbatch(#[from] MicrobatchError),
    /// There is no commitment to the state.
    #[error(transparent)]
    State(#[from] StateError),
    /// Only stage 0 embeds and has a loss, only the others take hidden states.
    #[error("stage {stage} has no `{call}`: embedding and loss are of stage 0, the rest of others")]
    Call {
        /// Number of the stage.
        stage: usize,
        /// What was asked for.
        call: &'static str,
    },
    /// A tensor has another type or shape.
    #[error("`{name}` is {found}; stage {stage} takes {expected}")]
    Type {
        /// Number of the stage.
        stage: usize,
        /// Which tensor.
        name: String,
        /// The type that fits.
        expected: TensorType,
        /// The type seen.
        found: TensorType,
    },
    /// A tensor has an element that is no number.
    #[error("element {index} of `{name}` is {value}; only finite numbers are taken and handed on")]
    NotFinite {
        /// Which tensor.
        name: String,
        /// Place of the element in row-major order.
        index: usize,
        /// The element.
        value: f32,
    },
    /// Named tensors lack one.
    #[error("stage {stage} has `{name}`, which is not among the tensors given")]
    Missing {
        /// Number of the stage.
        stage: usize,
        /// The name.
        name: String,
    },
    /// Named tensors have one too many.
    #[error("`{name}` is among the tensors given, and nothing that stage {stage} has")]
    Unexpected {
        /// Number of the stage.
        stage: usize,
        /// The name.
        name: String,
    },
    /// A number of a step cannot be.
    #[error("{what} is {found}; it must be {rule}")]
    Number {
        /// Which number.
        what: &'static str,
        /// Its value.
        found: f32,
        /// What it must be.
        rule: &'static str,
    },
    /// Visits are not in the order of microbatches, or one is given twice.
    #[error("{after} is added after {before}; visits are added in ascending order, each once")]
    Order {
        /// A microbatch.
        before: Number,
        /// The one that was given next.
        after: Number,
    },
}

/// A condition on a number, and how it reads.
pub(super) type Rule = (fn(f32) -> bool, &'static str);
pub(super) const FINITE: Rule = (f32::is_finite, "finite");
pub(super) const POSITIVE: Rule = (|x| x > 0.0 && x.is_finite(), "above 0 and finite");
pub(super) const NOT_NEGATIVE: Rule = (|x| x >= 0.0 && x.is_finite(), "0 or above, and finite");

/// Checks a number.
pub(super) fn require(
    what: &'static str,
    found: f32,
    (holds, rule): Rule,
) -> Result<(), StageError> {
    match holds(found) {
        true => Ok(()),
        false => Err(StageError::Number { what, found, rule }),
    }
}

/// Checks type and finiteness.
pub(super) fn check(
    stage: usize,
    name: &str,
    expected: &TensorType,
    tensor: &Tensor,
) -> Result<(), StageError> {
    if tensor.ty() != expected {
        return Err(StageError::Type {
            stage,
            name: name.into(),
            expected: expected.clone(),
            found: tensor.ty().clone(),
        });
    }
    match tensor.first_beyond(f32::MAX) {
        None => Ok(()),
        Some((index, value)) => Err(StageError::NotFinite {
            name: name.into(),
            index,
            value,
        }),
    }
}

/// Checks that tensors are exactly those expected.
pub(super) fn check_all(
    stage: usize,
    expected: &[(String, TensorType)],
    tensors: &Weights,
) -> Result<(), StageError> {
    for (name, ty) in expected {
        let tensor = tensors.get(name).ok_or_else(|| StageError::Missing {
            stage,
            name: name.clone(),
        })?;
        check(stage, name, ty, tensor)?;
    }
    let is_expected = |name: &str| expected.iter().any(|(known, _)| known == name);
    match tensors.names().find(|name| !is_expected(name)) {
        None => Ok(()),
        Some(name) => Err(StageError::Unexpected {
            stage,
            name: name.into(),
        }),
    }
}
