//! Held-out pass@1: the share of fixed questions, never trained on, that a policy answers right.
//!
//! *Greedy* takes the most probable answer; *sampled* is the mean over several samples, an unbiased estimate of pass@1
//! at temperature 1. Both are reported per family, and as the mean over families, so that families weigh alike.

use std::collections::BTreeMap;

use crate::model::Tokenizer;
use crate::model::generate::{Completion, Prompt, Request};
use crate::model::tokenizer::TextError;
use crate::task::{FamilyId, Question, TaskError, held_out_set};

use super::policy::{Policy, PolicyError};

/// Why a policy cannot be evaluated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvalError {
    /// There are no such questions.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// A question cannot be read by the model.
    #[error(transparent)]
    Text(#[from] TextError),
    /// The model fails.
    #[error(transparent)]
    Policy(#[from] PolicyError),
}

/// Fixed questions.
#[derive(Clone, Debug)]
pub struct EvalSet {
    items: Vec<(FamilyId, Question)>,
    prompts: Vec<Prompt>,
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
    /// A family has too few questions, or one that the tokenizer cannot write.
    pub fn held_out(
        families: &[(FamilyId, u8)],
        count: usize,
        seed: u64,
        tokenizer: &Tokenizer,
        max_new: usize,
    ) -> Result<Self, EvalError> {
        let mut tasks = Vec::new();
        for &(family, difficulty) in families {
            tasks.extend(held_out_set(family, difficulty, count, seed)?);
        }
        let items =
            tasks.iter().map(|task| Ok((task.family, task.question()?))).collect::<Result<Vec<_>, TaskError>>()?;
        Self::new(items, tokenizer, max_new)
    }

    /// These questions.
    ///
    /// # Errors
    /// A question cannot be written in the tokenizer.
    pub fn new(items: Vec<(FamilyId, Question)>, tokenizer: &Tokenizer, max_new: usize) -> Result<Self, EvalError> {
        let prompt = |(index, (_, question)): (u32, &(FamilyId, Question))| {
            Ok(Prompt { tokens: tokenizer.encode_prompt(&question.prompt)?, index })
        };
        let prompts = (0..).zip(&items).map(prompt).collect::<Result<_, TextError>>()?;
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
    pub fn greedy(&self, policy: &mut dyn Policy, tokenizer: &Tokenizer) -> Result<PassRate, EvalError> {
        self.rate(policy, tokenizer, self.request(1, [0; 2], 0.0))
    }

    /// Pass@1 at temperature 1, the mean over `samples` answers to each question, drawn with the noise of `key`.
    ///
    /// # Errors
    /// The model fails.
    pub fn sampled(
        &self,
        policy: &mut dyn Policy,
        tokenizer: &Tokenizer,
        samples: u32,
        key: [u32; 2],
    ) -> Result<PassRate, EvalError> {
        self.rate(policy, tokenizer, self.request(samples, key, 1.0))
    }

    fn request(&self, samples: u32, key: [u32; 2], temperature: f32) -> Request<'_> {
        Request { prompts: &self.prompts, samples, max_new: self.max_new, key, temperature }
    }

    fn rate(
        &self,
        policy: &mut dyn Policy,
        tokenizer: &Tokenizer,
        request: Request<'_>,
    ) -> Result<PassRate, EvalError> {
        let written = policy.write(&request)?;
        let score = |question: &Question, one: &Completion| Ok(question.score(&tokenizer.decode(&one.tokens)?));
        let scores = self.items.iter().zip(&written).map(|((family, question), written)| {
            let scores = written.iter().map(|one| score(question, one)).collect::<Result<_, TextError>>()?;
            Ok((*family, scores))
        });
        Ok(PassRate::of(scores.collect::<Result<Vec<_>, TextError>>()?))
    }

    /// The most probable answer to each question, as text.
    ///
    /// # Errors
    /// The model fails.
    pub fn answers(&self, policy: &mut dyn Policy, tokenizer: &Tokenizer) -> Result<Vec<String>, EvalError> {
        let written = policy.write(&self.request(1, [0; 2], 0.0))?;
        let text = |written: &Vec<Completion>| tokenizer.decode(written.first().map_or(&[], |one| &one.tokens));
        Ok(written.iter().map(text).collect::<Result<_, TextError>>()?)
    }
}

impl PassRate {
    /// Rates of scores per question. Sums of zeros and ones are exact in f32 up to 2²⁴.
    pub fn of(scores: impl IntoIterator<Item = (FamilyId, Vec<f32>)>) -> Self {
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
