//! Pass@1 on fixed held-out questions: the number we show, never the training batch's mean.
//!
//! Greedy pass@1 is the share of right most probable answers; sampled pass@1 is an unbiased
//! estimate of pass@1 at temperature 1. Both are reported per family, and as the mean over
//! families, so that families weigh alike. Questions are asked as they are trained on: in the
//! wording of the model's [`Composer`].
//!
//! Every share comes with its standard error over questions: how far it would typically move with
//! other questions.

use std::collections::BTreeMap;

use swarm_model::Tokenizer;
use swarm_model::generate::{Prompt, Request};
use swarm_model::tokenizer::TextError;
use swarm_task::prompt::{Composer, PromptError};
use swarm_task::{FamilyId, Question, TaskError, held_out_set};

use super::policy::{Policy, PolicyError};

/// Why a policy cannot be evaluated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvalError {
    /// There are no such questions.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// A question does not fit a prompt.
    #[error(transparent)]
    Prompt(#[from] PromptError),
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
    /// What the model is asked, as text and as tokens.
    texts: Vec<String>,
    prompts: Vec<Prompt>,
    max_new: usize,
}

/// A share with its standard error.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Estimate {
    /// The share, 0 to 1; a difference of shares, -1 to 1.
    pub share: f32,
    /// Its standard error over questions.
    pub error: f32,
}

/// How often each question was answered rightly.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PassRate {
    /// Per question its family and the mean score of the answers to it, 0 to 1.
    scores: Vec<(FamilyId, f32)>,
}

impl EvalSet {
    /// `count` held-out questions of each family and difficulty; the same for everyone who uses the
    /// same seed.
    ///
    /// # Errors
    /// A family has too few questions, or one that the tokenizer cannot write.
    pub fn held_out(
        families: &[(FamilyId, u8)],
        count: usize,
        seed: u64,
        composer: &Composer<'_>,
        tokenizer: &Tokenizer,
        max_new: usize,
    ) -> Result<Self, EvalError> {
        let mut tasks = Vec::new();
        for &(family, difficulty) in families {
            tasks.extend(held_out_set(family, difficulty, count, seed)?);
        }
        let items = tasks
            .iter()
            .map(|task| Ok((task.family, task.question()?)))
            .collect::<Result<Vec<_>, TaskError>>()?;
        Self::new(items, composer, tokenizer, max_new)
    }

    /// These questions, in the composer's wording.
    ///
    /// # Errors
    /// A question does not fit a prompt, or cannot be written in the tokenizer.
    pub fn new(
        items: Vec<(FamilyId, Question)>,
        composer: &Composer<'_>,
        tokenizer: &Tokenizer,
        max_new: usize,
    ) -> Result<Self, EvalError> {
        let (mut texts, mut prompts) = (Vec::new(), Vec::new());
        for (index, (_, question)) in (0..).zip(&items) {
            let text = composer.share(&question.prompt)?.text;
            prompts.push(Prompt {
                tokens: tokenizer.encode_prompt(&text)?,
                index,
            });
            texts.push(text);
        }
        Ok(Self {
            items,
            texts,
            prompts,
            max_new,
        })
    }

    /// The questions with their families.
    pub fn items(&self) -> &[(FamilyId, Question)] {
        &self.items
    }

    /// What the model is asked, question by question.
    pub fn texts(&self) -> &[String] {
        &self.texts
    }

    /// What the model is asked, as it reads it.
    pub fn prompts(&self) -> &[Prompt] {
        &self.prompts
    }

    /// Pass@1 of the most probable answers.
    ///
    /// # Errors
    /// The model fails.
    pub fn greedy(
        &self,
        policy: &mut dyn Policy,
        tokenizer: &Tokenizer,
    ) -> Result<PassRate, EvalError> {
        self.rate(policy, tokenizer, self.request(1, [0; 2], 0.0))
    }

    /// Pass@1 at temperature 1, the mean over `samples` answers to each question, drawn with the
    /// noise of `key`.
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
        Request {
            prompts: &self.prompts,
            samples,
            max_new: self.max_new,
            key,
            temperature,
        }
    }

    fn rate(
        &self,
        policy: &mut dyn Policy,
        tokenizer: &Tokenizer,
        request: Request<'_>,
    ) -> Result<PassRate, EvalError> {
        let written = policy.write(&request)?;
        let mut scores = Vec::with_capacity(self.items.len());
        for ((family, question), samples) in self.items.iter().zip(&written) {
            let texts = samples.iter().map(|one| tokenizer.decode(&one.tokens));
            let of_question = texts
                .map(|text| Ok(question.score(&text?)))
                .collect::<Result<_, TextError>>()?;
            scores.push((*family, of_question));
        }
        Ok(PassRate::of(scores))
    }

    /// The most probable answer to each question, as text.
    ///
    /// # Errors
    /// The model fails.
    pub fn answers(
        &self,
        policy: &mut dyn Policy,
        tokenizer: &Tokenizer,
    ) -> Result<Vec<String>, EvalError> {
        let written = policy.write(&self.request(1, [0; 2], 0.0))?;
        let texts = written
            .iter()
            .map(|samples| tokenizer.decode(&samples[0].tokens));
        Ok(texts.collect::<Result<_, TextError>>()?)
    }
}

impl PassRate {
    /// Rates of scores per question, one score per answer.
    pub fn of(scores: impl IntoIterator<Item = (FamilyId, Vec<f32>)>) -> Self {
        let means = scores.into_iter().map(|(family, scores)| {
            let mean = scores.iter().sum::<f32>() / scores.len().max(1) as f32;
            (family, mean)
        });
        Self {
            scores: means.collect(),
        }
    }

    /// Questions asked.
    pub fn questions(&self) -> usize {
        self.scores.len()
    }

    /// The mean over several models that were asked the same questions.
    pub fn average<'a>(rates: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut sum = Self::default();
        let mut models = 0;
        for rate in rates {
            models += 1;
            if sum.scores.is_empty() {
                sum.scores.clone_from(&rate.scores);
            } else {
                sum.scores
                    .iter_mut()
                    .zip(&rate.scores)
                    .for_each(|((_, sum), (_, score))| *sum += score);
            }
        }
        sum.scores
            .iter_mut()
            .for_each(|(_, sum)| *sum /= models as f32);
        sum
    }

    /// How much more often each question is answered rightly than by another model: as both were
    /// asked the same questions, the error of the difference is less than that of either.
    #[must_use]
    pub fn less(&self, other: &Self) -> Self {
        let pairs = self.scores.iter().zip(&other.scores);
        Self {
            scores: pairs
                .map(|((family, a), (_, b))| (*family, a - b))
                .collect(),
        }
    }

    /// By family.
    pub fn families(&self) -> BTreeMap<FamilyId, Estimate> {
        let mut families: BTreeMap<FamilyId, Vec<f64>> = BTreeMap::new();
        for (family, score) in &self.scores {
            families.entry(*family).or_default().push((*score).into());
        }
        families
            .into_iter()
            .map(|(family, scores)| (family, Estimate::of(&scores)))
            .collect()
    }

    /// The mean over families.
    pub fn mean(&self) -> Estimate {
        let families = self.families();
        let count = families.len().max(1) as f32;
        let share = families.values().map(|family| family.share).sum::<f32>() / count;
        let error = families
            .values()
            .map(|family| family.error * family.error)
            .sum::<f32>()
            .sqrt()
            / count;
        Estimate { share, error }
    }
}

impl Estimate {
    /// The mean of these scores. One score alone tells nothing of its error, which then counts as
    /// 0.
    pub fn of(scores: &[f64]) -> Self {
        let count = scores.len().max(1) as f64;
        let mean = scores.iter().sum::<f64>() / count;
        let squares = scores
            .iter()
            .map(|score| (score - mean) * (score - mean))
            .sum::<f64>();
        let variance = if scores.len() > 1 {
            squares / (count - 1.0)
        } else {
            0.0
        };
        Self {
            share: mean as f32,
            error: (variance / count).sqrt() as f32,
        }
    }

    /// In percent: `93.4 ± 1.1`.
    pub fn percent(self) -> String {
        format!("{:.1} ± {:.1}", self.share * 100.0, self.error * 100.0)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use reproducible_ops::weights::Buffers;
    use swarm_model::generate::Generation;
    use swarm_task::Task;
    use swarm_task::prompt::{Limits, Style, characters};

    use super::*;

    /// Writes nothing and keeps what it was asked.
    struct Recorder(Vec<Vec<u32>>);

    impl Policy for Recorder {
        fn write(&mut self, request: &Request<'_>) -> Result<Vec<Vec<Generation>>, PolicyError> {
            self.0
                .extend(request.prompts.iter().map(|prompt| prompt.tokens.clone()));
            Ok(vec![
                vec![Generation::default(); request.samples as usize];
                request.prompts.len()
            ])
        }

        fn load(&mut self, _: Buffers) -> Result<(), PolicyError> {
            Ok(())
        }
    }

    #[test]
    fn a_model_is_asked_as_it_is_trained() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../model/tests/transformers/tokenizers/byte_level");
        let tokenizer = Tokenizer::from_folder(&folder, 400).unwrap();
        let composer = Composer::new(
            Style::Plain,
            Limits {
                total: 1_000,
                answer: 100,
            },
            &characters,
        );
        let question = Task::held_out(FamilyId::Max, 1, 0, 0).question().unwrap();
        let trained = composer.share(&question.prompt).unwrap().text;
        assert_ne!(trained, question.prompt);
        let set = EvalSet::new(vec![(FamilyId::Max, question)], &composer, &tokenizer, 9).unwrap();
        assert_eq!(set.texts(), std::slice::from_ref(&trained));
        let mut recorder = Recorder(Vec::new());
        set.greedy(&mut recorder, &tokenizer).unwrap();
        assert_eq!(recorder.0, [tokenizer.encode_prompt(&trained).unwrap()]);
    }

    fn rate(max: &[f32], sort: &[f32]) -> PassRate {
        let of = |family| move |score: &f32| (family, vec![*score]);
        PassRate::of(
            max.iter()
                .map(of(FamilyId::Max))
                .chain(sort.iter().map(of(FamilyId::Sort))),
        )
    }

    fn close(found: Estimate, share: f32, error: f32) {
        assert!(
            (found.share - share).abs() < 1e-6 && (found.error - error).abs() < 1e-6,
            "{found:?}"
        );
    }

    #[test]
    fn families_weigh_alike_and_errors_are_those_of_a_stratified_mean() {
        let rate = rate(&[1.0, 0.0, 1.0, 0.0], &[1.0; 9]);
        // Four scores of 0 and 1 have the variance 1/3; the mean of four a twelfth of it, and so
        // on.
        close(rate.families()[&FamilyId::Max], 0.5, (1f32 / 12.0).sqrt());
        close(rate.families()[&FamilyId::Sort], 1.0, 0.0);
        close(rate.mean(), 0.75, (1f32 / 12.0).sqrt() / 2.0);
        close(PassRate::default().mean(), 0.0, 0.0);
    }

    #[test]
    fn answers_to_one_question_are_no_independent_questions() {
        let twice = PassRate::of([1.0, 0.0].map(|score| (FamilyId::Max, vec![score; 50])));
        close(twice.mean(), 0.5, 0.5);
    }

    #[test]
    fn models_are_averaged_and_compared_question_by_question() {
        let (a, b) = (
            rate(&[1.0, 0.0], &[1.0, 1.0]),
            rate(&[1.0, 1.0], &[0.0, 1.0]),
        );
        assert_eq!(PassRate::average([&a, &b]), rate(&[1.0, 0.5], &[0.5, 1.0]));
        assert_eq!(a.less(&a).mean(), Estimate::default());
        close(a.less(&b).families()[&FamilyId::Max], -0.5, 0.5);
    }
}
