//! A question by its coordinates, and why there may be none.

use reproducible_ops::random::Stream;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::family::FamilyId;
use crate::question::Question;
use crate::random;
use crate::split::Split;

/// Most redraws until a question falls in the wanted split. About one in eight does at worst, so
/// bad luck never fails.
const MAX_REDRAWS: u32 = 4096;

/// One question, by its coordinates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Task {
    /// The generator or dataset.
    pub family: FamilyId,
    /// Seed of the generator; for a dataset, the first eight bytes of its SHA-256, big-endian.
    pub seed: u64,
    /// Number of the question under this seed; for a dataset, its row from 0.
    pub index: u64,
    /// Difficulty level, below [`FamilyId::levels`].
    pub difficulty: u8,
    /// Whether the question may be trained on.
    pub split: Split,
}

/// Why a task has no question.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TaskError {
    /// The difficulty is beyond the family's last level.
    #[error(
        "family {family} has no difficulty {difficulty}; use 0 to {last}",
        last = family.levels() - 1
    )]
    Difficulty {
        /// The family.
        family: FamilyId,
        /// The difficulty asked for.
        difficulty: u8,
    },
    /// The family's questions come from a dataset that is not loaded.
    #[error(
        "family {family} needs its JSONL file, which is not loaded; `eval` and `train` take it \
         with --gsm8k FILE"
    )]
    NoDataset {
        /// The family.
        family: FamilyId,
    },
    /// The task is from another dataset than the loaded one.
    #[error(
        "the {family} task is from a dataset with SHA-256 beginning {seed:016x}, not from the \
         loaded one ({loaded:016x}); load that file"
    )]
    OtherDataset {
        /// The family.
        family: FamilyId,
        /// The first eight bytes of the content hash that the task names.
        seed: u64,
        /// Those of the loaded file.
        loaded: u64,
    },
    /// The dataset has no usable row of this number.
    #[error(
        "row {row} of dataset {seed:016x} does not exist or was rejected when the file was loaded \
         ({rows} usable rows)"
    )]
    NoRow {
        /// The row.
        row: u64,
        /// The content hash's first eight bytes.
        seed: u64,
        /// Rows that can be used.
        rows: usize,
    },
    /// The task claims a split that its question is not in.
    #[error("row {row} of dataset {seed:016x} is not in the {split} split that the task claims")]
    WrongSplit {
        /// The row.
        row: u64,
        /// The content hash's first eight bytes.
        seed: u64,
        /// The split claimed.
        split: Split,
    },
    /// The dataset has too few distinct questions in the split.
    #[error(
        "the {family} file has {found} distinct {split} questions, {wanted} are asked for; \
         {remedy}",
        remedy = match found {
            0 => "bring a larger file".to_owned(),
            _ => format!(
                "ask for at most {found} (`eval --questions`, `train.heldout`), or bring a larger \
                 file"
            ),
        }
    )]
    TooFewRows {
        /// The family.
        family: FamilyId,
        /// The split.
        split: Split,
        /// Questions asked for.
        wanted: usize,
        /// Distinct questions of the split in the file.
        found: usize,
    },
    /// The family has too few distinct questions in the split.
    #[error(
        "family {family} at difficulty {difficulty} gave only {found} of {wanted} distinct {split} \
         questions; ask for at most {found}{harder}",
        harder = if difficulty + 1 < family.levels() { ", or raise the difficulty" } else { "" }
    )]
    TooFew {
        /// The family.
        family: FamilyId,
        /// The difficulty.
        difficulty: u8,
        /// The split.
        split: Split,
        /// Questions asked for.
        wanted: usize,
        /// Distinct questions found.
        found: usize,
    },
}

impl Task {
    /// A task to train on.
    pub fn train(family: FamilyId, seed: u64, index: u64, difficulty: u8) -> Self {
        Self {
            family,
            seed,
            index,
            difficulty,
            split: Split::Train,
        }
    }

    /// A task to evaluate on, never trained on.
    pub fn held_out(family: FamilyId, seed: u64, index: u64, difficulty: u8) -> Self {
        Self {
            family,
            seed,
            index,
            difficulty,
            split: Split::HeldOut,
        }
    }

    /// The question of a generated task; tasks from datasets need
    /// [`Library::question`](crate::Library::question).
    pub fn question(&self) -> Result<Question, TaskError> {
        let family = self.family.generator().ok_or(TaskError::NoDataset {
            family: self.family,
        })?;
        if self.difficulty >= self.family.levels() {
            return Err(TaskError::Difficulty {
                family: self.family,
                difficulty: self.difficulty,
            });
        }
        let mut random = self.stream();
        let mut questions = (0..MAX_REDRAWS).map(|_| family.generate(self.difficulty, &mut random));
        questions
            .find(|question| question.split() == self.split)
            .ok_or_else(|| self.too_few(1, 0))
    }

    /// The stream that the task's question is drawn from.
    fn stream(&self) -> Stream {
        let domain = format!("task/{}", self.family.name());
        random::stream(
            &domain,
            [self.seed, u64::from(self.difficulty), self.split as u64, 0],
            self.index,
        )
    }

    pub(super) fn too_few(&self, wanted: usize, found: usize) -> TaskError {
        TaskError::TooFew {
            family: self.family,
            difficulty: self.difficulty,
            split: self.split,
            wanted,
            found,
        }
    }
}

/// 1 if `text` is the right answer to `task`, else 0; regenerates the question.
///
/// ```
/// use swarm_task::{FamilyId, Task, score};
///
/// let task = Task::train(FamilyId::Sort, 1, 0, 0);
/// let gold = task.question()?.gold;
/// assert_eq!(score(&task, gold.text())?, 1.0);
/// assert_eq!(score(&task, "no idea")?, 0.0);
/// # Ok::<(), swarm_task::TaskError>(())
/// ```
pub fn score(task: &Task, text: &str) -> Result<f32, TaskError> {
    task.question().map(|question| question.score(text))
}
