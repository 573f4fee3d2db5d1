//! What is known of links and engines, kept in the peer's folder.

use std::io;
use std::path::{Path, PathBuf};

use skippipe::measured::{Measurements, ReportError};
use swarm_files::text_file;
use swarm_files::whole::{Access, Reserved};

/// The file in a peer's folder.
pub const MEASURED: &str = "measured.json";
/// Longest file that is read, in bytes: 256 peers have 65,280 links, and both of their ends
/// reports.
const MAX_BYTES: u64 = 32 << 20;

/// Why measurements cannot be read or kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The system.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// They are none.
    #[error("{path} has no measurements: {why}; delete it, and links are measured or estimated anew", path = path.display())]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// They are absurd.
    #[error("{path}: {source}", path = path.display())]
    Absurd {
        /// Which file.
        path: PathBuf,
        /// Whose, and what.
        source: ReportError,
    },
}

/// Reads a file of measurements of `peers` peers.
///
/// # Errors
/// There is none, or it has none in it.
pub fn read(path: &Path, peers: u32) -> Result<Measurements, FileError> {
    let owned = || path.to_owned();
    let text = text_file::read(path, MAX_BYTES);
    let text = text.map_err(|source| FileError::Io {
        path: owned(),
        source,
    })?;
    let known: Measurements =
        serde_json::from_str(&text).map_err(|error| FileError::Malformed {
            path: owned(),
            why: error.to_string(),
        })?;
    known.checked(peers).map_err(|source| FileError::Absurd {
        path: owned(),
        source,
    })
}

/// What a folder has; none where it has nothing.
///
/// # Errors
/// It has something that cannot be read.
pub fn load(folder: &Path, peers: u32) -> Result<Option<Measurements>, FileError> {
    match read(&folder.join(MEASURED), peers) {
        Err(FileError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        known => known.map(Some),
    }
}

/// Keeps measurements in a folder.
///
/// # Errors
/// The system refuses.
pub fn save(folder: &Path, known: &Measurements) -> Result<(), FileError> {
    let path = folder.join(MEASURED);
    let text = serde_json::to_string(known).map_err(|error| FileError::Malformed {
        path: path.clone(),
        why: error.to_string(),
    })?;
    let place = Reserved::new(&path, Access::Umask, text.len());
    let written = place.and_then(|place| place.replace(text.as_bytes()));
    written.map_err(|source| FileError::Io { path, source })
}

#[cfg(test)]
mod tests {
    use skippipe::measured::{ASSUMED, ASSUMED_TIMES, PairMeasure, Report};
    use skippipe::path::Peer;

    use super::*;

    #[test]
    fn measurements_come_back_and_absurd_ones_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(load(folder.path(), 3).unwrap(), None);
        let mut known = Measurements::new();
        let pair = PairMeasure {
            peer: Peer(2),
            to: Some(ASSUMED),
            from: None,
        };
        let report = Report {
            pairs: vec![pair],
            times: Some(ASSUMED_TIMES),
        };
        known.insert(Peer(1), report, 3).unwrap();
        save(folder.path(), &known).unwrap();
        assert_eq!(load(folder.path(), 3).unwrap(), Some(known));
        // Of a pipeline of fewer peers.
        let error = load(folder.path(), 2).unwrap_err().to_string();
        assert!(
            error.contains("peer 1 reports a link with peer 2"),
            "{error}"
        );
        std::fs::write(folder.path().join(MEASURED), "{").unwrap();
        assert!(
            load(folder.path(), 3)
                .unwrap_err()
                .to_string()
                .contains("delete it")
        );
    }
}
