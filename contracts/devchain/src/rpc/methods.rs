//! The methods by name: those of the Ethereum API that clients here need, those by which other dev
//! chains move time and mine (`evm_…`, `anvil_…`), and `devchain_setTime` and `devchain_now` for a
//! time that stands still, which those lack.

use alloy::primitives::{U64, U256};
use serde::Serialize;
use serde_json::Value;

use super::error::{INTERNAL, RpcError};
use super::params::Params;
use super::{change, read};
use crate::ledger::Ledger;
use crate::rules::{BASE_FEE, PRIORITY_FEE};

/// Name and version that the chain gives of itself.
const VERSION: &str = concat!("swarm-node-devchain/", env!("CARGO_PKG_VERSION"));

/// Answers a request.
///
/// # Errors
/// Why there is no answer.
pub fn call(
    ledger: &mut Ledger,
    wall: u64,
    method: &str,
    params: &Params,
) -> Result<Value, RpcError> {
    let chain = ledger.chain();
    match method {
        "web3_clientVersion" => json(VERSION),
        "net_version" => json(chain.id().to_string()),
        "eth_chainId" => json(U64::from(chain.id())),
        "eth_syncing" => json(false),
        "eth_blockNumber" => json(U64::from(chain.latest().number())),
        "eth_gasPrice" => json(U64::from(BASE_FEE + PRIORITY_FEE)),
        "eth_maxPriorityFeePerGas" => json(U64::from(PRIORITY_FEE)),
        "eth_feeHistory" => json(read::fee_history(chain, params)?),
        "eth_getBlockByNumber" => json(read::block_by_number(chain, wall, params)?),
        "eth_getBlockByHash" => json(read::block_by_hash(chain, params)?),
        "eth_getBlockReceipts" => json(read::block_receipts(chain, params)?),
        "eth_getTransactionByHash" => json(read::transaction(chain, params)?),
        "eth_getTransactionReceipt" => json(read::receipt(chain, params)?),
        "eth_getTransactionCount" => json(read::account(chain, params, |chain, at| {
            U64::from(chain.nonce(at))
        })?),
        "eth_getBalance" => json(read::account(chain, params, |chain, at| chain.balance(at))?),
        "eth_getCode" => json(read::account(chain, params, |chain, at| chain.code(at))?),
        "eth_getStorageAt" => json(read::storage(chain, params)?),
        "eth_getLogs" => json(read::logs(chain, params)?),
        "eth_call" => json(read::call(chain, wall, params)?),
        "eth_estimateGas" => json(read::estimate(chain, wall, params)?),
        "eth_sendRawTransaction" => json(change::send(ledger, wall, params)?),
        "evm_mine" => change::mine_one(ledger, wall, params).and_then(json),
        "anvil_mine" => change::mine(ledger, wall, params).and_then(json),
        "evm_increaseTime" => json(change::increase_time(ledger, wall, params)?),
        "evm_setNextBlockTimestamp" => json(change::pin_time(ledger, wall, params)?),
        "devchain_setTime" => json(change::set_time(ledger, params)?),
        "devchain_now" => json(U256::from(ledger.chain().next_timestamp(wall))),
        unknown => Err(RpcError::method(unknown)),
    }
}

fn json(value: impl Serialize) -> Result<Value, RpcError> {
    serde_json::to_value(value).map_err(|error| RpcError::new(INTERNAL, error.to_string()))
}
