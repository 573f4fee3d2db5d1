//! Prompts of the three stages, and how completions to them are read.
//!
//! | stage | terse prompt | completion |
//! |---|---|---|
//! | share | `max 38 15 27=` | `38` |
//! | critique | `max 38 15 27=38;15?` | `38`, the *text* of the best answer, or `none` |
//! | decide | `max 38 15 27=38:31;15:10!` | `38\|38`, the final answer and the majority expected |
//!
//! In a decide prompt each answer carries two digits: members who gave it and critics who endorsed
//! it (9 means 9 or more). A critique names an answer by its text, since small models never learn
//! to name it by a number; matching finds the number.
//!
//! Invariants: a prompt is never over its [`Limits`]; the question and the instructions are never
//! cut; answers are cut in the middle, the longest first, with [`CUT_MARK`]; what members write
//! cannot forge the layout, since its marks are replaced.

use std::collections::HashMap;

use thiserror::Error;

use super::answer::{Kind, payload};
use super::charset;

/// Stands for what was cut from the middle of an answer.
pub const CUT_MARK: char = '~';
/// What a critic writes when no listed answer is right.
pub const NONE: &str = "none";
/// Separates the final answer from the expected majority in a decision.
pub const DECISION_SEPARATOR: char = '|';
/// Most answers that a prompt lists, whatever its budget.
pub const MAX_LISTED: usize = 32;

/// Fewest characters of a cut answer: one at each end and the mark.
const MIN_SHOWN: usize = 3;
/// Characters that carry the terse layout.
const RESERVED: [char; 7] = [';', ':', '?', '!', '|', '~', '='];

/// How prompts are worded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Style {
    /// Marks only, for models trained from scratch on this format.
    Terse,
    /// Sentences, for models that follow instructions.
    Plain,
}

/// How long a prompt may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// The whole prompt, in the composer's measure (characters or tokens).
    pub total: usize,
    /// One listed answer, in characters.
    pub answer: usize,
}

/// Limits of the nano model: every listed answer whole, four of them beside a question.
pub const NANO_LIMITS: Limits = Limits {
    total: 64,
    answer: 8,
};

/// Why a prompt cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PromptError {
    /// Question and instructions alone, or with the shortest form of one answer, are over the
    /// limit.
    #[error(
        "question and instructions take {size} of a prompt limit of {limit}; use an easier \
         difficulty or a family with shorter questions, or a model with a tokenizer, whose prompts \
         may be longer"
    )]
    QuestionTooLong {
        /// Size without any answer.
        size: usize,
        /// The limit.
        limit: usize,
    },
}

/// A prompt and what it shows of the answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// What the model reads.
    pub text: String,
    /// The listed answers as they stand in the prompt; the i-th is the i-th of those handed in.
    /// Shorter than that list when the last ones did not fit.
    pub shown: Vec<String>,
}

/// Equal answers of several members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnswerGroup {
    /// Canonical text, or the cleaned text of something that is no answer.
    pub text: String,
    /// Places of the members in the list handed in.
    pub members: Vec<usize>,
}

/// One listed answer of a decide prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ballot {
    /// The answer.
    pub text: String,
    /// Members who gave it.
    pub members: usize,
    /// Critics who endorsed it.
    pub votes: usize,
}

/// What a critic says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endorsement {
    /// The answer at this place of the listed ones.
    Listed(usize),
    /// No listed answer is right.
    NoneRight,
    /// Something that is neither.
    Unreadable,
}

/// A decision as written; its answers are judged by [`Kind::canonical`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The final answer.
    pub answer: String,
    /// The answer that the majority is expected to give, if one is named.
    pub majority: Option<String>,
}

/// Writes prompts of one style within one budget.
pub struct Composer<'a> {
    style: Style,
    limits: Limits,
    measure: &'a (dyn Fn(&str) -> usize + Sync),
}

/// Length in characters.
pub fn characters(text: &str) -> usize {
    text.chars().count()
}

impl Composer<'static> {
    /// Terse prompts of at most 64 characters.
    pub fn nano() -> Self {
        Self::new(Style::Terse, NANO_LIMITS, &characters)
    }
}

impl<'a> Composer<'a> {
    /// Prompts of `style` whose length by `measure` (characters, or a tokenizer's count) stays
    /// within `limits.total`.
    pub fn new(style: Style, limits: Limits, measure: &'a (dyn Fn(&str) -> usize + Sync)) -> Self {
        Self {
            style,
            limits,
            measure,
        }
    }

    /// The prompt of the share stage.
    pub fn share(&self, question: &str) -> Result<Prompt, PromptError> {
        let text = match self.style {
            Style::Terse => question.to_owned(),
            Style::Plain => {
                format!("Question: {question}\nEnd with \"Answer: \" and the final answer alone.\n")
            }
        };
        self.fit(&[], |_| text.clone())
    }

    /// The prompt of the critique stage: the distinct `answers`, the most supported first.
    pub fn critique(&self, question: &str, answers: &[String]) -> Result<Prompt, PromptError> {
        self.fit(answers, |shown| match self.style {
            Style::Terse => format!("{question}{}?", shown.join(";")),
            Style::Plain => format!(
                "Question: {question}\nProposed answers:\n{}Which one is right? End with \"Answer: \
                 \" and its text, or \"Answer: {NONE}\".\n",
                shown
                    .iter()
                    .map(|answer| format!("- {answer}\n"))
                    .collect::<String>(),
            ),
        })
    }

    /// The prompt of the decide stage: answers with their support, the most supported first.
    pub fn decide(&self, question: &str, ballots: &[Ballot]) -> Result<Prompt, PromptError> {
        let answers: Vec<String> = ballots.iter().map(|ballot| ballot.text.clone()).collect();
        self.fit(&answers, |shown| {
            let listed = shown.iter().zip(ballots);
            match self.style {
                Style::Terse => format!(
                    "{question}{}!",
                    listed.map(terse_ballot).collect::<Vec<_>>().join(";")
                ),
                Style::Plain => format!(
                    "Question: {question}\nProposed answers:\n{}Give your final answer, then the \
                     answer you expect most others to give: end with \"Answer: yours \
                     {DECISION_SEPARATOR} theirs\".\n",
                    listed.map(plain_ballot).collect::<String>(),
                ),
            }
        })
    }

    /// As many of the first `answers` as fit at their shortest, each as long as the budget then
    /// allows.
    fn fit(
        &self,
        answers: &[String],
        render: impl Fn(&[String]) -> String,
    ) -> Result<Prompt, PromptError> {
        let clean: Vec<String> = answers
            .iter()
            .take(MAX_LISTED)
            .map(|answer| self.clean(answer))
            .collect();
        let compose = |count: usize, cap: usize| {
            let shown: Vec<String> = clean
                .iter()
                .take(count)
                .map(|answer| cut_middle(answer, cap))
                .collect();
            Prompt {
                text: render(&shown),
                shown,
            }
        };
        let fits = |prompt: &Prompt| (self.measure)(&prompt.text) <= self.limits.total;
        let fewest = clean.len().min(1);
        let count = (fewest..=clean.len())
            .rev()
            .find(|count| fits(&compose(*count, MIN_SHOWN)));
        let Some(count) = count else {
            return Err(PromptError::QuestionTooLong {
                size: (self.measure)(&render(&[])),
                limit: self.limits.total,
            });
        };
        let cap = largest(MIN_SHOWN, self.limits.answer.max(MIN_SHOWN), |cap| {
            fits(&compose(count, cap))
        });
        Ok(compose(count, cap))
    }

    /// `answer` on one line, without the characters that carry the layout.
    fn clean(&self, answer: &str) -> String {
        let text = payload(answer);
        match self.style {
            Style::Terse => text.chars().map(terse_character).collect(),
            Style::Plain => text
                .chars()
                .map(|c| if c.is_control() { ' ' } else { c })
                .collect(),
        }
    }
}

fn terse_ballot((shown, ballot): (&String, &Ballot)) -> String {
    format!("{shown}:{}{}", ballot.members.min(9), ballot.votes.min(9))
}

fn plain_ballot((shown, ballot): (&String, &Ballot)) -> String {
    format!(
        "- {shown} (given by {}, endorsed by {})\n",
        ballot.members, ballot.votes
    )
}

fn terse_character(c: char) -> char {
    let lower = if c.is_whitespace() {
        ' '
    } else {
        c.to_ascii_lowercase()
    };
    if charset::id(lower).is_some() && !RESERVED.contains(&lower) {
        lower
    } else {
        charset::SUBSTITUTE
    }
}

/// `text` in at most `cap` characters, its middle replaced by one mark where it is longer.
fn cut_middle(text: &str, cap: usize) -> String {
    let length = characters(text);
    if length <= cap {
        return text.to_owned();
    }
    let kept = cap.saturating_sub(1);
    let head = text.chars().take(kept.div_ceil(2));
    let tail = text.chars().skip(length - kept / 2);
    head.chain([CUT_MARK]).chain(tail).collect()
}

/// The largest value of `low..=high` that passes, where `low` is known to and passing is monotone.
fn largest(low: usize, high: usize, passes: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (low, high);
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if passes(middle) {
            low = middle
        } else {
            high = middle - 1
        }
    }
    low
}

/// The text by which equal answers are recognised: canonical, or cleaned where `text` holds no
/// answer of `kind`.
pub fn key(kind: Kind, text: &str) -> String {
    kind.canonical(text).unwrap_or_else(|| {
        payload(text)
            .to_lowercase()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    })
}

/// Groups equal answers; larger groups first, groups of equal size in the order of their texts.
pub fn group(kind: Kind, texts: &[impl AsRef<str>]) -> Vec<AnswerGroup> {
    let mut members: HashMap<String, Vec<usize>> = HashMap::new();
    for (member, text) in texts.iter().enumerate() {
        members
            .entry(key(kind, text.as_ref()))
            .or_default()
            .push(member);
    }
    let mut groups: Vec<AnswerGroup> = members
        .into_iter()
        .map(|(text, members)| AnswerGroup { text, members })
        .collect();
    groups.sort_by(|a, b| {
        b.members
            .len()
            .cmp(&a.members.len())
            .then_with(|| a.text.cmp(&b.text))
    });
    groups
}

/// Reads a critic's completion to `prompt`, which listed `answers`: by value first, then by the
/// text as shown.
pub fn read_endorsement(
    kind: Kind,
    completion: &str,
    answers: &[String],
    prompt: &Prompt,
) -> Endorsement {
    let named = key(kind, completion);
    if named == NONE {
        return Endorsement::NoneRight;
    }
    let written = payload(completion).to_lowercase();
    let by_value = answers
        .iter()
        .take(prompt.shown.len())
        .position(|answer| key(kind, answer) == named);
    if named.is_empty() {
        return Endorsement::Unreadable;
    }
    let listed = by_value.or_else(|| {
        let mut shown = prompt.shown.iter();
        shown.position(|shown| payload(shown).to_lowercase() == written)
    });
    listed.map_or(Endorsement::Unreadable, Endorsement::Listed)
}

/// Reads a decision: `38|38`, `Answer: 38 | 15`, or an answer alone.
pub fn read_decision(completion: &str) -> Decision {
    let text = payload(completion);
    let (answer, majority) = text
        .split_once(DECISION_SEPARATOR)
        .map_or((text.as_str(), None), |(a, m)| (a, Some(m)));
    let majority = majority
        .map(str::trim)
        .filter(|majority| !majority.is_empty())
        .map(str::to_owned);
    Decision {
        answer: answer.trim().to_owned(),
        majority,
    }
}

/// The completion that endorses `answer`, or none.
pub fn write_endorsement(answer: Option<&str>) -> String {
    answer.unwrap_or(NONE).to_owned()
}

/// The completion that decides for `answer` and expects `majority`.
pub fn write_decision(answer: &str, majority: &str) -> String {
    format!("{answer}{DECISION_SEPARATOR}{majority}")
}

#[cfg(test)]
mod tests;
