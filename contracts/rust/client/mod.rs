//! A connection to a chain, checked: its chain id is the expected one before anything else is
//! asked.
//!
//! [`Client`] wraps alloy's provider without its fillers: the nonce and the gas of a transaction
//! are the business of [`crate::writer`] alone. Every question has a time limit, and every error
//! says what was asked: [`RpcError`] keeps apart an endpoint that is unavailable (ask again), a
//! call that reverts (with its reason), and a refusal.
//!
//! Addresses of endpoints often carry a key, so nothing shows more of them than [`RpcUrl`] does:
//! neither errors of ours, nor those of the libraries below, nor what a server says.

mod connect;
mod error;
mod read;
mod revert;
mod url;

use std::sync::Arc;
use std::time::Duration;

use alloy::providers::DynProvider;
use alloy::transports::TransportError;

pub use error::{ConnectError, RpcError};
pub use read::{Block, Call, Logs};
pub use revert::Revert;
pub use url::{RpcUrl, UrlError, without_keys};

/// Longest wait for an answer.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// Waits before a question is asked again, each time that an endpoint is unavailable, unless
/// [`Client::with_waits`] says other ones.
pub const WAITS: [Duration; 3] = [
    Duration::from_millis(50),
    Duration::from_millis(200),
    Duration::from_millis(500),
];

/// A chain, through its JSON-RPC. Clones share the connection.
#[derive(Clone, Debug)]
pub struct Client {
    provider: DynProvider,
    endpoint: Arc<str>,
    /// Whose keys are cut out of errors; none where no server is asked.
    url: Option<Arc<RpcUrl>>,
    chain_id: u64,
    waits: [Duration; 3],
}

impl Client {
    /// Waits so long before a question is asked again, instead of [`WAITS`].
    #[must_use]
    pub fn with_waits(self, waits: [Duration; 3]) -> Self {
        Self { waits, ..self }
    }

    /// The chain's id (EIP-155).
    pub fn chain_id(&self) -> u64 {
        self.chain_id
    }

    /// The endpoint's address without keys, or the name of what runs in this process.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// alloy's provider, for typed reads through [`crate::bindings`]. It has no wallet: it cannot
    /// send.
    pub fn provider(&self) -> &DynProvider {
        &self.provider
    }

    /// Asks with a time limit and sorts the error. A line that fails now and then is asked again at
    /// once: a caller that needs ten answers in a row would otherwise get nowhere on a line that
    /// fails one time in five.
    async fn ask<T, Q: IntoFuture<Output = Result<T, TransportError>>>(
        &self,
        what: &'static str,
        question: impl Fn() -> Q,
    ) -> Result<T, RpcError> {
        let mut waits = self.waits.into_iter();
        loop {
            let answer = tokio::time::timeout(ANSWER_TIMEOUT, question().into_future()).await;
            let silence = || RpcError::Unavailable {
                what,
                cause: format!("no answer within {} s", ANSWER_TIMEOUT.as_secs()),
            };
            let answer = answer
                .map_err(|_| silence())?
                .map_err(|error| RpcError::classify(what, error, self.url.as_deref()));
            match (answer, waits.next()) {
                (Err(error), Some(wait)) if error.is_transient() => tokio::time::sleep(wait).await,
                (answer, _) => return answer,
            }
        }
    }
}
