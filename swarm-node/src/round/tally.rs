//! Counting one question: marks of all texts, and the four ways to choose an answer that are published side by side.
//!
//! | choice | votes |
//! |---|---|
//! | plurality | first answers |
//! | critics | endorsements |
//! | pooled | first answers and endorsements |
//! | decided | decisions; this one is the winner |
//!
//! Equal texts are those with equal normal forms. Ties go to the lowest SHA-256 of question and normal form, which
//! nobody can steer without changing the answer itself.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::config::Weighting;
use super::digest::Hasher;
use super::membership::MemberIndex;
use super::question::{Judge, Question, thousandths};
use super::transcript::{Place, Transcript};

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
    pub fn new(judge: &dyn Judge, question: &Question, text: &str) -> Self {
        let normal = judge.normal(question, text).map(Arc::from);
        let points = if judge.verifies(question) { thousandths(judge.score(question, text)) } else { 0 };
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
    /// The votes for it, weighted by the game's rule.
    pub votes: u64,
}

/// The four published choices; `None` where nobody voted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choices {
    /// Plurality of first answers.
    pub plurality: Option<Choice>,
    /// Plurality of endorsements.
    pub critics: Option<Choice>,
    /// Plurality of first answers and endorsements together.
    pub pooled: Option<Choice>,
    /// Plurality of decisions: the winner.
    pub decided: Option<Choice>,
}

/// Everything said about one question, marked and counted.
#[derive(Clone, Debug)]
pub struct Board {
    /// The question's slot.
    pub slot: u16,
    /// The question.
    pub question: Question,
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
    question: Question,
    known: HashMap<&'a str, Mark>,
}

impl<'a> Marker<'a> {
    fn mark(&mut self, text: &'a str) -> Mark {
        let (judge, question) = (self.judge, &self.question);
        self.known.entry(text).or_insert_with(|| Mark::new(judge, question, text)).clone()
    }
}

/// The entries of a slot.
fn of_slot<T>(table: &BTreeMap<Place, T>, slot: u16) -> impl Iterator<Item = (MemberIndex, &T)> {
    table.range((slot, 0)..=(slot, MemberIndex::MAX)).map(|((_, member), body)| (*member, body))
}

impl Board {
    /// Marks and counts a slot of a transcript.
    pub fn new(transcript: &Transcript, slot: u16, question: Question, judge: &dyn Judge) -> Self {
        let mut marker = Marker { judge, question, known: HashMap::new() };
        let groups = of_slot(&transcript.shares, slot)
            .map(|(member, group)| {
                (member, group.completions.iter().map(|one| marker.mark(one.text.as_str())).collect())
            })
            .collect();
        let critiques = of_slot(&transcript.critiques, slot)
            .map(|(member, critique)| (member, critique.endorsed.as_ref().map(|text| marker.mark(text.as_str()))))
            .collect();
        let decisions = of_slot(&transcript.decisions, slot)
            .map(|(member, d)| (member, marker.mark(d.answer.as_str()), marker.mark(d.foreseen.as_str())))
            .collect();
        let verified = judge.verifies(&question);
        let choices = Choices::default();
        let mut board = Self { slot, question, verified, groups, critiques, decisions, choices };
        board.count(transcript);
        board
    }

    fn count(&mut self, transcript: &Transcript) {
        let weight = |member: MemberIndex| match transcript.plan.game.weighting {
            Weighting::Plurality => 1,
            Weighting::Stake => transcript.plan.members.stake(member),
        };
        let first = || self.first_answers().map(|(member, mark)| (weight(member), mark));
        let endorsed = || self.endorsements().map(|(member, mark)| (weight(member), mark));
        let decided = self.decisions.iter().map(|(member, answer, _)| (weight(*member), answer));
        self.choices = Choices {
            plurality: choose(&self.question, first()),
            critics: choose(&self.question, endorsed()),
            pooled: choose(&self.question, first().chain(endorsed())),
            decided: choose(&self.question, decided),
        };
    }

    /// Each member's first completion: its answer.
    pub fn first_answers(&self) -> impl Iterator<Item = (MemberIndex, &Mark)> {
        self.groups.iter().filter_map(|(member, marks)| Some((*member, marks.first()?)))
    }

    /// Endorsements of answers that were really revealed.
    pub fn endorsements(&self) -> impl Iterator<Item = (MemberIndex, &Mark)> {
        let endorsed = self.critiques.iter().filter_map(|(member, mark)| Some((*member, mark.as_ref()?)));
        endorsed.filter(|(_, mark)| self.is_revealed(mark))
    }

    /// True if somebody's first answer has the same normal form.
    pub fn is_revealed(&self, mark: &Mark) -> bool {
        mark.normal.is_some() && self.first_answers().any(|(_, first)| first.normal == mark.normal)
    }

    /// The winner: the plurality of decisions.
    pub fn winner(&self) -> Option<&Choice> {
        self.choices.decided.as_ref()
    }

    /// True if the mark is the winner's.
    pub fn is_winner(&self, mark: &Mark) -> bool {
        self.winner().is_some_and(|winner| mark.normal.as_ref() == Some(&winner.answer))
    }

    /// Worth of a text in thousandths: the verifier's points, or without one [`RIGHT`] for the winner and 0 otherwise.
    pub fn worth(&self, mark: &Mark) -> u32 {
        match self.verified {
            true => mark.points,
            false => RIGHT * u32::from(self.is_winner(mark)),
        }
    }

    /// True if a critique is right: it endorses a revealed right answer, or says "none" and no revealed one is right.
    pub fn critique_is_right(&self, endorsed: Option<&Mark>) -> bool {
        match endorsed {
            Some(mark) => self.worth(mark) == RIGHT && self.is_revealed(mark),
            None => !self.first_answers().any(|(_, first)| self.worth(first) == RIGHT),
        }
    }
}

/// The answer with most votes; ties to the lowest hash. Texts that cannot be read are no votes.
fn choose<'a>(question: &Question, votes: impl Iterator<Item = (u64, &'a Mark)>) -> Option<Choice> {
    let mut counts: BTreeMap<&Arc<str>, (u64, u32)> = BTreeMap::new();
    for (weight, mark) in votes {
        let Some(normal) = &mark.normal else { continue };
        let entry = counts.entry(normal).or_insert((0, mark.points));
        *entry = (entry.0.saturating_add(weight), entry.1.max(mark.points));
    }
    let most = counts.values().map(|(votes, _)| *votes).max().filter(|votes| *votes > 0)?;
    let tied = counts.into_iter().filter(|(_, (votes, _))| *votes == most);
    let (answer, (votes, points)) = tied.min_by_key(|(answer, _)| tie_hash(question, answer))?;
    Some(Choice { answer: answer.clone(), points, votes })
}

fn tie_hash(question: &Question, answer: &str) -> super::digest::Digest32 {
    Hasher::new("tie").bytes(&question.id).bytes(answer.as_bytes()).finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question() -> Question {
        Question { id: [1; 32], topic: 0, common: true }
    }

    fn mark(normal: &str) -> Mark {
        Mark { normal: (!normal.is_empty()).then(|| Arc::from(normal)), points: 0 }
    }

    fn chosen(votes: &[(u64, &str)]) -> Option<String> {
        let marks: Vec<_> = votes.iter().map(|(weight, text)| (*weight, mark(text))).collect();
        choose(&question(), marks.iter().map(|(weight, mark)| (*weight, mark))).map(|c| c.answer.to_string())
    }

    #[test]
    fn most_votes_win_by_weight() {
        assert_eq!(chosen(&[(1, "a"), (1, "b"), (1, "b")]).as_deref(), Some("b"));
        assert_eq!(chosen(&[(5, "a"), (1, "b"), (1, "b")]).as_deref(), Some("a"));
        assert_eq!(chosen(&[(1, ""), (1, ""), (1, "b")]).as_deref(), Some("b"));
        assert_eq!((chosen(&[]), chosen(&[(0, "a")])), (None, None));
        assert_eq!(chosen(&[(u64::MAX, "a"), (u64::MAX, "a")]).as_deref(), Some("a"));
    }

    #[test]
    fn ties_go_to_the_lowest_hash_in_any_order() {
        let lowest = ["a", "b", "c"].into_iter().min_by_key(|text| tie_hash(&question(), text)).unwrap();
        assert_eq!(chosen(&[(1, "a"), (1, "b"), (1, "c")]).as_deref(), Some(lowest));
        assert_eq!(chosen(&[(1, "c"), (1, "b"), (1, "a")]).as_deref(), Some(lowest));
    }
}
