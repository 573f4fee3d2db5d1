//! Where an epoch stands, for people and for whoever waits for it.

use serde::{Deserialize, Serialize};

use super::schedule::EpochNumber;

/// Where an epoch stands. It is derived from what is known, so a reorganisation only takes facts
/// back.
///
/// ```text
/// Open ─over─▶ Incomplete ─every round here─▶ Waiting ─terms, tables, owners─▶ Voting
///                                                │                              │ proposed
///                                                └─no points─▶ Empty            ▼
///                                                └─worth 0──▶ Unfunded       Pending ─objected─▶ Disputed
///                            not final in its window                           │                   │
///                            ──▶ Deferred: paid with the next epoch            ▼                   ▼
///                                                            Settled, or Contradicted if this node
///                                                            computed another outcome
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Rounds are still played.
    Open,
    /// It is over, and rounds are missing here: they are being fetched.
    Incomplete,
    /// It is whole, and something that its outcome depends on is not known yet: who owned its
    /// nodes, the table before it, or the worth of its points.
    Waiting,
    /// No owner earned anything: there is nothing to pay, and the next epoch's outcome covers it.
    Empty,
    /// The pool is too small for its points: they wait for a later epoch.
    Unfunded,
    /// Owners sign.
    Voting,
    /// An outcome that covers it is proposed.
    Pending,
    /// An outcome that covers it is before the court.
    Disputed,
    /// Nothing was final in time: its points go with the next epoch.
    Deferred,
    /// Final.
    Settled,
    /// Final with another outcome than the one that this node computed.
    Contradicted,
}

impl Phase {
    /// Its name, for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Incomplete => "incomplete",
            Self::Waiting => "waiting",
            Self::Empty => "empty",
            Self::Unfunded => "unfunded",
            Self::Voting => "voting",
            Self::Pending => "pending",
            Self::Disputed => "disputed",
            Self::Deferred => "deferred",
            Self::Settled => "settled",
            Self::Contradicted => "contradicted",
        }
    }

    /// True if nothing is left to do.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Settled | Self::Contradicted)
    }
}

/// An epoch for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochStatus {
    /// Its number.
    pub epoch: EpochNumber,
    /// Where it stands.
    pub phase: Phase,
    /// Decided rounds of it that this node has.
    pub rounds: u64,
    /// Points of this node in these rounds.
    pub points: u128,
}
