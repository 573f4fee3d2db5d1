//! What a checkpoint's manifest says of the other files.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::CheckpointError;

/// Version of the layout.
pub const FORMAT: u32 = 2;
/// Longest manifest that is read, in bytes: configuration and run state are a few kilobytes.
pub const MAX_MANIFEST_BYTES: u64 = 1 << 20;

/// Name of the manifest.
pub(super) const MANIFEST: &str = "manifest.json";

/// The manifest of a checkpoint.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    pub(super) format: u32,
    /// Steps of the run that are done.
    pub(super) steps: u64,
    pub(super) state: StateEntry,
    pub(super) best: BestEntry,
    /// SHA-256 by name, of the files that make the folder a Hugging Face model.
    pub(super) files: BTreeMap<String, String>,
    pub(super) config: Value,
    pub(super) run: Value,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StateEntry {
    /// Steps of the optimizer.
    pub(super) updates: u64,
    pub(super) model_sha256: String,
    pub(super) optimizer_sha256: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub(super) enum BestEntry {
    /// The run has none yet, or keeps none.
    None,
    /// It is the checkpoint's own state.
    Same,
    /// It lies in a folder of its own.
    Kept(StateEntry),
}

impl Manifest {
    /// Reads the manifest of a checkpoint's folder.
    pub(super) fn read(folder: &Path) -> Result<Self, CheckpointError> {
        let path = folder.join(MANIFEST);
        let wrong = |reason: String| CheckpointError::Manifest {
            path: path.clone(),
            reason,
        };
        let bytes = fs::metadata(&path)
            .map_err(CheckpointError::io(&path))?
            .len();
        if bytes > MAX_MANIFEST_BYTES {
            return Err(wrong(format!(
                "it has {bytes} bytes, more than {MAX_MANIFEST_BYTES}"
            )));
        }
        let text = fs::read(&path).map_err(CheckpointError::io(&path))?;
        // The version comes first: another one may have other keys.
        let value: Value =
            serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
        match value.get("format").and_then(Value::as_u64) {
            Some(format) if format == u64::from(FORMAT) => {}
            Some(format) => {
                return Err(wrong(format!(
                    "it has format {format}, this program reads {FORMAT}"
                )));
            }
            None => return Err(wrong("it has no `format`".into())),
        }
        serde_json::from_value(value).map_err(|error| wrong(error.to_string()))
    }
}

/// A file that a manifest names. A manifest may come from a stranger, so a name must not lead out
/// of the folder.
pub(super) fn file_in(folder: &Path, name: &str) -> Result<PathBuf, CheckpointError> {
    if Path::new(name).file_name().is_some_and(|file| file == name) {
        return Ok(folder.join(name));
    }
    let reason = format!("the file name {name:?} is no plain name");
    Err(CheckpointError::Manifest {
        path: folder.join(MANIFEST),
        reason,
    })
}
