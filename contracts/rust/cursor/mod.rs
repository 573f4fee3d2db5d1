//! Events of a contract by `eth_getLogs`, in order, through reorganisations and restarts.
//!
//! ```text
//!  poll ─▶ do remembered blocks still stand? ── no ─▶ go back to the newest that does (`rolled_back_to`)
//!             └─ yes ─▶ events of the next blocks, at most `span` ─▶ Batch
//! ```
//! * The newest [`WINDOW`] block hashes are remembered. A reorganisation below them starts again at
//!   the contract's first block and says so ([`Batch::restarted`]).
//! * Every event is delivered; after a rollback the events above it are void and come again if they
//!   still stand.
//! * A range that a node does not answer is halved, and grows again; nothing is skipped.
//!
//! A [`Cursor`] is a plain value: kept together with what the events led to, it goes on after a
//! restart.

mod window;

use alloy::primitives::Address;
use alloy::rpc::types::{Filter, Log};
use serde::{Deserialize, Serialize};

use self::window::Window;
use crate::client::{Block, Client, Logs, RpcError};

pub use window::WINDOW;

/// Most blocks that are asked for at once.
pub const MAX_SPAN: u64 = 4_096;

/// How far the events of a contract were read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    contract: Address,
    /// The contract's first block.
    first: u64,
    /// The next block to read.
    next: u64,
    /// Blocks to ask for at once.
    span: u64,
    window: Window,
}

/// What came since the last poll.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// Events of blocks above this one that were delivered before are void.
    pub rolled_back_to: Option<u64>,
    /// The reorganisation was deeper than the cursor remembers: all events are delivered again.
    pub restarted: bool,
    /// Events in the order of the chain.
    pub logs: Vec<Log>,
    /// Entries that the node gave and that are no events of the contract; they are left out.
    pub malformed: usize,
    /// The newest block.
    pub head: u64,
    /// The newest block's time, in seconds since 1970, as the server states it.
    pub time: u64,
    /// Blocks that are still to be read.
    pub behind: u64,
}

impl Cursor {
    /// All events of `contract`, which was created in the block `first`.
    pub fn new(contract: Address, first: u64) -> Self {
        Self {
            contract,
            first,
            next: first,
            span: MAX_SPAN,
            window: Window::default(),
        }
    }

    /// The next block to read.
    pub fn next_block(&self) -> u64 {
        self.next
    }

    /// Reads on, one range at most. After an error the cursor stands where it stood.
    ///
    /// # Errors
    /// [`RpcError`] if the chain does not answer; poll again later.
    pub async fn poll(&mut self, client: &Client) -> Result<Batch, RpcError> {
        let head = client.head().await?;
        let stands = self.standing(client, &head).await?;
        let mut ahead = Self {
            window: self.window.clone(),
            ..*self
        };
        let mut batch = ahead.go_back(stands);
        (batch.head, batch.time) = (head.number, head.timestamp);
        if ahead.next <= head.number {
            let (last, logs) = self.range(ahead.next, &head, client).await?;
            ahead.next = last.number.saturating_add(1);
            ahead.span = self.span.saturating_mul(2).min(MAX_SPAN);
            ahead.window.remember(last.number, last.hash);
            (batch.logs, batch.malformed) = (logs.logs, logs.malformed);
        }
        batch.behind = head.number.saturating_add(1).saturating_sub(ahead.next);
        *self = ahead;
        Ok(batch)
    }

    /// The newest remembered block that is still in the chain. Those above a head that is behind
    /// are not judged: the node may lag.
    async fn standing(&self, client: &Client, head: &Block) -> Result<Standing, RpcError> {
        let mut judged = false;
        for (number, hash) in self
            .window
            .newest_first()
            .filter(|(number, _)| *number <= head.number)
        {
            if client
                .block(number)
                .await?
                .is_some_and(|block| block.hash == hash)
            {
                return Ok(if judged {
                    Standing::UpTo(number)
                } else {
                    Standing::All
                });
            }
            judged = true;
        }
        Ok(if judged {
            Standing::Nothing
        } else {
            Standing::All
        })
    }

    fn go_back(&mut self, stands: Standing) -> Batch {
        let (to, restarted) = match stands {
            Standing::All => return Batch::default(),
            Standing::UpTo(number) => (number, false),
            Standing::Nothing => (self.first.saturating_sub(1), true),
        };
        self.next = if restarted {
            self.first
        } else {
            to.saturating_add(1)
        };
        self.window.forget_above(to);
        Batch {
            rolled_back_to: Some(to),
            restarted,
            ..Batch::default()
        }
    }

    /// The events of the next blocks, and the last of these. It is the same before and after the
    /// reading, so that its hash stands for all that was read.
    async fn range(
        &mut self,
        from: u64,
        head: &Block,
        client: &Client,
    ) -> Result<(Block, Logs), RpcError> {
        loop {
            let to = head.number.min(from.saturating_add(self.span.max(1) - 1));
            let last = existing(client, to).await?;
            let filter = Filter::new()
                .address(self.contract)
                .from_block(from)
                .to_block(to);
            match client.logs(&filter).await {
                Ok(logs) if existing(client, to).await?.hash == last.hash => {
                    return Ok((last, self.own(logs, from, to)));
                }
                Ok(_) => {
                    return Err(unavailable(
                        "the chain was reorganised while they were read",
                    ));
                }
                Err(error) if to == from || error.is_transient() => {
                    self.halve(from, to);
                    return Err(error);
                }
                Err(_) => self.halve(from, to),
            }
        }
    }

    fn halve(&mut self, from: u64, to: u64) {
        self.span = ((to - from).div_ceil(2)).max(1);
    }

    /// Keeps what was asked for, in the order of the chain.
    fn own(
        &self,
        Logs {
            mut logs,
            malformed,
        }: Logs,
        from: u64,
        to: u64,
    ) -> Logs {
        let answers = logs.len();
        logs.retain(|log| {
            let asked_for = log
                .block_number
                .is_some_and(|number| (from..=to).contains(&number));
            log.address() == self.contract && asked_for && log.log_index.is_some() && !log.removed
        });
        logs.sort_by_key(|log| (log.block_number, log.log_index));
        Logs {
            malformed: malformed + answers - logs.len(),
            logs,
        }
    }
}

async fn existing(client: &Client, number: u64) -> Result<Block, RpcError> {
    client
        .block(number)
        .await?
        .ok_or_else(|| unavailable("its chain became shorter while they were read"))
}

fn unavailable(cause: &str) -> RpcError {
    RpcError::Unavailable {
        what: "events",
        cause: cause.into(),
    }
}

/// How much of what is remembered is still in the chain.
enum Standing {
    All,
    UpTo(u64),
    Nothing,
}

#[cfg(test)]
mod tests;
