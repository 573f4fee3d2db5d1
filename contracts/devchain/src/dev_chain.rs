//! The handle to a dev chain, and how a new one begins.

use std::sync::Arc;

use alloy::providers::{DynProvider, Provider, RootProvider};
use alloy::rpc::client::RpcClient;

use super::chain::{Chain, Identity};
use super::clock::Clock;
use super::journal::Torn;
use super::ledger::{ChangeError, Ledger};
use super::server::{ServeError, Server};
use super::shared::{SharedLedger, wall_clock};
use super::transport::Transport;

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

    pub(super) fn identity(&self) -> Identity {
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
    pub(super) server: Option<Arc<Server>>,
    pub(super) ledger: SharedLedger,
    pub(super) torn: Option<Torn>,
}

impl DevChain {
    /// A chain that ends with its last handle.
    pub fn in_memory(options: Options) -> Self {
        let ledger = Ledger::in_memory(Chain::new(options.identity()));
        Self {
            ledger: SharedLedger::new(ledger),
            server: None,
            torn: None,
        }
    }

    /// An alloy transport that answers in this process.
    pub fn transport(&self) -> Transport {
        Transport {
            _server: self.server.clone(),
            ledger: self.ledger.clone(),
        }
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
        self.ledger.answer(request)
    }

    /// Serves the chain on a port of 127.0.0.1, 0: any free one.
    ///
    /// # Errors
    /// [`ServeError`].
    pub fn serve(&self, port: u16) -> Result<Server, ServeError> {
        Server::start(self.ledger.clone(), port)
    }

    /// Stops time at `time` (Unix seconds): the next blocks have it, and calls see it, until it is
    /// set again.
    ///
    /// # Errors
    /// [`ChangeError::Time`] if the latest block is later; [`ChangeError::Journal`] if it cannot be
    /// written down.
    pub fn set_time(&self, time: u64) -> Result<(), ChangeError> {
        self.ledger
            .lock()
            .set_clock(|clock, latest| clock.set(time, latest))
    }

    /// Gives the next block exactly this time (Unix seconds); the clock goes on from there.
    ///
    /// # Errors
    /// As [`Self::set_time`].
    pub fn set_next_timestamp(&self, time: u64) -> Result<(), ChangeError> {
        self.ledger
            .lock()
            .set_clock(|clock, latest| clock.pin(time, wall_clock(), latest))
    }

    /// Moves the clock ahead by seconds.
    ///
    /// # Errors
    /// As [`Self::set_time`].
    pub fn increase_time(&self, seconds: u64) -> Result<(), ChangeError> {
        self.ledger
            .lock()
            .set_clock(|clock, latest| clock.advance(seconds, wall_clock(), latest))
    }

    /// Time of the next block in Unix seconds, which calls see.
    pub fn now(&self) -> u64 {
        self.ledger.lock().chain().next_timestamp(wall_clock())
    }

    /// Mines empty blocks.
    ///
    /// # Errors
    /// [`ChangeError::Blocks`] above [`MAX_MINED`](super::command::MAX_MINED);
    /// [`ChangeError::Journal`] if it cannot be written down.
    pub fn mine(&self, count: u64) -> Result<(), ChangeError> {
        self.ledger.lock().mine(count, wall_clock())
    }

    /// The chain's id (EIP-155).
    pub fn chain_id(&self) -> u64 {
        self.ledger.lock().chain().id()
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
}
