//! Limits and waits of a writer.

use serde::{Deserialize, Serialize};

/// How a writer behaves. Times in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WriterConfig {
    /// Blocks on top of a transaction's block until it is final; 0 for a chain that never
    /// reorganises.
    pub confirmations: u64,
    /// Between two looks at the chain while there is something to do.
    pub poll_ms: u64,
    /// Between two looks at the chain while there is nothing to do.
    pub idle_ms: u64,
    /// Until a transaction that is not included is broadcast again.
    pub resend_ms: u64,
    /// Until a transaction that is not included offers more.
    pub bump_ms: u64,
    /// The most that is ever offered, in wei per gas.
    pub fee_cap: u128,
    /// Transactions broadcast and not included.
    pub in_flight: usize,
    /// Intents that are not done; more are not taken.
    pub live: usize,
    /// Intents that are done and remembered.
    pub done: usize,
}

impl Default for WriterConfig {
    fn default() -> Self {
        Self {
            confirmations: 12,
            poll_ms: 2_000,
            idle_ms: 60_000,
            resend_ms: 30_000,
            bump_ms: 60_000,
            fee_cap: 500_000_000_000,
            in_flight: 16,
            live: 256,
            done: 1_024,
        }
    }
}
