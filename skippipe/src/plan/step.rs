//! A plan, and what it says about a step.

use serde::{Deserialize, Serialize};

use super::bounds::Bounds;
use super::request::PlanError;
use crate::path::{Path, Peer, Stage};
use crate::sim::{Report, Schedule, Simulator};
use crate::topology::{Micros, Topology};

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
    /// The peers of stage 0, whose microbatches these are.
    pub fn sources(&self) -> impl Iterator<Item = Peer> + '_ {
        let stages = (0_u32..).zip(&self.placement);
        stages
            .filter(|(_, stage)| **stage == Stage::FIRST)
            .map(|(peer, _)| Peer(peer))
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
