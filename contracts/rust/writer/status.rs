//! What a writer says about itself.

use std::fmt;

use alloy::primitives::{Address, U256};

use super::intent::IntentId;
use super::view::View;

/// Why an intent waits.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WaitReason {
    /// The account cannot pay for it.
    Underfunded {
        /// Wei that the account holds.
        balance: U256,
        /// Wei that it must hold for this and what is under way.
        need: U256,
    },
    /// The chain is dearer than the writer may pay.
    TooDear {
        /// Wei per gas that would be needed.
        need: u128,
        /// Wei per gas that are allowed.
        cap: u128,
    },
    /// The node does not take it, in its words.
    NotTaken(String),
}

impl fmt::Display for WaitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Underfunded { balance, need } => {
                write!(
                    f,
                    "the account holds {balance} wei and needs {need}; send it {} wei",
                    need.saturating_sub(*balance)
                )
            }
            Self::TooDear { need, cap } => {
                write!(
                    f,
                    "the chain asks {need} wei per gas, above the cap of {cap}; wait, or raise \
                     chain.max_fee_gwei"
                )
            }
            Self::NotTaken(message) => {
                write!(f, "the node does not take it: {message}; it is sent again")
            }
        }
    }
}

/// The chain or the store does not work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outage {
    /// Since when, in milliseconds since 1970.
    pub since: u64,
    /// When it is tried again, in milliseconds since 1970.
    pub retry_at: u64,
    /// Failures in a row.
    pub tries: u32,
    /// What happened last.
    pub cause: String,
}

/// A writer at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// The account.
    pub account: Address,
    /// The chain as last seen.
    pub view: Option<View>,
    /// Intents without a nonce.
    pub queued: usize,
    /// Intents broadcast and not included.
    pub sent: usize,
    /// Intents included and not final.
    pub included: usize,
    /// Intents done and remembered.
    pub done: usize,
    /// Intents that wait, and why.
    pub waiting: Vec<(IntentId, WaitReason)>,
    /// The current outage, if there is one.
    pub outage: Option<Outage>,
}

impl Status {
    /// Intents that are not done.
    pub fn live(&self) -> usize {
        self.queued + self.sent + self.included
    }
}
