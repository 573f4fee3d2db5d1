//! Methods that change the chain. All of them are in the journal before they are answered.

use alloy::primitives::{B256, Bytes, U64};
use serde::Deserialize;

use super::error::RpcError;
use super::params::Params;
use crate::ledger::Ledger;

/// A number as other dev chains accept it: a JSON number, or a string in hexadecimal or decimal.
#[derive(Deserialize)]
#[serde(transparent)]
struct Number(U64);

impl Number {
    fn get(self) -> u64 {
        self.0.to()
    }
}

pub(super) fn send(ledger: &mut Ledger, wall: u64, params: &Params) -> Result<B256, RpcError> {
    let raw: Bytes = params.get(0, "transaction")?;
    Ok(ledger.send(&raw, wall)?)
}

/// `evm_mine`: one block, at a time if one is given.
pub(super) fn mine_one(
    ledger: &mut Ledger,
    wall: u64,
    params: &Params,
) -> Result<&'static str, RpcError> {
    if let Some(time) = params.optional::<Number>(0, "timestamp")? {
        let time = time.get();
        ledger.set_clock(|clock, latest| clock.pin(time, wall, latest))?;
    }
    ledger.mine(1, wall)?;
    Ok("0x0")
}

/// `anvil_mine`: many blocks of one time.
pub(super) fn mine(ledger: &mut Ledger, wall: u64, params: &Params) -> Result<(), RpcError> {
    params.none(1, "interval")?;
    let count = params
        .optional::<Number>(0, "blocks")?
        .map_or(1, Number::get);
    Ok(ledger.mine(count, wall)?)
}

/// `evm_increaseTime`: seconds; returns them.
pub(super) fn increase_time(
    ledger: &mut Ledger,
    wall: u64,
    params: &Params,
) -> Result<u64, RpcError> {
    let seconds = params.get::<Number>(0, "seconds")?.get();
    ledger.set_clock(|clock, latest| clock.advance(seconds, wall, latest))?;
    Ok(seconds)
}

/// `evm_setNextBlockTimestamp`: for the next block, time goes on from there.
pub(super) fn pin_time(ledger: &mut Ledger, wall: u64, params: &Params) -> Result<(), RpcError> {
    let time = params.get::<Number>(0, "timestamp")?.get();
    Ok(ledger.set_clock(|clock, latest| clock.pin(time, wall, latest))?)
}

/// `devchain_setTime`: time stands still there.
pub(super) fn set_time(ledger: &mut Ledger, params: &Params) -> Result<(), RpcError> {
    let time = params.get::<Number>(0, "timestamp")?.get();
    Ok(ledger.set_clock(|clock, latest| clock.set(time, latest))?)
}
