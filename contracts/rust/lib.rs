//! What a node needs to talk to the contracts of its swarm: typed bindings, a client, a writer of
//! transactions, and what members sign.
//!
//! ```text
//! deploy, swarm      what a swarm asks its contracts and tells them
//!    │      │
//!    ▼      ▼
//!  writer  cursor    transactions that happen once │ events, in order
//!    │      │
//!    ▼      ▼
//!    client          one checked connection: an RPC server, or a dev chain in this process
//!
//! bindings           the contracts' calls, events and errors, from their ABI
//! scores, typed      the Merkle tree of an epoch's scores │ what is signed (EIP-712)
//! ```
//!
//! ```
//! use std::sync::Arc;
//!
//! use contracts::client::Client;
//! use contracts::deploy::{Parameters, deploy};
//! use contracts::swarm::Swarm;
//! use contracts::writer::{MemoryStore, Submitted, Writer, WriterConfig};
//! use contracts::{Address, U256};
//! use swarm_devchain::{DevChain, Options, dev_accounts};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let chain = DevChain::in_memory(Options::standing(1_800_000_000));
//! let client = Client::over(chain.client(), "the dev chain", chain.chain_id()).await?;
//! // This chain never reorganises, and looking at it costs nothing.
//! let config = WriterConfig { confirmations: 0, poll_ms: 10, ..WriterConfig::default() };
//! let signer = dev_accounts()[0].signer.clone();
//! let writer = Writer::start(client.clone(), signer, Arc::new(MemoryStore::default()), config)?;
//!
//! let parameters = Parameters {
//!     genesis: chain.now(),
//!     round_length: 60,
//!     rounds_per_epoch: 10,
//!     exit_delay: 1_200,
//!     claim_window: 86_400,
//!     units_per_point: 1,
//!     epoch_cap: 1_000_000,
//!     slasher: Address::ZERO,
//! };
//! let mut submitted = Submitted::default();
//! let contracts = deploy(&writer, &parameters, None, chain.now(), &mut submitted).await?;
//!
//! let swarm = Swarm::new(client, (&contracts).into());
//! assert_eq!(swarm.pool().await?, U256::ZERO);
//! # Ok(())
//! # }
//! ```
//! The dev chain is a crate of its own, `swarm-devchain`; neither depends on the other to run.

pub use alloy::primitives::{Address, B256, Bytes, U256};
pub use alloy::signers::local::PrivateKeySigner;

pub mod bindings;
pub mod client;
pub mod court;
pub mod cursor;
pub mod deploy;
pub mod earnings;
pub mod outcome;
pub mod scores;
pub mod swarm;
pub mod typed;
pub mod writer;
