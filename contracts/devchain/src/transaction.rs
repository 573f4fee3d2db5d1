//! Raw transactions: how they are decoded, how their sender is recovered, and why they are refused.
//!
//! Refusals have the words of go-ethereum, because clients decide by these words what to do next.
//! Checks that need no state are done here; what the virtual machine checks anyway (balance,
//! intrinsic gas) is left to it, and only put into words here.

use alloy::consensus::transaction::{Recovered, SignerRecoverable};
use alloy::consensus::{Transaction, TxEnvelope};
use alloy::eips::Decodable2718;
use alloy::primitives::{Address, U256};
use revm::context::TxEnv;
use revm::context::result::InvalidTransaction;
use thiserror::Error;

use super::rules::{BASE_FEE, BLOCK_GAS_LIMIT};

/// Bytes of a raw transaction, the limit of go-ethereum's pool.
pub const MAX_TRANSACTION_BYTES: usize = 128 << 10;

/// Why a transaction was refused; nothing has changed then.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TransactionError {
    /// More than [`MAX_TRANSACTION_BYTES`].
    #[error("oversized data: transaction size {0}, limit {MAX_TRANSACTION_BYTES}")]
    Oversized(usize),
    /// Not a transaction.
    #[error("rlp: {0}")]
    Undecodable(String),
    /// Blobs and delegations are not offered.
    #[error("transaction type not supported: {0}; send a legacy, EIP-2930 or EIP-1559 transaction")]
    Type(u8),
    /// A legacy transaction without a chain id could be replayed on other chains.
    #[error("only replay-protected (EIP-155) transactions allowed over RPC")]
    Unprotected,
    /// Signed for another chain.
    #[error("invalid chain id for signer: have {have} want {want}")]
    ChainId {
        /// The transaction's.
        have: u64,
        /// This chain's.
        want: u64,
    },
    /// Nobody's signature.
    #[error("invalid sender: the signature recovers no address")]
    Signature,
    /// The same transaction is in a block already.
    #[error("already known")]
    Known,
    /// Another transaction used the nonce.
    #[error("nonce too low: next nonce {next}, tx nonce {nonce}")]
    NonceTooLow {
        /// The nonce that the chain expects.
        next: u64,
        /// The transaction's.
        nonce: u64,
    },
    /// There is no queue: each transaction is mined at once.
    #[error(
        "nonce too high: next nonce {next}, tx nonce {nonce}; this chain keeps no queue, send \
         {next} first"
    )]
    NonceTooHigh {
        /// The nonce that the chain expects.
        next: u64,
        /// The transaction's.
        nonce: u64,
    },
    /// The sender cannot pay for gas and value.
    #[error(
        "insufficient funds for gas * price + value: address {sender} have {balance} want {cost}"
    )]
    Funds {
        /// Who should pay.
        sender: Address,
        /// Wei that it has.
        balance: U256,
        /// Wei that the transaction may cost.
        cost: U256,
    },
    /// The gas limit does not cover what every transaction of this content costs.
    #[error("intrinsic gas too low: have {have}, want {want}")]
    IntrinsicGas {
        /// The gas limit.
        have: u64,
        /// What it must be at least.
        want: u64,
    },
    /// The gas limit is above that of a block.
    #[error("exceeds block gas limit: have {0}, limit {BLOCK_GAS_LIMIT}")]
    BlockGas(u64),
    /// The fee cap is below the base fee.
    #[error("max fee per gas less than block base fee: maxFeePerGas: {0}, baseFee: {BASE_FEE}")]
    FeeCap(u128),
    /// The tip is above the fee cap.
    #[error("max priority fee per gas higher than max fee per gas: {tip} > {cap}")]
    TipAboveCap {
        /// Wei per gas of the tip.
        tip: u128,
        /// Wei per gas of the cap.
        cap: u128,
    },
    /// Refused by the virtual machine for another reason.
    #[error("{0}")]
    Invalid(String),
}

/// A transaction whose sender is known, and its bytes.
pub type Signed = Recovered<TxEnvelope>;

/// Decodes a raw transaction for a chain.
///
/// # Errors
/// [`TransactionError`] with the first check that fails.
pub fn decode(raw: &[u8], chain_id: u64) -> Result<Signed, TransactionError> {
    if raw.len() > MAX_TRANSACTION_BYTES {
        return Err(TransactionError::Oversized(raw.len()));
    }
    let envelope = envelope(raw)?;
    check_chain(&envelope, chain_id)?;
    envelope
        .try_into_recovered()
        .map_err(|_| TransactionError::Signature)
}

fn envelope(raw: &[u8]) -> Result<TxEnvelope, TransactionError> {
    let envelope = TxEnvelope::decode_2718_exact(raw)
        .map_err(|error| TransactionError::Undecodable(error.to_string()))?;
    match envelope {
        TxEnvelope::Legacy(_) | TxEnvelope::Eip2930(_) | TxEnvelope::Eip1559(_) => Ok(envelope),
        other => Err(TransactionError::Type(other.tx_type().into())),
    }
}

fn check_chain(envelope: &TxEnvelope, want: u64) -> Result<(), TransactionError> {
    match envelope.chain_id() {
        None => Err(TransactionError::Unprotected),
        Some(have) if have != want => Err(TransactionError::ChainId { have, want }),
        Some(_) => Ok(()),
    }
}

/// What the virtual machine needs to know of a transaction.
pub fn environment(transaction: &Signed) -> TxEnv {
    TxEnv {
        tx_type: transaction.tx_type().into(),
        caller: transaction.signer(),
        gas_limit: transaction.gas_limit(),
        gas_price: transaction.max_fee_per_gas(),
        gas_priority_fee: transaction.max_priority_fee_per_gas(),
        kind: transaction.kind(),
        value: transaction.value(),
        data: transaction.input().clone(),
        nonce: transaction.nonce(),
        chain_id: transaction.chain_id(),
        access_list: transaction.access_list().cloned().unwrap_or_default(),
        ..TxEnv::default()
    }
}

/// The virtual machine's refusal of a transaction in the usual words.
pub fn refusal(error: InvalidTransaction, tx: &TxEnv) -> TransactionError {
    match error {
        InvalidTransaction::NonceTooLow { tx, state } => TransactionError::NonceTooLow {
            next: state,
            nonce: tx,
        },
        InvalidTransaction::NonceTooHigh { tx, state } => TransactionError::NonceTooHigh {
            next: state,
            nonce: tx,
        },
        InvalidTransaction::LackOfFundForMaxFee { fee, balance } => TransactionError::Funds {
            sender: tx.caller,
            balance: *balance,
            cost: *fee,
        },
        InvalidTransaction::CallGasCostMoreThanGasLimit {
            initial_gas: want,
            gas_limit: have,
        }
        | InvalidTransaction::GasFloorMoreThanGasLimit {
            gas_floor: want,
            gas_limit: have,
        } => TransactionError::IntrinsicGas { have, want },
        InvalidTransaction::CallerGasLimitMoreThanBlock => TransactionError::BlockGas(tx.gas_limit),
        InvalidTransaction::GasPriceLessThanBasefee => TransactionError::FeeCap(tx.gas_price),
        other => match (&other, tx.gas_priority_fee) {
            (InvalidTransaction::PriorityFeeGreaterThanMaxFee, Some(tip)) => {
                let cap = tx.gas_price;
                TransactionError::TipAboveCap { tip, cap }
            }
            _ => TransactionError::Invalid(other.to_string()),
        },
    }
}
