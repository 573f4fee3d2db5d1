//! Methods that only read.

use alloy::eips::{BlockId, BlockNumberOrTag};
use alloy::primitives::{Address, B256, Bytes, U64, U256};
use alloy::rpc::types::{
    FeeHistory, Filter, FilterBlockOption, Log, Transaction, TransactionRequest,
};
use serde_json::Value;

use super::error::RpcError;
use super::params::Params;
use super::view::{self, BlockView, ReceiptView};
use crate::block::Block;
use crate::chain::Chain;
use crate::rules::{BASE_FEE, BLOCK_GAS_LIMIT};
use crate::{call, logs};

/// Blocks in a fee history, as of go-ethereum.
pub const MAX_FEE_HISTORY: u64 = 1_024;
/// Percentiles of tips in a fee history.
pub const MAX_PERCENTILES: usize = 100;

pub(super) fn block_by_number(
    chain: &Chain,
    wall: u64,
    params: &Params,
) -> Result<Option<BlockView>, RpcError> {
    let tag: BlockNumberOrTag = params.get(0, "block")?;
    let full = params.optional(1, "full transactions")?.unwrap_or(false);
    if tag.is_pending() {
        let next = Block::after(chain.latest(), chain.next_timestamp(wall), None);
        return Ok(Some(view::block(&next, full)));
    }
    Ok(chain
        .block(number(chain, tag))
        .map(|block| view::block(block, full)))
}

pub(super) fn block_by_hash(chain: &Chain, params: &Params) -> Result<Option<BlockView>, RpcError> {
    let hash: B256 = params.get(0, "hash")?;
    let full = params.optional(1, "full transactions")?.unwrap_or(false);
    Ok(chain
        .block_by_hash(&hash)
        .map(|block| view::block(block, full)))
}

pub(super) fn block_receipts(
    chain: &Chain,
    params: &Params,
) -> Result<Option<Vec<ReceiptView>>, RpcError> {
    let block = find(chain, params.get(0, "block")?);
    Ok(block.map(|block| {
        block
            .mined
            .iter()
            .map(|mined| view::receipt(block, mined))
            .collect()
    }))
}

pub(super) fn transaction(chain: &Chain, params: &Params) -> Result<Option<Transaction>, RpcError> {
    let hash: B256 = params.get(0, "hash")?;
    Ok(chain
        .transaction(&hash)
        .map(|(block, mined)| view::transaction(block, mined)))
}

pub(super) fn receipt(chain: &Chain, params: &Params) -> Result<Option<ReceiptView>, RpcError> {
    let hash: B256 = params.get(0, "hash")?;
    Ok(chain
        .transaction(&hash)
        .map(|(block, mined)| view::receipt(block, mined)))
}

/// Something about an account after the latest block.
pub(super) fn account<T>(
    chain: &Chain,
    params: &Params,
    read: fn(&Chain, Address) -> T,
) -> Result<T, RpcError> {
    let address = params.get(0, "address")?;
    check_state(chain, params, 1)?;
    Ok(read(chain, address))
}

pub(super) fn storage(chain: &Chain, params: &Params) -> Result<B256, RpcError> {
    let (address, slot): (Address, U256) = (params.get(0, "address")?, params.get(1, "slot")?);
    check_state(chain, params, 2)?;
    Ok(chain.storage(address, slot))
}

pub(super) fn call(chain: &Chain, wall: u64, params: &Params) -> Result<Bytes, RpcError> {
    Ok(call::call(chain, request(chain, params)?, wall)?)
}

pub(super) fn estimate(chain: &Chain, wall: u64, params: &Params) -> Result<U64, RpcError> {
    Ok(U64::from(call::estimate(
        chain,
        request(chain, params)?,
        wall,
    )?))
}

fn request(chain: &Chain, params: &Params) -> Result<TransactionRequest, RpcError> {
    check_state(chain, params, 1)?;
    params.none(2, "state overrides")?;
    params.none(3, "block overrides")?;
    params.get(0, "transaction")
}

pub(super) fn logs(chain: &Chain, params: &Params) -> Result<Vec<Log>, RpcError> {
    let filter: Filter = params.get(0, "filter")?;
    let (from, to) = match filter.block_option {
        FilterBlockOption::Range {
            from_block,
            to_block,
        } => range(
            chain,
            from_block.unwrap_or_default(),
            to_block.unwrap_or_default(),
        ),
        FilterBlockOption::AtBlockHash(hash) => {
            let block = chain
                .block_by_hash(&hash)
                .ok_or_else(|| RpcError::server(format!("unknown block {hash}")))?;
            (block.number(), block.number())
        }
    };
    Ok(logs::logs(chain, &filter, from, to)?)
}

/// A range whose end is a name may be empty: who polls from the block after the latest one is not
/// wrong.
fn range(chain: &Chain, from: BlockNumberOrTag, to: BlockNumberOrTag) -> (u64, u64) {
    let (first, last) = (number(chain, from), number(chain, to));
    if to.is_number() {
        (first, last)
    } else {
        (first, last.max(first))
    }
}

pub(super) fn fee_history(chain: &Chain, params: &Params) -> Result<FeeHistory, RpcError> {
    let count: U64 = params.get(0, "block count")?;
    let newest = number(chain, params.get(1, "newest block")?).min(chain.latest().number());
    let percentiles: Vec<f64> = params.optional(2, "percentiles")?.unwrap_or_default();
    if percentiles.len() > MAX_PERCENTILES {
        return Err(RpcError::limit(format!(
            "{} percentiles, at most {MAX_PERCENTILES}",
            percentiles.len()
        )));
    }
    let count = count.to::<u64>().min(MAX_FEE_HISTORY).min(newest + 1);
    Ok(history(chain, newest + 1 - count, count, percentiles.len()))
}

/// Fees of `count` blocks from `oldest` on. A block holds one transaction, whose tip is every
/// percentile.
fn history(chain: &Chain, oldest: u64, count: u64, percentiles: usize) -> FeeHistory {
    let blocks: Vec<&Block> = (oldest..oldest + count)
        .filter_map(|number| chain.block(number))
        .collect();
    FeeHistory {
        base_fee_per_gas: vec![BASE_FEE.into(); blocks.len() + 1],
        gas_used_ratio: blocks
            .iter()
            .map(|block| block.header.gas_used as f64 / BLOCK_GAS_LIMIT as f64)
            .collect(),
        base_fee_per_blob_gas: vec![1; blocks.len() + 1],
        blob_gas_used_ratio: vec![0.0; blocks.len()],
        oldest_block: oldest,
        reward: (percentiles > 0).then(|| {
            blocks
                .iter()
                .map(|block| vec![tip(block); percentiles])
                .collect()
        }),
    }
}

/// Wei per gas above the base fee, none in an empty block.
#[expect(clippy::expect_used, reason = "the virtual machine refuses less")]
fn tip(block: &Block) -> u128 {
    let Some(mined) = &block.mined else {
        return 0;
    };
    mined
        .gas_price()
        .checked_sub(BASE_FEE.into())
        .expect("invariant: a mined transaction has paid the base fee")
}

/// Number of a block by its number or name. Every block is final at once.
fn number(chain: &Chain, tag: BlockNumberOrTag) -> u64 {
    match tag {
        BlockNumberOrTag::Number(number) => number,
        BlockNumberOrTag::Earliest => 0,
        _ => chain.latest().number(),
    }
}

fn find(chain: &Chain, id: BlockId) -> Option<&Block> {
    match id {
        BlockId::Hash(hash) => chain.block_by_hash(&hash.block_hash),
        BlockId::Number(tag) if tag.is_pending() => None,
        BlockId::Number(tag) => chain.block(number(chain, tag)),
    }
}

/// State is kept at the latest block only; the next block's number is what `pending` means.
fn check_state(chain: &Chain, params: &Params, index: usize) -> Result<(), RpcError> {
    let latest = chain.latest();
    let Some(id) = params.optional::<BlockId>(index, "block")? else {
        return Ok(());
    };
    let fits = match id {
        BlockId::Hash(hash) => hash.block_hash == latest.hash(),
        BlockId::Number(tag) => {
            (latest.number()..=latest.number() + 1).contains(&number(chain, tag))
        }
    };
    if fits {
        Ok(())
    } else {
        let asked: Value = params.get(index, "block")?;
        Err(RpcError::server(no_state(&asked, latest.number())))
    }
}

fn no_state(asked: &Value, latest: u64) -> String {
    format!(
        "missing state of block {asked}: a dev chain keeps state at its latest block only, which \
         is {latest}"
    )
}
