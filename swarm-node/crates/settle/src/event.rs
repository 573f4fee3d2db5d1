//! What a settling node is told and what it wants done: the language between the pure core and its
//! shell.
//!
//! [`Settler`](super::Settler) takes an [`Input`] and answers with [`Output`]s. The shell
//! ([`crate::node`]) makes inputs of messages, tickets and the chain's [`Events`], and carries the
//! outputs out.

use std::sync::Arc;

use swarm_identity::key::{PeerId, RecoverableBytes};
use swarm_round::RoundResult;

use super::facts::Facts;
use super::records::EpochRecord;
use super::schedule::EpochNumber;
use super::snapshot::StakeSnapshot;
use super::table::{Claim, Statement, TableError};

/// Between two members' turns to submit, in milliseconds.
pub const PATIENCE_MS: u64 = 4_000;

/// A member's signature under an epoch's scores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attestation {
    /// Who signed.
    pub peer: PeerId,
    /// The epoch.
    pub epoch: EpochNumber,
    /// Over the statement's EIP-712 digest.
    pub signature: RecoverableBytes,
}

/// What was read of the chain's events at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Events {
    /// Blocks above this one have left the chain, before what is below.
    pub rolled_back_to: Option<u64>,
    /// What the events say, each with its block, in the order of the chain.
    pub facts: Vec<(u64, Fact)>,
    /// All events up to the newest block were read.
    pub caught_up: bool,
}

/// What an event of the contract says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact {
    /// The contract took an epoch's scores.
    Accepted {
        /// The epoch.
        epoch: EpochNumber,
        /// Root of the accepted table.
        root: [u8; 32],
        /// Until when rewards can be claimed, in seconds of block time.
        deadline: u64,
    },
    /// A node's reward was paid to its owner.
    Paid {
        /// The epoch.
        epoch: EpochNumber,
        /// The node.
        peer: PeerId,
    },
}

/// A transaction of an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Scores with signatures.
    Submit,
    /// This node's reward.
    Claim,
}

/// What happens to a settling node.
#[derive(Clone, Debug)]
pub enum Input {
    /// A round is over, with its result if the members agreed on one.
    RoundOver(u64, Option<Arc<RoundResult>>),
    /// No more rounds will come: close the epoch that is open.
    NoMoreRounds,
    /// The node's own signature under its statement.
    Signed(EpochNumber, RecoverableBytes),
    /// A member's signature arrived.
    Attestation(Attestation),
    /// The stake snapshot of an epoch.
    Snapshot(EpochNumber, StakeSnapshot),
    /// The chain was read on.
    Events(Events),
    /// A transaction will not happen.
    Refused(EpochNumber, Action),
    /// What the chain had said before a restart; comes before anything else.
    Resumed(Facts),
    /// What was kept of an epoch before a restart, and its votes.
    Restored(EpochRecord, Vec<(PeerId, RecoverableBytes)>),
    /// Time passed.
    Tick,
}

/// What a settling node wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Sign this, once, and come back with [`Input::Signed`].
    Sign(Statement),
    /// Send this to all members.
    Publish(Attestation),
    /// Keep an epoch that was closed; comes before it is signed.
    Save(EpochRecord),
    /// Keep these votes of an epoch beside those that are kept.
    SaveVotes(EpochNumber, Vec<(PeerId, RecoverableBytes)>),
    /// Forget what was kept of an epoch.
    Forget(EpochNumber),
    /// Forget what was kept of all epochs below this one, and sign nothing for them any more.
    ForgetBefore(EpochNumber),
    /// Read the stake snapshot and come back with [`Input::Snapshot`].
    ReadSnapshot(EpochNumber),
    /// Send the scores with these signatures; the number tells tries apart.
    Submit(Statement, Vec<RecoverableBytes>, u32),
    /// Claim this reward; the number tells tries apart.
    Claim(Claim, u32),
    /// An attestation was refused.
    Rejected(PeerId, Rejection),
    /// An epoch is over, and its points make no score table: it is not settled.
    Failed(EpochNumber, TableError),
}

/// Why an attestation is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// The epoch is too old or too far ahead.
    #[error("epoch {0} is not one that is being settled")]
    Epoch(EpochNumber),
    /// The peer has no stake in the epoch.
    #[error("the signer has no seat in the epoch's snapshot")]
    NotInSnapshot,
    /// The peer has signed already, with another signature, or its unchecked signatures are too
    /// many.
    #[error("the signer has signed already, with another signature")]
    Duplicate,
    /// Not the peer's signature under this node's statement: forged, or the peer computed other
    /// scores.
    #[error("not a signature under the scores that this node computed")]
    OtherScores,
}

/// The clocks of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// What the next block will say, in seconds of block time: decides what may be done yet.
    pub chain: u64,
    /// The greatest time that a block has had, in seconds: decides what is too late.
    pub latest: u64,
    /// The node's own clock, in milliseconds.
    pub ms: u64,
}
