//! The embedded dev chain: one process's own EVM chain for demos and tests. It is a dev chain and
//! nothing more: no consensus, no peers, no proofs, and keys that everybody knows.
//!
//! ```text
//! transport (in process) ┐                         ┌─ read ──▶ chain: blocks, state, clock ─▶ execute (revm)
//!                        ├─▶ DevChain ─▶ rpc ──────┤               ▲ commit
//! server (loopback HTTP) ┘   lock, wall clock      └─ change ─▶ ledger ─▶ journal: on disk first
//! ```
//! * Each transaction is mined at once into a block of its own. There is no queue: a nonce ahead is
//!   refused.
//! * Blocks are final at once; blocks and receipts are kept for ever, state only at the latest
//!   block.
//! * The base fee is constant. Rules are those of Cancun.
//! * Calls see the time of the next block, so time-dependent checks see a time that was set before
//!   any block has it.
//! * [`DevChain::open`] keeps the chain in a folder. The first process owns it and serves it on
//!   127.0.0.1; further ones are told where. After a crash the same commands are replayed and lead
//!   to the same blocks.
//!
//! ```
//! use swarm_devchain::{DevChain, Options, dev_accounts};
//!
//! let chain = DevChain::in_memory(Options::standing(1_800_000_000));
//! let provider = chain.provider(); // reads and sends like any other alloy provider
//! # drop(provider);
//! chain.set_time(1_800_000_060)?;
//! assert_eq!((chain.now(), dev_accounts().len()), (1_800_000_060, 10));
//! # Ok::<(), swarm_devchain::ChangeError>(())
//! ```
//! Bounds: connections ([`connections::MAX_CONNECTIONS`]), a request ([`rpc::MAX_REQUEST_BYTES`]),
//! a batch ([`rpc::MAX_BATCH`]), a transaction ([`transaction::MAX_TRANSACTION_BYTES`]), gas
//! ([`rules::BLOCK_GAS_LIMIT`]), an answer's events ([`logs::MAX_LOGS`]), blocks mined by one
//! command ([`command::MAX_MINED`]) and the journal ([`journal::MAX_JOURNAL`]). Not offered: blobs,
//! delegations, subscriptions, filters, traces, snapshots, state overrides, and calls in a
//! contract's name.

pub mod accounts;
pub mod block;
pub mod call;
pub mod chain;
pub mod clock;
pub mod command;
pub mod connections;
mod dev_chain;
pub mod execute;
pub mod frame;
pub mod journal;
pub mod ledger;
pub mod logs;
pub mod open;
#[cfg(test)]
mod probe;
pub mod rpc;
pub mod rules;
pub mod server;
mod shared;
#[cfg(test)]
mod tests;
pub mod transaction;
pub mod transport;

pub use self::accounts::{DevAccount, dev_accounts};
pub use self::clock::Clock;
pub use self::dev_chain::{CHAIN_ID, DevChain, Options};
pub use self::journal::Torn;
pub use self::ledger::ChangeError;
pub use self::open::{OpenError, Opened};
pub use self::server::{ServeError, Server};
pub use self::transport::Transport;
