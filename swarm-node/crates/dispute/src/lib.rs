//! Disputes about jobs on a chain.
//!
//! ```text
//! events of DisputeGame ─▶ docket ─▶ answer ─▶ player ─▶ writer
//!                                      ▲
//!                       a record of the computation
//! ```
//! | module | what is in it |
//! |---|---|
//! | [`docket`] | the games as everybody follows them |
//! | [`games`] | the docket of a contract, read from its events |
//! | [`answer`] | what a side says next |
//! | [`player`] | one account's games: reads events, sends what it says, ends games by the clock |
//! | [`role`] | what a worker and a verifier do next about a job |
//! | [`party`] | an account's part in a job: does that, from the acceptance to the withdrawal |
//!
//! A player keeps nothing of its own: what it has to say follows from the chain and from its
//! record, so one that was killed goes on with the next move.

pub mod answer;
#[cfg(test)]
mod disputes;
pub mod docket;
pub mod games;
#[cfg(test)]
mod generated;
pub mod party;
pub mod player;
pub mod role;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod whole_jobs;
