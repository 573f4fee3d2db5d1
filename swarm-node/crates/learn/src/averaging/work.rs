//! What a member asks of an engine: functions of the replica's state and of bytes.

use skippipe::content::{Content, Digest};
use skippipe::meeting::Reason;

/// Whatever holds a replica's parameters and trains them.
pub trait Engine {
    /// Does a piece of work. What cannot be done because of what a peer sent is
    /// [`Outcome::Refused`], and changes nothing.
    fn perform(&mut self, work: Work) -> Outcome;
}

/// A piece of work that was asked for, until it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Task(pub u64);

/// What an engine is asked for. Tasks are done in the order in which they are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// The inner steps of a round. Gives [`Outcome::Trained`].
    Train {
        /// Which.
        round: u64,
    },
    /// Whether a content is a contribution, or a mean of them. Gives [`Outcome::Good`].
    Check(Content),
    /// The mean of contributions, in this order. Gives [`Outcome::Content`].
    Mean(Vec<Content>),
    /// Ends the round. Gives [`Outcome::Moved`].
    Move(Move),
    /// Anchor and momentum, as bytes. Gives [`Outcome::Content`].
    Export,
}

/// How a round ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Move {
    /// An outer step with the replica's own contribution.
    Own,
    /// One with the mean of contributions, in this order.
    Parts(Vec<Content>),
    /// One with a mean that a leader computed.
    Mean(Content),
    /// None: the replica trains on from where it is.
    Stay,
    /// Anchor and momentum of another replica, as it exported them.
    Adopt(Content),
}

impl Move {
    /// How a round ends alone: in pairs, and where there is nobody else, with a step of the own
    /// contribution; else it counts in the next round.
    pub fn alone(paired: bool, reason: Reason) -> Self {
        match paired || reason == Reason::Single {
            true => Self::Own,
            false => Self::Stay,
        }
    }
}

/// What came of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The inner steps are done.
    Trained {
        /// What the replica contributes.
        contribution: Content,
        /// Digest of its anchor and momentum.
        outer: Digest,
    },
    /// It is one.
    Good,
    /// Bytes.
    Content(Content),
    /// The round is over.
    Moved {
        /// Digest of the replica's whole state.
        state: Digest,
        /// Digest of its anchor and momentum.
        outer: Digest,
    },
    /// It cannot be done: why.
    Refused(String),
}
