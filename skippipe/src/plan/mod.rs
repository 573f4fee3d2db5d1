//! Which way every microbatch takes, and who serves which stage, so that a step is short.
//!
//! ```text
//!   Topology, Request ─▶ placement ─▶ first draft ─▶ change ─▶ simulate ─▶ keep or undo ─▶ Plan
//!                        groups of     source by       ▲                        │        + Bounds
//!                        neighbours,   source, the     └────────────────────────┘
//!                        searched      farthest first   simulated annealing, seeded
//! ```
//!
//! What every [`Plan`] keeps ([`Plan::check`]):
//!
//! * a path begins at stage 0, visits as many stages as the request says, in ascending order, and
//!   goes at most [`Request::max_jump`] ahead at once. Ascending paths never wait for each other's
//!   slots in a circle, so no plan deadlocks;
//! * every peer of stage 0 has as many microbatches as the request says. A *wave* is as many of
//!   them as the peer has slots: the first microbatches of all peers together, then the next;
//! * in every wave all stages but 0 are visited equally often; where visits cannot be divided,
//!   numbers differ by one.
//!
//! A node never holds more microbatches than it has slots: what comes early, waits, in the
//! simulation as in life. A plan is the same on every machine for the same topology and request.

mod anneal;
mod bounds;
mod cadence;
mod check;
mod draft;
pub mod fit;
mod make;
mod moves;
mod place;
mod placement;
mod replan;
mod request;
mod stages;
mod start;
mod step;

pub use bounds::Bounds;
pub use cadence::Cadence;
pub use check::Violation;
pub use replan::{Reason, Replan};
pub use request::{PlanError, Request};
pub use step::Plan;

#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod tests;
