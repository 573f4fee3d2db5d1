//! What a watcher of a member learns.

use std::collections::BTreeMap;

use crate::admission::Admission;
use crate::content::Digest;
use crate::message::When;
use crate::path::{Hop, Microbatch, Peer};
use crate::transcript::{Joined, Stated, StepRecord};

/// Why a hop was not taken as planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The transport lost the peer.
    Lost,
    /// No gradient came back in time.
    Late,
    /// What it sent was refused.
    Refused,
}

/// What a watcher learns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A step began.
    Began {
        /// When.
        when: When,
    },
    /// A microbatch goes another way: to a replica, or past the stage.
    Rerouted {
        /// Which.
        microbatch: Microbatch,
        /// The hop that was planned.
        from: Hop,
        /// The replica; none where the stage is skipped.
        to: Option<Peer>,
        /// Why.
        why: Why,
    },
    /// A peer sent what it must not.
    Fault {
        /// Who.
        peer: Peer,
        /// What.
        what: String,
    },
    /// Leader: a peer does not take part any more.
    Dropped {
        /// Who, where.
        hop: Hop,
    },
    /// Leader: a peer took up a stage.
    Joined(Joined),
    /// A peer became a member after the start.
    Admitted(Admission),
    /// Seats from this number on were given by an earlier leader and are none any more.
    Withdrawn(Peer),
    /// Leader: gradients were lost, the record was amended.
    Amended {
        /// The step.
        step: u64,
        /// Visits that do not count.
        excluded: usize,
    },
    /// A stage moved.
    Moved {
        /// The step.
        step: u64,
        /// The state.
        state: Digest,
    },
    /// This member leads from here on.
    Leads,
    /// A step is over, and this is what its holders stated.
    Stepped(Box<Stepped>),
    /// All steps are done.
    Finished,
    /// It cannot go on: why.
    Stuck(&'static str),
}

/// A step that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stepped {
    /// What it was.
    pub record: StepRecord,
    /// Bits of the norm of all gradients.
    pub norm: u32,
    /// What each holder stated.
    pub statements: BTreeMap<Hop, Stated>,
}
