//! How peers measure their links before the first step: two by two, in rounds.
//!
//! ```text
//! round 0: 0–3 1–2      each peer is in one pair at a time: measurements do not disturb each other
//! round 1: 1–3 2–0      (tournament)
//! round 2: 2–3 0–1
//!
//! one pair, the lower number first                                       (pair)
//!   Here ⇄ Here
//!   Ping ─▶ ◀─ Pong       five times: half of the median is the latency
//!   Piece Piece … ─▶      a train of 16 KiB, then of twice as many, up to 4 MiB …
//!          ◀─ Received    … until two trains agree, or three seconds are over
//!   YourTurn ─▶           the same the other way, then Over
//!
//! all pairs over: Report ─▶ everybody; over when everybody's has come     (prober)
//! ```
//! Rates are taken where bytes arrive, from a train's first piece to its last, so that what a
//! socket buffers does not count; trains grow until slow start is behind them, and of the last two
//! the faster counts, for what is lost on the way holds up a train. The sender sees for itself how
//! long a train and the answer took: a receiver can claim at most twice the rate that fits. Nonces
//! at the end of each piece show that it has all of them.
//!
//! [`Prober`] is the pure core: words in, words out, time an argument. [`Links`] is its shell over
//! channels of their own ([`swarm_net::Channels`]), and stays when pairs are over: it answers peers
//! that come back and ask for reports. What is known is kept in the peer's folder ([`mod@file`]).
//!
//! Bounded: a pair takes [`PAIR_TIME`] at most and moves some 16 MiB, a partner is waited for
//! [`WAIT_TIME`], and all of it ends a time after its beginning that follows from the number of
//! peers. Who stalls costs others that, and its own links stay unmeasured. Words of others than the
//! partner are ignored, but for reports, which are each peer's own and checked
//! ([`skippipe::measured`]).

pub mod compute;
pub mod file;
pub mod links;
mod pair;
mod prober;
mod tournament;
mod word;

pub use links::Links;
pub use pair::PAIR_TIME;
pub use prober::{Input, Output, Prober, WAIT_TIME};
pub use word::{MAX_FRAME, Word};

#[cfg(test)]
mod tests;
