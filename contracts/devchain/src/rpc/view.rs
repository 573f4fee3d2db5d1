//! Blocks, transactions and receipts in the shapes of the Ethereum API.

use alloy::consensus::transaction::TransactionInfo;
use alloy::consensus::{Receipt, ReceiptEnvelope, Transaction as _};
use alloy::primitives::{Bytes, U256};
use alloy::rlp::Encodable;
use alloy::rpc::types::{BlockTransactions, Header, Log, Transaction, TransactionReceipt};
use serde::Serialize;

use crate::block::{Block, Mined};
use crate::logs::block_logs;

/// A block as clients see it.
pub type BlockView = alloy::rpc::types::Block;

/// A receipt, with the bytes of a revert as other dev chains add them.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReceiptView {
    #[serde(flatten)]
    receipt: TransactionReceipt,
    #[serde(skip_serializing_if = "Option::is_none")]
    revert_reason: Option<Bytes>,
}

/// A block with its transaction or only the transaction's hash.
pub fn block(block: &Block, full: bool) -> BlockView {
    let transactions = match full {
        true => BlockTransactions::Full(
            block
                .mined
                .iter()
                .map(|mined| transaction(block, mined))
                .collect(),
        ),
        false => BlockTransactions::Hashes(block.mined.iter().map(Mined::hash).collect()),
    };
    let size = U256::from(block.header.length());
    let header = Header::from_consensus(block.header.clone(), None, Some(size));
    BlockView::new(header, transactions).with_withdrawals(Some(Default::default()))
}

/// A transaction and its place.
pub fn transaction(block: &Block, mined: &Mined) -> Transaction {
    let info = TransactionInfo {
        hash: Some(mined.hash()),
        index: Some(0),
        block_hash: Some(block.hash()),
        block_number: Some(block.number()),
        base_fee: block.header.base_fee_per_gas,
        block_timestamp: Some(block.timestamp()),
    };
    Transaction::from_transaction(mined.transaction.clone(), info)
}

/// What became of a transaction.
pub fn receipt(block: &Block, mined: &Mined) -> ReceiptView {
    let outcome = &mined.outcome;
    let reverted = !outcome.success && !outcome.output.is_empty();
    let receipt = TransactionReceipt {
        inner: envelope(block, mined),
        transaction_hash: mined.hash(),
        transaction_index: Some(0),
        block_hash: Some(block.hash()),
        block_number: Some(block.number()),
        gas_used: outcome.gas_used,
        effective_gas_price: mined.gas_price(),
        blob_gas_used: None,
        blob_gas_price: None,
        from: mined.transaction.signer(),
        to: mined.transaction.to(),
        contract_address: outcome.created,
    };
    ReceiptView {
        receipt,
        revert_reason: reverted.then(|| outcome.output.clone()),
    }
}

fn envelope(block: &Block, mined: &Mined) -> ReceiptEnvelope<Log> {
    let (success, gas) = (mined.outcome.success, mined.outcome.gas_used);
    let receipt = Receipt {
        status: success.into(),
        cumulative_gas_used: gas,
        logs: block_logs(block),
    };
    ReceiptEnvelope::from_typed(mined.transaction.tx_type(), receipt)
}
