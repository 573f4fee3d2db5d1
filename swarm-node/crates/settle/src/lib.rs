//! Settlement: what rounds were worth becomes money on a chain that nobody here operates.
//!
//! ```text
//! rounds ─▶ points ─▶ table ─▶ statement ─signed (EIP-712)─▶ votes ─> 2/3 of stake─▶ contract
//!           by peer   Merkle                                                            │
//!                     tree   ◀───────────── claim with proof ◀──────── accepted ◀───────┘
//! ```
//! [`Settler`] is the pure core of one node; [`node`] is its shell, with a writer of transactions
//! and a cursor over the contract's events. Nobody reports a number about himself: every member
//! computes all scores and signs only the table that it computed. A node without chain or wallet
//! takes part in rounds all the same and forgoes the money.
//!
//! | module | what is in it |
//! |---|---|
//! | [`Settler`], [`Input`], [`Output`] | the state machine of one node, pure |
//! | [`node`] | its shell: one task per node |
//! | [`EpochSchedule`] | rounds, epochs and block time |
//! | [`EpochRecord`], [`Position`] | what survives a restart, and in which order it is written |
//! | [`chain`] | which chain, how to reach it, its time |
//! | [`wallet`] | the owner's key |
//!
//! The machine is driven by inputs and a time, and does nothing itself:
//!
//! ```
//! use contracts::Address;
//! use swarm_identity::NodeKey;
//! use swarm_settle::{Domain, EpochSchedule, Input, Now, Phase, Settler};
//!
//! let schedule = EpochSchedule {
//!     genesis: 1_000,
//!     round_seconds: 10,
//!     rounds_per_epoch: 2,
//!     exit_delay: 7_200,
//!     claim_window: 7_200,
//! };
//! let domain = Domain { chain_id: 31_337, contract: Address::ZERO };
//! let me = NodeKey::from_secret(&[1; 32])?.peer();
//! let mut settler = Settler::new(me, schedule, domain);
//!
//! // Round 0 ends without a result; epoch 0 waits for round 1.
//! let now = Now { chain: 1_010, latest: 1_010, ms: 0 };
//! assert!(settler.handle(Input::RoundOver(0, None), now).is_empty());
//! assert_eq!(settler.epochs(now).next(), Some((0, Phase::Open, 0)));
//!
//! // Round 1 ends so, too: the epoch is over, and nobody has earned anything in it.
//! settler.handle(Input::RoundOver(1, None), now);
//! assert_eq!(settler.epochs(now).next(), Some((0, Phase::Empty, 0)));
//! # Ok::<(), swarm_identity::key::KeyError>(())
//! ```

mod backoff;
pub mod chain;
mod epoch;
mod event;
mod facts;
pub mod node;
mod points;
mod records;
mod schedule;
pub mod settlement;
mod settler;
mod snapshot;
mod table;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod votes;
pub mod wallet;

pub use epoch::Phase;
pub use event::{Action, Attestation, Events, Fact, Input, Now, Output, Rejection};
pub use facts::{Facts, MAX_FACTS};
pub use records::{EpochRecord, Position, SettleStore};
pub use schedule::{EpochNumber, EpochSchedule, GRACE_SECONDS};
pub use settler::Settler;
pub use snapshot::{AccountAddress, MemberStake, StakeSnapshot};
pub use table::{Claim, Domain, Statement, TableError};
