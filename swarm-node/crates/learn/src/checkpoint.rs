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

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use reproducible_ops::weights::{LoadError, SaveError, Weights};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use swarm_files::whole::{Access, Reserved};
use swarm_identity::digest::hex;
use swarm_model::ModelFiles;

use super::trainer::TrainState;

/// Version of the layout.
pub const FORMAT: u32 = 2;
/// Longest manifest that is read, in bytes: configuration and run state are a few kilobytes.
pub const MAX_MANIFEST_BYTES: u64 = 1 << 20;

const MODEL: &str = "model.safetensors";
const OPTIMIZER: &str = "optimizer.safetensors";
const MANIFEST: &str = "manifest.json";
const BEST: &str = "best";

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
    pub(super) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        |source| Self::Io { path, source }
    }

    /// Whether the checkpoint itself is wrong. A system that refuses to read it may give it another
    /// time.
    pub(super) fn is_damage(&self) -> bool {
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

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    format: u32,
    /// Steps of the run that are done.
    steps: u64,
    state: StateEntry,
    best: BestEntry,
    /// SHA-256 by name, of the files that make the folder a Hugging Face model.
    files: BTreeMap<String, String>,
    config: Value,
    run: Value,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StateEntry {
    /// Steps of the optimizer.
    updates: u64,
    model_sha256: String,
    optimizer_sha256: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
enum BestEntry {
    /// The run has none yet, or keeps none.
    None,
    /// It is the checkpoint's own state.
    Same,
    /// It lies in a folder of its own.
    Kept(StateEntry),
}

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
        let manifest = read_manifest(folder)?;
        for (name, expected) in &manifest.files {
            verify_file(&file_in(folder, name)?, expected)?;
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
    let manifest = read_manifest(folder)?;
    for (name, expected) in &manifest.files {
        verify_file(&file_in(folder, name)?, expected)?;
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

/// A file that a manifest names. A manifest may come from a stranger, so a name must not lead out
/// of the folder.
fn file_in(folder: &Path, name: &str) -> Result<PathBuf, CheckpointError> {
    if Path::new(name).file_name().is_some_and(|file| file == name) {
        return Ok(folder.join(name));
    }
    let reason = format!("the file name {name:?} is no plain name");
    Err(CheckpointError::Manifest {
        path: folder.join(MANIFEST),
        reason,
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

fn read_manifest(folder: &Path) -> Result<Manifest, CheckpointError> {
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
    let value: Value = serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
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

/// The first place where two configurations differ, in words.
fn difference(at: &str, saved: &Value, given: &Value) -> Option<String> {
    let (Value::Object(before), Value::Object(after)) = (saved, given) else {
        let same = saved == given;
        return (!same).then(|| format!("`{at}` was {} and is {}", plain(saved), plain(given)));
    };
    let names: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    names.into_iter().find_map(|name| {
        let at = if at.is_empty() {
            name.clone()
        } else {
            format!("{at}.{name}")
        };
        difference(
            &at,
            before.get(name).unwrap_or(&Value::Null),
            after.get(name).unwrap_or(&Value::Null),
        )
    })
}

/// A value as people wrote it: a number that came from an f32 has the digits of that, not of the
/// double it became.
fn plain(value: &Value) -> String {
    match value.as_f64() {
        Some(number) if value.is_f64() && f64::from(number as f32) == number => {
            (number as f32).to_string()
        }
        _ => value.to_string(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use reproducible_ops::tensor::Tensor;

    use super::*;

    pub(in super::super) fn state(step: u64) -> TrainState {
        let tensor = |value: f32| Tensor::f32([2, 2], vec![value, -0.0, 1.5, step as f32]).unwrap();
        let params = [("w".to_owned(), tensor(0.1)), ("b".to_owned(), tensor(0.2))]
            .into_iter()
            .collect();
        let optimizer = [("adamw.m.w".to_owned(), tensor(0.3))]
            .into_iter()
            .collect();
        TrainState {
            step,
            params,
            optimizer,
        }
    }

    /// A checkpoint after so many steps, whose guard would return to a state of its own.
    pub(in super::super) fn checkpoint(steps: u64) -> Checkpoint {
        let (config, run) = (
            serde_json::json!({ "seed": 7 }),
            serde_json::json!({ "best": 0.5 }),
        );
        Checkpoint {
            steps,
            state: state(2),
            best: Some(state(1)),
            config,
            run,
        }
    }

    pub(in super::super) fn files() -> ModelFiles {
        ModelFiles::from_iter([("config.json".to_owned(), b"{}".to_vec())])
    }

    fn written(checkpoint: &Checkpoint) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        checkpoint.write(folder.path(), &files()).unwrap();
        folder
    }

    #[test]
    fn it_comes_back_equal_with_and_without_a_best_state_of_its_own() {
        for best in [None, Some(state(2)), Some(state(1))] {
            let subject = Checkpoint {
                best,
                ..checkpoint(3)
            };
            let folder = written(&subject);
            assert_eq!(Checkpoint::load(folder.path()).unwrap(), subject);
            verify(folder.path()).unwrap();
        }
        assert!(
            !written(&Checkpoint {
                best: Some(state(2)),
                ..checkpoint(3)
            })
            .path()
            .join(BEST)
            .exists()
        );
    }

    #[test]
    fn every_flipped_byte_is_noticed() {
        let folder = written(&checkpoint(1));
        for name in [
            MODEL,
            OPTIMIZER,
            "best/model.safetensors",
            "best/optimizer.safetensors",
            "config.json",
        ] {
            let file = folder.path().join(name);
            let bytes = fs::read(&file).unwrap();
            for at in (0..bytes.len()).step_by(7).chain([bytes.len() - 1]) {
                let mut damaged = bytes.clone();
                damaged[at] ^= 1;
                fs::write(&file, &damaged).unwrap();
                assert!(Checkpoint::load(folder.path()).is_err(), "{name} byte {at}");
                assert!(verify(folder.path()).is_err(), "{name} byte {at}");
            }
            fs::write(&file, &bytes).unwrap();
        }
        Checkpoint::load(folder.path()).unwrap();
    }

    #[test]
    fn numbers_that_training_cannot_go_on_from_are_refused() {
        for (optimizer, value, refused) in [
            (false, f32::NAN, true),
            (false, 1e30, true),
            (true, f32::INFINITY, true),
            (true, 1e30, false),
        ] {
            let mut damaged = checkpoint(1);
            let tensors = if optimizer {
                &mut damaged.state.optimizer
            } else {
                &mut damaged.state.params
            };
            let name = tensors.names().next().unwrap().to_owned();
            tensors.get_mut(&name).unwrap().words_mut()[2] = value.to_bits();
            let folder = written(&damaged);
            match Checkpoint::load(folder.path()) {
                Ok(found) => assert!(!refused && found == damaged),
                Err(error) => {
                    let error = error.to_string();
                    let place = folder.path().display().to_string();
                    let named = [&place, &name, "element 2", &value.to_string()];
                    assert!(
                        refused && named.iter().all(|part| error.contains(*part)),
                        "{error}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_wrong_manifest_is_an_error_with_its_place() {
        let folder = written(&checkpoint(1));
        let manifest = folder.path().join(MANIFEST);
        let whole = fs::read_to_string(&manifest).unwrap();
        let replaced = |from: &str, to: &str| whole.replace(from, to);
        for (text, named) in [
            ("{".to_owned(), "EOF"),
            ("{}".to_owned(), "no `format`"),
            (replaced("\"format\": 2", "\"format\": 1"), "format 1"),
            (
                replaced("\"config.json\"", "\"../config.json\""),
                "no plain name",
            ),
            (replaced("\"steps\"", "\"stepps\""), "stepps"),
        ] {
            fs::write(&manifest, text).unwrap();
            let error = Checkpoint::load(folder.path()).unwrap_err().to_string();
            assert!(
                error.contains("manifest.json") && error.contains(named),
                "{error}"
            );
        }
        fs::remove_file(&manifest).unwrap();
        assert!(matches!(
            Checkpoint::load(folder.path()),
            Err(CheckpointError::Io { .. })
        ));
    }

    #[test]
    fn another_run_is_refused_and_the_difference_named() {
        let config = serde_json::json!({ "learn": { "group": 8, "rate": 0.5 }, "seed": 7 });
        let found = Checkpoint {
            config: config.clone(),
            ..checkpoint(1)
        };
        found.require_config(&config, Path::new("x")).unwrap();
        // Each rate comes back from its file as it went in, 0.03 among them, whose digits a quick
        // parser reads 1 bit off.
        for rate in (1..1000).map(|rate| rate as f32 / 1000.0) {
            let config = serde_json::json!({ "rate": rate });
            let folder = written(&Checkpoint {
                config: config.clone(),
                ..checkpoint(1)
            });
            Checkpoint::load(folder.path())
                .unwrap()
                .require_config(&config, folder.path())
                .unwrap();
        }
        let other = serde_json::json!({ "learn": { "group": 8, "rate": 0.1f32 }, "seed": 7 });
        let error = found
            .require_config(&other, Path::new("x"))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("`learn.rate` was 0.5 and is 0.1;"),
            "{error}"
        );
        let error = found
            .require_config(&serde_json::json!({}), Path::new("x"))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("`learn` was") && error.contains("is null"),
            "{error}"
        );
    }
}
