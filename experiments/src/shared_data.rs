//! Real inputs that are no part of the repository: files of `shared/data` beside or above the
//! workspace.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The file that was named, else the one of `shared/data` at `place`.
///
/// # Errors
/// No file was named, and there is none at that place.
pub fn find(named: Option<PathBuf>, place: &str) -> Result<PathBuf> {
    named.or_else(|| known(place)).with_context(|| {
        format!("there is no shared/data/{place} beside or above the workspace; name the file with --data")
    })
}

/// The file of `shared/data` at `place`; none where the data is absent.
pub fn known(place: &str) -> Option<PathBuf> {
    let folders = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let mut paths = folders.map(|folder| folder.join("shared/data").join(place));
    paths.find(|path| path.exists())
}
