//! Dispute games: the rules in Solidity against those of `verde`, move by move.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod evm;
mod rules;
