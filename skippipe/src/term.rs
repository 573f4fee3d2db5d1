//! Who leads a pipeline, and since when.

use serde::{Deserialize, Serialize};

use crate::path::Peer;

/// Who leads, since when: a higher term ends a lower one. Peers of stage 0 lead, and a term's
/// leader is part of it, so no two have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Term {
    /// Counts up.
    pub number: u32,
    /// The leader.
    pub leader: Peer,
}
