//! Contracts in an EVM in memory, without limits on gas.
#![allow(dead_code, reason = "each test uses a part of it")]

use alloy::primitives::{Address, Bytes};
use alloy::sol_types::{SolCall, SolValue};
use revm::context::result::{ExecutionResult, Output};
use revm::context::{BlockEnv, CfgEnv, TxEnv};
use revm::database::InMemoryDB;
use revm::handler::MainnetContext;
use revm::primitives::TxKind;
use revm::primitives::hardfork::SpecId;
use revm::{Context, ExecuteCommitEvm, MainBuilder, MainContext, MainnetEvm};

/// An EVM with contracts.
pub struct Evm(MainnetEvm<MainnetContext<InMemoryDB>>);

impl Evm {
    /// An EVM without contracts.
    pub fn new() -> Self {
        let mut rules = CfgEnv::new_with_spec(SpecId::CANCUN);
        rules.disable_nonce_check = true;
        rules.tx_gas_limit_cap = Some(u64::MAX);
        let block = BlockEnv {
            gas_limit: u64::MAX,
            ..BlockEnv::default()
        };
        let context = Context::mainnet()
            .with_db(InMemoryDB::default())
            .with_cfg(rules)
            .with_block(block);
        Self(context.build_mainnet())
    }

    /// Deploys a contract by its creation code and the arguments of its constructor.
    pub fn deploy(&mut self, code: &Bytes, arguments: impl SolValue) -> Address {
        let code = [&code[..], &arguments.abi_encode()].concat();
        match self.transact(TxKind::Create, code.into()) {
            ExecutionResult::Success {
                output: Output::Create(_, Some(address)),
                ..
            } => address,
            other => panic!("not deployed: {other:?}"),
        }
    }

    /// Calls a function: its answer with the gas of a transaction that makes this call, or the data
    /// that it reverted with.
    pub fn call<C: SolCall>(&mut self, to: Address, call: &C) -> Result<(C::Return, u64), Bytes> {
        let result = self.transact(TxKind::Call(to), call.abi_encode().into());
        let gas = result.tx_gas_used();
        match result {
            ExecutionResult::Success { output, .. } => {
                Ok((C::abi_decode_returns(output.data()).unwrap(), gas))
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
        self.0.transact_commit(tx).unwrap()
    }
}

/// One contract in an EVM of its own.
pub struct Contract(Evm, Address);

impl Contract {
    /// Deploys a contract whose constructor takes nothing.
    pub fn deploy(code: &Bytes) -> Self {
        let mut evm = Evm::new();
        let address = evm.deploy(code, ());
        Self(evm, address)
    }

    /// Calls a function: its answer, or the data that it reverted with.
    pub fn call<C: SolCall>(&mut self, call: &C) -> Result<C::Return, Bytes> {
        self.0.call(self.1, call).map(|(answer, _)| answer)
    }
}
