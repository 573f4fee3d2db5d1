//! Money and the final word: typed bindings to the contracts in `src/`, and what a node needs to
//! talk to them.
//!
//! ```text
//! client ──▶ an EVM chain by JSON-RPC, or a dev chain in this process
//!   ├─ deploy   puts the contracts on a chain, reads and writes deployment files
//!   ├─ writer   one per account: intent → effect → done, own nonces, fee bumps, resends
//!   ├─ cursor   events by `getLogs`, with reorganisations
//!   ├─ swarm    the contracts of one swarm: reads, call data, events
//!   └─ scores, typed   what members sign (EIP-712) and what a claim proves (Merkle)
//! ```
//! The dev chain is a crate of its own, `swarm-devchain`; neither imports the other.

pub use alloy::primitives::{Address, B256, Bytes, U256};
pub use alloy::signers::local::PrivateKeySigner;

pub mod bindings;
pub mod client;
pub mod cursor;
pub mod deploy;
pub mod scores;
pub mod swarm;
pub mod typed;
pub mod writer;
