//! Steps that skip stages, and every so often one that skips none: all stages then see activations
//! that all others made.

use serde::{Deserialize, Serialize};

use super::request::{PlanError, Request};
use super::step::Plan;
use crate::topology::Topology;

/// Two plans with the same placement, and when which is used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cadence {
    /// The plan of most steps.
    pub skipping: Plan,
    /// The plan of every [`Cadence::every`]-th step, whose paths visit all stages.
    pub full: Plan,
    /// How many steps lie from one full pass to the next; 0 for no full pass.
    pub every: u32,
}

impl Cadence {
    /// Plans both: the placement is the skipping plan's.
    ///
    /// # Errors
    /// The request does not fit the topology.
    pub fn make(topology: &Topology, request: &Request, every: u32) -> Result<Self, PlanError> {
        let skipping = Plan::make(topology, request)?;
        let stages: Vec<_> = skipping.placement.iter().copied().map(Some).collect();
        let placed = topology.clone().with_stages(&stages)?;
        let whole = Request {
            visits: request.stages,
            ..*request
        };
        Ok(Self {
            full: Plan::make(&placed, &whole)?,
            skipping,
            every,
        })
    }

    /// The plan of a step; steps are counted from 0, and the full passes are steps `every − 1`,
    /// `2 every − 1` and so on.
    pub fn plan(&self, step: u64) -> &Plan {
        let every = u64::from(self.every);
        match every > 0 && step % every == every - 1 {
            true => &self.full,
            false => &self.skipping,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::property_tests::{line, request};
    use super::*;

    #[test]
    fn every_tenth_step_visits_all_stages_of_the_same_placement() {
        let (topology, request) = (line(12, 2), request(4, 3));
        let cadence = Cadence::make(&topology, &request, 10).unwrap();
        assert_eq!(cadence.full.placement, cadence.skipping.placement);
        let visits = |step| cadence.plan(step).paths[0].hops().len();
        let full: Vec<u64> = (0..25).filter(|step| visits(*step) == 4).collect();
        assert_eq!(full, [9, 19]);
        let never = Cadence {
            every: 0,
            ..cadence
        };
        assert_eq!(never.plan(9).paths[0].hops().len(), 3);
    }
}
