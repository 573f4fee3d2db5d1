//! What a simulated peer has on its disk: its journal, as bytes.

use std::collections::VecDeque;

use crate::clock::Round;
use crate::journal::Record;

/// The records of a peer by segment, in the batches in which they were appended: a store writes a
/// batch whole or not at all. Those that were written since the last signature may be lost with the
/// process.
#[derive(Default)]
pub(super) struct Journal {
    batches: VecDeque<(Round, Vec<Vec<u8>>)>,
    /// How many of them are on disk.
    durable: usize,
}

impl Journal {
    /// Appends records.
    #[expect(clippy::expect_used, reason = "simulated work is small")]
    pub fn append(&mut self, segment: Round, records: &[Record]) {
        let bytes = |record: &Record| record.to_bytes().expect("invariant: a record has bytes");
        if !records.is_empty() {
            let batch = records.iter().map(bytes).collect();
            self.batches.push_back((segment, batch));
        }
    }

    /// Brings to disk what is written, as a commit of the sign-once table does.
    pub fn sync(&mut self) {
        self.durable = self.batches.len();
    }

    /// Drops the segments below `round`, after the table has risen to it.
    pub fn forget_before(&mut self, round: Round) {
        self.sync();
        while self.batches.front().is_some_and(|(at, _)| *at < round) {
            self.batches.pop_front();
            self.durable -= 1;
        }
    }

    /// Loses what is not on disk, less this many thirds of it.
    pub fn crash(&mut self, kept_thirds: usize) {
        let unsaved = self.batches.len() - self.durable;
        self.batches
            .truncate(self.durable + unsaved * kept_thirds / 3);
        self.sync();
    }

    /// Begins anew.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// What is written.
    #[expect(clippy::expect_used, reason = "the bytes come from a record")]
    pub fn records(&self) -> Vec<Record> {
        let read =
            |bytes: &Vec<u8>| Record::from_bytes(bytes).expect("invariant: a record can be read");
        let records = self.batches.iter().flat_map(|(_, batch)| batch);
        records.map(read).collect()
    }
}
