//! Settlement: what rounds were worth becomes money on a chain that nobody here operates.
//!
//! ```text
//! decided rounds ─▶ points of owners ─▶ outcome ─signed once (EIP-712)─▶ votes ─> 2/3 of stake─▶ final
//!                                          │                                                      ▲
//!                                          └─ proposed with a bond ─ objection? ─ court ──────────┤
//!                      claim with one proof ◀── table of all that owners ever earned ◀────────────┘
//! ```
//! [`settlement`] is the pure core of one node; [`node`] is its shell, with a writer of
//! transactions and a cursor over the contract's events. Nobody reports a number about himself:
//! every member computes all earnings and signs only the outcome that it computed. A node without
//! chain or wallet takes part in rounds all the same and forgoes the money.
//!
//! | module | what is in it |
//! |---|---|
//! | [`settlement`] | the state machine of one node, pure |
//! | [`node`] | its shell: one task per node, and what it keeps on disk |
//! | [`chain`] | which chain, how to reach it, its time |
//! | [`announcement_reader`] | how far they were read, through restarts and reorganisations |
//! | [`announcements`] | where nodes are to be found, as their owners announce it on the chain |
//! | [`wallet`] | the owner's key |
//! | [`tokens`] | amounts for people |
//!
//! The machine is driven by inputs and a time, and does nothing itself:
//!
//! ```
//! use contracts::Address;
//! use contracts::typed::Domain;
//! use swarm_settle::settlement::{Input, Now, Output, Policy, RoundRecord, Schedule, Settler};
//!
//! let schedule = Schedule {
//!     genesis: 1_000,
//!     round_seconds: 10,
//!     rounds_per_epoch: 2,
//!     proposal_window: 7_200,
//!     objection_window: 3_600,
//!     court_window: 3_600,
//! };
//! let domain = Domain { chain_id: 31_337, contract: Address::repeat_byte(7) };
//! let (node, owner) = (Address::repeat_byte(1), Address::repeat_byte(2));
//! let policy = Policy { claim_from: 1, bonds: true };
//! let mut settler = Settler::new(node, owner, schedule, domain, policy);
//!
//! // A round was decided: it is kept before anything that counts it is signed.
//! let now = Now { chain: 1_010, latest: 1_010, ms: 0 };
//! let round = RoundRecord::of_points(0, [9; 32], []);
//! let wanted = settler.handle(Input::Decided(round.clone()), now);
//! assert_eq!(wanted, [Output::SaveRound(round)]);
//! assert_eq!(settler.epochs(now)[0].rounds, 1);
//! ```

pub mod announcement_reader;
pub mod announcements;
mod backoff;
pub mod chain;
pub mod node;
pub mod settlement;
pub mod tokens;
pub mod wallet;
