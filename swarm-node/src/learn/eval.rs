//! Held-out pass@1: the share of fixed questions, never trained on, that a policy answers right.
//!
//! *Greedy* takes the most probable answer; *sampled* is the mean over several samples, an unbiased estimate of pass@1
//! at temperature 1. Both are reported per family, and as the mean over families, so that families weigh alike.

use std::collections::BTreeMap;

use crate::task::{FamilyId, Question, Task, TaskError, held_out_set};

use super::policy::{Choice, Policy, PolicyError, Vocabulary, VocabularyError, Written};

/// Why a policy cannot be evaluated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvalError {
    /// There are no such questions.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// A question cannot be read by the model.
    #[error(transparent)]
    Vocabulary(#[from] VocabularyError),
    /// The model fails.
    #[error(transparent)]
    Policy(#[from] PolicyError),
}

/// Fixed questions.
#[derive(Clone, Debug)]
pub struct EvalSet {
    items: Vec<(FamilyId, Question)>,
    prompts: Vec<Vec<u32>>,
    max_new: usize,
}

/// Shares of right answers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PassRate {
    /// By family.
    pub families: BTreeMap<FamilyId, f32>,
    /// Mean over families.
    pub mean: f32,
}

impl EvalSet {
    /// `count` held-out questions of each family and difficulty; the same for everyone who uses the same seed.
    ///
    /// # Errors
    /// A family has too few questions, or one that the vocabulary cannot write.
    pub fn held_out(
        families: &[(FamilyId, u8)],
        count: usize,
        seed: u64,
        vocabulary: &dyn Vocabulary,
        max_new: usize,
    ) -> Result<Self, EvalError> {
        let mut tasks = Vec::new();
        for &(family, difficulty) in families {
            tasks.extend(held_out_set(family, difficulty, count, seed)?);
        }
        let items = tasks.iter().map(|task| Ok((task.family, task.question()?))).collect::<Result<Vec<_>, TaskError>>()?;
        Self::new(items, vocabulary, max_new)
    }

    /// These questions.
    ///
    /// # Errors
    /// A question cannot be written in the vocabulary.
    pub fn new(items: Vec<(FamilyId, Question)>, vocabulary: &dyn Vocabulary, max_new: usize) -> Result<Self, EvalError> {
        let prompts = items.iter().map(|(_, question)| vocabulary.encode(&question.prompt)).collect::<Result<_, _>>()?;
        Ok(Self { items, prompts, max_new })
    }

    /// The questions with their families.
    pub fn items(&self) -> &[(FamilyId, Question)] {
        &self.items
    }

    /// Pass@1 of the most probable answers.
    ///
    /// # Errors
    /// The model fails.
    pub fn greedy(&self, policy: &mut dyn Policy, vocabulary: &dyn Vocabulary) -> Result<PassRate, EvalError> {
        self.rate(policy, vocabulary, 1, Choice::Greedy)
    }

    /// Pass@1 at temperature 1, the mean over `samples` answers to each question.
    ///
    /// # Errors
    /// The model fails.
    pub fn sampled(
        &self,
        policy: &mut dyn Policy,
        vocabulary: &dyn Vocabulary,
        samples: usize,
        key: [u32; 2],
    ) -> Result<PassRate, EvalError> {
        self.rate(policy, vocabulary, samples, Choice::Sample { key })
    }

    fn rate(
        &self,
        policy: &mut dyn Policy,
        vocabulary: &dyn Vocabulary,
        samples: usize,
        choice: Choice,
    ) -> Result<PassRate, EvalError> {
        let written = policy.write(&self.prompts, samples, self.max_new, choice)?;
        let scores = self.items.iter().zip(&written).map(|((family, question), written)| {
            (*family, written.iter().map(|one| question.score(&vocabulary.decode(&one.tokens))).collect())
        });
        Ok(PassRate::of(scores))
    }

    /// The most probable answer to each question, as text.
    ///
    /// # Errors
    /// The model fails.
    pub fn answers(&self, policy: &mut dyn Policy, vocabulary: &dyn Vocabulary) -> Result<Vec<String>, EvalError> {
        let written = policy.write(&self.prompts, 1, self.max_new, Choice::Greedy)?;
        let text = |written: &Vec<Written>| written.first().map(|one| vocabulary.decode(&one.tokens)).unwrap_or_default();
        Ok(written.iter().map(text).collect())
    }
}

impl PassRate {
    /// Rates of scores per question. Sums of zeros and ones are exact in f32 up to 2²⁴.
    pub fn of(scores: impl Iterator<Item = (FamilyId, Vec<f32>)>) -> Self {
        let mut sums: BTreeMap<FamilyId, (f32, usize)> = BTreeMap::new();
        for (family, scores) in scores {
            let (sum, count) = sums.entry(family).or_default();
            *sum += scores.iter().sum::<f32>();
            *count += scores.len();
        }
        let families: BTreeMap<FamilyId, f32> =
            sums.into_iter().map(|(family, (sum, count))| (family, sum / count.max(1) as f32)).collect();
        let mean = families.values().sum::<f32>() / families.len().max(1) as f32;
        Self { families, mean }
    }
}
