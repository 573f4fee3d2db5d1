//! Fixed lists of held-out questions, the same for all who evaluate.

use std::collections::HashSet;

use crate::family::FamilyId;
use crate::task::{Task, TaskError};

/// Most draws in a row without a new question; after them a family is taken to have no more. They
/// are counted in a row, and not in all, so that the number of questions found does not depend on
/// the number asked for.
const MAX_REPEATS: u32 = 1024;

/// The first `count` held-out tasks of a generated family under `seed`, no two of them twins: one
/// list for all peers.
///
/// A longer list begins with the shorter ones. For a dataset family use
/// [`crate::Library::held_out_set`].
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
    use crate::split::Split;

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
