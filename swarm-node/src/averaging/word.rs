//! What replicas send each other: messages of members, and each other's records.
//!
//! ```text
//! Entries{of me, …} ─▶ everybody          as soon as a round is signed
//! Counts ─▶ everybody, now and then ─▶ Entries{of r, from what you have, …} ─▶ who has fewer
//! ```

use serde::{Deserialize, Serialize};
use skippipe::wire::{self, NoMessage};
use swarm_learn::averaging::message::Message;
use swarm_learn::averaging::transcript::Replica;

use super::ledger::Entry;

/// A frame of an averaging job's channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Word {
    /// To the member.
    Member(Message),
    /// What the sender has of everybody's records.
    Counts(Counts),
    /// Records of a replica, one after the other.
    Entries {
        /// Whose.
        of: Replica,
        /// Number of the first, from 0.
        from: u64,
        /// At most [`super::ledger::MAX_TOLD`].
        entries: Vec<Entry>,
    },
}

/// What a replica has of everybody's records.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// How many of each replica.
    pub entries: Vec<u64>,
    /// Its own rounds are over.
    pub is_over: bool,
}

impl Word {
    /// As it is sent.
    pub fn to_bytes(&self) -> Vec<u8> {
        wire::to_bytes(self)
    }

    /// Reads a word, which all bytes are of.
    ///
    /// # Errors
    /// These bytes are none.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, NoMessage> {
        wire::from_bytes(bytes)
    }
}
