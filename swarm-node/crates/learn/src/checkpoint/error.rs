//! Why a checkpoint cannot be written or read.

use std::io;
use std::path::{Path, PathBuf};

use reproducible_ops::weights::{LoadError, SaveError};

/// Why a checkpoint cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The system refuses.
    #[error(
        "cannot access {path}: {source}; check free space and permissions",
        path = path.display()
    )]
    Io {
        /// Where.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Tensors cannot be written.
    #[error(transparent)]
    Save(#[from] SaveError),
    /// Tensors cannot be read.
    #[error("checkpoint {checkpoint}: {source}", checkpoint = checkpoint.display())]
    Load {
        /// The checkpoint's folder.
        checkpoint: PathBuf,
        /// What is wrong.
        source: LoadError,
    },
    /// The manifest is not one of this format.
    #[error(
        "{path}: {reason}; the checkpoint is truncated, corrupted or of another version",
        path = path.display()
    )]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A file is not the one that was saved.
    #[error(
        "{path} has SHA-256 {found}, but its manifest says {expected}; it is truncated or \
         corrupted",
        path = path.display()
    )]
    Digest {
        /// The file.
        path: PathBuf,
        /// What the manifest says.
        expected: String,
        /// What was found.
        found: String,
    },
    /// The configuration of the run differs.
    #[error(
        "the run in {path} was started with other settings: {difference}; resume with those, or \
         start in an empty folder",
        path = path.display()
    )]
    OtherRun {
        /// The checkpoint's folder.
        path: PathBuf,
        /// The first difference, with both values.
        difference: String,
    },
    /// Another process trains in the folder.
    #[error(
        "{root} is in use by another training run{holder}; wait for its end, or choose another \
         folder with --out",
        root = root.display()
    )]
    Locked {
        /// The run's folder.
        root: PathBuf,
        /// " (process 123)" where it is known.
        holder: String,
    },
    /// There are checkpoints, and every one is damaged.
    #[error(
        "no checkpoint in {root} is whole; the oldest: {source}; restore one from a copy, or start \
         in an empty folder",
        root = root.display()
    )]
    AllDamaged {
        /// The run's folder.
        root: PathBuf,
        /// What is wrong with the last one that was tried.
        source: Box<CheckpointError>,
    },
}

impl CheckpointError {
    pub(in super::super) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        |source| Self::Io { path, source }
    }

    /// Whether the checkpoint itself is wrong. A system that refuses to read it may give it another
    /// time.
    pub(in super::super) fn is_damage(&self) -> bool {
        match self {
            Self::Io { source, .. } => source.kind() == io::ErrorKind::NotFound,
            Self::Load { .. } | Self::Manifest { .. } | Self::Digest { .. } => true,
            Self::Save(_)
            | Self::OtherRun { .. }
            | Self::Locked { .. }
            | Self::AllDamaged { .. } => false,
        }
    }
}
