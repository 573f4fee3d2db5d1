//! Why a command ends early, and with which exit code.

use std::fmt;
use std::io;

use signal_hook::consts::SIGINT;
use swarm_learn::job_audit::AuditError;
use swarm_learn::receipt::{ReceiptError, ReceiptFileError};
use swarm_model::generate::GenerateError;
use swarm_settings::SettingsError;
use swarm_settle::chain::EndpointError;
use verde::audit::Verdict;

use crate::job::{EngineError, JobError, RecipeError, Stop};

/// Exit code of a failure at work.
pub(super) const ERROR: u8 = 1;
/// Exit code of wrong settings or usage.
pub(super) const USAGE: u8 = 2;

/// Exit code of `doctor` when something keeps the node from working.
const DOCTOR: u8 = 5;

/// Exit code of `audit` and `receipt verify` where something is wrong.
const WRONG: u8 = 6;
/// Exit code of `audit` and `receipt verify` where it cannot be told.
const CANNOT_TELL: u8 = 7;

/// Why a command ends early.
#[derive(Debug)]
pub(super) enum Failure {
    /// Settings or usage.
    Usage(anyhow::Error),
    /// Something failed at work.
    Work(anyhow::Error),
    /// The work was done, and standard output does not take its result.
    Output {
        /// What the system says.
        cause: io::Error,
        /// Where the result lies besides; empty if nowhere.
        kept: String,
        /// The result itself.
        result: String,
    },
    /// So many checks of `doctor` failed.
    Doctor(usize),
    /// An audit or a verification was carried out, and what it looked at is wrong.
    Wrong(String),
    /// An audit or a verification cannot tell, for this reason.
    CannotTell(String),
    /// A signal asked for the end, and what was done is kept.
    Stopped {
        /// The signal's number.
        signal: usize,
        /// What was reached, where it is kept, and how to go on.
        state: String,
    },
}

impl Failure {
    pub(super) fn code(&self) -> u8 {
        match self {
            Self::Usage(_) => USAGE,
            Self::Work(_) | Self::Output { .. } => ERROR,
            Self::Doctor(_) => DOCTOR,
            Self::Wrong(_) => WRONG,
            Self::CannotTell(_) => CANNOT_TELL,
            // What shells say of a process that a signal ended.
            Self::Stopped { signal, .. } => u8::try_from(128 + signal).unwrap_or(ERROR),
        }
    }

    /// The message without the word that it begins with.
    pub(super) fn reason(&self) -> String {
        let text = self.to_string();
        text.strip_prefix("error: ")
            .map_or(text.clone(), str::to_owned)
    }

    /// The failure that a verdict is, unless it is that all is right.
    #[expect(clippy::expect_used, reason = "whoever doubts says why")]
    pub(super) fn unless_right(verdict: Verdict, reason: Option<String>) -> Result<(), Self> {
        let reason = || reason.expect("invariant: what is not right has a reason");
        match verdict {
            Verdict::Right => Ok(()),
            Verdict::Wrong => Err(Self::Wrong(reason())),
            Verdict::CannotTell => Err(Self::CannotTell(reason())),
        }
    }

    /// The end that `stop` asked for, with what was reached.
    ///
    /// # Panics
    /// Nobody has asked.
    #[expect(clippy::expect_used, reason = "the request is its signal's number")]
    pub(super) fn stopped(stop: &Stop, state: impl Into<String>) -> Self {
        let signal = stop.signal();
        Self::Stopped {
            signal: signal.expect("invariant: a request to stop has a signal"),
            state: state.into(),
        }
    }

    /// A failure at work.
    pub(super) fn work(error: impl Into<anyhow::Error>) -> Self {
        Self::Work(error.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(error) | Self::Work(error) => write!(f, "error: {error}"),
            Self::Output {
                cause,
                kept,
                result,
            } => {
                let kept = if kept.is_empty() {
                    String::new()
                } else {
                    format!("; {kept}")
                };
                write!(
                    f,
                    "error: standard output cannot be written: {cause}{kept}; the result \
                     is\n{result}"
                )
            }
            Self::Doctor(1) => f.write_str("error: 1 check failed; its remedy is above"),
            Self::Doctor(failed) => {
                write!(f, "error: {failed} checks failed; their remedies are above")
            }
            Self::Wrong(reason) => write!(f, "error: wrong: {reason}"),
            Self::CannotTell(reason) => write!(f, "error: cannot tell: {reason}"),
            Self::Stopped { signal, state } => {
                write!(f, "stopped by {}: {state}", signal_name(*signal))
            }
        }
    }
}

impl From<SettingsError> for Failure {
    fn from(error: SettingsError) -> Self {
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
            EngineError::InstructionSet(_) => Self::Usage(error.into()),
            _ => Self::Work(error.into()),
        }
    }
}

impl From<AuditError> for Failure {
    fn from(error: AuditError) -> Self {
        match error {
            AuditError::NoSuch { .. } | AuditError::Input(_) => Self::Usage(error.into()),
            _ => Self::Work(error.into()),
        }
    }
}

impl From<ReceiptError> for Failure {
    fn from(error: ReceiptError) -> Self {
        match error {
            ReceiptError::Text(_)
            | ReceiptError::Eval(_)
            | ReceiptError::File(ReceiptFileError::Value { .. })
            | ReceiptError::Generate(GenerateError::TooLong { .. }) => Self::Usage(error.into()),
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

impl From<JobError> for Failure {
    fn from(error: JobError) -> Self {
        match error {
            JobError::Read { .. }
            | JobError::Malformed { .. }
            | JobError::Value { .. }
            | JobError::Terms(_)
            | JobError::NotTraining(_)
            | JobError::Preset(_) => Self::Usage(error.into()),
            _ => Self::Work(error.into()),
        }
    }
}

/// The name of a signal that stops.
fn signal_name(signal: usize) -> &'static str {
    if i32::try_from(signal) == Ok(SIGINT) {
        "SIGINT"
    } else {
        "SIGTERM"
    }
}
