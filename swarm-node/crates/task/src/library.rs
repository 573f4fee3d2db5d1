//! Generated families and loaded datasets behind one interface.

use super::family::FamilyId;
use super::gsm8k::Dataset;
use super::held_out::held_out_set;
use super::question::Question;
use super::random::stream;
use super::split::Split;
use super::task::{Task, TaskError};

/// Where questions come from: the generators, and at most one dataset of each kind.
#[derive(Clone, Debug, Default)]
pub struct Library {
    gsm8k: Option<Dataset>,
}

impl Library {
    /// The generated families alone.
    pub fn new() -> Self {
        Self::default()
    }

    /// With a GSM8K file.
    #[must_use]
    pub fn with_gsm8k(self, dataset: Dataset) -> Self {
        Self {
            gsm8k: Some(dataset),
        }
    }

    /// SHA-256 of the GSM8K file, if there is one: what decides its questions.
    pub fn gsm8k_digest(&self) -> Option<&[u8; 32]> {
        self.gsm8k.as_ref().map(Dataset::digest)
    }

    /// The question of `task`.
    pub fn question(&self, task: &Task) -> Result<Question, TaskError> {
        match task.family {
            FamilyId::Gsm8k => self.dataset()?.question(task),
            _ => task.question(),
        }
    }

    /// 1 if `text` is the right answer to `task`, else 0.
    pub fn score(&self, task: &Task, text: &str) -> Result<f32, TaskError> {
        self.question(task).map(|question| question.score(text))
    }

    /// The `index`-th task of `family` under `seed`: a generated one, or a row drawn from the
    /// dataset.
    pub fn task(
        &self,
        family: FamilyId,
        difficulty: u8,
        split: Split,
        seed: u64,
        index: u64,
    ) -> Result<Task, TaskError> {
        if family != FamilyId::Gsm8k {
            return Ok(Task {
                family,
                seed,
                index,
                difficulty,
                split,
            });
        }
        let rows = self.dataset()?.tasks(split);
        let none = TaskError::TooFewRows {
            family,
            split,
            wanted: 1,
            found: 0,
        };
        stream("task/rows", [seed, 0, 0, 0], index)
            .choose(&rows)
            .copied()
            .ok_or(none)
    }

    /// A fixed list of `count` held-out tasks with distinct questions.
    pub fn held_out_set(
        &self,
        family: FamilyId,
        difficulty: u8,
        count: usize,
        seed: u64,
    ) -> Result<Vec<Task>, TaskError> {
        if family != FamilyId::Gsm8k {
            return held_out_set(family, difficulty, count, seed);
        }
        let mut rows = self.dataset()?.tasks(Split::HeldOut);
        let found = rows.len();
        stream("task/held-out-rows", [seed, 0, 0, 0], 0).shuffle(&mut rows);
        rows.truncate(count);
        if rows.len() == count {
            Ok(rows)
        } else {
            Err(TaskError::TooFewRows {
                family,
                split: Split::HeldOut,
                wanted: count,
                found,
            })
        }
    }

    fn dataset(&self) -> Result<&Dataset, TaskError> {
        self.gsm8k.as_ref().ok_or(TaskError::NoDataset {
            family: FamilyId::Gsm8k,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn library() -> Library {
        let rows = (0..64).map(|n| {
            format!(
                "{{\"question\": \"{n} plus 1?\", \"answer\": \"#### {}\"}}\n",
                n + 1
            )
        });
        Library::new().with_gsm8k(Dataset::parse(rows.collect::<String>().as_bytes()).dataset)
    }

    #[test]
    fn dataset_and_generated_tasks_are_asked_alike() {
        let library = library();
        for family in [FamilyId::Gsm8k, FamilyId::Max] {
            for split in [Split::Train, Split::HeldOut] {
                let task = library.task(family, 0, split, 3, 9).unwrap();
                let question = library.question(&task).unwrap();
                assert_eq!(question.split(), split);
                assert_eq!(library.score(&task, question.gold.text()), Ok(1.0));
                assert_eq!(library.score(&task, "none"), Ok(0.0));
            }
        }
    }

    #[test]
    fn dataset_evaluation_is_fixed_and_bounded_by_its_rows() {
        let library = library();
        let tasks = library.held_out_set(FamilyId::Gsm8k, 0, 3, 1).unwrap();
        assert_eq!(
            tasks,
            library.held_out_set(FamilyId::Gsm8k, 0, 3, 1).unwrap()
        );
        let found = library.dataset().unwrap().tasks(Split::HeldOut).len();
        let error = library.held_out_set(FamilyId::Gsm8k, 0, 64, 1).unwrap_err();
        assert_eq!(
            error,
            TaskError::TooFewRows {
                family: FamilyId::Gsm8k,
                split: Split::HeldOut,
                wanted: 64,
                found
            }
        );
        let told = error.to_string();
        assert!(
            told.contains(&format!("at most {found}")) && told.contains("larger file"),
            "{told}"
        );
        assert!(!told.contains("difficulty"), "{told}");
        assert_eq!(
            library.held_out_set(FamilyId::Sort, 0, 5, 1),
            held_out_set(FamilyId::Sort, 0, 5, 1)
        );
    }

    #[test]
    fn an_absent_dataset_is_named() {
        let task = Task::train(FamilyId::Gsm8k, 0xabcd, 0, 0);
        let error = Library::new().question(&task).unwrap_err().to_string();
        assert!(
            error.contains("gsm8k") && error.contains("JSONL"),
            "{error}"
        );
        let error = library().question(&task).unwrap_err().to_string();
        assert!(
            error.contains("000000000000abcd") && error.contains("load that file"),
            "{error}"
        );
    }
}
