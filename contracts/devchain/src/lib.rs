//! An Ethereum chain inside one process, for demos and tests.
//!
//! It executes transactions with [revm](https://docs.rs/revm) and answers the JSON-RPC of Ethereum:
//! to alloy in the same process, and over HTTP to other programs of the same machine. It is a dev
//! chain and nothing more: no consensus, no peers, no proofs, and keys that everybody knows.
//!
//! ```text
//! Transport (in process) ┐          ┌─ reads ───▶ Chain: blocks, state, clock ─▶ execute (revm)
//!                        ├─▶ rpc ───┤               ▲ commit
//! Server (loopback HTTP) ┘  lock    └─ changes ─▶ Ledger ─▶ Journal: on disk before it is answered
//! ```
//!
//! ```
//! use alloy::network::{EthereumWallet, TransactionBuilder};
//! use alloy::primitives::{U256, hex};
//! use alloy::providers::{Provider, ProviderBuilder};
//! use alloy::rpc::types::TransactionRequest;
//! use swarm_devchain::{DevChain, Options, dev_accounts};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // Time begins at this second and stands still until it is set.
//! let chain = DevChain::in_memory(Options::standing(1_800_000_000));
//! let provider = ProviderBuilder::new()
//!     .wallet(EthereumWallet::from(dev_accounts()[0].signer.clone()))
//!     .connect_client(chain.client());
//!
//! // A contract that returns the time of its block: TIMESTAMP, then MSTORE and RETURN.
//! let code = hex!("6009600c60003960096000f3" "4260005260206000f3");
//! let deployment = TransactionRequest::default().with_deploy_code(code);
//! let receipt = provider.send_transaction(deployment).await?.get_receipt().await?;
//! let contract = receipt.contract_address.ok_or("no contract")?;
//!
//! // A call sees the time of the next block.
//! chain.set_time(1_800_000_060)?;
//! let answer = provider.call(TransactionRequest::default().with_to(contract)).await?;
//! assert_eq!(U256::from_be_slice(&answer), U256::from(1_800_000_060));
//! # Ok(())
//! # }
//! ```
//!
//! # What it does otherwise than other chains
//! * Each transaction is mined at once into a block of its own. There is no queue: a nonce ahead is
//!   refused.
//! * Blocks are final at once; blocks and receipts are kept for ever, state only at the latest
//!   block.
//! * The base fee is constant, and the rules are those of the Cancun fork ([`rules`]).
//! * Calls see the time of the next block, so that a contract can be asked about a time that was
//!   set before any block has it.
//!
//! # A chain in a folder
//! [`DevChain::open`] keeps the chain in a folder. The first process owns it and serves it on
//! 127.0.0.1; further ones are told where. Every change is in the journal before it is answered.
//! After a crash the same commands are replayed and lead to the same blocks.
//!
//! # Limits
//! Bounded are connections ([`connections::MAX_CONNECTIONS`]), a request
//! ([`rpc::MAX_REQUEST_BYTES`]), a batch ([`rpc::MAX_BATCH`]), a transaction
//! ([`transaction::MAX_TRANSACTION_BYTES`]), gas ([`rules::BLOCK_GAS_LIMIT`]), an answer's events
//! ([`logs::MAX_LOGS`]), blocks mined by one command ([`command::MAX_MINED`]) and the journal
//! ([`journal::MAX_JOURNAL`]). Not offered: blobs, delegations, subscriptions, filters, traces,
//! snapshots, state overrides, and calls in a contract's name.

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
