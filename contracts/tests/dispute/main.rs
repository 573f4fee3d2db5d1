//! Dispute games: the rules in Solidity against those of `verde`, move by move.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../shared/evm.rs"]
mod evm;
mod rules;
mod smallest;
mod twins;
