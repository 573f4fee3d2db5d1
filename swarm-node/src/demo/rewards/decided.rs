//! The decided rounds of a demo: what members fetch from each other.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use swarm_settle::settlement::records::RoundRecord;

/// What was decided, by round.
#[derive(Debug, Default)]
pub(super) struct DecidedRounds(BTreeMap<u64, RoundRecord>);

impl DecidedRounds {
    /// Keeps a decided round; the first record of a round stays.
    pub(super) fn keep(&mut self, record: RoundRecord) {
        self.0.entry(record.round()).or_insert(record);
    }

    /// Decides all rounds below `end` that are not: nobody earned anything in them.
    pub(super) fn fill(&mut self, end: u64) {
        (0..end).for_each(|round| self.keep(nothing(round)));
    }

    /// The last decided round.
    pub(super) fn last(&self) -> Option<u64> {
        self.0.last_key_value().map(|(round, _)| *round)
    }

    /// The decided rounds of a range.
    pub(super) fn range(&self, range: RangeInclusive<u64>) -> impl Iterator<Item = &RoundRecord> {
        let backwards = range.start() > range.end();
        let range = if backwards { 0..=0 } else { range };
        self.0
            .range(range)
            .filter(move |_| !backwards)
            .map(|(_, record)| record)
    }

    /// All decided rounds.
    pub(super) fn all(&self) -> impl Iterator<Item = &RoundRecord> {
        self.0.values()
    }
}

/// A round in which nobody earned anything.
fn nothing(round: u64) -> RoundRecord {
    RoundRecord::of_points(round, [0; 32], [])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_record_of_a_round_stays_and_gaps_are_filled() {
        let mut rounds = DecidedRounds::default();
        rounds.keep(RoundRecord::of_points(1, [1; 32], []));
        rounds.keep(RoundRecord::of_points(1, [2; 32], []));
        assert_eq!((rounds.all().count(), rounds.last()), (1, Some(1)));
        rounds.fill(3);
        let minutes: Vec<_> = rounds.range(0..=9).map(RoundRecord::minutes).collect();
        assert_eq!(minutes, [[0; 32], [1; 32], [0; 32]]);
        #[expect(clippy::reversed_empty_ranges, reason = "as a peer may ask")]
        let none = rounds.range(3..=1).count();
        assert_eq!(none, 0);
    }
}
