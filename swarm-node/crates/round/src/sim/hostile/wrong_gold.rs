//! Lies in concert: the same wrong answer in every stage.

use super::super::super::completion::Completion;
use super::super::super::question::Question;
use super::super::super::work::{CritiqueText, DecisionText, Task, Work};
use super::Strategy;

/// Pushes the wrong answer that all liars agree on, and follows the protocol otherwise.
pub struct WrongGold;

impl Strategy for WrongGold {
    fn work(
        &mut self,
        work: Work,
        task: &Task,
        wrong: &dyn Fn(&Question) -> String,
    ) -> Option<Work> {
        let lies = || {
            task.asked
                .iter()
                .map(|asked| (asked.slot, wrong(&asked.question)))
        };
        Some(match work {
            Work::Answers(_) => {
                let group = |lie| vec![Completion::untold(lie); task.group.into()];
                Work::Answers(lies().map(|(slot, lie)| (slot, group(lie))).collect())
            }
            Work::Critiques(_) => {
                let critique = |lie| CritiqueText {
                    endorsed: Some(lie),
                    reason: "trust me".into(),
                };
                Work::Critiques(lies().map(|(slot, lie)| (slot, critique(lie))).collect())
            }
            Work::Decisions(_) => {
                let decision = |lie: String| DecisionText {
                    answer: lie.clone(),
                    foreseen: lie,
                };
                Work::Decisions(lies().map(|(slot, lie)| (slot, decision(lie))).collect())
            }
        })
    }
}
