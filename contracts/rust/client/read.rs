//! The questions of [`Client`] to a chain: blocks, balances, calls, receipts and events.

use alloy::consensus::BlockHeader;
use alloy::eips::{BlockId, BlockNumberOrTag};
use alloy::network::{BlockResponse, TransactionBuilder};
use alloy::primitives::{Address, B256, Bytes, U256};
use alloy::providers::Provider;
use alloy::rpc::types::{Filter, Log, TransactionReceipt, TransactionRequest};

use super::{Client, RpcError};

/// The tip where a node suggests none, in wei per gas.
const USUAL_TIP: u128 = 1_000_000_000;

/// The header of a block, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// Its height.
    pub number: u64,
    /// Its hash.
    pub hash: B256,
    /// Its time, in seconds since 1970.
    pub timestamp: u64,
    /// The base fee per gas, in wei (EIP-1559).
    pub base_fee: u128,
}

/// What a node says that contracts have said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Logs {
    /// Events.
    pub logs: Vec<Log>,
    /// Entries that are no events.
    pub malformed: usize,
}

/// A call that is tried without being sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Who calls.
    pub from: Address,
    /// Who is called; `None` creates a contract.
    pub to: Option<Address>,
    /// Call data.
    pub data: Bytes,
    /// Wei sent along.
    pub value: U256,
}

impl Call {
    /// A question to a contract, asked by nobody in particular.
    pub fn to(contract: Address, data: impl Into<Bytes>) -> Self {
        Self {
            from: Address::ZERO,
            to: Some(contract),
            data: data.into(),
            value: U256::ZERO,
        }
    }
}

impl From<&Call> for TransactionRequest {
    fn from(call: &Call) -> Self {
        let request = Self::default()
            .with_from(call.from)
            .with_input(call.data.clone())
            .with_value(call.value);
        match call.to {
            Some(to) => request.with_to(to),
            None => request.into_create(),
        }
    }
}

impl Client {
    /// The newest block.
    ///
    /// # Errors
    /// [`RpcError`].
    pub async fn head(&self) -> Result<Block, RpcError> {
        self.block_at(BlockNumberOrTag::Latest.into(), "its newest block")
            .await?
            .ok_or_else(|| RpcError::Unavailable {
                what: "its newest block",
                cause: "it has none".into(),
            })
    }

    /// The block at a height; `None` if the chain is not that high.
    ///
    /// # Errors
    /// [`RpcError`].
    pub async fn block(&self, number: u64) -> Result<Option<Block>, RpcError> {
        self.block_at(number.into(), "a block").await
    }

    async fn block_at(&self, id: BlockId, what: &'static str) -> Result<Option<Block>, RpcError> {
        let Some(block) = self.ask(what, || self.provider.get_block(id)).await? else {
            return Ok(None);
        };
        // Taken for free, a chain without base fees would get offers that it never mines.
        let base_fee = block
            .header()
            .base_fee_per_gas()
            .ok_or(RpcError::Unsupported {
                what,
                cause: "blocks have no base fee, as before EIP-1559",
            })?;
        Ok(Some(Block {
            number: block.header().number(),
            hash: block.header.hash,
            timestamp: block.header().timestamp(),
            base_fee: base_fee.into(),
        }))
    }

    /// Wei that an account holds in the newest block.
    ///
    /// # Errors
    /// [`RpcError`].
    pub async fn balance(&self, account: Address) -> Result<U256, RpcError> {
        self.ask("a balance", || self.provider.get_balance(account).latest())
            .await
    }

    /// Transactions that an account has in the chain up to the newest block: its next nonce.
    ///
    /// # Errors
    /// [`RpcError`].
    pub async fn nonce(&self, account: Address) -> Result<u64, RpcError> {
        self.ask("a nonce", || {
            self.provider.get_transaction_count(account).latest()
        })
        .await
    }

    /// The tip that gets a transaction mined soon, in wei per gas; 1 gwei where a node suggests
    /// none.
    ///
    /// # Errors
    /// [`RpcError`].
    pub async fn tip(&self) -> Result<u128, RpcError> {
        match self
            .ask("a fee", || self.provider.get_max_priority_fee_per_gas())
            .await
        {
            Err(RpcError::Refused { .. }) => Ok(USUAL_TIP),
            answer => answer,
        }
    }

    /// Gas that a call takes in the next block: a chain that mines on demand shows an old time in
    /// its newest one.
    ///
    /// # Errors
    /// [`RpcError`]; [`RpcError::Reverted`] if it reverts.
    pub async fn estimate(&self, call: &Call) -> Result<u64, RpcError> {
        self.ask("the transaction", || {
            self.provider
                .estimate_gas(call.into())
                .block(BlockId::pending())
        })
        .await
    }

    /// What a call returns on top of the newest block.
    ///
    /// # Errors
    /// [`RpcError`]; [`RpcError::Reverted`] if it reverts.
    pub async fn call(&self, call: &Call) -> Result<Bytes, RpcError> {
        self.ask("the call", || {
            self.provider.call(call.into()).block(BlockId::latest())
        })
        .await
    }

    /// What a call would return in the next block, whose time it sees.
    ///
    /// # Errors
    /// [`RpcError`]; [`RpcError::Reverted`] if it reverts.
    pub async fn call_pending(&self, call: &Call) -> Result<Bytes, RpcError> {
        self.ask("the call", || {
            self.provider.call(call.into()).block(BlockId::pending())
        })
        .await
    }

    /// Where a transaction is in the chain; `None` if it is not.
    ///
    /// # Errors
    /// [`RpcError`].
    pub async fn receipt(&self, hash: B256) -> Result<Option<TransactionReceipt>, RpcError> {
        self.ask("a receipt", || self.provider.get_transaction_receipt(hash))
            .await
    }

    /// Events that match a filter. What is no event is left out and counted.
    ///
    /// # Errors
    /// [`RpcError`]; [`RpcError::Refused`] if the node finds the range too large.
    pub async fn logs(&self, filter: &Filter) -> Result<Logs, RpcError> {
        let answer: Vec<serde_json::Value> = self
            .ask("events", || {
                self.provider.client().request("eth_getLogs", (filter,))
            })
            .await?;
        let asked = answer.len();
        let logs: Vec<Log> = answer
            .into_iter()
            .filter_map(|log| serde_json::from_value(log).ok())
            .collect();
        Ok(Logs {
            malformed: asked - logs.len(),
            logs,
        })
    }

    /// Hands a signed transaction to the chain and returns its hash.
    ///
    /// # Errors
    /// [`RpcError`]; [`RpcError::Refused`] if the pool does not take it.
    pub async fn broadcast(&self, raw: &[u8]) -> Result<B256, RpcError> {
        let sent = self
            .ask("the transaction", || {
                self.provider.send_raw_transaction(raw)
            })
            .await?;
        Ok(*sent.tx_hash())
    }
}
