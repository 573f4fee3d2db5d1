//! The games of a contract, read from its events.

use contracts::Address;
use contracts::client::{Client, RpcError};
use contracts::cursor::Cursor;
use contracts::game::GameEvent;

use crate::docket::Docket;

/// The games of a contract, as far as they were read.
pub struct Games {
    client: Client,
    cursor: Cursor,
    docket: Docket,
}

impl Games {
    /// The games of a contract that was created in the block `first`.
    pub fn new(contract: Address, first: u64, client: Client) -> Self {
        Self {
            client,
            cursor: Cursor::new(contract, first),
            docket: Docket::new(),
        }
    }

    /// The games as they were read last.
    pub fn docket(&self) -> &Docket {
        &self.docket
    }

    /// Reads what is new on the chain.
    ///
    /// # Errors
    /// The chain does not answer; read again later.
    pub async fn read(&mut self) -> Result<(), RpcError> {
        loop {
            let batch = self.cursor.poll(&self.client).await?;
            if let Some(to) = batch.rolled_back_to {
                self.docket.roll_back(to);
            }
            for log in &batch.logs {
                if let (Some(block), Some(event)) = (log.block_number, GameEvent::read(&log.inner))
                {
                    self.docket.take(block, event);
                }
            }
            if batch.behind == 0 {
                return Ok(());
            }
        }
    }
}
