//! `resolve`: transcript → result, a pure function that every node computes alike.
//!
//! Integer arithmetic throughout; the order of members and questions is the plan's. The digest
//! covers the transcript and every score: whoever has the same one has the same table.

use std::sync::Arc;

use swarm_identity::digest::{Digest32, Hasher};
use swarm_identity::key::PeerId;

use crate::clip::{self, Opinion};
use crate::membership::MemberIndex;
use crate::payload::Stage;
use crate::question::Judge;
use crate::reward::{self, Rows};
use crate::tally::{self, Mark, QuestionTally, RIGHT};
use crate::transcript::Transcript;

/// A member's rewards in a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberScore {
    /// Who.
    pub peer: PeerId,
    /// How much, row by row.
    pub rows: Rows,
}

/// The outcome of a round.
#[derive(Clone, Debug)]
pub struct RoundResult {
    /// What it was computed from.
    pub transcript: Arc<Transcript>,
    /// Marks, votes and choices per question, by slot.
    pub tallies: Vec<QuestionTally>,
    /// Scores by member index.
    pub scores: Vec<MemberScore>,
    /// Digest of transcript and scores.
    pub digest: Digest32,
}

/// Resolves a round.
pub fn resolve(transcript: Arc<Transcript>, judge: &dyn Judge) -> RoundResult {
    let tallies = tally::tallies(&transcript, judge);
    let members = transcript.plan.members.indices();
    let scores: Vec<_> = members
        .map(|member| score(&transcript, &tallies, member))
        .collect();
    let digest = digest(&transcript, &scores);
    RoundResult {
        transcript,
        tallies,
        scores,
        digest,
    }
}

fn digest(transcript: &Transcript, scores: &[MemberScore]) -> Digest32 {
    let hasher = Hasher::new("result").bytes(&transcript.digest());
    scores
        .iter()
        .flat_map(|score| score.rows.list())
        .fold(hasher, |hasher, points| hasher.bytes(&points.to_le_bytes()))
        .finish()
}

fn score(transcript: &Transcript, tallies: &[QuestionTally], member: MemberIndex) -> MemberScore {
    let peer = transcript.plan.members[member].peer;
    let count = Count {
        transcript,
        tallies,
        member,
    };
    let (thousandths, readable, completions) = count.completions();
    let (right_critiques, critiques) = count.critiques();
    let (decided, foreseen, decisions) = count.decisions();
    let rows = Rows {
        correctness: reward::correctness(thousandths, completions),
        format: reward::format(readable, completions),
        critique: reward::critique(right_critiques, critiques),
        decision: reward::decision(decided, decisions),
        foreseen: reward::foreseen(foreseen, decisions),
        equivocation: reward::equivocation(
            transcript.equivocations.get(&member).copied().unwrap_or(0),
        ),
    };
    MemberScore { peer, rows }
}

/// Counts one member's work over all tallies.
struct Count<'a> {
    transcript: &'a Transcript,
    tallies: &'a [QuestionTally],
    member: MemberIndex,
}

impl<'a> Count<'a> {
    /// The tallies on which the member had to work in a stage.
    fn due(&self, stage: Stage) -> impl Iterator<Item = &'a QuestionTally> {
        let (assignment, member) = (&self.transcript.plan.assignment, self.member);
        self.tallies
            .iter()
            .filter(move |tally| assignment.contains(stage, tally.slot, member))
    }

    /// (Σ worth in thousandths, readable, due) over completions.
    fn completions(&self) -> (u64, u64, u64) {
        let group = u64::from(self.transcript.plan.game.group);
        let consensus = u64::from(self.consensus());
        self.due(Stage::Share)
            .fold((0, 0, 0), |(worth, readable, due), tally| {
                let marks = group_of(tally, self.member);
                let earned = match tally.verified {
                    true => marks.iter().map(|mark| u64::from(mark.points)).sum(),
                    false => consensus * group,
                };
                let read = marks.iter().filter(|mark| mark.normal.is_some()).count() as u64;
                (worth + earned, readable + read, due + group)
            })
    }

    /// (right, due) over critiques.
    fn critiques(&self) -> (u64, u64) {
        self.due(Stage::Critique)
            .fold((0, 0), |(right, due), tally| {
                let mine = tally
                    .critiques
                    .iter()
                    .find(|(member, _)| *member == self.member);
                let hit =
                    mine.is_some_and(|(_, endorsed)| tally.critique_is_right(endorsed.as_ref()));
                (right + u64::from(hit), due + 1)
            })
    }

    /// (Σ worth in thousandths, winners foreseen, due) over decisions.
    fn decisions(&self) -> (u64, u64, u64) {
        self.due(Stage::Decide)
            .fold((0, 0, 0), |(worth, hits, due), tally| {
                let mine = tally
                    .decisions
                    .iter()
                    .find(|(member, ..)| *member == self.member);
                let earned = mine.map_or(0, |(_, answer, _)| tally.worth(answer));
                let hit = mine.is_some_and(|(_, _, foreseen)| tally.is_winner(foreseen));
                (worth + u64::from(earned), hits + u64::from(hit), due + 1)
            })
    }

    /// What the other deciders grant the member's answers where no verifier exists, clipped to the
    /// median.
    fn consensus(&self) -> u32 {
        let unverified: Vec<_> = self
            .tallies
            .iter()
            .filter(|tally| !tally.verified)
            .collect();
        if unverified.is_empty() {
            return 0;
        }
        let members = self.transcript.plan.members.indices();
        let opinions: Vec<_> = members
            .filter(|other| *other != self.member)
            .filter_map(|judge| self.opinion(judge, &unverified))
            .collect();
        clip::consensus(&opinions)
    }

    /// The part of a decider's decisions that agree with the member's first answers; `None` if the
    /// two met on no question.
    fn opinion(&self, decider: MemberIndex, tallies: &[&QuestionTally]) -> Option<Opinion> {
        let pairs = tallies.iter().filter_map(|tally| {
            let (_, decision, _) = tally
                .decisions
                .iter()
                .find(|(member, ..)| *member == decider)?;
            Some((decision, group_of(tally, self.member).first()?))
        });
        let (agree, all) = pairs.fold((0, 0), |(agree, all), (decision, answer)| {
            (
                agree + u32::from(decision.normal.is_some() && decision.normal == answer.normal),
                all + 1,
            )
        });
        Some((
            self.transcript.plan.members[decider].stake,
            (RIGHT * agree).checked_div(all)?,
        ))
    }
}

fn group_of(tally: &QuestionTally, member: MemberIndex) -> &[Mark] {
    let group = tally.groups.iter().find(|(other, _)| *other == member);
    group.map_or(&[], |(_, marks)| marks.as_slice())
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod winner_tests;
