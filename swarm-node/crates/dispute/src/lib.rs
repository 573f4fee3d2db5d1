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
//! | [`answer`] | what a side says next |
//! | [`player`] | one account's games: reads events, sends what it says, ends games by the clock |
//!
//! A player keeps nothing of its own: what it has to say follows from the chain and from its record, so
//! one that was killed goes on with the next move.

pub mod answer;
pub mod docket;
#[cfg(test)]
mod games;
pub mod player;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
