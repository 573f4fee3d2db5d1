//! The arithmetic libraries of the contracts against Rust, by way of an EVM in memory.
//!
//! ```text
//! operands ─┬─► Rust: the law, a tree of tiles ─────┐
//!           └─► evm: harness contracts of `test/` ──┴─► equal bits, or the first case that differs
//! ```
//! Everything random comes from a fixed seed.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod binary32;
#[path = "../shared/evm.rs"]
mod evm;
mod operands;
#[path = "../shared/random.rs"]
mod random;
mod tile_tree;
