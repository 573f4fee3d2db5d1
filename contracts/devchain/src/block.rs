//! Blocks: a header, and at most one transaction with what became of it.
//!
//! The header commits to its parent, the transaction and the receipt, so two chains with the same
//! latest hash went through the same transactions with the same results. It does not commit to the
//! state (its root is zero): a dev chain has nobody to prove anything to.

use alloy::consensus::constants::{EMPTY_OMMER_ROOT_HASH, EMPTY_WITHDRAWALS};
use alloy::consensus::proofs::{calculate_receipt_root, calculate_transaction_root};
use alloy::consensus::{
    Header, Receipt, ReceiptEnvelope, Sealable, Sealed, Transaction, TxEnvelope,
};
use alloy::primitives::{Address, B256, Bloom, Bytes, Log};

use super::rules::{BASE_FEE, BLOCK_GAS_LIMIT};
use super::transaction::Signed;

/// A mined transaction.
#[derive(Clone, Debug)]
pub struct Mined {
    /// The transaction and its sender.
    pub transaction: Signed,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Neither reverted nor halted.
    pub success: bool,
    /// Gas paid for.
    pub gas_used: u64,
    /// Events, none unless it succeeded.
    pub logs: Vec<Log>,
    /// Returned bytes, or the data of the revert.
    pub output: Bytes,
    /// Contract that it created.
    pub created: Option<Address>,
}

/// A block with its hash.
#[derive(Clone, Debug)]
pub struct Block {
    /// The header and its hash.
    pub header: Sealed<Header>,
    /// Its only transaction, `None` in a block that was mined for its own sake.
    pub mined: Option<Mined>,
}

impl Block {
    /// The first block of a chain.
    pub fn genesis(timestamp: u64) -> Self {
        Self::seal(
            Header {
                timestamp,
                ..template()
            },
            None,
        )
    }

    /// A block that follows `parent`.
    pub fn after(parent: &Self, timestamp: u64, mined: Option<Mined>) -> Self {
        Self::seal(parent.child(timestamp), mined)
    }

    /// The header of the next block, before it holds a transaction.
    pub fn child(&self, timestamp: u64) -> Header {
        Header {
            parent_hash: self.hash(),
            number: self.number().saturating_add(1),
            timestamp,
            // Anybody can foresee it: `PREVRANDAO` is no randomness here.
            mix_hash: self.hash(),
            ..template()
        }
    }

    fn seal(mut header: Header, mined: Option<Mined>) -> Self {
        let transactions: Vec<&TxEnvelope> = mined
            .iter()
            .map(|mined| mined.transaction.inner())
            .collect();
        let receipts: Vec<_> = mined.iter().map(Mined::receipt).collect();
        header.transactions_root = calculate_transaction_root(&transactions);
        header.receipts_root = calculate_receipt_root(&receipts);
        header.logs_bloom = receipts
            .iter()
            .fold(Bloom::ZERO, |bloom, receipt| bloom | *receipt.logs_bloom());
        header.gas_used = mined.as_ref().map_or(0, |mined| mined.outcome.gas_used);
        Self {
            header: header.seal_slow(),
            mined,
        }
    }

    /// Its hash.
    pub fn hash(&self) -> B256 {
        self.header.hash()
    }

    /// Blocks before it.
    pub fn number(&self) -> u64 {
        self.header.number
    }

    /// Its time in Unix seconds.
    pub fn timestamp(&self) -> u64 {
        self.header.timestamp
    }

    /// Its events.
    pub fn logs(&self) -> &[Log] {
        self.mined.as_ref().map_or(&[], |mined| &mined.outcome.logs)
    }
}

impl Mined {
    /// The transaction's hash.
    pub fn hash(&self) -> B256 {
        *self.transaction.tx_hash()
    }

    /// Wei per gas that it paid.
    pub fn gas_price(&self) -> u128 {
        self.transaction.effective_gas_price(Some(BASE_FEE))
    }

    /// The receipt that its block commits to.
    pub fn receipt(&self) -> ReceiptEnvelope {
        let Outcome {
            success,
            gas_used,
            ref logs,
            ..
        } = self.outcome;
        let receipt = Receipt {
            status: success.into(),
            cumulative_gas_used: gas_used,
            logs: logs.clone(),
        };
        ReceiptEnvelope::from_typed(self.transaction.tx_type(), receipt)
    }
}

/// What all headers have in common.
fn template() -> Header {
    Header {
        ommers_hash: EMPTY_OMMER_ROOT_HASH,
        gas_limit: BLOCK_GAS_LIMIT,
        base_fee_per_gas: Some(BASE_FEE),
        withdrawals_root: Some(EMPTY_WITHDRAWALS),
        blob_gas_used: Some(0),
        excess_blob_gas: Some(0),
        parent_beacon_block_root: Some(B256::ZERO),
        ..Header::default()
    }
}
