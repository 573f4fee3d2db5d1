//! The settings of a chain.

use std::fmt;

use contracts::client::without_keys;
use serde::Deserialize;
use swarm_settings::{Kind, section};

section! {
    /// The chain on which rewards are settled.
    pub struct ChainConfig: "chain" {
        /// Where rewards are settled: `embedded` (a dev chain in this process), `none`, or the URL
        /// of an RPC server.
        endpoint: EndpointText = "embedded", Kind::Redacted(without_keys);
        /// Chain id that the server must have; 0 takes dev chains only.
        id: u64 = "0", Kind::Integer(0, i64::MAX);
        /// Blocks on top of a transaction that make it final; -1 takes 0 on dev chains and 4
        /// elsewhere.
        confirmations: i64 = "-1", Kind::Integer(-1, 1000);
        /// Milliseconds between two looks at the chain.
        poll_ms: u64 = "500", Kind::Integer(10, 600_000);
        /// Seconds that a command waits at its end for the chain.
        wait_s: u64 = "120", Kind::Integer(0, 86_400);
        /// The most that is paid for a unit of gas, in gwei.
        max_fee_gwei: f64 = "500", Kind::Number(0.0, 1e9);
    }
}

/// Where a chain is, as it was given. It may be a URL with a key, so that it shows itself without.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct EndpointText(String);

impl EndpointText {
    /// All of it, for nothing but to connect.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for EndpointText {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for EndpointText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EndpointText({})", without_keys(&self.0))
    }
}
