//! A connection to the chain of the settings.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use contracts::client::{Client, ConnectError, RpcError, RpcUrl};
use contracts::writer::WriterConfig;
use swarm_devchain::{DevChain, Options};
use thiserror::Error;

use super::clock::ChainClock;
use super::config::ChainConfig;
use super::endpoint::{self, DEV_CHAINS, Endpoint, EndpointError};

/// Between two looks at the embedded chain, which costs nothing.
const EMBEDDED_POLL: Duration = Duration::from_millis(20);
/// Between a question that found no answer and the same question again.
const ASK_AGAIN: Duration = Duration::from_millis(500);
/// Transactions that are done and remembered by a node's writer. One that is forgotten and wanted
/// again is refused by the contract before it is sent. With submissions of hundreds of signatures
/// each may take 200 KB on disk.
const DONE: usize = 128;
/// Wei in a gwei.
const GWEI: f64 = 1e9;

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LinkError {
    /// The settings name no chain that may be used.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The chain does not answer, or is another one.
    #[error(transparent)]
    Connect(#[from] ConnectError),
}

impl LinkError {
    /// True if the same settings may work later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Connect(ConnectError::Dead { .. }))
    }
}

/// The chain of the settings.
#[derive(Clone, Debug)]
pub struct Link {
    /// The connection.
    pub client: Client,
    /// The chain itself, if it is embedded.
    pub dev: Option<DevChain>,
    /// Blocks on top of a transaction that make it final.
    pub confirmations: u64,
    /// Between two looks at the chain.
    pub poll: Duration,
    fee_cap: u128,
}

impl Link {
    /// Connects to the chain of the settings; `None` where they say `none`. An embedded chain is
    /// made anew, and its time stands at `genesis` (Unix seconds).
    ///
    /// # Errors
    /// [`LinkError`].
    pub async fn connect(config: &ChainConfig, genesis: u64) -> Result<Option<Self>, LinkError> {
        match Endpoint::of(config)? {
            Endpoint::None => Ok(None),
            Endpoint::Embedded => Self::embedded(config, genesis).await.map(Some),
            Endpoint::Url(url) => Self::remote(config, &url).await.map(Some),
        }
    }

    async fn embedded(config: &ChainConfig, genesis: u64) -> Result<Self, LinkError> {
        let dev = DevChain::in_memory(Options::standing(genesis));
        let client = Client::over(dev.client(), "the embedded chain", dev.chain_id()).await?;
        Ok(Self {
            dev: Some(dev),
            poll: EMBEDDED_POLL,
            ..Self::new(config, client)
        })
    }

    async fn remote(config: &ChainConfig, url: &RpcUrl) -> Result<Self, LinkError> {
        let guess = if config.id == 0 {
            DEV_CHAINS[1]
        } else {
            config.id
        };
        let client = match Client::connect(url, guess).await {
            Err(ConnectError::WrongChain { actual, .. }) if config.id == 0 => {
                Client::connect(url, endpoint::expected_id(config, url, actual)?).await
            }
            client => client,
        };
        Ok(Self::new(config, client?))
    }

    fn new(config: &ChainConfig, client: Client) -> Self {
        let confirmations = endpoint::confirmations(config, client.chain_id());
        // The schema bounds the setting, so that the product fits.
        let fee_cap = (config.max_fee_gwei * GWEI) as u128;
        Self {
            client,
            dev: None,
            confirmations,
            poll: Duration::from_millis(config.poll_ms),
            fee_cap,
        }
    }

    /// How a writer behaves on this chain.
    pub fn writer(&self) -> WriterConfig {
        #[expect(clippy::expect_used, reason = "made of 64 bits of milliseconds")]
        let poll_ms = u64::try_from(self.poll.as_millis())
            .expect("invariant: the time between two looks is short");
        let usual = WriterConfig::default();
        WriterConfig {
            confirmations: self.confirmations,
            poll_ms,
            idle_ms: poll_ms.saturating_mul(4),
            resend_ms: poll_ms.saturating_mul(10).clamp(2_000, usual.resend_ms),
            bump_ms: poll_ms.saturating_mul(30).clamp(5_000, usual.bump_ms),
            fee_cap: self.fee_cap,
            done: DONE,
            ..usual
        }
    }

    /// The chain's time in Unix seconds: what the next block will say, as far as one can know.
    ///
    /// # Errors
    /// [`RpcError`] if the chain does not answer.
    pub async fn now(&self) -> Result<u64, RpcError> {
        match &self.dev {
            Some(dev) => Ok(dev.now()),
            // A chain that mines on demand shows an old block until somebody sends a transaction.
            None => Ok(self.client.head().await?.timestamp.max(wall_clock())),
        }
    }

    /// Takes into `clock` that the newest block has this time.
    pub fn observe(&self, clock: &mut ChainClock, block: u64) {
        clock.observe(self.dev.as_ref().map_or(block, DevChain::now), self.wall());
    }

    /// The wall clock, beside which a server's word on time is judged; `None` for an embedded
    /// chain, whose time is its own.
    pub fn wall(&self) -> Option<u64> {
        self.dev.is_none().then(wall_clock)
    }

    /// Lets time pass on an embedded chain; other chains have their own.
    pub fn pass(&self, seconds: u64) {
        if let Some(dev) = &self.dev {
            self.advance_to(dev.now().saturating_add(seconds));
        }
    }

    /// Moves the time of an embedded chain on; other chains have their own.
    pub fn advance_to(&self, time: u64) {
        if let Some(dev) = &self.dev {
            // Time that has passed already needs no setting, and a chain in memory has no journal
            // to fail.
            let _ = dev.set_time(time.max(dev.now()));
        }
    }
}

/// Asks until the chain answers, whatever its server does in between; a refusal is an answer.
///
/// # Errors
/// [`RpcError`] that asking again would not change.
pub async fn patiently<T, F: Future<Output = Result<T, RpcError>>>(
    question: impl Fn() -> F,
) -> Result<T, RpcError> {
    loop {
        match question().await {
            Err(error) if error.is_transient() => tokio::time::sleep(ASK_AGAIN).await,
            answer => return answer,
        }
    }
}

/// The wall clock in Unix seconds.
pub fn wall_clock() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| time.as_secs())
}
