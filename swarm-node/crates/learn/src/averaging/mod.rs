//! Data parallelism that fits homes: replicas train apart for many inner steps, and come together
//! by one outer step, all at once (DiLoCo) or in random pairs (NoLoCo).
//!
//! ```text
//! replica   H inner steps ─▶ contribution ─▶ group of the round ─▶ outer step ─▶ H inner steps …
//!                            Δ, φ            pairing: seeded, by the roster
//!
//! member (a state machine) ─ messages ─ members …        what is averaged, or why a replica moves alone
//!    │ work ─▶ worker: inner (a trainer) and outer (programs)
//!    └▶ transcript (records, statements) ─▶ replay: one machine computes every replica again, bit for bit
//! ```
//! | module | what is in it |
//! |---|---|
//! | [`outer`] | the formulas, as programs; what they keep, and how fast replicas come together |
//! | [`pairing`] | who meets whom |
//! | [`contribution`] | contributions as bytes |
//! | [`settings`] | what members agree on beforehand |
//! | [`message`] | what members say to each other |
//! | [`member`] | a replica's state machine |
//! | [`work`] | what it asks of an engine |
//! | [`worker`], [`trainer`] | that engine: outer steps over whatever trains; a trainer of a model |
//! | [`transcript`] | what a replica did, and what it signs |
//! | [`replay`] | a job computed again |
//! | `testing` (feature `testing`) | a toy trainer, and members on virtual time |
//!
//! A replica is a trainer of a whole model; the outer step takes any parameters, so those of one
//! stage of a pipeline as well: [`crate::pipelines`] has pipelines as replicas. All but [`worker`] and [`trainer`] is pure: time, messages,
//! signatures and what an engine computed are arguments.
//!
//! Limits: a contribution is believed within bounds (finite, magnitudes up to
//! [`reproducible_ops::weights::MAX_PARAMETER`]); whether it is what its maker computed shows in
//! the replay.

pub mod contribution;
pub mod member;
pub mod message;
pub mod outer;
pub mod pairing;
pub mod replay;
pub mod settings;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod trainer;
pub mod transcript;
pub mod work;
pub mod worker;

#[cfg(test)]
mod tests;
