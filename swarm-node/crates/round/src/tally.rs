//! Counting one question: marks of all texts, and the five ways to choose an answer that are
//! published side by side.
//!
//! | choice | votes |
//! |---|---|
//! | plurality | first answers |
//! | critics | endorsements |
//! | pooled | first answers and endorsements |
//! | decided | decisions |
//! | weighed | all completions; where they are close, endorsements and decisions; this one is the winner |
//!
//! `weighed` in full: each of a member's L completions is the L-th part of a vote, and every vote
//! weighs as much as its source's [`record`](crate::vote_record) on the round's other questions
//! says. Answers whose completions come within a twentieth of the most are *close*; among them the
//! endorsements and decisions choose, weighed alike, without those of sources that were more often
//! wrong than right. Completions come first because they alone are independent: who has read the
//! others repeats their mistakes, and no record shows that.
//!
//! Equal texts are those with equal normal forms. Ties go to the lowest SHA-256 of question and
//! normal form, which nobody can steer without changing the answer itself.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use swarm_identity::digest::Hasher;

use crate::config::Weighting;
use crate::membership::MemberIndex;
use crate::payload::Stage;
use crate::question::{Judge, RoundQuestion, thousandths};
use crate::transcript::{RoundPlan, Transcript, TranscriptKey};
use crate::vote_record::{EVEN, VOTE, VoteRecords};

/// Points of a right text, in thousandths.
pub const RIGHT: u32 = 1000;

/// What the judge says about a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The normal form, `None` for a text that cannot be read as an answer.
    pub normal: Option<Arc<str>>,
    /// The judge's score in thousandths; 0 where the judge has no verifier.
    pub points: u32,
}

impl Mark {
    /// Asks the judge about a text.
    pub fn new(judge: &dyn Judge, question: &RoundQuestion, text: &str) -> Self {
        let normal = judge.normal(question, text).map(Arc::from);
        let points = if judge.verifies(question) {
            thousandths(judge.score(question, text))
        } else {
            0
        };
        Self { normal, points }
    }
}

/// An answer chosen by one of the rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Its normal form.
    pub answer: Arc<str>,
    /// Its points in thousandths.
    pub points: u32,
    /// The votes for it, weighted by the game's rule; in `weighed` those of completions, L times
    /// their weight by records.
    pub votes: u128,
}

/// The five published choices; `None` where nobody voted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choices {
    /// Plurality of first answers.
    pub plurality: Option<Choice>,
    /// Plurality of endorsements.
    pub critics: Option<Choice>,
    /// Plurality of first answers and endorsements together.
    pub pooled: Option<Choice>,
    /// Plurality of decisions.
    pub decided: Option<Choice>,
    /// Plurality of completions, weighed by records; close ones by endorsements and decisions: the
    /// winner.
    pub weighed: Option<Choice>,
}

impl Choice {
    /// True if the judge gives the answer full points.
    pub fn is_right(&self) -> bool {
        self.points == RIGHT
    }
}

impl Choices {
    /// The choices with their names, in the order of the table above; the last one is the winner.
    pub fn list(&self) -> [(&'static str, Option<&Choice>); 5] {
        [
            ("plurality", self.plurality.as_ref()),
            ("critics", self.critics.as_ref()),
            ("pooled", self.pooled.as_ref()),
            ("decided", self.decided.as_ref()),
            ("weighed", self.weighed.as_ref()),
        ]
    }
}

/// Everything said about one question, marked and counted.
#[derive(Clone, Debug)]
pub struct QuestionTally {
    /// The question's slot.
    pub slot: u16,
    /// The question.
    pub question: RoundQuestion,
    /// True if the judge knows the truth.
    pub verified: bool,
    /// Marks of each member's completions.
    pub groups: Vec<(MemberIndex, Vec<Mark>)>,
    /// Mark of each critic's endorsement; `None` for "none is right".
    pub critiques: Vec<(MemberIndex, Option<Mark>)>,
    /// Marks of each decider's answer and foreseen majority.
    pub decisions: Vec<(MemberIndex, Mark, Mark)>,
    /// The published choices.
    pub choices: Choices,
}

/// Asks the judge once per distinct text.
struct Marker<'a> {
    judge: &'a dyn Judge,
    question: RoundQuestion,
    known: HashMap<&'a str, Mark>,
}

impl<'a> Marker<'a> {
    fn mark(&mut self, text: &'a str) -> Mark {
        let (judge, question) = (self.judge, &self.question);
        self.known
            .entry(text)
            .or_insert_with(|| Mark::new(judge, question, text))
            .clone()
    }
}

/// The entries of a slot.
fn of_slot<T>(
    table: &BTreeMap<TranscriptKey, T>,
    slot: u16,
) -> impl Iterator<Item = (MemberIndex, &T)> {
    table
        .range((slot, 0)..=(slot, MemberIndex::MAX))
        .map(|((_, member), body)| (*member, body))
}

/// Marks and counts all questions of a transcript, by slot.
pub fn tallies(transcript: &Transcript, judge: &dyn Judge) -> Vec<QuestionTally> {
    let plan = &transcript.plan;
    let questions = (0..).zip(&plan.questions);
    let mut tallies: Vec<_> = questions
        .map(|(slot, q)| QuestionTally::mark(transcript, slot, *q, judge))
        .collect();
    let records = VoteRecords::sum(tallies.iter().map(|tally| tally.records(plan)));
    for tally in &mut tallies {
        tally.choices = tally.count(plan, &records);
    }
    tallies
}

impl QuestionTally {
    /// Marks a slot of a transcript; its choices are counted when all slots are marked.
    fn mark(
        transcript: &Transcript,
        slot: u16,
        question: RoundQuestion,
        judge: &dyn Judge,
    ) -> Self {
        let mut marker = Marker {
            judge,
            question,
            known: HashMap::new(),
        };
        let groups = of_slot(&transcript.shares, slot)
            .map(|(member, group)| {
                (
                    member,
                    group
                        .completions
                        .iter()
                        .map(|one| marker.mark(one.text.as_str()))
                        .collect(),
                )
            })
            .collect();
        let critiques = of_slot(&transcript.critiques, slot)
            .map(|(member, critique)| {
                (
                    member,
                    critique
                        .endorsed
                        .as_ref()
                        .map(|text| marker.mark(text.as_str())),
                )
            })
            .collect();
        let decisions = of_slot(&transcript.decisions, slot)
            .map(|(member, d)| {
                (
                    member,
                    marker.mark(d.answer.as_str()),
                    marker.mark(d.foreseen.as_str()),
                )
            })
            .collect();
        let verified = judge.verifies(&question);
        Self {
            slot,
            question,
            verified,
            groups,
            critiques,
            decisions,
            choices: Choices::default(),
        }
    }

    /// Which of the votes due on this question are right: nothing where the judge has no verifier.
    fn records(&self, plan: &RoundPlan) -> VoteRecords {
        if !self.verified {
            return VoteRecords::default();
        }
        let sources = |stage| {
            plan.assignment
                .members(stage, self.slot)
                .iter()
                .map(move |member| (stage, *member))
        };
        let mut records = VoteRecords::due(Stage::ALL.into_iter().flat_map(sources));
        for (member, marks) in &self.groups {
            let points: u64 = marks.iter().map(|mark| u64::from(mark.points)).sum();
            records.credit(Stage::Share, *member, points / u64::from(plan.game.group));
        }
        for (member, endorsed) in &self.critiques {
            let right = self.critique_is_right(endorsed.as_ref());
            records.credit(Stage::Critique, *member, VOTE * u64::from(right));
        }
        for (member, answer, _) in &self.decisions {
            records.credit(Stage::Decide, *member, answer.points.into());
        }
        records
    }

    fn count(&self, plan: &RoundPlan, records: &VoteRecords) -> Choices {
        let weight = |member: MemberIndex| match plan.game.weighting {
            Weighting::Plurality => 1,
            Weighting::Stake => u128::from(plan.members[member].stake),
        };
        let first = || {
            self.first_answers()
                .map(|(member, mark)| (weight(member), mark))
        };
        let endorsed = || {
            self.endorsements()
                .map(|(member, mark)| (weight(member), mark))
        };
        let decided = || {
            self.decisions
                .iter()
                .map(|(member, answer, _)| (weight(*member), answer))
        };

        let question = self.records(plan);
        let record = |stage, member| records.weight_without(&question, stage, member);
        let completions = self.groups.iter().flat_map(|(member, marks)| {
            let weight = weight(*member) * u128::from(record(Stage::Share, *member));
            marks.iter().map(move |mark| (weight, mark))
        });
        // A source that is more often wrong than right would rather choose a common mistake than
        // the answer.
        let chooses = |stage, member| match record(stage, member) {
            record if record < EVEN => 0,
            record => weight(member) * u128::from(record),
        };
        let endorsements = self
            .endorsements()
            .map(|(member, mark)| (chooses(Stage::Critique, member), mark));
        let decisions = self
            .decisions
            .iter()
            .map(|(member, answer, _)| (chooses(Stage::Decide, *member), answer));
        Choices {
            plurality: choose(&self.question, first()),
            critics: choose(&self.question, endorsed()),
            pooled: choose(&self.question, first().chain(endorsed())),
            decided: choose(&self.question, decided()),
            weighed: choose_close(&self.question, completions, endorsements.chain(decisions)),
        }
    }

    /// Each member's first completion: its answer.
    pub fn first_answers(&self) -> impl Iterator<Item = (MemberIndex, &Mark)> {
        self.groups
            .iter()
            .filter_map(|(member, marks)| Some((*member, marks.first()?)))
    }

    /// Endorsements of answers that were really revealed.
    pub fn endorsements(&self) -> impl Iterator<Item = (MemberIndex, &Mark)> {
        let endorsed = self
            .critiques
            .iter()
            .filter_map(|(member, mark)| Some((*member, mark.as_ref()?)));
        endorsed.filter(|(_, mark)| self.is_revealed(mark))
    }

    /// True if somebody's first answer has the same normal form.
    pub fn is_revealed(&self, mark: &Mark) -> bool {
        mark.normal.is_some()
            && self
                .first_answers()
                .any(|(_, first)| first.normal == mark.normal)
    }

    /// The winner; see the module for its rule.
    pub fn winner(&self) -> Option<&Choice> {
        self.choices.weighed.as_ref()
    }

    /// True if the mark is the winner's.
    pub fn is_winner(&self, mark: &Mark) -> bool {
        self.winner()
            .is_some_and(|winner| mark.normal.as_ref() == Some(&winner.answer))
    }

    /// Worth of a text in thousandths: the verifier's points, or without one [`RIGHT`] for the
    /// winner and 0 otherwise.
    pub fn worth(&self, mark: &Mark) -> u32 {
        match self.verified {
            true => mark.points,
            false => RIGHT * u32::from(self.is_winner(mark)),
        }
    }

    /// True if a critique is right: it endorses a revealed right answer, or says "none" and no
    /// revealed one is right.
    pub fn critique_is_right(&self, endorsed: Option<&Mark>) -> bool {
        match endorsed {
            Some(mark) => self.worth(mark) == RIGHT && self.is_revealed(mark),
            None => !self
                .first_answers()
                .any(|(_, first)| self.worth(first) == RIGHT),
        }
    }
}

/// The answer with most votes; ties to the lowest hash. Texts that cannot be read are no votes.
fn choose<'a>(
    question: &RoundQuestion,
    votes: impl Iterator<Item = (u128, &'a Mark)>,
) -> Option<Choice> {
    let mut counts = Counts::default();
    votes.for_each(|(weight, mark)| counts.add(mark, weight, weight));
    counts.choose(question)
}

/// The same by two kinds of votes: of the answers whose first votes are close to the most, the one
/// with most second votes.
fn choose_close<'a>(
    question: &RoundQuestion,
    first: impl Iterator<Item = (u128, &'a Mark)>,
    second: impl Iterator<Item = (u128, &'a Mark)>,
) -> Option<Choice> {
    let mut counts = Counts::default();
    first.for_each(|(weight, mark)| counts.add(mark, weight, 0));
    second.for_each(|(weight, mark)| counts.add(mark, 0, weight));
    counts.choose(question)
}

/// The votes for each answer.
#[derive(Default)]
struct Counts<'a>(BTreeMap<&'a Arc<str>, Count>);

#[derive(Default)]
struct Count {
    first: u128,
    second: u128,
    points: u32,
}

impl<'a> Counts<'a> {
    fn add(&mut self, mark: &'a Mark, first: u128, second: u128) {
        let Some(normal) = &mark.normal else { return };
        let count = self.0.entry(normal).or_default();
        count.first = count.first.saturating_add(first);
        count.second = count.second.saturating_add(second);
        count.points = count.points.max(mark.points);
    }

    fn choose(self, question: &RoundQuestion) -> Option<Choice> {
        let most = self.0.values().map(|count| count.first).max()?;
        let voted = self
            .0
            .into_iter()
            .filter(|(_, count)| count.first > 0 || count.second > 0);
        // Nineteen twentieths, rounded up, without overflow.
        let close: Vec<_> = voted
            .filter(|(_, count)| count.first >= most - most / 20)
            .collect();
        let most = close.iter().map(|(_, count)| count.second).max()?;
        let tied = close.into_iter().filter(|(_, count)| count.second == most);
        let (answer, count) = tied.min_by_key(|(answer, _)| tie_hash(question, answer))?;
        Some(Choice {
            answer: answer.clone(),
            points: count.points,
            votes: count.first,
        })
    }
}

fn tie_hash(question: &RoundQuestion, answer: &str) -> swarm_identity::digest::Digest32 {
    Hasher::new("tie")
        .bytes(&question.id)
        .bytes(answer.as_bytes())
        .finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question() -> RoundQuestion {
        RoundQuestion {
            id: [1; 32],
            topic: 0,
            common: true,
        }
    }

    fn mark(normal: &str) -> Mark {
        Mark {
            normal: (!normal.is_empty()).then(|| Arc::from(normal)),
            points: 0,
        }
    }

    fn chosen(votes: &[(u128, &str)]) -> Option<String> {
        let marks: Vec<_> = votes
            .iter()
            .map(|(weight, text)| (*weight, mark(text)))
            .collect();
        choose(
            &question(),
            marks.iter().map(|(weight, mark)| (*weight, mark)),
        )
        .map(|c| c.answer.to_string())
    }

    #[test]
    fn most_votes_win_by_weight() {
        assert_eq!(
            chosen(&[(1, "a"), (1, "b"), (1, "b")]).as_deref(),
            Some("b")
        );
        assert_eq!(
            chosen(&[(5, "a"), (1, "b"), (1, "b")]).as_deref(),
            Some("a")
        );
        assert_eq!(chosen(&[(1, ""), (1, ""), (1, "b")]).as_deref(), Some("b"));
        assert_eq!((chosen(&[]), chosen(&[(0, "a")])), (None, None));
        assert_eq!(
            chosen(&[(u128::MAX, "a"), (u128::MAX, "a")]).as_deref(),
            Some("a")
        );
    }

    #[test]
    fn second_votes_choose_among_answers_close_to_the_most() {
        let chosen = |first: &[(u128, &str)], second: &[(u128, &str)]| {
            let [first, second] = [first, second].map(|votes| {
                votes
                    .iter()
                    .map(|(weight, text)| (*weight, mark(text)))
                    .collect::<Vec<_>>()
            });
            let votes =
                |marks: &'static [(u128, Mark)]| marks.iter().map(|(weight, mark)| (*weight, mark));
            choose_close(&question(), votes(first.leak()), votes(second.leak()))
                .map(|choice| (choice.answer.to_string(), choice.votes))
        };
        let second = [(1, "a"), (9, "b"), (99, "c")];
        assert_eq!(
            chosen(&[(100, "a"), (95, "b"), (94, "c")], &second),
            Some(("b".into(), 95))
        );
        assert_eq!(
            chosen(&[(101, "a"), (95, "b")], &second),
            Some(("a".into(), 101))
        );
        assert_eq!(
            chosen(&[(u128::MAX, "a"), (u128::MAX, "b")], &second),
            Some(("b".into(), u128::MAX))
        );
        assert_eq!(
            chosen(&[(5, "?"), (5, "")], &[]).map(|(answer, _)| answer),
            Some("?".into())
        );
        // Without first votes the second ones choose alone.
        assert_eq!(chosen(&[], &second), Some(("c".into(), 0)));
        assert_eq!(
            (chosen(&[], &[]), chosen(&[(0, "a")], &[(0, "b")])),
            (None, None)
        );
    }

    #[test]
    fn ties_go_to_the_lowest_hash_in_any_order() {
        let lowest = ["a", "b", "c"]
            .into_iter()
            .min_by_key(|text| tie_hash(&question(), text))
            .unwrap();
        assert_eq!(
            chosen(&[(1, "a"), (1, "b"), (1, "c")]).as_deref(),
            Some(lowest)
        );
        assert_eq!(
            chosen(&[(1, "c"), (1, "b"), (1, "a")]).as_deref(),
            Some(lowest)
        );
    }
}
