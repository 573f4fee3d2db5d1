//! The decided rounds of a demo: what members fetch from each other.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use swarm_settle::settlement::records::RoundRecord;

/// What was decided, by round. A round that is over for every peer and in which none agreed with
/// enough others is decided, too: nobody earned anything in it.
#[derive(Debug)]
pub(super) struct DecidedRounds {
    peers: usize,
    records: BTreeMap<u64, RoundRecord>,
    /// For how many peers a round is over.
    over: BTreeMap<u64, usize>,
}

impl DecidedRounds {
    /// None yet, of a swarm with so many peers.
    pub(super) fn new(peers: usize) -> Self {
        Self {
            peers,
            records: BTreeMap::new(),
            over: BTreeMap::new(),
        }
    }

    /// Keeps a decided round; the first record of a round stays.
    pub(super) fn keep(&mut self, record: RoundRecord) {
        self.records.entry(record.round()).or_insert(record);
    }

    /// A round is over for one more peer.
    pub(super) fn told(&mut self, round: u64) {
        let over = self.over.entry(round).or_default();
        *over += 1;
        if *over >= self.peers {
            self.keep(nothing(round));
        }
    }

    /// Decides all rounds below `end` that are not: nobody earned anything in them.
    pub(super) fn fill(&mut self, end: u64) {
        (0..end).for_each(|round| self.keep(nothing(round)));
    }

    /// The last round that is over for somebody.
    pub(super) fn last(&self) -> Option<u64> {
        let decided = self.records.last_key_value().map(|(round, _)| *round);
        let over = self.over.last_key_value().map(|(round, _)| *round);
        decided.max(over)
    }

    /// The decided rounds of a range.
    pub(super) fn range(&self, range: RangeInclusive<u64>) -> impl Iterator<Item = &RoundRecord> {
        let backwards = range.start() > range.end();
        let range = if backwards { 0..=0 } else { range };
        self.records
            .range(range)
            .filter(move |_| !backwards)
            .map(|(_, record)| record)
    }

    /// All decided rounds.
    pub(super) fn all(&self) -> impl Iterator<Item = &RoundRecord> {
        self.records.values()
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
    fn a_round_without_agreement_is_decided_when_it_is_over_for_all() {
        let mut rounds = DecidedRounds::new(2);
        rounds.keep(RoundRecord::of_points(0, [1; 32], []));
        [0, 0, 1].into_iter().for_each(|round| rounds.told(round));
        assert_eq!((rounds.all().count(), rounds.last()), (1, Some(1)));
        rounds.told(1);
        let minutes: Vec<_> = rounds.range(0..=9).map(RoundRecord::minutes).collect();
        assert_eq!(minutes, [[1; 32], [0; 32]]);
        rounds.fill(4);
        assert_eq!((rounds.all().count(), rounds.last()), (4, Some(3)));
        #[expect(clippy::reversed_empty_ranges, reason = "as a peer may ask")]
        let none = rounds.range(3..=1).count();
        assert_eq!(none, 0);
    }
}
