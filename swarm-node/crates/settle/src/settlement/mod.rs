//! Settlement at one node, as a pure state machine: decided rounds become an outcome that owners
//! sign, the contract makes final, and everybody is paid from.
//!
//! ```text
//! rounds ─▶ Draft ─whole─▶ points of owners ─┐
//!           per epoch      (who owned which  ├─▶ own outcome ─sign once─▶ votes of members
//!           on disk         node at its start)│   of a span                │      │
//! final table before ──────────────────────── ┤                            ▼      ▼
//! worth of a point, from the chain ───────────┘                   fast path     court
//!                                                        > 2/3 of the stake     > 2/3 of the seats
//!           nobody objects to a proposal ─▶ final ◀────────────┴────────────────┘
//!                                             └─▶ claim with one proof
//! ```
//! A node says nothing about what an epoch came to before it has it whole: every round decided
//! here, the table before it known, the worth of a point read from the chain. It signs one outcome
//! for each [`Span`], whatever the chain, a server or a restart says later. Beside that it may sign
//! that a proposal is false, or that nobody shows what it is computed from.
//!
//! | module | what is in it |
//! |---|---|
//! | [`attestation`] | an owner's vote, as members send it to each other |
//! | [`event`] | what the machine is told and what it wants done |
//! | [`records`] | what survives a restart |
//! | [`schedule`] | rounds, epochs and windows in block time |
//! | [`snapshot`] | who owned which node at an epoch's start, and with how much stake |
//! | [`facts`] | what the chain says, and how a reorganisation takes it back |
//! | [`phase`] | where an epoch stands |
//! | [`settler`] | the machine |

pub mod attestation;
mod ballot;
mod case;
mod draft;
pub mod event;
pub mod facts;
pub mod phase;
pub mod records;
pub mod schedule;
pub mod settler;
pub mod snapshot;
pub mod span;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod turns;
mod under_way;

pub use attestation::Attestation;
pub use event::{
    Action, Claim, Contradiction, Events, Input, Notice, Now, Output, Rejection, Terms, TermsQuery,
    Transaction,
};
pub use facts::{Fact, Facts};
pub use phase::{EpochStatus, Phase};
pub use records::{RoundRecord, SumRecord};
pub use schedule::{EpochNumber, Schedule};
pub use settler::{Account, Policy, Settler};
pub use snapshot::Snapshot;
pub use span::Span;
