//! What goes out of a hostile peer: a message, to whom, and when.

use std::sync::Arc;

/// A message that a strategy sends.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// The bytes.
    pub message: Arc<[u8]>,
    /// Who gets it from the peer itself; others may forward it.
    pub to: Recipients,
    /// How long the peer holds it back, in milliseconds of true time. It is lost if the peer is
    /// down then.
    pub after_ms: u64,
}

/// Who gets a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recipients {
    /// All other peers.
    Everyone,
    /// These peers, by index.
    Only(Vec<usize>),
}

/// To everyone, at once.
impl From<Arc<[u8]>> for Outgoing {
    fn from(message: Arc<[u8]>) -> Self {
        Self {
            message,
            to: Recipients::Everyone,
            after_ms: 0,
        }
    }
}

impl Outgoing {
    /// The same to these peers only.
    #[must_use]
    pub fn only(mut self, peers: Vec<usize>) -> Self {
        self.to = Recipients::Only(peers);
        self
    }

    /// The same, later.
    #[must_use]
    pub fn after(mut self, ms: u64) -> Self {
        self.after_ms = ms;
        self
    }
}
