//! A record that a member gets ready for, and how far the sum of its stage is.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::content::{Content, Digest};
use crate::message::{Body, Commit};
use crate::path::Peer;
use crate::transcript::{ReduceTree, StepRecord, Sums};
use crate::work::Task;

/// A record, and how far its sum is.
#[derive(Debug)]
pub struct Reduction {
    /// Counts up.
    pub amendment: u32,
    /// What counts.
    pub record: StepRecord,
    /// Who adds to whom.
    pub tree: ReduceTree,
    /// Sum so far: own visits, and those of the children before [`Self::children`].
    pub sum: Option<Content>,
    /// Whose sums are still to be added, in this order.
    pub children: VecDeque<Peer>,
    /// What was handed on to the parent.
    pub handed: Option<Content>,
    /// What the leader was told.
    pub told: Option<Body>,
    /// The child whose sum is being added.
    pub adding: Option<Peer>,
    /// Digests of the children's sums that were added, in their order.
    pub received: Vec<Digest>,
    /// Children's sums that came out of turn.
    pub partials: BTreeMap<Peer, Content>,
    /// The task that is under way.
    pub task: Option<Task>,
    /// The stage's whole sum.
    pub whole: Option<Content>,
    /// At the root, of the whole sum.
    pub squares: Vec<u32>,
    /// Since when a sum of somebody else is waited for.
    pub waits: Duration,
    /// The leader was told.
    pub prepared: bool,
    /// What moves the stage, once it does.
    pub commit: Option<Box<Commit>>,
}

impl Reduction {
    /// How this member summed, and by what norm it moves.
    pub fn sums(self, me: Peer, norm: u32) -> Sums {
        let whole = self.whole.as_ref().map(Content::digest);
        let is_root = self.tree.root() == Some(me);
        Sums {
            partial: match is_root {
                true => whole,
                false => self.handed.as_ref().map(Content::digest),
            },
            received: self.received,
            whole,
            squares: self.squares,
            norm,
        }
    }

    /// Whether it moves the stage: whoever asks then is answered afterwards.
    pub fn is_committed(&self) -> bool {
        self.commit.is_some()
    }
}
