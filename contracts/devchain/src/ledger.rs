//! A chain with its journal (a write-ahead log): every change is computed, written to the journal,
//! and only then committed.

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
#[error(
    "the journal's record at byte {offset} leads to another block ({reason}): it was written by \
     another version"
)]
pub struct ReplayError {
    /// Where the record begins.
    pub offset: u64,
    /// What happened instead.
    pub reason: String,
}

impl Ledger {
    /// A chain without a journal.
    pub fn in_memory(chain: Chain) -> Self {
        Self {
            chain,
            journal: None,
        }
    }

    /// A chain as its journal tells it.
    ///
    /// # Errors
    /// [`ReplayError`] if a record has another effect than it had.
    pub fn replay(journal: Journal, contents: &Contents) -> Result<Self, ReplayError> {
        let mut ledger = Self::in_memory(Chain::new(contents.identity));
        for (offset, record) in &contents.records {
            ledger.redo(record).map_err(|reason| ReplayError {
                offset: *offset,
                reason,
            })?;
        }
        Ok(Self {
            journal: Some(journal),
            ..ledger
        })
    }

    fn redo(&mut self, record: &Record) -> Result<(), String> {
        let effect = self
            .chain
            .prepare(&record.command)
            .map_err(|error| error.to_string())?;
        if effect.tip() != B256::from(record.tip) {
            return Err(format!(
                "{} instead of {}",
                effect.tip(),
                B256::from(record.tip)
            ));
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
    #[expect(clippy::expect_used, reason = "what is sent is mined or refused")]
    pub fn send(&mut self, raw: &[u8], wall: u64) -> Result<B256, ChangeError> {
        let timestamp = self.chain.next_timestamp(wall);
        let mined = self.apply(Command::Send {
            raw: raw.to_vec(),
            timestamp,
        })?;
        Ok(mined.expect("invariant: a transaction that is not refused is mined"))
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
    pub fn set_clock(
        &mut self,
        rule: impl FnOnce(Clock, u64) -> Result<Clock, TimeError>,
    ) -> Result<(), ChangeError> {
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

#[cfg(test)]
mod tests {
    use alloy::primitives::{Address, TxKind, U256};
    use proptest::prelude::*;
    use tempfile::TempDir;

    use super::*;
    use crate::accounts::{dev_accounts, genesis_balance};
    use crate::block::Block;
    use crate::chain::Identity;
    use crate::rules::BASE_FEE;
    use crate::tests::transfer;

    const START: u64 = 1_800_000_000;
    const NEW: Identity = Identity {
        chain_id: 31_338,
        genesis_time: START,
        clock: Clock::standing(START),
    };

    /// Something a client may do, valid or not.
    #[derive(Clone, Debug)]
    enum Step {
        Send {
            from: usize,
            to: usize,
            nonce: u64,
            wei: u64,
        },
        Mine(u64),
        Set(u64),
        Pin(u64),
        Advance(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..3_usize, 0..3_usize, 0..3_u64, any::<u64>())
                .prop_map(|(from, to, nonce, wei)| Step::Send { from, to, nonce, wei }),
            1 => (0..4_u64).prop_map(Step::Mine),
            1 => (START - 5..START + 99).prop_map(Step::Set),
            1 => (START - 5..START + 99).prop_map(Step::Pin),
            1 => (0..50_u64).prop_map(Step::Advance),
        ]
    }

    fn walk(ledger: &mut Ledger, step: &Step) -> Result<(), ChangeError> {
        match *step {
            Step::Send {
                from,
                to,
                nonce,
                wei,
            } => {
                let to = TxKind::Call(dev_accounts()[to].address);
                let raw = transfer(from, |tx| {
                    (tx.nonce, tx.to, tx.value) = (nonce, to, U256::from(wei))
                });
                ledger.send(&raw, START).map(|_| ())
            }
            Step::Mine(count) => ledger.mine(count, START),
            Step::Set(time) => ledger.set_clock(|clock, latest| clock.set(time, latest)),
            Step::Pin(time) => ledger.set_clock(|clock, latest| clock.pin(time, START, latest)),
            Step::Advance(seconds) => {
                ledger.set_clock(|clock, latest| clock.advance(seconds, START, latest))
            }
        }
    }

    fn open(folder: &TempDir) -> Ledger {
        let (journal, contents) = Journal::open(folder.path(), NEW).unwrap();
        Ledger::replay(journal, &contents).unwrap()
    }

    /// All that later answers depend on.
    fn facts(ledger: &Ledger) -> (B256, Clock, Vec<(U256, u64)>) {
        let chain = ledger.chain();
        let accounts = dev_accounts().into_iter().map(|account| account.address);
        let accounts = accounts
            .map(|address| (chain.balance(address), chain.nonce(address)))
            .collect();
        (chain.latest().hash(), chain.clock(), accounts)
    }

    fn burned(ledger: &Ledger) -> U256 {
        let blocks = (0..=ledger.chain().latest().number())
            .filter_map(|number| ledger.chain().block(number));
        blocks
            .map(|block| U256::from(block.header.gas_used) * U256::from(BASE_FEE))
            .sum()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_replay_leads_to_the_same_chain(steps in prop::collection::vec(step(), 0..25)) {
            let folder = TempDir::new().unwrap();
            let mut ledger = open(&folder);
            for step in &steps {
                let before = facts(&ledger);
                if walk(&mut ledger, step).is_err() {
                    prop_assert_eq!(before, facts(&ledger), "a refused step changed something");
                }
            }
            let lived = facts(&ledger);
            drop(ledger);
            prop_assert_eq!(lived, facts(&open(&folder)));
        }

        #[test]
        fn times_never_fall_and_no_ether_appears(steps in prop::collection::vec(step(), 0..40)) {
            let mut ledger = Ledger::in_memory(Chain::new(NEW));
            for step in &steps {
                let _ = walk(&mut ledger, step);
            }
            let chain = ledger.chain();
            let times = (0..=chain.latest().number()).filter_map(|number| chain.block(number)).map(Block::timestamp);
            prop_assert!(times.is_sorted());
            let held: U256 = facts(&ledger).2.iter().map(|(balance, _)| *balance).sum();
            let tips = ledger.chain().balance(Address::ZERO);
            prop_assert_eq!(held + tips + burned(&ledger), genesis_balance() * U256::from(10));
        }
    }
}
