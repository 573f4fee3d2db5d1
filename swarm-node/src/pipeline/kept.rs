//! What a peer keeps of its last steps, so that its stage's part in them can be computed again
//! alone.
//!
//! ```text
//! kept/step-00000007/state.safetensors    the stage's state before the step
//!                    HASH.bin             what came in for a visit; sums of gradients
//! ```
//! [`KeepingWorker`] writes it, from what its member asks of it; [`Kept`] reads it, from several
//! peers' folders, and takes nothing that has not the hash it is asked for by.
//!
//! Limits: what was tried and does not count is kept, too, as a worker does not know the record. A
//! state takes as much disk as memory, for each step that is kept; it is written before the stage
//! moves, so that a step takes longer by that. Nothing is kept of a step that did not move the
//! stage.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use reproducible_ops::weights::Weights;
use skippipe::content::{Content, Digest};
use skippipe::path::Stage;
use skippipe::work::{Engine, Outcome, Task, Work};
use swarm_files::whole::{Access, Reserved};
use swarm_learn::pipeline::stage_audit::Evidence;
use swarm_learn::pipeline::stage_engine::state_root;
use swarm_learn::pipeline::stage_plan::SumFault;
use swarm_learn::pipeline::worker::{Blueprint, StageWorker};
use swarm_learn::trainer::TrainState;

const KEPT: &str = "kept";
const STEP: &str = "step-";
const STATE: &str = "state.safetensors";
/// Largest file that is read, in bytes.
const MAX_BYTES: u64 = 1 << 34;

/// What a worker does beside its work.
#[derive(Clone, Debug, Default)]
pub struct Keeping {
    /// The peer's folder.
    pub folder: PathBuf,
    /// Steps that are kept, the last ones; 0 for none.
    pub steps: u64,
    /// The step in which a bit of the stage's sum is wrong, on purpose.
    pub fault: Option<u64>,
}

/// A stage's worker that keeps what its member hands it.
#[derive(Debug)]
pub struct KeepingWorker {
    worker: StageWorker,
    keeping: Keeping,
    contents: BTreeMap<Digest, Content>,
    /// Why nothing is kept any more.
    failed: Option<String>,
}

impl KeepingWorker {
    /// A worker that keeps.
    pub fn new(worker: StageWorker, keeping: Keeping) -> Self {
        Self {
            worker,
            keeping,
            contents: BTreeMap::new(),
            failed: None,
        }
    }

    /// The worker.
    pub fn worker(&self) -> &StageWorker {
        &self.worker
    }

    /// Why nothing is kept any more, once.
    pub fn failure(&mut self) -> Option<String> {
        let failed = self.failed.take()?;
        self.keeping.steps = 0;
        Some(failed)
    }

    fn keep(&mut self, content: &Content) {
        if self.keeping.steps > 0 {
            self.contents.insert(content.digest(), content.clone());
        }
    }

    fn look_at(&mut self, work: &Work) {
        match work {
            Work::Loss { input, .. } => self.keep(input),
            Work::Backward {
                input, gradient, ..
            } => {
                self.keep(input);
                self.keep(gradient);
            }
            Work::EmbedBackward { gradient, .. } => self.keep(gradient),
            Work::Update { step, sum, .. } if self.keeping.steps > 0 => {
                self.keep(sum);
                let written = self.write(*step);
                self.contents.clear();
                if let Err(error) = written {
                    let folder = self.keeping.folder.join(KEPT);
                    self.failed = Some(format!("{}: {error}", folder.display()));
                }
            }
            _ => {}
        }
    }

    fn write(&mut self, step: u64) -> io::Result<()> {
        let kept = self.keeping.folder.join(KEPT);
        let folder = step_folder(&self.keeping.folder, step);
        fs::create_dir_all(&folder)?;
        // No task of the member has this number.
        if let Some(Outcome::Content(state)) = self.worker.perform(Task(u64::MAX), Work::Export) {
            write(&folder.join(STATE), state.bytes())?;
        }
        for (digest, content) in &self.contents {
            write(&content_path(&folder, digest), content.bytes())?;
        }
        let oldest = (step + 1).saturating_sub(self.keeping.steps);
        for known in kept_steps(&kept)?
            .into_iter()
            .filter(|known| *known < oldest)
        {
            fs::remove_dir_all(step_folder(&self.keeping.folder, known))?;
        }
        Ok(())
    }

    /// The work as a machine does it that has one bit wrong.
    fn broken(&self, work: Work) -> Work {
        let wrong = |sum: Content| match Weights::from_bytes(sum.bytes()) {
            Ok(right) => Content::new(SumFault::EXAMPLE.of_sum(&right).to_bytes()),
            // Refused as it is.
            Err(_) => sum,
        };
        match work {
            Work::Squares { step, sum, visits } if self.keeping.fault == Some(step) => {
                let sum = wrong(sum);
                Work::Squares { step, sum, visits }
            }
            Work::Update {
                step,
                sum,
                visits,
                norm,
            } if self.keeping.fault == Some(step) => Work::Update {
                step,
                sum: wrong(sum),
                visits,
                norm,
            },
            other => other,
        }
    }
}

impl Engine for KeepingWorker {
    fn perform(&mut self, task: Task, work: Work) -> Option<Outcome> {
        self.look_at(&work);
        let sums = matches!(work, Work::Sum(_) | Work::Add(..));
        let work = self.broken(work);
        let outcome = self.worker.perform(task, work);
        if let (true, Some(Outcome::Content(sum))) = (sums, &outcome) {
            self.keep(sum);
        }
        outcome
    }
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    Reserved::new(path, Access::Umask, bytes.len())?.replace(bytes)
}

fn step_folder(folder: &Path, step: u64) -> PathBuf {
    folder.join(KEPT).join(format!("{STEP}{step:08}"))
}

fn content_path(folder: &Path, digest: &Digest) -> PathBuf {
    folder.join(format!("{digest}.bin"))
}

/// Steps of which something is kept, ascending.
fn kept_steps(kept: &Path) -> io::Result<Vec<u64>> {
    let mut steps = Vec::new();
    for entry in fs::read_dir(kept)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix(STEP));
        steps.extend(number.and_then(|number| number.parse::<u64>().ok()));
    }
    steps.sort_unstable();
    Ok(steps)
}

/// The last step of which a peer's folder keeps something.
pub fn last_kept(folder: &Path) -> Option<u64> {
    kept_steps(&folder.join(KEPT)).ok()?.pop()
}

/// What peers' folders keep of a step.
#[derive(Clone)]
pub struct Kept<'b> {
    folders: Vec<PathBuf>,
    step: u64,
    stage: Stage,
    blueprint: &'b Blueprint,
}

impl<'b> Kept<'b> {
    /// What these folders keep of a stage's step.
    pub fn new(folders: Vec<PathBuf>, step: u64, stage: Stage, blueprint: &'b Blueprint) -> Self {
        Self {
            folders,
            step,
            stage,
            blueprint,
        }
    }

    /// The stage's state before a step, if it has this root.
    pub fn state_before(&self, step: u64, root: &Digest) -> Option<TrainState> {
        let paths = self.folders.iter();
        let mut states = paths.filter_map(|folder| {
            let bytes = read(&step_folder(folder, step).join(STATE))?;
            let state = self
                .blueprint
                .read_state(self.stage, &Content::new(bytes))
                .ok()?;
            let found = state_root(&state).ok()?;
            (found == root.0).then_some(state)
        });
        states.next()
    }
}

impl Evidence for Kept<'_> {
    fn content(&self, digest: &Digest) -> Option<Content> {
        let folders = self.folders.iter();
        let paths = folders.map(|folder| content_path(&step_folder(folder, self.step), digest));
        let mut contents = paths.filter_map(|path| read(&path)).map(Content::new);
        contents.find(|content| content.digest() == *digest)
    }

    fn state(&self, root: &Digest) -> Option<Weights> {
        let state = self.state_before(self.step + 1, root)?;
        let tensors = state.params.iter().chain(state.optimizer.iter());
        Some(
            tensors
                .map(|(name, tensor)| (name.to_owned(), tensor.clone()))
                .collect(),
        )
    }
}

/// A file's bytes; none where it is no file, or too large.
fn read(path: &Path) -> Option<Vec<u8>> {
    // A pipe would be waited for.
    let about = fs::metadata(path).ok()?;
    (about.is_file() && about.len() <= MAX_BYTES).then(|| fs::read(path).ok())?
}
