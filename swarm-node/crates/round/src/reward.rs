//! The reward table: what a member earns in one round. Each row is a pure function of counts,
//! bounded by its maximum.
//!
//! | row | maximum | paid for |
//! |---|---|---|
//! | [`correctness`] | 1,000,000 | right completions among all that were due |
//! | [`format()`] | 100,000 | readable completions among all that were due |
//! | [`critique`] | 500,000 | endorsing a revealed right answer, or rightly none |
//! | [`decision`] | 1,000,000 | right final answers |
//! | [`foreseen`] | 250,000 | foreseeing the winner |
//! | [`equivocation`] | −1,000,000 | (taken) contradicting oneself under signature |
//!
//! What was due counts, not what was delivered, so silence never pays. Where the task has a
//! verifier, every row but `foreseen` depends on the member's own messages and on the truth alone:
//! other members can change none of it, except that "none is right" depends on whether anybody
//! revealed a right answer. `foreseen` depends on the winner. Hostile members change it when their
//! completions, weighed by [records](crate::vote_record), make up for the lead of the honest ones
//! to within a twentieth; every wrong answer lowers their weight on all other questions, and they
//! cannot lower an honest member's. With endorsements and decisions they only choose among answers
//! whose completions are close already.

/// A millionth of a full correctness reward.
pub type Points = i64;

/// Maximum of [`correctness`].
pub const CORRECTNESS: Points = 1_000_000;
/// Maximum of [`format()`].
pub const FORMAT: Points = 100_000;
/// Maximum of [`critique`].
pub const CRITIQUE: Points = 500_000;
/// Maximum of [`decision`].
pub const DECISION: Points = 1_000_000;
/// Maximum of [`foreseen`].
pub const FORESEEN: Points = 250_000;
/// The most that one member earns in one round.
pub const MAXIMUM: Points = CORRECTNESS + FORMAT + CRITIQUE + DECISION + FORESEEN;
/// Taken for one or more equivocations in a round.
pub const EQUIVOCATION: Points = -1_000_000;

/// `maximum · earned / due`, within `0..=maximum`; 0 if nothing was due.
#[expect(
    clippy::expect_used,
    reason = "at most `maximum`, which is of this type"
)]
fn fraction(maximum: Points, earned: u64, due: u64) -> Points {
    let share = i128::from(maximum) * i128::from(earned.min(due));
    match share.checked_div(due.into()) {
        Some(points) => Points::try_from(points).expect("invariant: a part is within the whole"),
        None => 0,
    }
}

/// Right completions: `thousandths` is the sum of the scores of all `due` completions in
/// thousandths.
///
/// Example: 8 completions were due, 6 were right: 1,000,000 · 6000 / 8000 = 750,000.
pub fn correctness(thousandths: u64, due: u64) -> Points {
    fraction(CORRECTNESS, thousandths, due.saturating_mul(1000))
}

/// Readable completions among those due.
///
/// Example: 8 completions were due, 4 can be read: 50,000.
pub fn format(readable: u64, due: u64) -> Points {
    fraction(FORMAT, readable, due)
}

/// Right critiques among those due; see
/// [`QuestionTally::critique_is_right`](crate::tally::QuestionTally::critique_is_right).
///
/// Example: 2 critiques were due; one endorsed a right answer, one said "none" although a right one
/// was there: 250,000.
pub fn critique(right: u64, due: u64) -> Points {
    fraction(CRITIQUE, right, due)
}

/// Right decisions: `thousandths` is the sum of the scores of all `due` decisions in thousandths.
///
/// Example: 2 decisions were due, one is right, one missing: 500,000.
pub fn decision(thousandths: u64, due: u64) -> Points {
    fraction(DECISION, thousandths, due.saturating_mul(1000))
}

/// Winners foreseen among the decisions due.
///
/// Example: 2 decisions were due and both foresaw the winner: 250,000.
pub fn foreseen(hits: u64, due: u64) -> Points {
    fraction(FORESEEN, hits, due)
}

/// Taken from a member with proven equivocations, once per round.
///
/// Example: three contradictions in a round cost 1,000,000, as one does.
pub fn equivocation(proofs: u32) -> Points {
    if proofs == 0 { 0 } else { EQUIVOCATION }
}

/// A member's rewards of one round, row by row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// See [`correctness`].
    pub correctness: Points,
    /// See [`format()`].
    pub format: Points,
    /// See [`critique`].
    pub critique: Points,
    /// See [`decision`].
    pub decision: Points,
    /// See [`foreseen`].
    pub foreseen: Points,
    /// See [`equivocation`].
    pub equivocation: Points,
}

impl Rows {
    /// The rows in the table's order.
    pub fn list(&self) -> [Points; 6] {
        [
            self.correctness,
            self.format,
            self.critique,
            self.decision,
            self.foreseen,
            self.equivocation,
        ]
    }

    /// The member's score of the round: the sum of the rows.
    pub fn total(&self) -> Points {
        self.list().into_iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_of_the_table() {
        assert_eq!(correctness(6_000, 8), 750_000);
        assert_eq!(format(4, 8), 50_000);
        assert_eq!(critique(1, 2), 250_000);
        assert_eq!(decision(1_000, 2), 500_000);
        assert_eq!(foreseen(2, 2), 250_000);
        assert_eq!([0, 1, 3].map(equivocation), [0, -1_000_000, -1_000_000]);
    }

    #[test]
    fn each_row_is_bounded_and_monotone() {
        type Row = (fn(u64, u64) -> Points, u64, Points);
        let rows: [Row; 5] = [
            (correctness, 1000, CORRECTNESS),
            (format, 1, FORMAT),
            (critique, 1, CRITIQUE),
            (decision, 1000, DECISION),
            (foreseen, 1, FORESEEN),
        ];
        for (row, unit, maximum) in rows {
            assert_eq!(row(5, 0), 0);
            assert_eq!(row(7 * unit, 7), maximum);
            assert_eq!(row(u64::MAX, 7), maximum);
            assert_eq!(row(0, u64::MAX), 0);
            let paid: Vec<_> = (0..=7).map(|n| row(n * unit, 7)).collect();
            assert!(paid.is_sorted_by(|a, b| a < b));
        }
    }

    #[test]
    fn a_contradiction_costs_what_right_answers_bring() {
        let rows = Rows {
            correctness: CORRECTNESS,
            equivocation: EQUIVOCATION,
            ..Rows::default()
        };
        assert_eq!(rows.total(), 0);
    }
}
