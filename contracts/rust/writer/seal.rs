//! Signing: a draft becomes the bytes that are broadcast.

use alloy::consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy::eips::eip2718::Encodable2718;
use alloy::network::TxSignerSync;
use alloy::primitives::{Address, B256, Bytes, TxKind, U256};
use alloy::signers::local::PrivateKeySigner;
use thiserror::Error;

use super::intent::Fees;

/// A transaction before it is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
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
pub struct SealError(pub String);

/// Signs the transactions of one account on one chain; the same draft gives the same bytes.
pub trait Seal: Send + 'static {
    /// The account.
    fn account(&self) -> Address;

    /// The hash and the bytes of the signed transaction.
    ///
    /// # Errors
    /// If the key cannot be used.
    fn seal(&self, draft: &Draft) -> Result<(B256, Bytes), SealError>;
}

/// A key in memory, for one chain.
#[derive(Debug, Clone)]
pub struct LocalKey {
    signer: PrivateKeySigner,
    chain_id: u64,
}

impl LocalKey {
    /// The key of an account, signing for the chain `chain_id` alone (EIP-155).
    pub fn new(signer: PrivateKeySigner, chain_id: u64) -> Self {
        Self { signer, chain_id }
    }
}

impl Seal for LocalKey {
    fn account(&self) -> Address {
        self.signer.address()
    }

    fn seal(&self, draft: &Draft) -> Result<(B256, Bytes), SealError> {
        let mut transaction = TxEip1559 {
            chain_id: self.chain_id,
            nonce: draft.nonce,
            gas_limit: draft.gas,
            max_fee_per_gas: draft.fees.max,
            max_priority_fee_per_gas: draft.fees.tip,
            to: draft.to.map_or(TxKind::Create, TxKind::Call),
            value: draft.value,
            access_list: Default::default(),
            input: draft.data.clone(),
        };
        let signature = self
            .signer
            .sign_transaction_sync(&mut transaction)
            .map_err(|error| SealError(error.to_string()))?;
        let signed = TxEnvelope::from(transaction.into_signed(signature));
        Ok((*signed.tx_hash(), signed.encoded_2718().into()))
    }
}
