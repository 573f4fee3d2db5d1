//! Runs one transaction or call in the virtual machine, without changing the state.
//!
//! The changes are returned beside the result, so that the caller can first write them down and
//! then commit them, or drop them.

use alloy::consensus::Header;
use alloy::primitives::U256;
use revm::context::result::{EVMError, ExecutionResult, HaltReason, InvalidTransaction};
use revm::context::{BlockEnv, CfgEnv, TxEnv};
use revm::database::InMemoryDB;
use revm::database_interface::WrapDatabaseRef;
use revm::state::EvmState;
use revm::{Context, ExecuteEvm, MainBuilder, MainContext};

use super::rules::{BASE_FEE, FORK};

/// How strictly the sender is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A signed transaction: the nonce must be the next one.
    Transaction,
    /// A call, which has no nonce. One that names no price pays none, and sees a base fee of zero.
    Call,
}

/// A result and the changes that go with it.
#[derive(Debug)]
pub struct Execution {
    /// Success, revert or halt.
    pub result: ExecutionResult,
    /// Accounts that it touched.
    pub changes: EvmState,
}

/// Runs a transaction in the block that `header` begins.
///
/// # Errors
/// Why the transaction may not be part of that block.
pub fn execute(
    state: &InMemoryDB,
    header: &Header,
    chain_id: u64,
    tx: TxEnv,
    mode: Mode,
) -> Result<Execution, InvalidTransaction> {
    let mut block = environment(header);
    if mode == Mode::Call && tx.gas_price == 0 {
        block.basefee = 0;
    }
    let mut evm = Context::mainnet()
        .with_db(WrapDatabaseRef(state))
        .with_block(block)
        .with_cfg(rules(chain_id, mode))
        .build_mainnet();
    match evm.transact(tx) {
        Ok(done) => Ok(Execution {
            result: done.result,
            changes: done.state,
        }),
        Err(EVMError::Transaction(error)) => Err(error),
        Err(other) => Err(InvalidTransaction::Str(other.to_string().into())),
    }
}

fn rules(chain_id: u64, mode: Mode) -> CfgEnv {
    let mut rules = CfgEnv::new_with_spec(FORK);
    rules.chain_id = chain_id;
    rules.disable_nonce_check = mode == Mode::Call;
    rules
}

fn environment(header: &Header) -> BlockEnv {
    BlockEnv {
        number: U256::from(header.number),
        beneficiary: header.beneficiary,
        timestamp: U256::from(header.timestamp),
        gas_limit: header.gas_limit,
        basefee: BASE_FEE,
        prevrandao: Some(header.mix_hash),
        ..BlockEnv::default()
    }
}

/// A halt in go-ethereum's words where it has some.
pub fn halt_reason(reason: &HaltReason) -> String {
    match reason {
        HaltReason::OutOfGas(_) => "out of gas".into(),
        HaltReason::OpcodeNotFound | HaltReason::InvalidFEOpcode => "invalid opcode".into(),
        HaltReason::InvalidJump => "invalid jump destination".into(),
        HaltReason::StateChangeDuringStaticCall => "write protection".into(),
        HaltReason::CreateCollision => "contract address collision".into(),
        HaltReason::CreateContractSizeLimit => "max code size exceeded".into(),
        other => other.to_string(),
    }
}
