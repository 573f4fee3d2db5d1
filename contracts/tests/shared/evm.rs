//! One contract in an EVM in memory, without limits on gas or size.

use alloy::sol_types::SolCall;
use revm::context::result::{ExecutionResult, Output};
use revm::context::{BlockEnv, CfgEnv, TxEnv};
use revm::database::InMemoryDB;
use revm::handler::MainnetContext;
use revm::primitives::hardfork::SpecId;
use revm::primitives::{Address, Bytes, TxKind};
use revm::{Context, ExecuteCommitEvm, MainBuilder, MainContext, MainnetEvm};

/// A deployed contract.
pub struct Contract {
    evm: MainnetEvm<MainnetContext<InMemoryDB>>,
    address: Address,
}

impl Contract {
    /// Deploys a contract by its creation code.
    pub fn deploy(code: &Bytes) -> Self {
        let mut rules = CfgEnv::new_with_spec(SpecId::CANCUN);
        rules.disable_nonce_check = true;
        let block = BlockEnv {
            gas_limit: u64::MAX,
            ..BlockEnv::default()
        };
        let context = Context::mainnet()
            .with_db(InMemoryDB::default())
            .with_cfg(rules)
            .with_block(block);
        let mut contract = Self {
            evm: context.build_mainnet(),
            address: Address::ZERO,
        };
        match contract.transact(TxKind::Create, code.clone()) {
            ExecutionResult::Success {
                output: Output::Create(_, Some(address)),
                ..
            } => contract.address = address,
            other => panic!("not deployed: {other:?}"),
        }
        contract
    }

    /// Calls a function: its answer, or the data it reverted with.
    pub fn call<C: SolCall>(&mut self, call: &C) -> Result<C::Return, Bytes> {
        match self.transact(TxKind::Call(self.address), call.abi_encode().into()) {
            ExecutionResult::Success { output, .. } => {
                Ok(C::abi_decode_returns(output.data()).unwrap())
            }
            ExecutionResult::Revert { output, .. } => Err(output),
            halt => panic!("{halt:?}"),
        }
    }

    fn transact(&mut self, kind: TxKind, data: Bytes) -> ExecutionResult {
        let tx = TxEnv {
            kind,
            data,
            gas_limit: u64::MAX,
            gas_price: 0,
            ..TxEnv::default()
        };
        self.evm.transact_commit(tx).unwrap()
    }
}
