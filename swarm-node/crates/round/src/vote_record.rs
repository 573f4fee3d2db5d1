//! What votes weigh: how often their source was right on the round's other verified questions.
//!
//! A *source* of votes is a member in a stage: its completions, its endorsements or its decisions.
//! On a verified question everybody knows which votes were right, so a round itself shows what each
//! source is worth. On a question it weighs
//!
//! ```text
//! weight = (right + 1) / (due + 2)        right among the votes due on the round's other verified questions
//! ```
//! which is Laplace's rule of succession: the chance that the next vote is right. Without evidence
//! it is a half for all.
//!
//! * The question itself is left out, so no vote is weighed by the truth that it is asked for.
//!   Measured on verified questions, the rule is therefore as good as on those without a verifier,
//!   where all verified ones are evidence.
//! * What was due counts, not what was delivered: nobody gains weight by being silent where it is
//!   unsure.
//! * Only this round counts. A member that joins late, or that missed a round, weighs its votes
//!   like everybody else.
//! * No record, however long, buys more than twice the weight of a newcomer, while one that is
//!   always wrong sinks to nothing. The odds right : wrong would be sharper; in rounds of few
//!   questions their noise costs more than they bring.

use std::collections::BTreeMap;

use crate::membership::MemberIndex;
use crate::payload::Stage;

/// A whole vote, in thousandths.
pub const VOTE: u64 = 1000;
/// The weight of a vote that is certainly right; no record reaches it.
pub const CERTAIN: u64 = 1_000_000;
/// The weight of a source without any record, or one that was right as often as wrong.
pub const EVEN: u64 = CERTAIN / 2;

/// The votes that a source owed on verified questions, in thousandths of a vote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VoteRecord {
    right: u64,
    due: u64,
}

impl VoteRecord {
    /// A record of `right` among `due` votes, both in thousandths.
    pub fn new(right: u64, due: u64) -> Self {
        Self {
            right: right.min(due),
            due,
        }
    }

    /// The weight of the source's votes, below [`CERTAIN`].
    ///
    /// Example: 7 of 8 votes were right: (7 + 1) / (8 + 2) = 0.8 of [`CERTAIN`].
    pub fn weight(self) -> u64 {
        let prior = u128::from(VOTE);
        let weight = u128::from(CERTAIN) * (u128::from(self.right) + prior)
            / (u128::from(self.due) + 2 * prior);
        weight as u64
    }

    fn plus(self, other: Self) -> Self {
        Self {
            right: self.right + other.right,
            due: self.due + other.due,
        }
    }

    /// The record less one of its parts.
    #[expect(clippy::expect_used, reason = "a sum is no less than its terms")]
    fn without(self, part: Self) -> Self {
        let right = self.right.checked_sub(part.right);
        let due = self.due.checked_sub(part.due);
        Self {
            right: right.expect("invariant: a part has no more right votes than the whole"),
            due: due.expect("invariant: a part has no more votes due than the whole"),
        }
    }
}

/// The records of all sources.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VoteRecords(BTreeMap<(Stage, MemberIndex), VoteRecord>);

impl VoteRecords {
    /// One vote due from each of these sources, none of them right yet.
    pub fn due(sources: impl Iterator<Item = (Stage, MemberIndex)>) -> Self {
        Self(
            sources
                .map(|source| (source, VoteRecord::new(0, VOTE)))
                .collect(),
        )
    }

    /// Counts `right` thousandths of a source's vote as right, if the vote was due.
    pub fn credit(&mut self, stage: Stage, member: MemberIndex, right: u64) {
        if let Some(record) = self.0.get_mut(&(stage, member)) {
            *record = VoteRecord::new(right, record.due);
        }
    }

    /// The records of several questions together.
    pub fn sum(questions: impl Iterator<Item = Self>) -> Self {
        let mut all = Self::default();
        for (source, record) in questions.flat_map(|question| question.0) {
            let sum = all.0.entry(source).or_default();
            *sum = sum.plus(record);
        }
        all
    }

    /// The weight of a source's votes by these records less those of `question`.
    pub fn weight_without(&self, question: &Self, stage: Stage, member: MemberIndex) -> u64 {
        self.get(stage, member)
            .without(question.get(stage, member))
            .weight()
    }

    /// A source's record; an empty one for a source of which nothing was due.
    fn get(&self, stage: Stage, member: MemberIndex) -> VoteRecord {
        self.0.get(&(stage, member)).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn weight(right: u64, due: u64) -> u64 {
        VoteRecord::new(right * 1000, due * 1000).weight()
    }

    #[test]
    fn weights_follow_the_rule_of_succession() {
        assert_eq!(weight(0, 0), EVEN);
        assert_eq!(weight(7, 8), CERTAIN * 8 / 10);
        assert_eq!((weight(1, 1), weight(0, 1)), (CERTAIN * 2 / 3, CERTAIN / 3));
        assert_eq!(weight(5, 10), EVEN);
        // One and a half questions right, as groups of completions may be.
        assert_eq!(VoteRecord::new(1_500, 2_000).weight(), CERTAIN * 5 / 8);
    }

    #[test]
    fn the_longest_records_stay_within_bounds() {
        assert_eq!(
            (weight(1023, 1023), weight(0, 1023)),
            (CERTAIN * 1024 / 1025, CERTAIN / 1025)
        );
        assert!(VoteRecord::new(u64::MAX, u64::MAX).weight() <= CERTAIN);
        assert_eq!(VoteRecord::new(u64::MAX, 0).weight(), EVEN);
    }

    proptest! {
        #[test]
        fn a_right_vote_never_lowers_a_weight(right in 0u64..2_000, wrong in 0u64..2_000) {
            let before = weight(right, right + wrong);
            prop_assert!((1..CERTAIN).contains(&before));
            prop_assert!(weight(right + 1, right + wrong + 1) >= before);
            prop_assert!(weight(right, right + wrong + 1) <= before);
        }

        #[test]
        fn what_was_added_can_be_taken_away(a in (0u64..5_000, 0u64..5_000), b in (0u64..5_000, 0u64..5_000)) {
            let [a, b] = [a, b].map(|(right, due)| VoteRecord::new(right, due));
            prop_assert_eq!(a.plus(b).without(b), a);
        }
    }
}
