//! `resolve`: transcript → result, a pure function that every node computes alike.
//!
//! Integer arithmetic throughout; the order of members and questions is the plan's. The digest
//! covers the transcript and every score, and is what members attest.

use std::sync::Arc;

use swarm_identity::digest::{Digest32, Hasher};
use swarm_identity::key::PeerId;

use super::clip::{self, Opinion};
use super::membership::MemberIndex;
use super::payload::Stage;
use super::question::Judge;
use super::reward::{self, Rows};
use super::tally::{self, Board, Mark, RIGHT};
use super::transcript::Transcript;

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
    pub boards: Vec<Board>,
    /// Scores by member index.
    pub scores: Vec<MemberScore>,
    /// Digest of transcript and scores.
    pub digest: Digest32,
}

/// Resolves a round.
pub fn resolve(transcript: Arc<Transcript>, judge: &dyn Judge) -> RoundResult {
    let boards = tally::boards(&transcript, judge);
    let count = transcript.plan.members.len() as MemberIndex;
    let scores: Vec<_> = (0..count)
        .filter_map(|member| score(&transcript, &boards, member))
        .collect();
    let digest = digest(&transcript, &scores);
    RoundResult {
        transcript,
        boards,
        scores,
        digest,
    }
}

fn digest(transcript: &Transcript, scores: &[MemberScore]) -> Digest32 {
    let hasher = Hasher::new("result").bytes(&transcript.digest());
    let absorb = |hasher: Hasher, points: i64| hasher.bytes(&points.to_le_bytes());
    scores
        .iter()
        .flat_map(|score| score.rows.list())
        .fold(hasher, absorb)
        .finish()
}

fn score(transcript: &Transcript, boards: &[Board], member: MemberIndex) -> Option<MemberScore> {
    let peer = transcript.plan.members.get(member)?.peer;
    let count = Count {
        transcript,
        boards,
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
    Some(MemberScore { peer, rows })
}

/// Counts one member's work over all boards.
struct Count<'a> {
    transcript: &'a Transcript,
    boards: &'a [Board],
    member: MemberIndex,
}

impl<'a> Count<'a> {
    /// The boards on which the member had to work in a stage.
    fn due(&self, stage: Stage) -> impl Iterator<Item = &'a Board> {
        let (assignment, member) = (&self.transcript.plan.assignment, self.member);
        self.boards
            .iter()
            .filter(move |board| assignment.contains(stage, board.slot, member))
    }

    /// (Σ worth in thousandths, readable, due) over completions.
    fn completions(&self) -> (u64, u64, u64) {
        let group = u64::from(self.transcript.plan.game.group);
        let consensus = u64::from(self.consensus());
        self.due(Stage::Share)
            .fold((0, 0, 0), |(worth, readable, due), board| {
                let marks = group_of(board, self.member);
                let earned = match board.verified {
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
            .fold((0, 0), |(right, due), board| {
                let mine = board
                    .critiques
                    .iter()
                    .find(|(member, _)| *member == self.member);
                let hit =
                    mine.is_some_and(|(_, endorsed)| board.critique_is_right(endorsed.as_ref()));
                (right + u64::from(hit), due + 1)
            })
    }

    /// (Σ worth in thousandths, winners foreseen, due) over decisions.
    fn decisions(&self) -> (u64, u64, u64) {
        self.due(Stage::Decide)
            .fold((0, 0, 0), |(worth, hits, due), board| {
                let mine = board
                    .decisions
                    .iter()
                    .find(|(member, ..)| *member == self.member);
                let earned = mine.map_or(0, |(_, answer, _)| board.worth(answer));
                let hit = mine.is_some_and(|(_, _, foreseen)| board.is_winner(foreseen));
                (worth + u64::from(earned), hits + u64::from(hit), due + 1)
            })
    }

    /// What the other deciders grant the member's answers where no verifier exists, clipped to the
    /// median.
    fn consensus(&self) -> u32 {
        let unverified: Vec<_> = self.boards.iter().filter(|board| !board.verified).collect();
        if unverified.is_empty() {
            return 0;
        }
        let others = (0..self.transcript.plan.members.len() as MemberIndex)
            .filter(|other| *other != self.member);
        let opinions: Vec<_> = others
            .filter_map(|judge| self.opinion(judge, &unverified))
            .collect();
        clip::consensus(&opinions)
    }

    /// The part of a decider's decisions that agree with the member's first answers.
    fn opinion(&self, decider: MemberIndex, boards: &[&Board]) -> Option<Opinion> {
        let pairs = boards.iter().filter_map(|board| {
            let (_, decision, _) = board
                .decisions
                .iter()
                .find(|(member, ..)| *member == decider)?;
            Some((decision, group_of(board, self.member).first()?))
        });
        let (agree, all) = pairs.fold((0, 0), |(agree, all), (decision, answer)| {
            (
                agree + u32::from(decision.normal.is_some() && decision.normal == answer.normal),
                all + 1,
            )
        });
        Some((
            self.transcript.plan.members.stake(decider),
            (RIGHT * agree).checked_div(all)?,
        ))
    }
}

fn group_of(board: &Board, member: MemberIndex) -> &[Mark] {
    let group = board.groups.iter().find(|(other, _)| *other == member);
    group.map_or(&[], |(_, marks)| marks.as_slice())
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod winner_tests;
