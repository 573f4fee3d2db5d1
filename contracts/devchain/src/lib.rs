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
//! ([`block::BLOCK_GAS_LIMIT`]), an answer's events ([`logs::MAX_LOGS`]), blocks mined by one
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
pub mod execute;
pub mod frame;
pub mod journal;
pub mod ledger;
pub mod logs;
pub mod open;
#[cfg(test)]
mod probe;
pub mod rpc;
pub mod server;
#[cfg(test)]
mod tests;
pub mod transaction;
pub mod transport;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use alloy::providers::{DynProvider, Provider, RootProvider};
use alloy::rpc::client::RpcClient;

pub use self::accounts::{DevAccount, dev_accounts};
pub use self::clock::Clock;
pub use self::journal::Torn;
pub use self::ledger::ChangeError;
pub use self::open::{OpenError, Opened};
pub use self::server::{ServeError, Server};
pub use self::transport::Transport;

use self::chain::{Chain, Identity};
use self::ledger::Ledger;

/// Id of a dev chain unless another is asked for (EIP-155).
pub const CHAIN_ID: u64 = 31_338;

/// How a new dev chain begins. A chain in a folder has begun already when it is opened again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The chain's id (EIP-155).
    pub chain_id: u64,
    /// Time of the first block in Unix seconds, `None`: what the clock shows.
    pub genesis_time: Option<u64>,
    /// Its clock.
    pub clock: Clock,
    /// TCP port on 127.0.0.1 where a chain in a folder is served, 0: any free one.
    pub port: u16,
}

impl Default for Options {
    /// The wall clock, and any port.
    fn default() -> Self {
        Self {
            chain_id: CHAIN_ID,
            genesis_time: None,
            clock: Clock::running(),
            port: 0,
        }
    }
}

impl Options {
    /// Virtual time: it begins at `time` (Unix seconds) and stands still until it is set.
    pub fn standing(time: u64) -> Self {
        Self {
            clock: Clock::standing(time),
            ..Self::default()
        }
    }

    fn identity(&self) -> Identity {
        let genesis_time = self
            .genesis_time
            .unwrap_or_else(|| self.clock.now(wall_clock()));
        Identity {
            chain_id: self.chain_id,
            genesis_time,
            clock: self.clock,
        }
    }
}

/// A handle to a dev chain. All clones are the same chain, which is closed with the last handle or
/// transport.
#[derive(Clone, Debug)]
pub struct DevChain {
    /// Dropped first: the server holds the ledger.
    server: Option<Arc<Server>>,
    ledger: Arc<Mutex<Ledger>>,
    torn: Option<Torn>,
}

impl DevChain {
    /// A chain that ends with its last handle.
    pub fn in_memory(options: Options) -> Self {
        let ledger = Ledger::in_memory(Chain::new(options.identity()));
        Self {
            ledger: Arc::new(Mutex::new(ledger)),
            server: None,
            torn: None,
        }
    }

    /// An alloy transport that answers in this process.
    pub fn transport(&self) -> Transport {
        Transport(self.clone())
    }

    /// An alloy client over [`Self::transport`].
    pub fn client(&self) -> RpcClient {
        RpcClient::new(self.transport(), true)
    }

    /// An alloy provider over [`Self::transport`], without fillers.
    pub fn provider(&self) -> DynProvider {
        RootProvider::new(self.client()).erased()
    }

    /// Answers JSON-RPC: a request or a batch; `None` to notifications.
    pub fn handle(&self, request: &[u8]) -> Option<Vec<u8>> {
        rpc::handle(&mut self.lock(), wall_clock(), request)
    }

    /// Stops time at `time` (Unix seconds): the next blocks have it, and calls see it, until it is
    /// set again.
    ///
    /// # Errors
    /// [`ChangeError::Time`] if the latest block is later; [`ChangeError::Journal`] if it cannot be
    /// written down.
    pub fn set_time(&self, time: u64) -> Result<(), ChangeError> {
        self.lock()
            .set_clock(|clock, latest| clock.set(time, latest))
    }

    /// Gives the next block exactly this time (Unix seconds); the clock goes on from there.
    ///
    /// # Errors
    /// As [`Self::set_time`].
    pub fn set_next_timestamp(&self, time: u64) -> Result<(), ChangeError> {
        self.lock()
            .set_clock(|clock, latest| clock.pin(time, wall_clock(), latest))
    }

    /// Moves the clock ahead by seconds.
    ///
    /// # Errors
    /// As [`Self::set_time`].
    pub fn increase_time(&self, seconds: u64) -> Result<(), ChangeError> {
        self.lock()
            .set_clock(|clock, latest| clock.advance(seconds, wall_clock(), latest))
    }

    /// Time of the next block in Unix seconds, which calls see.
    pub fn now(&self) -> u64 {
        self.lock().chain().next_timestamp(wall_clock())
    }

    /// Mines empty blocks.
    ///
    /// # Errors
    /// [`ChangeError::Blocks`] above [`command::MAX_MINED`]; [`ChangeError::Journal`] if it cannot
    /// be written down.
    pub fn mine(&self, count: u64) -> Result<(), ChangeError> {
        self.lock().mine(count, wall_clock())
    }

    /// The chain's id (EIP-155).
    pub fn chain_id(&self) -> u64 {
        self.lock().chain().id()
    }

    /// What a killed process had left in the journal, if it was so when the chain was opened.
    pub fn torn(&self) -> Option<&Torn> {
        self.torn.as_ref()
    }

    /// Where the chain is served by HTTP, `None` for one in memory.
    pub fn url(&self) -> Option<&str> {
        self.server.as_deref().map(Server::url)
    }

    /// Whether the chain can be reached: false once a fault has ended its server. One in memory
    /// always can.
    pub fn is_served(&self) -> bool {
        self.server
            .as_ref()
            .is_none_or(|server| server.is_running())
    }

    fn lock(&self) -> MutexGuard<'_, Ledger> {
        // A change is committed as a whole or not at all, so the ledger is sound even after a panic
        // elsewhere.
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The wall clock in Unix seconds.
fn wall_clock() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| time.as_secs())
}
