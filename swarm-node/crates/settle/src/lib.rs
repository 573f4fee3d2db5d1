//! Settlement: what rounds were worth becomes money on a chain that nobody here operates.
//!
//! ```text
//! rounds ─▶ draft ─▶ table ─▶ statement ─signed by members (EIP-712)─▶ ballot ─> 2/3 of stake─▶ contract
//!           points    Merkle                                                                      │
//!           by peer   tree  ◀────────────────────── claim with proof ◀──────── accepted ◀─────────┘
//! ```
//! [`Settler`] is the pure core of one node; [`node`] is its shell, with a writer of transactions
//! and a cursor over the contract's events. Nobody reports a number about himself: every member
//! computes all scores and signs only the table that it computed. A node without chain or wallet
//! takes part in rounds all the same and forgoes the money.

mod ballot;
pub mod chain;
mod core;
mod draft;
mod effort;
mod epoch;
mod facts;
mod kept;
pub mod node;
mod schedule;
mod seats;
mod table;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
pub mod wallet;

pub use core::{Action, Attestation, Events, Fact, Input, Now, Output, Rejection, Settler};

pub use epoch::Phase;
pub use facts::{Facts, MAX_FACTS};
pub use kept::{Disk, Kept, Position};
pub use schedule::{EpochNumber, GRACE_SECONDS, Schedule};
pub use seats::{Account, Seat, Seats};
pub use table::{Claim, Domain, Statement, TableError};
