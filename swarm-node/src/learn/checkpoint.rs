//! Training runs on disk: atomic to write, checked when read, exact to resume.
//!
//! ```text
//! root/step-00000120/model.safetensors        parameters; a folder that inference can load as it is
//!                    optimizer.safetensors    moments and powers
//!                    manifest.json            step, configuration, state of the run, SHA-256 of both files
//!      step-00000140/…
//!      partial-step-00000160/…                being written; never read
//! ```
//! A checkpoint is written to a folder of its own, synced, and renamed into place, so it is there whole or not at all;
//! older ones are removed only after that. Randomness is a function of seed and step, so the step is its position.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use reproducible_ops::weights::{LoadError, SaveError, Weights};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::round::digest::hex;

use super::trainer::TrainState;

/// Version of the layout.
pub const FORMAT: u32 = 1;
/// Longest manifest that is read, in bytes: configuration and run state are a few kilobytes.
pub const MAX_MANIFEST_BYTES: u64 = 1 << 20;

const MODEL: &str = "model.safetensors";
const OPTIMIZER: &str = "optimizer.safetensors";
const MANIFEST: &str = "manifest.json";
const PREFIX: &str = "step-";
const PARTIAL: &str = "partial-";

/// Why a checkpoint cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The system refuses.
    #[error("cannot access {path}: {source}; check free space and permissions", path = path.display())]
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
    #[error("checkpoint {checkpoint}: {source}; remove the folder to resume from the one before it", checkpoint = checkpoint.display())]
    Load {
        /// The checkpoint's folder.
        checkpoint: PathBuf,
        /// What is wrong.
        source: LoadError,
    },
    /// The manifest is not one of this format.
    #[error("{path}: {reason}; the checkpoint is truncated, corrupted or of another version: remove its folder to resume from the one before it", path = path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A file is not the one that was saved.
    #[error("{path} has SHA-256 {found}, but its manifest says {expected}; it is truncated or corrupted: remove the checkpoint's folder to resume from the one before it", path = path.display())]
    Digest {
        /// The file.
        path: PathBuf,
        /// What the manifest says.
        expected: String,
        /// What was found.
        found: String,
    },
    /// The configuration of the run differs.
    #[error("checkpoint {path} was made with another {what}; resume with the configuration in its manifest, or start in an empty folder", path = path.display())]
    OtherRun {
        /// The checkpoint's folder.
        path: PathBuf,
        /// What differs.
        what: &'static str,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    format: u32,
    step: u64,
    model_sha256: String,
    optimizer_sha256: String,
    config: serde_json::Value,
    run: serde_json::Value,
}

/// A training run at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// Parameters, optimizer state and step.
    pub state: TrainState,
    /// The configuration that determines the run; it must be equal to resume.
    pub config: serde_json::Value,
    /// What the run knows besides: guard, scores.
    pub run: serde_json::Value,
}

/// A checkpoint that could not be read while looking for the newest one.
#[derive(Debug)]
pub struct Skipped {
    /// Its folder.
    pub path: PathBuf,
    /// Why.
    pub error: CheckpointError,
}

/// A folder of checkpoints of one run.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
    keep: usize,
}

impl Store {
    /// A store that keeps the newest `keep` checkpoints, at least two: one may turn out damaged.
    ///
    /// # Errors
    /// The folder cannot be created.
    pub fn open(root: impl Into<PathBuf>, keep: usize) -> Result<Self, CheckpointError> {
        let root = root.into();
        fs::create_dir_all(&root).map_err(|source| CheckpointError::Io { path: root.clone(), source })?;
        Ok(Self { root, keep: keep.max(2) })
    }

    /// Where the checkpoint of a step lies.
    pub fn path(&self, step: u64) -> PathBuf {
        self.root.join(format!("{PREFIX}{step:08}"))
    }

    /// Writes a checkpoint and removes the oldest ones beyond the number to keep.
    ///
    /// # Errors
    /// The system refuses; older checkpoints are untouched then.
    pub fn save(&self, checkpoint: &Checkpoint) -> Result<PathBuf, CheckpointError> {
        let path = self.path(checkpoint.state.step);
        let partial = self.root.join(format!("{PARTIAL}{PREFIX}{:08}", checkpoint.state.step));
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source| CheckpointError::Io { path, source }
        };
        clear(&partial).map_err(at(&partial))?;
        fs::create_dir_all(&partial).map_err(at(&partial))?;
        checkpoint.write(&partial)?;
        clear(&path).map_err(at(&path))?;
        fs::rename(&partial, &path).and_then(|()| sync_folder(&self.root)).map_err(at(&path))?;
        self.remove_old()?;
        Ok(path)
    }

    fn remove_old(&self) -> Result<(), CheckpointError> {
        let steps = self.steps()?;
        for step in steps.iter().rev().skip(self.keep) {
            let path = self.path(*step);
            clear(&path).map_err(|source| CheckpointError::Io { path, source })?;
        }
        Ok(())
    }

    /// Steps of which there is a checkpoint, ascending.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn steps(&self) -> Result<Vec<u64>, CheckpointError> {
        let failed = |source| CheckpointError::Io { path: self.root.clone(), source };
        let mut steps = Vec::new();
        for entry in fs::read_dir(&self.root).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let number = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
            steps.extend(number.and_then(|number| number.parse::<u64>().ok()));
        }
        steps.sort_unstable();
        Ok(steps)
    }

    /// The newest checkpoint that is whole, and the damaged ones that are newer.
    ///
    /// # Errors
    /// The folder cannot be read, or it holds checkpoints and every one is damaged.
    pub fn latest(&self) -> Result<(Option<Checkpoint>, Vec<Skipped>), CheckpointError> {
        let mut skipped = Vec::new();
        for step in self.steps()?.into_iter().rev() {
            let path = self.path(step);
            match Checkpoint::load(&path) {
                Ok(checkpoint) => return Ok((Some(checkpoint), skipped)),
                Err(error) => skipped.push(Skipped { path, error }),
            }
        }
        match skipped.pop() {
            Some(last) => Err(last.error),
            None => Ok((None, skipped)),
        }
    }
}

impl Checkpoint {
    fn write(&self, folder: &Path) -> Result<(), CheckpointError> {
        self.state.params.save(folder.join(MODEL))?;
        self.state.optimizer.save(folder.join(OPTIMIZER))?;
        let manifest = Manifest {
            format: FORMAT,
            step: self.state.step,
            model_sha256: hex(&self.state.params.digest()),
            optimizer_sha256: hex(&self.state.optimizer.digest()),
            config: self.config.clone(),
            run: self.run.clone(),
        };
        let path = folder.join(MANIFEST);
        write_manifest(&path, &manifest).map_err(|source| CheckpointError::Io { path, source })
    }

    /// Reads a checkpoint's folder.
    ///
    /// # Errors
    /// A file is missing, truncated, corrupted, or not the one that the manifest names.
    pub fn load(folder: &Path) -> Result<Self, CheckpointError> {
        let manifest = read_manifest(&folder.join(MANIFEST))?;
        let params = read_tensors(folder, MODEL, &manifest.model_sha256)?;
        let optimizer = read_tensors(folder, OPTIMIZER, &manifest.optimizer_sha256)?;
        params.check_parameters().map_err(|source| CheckpointError::Load { checkpoint: folder.to_owned(), source })?;
        let state = TrainState { step: manifest.step, params, optimizer };
        Ok(Self { state, config: manifest.config, run: manifest.run })
    }

    /// Checks that the checkpoint belongs to a run with this configuration.
    ///
    /// # Errors
    /// [`CheckpointError::OtherRun`].
    pub fn require_config(&self, config: &serde_json::Value, path: &Path) -> Result<(), CheckpointError> {
        if self.config == *config {
            return Ok(());
        }
        Err(CheckpointError::OtherRun { path: path.to_owned(), what: "configuration" })
    }
}

fn write_manifest(path: &Path, manifest: &Manifest) -> io::Result<()> {
    let file = File::create(path)?;
    serde_json::to_writer_pretty(&file, manifest)?;
    file.sync_all()?;
    sync_folder(path.parent().unwrap_or(path))
}

fn read_manifest(path: &Path) -> Result<Manifest, CheckpointError> {
    let io = |source| CheckpointError::Io { path: path.to_owned(), source };
    let wrong = |reason: String| CheckpointError::Manifest { path: path.to_owned(), reason };
    let bytes = fs::metadata(path).map_err(io)?.len();
    if bytes > MAX_MANIFEST_BYTES {
        return Err(wrong(format!("it has {bytes} bytes, more than {MAX_MANIFEST_BYTES}")));
    }
    let text = fs::read(path).map_err(io)?;
    let manifest: Manifest = serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
    if manifest.format != FORMAT {
        return Err(wrong(format!("format {} is not {FORMAT}", manifest.format)));
    }
    Ok(manifest)
}

fn read_tensors(folder: &Path, name: &str, expected: &str) -> Result<Weights, CheckpointError> {
    let path = folder.join(name);
    let bytes = fs::read(&path).map_err(|source| CheckpointError::Io { path: path.clone(), source })?;
    let found = hex(&Sha256::digest(&bytes).into());
    if found != expected {
        return Err(CheckpointError::Digest { path, expected: expected.into(), found });
    }
    Weights::from_bytes(&bytes).map_err(|source| CheckpointError::Load { checkpoint: folder.to_owned(), source })
}

/// Removes a folder if it is there.
fn clear(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Makes a rename durable, where folders can be synced.
fn sync_folder(path: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use reproducible_ops::tensor::Tensor;

    use super::*;

    fn checkpoint(step: u64) -> Checkpoint {
        let tensor = |value: f32| Tensor::f32([2, 2], vec![value, -0.0, 1.5, step as f32]).unwrap();
        let params = [("w".to_owned(), tensor(0.1)), ("b".to_owned(), tensor(0.2))].into_iter().collect();
        let optimizer = [("adamw.m.w".to_owned(), tensor(0.3))].into_iter().collect();
        let state = TrainState { step, params, optimizer };
        Checkpoint { state, config: serde_json::json!({ "seed": 7 }), run: serde_json::json!({ "best": 0.5 }) }
    }

    fn store(keep: usize) -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("run"), keep).unwrap();
        (folder, store)
    }

    #[test]
    fn a_checkpoint_comes_back_equal_and_old_ones_go() {
        let (_folder, store) = store(2);
        assert_eq!(store.latest().unwrap().0, None);
        for step in [3, 10, 200] {
            store.save(&checkpoint(step)).unwrap();
        }
        assert_eq!(store.steps().unwrap(), [10, 200]);
        assert_eq!(store.latest().unwrap().0, Some(checkpoint(200)));
        assert_eq!(Checkpoint::load(&store.path(10)).unwrap(), checkpoint(10));
    }

    #[test]
    fn saving_a_step_again_replaces_it() {
        let (_folder, store) = store(2);
        store.save(&checkpoint(3)).unwrap();
        let changed = Checkpoint { run: serde_json::json!(1), ..checkpoint(3) };
        store.save(&changed).unwrap();
        assert_eq!(store.latest().unwrap().0, Some(changed));
    }

    #[test]
    fn a_damaged_newest_one_is_skipped_and_named() {
        let (_folder, store) = store(3);
        (1..=2).for_each(|step| drop(store.save(&checkpoint(step)).unwrap()));
        let file = store.path(2).join(MODEL);
        let bytes = fs::read(&file).unwrap();
        fs::write(&file, &bytes[..bytes.len() - 5]).unwrap();
        let (found, skipped) = store.latest().unwrap();
        assert_eq!(found, Some(checkpoint(1)));
        let text = skipped[0].error.to_string();
        assert!(text.contains("step-00000002") && text.contains("truncated") && text.contains("remove"), "{text}");
    }

    #[test]
    fn every_flipped_byte_is_noticed() {
        let (_folder, store) = store(2);
        store.save(&checkpoint(1)).unwrap();
        for name in [MODEL, OPTIMIZER] {
            let file = store.path(1).join(name);
            let bytes = fs::read(&file).unwrap();
            for at in (0..bytes.len()).step_by(7).chain([bytes.len() - 1]) {
                let mut damaged = bytes.clone();
                damaged[at] ^= 1;
                fs::write(&file, &damaged).unwrap();
                assert!(Checkpoint::load(&store.path(1)).is_err(), "{name} byte {at}");
            }
            fs::write(&file, &bytes).unwrap();
        }
        Checkpoint::load(&store.path(1)).unwrap();
    }

    #[test]
    fn numbers_that_training_cannot_go_on_from_are_refused() {
        for (optimizer, value, refused) in
            [(false, f32::NAN, true), (false, 1e30, true), (true, f32::INFINITY, true), (true, 1e30, false)]
        {
            let (_folder, store) = store(2);
            let mut damaged = checkpoint(1);
            let tensors = if optimizer { &mut damaged.state.optimizer } else { &mut damaged.state.params };
            let name = tensors.names().next().unwrap().to_owned();
            tensors.get_mut(&name).unwrap().words_mut()[2] = value.to_bits();
            let path = store.save(&damaged).unwrap();
            match Checkpoint::load(&path) {
                Ok(found) => assert!(!refused && found == damaged),
                Err(error) => {
                    let error = error.to_string();
                    let named = ["step-00000001", &name, "element 2", &value.to_string()];
                    assert!(refused && named.iter().all(|part| error.contains(part)), "{error}");
                }
            }
        }
    }

    #[test]
    fn a_wrong_manifest_or_a_missing_file_is_an_error_with_its_place() {
        let (_folder, store) = store(2);
        store.save(&checkpoint(1)).unwrap();
        let manifest = store.path(1).join(MANIFEST);
        fs::write(&manifest, "{").unwrap();
        let text = store.latest().unwrap_err().to_string();
        assert!(text.contains("manifest.json") && text.contains("remove"), "{text}");
        fs::remove_file(&manifest).unwrap();
        assert!(matches!(store.latest(), Err(CheckpointError::Io { .. })));
    }

    #[test]
    fn an_unfinished_checkpoint_is_never_read() {
        let (_folder, store) = store(2);
        store.save(&checkpoint(1)).unwrap();
        fs::rename(store.path(1), store.root.join("partial-step-00000009")).unwrap();
        assert_eq!(store.latest().unwrap().0, None);
    }

    #[test]
    fn another_run_is_refused() {
        let (_folder, store) = store(2);
        let path = store.save(&checkpoint(1)).unwrap();
        let found = Checkpoint::load(&path).unwrap();
        found.require_config(&serde_json::json!({ "seed": 7 }), &path).unwrap();
        assert!(found.require_config(&serde_json::json!({ "seed": 8 }), &path).is_err());
    }
}
