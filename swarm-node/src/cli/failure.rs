//! Why a command ends early, and with which exit code.

use std::fmt;

use crate::assembly::{EngineError, RecipeError};
use crate::chain::EndpointError;
use crate::config::ConfigError;

/// Exit code of a failure at work.
pub(super) const ERROR: u8 = 1;
/// Exit code of wrong settings or usage.
pub(super) const USAGE: u8 = 2;

/// Why a command ends early.
#[derive(Debug)]
pub(super) enum Failure {
    /// Settings or usage.
    Usage(anyhow::Error),
    /// Something failed at work.
    Work(anyhow::Error),
}

impl Failure {
    pub(super) fn code(&self) -> u8 {
        match self {
            Self::Usage(_) => USAGE,
            Self::Work(_) => ERROR,
        }
    }

    /// A failure at work.
    pub(super) fn work(error: impl Into<anyhow::Error>) -> Self {
        Self::Work(error.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Usage(error) | Self::Work(error)) = self;
        write!(f, "{error}")
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Usage(error.into())
    }
}

impl From<EndpointError> for Failure {
    fn from(error: EndpointError) -> Self {
        Self::Usage(error.into())
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Path(_) => Self::Usage(error.into()),
            _ => Self::Work(error.into()),
        }
    }
}

impl From<RecipeError> for Failure {
    fn from(error: RecipeError) -> Self {
        match error {
            RecipeError::Read { .. }
            | RecipeError::Malformed { .. }
            | RecipeError::Value { .. }
            | RecipeError::Preset(_) => Self::Usage(error.into()),
            _ => Self::Work(error.into()),
        }
    }
}
