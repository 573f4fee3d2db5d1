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
//! too, and a [`hostile::Strategy`] twists its work and its messages. Publishing models gossip:
//! what one member publishes reaches all, each after its own delay, unless the link loses it for
//! good.
//!
//! Loss and delay of a message are a function of (seed, sender, receiver, message), never of other
//! traffic, so adding attackers leaves the fate of honest messages as it was and runs can be
//! compared exactly.

pub mod curve;
pub mod driver;
pub mod hostile;
pub mod network;
pub mod report;
pub mod run;
pub mod spec;
pub mod toy;

pub use driver::{Driver, Job};
pub use network::{Network, Partition};
pub use report::{RoundReport, SimulationReport};
pub use run::Simulation;
pub use spec::{Crash, PeerSpec, Role, Spec, simulated_key};

#[cfg(test)]
mod tests;
