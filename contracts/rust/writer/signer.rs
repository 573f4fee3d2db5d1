//! Signing: an unsigned transaction becomes the bytes that are broadcast.

use alloy::consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy::eips::eip2718::Encodable2718;
use alloy::network::TxSignerSync;
use alloy::primitives::{Address, B256, Bytes, TxKind, U256};
use alloy::signers::local::PrivateKeySigner;
use thiserror::Error;

use super::intent::Fees;

/// A transaction before it is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsignedTransaction {
    /// The account's nonce.
    pub nonce: u64,
    /// Gas limit.
    pub gas: u64,
    /// Prices.
    pub fees: Fees,
    /// Who is called; `None` creates a contract.
    pub to: Option<Address>,
    /// Call data or code.
    pub data: Bytes,
    /// Wei.
    pub value: U256,
}

/// The key did not sign.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the account's key did not sign: {0}")]
pub struct SignError(pub String);

/// Signs the transactions of one account on one chain; the same transaction gives the same bytes.
pub trait TransactionSigner: Send + 'static {
    /// The account.
    fn account(&self) -> Address;

    /// The hash and the bytes of the signed transaction.
    ///
    /// # Errors
    /// If the key cannot be used.
    fn sign(&self, transaction: &UnsignedTransaction) -> Result<(B256, Bytes), SignError>;
}

/// A key in memory, for one chain.
#[derive(Debug, Clone)]
pub struct LocalSigner {
    signer: PrivateKeySigner,
    chain_id: u64,
}

impl LocalSigner {
    /// The key of an account, signing for the chain `chain_id` alone (EIP-155).
    pub fn new(signer: PrivateKeySigner, chain_id: u64) -> Self {
        Self { signer, chain_id }
    }
}

impl TransactionSigner for LocalSigner {
    fn account(&self) -> Address {
        self.signer.address()
    }

    fn sign(&self, transaction: &UnsignedTransaction) -> Result<(B256, Bytes), SignError> {
        let mut unsigned = TxEip1559 {
            chain_id: self.chain_id,
            nonce: transaction.nonce,
            gas_limit: transaction.gas,
            max_fee_per_gas: transaction.fees.max,
            max_priority_fee_per_gas: transaction.fees.tip,
            to: transaction.to.map_or(TxKind::Create, TxKind::Call),
            value: transaction.value,
            access_list: Default::default(),
            input: transaction.data.clone(),
        };
        let signature = self
            .signer
            .sign_transaction_sync(&mut unsigned)
            .map_err(|error| SignError(error.to_string()))?;
        let signed = TxEnvelope::from(unsigned.into_signed(signature));
        Ok((*signed.tx_hash(), signed.encoded_2718().into()))
    }
}
