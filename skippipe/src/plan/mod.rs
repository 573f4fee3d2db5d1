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
//! * a path begins at stage 0, visits as many stages as the request says, in ascending order, and goes
//!   at most [`Request::max_jump`] ahead at once. Ascending paths never wait for each other's slots in a
//!   circle, so no plan deadlocks;
//! * every peer of stage 0 has as many microbatches as the request says. A *wave* is as many of them as
//!   the peer has slots: the first microbatches of all peers together, then the next;
//! * in every wave all stages but 0 are visited equally often; where visits cannot be divided, numbers
//!   differ by one.
//!
//! A node never holds more microbatches than it has slots: what comes early, waits, in the simulation as
//! in life. A plan is the same on every machine for the same topology and request.

mod anneal;
mod bounds;
mod cadence;
mod check;
mod draft;
pub mod fit;
mod moves;
mod place;
mod placement;
mod replan;
mod request;
mod stages;
mod start;

use serde::{Deserialize, Serialize};

use crate::path::{Path, Peer, Stage};
use crate::sim::{Report, Schedule, Simulator};
use crate::topology::{Micros, Topology};

use anneal::Search;
pub use bounds::Bounds;
pub use cadence::Cadence;
pub use check::Violation;
pub use replan::{Reason, Replan};
pub use request::{PlanError, Request};

/// Paths of a step and the stages of all peers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The stage of every peer.
    pub placement: Vec<Stage>,
    /// The path of every microbatch. A peer of stage 0 sends its own off in this order.
    pub paths: Vec<Path>,
    /// What a step takes in the simulation.
    pub time: Micros,
    /// What no plan with this placement can beat.
    pub bounds: Bounds,
}

impl Plan {
    /// Plans a step.
    ///
    /// # Errors
    /// The request does not fit the topology.
    pub fn make(topology: &Topology, request: &Request) -> Result<Self, PlanError> {
        request.check()?;
        request.check_stages(topology)?;
        let network = topology.network(request.bytes)?;
        let placement = placement::first(topology, &network, request)?;
        let movable = placement::movable(topology);
        let draft = place::search(placement, &movable, topology, &network, request)?;
        let budget = request.budget(draft.schedule.len());
        let mut search = Search::new(draft, &network)?;
        for chain in 0..CHAINS {
            search.anneal(movable.clone(), request, chain, budget / CHAINS)?;
        }
        Ok(Self::from(&search, &network, request))
    }

    fn from(search: &Search, network: &crate::topology::Network, request: &Request) -> Self {
        let placement = &search.best.placement;
        Self {
            placement: placement.iter().copied().map(Stage).collect(),
            paths: search.best.paths(),
            time: Micros(search.cost.time),
            bounds: bounds::of(network, placement, request),
        }
    }

    /// The peers of stage 0, whose microbatches these are.
    pub fn sources(&self) -> impl Iterator<Item = Peer> + '_ {
        let stages = (0_u32..).zip(&self.placement);
        stages
            .filter(|(_, stage)| **stage == Stage::FIRST)
            .map(|(peer, _)| Peer(peer))
    }

    /// Whether this is a plan for a topology and what was asked for.
    ///
    /// # Errors
    /// The first thing that is not so.
    pub fn check(&self, topology: &Topology, request: &Request) -> Result<(), Violation> {
        check::check(self, topology, request)
    }

    /// The nodes of every microbatch, to be simulated.
    pub fn schedule(&self) -> Schedule {
        let most = self.paths.iter().map(|path| path.hops().len()).max();
        // Stages ascend and are 16 bits, so a path has at most 2¹⁶; none has more than 2⁸ here.
        let mut schedule = Schedule::new(most.unwrap_or(0).min(usize::from(u16::MAX)) as u16);
        for path in &self.paths {
            let nodes = path.hops().iter().map(|hop| hop.peer);
            let added = schedule.push(nodes, Micros::ZERO);
            debug_assert!(added, "a path has a hop, and no more than the longest");
        }
        schedule
    }

    /// What a step's time goes into.
    ///
    /// # Errors
    /// Delays are not known for so many bytes, or the plan is none for the topology.
    pub fn report(&self, topology: &Topology, bytes: u64) -> Result<Report, PlanError> {
        let network = topology.network(bytes)?;
        Ok(Simulator::new().report(&network, &self.schedule())?)
    }
}

/// How many times a search cools down, each time from the best plan so far.
const CHAINS: u32 = 2;

#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod tests;
