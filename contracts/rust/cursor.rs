//! The events of one contract, by `getLogs`, through reorganisations.
//!
//! ```text
//! seen:  (block, hash) of the ends of the ranges read, newest last
//! poll:  newest seen still on the chain? ── no ──▶ go back to one that is ──▶ Batch::rolled_back_to
//!            └─ yes ─▶ read next..=head, a range at a time ──▶ Batch::logs
//! ```
//! Events of blocks above `rolled_back_to` are void and come again if the new chain has them, so consumers must forget
//! them. Bounds: [`WINDOW`] ends are remembered; a reorganisation that is deeper starts again at the contract's first
//! block. A range that the endpoint refuses is halved, and grows again. A malformed log is skipped alone and counted.

use std::collections::VecDeque;

use alloy::primitives::{Address, B256};
use alloy::rpc::types::{Filter, Log};
use serde::{Deserialize, Serialize};

use crate::client::{Block, Client, RpcError};

/// Ends of ranges that are remembered.
pub const WINDOW: usize = 64;
/// Most blocks of one question.
pub const MAX_RANGE: u64 = 2_000;

/// What one look at the chain showed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// Blocks above this one have left the chain, and events in them are void.
    pub rolled_back_to: Option<u64>,
    /// New events, in their order.
    pub logs: Vec<Log>,
    /// Up to which block events have been read.
    pub read_to: u64,
    /// The newest block.
    pub head: u64,
}

/// How far the events of a contract have been read. It can be stored and goes on where it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    contract: Address,
    first: u64,
    next: u64,
    seen: VecDeque<(u64, B256)>,
    range: u64,
    skipped: u64,
}

/// What a cursor asks of a chain.
trait Source {
    async fn head(&self) -> Result<Block, RpcError>;
    async fn block(&self, number: u64) -> Result<Option<Block>, RpcError>;
    async fn logs(&self, contract: Address, from: u64, to: u64) -> Result<Vec<Log>, RpcError>;
}

impl Source for Client {
    async fn head(&self) -> Result<Block, RpcError> {
        Client::head(self).await
    }

    async fn block(&self, number: u64) -> Result<Option<Block>, RpcError> {
        Client::block(self, number).await
    }

    async fn logs(&self, contract: Address, from: u64, to: u64) -> Result<Vec<Log>, RpcError> {
        Client::logs(self, &Filter::new().address(contract).from_block(from).to_block(to)).await
    }
}

impl Cursor {
    /// Begins with the events of block `first`, the one in which the contract was created or a later one.
    pub fn new(contract: Address, first: u64) -> Self {
        Self { contract, first, next: first, seen: VecDeque::new(), range: MAX_RANGE, skipped: 0 }
    }

    /// Malformed logs that were skipped.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Looks at the chain once: at most one range of events.
    ///
    /// # Errors
    /// [`RpcError`] if the chain does not answer. Nothing is lost: the next look begins at the same place, except that a
    /// rollback that was found is reported only once, so errors after it are kept for the next look.
    pub async fn poll(&mut self, client: &Client) -> Result<Batch, RpcError> {
        self.look(client).await
    }

    async fn look(&mut self, chain: &impl Source) -> Result<Batch, RpcError> {
        let head = chain.head().await?;
        if let Some(block) = self.roll_back(chain).await? {
            return Ok(Batch { rolled_back_to: Some(block), read_to: block, head: head.number, logs: Vec::new() });
        }
        let logs = if self.next > head.number { Vec::new() } else { self.read(chain, &head).await? };
        Ok(Batch { rolled_back_to: None, logs, read_to: self.next.saturating_sub(1), head: head.number })
    }

    /// Goes back to the newest end that is still on the chain; `None` if that is the newest one.
    async fn roll_back(&mut self, chain: &impl Source) -> Result<Option<u64>, RpcError> {
        let mut kept = self.seen.len();
        while let Some((number, hash)) = kept.checked_sub(1).and_then(|last| self.seen.get(last)) {
            if chain.block(*number).await?.is_some_and(|block| block.hash == *hash) {
                break;
            }
            kept -= 1;
        }
        if kept == self.seen.len() {
            return Ok(None);
        }
        self.seen.truncate(kept);
        self.next = self.seen.back().map_or(self.first, |(number, _)| number.saturating_add(1));
        Ok(Some(self.next.saturating_sub(1)))
    }

    async fn read(&mut self, chain: &impl Source, head: &Block) -> Result<Vec<Log>, RpcError> {
        let last = self.next.saturating_add(self.range - 1).min(head.number);
        // The end's hash is read before its events: a reorganisation between the two is found at the next look.
        let end = if last == head.number { Some(*head) } else { chain.block(last).await? };
        let Some(end) = end else { return Ok(Vec::new()) };
        let logs = match chain.logs(self.contract, self.next, last).await {
            Err(error @ RpcError::Refused { .. }) if self.range == 1 => return Err(error),
            Err(RpcError::Refused { .. }) => {
                self.range = (self.range / 2).max(1);
                return Ok(Vec::new());
            }
            logs => logs?,
        };
        self.range = self.range.saturating_mul(2).min(MAX_RANGE);
        self.next = last.saturating_add(1);
        self.remember(last, end.hash);
        Ok(self.sound(logs))
    }

    fn remember(&mut self, number: u64, hash: B256) {
        if self.seen.len() >= WINDOW {
            self.seen.pop_front();
        }
        self.seen.push_back((number, hash));
    }

    /// Logs of the contract in a block.
    fn sound(&mut self, logs: Vec<Log>) -> Vec<Log> {
        let all = logs.len();
        let is_sound = |log: &Log| log.address() == self.contract && log.block_number.is_some() && !log.removed;
        let sound: Vec<Log> = logs.into_iter().filter(is_sound).collect();
        self.skipped += (all - sound.len()) as u64;
        sound
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use alloy::primitives::{LogData, U256, keccak256};
    use proptest::prelude::*;

    use super::*;

    /// A chain of numbers: one event in every block, which carries the block's number and fork.
    #[derive(Default)]
    struct Toy {
        /// Fork in which each block was mined.
        blocks: RefCell<Vec<u8>>,
        /// Longest range that is answered.
        longest: u64,
    }

    const CONTRACT: Address = Address::repeat_byte(1);

    fn header(number: u64, forks: &[u8]) -> Block {
        Block { number, hash: keccak256(&forks[..=number as usize]), timestamp: number, base_fee: 0 }
    }

    fn log(number: u64, fork: u8) -> Log {
        let data = LogData::new_unchecked(Vec::new(), U256::from(fork).to_be_bytes_vec().into());
        let inner = alloy::primitives::Log { address: CONTRACT, data };
        Log { inner, block_number: Some(number), ..Log::default() }
    }

    impl Source for Toy {
        async fn head(&self) -> Result<Block, RpcError> {
            let blocks = self.blocks.borrow();
            Ok(header(blocks.len() as u64 - 1, &blocks))
        }

        async fn block(&self, number: u64) -> Result<Option<Block>, RpcError> {
            let blocks = self.blocks.borrow();
            Ok((number < blocks.len() as u64).then(|| header(number, &blocks)))
        }

        async fn logs(&self, _contract: Address, from: u64, to: u64) -> Result<Vec<Log>, RpcError> {
            if to - from >= self.longest {
                return Err(RpcError::Refused { what: "logs", code: -32005, message: "range too large".into() });
            }
            let blocks = self.blocks.borrow();
            Ok((from..=to).filter_map(|number| Some(log(number, *blocks.get(number as usize)?))).collect())
        }
    }

    fn wait<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    /// Applies batches as a consumer does.
    fn follow(cursor: &mut Cursor, chain: &Toy, known: &mut Vec<(u64, u8)>) {
        for _ in 0..40 {
            let batch = wait(cursor.look(chain)).unwrap();
            if let Some(block) = batch.rolled_back_to {
                known.retain(|(number, _)| *number <= block);
            }
            known.extend(batch.logs.iter().map(|log| (log.block_number.unwrap(), log.data().data[31])));
        }
    }

    fn truth(chain: &Toy) -> Vec<(u64, u8)> {
        (0..).zip(chain.blocks.borrow().iter().copied()).collect()
    }

    proptest! {
        /// Whatever happens to the chain, in the end the consumer knows its events: each once, none of another fork.
        #[test]
        fn events_are_those_of_the_chain(changes in prop::collection::vec((0usize..90, 1usize..40), 1..12), longest in 1u64..50) {
            let chain = Toy { blocks: RefCell::new(vec![0]), longest };
            let (mut cursor, mut known) = (Cursor::new(CONTRACT, 0), Vec::new());
            for (fork, (gone, new)) in (1u8..).zip(changes) {
                {
                    let mut blocks = chain.blocks.borrow_mut();
                    let kept = blocks.len().saturating_sub(gone).max(1);
                    blocks.truncate(kept);
                    blocks.extend(std::iter::repeat_n(fork, new));
                }
                follow(&mut cursor, &chain, &mut known);
                prop_assert_eq!(&known, &truth(&chain));
            }
        }
    }

    #[test]
    fn a_stored_cursor_goes_on() {
        let chain = Toy { blocks: RefCell::new(vec![0; 10]), longest: 100 };
        let (mut cursor, mut known) = (Cursor::new(CONTRACT, 3), Vec::new());
        follow(&mut cursor, &chain, &mut known);
        let mut stored: Cursor = serde_json::from_str(&serde_json::to_string(&cursor).unwrap()).unwrap();
        assert_eq!(stored, cursor);
        chain.blocks.borrow_mut().push(0);
        follow(&mut stored, &chain, &mut known);
        assert_eq!(known, truth(&chain)[3..]);
    }

    #[test]
    fn foreign_logs_are_skipped_alone() {
        let mut cursor = Cursor::new(CONTRACT, 0);
        let mut foreign = log(4, 1);
        foreign.inner.address = Address::ZERO;
        let pending = Log { block_number: None, ..log(4, 1) };
        let removed = Log { removed: true, ..log(4, 1) };
        assert_eq!(cursor.sound(vec![foreign, log(4, 1), pending, removed]).len(), 1);
        assert_eq!(cursor.skipped(), 3);
    }
}
