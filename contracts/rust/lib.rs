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
//! outcome, typed     what owners sign about epochs, packed and as EIP-712
//! jobs               jobs of training, their money and contracts
//! game               moves and positions of dispute games, as the contracts read them
//! earnings, court    the Merkle table of all that owners earned │ who judges a dispute
//! ```
//!
//! ```
//! use std::sync::Arc;
//!
//! use contracts::client::Client;
//! use contracts::deploy::{Parameters, deploy};
//! use contracts::swarm::Swarm;
//! use contracts::writer::{MemoryStore, Submitted, Writer, WriterConfig};
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
//!     exit_delay: 7_200,
//!     units_per_point: 1,
//!     epoch_cap: 1_000_000,
//!     minimum_stake: 1,
//!     submitter_fee: 0,
//!     proposal_bond: 10_000,
//!     objection_bond: 10_000,
//!     proposal_window: 1_800,
//!     objection_window: 600,
//!     court_window: 600,
//!     seed_delay: 2,
//!     slash_fraction: 1_000,
//!     slashers: vec![],
//! };
//! let mut submitted = Submitted::default();
//! let now = chain.now();
//! let contracts = deploy(&client, &writer, &parameters, None, now, &mut submitted).await?;
//!
//! let swarm = Swarm::new(client, (&contracts).into());
//! assert_eq!(swarm.pool().await?.free(), 0);
//! assert_eq!(swarm.slashers().await?, [contracts.slasher]);
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
pub mod game;
pub mod jobs;
pub mod outcome;
pub mod swarm;
pub mod typed;
pub mod writer;
