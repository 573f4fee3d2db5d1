//! Why the store cannot be used. Every message names the file, what was seen, and the remedy.

use std::path::{Path, PathBuf};

use thiserror::Error;

use super::layout::SCHEMA;

/// Why the store's file cannot be opened. None of its records was changed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process has it.
    #[error(
        "the store {path} is in use by another process; stop that one, or give this node a folder \
         of its own",
        path = path.display()
    )]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// A newer program wrote it.
    #[error(
        "the store {path} has layout {found}, this program knows layouts up to {SCHEMA}; use the \
         newer program",
        path = path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its layout.
        found: u64,
    },
    /// A program from before the first release wrote it.
    #[error(
        "the store {path} has layout {found}, from before the first release, which is not read any \
         more; let the program that wrote it finish its epochs, then move it away: nothing may be \
         signed for epochs that it has signed",
        path = path.display()
    )]
    Older {
        /// The file.
        path: PathBuf,
        /// Its layout.
        found: u64,
    },
    /// It is not a store, or a damaged one.
    #[error(
        "{path} is not a node's store, or is damaged: {reason}; restore a copy. Without one, move \
         it away and sign \
         nothing for rounds that have begun: the store knew what this node has signed",
        path = path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The system refuses.
    #[error(
        "cannot open the store {path}: {source}; check free space and permissions",
        path = path.display()
    )]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
}

impl OpenError {
    pub(super) fn new(path: &Path, error: redb::Error) -> Self {
        let path = path.to_owned();
        match error {
            redb::Error::DatabaseAlreadyOpen => Self::Locked { path },
            redb::Error::Io(source) if source.kind() != std::io::ErrorKind::InvalidData => {
                Self::Io { path, source }
            }
            other => Self::Damaged {
                path,
                reason: other.to_string(),
            },
        }
    }
}

/// Why the store did not do something. Nothing of it was done.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The file cannot be read or written any more.
    #[error(
        "the store {path} fails: {source}; check free space and the disk, then restart",
        path = path.display()
    )]
    Access {
        /// The file.
        path: PathBuf,
        /// What redb says.
        source: Box<redb::Error>,
    },
    /// A record that is too large or cannot be encoded.
    #[error("a record for table {table} cannot be stored: {reason}; please report this")]
    Record {
        /// The table.
        table: String,
        /// Why.
        reason: String,
    },
    /// A record that does not decode.
    #[error(transparent)]
    Damaged(#[from] DamagedRecord),
}

/// A record that does not decode; it is left where it is.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "record {key} of table {table} is damaged: {reason}; restore a copy of the store, or report \
     this"
)]
pub struct DamagedRecord {
    /// The table.
    pub table: String,
    /// The record's key.
    pub key: String,
    /// What is wrong with it.
    pub reason: String,
}

impl StoreError {
    pub(super) fn access(path: &Path, error: redb::Error) -> Self {
        Self::Access {
            path: path.to_owned(),
            source: Box::new(error),
        }
    }
}
