//! Lies in concert: the same wrong answer in every stage.

use super::Strategy;
use crate::completion::SharedCompletion;
use crate::question::RoundQuestion;
use crate::work::{CritiqueText, DecisionText, StageTask, Work};

/// Pushes the wrong answer that all liars agree on, and follows the protocol otherwise.
pub struct WrongGold;

impl Strategy for WrongGold {
    fn work(
        &mut self,
        work: Work,
        task: &StageTask,
        wrong: &dyn Fn(&RoundQuestion) -> String,
    ) -> Option<Work> {
        let lies = || {
            task.asked
                .iter()
                .map(|asked| (asked.slot, wrong(&asked.question)))
        };
        Some(match work {
            Work::Answers(_) => {
                let group = |lie| vec![SharedCompletion::untold(lie); task.group.into()];
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
