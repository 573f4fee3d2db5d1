//! Which questions may be trained on: one is held out exactly when its canonical form's SHA-256 is
//! 0 modulo 8.
//!
//! The canonical form is the same for all orders of a question's parts that cannot matter. So `sort
//! 38152=` and `sort 83152=` are in one split: a model that has trained on either has seen the
//! answer to both. The rule needs no list, so pretraining, reinforcement learning and every peer
//! skip the same questions.

use std::collections::HashSet;
use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::family::FamilyId;
use super::{Task, TaskError};

/// Most draws in a row without a new question; after them a family is taken to have no more. They
/// are counted in a row, and not in all, so that the number of questions found does not depend on
/// the number asked for.
const MAX_REPEATS: u32 = 1024;

/// One question in this many is held out.
pub const HELD_OUT_MODULUS: u8 = 8;

/// The part of all questions that a task is drawn from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// Seven eighths: pretraining and reinforcement learning.
    Train,
    /// One eighth: evaluation only.
    HeldOut,
}

impl Split {
    /// The split of the questions with this canonical form, [`super::Question::canonical`].
    pub fn of(canonical: &str) -> Self {
        // The last byte of the big-endian digest alone decides divisibility by eight.
        let last = Sha256::digest(canonical.as_bytes())[31];
        if last.is_multiple_of(HELD_OUT_MODULUS) {
            Self::HeldOut
        } else {
            Self::Train
        }
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Train => "train",
            Self::HeldOut => "held-out",
        })
    }
}

/// The first `count` held-out tasks of a generated family under `seed`, no two of them twins: one
/// list for all peers.
///
/// A longer list begins with the shorter ones. For a dataset family use
/// [`super::Library::held_out_set`].
///
/// # Errors
/// The family has too few; as many as the error says can be had.
pub fn held_out_set(
    family: FamilyId,
    difficulty: u8,
    count: usize,
    seed: u64,
) -> Result<Vec<Task>, TaskError> {
    let (mut forms, mut tasks) = (HashSet::new(), Vec::with_capacity(count));
    let (mut index, mut repeats) = (0, 0);
    while tasks.len() < count {
        let task = Task::held_out(family, seed, index, difficulty);
        if forms.insert(task.question()?.canonical) {
            tasks.push(task);
            repeats = 0;
        } else if repeats < MAX_REPEATS {
            repeats += 1;
        } else {
            return Err(task.too_few(count, tasks.len()));
        }
        index += 1;
    }
    Ok(tasks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_is_the_digest_modulo_eight() {
        // SHA-256("abc") ends in …15ad, SHA-256("") in …b855; 0xad % 8 = 5, 0x55 % 8 = 5.
        assert_eq!(Split::of("abc"), Split::Train);
        assert_eq!(Split::of(""), Split::Train);
        let digest = |text: &str| Sha256::digest(text.as_bytes())[31];
        let held = (0..200)
            .map(|n| n.to_string())
            .find(|text| digest(text) % 8 == 0)
            .unwrap();
        assert_eq!(Split::of(&held), Split::HeldOut);
    }

    #[test]
    fn held_out_lists_are_fixed_distinct_and_held_out() {
        let tasks = held_out_set(FamilyId::Max, 0, 100, 5).unwrap();
        assert_eq!(tasks, held_out_set(FamilyId::Max, 0, 100, 5).unwrap());
        assert_eq!(tasks[..50], held_out_set(FamilyId::Max, 0, 50, 5).unwrap());
        let forms: HashSet<String> = tasks
            .iter()
            .map(|task| task.question().unwrap().canonical)
            .collect();
        assert_eq!(forms.len(), 100);
        assert!(forms.iter().all(|form| Split::of(form) == Split::HeldOut));
    }

    #[test]
    fn too_many_distinct_questions_are_refused_with_a_number_that_works() {
        for (family, least) in [(FamilyId::Base, 900), (FamilyId::Sort, 200)] {
            let error = held_out_set(family, 0, 2_000, 5).unwrap_err();
            assert!(
                error
                    .to_string()
                    .contains("of 2000 distinct held-out questions"),
                "{error}"
            );
            let TaskError::TooFew { found, .. } = error else {
                panic!("{error}")
            };
            assert!(found >= least, "{family}: {found}");
            assert_eq!(held_out_set(family, 0, found, 5).unwrap().len(), found);
            assert!(held_out_set(family, 0, found + 1, 5).is_err());
        }
    }
}
