//! From a topology to a plan.

use super::anneal::Search;
use super::request::{PlanError, Request};
use super::step::Plan;
use super::{bounds, place, placement};
use crate::path::Stage;
use crate::topology::{Micros, Network, Topology};

/// How many times a search cools down, each time from the best plan so far.
const CHAINS: u32 = 2;

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
        Ok(Self::found(&search, &network, request))
    }

    /// The best plan of a search.
    pub(super) fn found(search: &Search, network: &Network, request: &Request) -> Self {
        let placement = &search.best.placement;
        Self {
            placement: placement.iter().copied().map(Stage).collect(),
            paths: search.best.paths(),
            time: Micros(search.cost.time),
            bounds: bounds::of(network, placement, request),
        }
    }
}
