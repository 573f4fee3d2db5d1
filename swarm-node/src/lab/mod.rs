//! The lab: a swarm of real processes on this machine, played by a scenario that asserts.
//!
//! ```text
//! scenario.toml ─▶ Scenario ─▶ crate::cluster (folders, keys, swarm) ─▶ processes `swarm-node up`
//!                     │                                                │ local API of each
//!                     └─▶ play: kill, start, churn by round ◀──────────┤ status
//!                     └─▶ Findings: what was expected and what came ◀──┘ decided rounds
//! ```
//! Nodes talk through the real network stack: over loopback, or, if the scenario describes a
//! network, from a namespace each over links with delay, rate and loss, through routers that
//! translate addresses, and through partitions ([`crate::emulated`]). A node that is killed is
//! killed as by the system (SIGKILL), with nothing said and nothing saved; it keeps its folder, and
//! starts from it again.

mod findings;
mod network;
mod play;
mod scenario;
mod swarm;

pub use findings::{Findings, NodeFinding, RoundFinding};
pub use play::{LabError, cluster, run};
pub use scenario::{
    Churn, Event, Expected, Links, OtherLink, Partition, Reachable, Router, Scenario, ScenarioError,
};
