//! The pretraining corpus of nano models: questions of all three stages with a known share of
//! *careless* labels.
//!
//! Reinforcement learning at this size chooses between ways of answering that the base model
//! already has. The corpus therefore holds two: the right procedure, and one fixed wrong procedure
//! per family (smallest for largest) in a share that the recipe states. The same rate rules answer,
//! critique and decide labels: with cleaner critiques an untrained model would already decide
//! better than it answers, an artefact of the format.
//!
//! Invariants: an example is a pure function of (recipe, stage, index); held-out questions never
//! occur; prompts and completions stay within [`prompt::NANO_LIMITS`] and the nano vocabulary,
//! which [`Corpus::new`] samples and [`Corpus::example`] checks.

use reproducible_ops::random::Stream;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::charset::{self, CharsetError};
use super::family::FamilyId;
use super::prompt::{self, Ballot, Composer, PromptError};
use super::question::Question;
use super::random;
use super::task::{Task, TaskError};

/// Most members whose answers an example shows.
pub const MAX_MEMBERS: usize = 8;

/// Share of shown answers that follow neither procedure, so that critics meet other mistakes and
/// can say none.
const SLIP_RATE: f32 = 0.15;

/// What the corpus is made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CorpusRecipe {
    /// Seed of questions, labels and simulated members.
    pub seed: u64,
    /// Members whose answers critique and decide examples show, 2 to [`MAX_MEMBERS`].
    pub members: usize,
    /// The families, equally often.
    pub families: Vec<FamilyShare>,
}

/// One family of a corpus.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FamilyShare {
    /// The family.
    pub family: FamilyId,
    /// Its difficulty level.
    pub difficulty: u8,
    /// Share of labels that follow the careless procedure, 0 to 1.
    pub wrong_rate: f32,
}

/// What an example teaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lesson {
    /// Question to answer.
    Answer,
    /// Question and members' answers to the best of them.
    Critique,
    /// Question, answers and votes to a final answer and the majority expected.
    Decide,
}

/// A prompt and the completion to learn, end mark not included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// What it teaches.
    pub lesson: Lesson,
    /// The family of its question.
    pub family: FamilyId,
    /// What the model reads.
    pub prompt: String,
    /// What it learns to write.
    pub completion: String,
}

/// Numbers of examples in a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchShape {
    /// Answer examples.
    pub answers: usize,
    /// Critique examples.
    pub critiques: usize,
    /// Decide examples.
    pub decisions: usize,
}

/// Why a recipe or an example cannot be used.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum CorpusError {
    /// No families.
    #[error("the corpus recipe names no family; list at least one under `families`")]
    NoFamilies,
    /// Too few or too many members.
    #[error("the corpus recipe asks for {0} members; use 2 to {MAX_MEMBERS}")]
    Members(usize),
    /// A rate that is no probability.
    #[error("wrong_rate {rate} of family {family} is not between 0 and 1")]
    Rate {
        /// The family.
        family: FamilyId,
        /// The rate.
        rate: f32,
    },
    /// A family without a careless procedure.
    #[error("family {0} has no fixed wrong procedure; a corpus takes generated families only")]
    NoCareless(FamilyId),
    /// The task has no question.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// The prompt does not fit the nano limits.
    #[error("family {family} does not fit the nano prompt: {source}")]
    Prompt {
        /// The family.
        family: FamilyId,
        /// Why.
        source: PromptError,
    },
    /// A text cannot be written in the nano vocabulary.
    #[error("family {family}: {source}")]
    Charset {
        /// The family.
        family: FamilyId,
        /// Which character.
        source: CharsetError,
    },
}

/// A deterministic, endless source of examples.
pub struct Corpus {
    recipe: CorpusRecipe,
    composer: Composer<'static>,
}

impl CorpusRecipe {
    /// The four nano families at level 0 with one rate of careless labels.
    pub fn nano(seed: u64, wrong_rate: f32) -> Self {
        let families = FamilyId::NANO
            .map(|family| FamilyShare {
                family,
                difficulty: 0,
                wrong_rate,
            })
            .to_vec();
        Self {
            seed,
            members: 4,
            families,
        }
    }
}

impl Corpus {
    /// Checks the recipe, with one example of each family and lesson.
    pub fn new(recipe: CorpusRecipe) -> Result<Self, CorpusError> {
        check(&recipe)?;
        let families = recipe.families.len() as u64;
        let corpus = Self {
            recipe,
            composer: Composer::nano(),
        };
        for lesson in [Lesson::Answer, Lesson::Critique, Lesson::Decide] {
            (0..families).try_for_each(|index| corpus.example(lesson, index).map(drop))?;
        }
        Ok(corpus)
    }

    /// The recipe.
    pub fn recipe(&self) -> &CorpusRecipe {
        &self.recipe
    }

    /// The `index`-th example of `lesson`; families take turns.
    pub fn example(&self, lesson: Lesson, index: u64) -> Result<Example, CorpusError> {
        let turn = index % self.recipe.families.len() as u64;
        let share = self.recipe.families[turn as usize];
        Sketch::new(&self.recipe, share, lesson, index)?.example(&self.composer)
    }

    /// The examples of training step `step`: answers, then critiques, then decisions, none of them
    /// in another step.
    pub fn batch(&self, step: u64, shape: BatchShape) -> Result<Vec<Example>, CorpusError> {
        let counts = [
            (Lesson::Answer, shape.answers),
            (Lesson::Critique, shape.critiques),
            (Lesson::Decide, shape.decisions),
        ];
        let numbered = counts.into_iter().flat_map(|(lesson, count)| {
            let count = count as u64;
            (step.wrapping_mul(count)..)
                .take(count as usize)
                .map(move |index| (lesson, index))
        });
        numbered
            .map(|(lesson, index)| self.example(lesson, index))
            .collect()
    }
}

fn check(recipe: &CorpusRecipe) -> Result<(), CorpusError> {
    if recipe.families.is_empty() {
        return Err(CorpusError::NoFamilies);
    }
    if !(2..=MAX_MEMBERS).contains(&recipe.members) {
        return Err(CorpusError::Members(recipe.members));
    }
    if let Some(share) = recipe
        .families
        .iter()
        .find(|share| share.family.generator().is_none())
    {
        return Err(CorpusError::NoCareless(share.family));
    }
    recipe.families.iter().try_for_each(|share| {
        let valid = (0.0..=1.0).contains(&share.wrong_rate);
        if valid {
            Ok(())
        } else {
            Err(CorpusError::Rate {
                family: share.family,
                rate: share.wrong_rate,
            })
        }
    })
}

/// An example in the making: its question, its stream, and the two ways of answering.
struct Sketch {
    lesson: Lesson,
    share: FamilyShare,
    members: usize,
    question: Question,
    careless: String,
    /// A right answer to some other question of the family: an answer that follows neither
    /// procedure.
    stray: String,
    random: Stream,
}

impl Sketch {
    fn new(
        recipe: &CorpusRecipe,
        share: FamilyShare,
        lesson: Lesson,
        index: u64,
    ) -> Result<Self, CorpusError> {
        let FamilyShare {
            family, difficulty, ..
        } = share;
        let coordinates = [
            recipe.seed,
            family as u64,
            u64::from(difficulty),
            lesson as u64,
        ];
        let mut random = random::stream("task/corpus", coordinates, index);
        let mut draw = || Task::train(family, random.next_u64(), index, difficulty).question();
        let (question, stray) = (draw()?, draw()?.gold.text().to_owned());
        let careless = question
            .careless
            .as_ref()
            .ok_or(CorpusError::NoCareless(family))?
            .text()
            .to_owned();
        Ok(Self {
            lesson,
            share,
            members: recipe.members,
            question,
            careless,
            stray,
            random,
        })
    }

    fn example(mut self, composer: &Composer<'_>) -> Result<Example, CorpusError> {
        let family = self.share.family;
        let written = match self.lesson {
            Lesson::Answer => self.answer(composer),
            Lesson::Critique => self.critique(composer),
            Lesson::Decide => self.decide(composer),
        };
        let (prompt, completion) =
            written.map_err(|source| CorpusError::Prompt { family, source })?;
        for text in [&prompt, &completion] {
            charset::encode(text).map_err(|source| CorpusError::Charset { family, source })?;
        }
        Ok(Example {
            lesson: self.lesson,
            family,
            prompt,
            completion,
        })
    }

    /// What somebody who follows the corpus believes: careless at the family's rate.
    fn belief(&mut self) -> String {
        if self.random.chance(self.share.wrong_rate) {
            self.careless.clone()
        } else {
            self.question.gold.text().to_owned()
        }
    }

    fn answer(&mut self, composer: &Composer<'_>) -> Result<(String, String), PromptError> {
        Ok((composer.share(&self.question.prompt)?.text, self.belief()))
    }

    fn critique(&mut self, composer: &Composer<'_>) -> Result<(String, String), PromptError> {
        let answers: Vec<String> = self.answers().into_iter().map(|group| group.text).collect();
        let prompt = composer.critique(&self.question.prompt, &answers)?;
        let belief = self.belief();
        let endorsed = answers
            .iter()
            .take(prompt.shown.len())
            .find(|answer| **answer == belief);
        Ok((
            prompt.text,
            prompt::write_endorsement(endorsed.map(String::as_str)),
        ))
    }

    fn decide(&mut self, composer: &Composer<'_>) -> Result<(String, String), PromptError> {
        let ballots = self.ballots();
        let prompt = composer.decide(&self.question.prompt, &ballots)?;
        let belief = self.belief();
        Ok((
            prompt.text,
            prompt::write_decision(&belief, expected_majority(&ballots)),
        ))
    }

    /// Distinct answers of simulated members, at least two of whom take part.
    fn answers(&mut self) -> Vec<prompt::AnswerGroup> {
        let count = 2 + self.random.index(self.members - 1);
        let texts: Vec<String> = (0..count).map(|_| self.member()).collect();
        prompt::group(self.question.gold.kind(), &texts)
    }

    fn member(&mut self) -> String {
        if self.random.chance(SLIP_RATE) {
            self.stray.clone()
        } else {
            self.belief()
        }
    }

    /// The answers with the votes of as many critics as there are members.
    fn ballots(&mut self) -> Vec<Ballot> {
        let groups = self.answers();
        let critics: Vec<String> = (0..self.members).map(|_| self.belief()).collect();
        let votes = |text: &str| critics.iter().filter(|vote| vote.as_str() == text).count();
        groups
            .into_iter()
            .map(|group| Ballot {
                votes: votes(&group.text),
                members: group.members.len(),
                text: group.text,
            })
            .collect()
    }
}

/// The listed answer with the most members and votes together, the first listed among equals.
#[expect(
    clippy::expect_used,
    reason = "two simulated members answer at least, so an answer is listed"
)]
fn expected_majority(ballots: &[Ballot]) -> &str {
    // Of equal answers the iterator gives the last, which is the first listed.
    let best = ballots
        .iter()
        .rev()
        .max_by_key(|ballot| ballot.members + ballot.votes);
    &best.expect("invariant: an answer is listed").text
}

#[cfg(test)]
mod tests;
