//! Why settings cannot be used. Every message names the place, the value seen and the remedy.

use std::path::PathBuf;

use super::origin::Origin;

/// Why settings cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// The file cannot be read.
    #[error(
        "cannot read the config file {path}: {source}; check the path given with --config or \
         SWARM_NODE_CONFIG",
        path = path.display()
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file is no TOML.
    #[error("{path}:{line}: {message}", path = path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What the parser says.
        message: String,
    },
    /// No setting has this name.
    #[error(
        "{origin}: unknown key `{key}`{hint}; `swarm-node config show` lists all keys",
        hint = did_you_mean(.nearest)
    )]
    UnknownKey {
        /// Where it stands.
        origin: Origin,
        /// The name.
        key: String,
        /// The most similar name there is.
        nearest: Option<String>,
    },
    /// A value of the wrong kind or out of its range.
    #[error("{origin}: `{key}` is {value}; it must be {allowed}")]
    Value {
        /// Where it stands.
        origin: Origin,
        /// The setting.
        key: &'static str,
        /// The value seen.
        value: String,
        /// What would be right.
        allowed: String,
    },
    /// `--set` without a key and a value.
    #[error("`--set {0}` is not KEY=VALUE; write for example `--set demo.rounds=10`")]
    Assignment(String),
    /// Schema and types of the program disagree.
    #[error("settings do not fit the program: {0}; please report this")]
    Schema(String),
}

fn did_you_mean(nearest: &Option<String>) -> String {
    nearest.as_ref().map_or(String::new(), |nearest| {
        format!("; did you mean `{nearest}`?")
    })
}
