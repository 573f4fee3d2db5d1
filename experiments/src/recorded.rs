//! Answers that models gave elsewhere, played as rounds: real votes for the rules of
//! [`swarm_round::tally`].
//!
//! Each model is a member that answers every question once; nobody criticises or decides. Only the
//! answers are recorded: plan, transcript and [`resolve()`] are those of any round.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use swarm_files::text_file;
use swarm_identity::digest::{Hasher, low_u64};
use swarm_identity::key::KeyError;
use swarm_round::config::{MAX_SLOTS, MAX_TEXT};
use swarm_round::membership::{MemberIndex, RegisterError};
use swarm_round::payload::CompletionGroup;
use swarm_round::question::QuestionId;
use swarm_round::sim::simulated_key;
use swarm_round::{
    Agreement, Game, Judge, Member, Membership, QuestionTally, Roster, RoundPlan, RoundQuestion,
    SwarmConfig, Transcript, Weighting, Windows, resolve,
};
use swarm_task::Kind;
use thiserror::Error;

/// Largest file of recorded answers.
const MAX_FILE_BYTES: u64 = 64 << 20;

/// Why recorded answers cannot be played.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RecordedError {
    /// The file could not be read.
    #[error("cannot read {path}: {source}; check the path", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A line is no record.
    #[error("line {line}: {problem}; each line must be {FORMAT}")]
    Line {
        /// Its number, from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// A number of questions that no round can have.
    #[error("a round of {0} questions; choose 1..={MAX_SLOTS}")]
    Size(usize),
    /// A member's key.
    #[error("{0}; take another seed")]
    Key(#[from] KeyError),
    /// A member cannot be registered.
    #[error(transparent)]
    Register(#[from] RegisterError),
}

const FORMAT: &str =
    "{\"ground_truth\": \"… A: 42\", \"MODEL\": {\"solution\": \"… A: 42\"}, …} with equal models";

#[derive(Deserialize)]
struct Row {
    #[serde(rename = "question")]
    _question: String,
    ground_truth: String,
    #[serde(flatten)]
    answers: BTreeMap<String, Solution>,
}

#[derive(Deserialize)]
struct Solution {
    solution: String,
}

/// Recorded answers of some models to the same questions.
#[derive(Clone, Debug)]
pub struct Recorded {
    models: Vec<String>,
    rows: Vec<Answered>,
}

/// A question's right answer and the models' texts, in the order of the models.
#[derive(Clone, Debug)]
struct Answered {
    gold: String,
    texts: Vec<String>,
}

impl Recorded {
    /// Reads a JSON Lines file in the format of OpenAI's published GSM8K solutions.
    ///
    /// # Errors
    /// A file that cannot be read, or its first line that is no record.
    pub fn load(path: &Path) -> Result<Self, RecordedError> {
        let io = |source| RecordedError::Io {
            path: path.to_owned(),
            source,
        };
        Self::parse(&text_file::read(path, MAX_FILE_BYTES).map_err(io)?)
    }

    /// Reads the lines of such a file.
    ///
    /// # Errors
    /// The first line that is no record.
    pub fn parse(text: &str) -> Result<Self, RecordedError> {
        let mut recorded = Self {
            models: Vec::new(),
            rows: Vec::new(),
        };
        for (line, json) in (1..).zip(text.lines()) {
            recorded
                .add(json)
                .map_err(|problem| RecordedError::Line { line, problem })?;
        }
        Ok(recorded)
    }

    fn add(&mut self, json: &str) -> Result<(), String> {
        let row: Row = serde_json::from_str(json).map_err(|error| error.to_string())?;
        let (models, solutions): (Vec<_>, Vec<_>) = row.answers.into_iter().unzip();
        if self.rows.is_empty() {
            self.models = models;
        } else if self.models != models {
            return Err(format!("models {models:?} after {:?}", self.models));
        }
        let gold = Kind::Number
            .canonical(&row.ground_truth)
            .ok_or("the ground truth holds no number")?;
        self.rows.push(Answered {
            gold,
            texts: solutions
                .into_iter()
                .map(|solution| solution.solution)
                .collect(),
        });
        Ok(())
    }

    /// The models' names, in the order of [`Recorded::accuracies`].
    pub fn models(&self) -> &[String] {
        &self.models
    }

    /// Number of questions.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// The share of questions that each model answers right, 0 to 1.
    pub fn accuracies(&self) -> Vec<f64> {
        let right = |model: usize| {
            let rows = self
                .rows
                .iter()
                .filter(|row| row.texts.get(model).is_some_and(|text| row.is_right(text)));
            rows.count() as f64 / self.len().max(1) as f64
        };
        (0..self.models.len()).map(right).collect()
    }

    /// The share of questions that at least one model answers right, 0 to 1: no choice among the
    /// answers is better.
    pub fn best(&self) -> f64 {
        let right = self
            .rows
            .iter()
            .filter(|row| row.texts.iter().any(|text| row.is_right(text)));
        right.count() as f64 / self.len().max(1) as f64
    }

    /// All questions, in rounds of `size` (the last one may be smaller); the seed draws their
    /// order, and with it who is asked together with what.
    ///
    /// # Errors
    /// A size that no round can have; with negligible probability, a seed without keys.
    pub fn play(&self, size: usize, seed: u64) -> Result<Vec<QuestionTally>, RecordedError> {
        if size == 0 || size > MAX_SLOTS.into() {
            return Err(RecordedError::Size(size));
        }
        let mut rows: Vec<_> = (0..).zip(&self.rows).collect();
        rows.sort_by_cached_key(|(number, _)| {
            low_u64(
                &Hasher::new("recorded-order")
                    .u64(seed)
                    .u64(*number)
                    .finish(),
            )
        });
        let rows: Vec<_> = rows.into_iter().map(|(_, row)| row).collect();
        let rounds = (0..)
            .zip(rows.chunks(size))
            .map(|(round, rows)| self.round(seed, round, rows));
        Ok(rounds
            .collect::<Result<Vec<_>, _>>()?
            .into_iter()
            .flatten()
            .collect())
    }

    fn round(
        &self,
        seed: u64,
        number: u64,
        rows: &[&Answered],
    ) -> Result<Vec<QuestionTally>, RecordedError> {
        let mut roster = Roster::default();
        let mut peers = Vec::new();
        for model in 0..self.models.len() {
            let peer = simulated_key(seed, model)?.peer();
            roster.register(Member::new(peer), 0)?;
            peers.push(peer);
        }
        let config = config(rows.len() as u16, peers.len() as u16);
        let plan = Arc::new(RoundPlan::new(
            &config,
            config.swarm_id(),
            number,
            roster.snapshot(number),
        ));
        #[expect(clippy::expect_used, reason = "all were registered before the round")]
        let members: Vec<MemberIndex> = peers
            .iter()
            .map(|peer| {
                let found = plan.members.find(peer);
                found.expect("invariant: a registered peer is a member")
            })
            .collect();
        let mut transcript = Transcript::new(plan.clone());
        for (slot, row) in (0..).zip(rows) {
            for (member, text) in members.iter().zip(&row.texts) {
                let completions = vec![swarm_round::SharedCompletion::untold(text.clone())];
                transcript
                    .shares
                    .insert((slot, *member), CompletionGroup { completions });
            }
        }
        let gold = plan
            .questions
            .iter()
            .zip(rows)
            .map(|(question, row)| (question.id, row.gold.clone()))
            .collect();
        Ok(resolve(Arc::new(transcript), &RecordedJudge { gold }).tallies)
    }
}

impl Answered {
    fn is_right(&self, text: &str) -> bool {
        Kind::Number
            .canonical(text)
            .is_some_and(|answer| answer == self.gold)
    }
}

/// Rounds in which everybody answers every question and no other stage takes place.
fn config(questions: u16, members: u16) -> SwarmConfig {
    let game = Game {
        topics: 1,
        practice: 0,
        common: questions,
        group: 1,
        answerers: 0,
        common_answerers: members,
        critics: 0,
        deciders: 0,
        text_bytes: MAX_TEXT,
        tokens: 1,
        weighting: Weighting::Plurality,
    };
    SwarmConfig {
        name: "recorded".into(),
        tasks: "recorded".into(),
        model: String::new(),
        numerics: "ro1".into(),
        settlement: String::new(),
        genesis_ms: 0,
        windows: Windows::uniform(1_000),
        game,
        agreement: Agreement::default(),
        membership: Membership::default(),
    }
}

/// Knows the right answers of a round's recorded questions.
struct RecordedJudge {
    gold: HashMap<QuestionId, String>,
}

impl Judge for RecordedJudge {
    fn score(&self, question: &RoundQuestion, answer: &str) -> f32 {
        let right = self
            .normal(question, answer)
            .is_some_and(|answer| self.gold.get(&question.id) == Some(&answer));
        f32::from(u8::from(right))
    }

    fn normal(&self, _: &RoundQuestion, answer: &str) -> Option<String> {
        Kind::Number.canonical(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(gold: i32, answers: [i32; 3]) -> String {
        let [a, b, c] = answers.map(|answer| format!("{{\"solution\": \"so\\nA: {answer}\"}}"));
        format!(
            "{{\"question\": \"?\", \"ground_truth\": \"so\\nA: {gold}\", \"a\": {a}, \"b\": {b}, \
             \"c\": {c}}}"
        )
    }

    /// Right answers of each rule, in the order of `Choices::list`.
    fn right(boards: &[QuestionTally]) -> [usize; 5] {
        let mut right = [0; 5];
        for board in boards {
            for (count, (_, choice)) in right.iter_mut().zip(board.choices.list()) {
                *count += usize::from(choice.is_some_and(|choice| choice.is_right()));
            }
        }
        right
    }

    #[test]
    fn one_good_model_outvotes_two_that_agree_on_errors() {
        let lines: Vec<_> = (0..16).map(|n| line(n, [n, n + 1, n + 1])).collect();
        let recorded = Recorded::parse(&lines.join("\n")).unwrap();
        assert_eq!(
            (recorded.accuracies(), recorded.best()),
            (vec![1.0, 0.0, 0.0], 1.0)
        );
        assert_eq!(right(&recorded.play(16, 1).unwrap()), [0, 0, 0, 0, 16]);
        assert_eq!(
            right(&recorded.play(1, 1).unwrap()),
            [0; 5],
            "nothing is learned from one question alone"
        );
    }

    #[test]
    fn refusals_name_the_line_and_the_size() {
        let error = Recorded::parse(&format!("{}\n{{}}", line(1, [1, 1, 1])))
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("line 2: missing field"), "{error}");
        let other = line(1, [1, 1, 1]).replace("\"c\"", "\"d\"");
        let error = Recorded::parse(&format!("{}\n{other}", line(1, [1, 1, 1])))
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("line 2: models"), "{error}");
        let recorded = Recorded::parse(&line(1, [1, 2, 3])).unwrap();
        assert!(matches!(recorded.play(0, 1), Err(RecordedError::Size(0))));
        assert!(matches!(
            recorded.play(2000, 1),
            Err(RecordedError::Size(2000))
        ));
    }

    /// Four language models on 660 questions of GSM8K.
    #[test]
    fn on_published_solutions_the_winner_is_at_least_as_good_as_plurality() {
        let Some(path) = crate::shared_data::known("gsm8k/answers-even.jsonl") else {
            eprintln!("skipped: no data (shared/data/gsm8k/answers-even.jsonl)");
            return;
        };
        let recorded = Recorded::load(&path).unwrap();
        assert_eq!((recorded.len(), recorded.models().len()), (660, 4));
        for size in [4, 8, 16, 32, 64, 128, 660] {
            for seed in 1..=3 {
                let [plurality, _, pooled, _, winner] = right(&recorded.play(size, seed).unwrap());
                assert_eq!(plurality, pooled, "nobody endorses anything");
                assert!(
                    winner >= plurality,
                    "rounds of {size}, seed {seed}: {winner} after {plurality}"
                );
                // What a weighted vote of these models can reach at all is 57 percent.
                assert!(
                    size < 32 || winner * 100 > 660 * 54,
                    "rounds of {size}, seed {seed}: {winner} of 660"
                );
            }
        }
    }
}
