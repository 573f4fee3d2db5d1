//! Settlement: what rounds were worth becomes money on a chain that nobody here operates.
//!
//! ```text
//! decided rounds ─▶ points of owners ─▶ outcome ─signed once (EIP-712)─▶ votes ─> 2/3 of stake─▶ final
//!                                          │                                                      ▲
//!                                          └─ proposed with a bond ─ objection? ─ court ──────────┤
//!                      claim with one proof ◀── table of all that owners ever earned ◀────────────┘
//! ```
//! [`settlement`] is the pure core of one node; [`node`] is its shell, with a writer of transactions
//! and a cursor over the contract's events. Nobody reports a number about himself: every member
//! computes all earnings and signs only the outcome that it computed. A node without chain or
//! wallet takes part in rounds all the same and forgoes the money.
//!
//! | module | what is in it |
//! |---|---|
//! | [`settlement`] | the state machine of one node, pure |
//! | [`node`] | its shell: one task per node, and what it keeps on disk |
//! | [`chain`] | which chain, how to reach it, its time |
//! | [`wallet`] | the owner's key |

mod backoff;
pub mod chain;
pub mod node;
pub mod settlement;
pub mod wallet;
