//! A swarm in one process: real cores, real signatures, virtual time, any fault, one seed.
//!
//! ```text
//! Spec (peers, roles, network, crashes, seed)
//!   │
//!   ▼            all tasks of one virtual moment, as one batch
//! Simulation ───────────────────────────────► Driver (toy, or real models in parallel threads)
//!   │  ▲                                         │
//!   │  └───────── work after `compute_ms` ◄──────┘
//!   ▼
//! SimulationReport (results, scores, counters, digests)
//! ```
//! Every honest peer runs the same [`Core`](crate::Core) as a daemon would. A hostile peer runs one
//! too, and a [`hostile::Strategy`] twists its work and its messages, and chooses who gets them
//! when. What one member publishes goes to all, each after its own delay, unless the link loses it
//! for good; with a [mesh](Network::mesh), members forward what they accept to whoever would get it
//! later or never.
//!
//! The world has bad clocks ([`PeerClock`]), slow computers ([`Compute`]), regions, access links
//! and [heavy tails](Tail), partitions and crashes. The default has none of them.
//!
//! Loss and delay of a message are a function of (seed, sender, receiver, message), never of other
//! traffic, so adding attackers leaves the fate of honest messages as it was and runs can be
//! compared exactly.

mod archive;
pub mod clocks;
pub mod compute;
pub mod curve;
pub mod driver;
mod gossip;
pub mod hostile;
mod journal;
pub mod network;
mod queue;
pub mod report;
pub mod run;
mod seed;
pub mod spec;
pub mod tail;
pub mod toy;

pub use clocks::PeerClock;
pub use compute::Compute;
pub use driver::{Driver, Job};
pub use network::{Home, MESH, Network, Partition};
pub use report::{RoundReport, SimulationReport, transcript_digest};
pub use run::Simulation;
pub use spec::{Crash, Memory, PeerSpec, Role, Spec, Stop, simulated_key, simulated_secret};
pub use tail::Tail;

#[cfg(test)]
mod open_tests;
#[cfg(test)]
mod restart_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod world_tests;
