//! What a node and its surroundings say to each other.

use std::ops::RangeInclusive;

use contracts::B256;
use contracts::writer::TicketError;

use crate::settlement::attestation::Attestation;
use crate::settlement::event::Action;
use crate::settlement::phase::EpochStatus;
use crate::settlement::records::RoundRecord;
use crate::settlement::settler::Account;

/// What a node is told by its surroundings.
#[derive(Clone, Debug)]
pub enum NodeMessage {
    /// A round was decided, now or long ago.
    Decided(RoundRecord),
    /// A member's vote.
    Attestation(Attestation),
    /// A table that a member has sent, as [`NodeEvent::Table`] carries it.
    Table(Vec<u8>),
    /// A member lacks the table with this root; `asker` stands for it in the answer.
    TableWanted {
        /// The root.
        root: B256,
        /// Who asks, by a number of the surroundings.
        asker: u64,
    },
    /// A transaction will not happen.
    Refused(Action, TicketError),
    /// A transaction is in the chain, and what it was to bring about is not.
    Unfinished(Action),
}

/// What a node tells its surroundings.
#[derive(Clone, Debug)]
pub enum NodeEvent {
    /// Send this to all other members.
    Publish(Attestation),
    /// Fetch these decided rounds from members, each to come back as [`NodeMessage::Decided`].
    FetchRounds(Vec<RangeInclusive<u64>>),
    /// Ask members for the table with this root, to come back as [`NodeMessage::Table`].
    FetchTable(B256),
    /// The answer to [`NodeMessage::TableWanted`], where the node has the table.
    Table {
        /// Who asked.
        asker: u64,
        /// The table.
        bytes: Vec<u8>,
    },
    /// Something that people should know.
    Warning(String),
    /// Where the node stands, whenever that changes.
    Status(NodeStatus),
}

/// Where a node stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeStatus {
    /// Every epoch that it knows something of.
    pub epochs: Vec<EpochStatus>,
    /// What its account has earned and been paid.
    pub account: Account,
}
