//! Where a setting came from.

use std::fmt;
use std::path::PathBuf;

/// The place that decided a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The schema's default.
    Default,
    /// A line of a file.
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// An environment variable.
    Environment(String),
    /// A flag of the command line, as written.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.pad("default"),
            Self::File { path, line } => f.pad(&format!("{}:{line}", path.display())),
            Self::Environment(name) => f.pad(&format!("environment {name}")),
            Self::Flag(name) => f.pad(&format!("flag {name}")),
        }
    }
}
