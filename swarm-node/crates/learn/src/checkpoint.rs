//! One moment of a training run as a folder: checked when read, exact to resume, and a model that
//! others can load.
//!
//! ```text
//! step-00000120/model.safetensors        parameters
//!               optimizer.safetensors    moments and powers
//!               best/…                   the same two files of the guard's best state
//!               config.json, tokenizer…  what makes the folder a Hugging Face model
//!               manifest.json            steps, configuration, what the run remembers,
//!                                        SHA-256 of every other file
//! ```
//! A checkpoint holds everything that the next step depends on. Randomness and questions are
//! functions of the seed and of the number of steps done, so that number is their position; it only
//! ever grows, unlike the optimizer's own count, which falls when the guard rolls back.

mod difference;
mod error;
mod manifest;

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

pub use error::CheckpointError;
pub use manifest::{FORMAT, MAX_MANIFEST_BYTES};
use reproducible_ops::weights::Weights;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use swarm_files::whole::{Access, Reserved};
use swarm_identity::digest::hex;
use swarm_model::ModelFiles;

use self::difference::difference;
use self::manifest::{BestEntry, MANIFEST, Manifest, StateEntry};
use super::trainer::TrainState;

const MODEL: &str = "model.safetensors";
const OPTIMIZER: &str = "optimizer.safetensors";
const BEST: &str = "best";

/// A training run at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// Steps of the run that are done.
    pub steps: u64,
    /// Parameters, optimizer state and the optimizer's step.
    pub state: TrainState,
    /// The state to which the guard would return.
    pub best: Option<TrainState>,
    /// The configuration that determines the run; it must be equal to resume.
    pub config: Value,
    /// What the run knows besides: guard, scores.
    pub run: Value,
}

impl Checkpoint {
    /// Writes all files into an empty folder and syncs them; the manifest comes last.
    pub(super) fn write(&self, folder: &Path, files: &ModelFiles) -> Result<(), CheckpointError> {
        let state = write_state(&self.state, folder)?;
        let best = match &self.best {
            None => BestEntry::None,
            Some(best) if *best == self.state => BestEntry::Same,
            Some(best) => {
                let folder = folder.join(BEST);
                fs::create_dir(&folder).map_err(CheckpointError::io(&folder))?;
                BestEntry::Kept(write_state(best, &folder)?)
            }
        };
        write_files(files, folder)?;
        let digest =
            |(name, bytes): (&str, &[u8])| (name.to_owned(), hex(&Sha256::digest(bytes).into()));
        let digests = files.iter().map(digest).collect();
        let (steps, config, run) = (self.steps, self.config.clone(), self.run.clone());
        let manifest = Manifest {
            format: FORMAT,
            steps,
            state,
            best,
            files: digests,
            config,
            run,
        };
        let path = folder.join(MANIFEST);
        let mut text = serde_json::to_vec_pretty(&manifest)
            .map_err(|error| CheckpointError::io(&path)(error.into()))?;
        text.push(b'\n');
        Reserved::new(&path, Access::Umask, 0)
            .and_then(|place| place.replace(&text))
            .map_err(CheckpointError::io(&path))
    }

    /// Reads a checkpoint's folder.
    ///
    /// # Errors
    /// A file is missing, truncated, corrupted, or not the one that the manifest names.
    pub fn load(folder: &Path) -> Result<Self, CheckpointError> {
        let manifest = Manifest::read(folder)?;
        for (name, expected) in &manifest.files {
            verify_file(&manifest::file_in(folder, name)?, expected)?;
        }
        let state = read_state(folder, manifest.state)?;
        let best = match manifest.best {
            BestEntry::None => None,
            BestEntry::Same => Some(state.clone()),
            BestEntry::Kept(entry) => Some(read_state(&folder.join(BEST), entry)?),
        };
        Ok(Self {
            steps: manifest.steps,
            state,
            best,
            config: manifest.config,
            run: manifest.run,
        })
    }

    /// Checks that the checkpoint belongs to a run with this configuration.
    ///
    /// # Errors
    /// [`CheckpointError::OtherRun`] names the first setting that differs.
    pub fn require_config(&self, config: &Value, folder: &Path) -> Result<(), CheckpointError> {
        // Reading a number can change its last bit, so the given configuration is read like the
        // saved one.
        let given = serde_json::from_str(&config.to_string());
        let given = given.map_err(|error| CheckpointError::io(folder)(io::Error::from(error)))?;
        match difference("", &self.config, &given) {
            None => Ok(()),
            Some(difference) => Err(CheckpointError::OtherRun {
                path: folder.to_owned(),
                difference,
            }),
        }
    }
}

/// The folder's name says the steps, too; with others in the manifest, one of both was changed by
/// hand.
pub(super) fn require_steps(folder: &Path, steps: u64, found: u64) -> Result<(), CheckpointError> {
    if steps == found {
        return Ok(());
    }
    let reason = format!("it says {found} steps, and its folder's name says {steps}");
    Err(CheckpointError::Manifest {
        path: folder.join(MANIFEST),
        reason,
    })
}

/// Whether a folder holds a checkpoint of this program.
pub fn is_checkpoint(folder: &Path) -> bool {
    folder.join(MANIFEST).is_file()
}

/// Checks every file of a checkpoint against its manifest, without keeping any in memory. Returns
/// the steps of the run.
///
/// # Errors
/// As [`Checkpoint::load`].
pub fn verify(folder: &Path) -> Result<u64, CheckpointError> {
    let manifest = Manifest::read(folder)?;
    for (name, expected) in &manifest.files {
        verify_file(&manifest::file_in(folder, name)?, expected)?;
    }
    verify_state(folder, &manifest.state)?;
    if let BestEntry::Kept(entry) = &manifest.best {
        verify_state(&folder.join(BEST), entry)?;
    }
    Ok(manifest.steps)
}

/// Writes what makes a folder with weights a Hugging Face model, each file whole or not at all.
///
/// # Errors
/// The system refuses.
pub fn write_files(files: &ModelFiles, folder: &Path) -> Result<(), CheckpointError> {
    for (name, bytes) in files.iter() {
        let path = folder.join(name);
        Reserved::new(&path, Access::Umask, 0)
            .and_then(|place| place.replace(bytes))
            .map_err(CheckpointError::io(&path))?;
    }
    Ok(())
}

fn verify_state(folder: &Path, entry: &StateEntry) -> Result<(), CheckpointError> {
    verify_file(&folder.join(MODEL), &entry.model_sha256)?;
    verify_file(&folder.join(OPTIMIZER), &entry.optimizer_sha256)
}

fn verify_file(path: &Path, expected: &str) -> Result<(), CheckpointError> {
    let mut hasher = Sha256::new();
    open_file(path)
        .and_then(|mut file| io::copy(&mut file, &mut hasher))
        .map_err(CheckpointError::io(path))?;
    require_digest(path, expected, hex(&hasher.finalize().into()))
}

/// Opens a file of a checkpoint. Something else, such as a pipe that nobody writes to, is as good
/// as missing.
fn open_file(path: &Path) -> io::Result<File> {
    match fs::metadata(path)?.is_file() {
        true => File::open(path),
        false => Err(io::Error::new(
            io::ErrorKind::NotFound,
            "it is no regular file",
        )),
    }
}

fn require_digest(path: &Path, expected: &str, found: String) -> Result<(), CheckpointError> {
    if found == expected {
        return Ok(());
    }
    Err(CheckpointError::Digest {
        path: path.to_owned(),
        expected: expected.into(),
        found,
    })
}

fn write_state(state: &TrainState, folder: &Path) -> Result<StateEntry, CheckpointError> {
    state.params.save(folder.join(MODEL))?;
    state.optimizer.save(folder.join(OPTIMIZER))?;
    Ok(StateEntry {
        updates: state.step,
        model_sha256: hex(&state.params.digest()),
        optimizer_sha256: hex(&state.optimizer.digest()),
    })
}

fn read_state(folder: &Path, entry: StateEntry) -> Result<TrainState, CheckpointError> {
    let params = read_tensors(folder, MODEL, &entry.model_sha256)?;
    let optimizer = read_tensors(folder, OPTIMIZER, &entry.optimizer_sha256)?;
    params
        .check_parameters()
        .map_err(|source| CheckpointError::Load {
            checkpoint: folder.to_owned(),
            source,
        })?;
    Ok(TrainState {
        step: entry.updates,
        params,
        optimizer,
    })
}

fn read_tensors(folder: &Path, name: &str, expected: &str) -> Result<Weights, CheckpointError> {
    let path = folder.join(name);
    let mut bytes = Vec::new();
    open_file(&path)
        .and_then(|mut file| file.read_to_end(&mut bytes))
        .map_err(CheckpointError::io(&path))?;
    require_digest(&path, expected, hex(&Sha256::digest(&bytes).into()))?;
    Weights::from_bytes(&bytes).map_err(|source| CheckpointError::Load {
        checkpoint: folder.to_owned(),
        source,
    })
}

#[cfg(test)]
pub(super) mod tests;
