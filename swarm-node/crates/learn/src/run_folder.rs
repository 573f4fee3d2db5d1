//! The folder of a training run: its checkpoints, and the lock of the process that trains in it.
//!
//! ```text
//! root/lock                      held while a process trains here
//!      step-00000120/…           checkpoints, named by the steps of the run that were done
//!      step-00000140/…
//!      partial-step-00000160/…   being written; never read, removed by the next run
//!      damaged-step-00000150/…   found damaged by a run that resumed from an older one
//! ```
//! A checkpoint is written to a folder of its own, synced, and renamed into place, so it is there
//! whole or not at all; older ones are removed only after that. Steps of a run only grow, so the
//! highest number is the newest checkpoint and a save never removes itself.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use swarm_files::whole::{name_folder, require_writable};
use swarm_model::ModelFiles;

use super::checkpoint::{self, Checkpoint, CheckpointError, require_steps};

const LOCK: &str = "lock";
const STEP: &str = "step-";
const PARTIAL: &str = "partial-";
const DAMAGED: &str = "damaged-";

/// A checkpoint that was passed over because it is damaged.
#[derive(Debug, thiserror::Error)]
#[error(
    "{error}; an older checkpoint is used instead{kept}", kept = kept_as(kept.as_deref())
)]
pub struct Damaged {
    /// What is wrong with it.
    pub error: CheckpointError,
    /// Where it lies, if it was set aside.
    pub kept: Option<PathBuf>,
}

fn kept_as(path: Option<&Path>) -> String {
    match path {
        Some(path) => format!(", this one is kept as {}", path.display()),
        None => String::new(),
    }
}

/// The newest checkpoint under `root` that is whole, and the damaged ones that are newer. Nothing
/// is changed or locked.
///
/// # Errors
/// The folder cannot be read, or it holds checkpoints and every one is damaged.
pub fn newest(root: &Path) -> Result<(Option<PathBuf>, Vec<Damaged>), CheckpointError> {
    let found = newest_whole(root, checkpoint::verify, |steps| *steps)?;
    let damaged = found
        .damaged
        .into_iter()
        .map(|(_, error)| Damaged { error, kept: None })
        .collect();
    Ok((found.whole.map(|(path, _)| path), damaged))
}

/// A folder of checkpoints in which this process, and no other, trains.
#[derive(Debug)]
pub struct RunFolder {
    root: PathBuf,
    keep: usize,
    files: Arc<ModelFiles>,
    _lock: File,
}

impl RunFolder {
    /// Takes the folder for this process; keeps the newest `keep` checkpoints, at least two, as one
    /// may turn out damaged. Each gets the files that make it a Hugging Face model. What a killed
    /// process left half written is removed.
    ///
    /// # Errors
    /// The folder cannot be created or written, or another process trains in it.
    pub fn open(
        root: impl Into<PathBuf>,
        keep: usize,
        files: Arc<ModelFiles>,
    ) -> Result<Self, CheckpointError> {
        let root = root.into();
        fs::create_dir_all(&root).map_err(CheckpointError::io(&root))?;
        let lock = lock(&root)?;
        // Before the work rather than at its first checkpoint.
        require_writable(&root).map_err(CheckpointError::io(&root))?;
        let folder = Self {
            root,
            keep: keep.max(2),
            files,
            _lock: lock,
        };
        for name in names(&folder.root)? {
            let path = folder.root.join(&name);
            // A file or a link of that name is not ours.
            let is_folder = path.symlink_metadata().is_ok_and(|found| found.is_dir());
            if is_folder
                && name
                    .strip_prefix(PARTIAL)
                    .is_some_and(|rest| rest.starts_with(STEP))
            {
                remove(&path).map_err(CheckpointError::io(&path))?;
            }
        }
        Ok(folder)
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the checkpoint after so many steps lies.
    pub fn path(&self, steps: u64) -> PathBuf {
        checkpoint_path(&self.root, steps)
    }

    /// Steps after which there is a checkpoint, ascending.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn steps(&self) -> Result<Vec<u64>, CheckpointError> {
        steps(&self.root)
    }

    /// Writes a checkpoint and removes the oldest ones beyond the number to keep. One of the same
    /// step is replaced; a run takes a step once, so that is one that the run did not resume from.
    ///
    /// # Errors
    /// The system refuses; older checkpoints are untouched then.
    pub fn save(&self, checkpoint: &Checkpoint) -> Result<PathBuf, CheckpointError> {
        let path = self.path(checkpoint.steps);
        let partial = self
            .root
            .join(format!("{PARTIAL}{}", step_name(checkpoint.steps)));
        remove(&partial).map_err(CheckpointError::io(&partial))?;
        fs::create_dir(&partial).map_err(CheckpointError::io(&partial))?;
        checkpoint.write(&partial, &self.files)?;
        remove(&path)
            .and_then(|()| name_folder(&partial, &path))
            .map_err(CheckpointError::io(&path))?;
        self.remove_old(checkpoint.steps)?;
        Ok(path)
    }

    /// Counts from the one just saved, so that it stays whatever else lies there.
    fn remove_old(&self, saved: u64) -> Result<(), CheckpointError> {
        let older = self
            .steps()?
            .into_iter()
            .rev()
            .filter(|steps| *steps <= saved);
        for steps in older.skip(self.keep) {
            let path = self.path(steps);
            remove(&path).map_err(CheckpointError::io(&path))?;
        }
        Ok(())
    }

    /// The newest checkpoint that is whole, if it is of a run with this configuration. Damaged ones
    /// that are newer are set aside under another name: the run will take their steps again.
    ///
    /// # Errors
    /// The folder cannot be read or changed, it holds checkpoints and every one is damaged, or the
    /// newest is of another run; nothing is changed then.
    pub fn resume(
        &self,
        config: &Value,
    ) -> Result<(Option<Checkpoint>, Vec<Damaged>), CheckpointError> {
        let found = newest_whole(&self.root, Checkpoint::load, |checkpoint| checkpoint.steps)?;
        if let Some((_, checkpoint)) = &found.whole {
            checkpoint.require_config(config, &self.root)?;
        }
        let mut damaged = Vec::new();
        for (steps, error) in found.damaged {
            let path = self.path(steps);
            let kept = self.free_name(&format!("{DAMAGED}{}", step_name(steps)));
            fs::rename(&path, &kept).map_err(CheckpointError::io(&path))?;
            damaged.push(Damaged {
                error,
                kept: Some(kept),
            });
        }
        Ok((found.whole.map(|(_, checkpoint)| checkpoint), damaged))
    }

    /// A path in the folder where nothing is: this name, or this name with a number.
    fn free_name(&self, name: &str) -> PathBuf {
        let numbered = (2u32..).map(|number| format!("{name}-{number}"));
        let mut paths = std::iter::once(name.to_owned())
            .chain(numbered)
            .map(|name| self.root.join(name));
        #[expect(
            clippy::expect_used,
            reason = "a folder does not hold four billion names"
        )]
        paths
            .find(|path| path.symlink_metadata().is_err())
            .expect("invariant: some number is free")
    }
}

struct Found<T> {
    whole: Option<(PathBuf, T)>,
    /// Steps and what is wrong, newest first.
    damaged: Vec<(u64, CheckpointError)>,
}

fn newest_whole<T>(
    root: &Path,
    read: impl Fn(&Path) -> Result<T, CheckpointError>,
    steps_of: impl Fn(&T) -> u64,
) -> Result<Found<T>, CheckpointError> {
    let mut damaged = Vec::new();
    for steps in steps(root)?.into_iter().rev() {
        let path = checkpoint_path(root, steps);
        let found = read(&path);
        let found =
            found.and_then(|found| require_steps(&path, steps, steps_of(&found)).map(|()| found));
        match found {
            Ok(found) => {
                return Ok(Found {
                    whole: Some((path, found)),
                    damaged,
                });
            }
            Err(error) if error.is_damage() => damaged.push((steps, error)),
            Err(error) => return Err(error),
        }
    }
    match damaged.pop() {
        Some((_, oldest)) => Err(CheckpointError::AllDamaged {
            root: root.to_owned(),
            source: Box::new(oldest),
        }),
        None => Ok(Found {
            whole: None,
            damaged,
        }),
    }
}

/// Where the checkpoint after so many steps lies in a run's folder, if it is there.
pub fn checkpoint_path(root: &Path, steps: u64) -> PathBuf {
    root.join(step_name(steps))
}

fn step_name(steps: u64) -> String {
    format!("{STEP}{steps:08}")
}

fn steps(root: &Path) -> Result<Vec<u64>, CheckpointError> {
    // Only names that a save gives: `step-13` is none.
    let numbers = names(root)?.into_iter().filter_map(|name| {
        let steps = name.strip_prefix(STEP)?.parse().ok()?;
        (name == step_name(steps)).then_some(steps)
    });
    let mut steps: Vec<u64> = numbers.collect();
    steps.sort_unstable();
    Ok(steps)
}

/// Names in a folder that are text; ours all are.
fn names(root: &Path) -> Result<Vec<String>, CheckpointError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(root).map_err(CheckpointError::io(root))? {
        names.extend(
            entry
                .map_err(CheckpointError::io(root))?
                .file_name()
                .into_string(),
        );
    }
    Ok(names)
}

/// Takes the lock of a run's folder and leaves this process's number in it, for the error that
/// another one will show.
fn lock(root: &Path) -> Result<File, CheckpointError> {
    let path = root.join(LOCK);
    if path.symlink_metadata().is_ok_and(|found| !found.is_file()) {
        // What a link leads to is not written over.
        let refused = io::Error::new(
            io::ErrorKind::AlreadyExists,
            "it is no regular file; move it away",
        );
        return Err(CheckpointError::io(&path)(refused));
    }
    let mut options = File::options();
    let mut file = options
        .create(true)
        .read(true)
        .write(true)
        .truncate(false)
        .open(&path)
        .map_err(CheckpointError::io(&path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(CheckpointError::Locked {
                root: root.into(),
                holder: holder(&file),
            });
        }
        Err(TryLockError::Error(source)) => return Err(CheckpointError::io(&path)(source)),
    }
    let noted = file
        .set_len(0)
        .and_then(|()| writeln!(file, "{}", std::process::id()));
    noted.map_err(CheckpointError::io(&path))?;
    Ok(file)
}

/// Who holds a lock, in words; nothing where its file does not tell.
fn holder(file: &File) -> String {
    let mut text = String::new();
    let read = file.take(20).read_to_string(&mut text);
    match (read, text.trim().parse::<u32>()) {
        (Ok(_), Ok(process)) => format!(" (process {process})"),
        _ => String::new(),
    }
}

/// Removes a folder if it is there.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::super::checkpoint::tests::{checkpoint, files, state};
    use super::*;

    fn run(keep: usize) -> (tempfile::TempDir, RunFolder) {
        let folder = tempfile::tempdir().unwrap();
        let run = RunFolder::open(folder.path().join("run"), keep, Arc::new(files())).unwrap();
        (folder, run)
    }

    fn config() -> Value {
        checkpoint(1).config
    }

    fn save(run: &RunFolder, steps: u64) {
        run.save(&checkpoint(steps)).unwrap();
    }

    fn damage(run: &RunFolder, steps: u64) {
        let file = run.path(steps).join("model.safetensors");
        let bytes = fs::read(&file).unwrap();
        fs::write(&file, &bytes[..bytes.len() - 5]).unwrap();
    }

    #[test]
    fn the_newest_comes_back_and_old_ones_go() {
        let (_folder, run) = run(2);
        assert_eq!(run.resume(&config()).unwrap().0, None);
        [3, 10, 200].into_iter().for_each(|steps| save(&run, steps));
        assert_eq!(run.steps().unwrap(), [10, 200]);
        assert_eq!(run.resume(&config()).unwrap().0, Some(checkpoint(200)));
        assert_eq!(newest(run.root()).unwrap().0, Some(run.path(200)));
    }

    #[test]
    fn a_save_after_a_rollback_is_the_newest() {
        let (_folder, run) = run(2);
        for (steps, updates) in [(8, 8), (9, 9), (10, 6)] {
            let checkpoint = Checkpoint {
                state: state(updates),
                ..checkpoint(steps)
            };
            let path = run.save(&checkpoint).unwrap();
            assert!(path.is_dir());
            assert_eq!(run.resume(&config()).unwrap().0, Some(checkpoint));
        }
    }

    #[test]
    fn saving_the_same_step_again_replaces_it() {
        let (_folder, run) = run(2);
        save(&run, 3);
        let changed = Checkpoint {
            run: serde_json::json!(1),
            ..checkpoint(3)
        };
        run.save(&changed).unwrap();
        assert_eq!(run.resume(&config()).unwrap().0, Some(changed));
    }

    #[test]
    fn damaged_ones_are_passed_over_named_and_kept() {
        let (_folder, run) = run(3);
        [1, 8, 9].into_iter().for_each(|steps| save(&run, steps));
        [8, 9].into_iter().for_each(|steps| damage(&run, steps));
        let (looked, seen) = newest(run.root()).unwrap();
        assert_eq!((looked, seen.len()), (Some(run.path(1)), 2));
        assert_eq!(run.steps().unwrap(), [1, 8, 9], "looking changed something");
        let (found, damaged) = run.resume(&config()).unwrap();
        assert_eq!(found, Some(checkpoint(1)));
        let text = damaged[0].to_string();
        assert!(
            text.contains("step-00000009")
                && text.contains("truncated")
                && text.contains("damaged-step"),
            "{text}"
        );
        assert!(
            damaged
                .iter()
                .all(|damaged| damaged.kept.as_ref().unwrap().is_dir())
        );
        save(&run, 2);
        assert_eq!(run.steps().unwrap(), [1, 2]);
    }

    #[test]
    fn a_save_never_removes_itself() {
        let (_folder, run) = run(2);
        [20, 21, 3].into_iter().for_each(|steps| save(&run, steps));
        assert_eq!(run.steps().unwrap(), [3, 20, 21]);
    }

    #[test]
    fn when_every_one_is_damaged_nothing_is_moved() {
        let (_folder, run) = run(2);
        save(&run, 1);
        damage(&run, 1);
        let error = run.resume(&config()).unwrap_err().to_string();
        assert!(
            error.contains("no checkpoint") && error.contains("truncated"),
            "{error}"
        );
        assert_eq!(run.steps().unwrap(), [1]);
    }

    #[test]
    fn what_a_killed_process_left_is_never_read_and_goes() {
        let (folder, run) = run(2);
        save(&run, 1);
        let partial = run.root().join("partial-step-00000009");
        fs::rename(run.path(1), &partial).unwrap();
        assert_eq!(run.resume(&config()).unwrap().0, None);
        drop(run);
        RunFolder::open(folder.path().join("run"), 2, Arc::new(files())).unwrap();
        assert!(!partial.exists());
    }

    #[test]
    fn a_folder_has_one_run_at_a_time() {
        let (folder, run) = run(2);
        let error = RunFolder::open(folder.path().join("run"), 2, Arc::new(files()))
            .unwrap_err()
            .to_string();
        let process = format!("process {}", std::process::id());
        assert!(
            error.contains("in use") && error.contains(&process) && error.contains("--out"),
            "{error}"
        );
        drop(run);
        RunFolder::open(folder.path().join("run"), 2, Arc::new(files())).unwrap();
    }

    #[test]
    fn names_and_steps_that_no_save_gives_are_no_checkpoints() {
        let (_folder, run) = run(3);
        [11, 12].into_iter().for_each(|steps| save(&run, steps));
        for name in [
            "step-13",
            "step-+13",
            "step-000000013",
            "step-99999999999999999999",
            "step-00000005x",
        ] {
            fs::create_dir(run.root().join(name)).unwrap();
        }
        assert_eq!(run.steps().unwrap(), [11, 12]);
        fs::rename(run.path(12), run.path(99)).unwrap();
        let (found, damaged) = run.resume(&config()).unwrap();
        assert_eq!(found, Some(checkpoint(11)));
        let text = damaged[0].to_string();
        assert!(
            text.contains("says 12 steps") && text.contains("says 99"),
            "{text}"
        );
    }

    #[test]
    fn a_refused_resume_changes_nothing() {
        let (_folder, run) = run(3);
        [1, 2].into_iter().for_each(|steps| save(&run, steps));
        damage(&run, 2);
        let other = serde_json::json!({ "seed": 8 });
        assert!(matches!(
            run.resume(&other),
            Err(CheckpointError::OtherRun { .. })
        ));
        assert_eq!(run.steps().unwrap(), [1, 2]);
    }

    #[test]
    fn what_is_damaged_twice_is_kept_twice() {
        let (_folder, run) = run(3);
        for _ in 0..2 {
            [1, 2].into_iter().for_each(|steps| save(&run, steps));
            damage(&run, 2);
            run.resume(&config()).unwrap();
        }
        let kept = names(run.root())
            .unwrap()
            .into_iter()
            .filter(|name| name.starts_with(DAMAGED))
            .count();
        assert_eq!(kept, 2);
    }

    #[cfg(unix)]
    #[test]
    fn links_and_pipes_are_not_followed_into_trouble() {
        let (folder, run) = run(2);
        save(&run, 1);
        drop(run);
        let (root, victim) = (folder.path().join("run"), folder.path().join("victim"));
        fs::write(&victim, "dear").unwrap();
        fs::remove_file(root.join(LOCK)).unwrap();
        std::os::unix::fs::symlink(&victim, root.join(LOCK)).unwrap();
        let error = RunFolder::open(&root, 2, Arc::default())
            .unwrap_err()
            .to_string();
        assert!(error.contains("no regular file"), "{error}");
        assert_eq!(fs::read(&victim).unwrap(), b"dear");
        fs::remove_file(root.join(LOCK)).unwrap();
        let run = RunFolder::open(&root, 2, Arc::default()).unwrap();
        let model = run.path(1).join("model.safetensors");
        fs::remove_file(&model).unwrap();
        assert!(
            std::process::Command::new("mkfifo")
                .arg(&model)
                .status()
                .unwrap()
                .success()
        );
        assert!(matches!(
            run.resume(&config()),
            Err(CheckpointError::AllDamaged { .. })
        ));
    }
}
