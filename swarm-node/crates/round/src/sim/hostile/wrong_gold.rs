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
        let lies = task
            .asked
            .iter()
            .map(|asked| (asked.slot, wrong(&asked.question)));
        Some(match work {
            Work::Answers(_) => Work::Answers(
                lies.map(|(slot, lie)| {
                    let group = vec![SharedCompletion::untold(lie); task.group.into()];
                    (slot, group)
                })
                .collect(),
            ),
            Work::Critiques(_) => Work::Critiques(
                lies.map(|(slot, lie)| {
                    let critique = CritiqueText {
                        endorsed: Some(lie),
                        reason: "trust me".into(),
                    };
                    (slot, critique)
                })
                .collect(),
            ),
            Work::Decisions(_) => Work::Decisions(
                lies.map(|(slot, lie)| {
                    let decision = DecisionText {
                        answer: lie.clone(),
                        foreseen: lie,
                    };
                    (slot, decision)
                })
                .collect(),
            ),
        })
    }
}
