//! What the core wants done, and what came of it.

use alloy::primitives::{B256, Bytes};

use crate::client::{Call, Revert};
use crate::writer::intent::{Inclusion, IntentId, Record};
use crate::writer::view::View;

/// One thing to do. The next one is asked for when its [`Event`] was handled.
#[derive(Clone, Debug)]
pub enum Action {
    /// Write the record to the store.
    Write(Box<Record>),
    /// Remove a record from the store.
    Remove(IntentId),
    /// Look at the chain.
    Look,
    /// Find the transaction in the chain, under any of its hashes.
    Locate(IntentId, Vec<B256>),
    /// Try the call and say what gas it takes.
    Preflight(IntentId, Call),
    /// Hand the transaction to the chain.
    Broadcast(IntentId, Bytes),
}

/// What came of an [`Action`].
#[derive(Clone, Debug)]
pub enum Event {
    /// The store was changed.
    Stored,
    /// The store was not changed; another time it may work.
    NotStored(String),
    /// The chain was seen.
    Looked(View),
    /// The transaction is there, or nowhere.
    Located(IntentId, Option<Inclusion>),
    /// The gas that the call takes, or why it takes none.
    Estimated(IntentId, Result<u64, EstimateError>),
    /// What the chain said to the transaction.
    Broadcast(IntentId, BroadcastOutcome),
    /// The chain did not answer; another time it may.
    Failed(String),
}

/// Why a call has no estimate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EstimateError {
    /// It reverts.
    Revert(Revert),
    /// The node does not take it, for this reason, which may pass.
    Other(String),
}

/// What a chain says to a transaction that is handed to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BroadcastOutcome {
    /// It is known.
    Known,
    /// Its nonce is used.
    NonceUsed,
    /// It offers too little, often less than another one with its nonce.
    Underpriced,
    /// It is not taken, for this reason, which may pass.
    Other(String),
}

impl BroadcastOutcome {
    /// Reads a refusal: nodes have no codes for these, only words.
    pub fn read(message: &str) -> Self {
        let words = message.to_lowercase();
        let says = |any: &[&str]| any.iter().any(|text| words.contains(text));
        match () {
            () if says(&[
                "already known",
                "known transaction",
                "already imported",
                "already exists",
            ]) =>
            {
                Self::Known
            }
            () if says(&["nonce too low", "nonce is too low", "oldnonce"]) => Self::NonceUsed,
            () if says(&["underpriced", "less than block base fee", "fee too low"]) => {
                Self::Underpriced
            }
            () => Self::Other(message.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_of_known_nodes_are_read() {
        for (message, outcome) in [
            ("already known", BroadcastOutcome::Known),
            ("transaction already imported", BroadcastOutcome::Known),
            (
                "nonce too low: next nonce 5, tx nonce 4",
                BroadcastOutcome::NonceUsed,
            ),
            (
                "replacement transaction underpriced",
                BroadcastOutcome::Underpriced,
            ),
            (
                "max fee per gas less than block base fee",
                BroadcastOutcome::Underpriced,
            ),
            (
                "txpool is full",
                BroadcastOutcome::Other("txpool is full".into()),
            ),
        ] {
            assert_eq!(BroadcastOutcome::read(message), outcome, "{message}");
        }
    }
}
