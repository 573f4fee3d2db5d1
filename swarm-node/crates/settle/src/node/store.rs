//! What a node keeps on disk, as records of its store.

use std::sync::Arc;

use contracts::cursor::Cursor;
use contracts::earnings::{self, EarningsTable};
use contracts::outcome::{Outcome, VOTE_BYTES, Vote};
use serde::{Deserialize, Serialize};
use swarm_store::{Chain, Numbered, Pieces, Scan, Store, StoreError, VotePlace, Votes};

use crate::settlement::attestation::Attestation;
use crate::settlement::facts::Facts;
use crate::settlement::records::{RoundRecord, SumRecord};
use crate::settlement::schedule::{EpochNumber, Schedule};

/// The largest table fits.
const _: () = assert!(earnings::MAX_BYTES <= swarm_store::MAX_LENGTH);

/// The tables of a node's store in which settlement keeps what it must not forget.
#[derive(Clone, Debug)]
pub struct SettleStore {
    rounds: Numbered<RoundRecord>,
    /// Tables by their last epochs, as [`EarningsTable::to_bytes`] writes them.
    tables: Pieces,
    /// The sum of epochs, under number 0.
    sums: Pieces,
    votes: Votes<VoteRecord>,
    position: swarm_store::Cursors<Position>,
}

/// How far the contract's events were read, and what they led to: one value, so that neither is
/// ahead of the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The events that were read.
    pub cursor: Cursor,
    /// What they say.
    pub facts: Facts,
    /// The greatest block time that was seen, in seconds.
    pub latest: u64,
}

/// A vote as it lies in the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct VoteRecord {
    outcome: Outcome,
    vote: Vec<u8>,
}

impl VoteRecord {
    fn of(attestation: &Attestation) -> (VotePlace, Self) {
        let Attestation { outcome, vote } = attestation;
        let place = VotePlace {
            epoch: outcome.epoch,
            since: outcome.since,
            owner: vote.owner.into(),
        };
        let record = Self {
            outcome: *outcome,
            vote: vote.to_bytes().to_vec(),
        };
        (place, record)
    }

    fn attestation(&self) -> Option<Attestation> {
        let bytes: &[u8; VOTE_BYTES] = self.vote.as_slice().try_into().ok()?;
        Some(Attestation {
            outcome: self.outcome,
            vote: Vote::from_bytes(bytes),
        })
    }
}

/// What was kept before a restart.
#[derive(Debug, Default)]
pub(super) struct Kept {
    pub(super) position: Option<Position>,
    pub(super) sum: Option<SumRecord>,
    pub(super) rounds: Vec<RoundRecord>,
    pub(super) tables: Vec<(EpochNumber, Arc<EarningsTable>)>,
    pub(super) votes: Vec<Attestation>,
    /// What of it cannot be read.
    pub(super) damaged: Vec<String>,
}

impl Kept {
    /// The records of a scan that can be read; the others are noted as damaged.
    fn readable<V>(&mut self, scan: Result<Scan<V>, StoreError>) -> Vec<V> {
        match scan {
            Ok(Scan { records, damaged }) => {
                let damaged = damaged.into_iter().map(|record| record.to_string());
                self.damaged.extend(damaged);
                records
            }
            Err(error) => {
                self.damaged.push(error.to_string());
                Vec::new()
            }
        }
    }
}

impl SettleStore {
    /// The tables of a contract in a store.
    pub fn new(store: &Store, chain: Chain, contract: [u8; 20]) -> Self {
        Self {
            rounds: store.rounds(chain, contract),
            tables: store.tables(chain, contract),
            sums: store.sums(chain, contract),
            votes: store.votes(chain, contract),
            position: store.cursors(chain, contract),
        }
    }

    /// The rounds that are kept; damaged ones are left out, and fetched again.
    ///
    /// # Errors
    /// The store fails.
    pub fn rounds(&self) -> Result<Vec<RoundRecord>, StoreError> {
        Ok(self.rounds.all()?.records)
    }

    pub(super) fn restore(&self) -> Kept {
        let mut kept = Kept::default();
        match self.position.get() {
            Ok(position) => kept.position = position,
            Err(error) => kept
                .damaged
                .push(format!("{error}; events are read from the first again")),
        }
        kept.rounds = kept.readable(self.rounds.all());
        for (_, bytes) in kept.readable(self.sums.all()) {
            match SumRecord::from_bytes(&bytes) {
                Some(sum) => kept.sum = Some(sum),
                None => kept
                    .damaged
                    .push("the sum of epochs: its bytes are none".into()),
            }
        }
        for (epoch, bytes) in kept.readable(self.tables.all()) {
            match EarningsTable::from_bytes(&bytes) {
                Ok(table) => kept.tables.push((epoch, Arc::new(table))),
                Err(error) => kept
                    .damaged
                    .push(format!("the table of epoch {epoch}: {error}")),
            }
        }
        let votes = kept.readable(self.votes.all());
        kept.votes = votes.iter().filter_map(VoteRecord::attestation).collect();
        kept
    }

    pub(super) fn put_round(&self, record: &RoundRecord) -> Result<(), StoreError> {
        self.rounds.put(record.round(), record)
    }

    pub(super) fn put_table(
        &self,
        epoch: EpochNumber,
        table: &EarningsTable,
    ) -> Result<(), StoreError> {
        self.tables.put(epoch, &table.to_bytes())
    }

    /// Keeps a sum, then forgets the rounds of its epochs.
    pub(super) fn put_sum(&self, sum: &SumRecord, schedule: &Schedule) -> Result<(), StoreError> {
        self.sums.put(0, &sum.to_bytes())?;
        let first = schedule.first_round(sum.through.saturating_add(1));
        self.rounds.forget_before(first)
    }

    pub(super) fn put_votes(&self, votes: &[Attestation]) -> Result<(), StoreError> {
        let records: Vec<_> = votes.iter().map(VoteRecord::of).collect();
        self.votes.put(&records)
    }

    pub(super) fn put_position(&self, position: &Position) -> Result<(), StoreError> {
        self.position.put(position)
    }

    /// Forgets what is below an epoch; the table just before it stays, for the next outcome builds
    /// on it.
    pub(super) fn forget_before(
        &self,
        epoch: EpochNumber,
        schedule: &Schedule,
    ) -> Result<(), StoreError> {
        self.rounds.forget_before(schedule.first_round(epoch))?;
        self.votes.forget_before(epoch)?;
        self.tables.forget_before(epoch.saturating_sub(1))
    }
}
