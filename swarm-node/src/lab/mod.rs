//! The lab: a swarm of real processes on this machine, played by a scenario that asserts.
//!
//! ```text
//! scenario.toml ─▶ Scenario ─▶ Cluster (folders, keys, swarm file) ─▶ processes `swarm-node up`
//!                     │                                                │ local API of each
//!                     └─▶ play: kill, start, churn by round ◀──────────┤ status
//!                     └─▶ Findings: what was expected and what came ◀──┘ decided rounds
//! ```
//! Nodes talk through the real network stack: over loopback, or, if the scenario describes a network
//! ([`net`]), from a namespace each over links with delay, rate and loss, through routers that
//! translate addresses, and through partitions. A node that is killed is killed as by
//! the system (SIGKILL), with nothing said and nothing saved; it keeps its folder, and starts from
//! it again.

mod cluster;
mod findings;
mod hosts;
pub mod net;
mod play;
mod scenario;

pub use cluster::{Cluster, ClusterError};
pub use findings::{Findings, NodeFinding, RoundFinding};
pub use hosts::{HostsError, prepare};
pub use play::{LabError, run};
pub use scenario::{
    Churn, Event, Expected, Links, OtherLink, Partition, Reachable, Router, Scenario, ScenarioError,
};
