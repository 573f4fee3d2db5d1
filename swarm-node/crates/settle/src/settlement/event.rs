//! What a settling node is told and what it wants done: the language between the pure core and its
//! shell.
//!
//! [`Settler`](super::Settler) takes an [`Input`] and answers with [`Output`]s, which the shell
//! carries out **in their order**. After a restart the first inputs are [`Input::Resumed`], then
//! what was kept ([`Input::Restored`], [`Input::RestoredTable`], [`Input::RestoredVotes`]), in any
//! order.

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;

use contracts::earnings::{EarningsError, EarningsTable};
use contracts::outcome::{Outcome, Vote};
use contracts::{Address, B256};

use super::attestation::Attestation;
use super::facts::{Fact, Facts};
use super::records::{RoundRecord, SumRecord};
use super::schedule::EpochNumber;
use super::snapshot::Snapshot;
use super::span::Span;

/// What was read of the chain's events at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Events {
    /// Blocks above this one have left the chain, before what is below.
    pub rolled_back_to: Option<u64>,
    /// What the events say, each with its block, in the order of the chain.
    pub facts: Vec<(u64, Fact)>,
    /// Number and time, in seconds, of the newest block.
    pub head: (u64, u64),
    /// All events up to the newest block were read.
    pub caught_up: bool,
}

/// What the contract's `terms` are asked with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TermsQuery {
    /// The span, whose first epoch the contract must name, too.
    pub span: Span,
    /// Points of the span's owners.
    pub points: u128,
}

/// What the contract says that points are worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The first epoch that is not final.
    pub since: EpochNumber,
    /// Units of the token for a point; 0 if the pool is too small.
    pub worth: u128,
}

/// All that an owner ever earned, with its proof against the newest final root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The owner.
    pub owner: Address,
    /// Units that it ever earned.
    pub earned: u128,
    /// Siblings from its leaf to the root.
    pub proof: Vec<B256>,
}

/// Two signatures of one owner for different outcomes of one span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contradiction {
    /// The one that came first.
    pub first: Attestation,
    /// The other.
    pub second: Attestation,
}

/// A transaction by its purpose. At most one of each is under way; its text is part of the writer's
/// id for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Makes an outcome final by votes.
    FinaliseFast(Span),
    /// Proposes an outcome.
    Propose(Span),
    /// Objects to what is pending.
    Object(Span),
    /// Draws the court, for the first or the second time.
    Draw(Span, u8),
    /// Brings votes to the court: span, draw, number of the batch.
    Judge(Span, u8, u32),
    /// Brings votes against what is pending to the court: span, draw, number of the batch.
    Refuse(Span, u8, u32),
    /// Ends what is pending: final without an objection, refused without a verdict.
    Finalise(Span),
    /// Takes this node's reward by the table that is final up to an epoch.
    Claim(EpochNumber),
    /// Collects the fees and bonds that the account was ever credited, up to this many units.
    Collect(u128),
    /// Reports an owner's contradictory votes.
    SlashContradiction(Span, Address),
    /// Reports an owner that lost in the court.
    SlashLoser(Span, Address),
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FinaliseFast(span) => write!(f, "fast/{span}"),
            Self::Propose(span) => write!(f, "propose/{span}"),
            Self::Object(span) => write!(f, "object/{span}"),
            Self::Draw(span, draw) => write!(f, "draw/{span}/{draw}"),
            Self::Judge(span, draw, batch) => write!(f, "judge/{span}/{draw}/{batch}"),
            Self::Refuse(span, draw, batch) => write!(f, "refuse/{span}/{draw}/{batch}"),
            Self::Finalise(span) => write!(f, "finalise/{span}"),
            Self::Claim(epoch) => write!(f, "claim/{epoch}"),
            Self::Collect(credited) => write!(f, "collect/{credited}"),
            Self::SlashContradiction(span, owner) => write!(f, "contradiction/{span}/{owner}"),
            Self::SlashLoser(span, owner) => write!(f, "loser/{span}/{owner}"),
        }
    }
}

/// A call of the contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transaction {
    /// `finaliseFast`: votes ascend by owner, each checked, together more than two thirds of the
    /// stake.
    FinaliseFast(Outcome, Vec<Vote>),
    /// `propose`, with the bond.
    Propose(Outcome),
    /// `object` to the pending outcome, with the bond.
    Object(Outcome),
    /// `draw`, of the court for the pending outcome.
    Draw(Outcome),
    /// `judge`: votes for this outcome, which may be a refusal, of owners who have seats, ascending
    /// by owner.
    Judge(Outcome, Vec<Vote>),
    /// `finalise` the pending outcome: its window is over without an objection, or the second
    /// court's without a verdict.
    Finalise(Outcome),
    /// `claim` for one owner.
    Claim(Claim),
    /// `collect` what the account is owed.
    Collect,
    /// `slashContradiction`.
    SlashContradiction(Box<Contradiction>),
    /// `slashLosers`, of one owner whose counted vote was for another outcome than the one that is
    /// final.
    SlashLoser(Attestation),
}

/// What happens to a settling node.
#[derive(Clone, Debug)]
pub enum Input {
    /// A round was decided. Rounds come in any order; one that came already counts once.
    Decided(RoundRecord),
    /// The node's own vote, as [`Output::Sign`] wanted it.
    Signed(Attestation),
    /// A member's vote arrived.
    Attestation(Attestation),
    /// Bindings and stakes at an epoch's start: of all nodes that were asked for, and of as many
    /// others that are ever bound as the shell knows.
    Snapshot(EpochNumber, Snapshot),
    /// The contract's answer about the worth of points.
    Terms(TermsQuery, Terms),
    /// A table that somebody sent; its root is checked here.
    Table(Result<Arc<EarningsTable>, EarningsError>),
    /// The chain was read on.
    Events(Events),
    /// A transaction will not happen.
    Refused(Action),
    /// What the chain had said before a restart.
    Resumed(Box<Facts>),
    /// The sum that was kept; comes before the rounds.
    RestoredSum(SumRecord),
    /// A round that was kept.
    Restored(RoundRecord),
    /// The table that was kept as final up to an epoch.
    RestoredTable(EpochNumber, Arc<EarningsTable>),
    /// Votes that were kept.
    RestoredVotes(Vec<Attestation>),
    /// Time passed.
    Tick,
}

/// What a settling node wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Keep a round; comes before anything is signed that counts it.
    SaveRound(RoundRecord),
    /// Keep this sum in the place of an older one, then forget the rounds of its epochs.
    SaveSum(SumRecord),
    /// Keep a final table, by the last epoch that it covers.
    SaveTable(EpochNumber, Arc<EarningsTable>),
    /// Keep votes beside those that are kept, by span and owner; the first of an owner stays.
    SaveVotes(Vec<Attestation>),
    /// Write the position, then sign nothing for epochs below this one any more, then forget
    /// rounds, votes and tables of epochs below it. The table of the epoch just before stays: the
    /// next outcome builds on it.
    ForgetBefore(EpochNumber),
    /// Sign this, an outcome or the refusal of one, at its [`place`](super::span::place), in this
    /// owner's name, and come back with [`Input::Signed`].
    Sign(Outcome, Address),
    /// Send this to all members.
    Publish(Attestation),
    /// Read bindings and stakes at an epoch's start, for these nodes at least.
    ReadSnapshot(EpochNumber, Vec<Address>),
    /// Read the worth of these points.
    ReadTerms(TermsQuery),
    /// Fetch certificates and content of these decided rounds from peers.
    FetchRounds(Vec<RangeInclusive<u64>>),
    /// Fetch the table with this root from peers.
    FetchTable(B256),
    /// Send a transaction; the number tells tries of the same action apart.
    Send(Action, Transaction, u32),
    /// Something that came was refused, alone: whose it claims to be, and why.
    Rejected(Address, Rejection),
    /// Something that people should know.
    Notice(Notice),
}

/// Why a vote or a table is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// Not a span that is being settled.
    #[error("epochs {0} are not ones that are being settled")]
    Span(Span),
    /// No signature of a node that the owner had at the epoch's start.
    #[error("not signed by a node that the owner had when epoch {0} began")]
    Signer(EpochNumber),
    /// The owner has no stake in the epoch.
    #[error("the owner had no stake when epoch {0} began")]
    Stakeless(EpochNumber),
    /// The owner has signed the same already, by another signature.
    #[error("the owner has signed already")]
    Duplicate,
    /// The owner has signed another outcome of the span: both are evidence.
    #[error("the owner has signed another outcome of epochs {0}")]
    Contradiction(Span),
    /// A vote against an outcome that is not pending here.
    #[error("what it votes against is not the outcome of epochs {0} that is pending")]
    Refusal(Span),
    /// Votes that cannot be checked yet are too many, in the owner's name or at all.
    #[error("too many votes wait to be checked")]
    TooMany,
    /// A table that nobody asked for: its root is not final, or the table is known.
    #[error("no table with root {0} is wanted")]
    Unwanted(B256),
    /// Bytes that are no table.
    #[error("no table: {0}")]
    Table(EarningsError),
}

/// Something that people should know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Notice {
    /// A proposal that differs from what this node computed.
    #[error(
        "epochs {span}: somebody proposes the root {theirs}, and this node computed {own}; it \
         objects in its turn"
    )]
    Differs {
        /// The span.
        span: Span,
        /// The proposed root.
        theirs: B256,
        /// What this node computed.
        own: B256,
    },
    /// A proposal for epochs in which this node finds nothing to pay.
    #[error(
        "epochs {span}: somebody proposes the root {theirs}, and this node finds nothing to pay \
         for; it objects in its turn"
    )]
    Groundless {
        /// The span.
        span: Span,
        /// The proposed root.
        theirs: B256,
    },
    /// A proposal of which nobody has shown the rounds or the table that it builds on.
    #[error(
        "epochs {span}: somebody proposes the root {theirs}, and nobody shows the rounds or the \
         table that it is computed from; this node objects at the end of the window"
    )]
    Unproven {
        /// The span.
        span: Span,
        /// The proposed root.
        theirs: B256,
    },
    /// The final outcome differs from what this node computed.
    #[error(
        "epochs {span}: the contract holds the root {theirs} final, and this node computed {own}"
    )]
    Contradicted {
        /// The span.
        span: Span,
        /// The final root.
        theirs: B256,
        /// What this node computed.
        own: B256,
    },
    /// Points that make no table.
    #[error("epochs {0} make no table and are not signed: {1}")]
    NoTable(Span, EarningsError),
    /// The node signed an outcome before a reorganisation changed what it was computed from.
    #[error(
        "epochs {0}: the chain has changed what the signed outcome was computed from; no other is \
         signed"
    )]
    Overtaken(Span),
    /// So many epochs wait to be settled that the first are added up.
    #[error(
        "{0} epochs wait to be settled, and the first are added up, so that they can only be paid \
         together: fund the pool, or find out why no outcome becomes final"
    )]
    ManyEpochs(usize),
    /// So many epochs wait to be settled that no more rounds are taken.
    #[error(
        "{waiting} epochs wait to be settled, and no more are taken as long as epoch {first} is \
         not whole, or may still be settled alone; its rounds are fetched"
    )]
    TooManyEpochs {
        /// How many.
        waiting: usize,
        /// The first of them.
        first: EpochNumber,
    },
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
