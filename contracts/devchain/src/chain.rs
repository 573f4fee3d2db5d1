//! The chain: blocks, the state after the latest one, and a clock.
//!
//! A change has two steps, so that it can be made durable between them: [`Chain::prepare`] computes
//! what a command does and changes nothing, [`Chain::commit`] takes the result in. Blocks and
//! transactions are kept for ever, state only at the latest block.

use std::collections::HashMap;

use alloy::consensus::Header;
use alloy::primitives::{Address, B256, Bytes, U256};
use revm::DatabaseCommit;
use revm::context::result::ExecutionResult;
use revm::database::{DbAccount, InMemoryDB};
use revm::state::{AccountInfo, EvmState};
use serde::{Deserialize, Serialize};

use super::accounts::{dev_accounts, genesis_balance};
use super::block::{Block, Mined, Outcome};
use super::clock::Clock;
use super::command::{Command, MAX_MINED};
use super::execute::{Execution, Mode, execute};
use super::transaction::{self, Signed, TransactionError};

/// Blocks whose hash the `BLOCKHASH` instruction finds.
const BLOCK_HASHES: u64 = 256;

/// Which chain it is, and how it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The chain's id (EIP-155).
    pub chain_id: u64,
    /// Time of the first block in Unix seconds.
    pub genesis_time: u64,
    /// The clock at the beginning.
    pub clock: Clock,
}

/// A dev chain in memory.
#[derive(Debug)]
pub struct Chain {
    id: u64,
    state: InMemoryDB,
    genesis: Block,
    /// Blocks after the first one.
    blocks: Vec<Block>,
    numbers: HashMap<B256, u64>,
    /// Number of the block that holds a transaction.
    transactions: HashMap<B256, u64>,
    clock: Clock,
}

/// What a command does, computed but not yet done.
#[derive(Debug)]
pub struct Effect {
    blocks: Vec<Block>,
    changes: EvmState,
    clock: Clock,
    tip: B256,
}

impl Effect {
    /// Hash of the latest block after it.
    pub fn tip(&self) -> B256 {
        self.tip
    }

    /// Hash of the transaction that it mines.
    pub fn transaction(&self) -> Option<B256> {
        self.blocks.last()?.mined.as_ref().map(Mined::hash)
    }
}

impl Chain {
    /// A chain with its first block, in which the dev accounts are funded.
    pub fn new(identity: Identity) -> Self {
        let mut chain = Self {
            id: identity.chain_id,
            state: InMemoryDB::default(),
            genesis: Block::genesis(identity.genesis_time),
            blocks: Vec::new(),
            numbers: HashMap::new(),
            transactions: HashMap::new(),
            clock: identity.clock,
        };
        for account in dev_accounts() {
            chain.state.insert_account_info(
                account.address,
                AccountInfo::from_balance(genesis_balance()),
            );
        }
        chain.index(0, chain.genesis.hash());
        chain
    }

    /// The chain's id (EIP-155).
    pub fn id(&self) -> u64 {
        self.id
    }

    /// What time it is.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// The newest block.
    pub fn latest(&self) -> &Block {
        self.blocks.last().unwrap_or(&self.genesis)
    }

    /// Header of the block that would be mined at wall time `wall`: what calls run in.
    pub fn pending(&self, wall: u64) -> Header {
        self.latest().child(self.next_timestamp(wall))
    }

    /// Time of the next block in Unix seconds, given that of the wall clock.
    pub fn next_timestamp(&self, wall: u64) -> u64 {
        self.clock.next_block(wall, self.latest().timestamp())
    }

    /// Computes what a command does.
    ///
    /// # Errors
    /// Why a transaction is refused; other commands are never.
    pub fn prepare(&self, command: &Command) -> Result<Effect, TransactionError> {
        match *command {
            Command::Send { ref raw, timestamp } => self.prepare_send(raw, timestamp),
            Command::Mine { count, timestamp } => {
                Ok(self.prepare_mine(count.min(MAX_MINED), timestamp))
            }
            Command::Clock(clock) => Ok(Effect {
                blocks: vec![],
                changes: EvmState::default(),
                clock,
                tip: self.latest().hash(),
            }),
        }
    }

    fn prepare_send(&self, raw: &[u8], timestamp: u64) -> Result<Effect, TransactionError> {
        let transaction = transaction::decode(raw, self.id)?;
        if self.transactions.contains_key(transaction.tx_hash()) {
            return Err(TransactionError::Known);
        }
        let (outcome, changes) = self.run(&transaction, timestamp)?;
        let block = Block::after(
            self.latest(),
            timestamp,
            Some(Mined {
                transaction,
                outcome,
            }),
        );
        Ok(Effect {
            tip: block.hash(),
            blocks: vec![block],
            changes,
            clock: self.clock.mined(),
        })
    }

    fn run(
        &self,
        transaction: &Signed,
        timestamp: u64,
    ) -> Result<(Outcome, EvmState), TransactionError> {
        let tx = transaction::environment(transaction);
        let header = self.latest().child(timestamp);
        execute(&self.state, &header, self.id, tx.clone(), Mode::Transaction)
            .map(|Execution { result, changes }| (outcome(result), changes))
            .map_err(|error| transaction::refusal(error, &tx))
    }

    fn prepare_mine(&self, count: u64, timestamp: u64) -> Effect {
        let mut blocks: Vec<Block> = Vec::new();
        for _ in 0..count {
            let parent = blocks.last().unwrap_or(self.latest());
            blocks.push(Block::after(parent, timestamp, None));
        }
        let tip = blocks.last().unwrap_or(self.latest()).hash();
        Effect {
            blocks,
            changes: EvmState::default(),
            clock: self.clock.mined(),
            tip,
        }
    }

    /// Takes in what [`Self::prepare`] computed on this very state.
    pub fn commit(&mut self, effect: Effect) {
        self.state.commit(effect.changes);
        self.clock = effect.clock;
        for block in effect.blocks {
            self.push(block);
        }
    }

    fn push(&mut self, block: Block) {
        self.index(block.number(), block.hash());
        if let Some(mined) = &block.mined {
            self.transactions.insert(mined.hash(), block.number());
        }
        self.blocks.push(block);
    }

    /// Makes a block findable by its hash, and its hash by `BLOCKHASH`.
    fn index(&mut self, number: u64, hash: B256) {
        self.numbers.insert(hash, number);
        let hashes = &mut self.state.cache.block_hashes;
        hashes.insert(U256::from(number), hash);
        if let Some(old) = number.checked_sub(BLOCK_HASHES) {
            hashes.remove(&U256::from(old));
        }
    }

    /// A block by its number.
    pub fn block(&self, number: u64) -> Option<&Block> {
        match number.checked_sub(1) {
            None => Some(&self.genesis),
            Some(index) => self.blocks.get(usize::try_from(index).ok()?),
        }
    }

    /// A block by its hash.
    pub fn block_by_hash(&self, hash: &B256) -> Option<&Block> {
        self.block(*self.numbers.get(hash)?)
    }

    /// The block that holds a transaction, and the transaction.
    pub fn transaction(&self, hash: &B256) -> Option<(&Block, &Mined)> {
        let block = self.block(*self.transactions.get(hash)?)?;
        Some((block, block.mined.as_ref()?))
    }

    /// State after the latest block, for reading.
    pub fn state(&self) -> &InMemoryDB {
        &self.state
    }

    /// An account that was ever touched; all others are empty.
    fn account(&self, address: Address) -> Option<&DbAccount> {
        self.state.cache.accounts.get(&address)
    }

    /// Transactions sent by an account, or contracts created by a contract.
    pub fn nonce(&self, address: Address) -> u64 {
        self.account(address)
            .map_or(0, |account| account.info.nonce)
    }

    /// Wei of an account.
    pub fn balance(&self, address: Address) -> U256 {
        self.account(address)
            .map_or(U256::ZERO, |account| account.info.balance)
    }

    /// Code of a contract, empty for other accounts.
    #[expect(clippy::expect_used, reason = "state is never without its code")]
    pub fn code(&self, address: Address) -> Bytes {
        let Some(account) = self.account(address) else {
            return Bytes::new();
        };
        self.state
            .cache
            .contracts
            .get(&account.info.code_hash)
            .expect("invariant: code is kept under the hash that an account has")
            .original_bytes()
    }

    /// A word of a contract's storage.
    pub fn storage(&self, address: Address, slot: U256) -> B256 {
        let word = self
            .account(address)
            .and_then(|account| account.storage.get(&slot));
        word.copied().unwrap_or_default().into()
    }
}

fn outcome(result: ExecutionResult) -> Outcome {
    let success = result.is_success();
    let (gas_used, created) = (result.tx_gas_used(), result.created_address());
    let logs = if success {
        result.logs().to_vec()
    } else {
        vec![]
    };
    Outcome {
        success,
        gas_used,
        logs,
        created,
        // A halt returns nothing.
        output: result.into_output().unwrap_or_default(),
    }
}
