//! Which questions may be trained on: a question is held out exactly when its prompt's SHA-256 is 0 modulo 8.
//!
//! The rule needs no list, so pretraining, reinforcement learning and every peer skip the same questions.

use std::collections::HashSet;
use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::family::FamilyId;
use super::{Task, TaskError};

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
    /// The split of the question with this prompt.
    pub fn of(prompt: &str) -> Self {
        // The last byte of the big-endian digest alone decides divisibility by eight.
        let last = Sha256::digest(prompt.as_bytes())[31];
        if last.is_multiple_of(HELD_OUT_MODULUS) { Self::HeldOut } else { Self::Train }
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

/// The first `count` held-out tasks of a generated family under `seed` with distinct prompts: a fixed list for all peers.
///
/// For a dataset family use [`super::Library::held_out_set`].
pub fn held_out_set(family: FamilyId, difficulty: u8, count: usize, seed: u64) -> Result<Vec<Task>, TaskError> {
    let (mut prompts, mut tasks) = (HashSet::new(), Vec::with_capacity(count));
    let tried = count as u64 * 16 + 64;
    for task in (0..tried).map(|index| Task::held_out(family, seed, index, difficulty)) {
        if tasks.len() == count {
            break;
        }
        if prompts.insert(task.question()?.prompt) {
            tasks.push(task);
        }
    }
    let found = tasks.len();
    if found == count { Ok(tasks) } else { Err(Task::held_out(family, seed, 0, difficulty).too_few(count, found)) }
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
        let held = (0..200).map(|n| n.to_string()).find(|text| digest(text) % 8 == 0).unwrap();
        assert_eq!(Split::of(&held), Split::HeldOut);
    }

    #[test]
    fn held_out_lists_are_fixed_distinct_and_held_out() {
        let tasks = held_out_set(FamilyId::Max, 0, 100, 5).unwrap();
        assert_eq!(tasks, held_out_set(FamilyId::Max, 0, 100, 5).unwrap());
        assert_eq!(tasks[..50], held_out_set(FamilyId::Max, 0, 50, 5).unwrap());
        let prompts: HashSet<String> = tasks.iter().map(|task| task.question().unwrap().prompt).collect();
        assert_eq!(prompts.len(), 100);
        assert!(prompts.iter().all(|prompt| Split::of(prompt) == Split::HeldOut));
    }

    #[test]
    fn too_many_distinct_questions_are_refused_with_the_number_found() {
        let error = held_out_set(FamilyId::Base, 0, 2_000, 5).unwrap_err();
        assert!(error.to_string().contains("of 2000 distinct held-out questions"), "{error}");
    }
}
