//! Calls: what a transaction would return, and how much gas it would need, at the latest state and
//! the time of the next block.

use alloy::consensus::Header;
use alloy::primitives::{Bytes, TxKind, U256};
use alloy::rpc::types::TransactionRequest;
use alloy::sol_types::{Revert, SolError};
use revm::context::TxEnv;
use revm::context::result::{ExecutionResult, HaltReason, SuccessReason};
use thiserror::Error;

use super::chain::Chain;
use super::execute::{Mode, execute, halt_reason};
use super::rules::BLOCK_GAS_LIMIT;
use super::transaction::{TransactionError, refusal};

/// Gas of the cheapest transaction.
const TRANSFER_GAS: u64 = 21_000;

/// Why a call has no answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CallError {
    /// The contract refused.
    #[error("execution reverted{}", reason(.0))]
    Reverted(Bytes),
    /// The code went wrong.
    #[error("{0}")]
    Halted(String),
    /// No gas limit up to this one is enough.
    #[error("gas required exceeds allowance ({0})")]
    Allowance(u64),
    /// The call itself is not valid.
    #[error(transparent)]
    Invalid(#[from] TransactionError),
    /// `input` and `data` both given, but not the same.
    #[error("both \"data\" and \"input\" are set and not equal; use \"input\"")]
    Input,
}

impl CallError {
    /// Bytes that the contract reverted with.
    pub fn data(&self) -> Option<&Bytes> {
        match self {
            Self::Reverted(data) => Some(data),
            _ => None,
        }
    }
}

/// The text of a plain `require(…, "text")`.
fn reason(data: &Bytes) -> String {
    Revert::abi_decode(data)
        .map(|revert| format!(": {}", revert.reason))
        .unwrap_or_default()
}

/// What a call returns (`eth_call`).
///
/// # Errors
/// [`CallError`].
pub fn call(chain: &Chain, request: TransactionRequest, wall: u64) -> Result<Bytes, CallError> {
    let tx = environment(chain, request)?;
    output(run(chain, &chain.pending(wall), tx)?)
}

/// Least gas limit with which a transaction succeeds, up to 1/64 above it (`eth_estimateGas`).
///
/// # Errors
/// [`CallError`].
pub fn estimate(chain: &Chain, request: TransactionRequest, wall: u64) -> Result<u64, CallError> {
    let tx = environment(chain, request)?;
    let tx = TxEnv {
        gas_limit: affordable(chain, &tx),
        ..tx
    };
    let header = chain.pending(wall);
    let result = run(chain, &header, tx.clone())?;
    let (spent, plain) = (result.gas().total_gas_spent(), is_transfer(&result, &tx));
    match result {
        ExecutionResult::Halt {
            reason: HaltReason::OutOfGas(_),
            ..
        } => {
            return Err(CallError::Allowance(tx.gas_limit));
        }
        other => output(other)?,
    };
    if plain {
        Ok(TRANSFER_GAS)
    } else {
        search(chain, &header, tx, spent)
    }
}

/// Bisects between what was spent and the limit; gas that is held back for calls (EIP-150) makes
/// the former too little.
fn search(chain: &Chain, header: &Header, tx: TxEnv, spent: u64) -> Result<u64, CallError> {
    let (mut low, mut high) = (spent.saturating_sub(1), tx.gas_limit);
    let mut guess = spent.saturating_add(spent / 63).saturating_add(2_300);
    while high - low > 1 && high - low > high / 64 {
        let middle = guess.clamp(low + 1, high - 1);
        match enough(
            chain,
            header,
            TxEnv {
                gas_limit: middle,
                ..tx.clone()
            },
        )? {
            true => high = middle,
            false => low = middle,
        }
        guess = low + (high - low) / 2;
    }
    Ok(high)
}

fn enough(chain: &Chain, header: &Header, tx: TxEnv) -> Result<bool, CallError> {
    match run(chain, header, tx) {
        Ok(result) => Ok(result.is_success()),
        Err(CallError::Invalid(TransactionError::IntrinsicGas { .. })) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether nothing ran: sending ether to an account without code costs the same at every limit.
fn is_transfer(result: &ExecutionResult, tx: &TxEnv) -> bool {
    let stopped = matches!(
        result,
        ExecutionResult::Success {
            reason: SuccessReason::Stop,
            ..
        }
    );
    stopped
        && tx.data.is_empty()
        && tx.access_list.is_empty()
        && result.tx_gas_used() == TRANSFER_GAS
}

/// Gas that the request allows and its sender can pay for.
fn affordable(chain: &Chain, tx: &TxEnv) -> u64 {
    let wei = chain.balance(tx.caller).saturating_sub(tx.value);
    // Whoever pays nothing can pay for any gas.
    let gas = wei
        .checked_div(U256::from(tx.gas_price))
        .unwrap_or(U256::MAX);
    tx.gas_limit.min(gas.saturating_to())
}

fn run(chain: &Chain, header: &Header, tx: TxEnv) -> Result<ExecutionResult, CallError> {
    match execute(chain.state(), header, chain.id(), tx.clone(), Mode::Call) {
        Ok(done) => Ok(done.result),
        Err(error) => Err(CallError::Invalid(refusal(error, &tx))),
    }
}

fn output(result: ExecutionResult) -> Result<Bytes, CallError> {
    match result {
        ExecutionResult::Success { output, .. } => Ok(output.into_data()),
        ExecutionResult::Revert { output, .. } => Err(CallError::Reverted(output)),
        ExecutionResult::Halt { reason, .. } => Err(CallError::Halted(halt_reason(&reason))),
    }
}

/// Number of the simplest transaction type that holds the request's fields.
fn kind(request: &TransactionRequest) -> u8 {
    match (&request.max_priority_fee_per_gas, &request.access_list) {
        (Some(_), _) => 2,
        (None, Some(_)) => 1,
        (None, None) => 0,
    }
}

/// The request with what it leaves out; a nonce is ignored.
fn environment(chain: &Chain, request: TransactionRequest) -> Result<TxEnv, CallError> {
    let data = request
        .input
        .clone()
        .try_into_unique_input()
        .map_err(|_| CallError::Input)?;
    let tip = request.max_priority_fee_per_gas;
    Ok(TxEnv {
        tx_type: kind(&request),
        caller: request.from.unwrap_or_default(),
        gas_limit: request.gas.unwrap_or(BLOCK_GAS_LIMIT).min(BLOCK_GAS_LIMIT),
        gas_price: request
            .max_fee_per_gas
            .or(request.gas_price)
            .unwrap_or_default(),
        gas_priority_fee: tip,
        kind: request.to.unwrap_or(TxKind::Create),
        value: request.value.unwrap_or_default(),
        data: data.unwrap_or_default(),
        chain_id: Some(request.chain_id.unwrap_or(chain.id())),
        access_list: request.access_list.unwrap_or_default(),
        ..TxEnv::default()
    })
}
