//! A chain and its journal: every change is computed, written down, and only then done.

use alloy::primitives::B256;
use thiserror::Error;

use super::chain::{Chain, Effect};
use super::clock::{Clock, TimeError};
use super::command::{Command, MAX_MINED};
use super::journal::{AppendError, Contents, Journal, Record};
use super::transaction::TransactionError;

/// A chain that can be changed.
#[derive(Debug)]
pub struct Ledger {
    chain: Chain,
    /// `None` for a chain that ends with the process.
    journal: Option<Journal>,
}

/// Why a change was not made; nothing has changed then.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ChangeError {
    /// The transaction was refused.
    #[error(transparent)]
    Transaction(#[from] TransactionError),
    /// The time was refused.
    #[error(transparent)]
    Time(#[from] TimeError),
    /// The journal cannot be written.
    #[error(transparent)]
    Journal(#[from] AppendError),
    /// More blocks at once than allowed.
    #[error("{0} blocks at once, at most {MAX_MINED}")]
    Blocks(u64),
}

/// A journal does not lead to the blocks that it names.
#[derive(Debug, Error)]
#[error("the journal's record at byte {offset} leads to another block ({reason}): it was written by another version")]
pub struct ReplayError {
    /// Where the record begins.
    pub offset: u64,
    /// What happened instead.
    pub reason: String,
}

impl Ledger {
    /// A chain without a journal.
    pub fn in_memory(chain: Chain) -> Self {
        Self { chain, journal: None }
    }

    /// A chain as its journal tells it.
    ///
    /// # Errors
    /// [`ReplayError`] if a record has another effect than it had.
    pub fn replay(journal: Journal, contents: &Contents) -> Result<Self, ReplayError> {
        let mut ledger = Self::in_memory(Chain::new(contents.identity));
        for (offset, record) in &contents.records {
            ledger.redo(record).map_err(|reason| ReplayError { offset: *offset, reason })?;
        }
        Ok(Self { journal: Some(journal), ..ledger })
    }

    fn redo(&mut self, record: &Record) -> Result<(), String> {
        let effect = self.chain.prepare(&record.command).map_err(|error| error.to_string())?;
        if effect.tip() != B256::from(record.tip) {
            return Err(format!("{} instead of {}", effect.tip(), B256::from(record.tip)));
        }
        self.chain.commit(effect);
        Ok(())
    }

    /// The chain, for reading.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// Mines a transaction; returns its hash.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub fn send(&mut self, raw: &[u8], wall: u64) -> Result<B256, ChangeError> {
        let timestamp = self.chain.next_timestamp(wall);
        let effect = self.apply(Command::Send { raw: raw.to_vec(), timestamp })?;
        Ok(effect.unwrap_or_default())
    }

    /// Mines empty blocks of the next block's time.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub fn mine(&mut self, count: u64, wall: u64) -> Result<(), ChangeError> {
        if count > MAX_MINED {
            return Err(ChangeError::Blocks(count));
        }
        let timestamp = self.chain.next_timestamp(wall);
        self.apply(Command::Mine { count, timestamp }).map(|_| ())
    }

    /// Changes the clock by a rule that is given the clock and the latest block's time.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub fn set_clock(&mut self, rule: impl FnOnce(Clock, u64) -> Result<Clock, TimeError>) -> Result<(), ChangeError> {
        let clock = rule(self.chain.clock(), self.chain.latest().timestamp())?;
        self.apply(Command::Clock(clock)).map(|_| ())
    }

    /// Does a command; returns the hash of the transaction that it mined.
    fn apply(&mut self, command: Command) -> Result<Option<B256>, ChangeError> {
        let effect = self.chain.prepare(&command)?;
        let hash = effect.transaction();
        self.record(command, &effect)?;
        self.chain.commit(effect);
        Ok(hash)
    }

    fn record(&mut self, command: Command, effect: &Effect) -> Result<(), AppendError> {
        match &mut self.journal {
            Some(journal) => journal.append(&Record::new(command, effect.tip())),
            None => Ok(()),
        }
    }
}
