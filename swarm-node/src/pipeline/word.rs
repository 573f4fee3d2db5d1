//! What peers of a pipeline's job send each other: messages of members, and where pipelines meet those
//! of exchanges.

use serde::{Deserialize, Serialize};
use skippipe::message::Message;
use skippipe::wire::{self, NoMessage};
use swarm_learn::pipelines::message::Message as AcrossMessage;

/// A frame of a job's channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Word {
    /// To the member, from one of the same pipeline.
    Member(Message),
    /// To the exchange, from a peer of another pipeline.
    Across(AcrossMessage),
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
