//! A question, its right answer, and the form by which it is told from others.

use crate::answer::Answer;
use crate::split::Split;

/// One question with everything that is needed to judge answers to it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Question {
    /// What a model is shown.
    pub prompt: String,
    /// The same text for all *twins*, questions that differ only in an order that cannot matter to
    /// the right answer. It is the prompt of one of them, with its parts in a fixed order, so no
    /// two families share one.
    pub canonical: String,
    /// The right answer.
    pub gold: Answer,
    /// What the family's careless procedure gives; equal to `gold` where both procedures agree.
    /// None for datasets.
    pub careless: Option<Answer>,
}

impl Question {
    /// A question that is another problem in any other order of its parts.
    pub(super) fn without_twins(prompt: String, gold: Answer, careless: Answer) -> Self {
        Self::with_twins(prompt.clone(), prompt, gold, careless)
    }

    /// A question with parts whose order cannot matter; `canonical` is its prompt with them in a
    /// fixed order.
    pub(super) fn with_twins(
        prompt: String,
        canonical: String,
        gold: Answer,
        careless: Answer,
    ) -> Self {
        Self {
            prompt,
            canonical,
            gold,
            careless: Some(careless),
        }
    }

    /// Whether the question, and with it each of its twins, may be trained on.
    pub fn split(&self) -> Split {
        Split::of(&self.canonical)
    }

    /// 1 if `text`, read leniently, is the right answer, else 0. Pure.
    pub fn score(&self, text: &str) -> f32 {
        f32::from(u8::from(self.gold.matches(text)))
    }

    /// True if `text` holds an answer of the right kind, be it right or wrong.
    pub fn is_well_formed(&self, text: &str) -> bool {
        self.gold.kind().canonical(text).is_some()
    }
}
