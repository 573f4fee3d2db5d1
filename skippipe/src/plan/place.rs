//! A search over placements: each is judged by the greedy plan for it, so a better place shows
//! before paths are searched.

use reproducible_ops::random::Stream;

use super::anneal::{Search, excess};
use super::draft::Draft;
use super::request::{PlanError, Request};
use super::start;
use crate::topology::{Network, Topology};

/// What routing all sources may cost in all, in pairs of nodes that are looked at: about a second's
/// worth on one core.
const PAIRS: u64 = 1_000_000_000;
/// Most placements that are looked at.
const MOST: u64 = 3_000;

/// The best first draft found from a placement on, by exchanging the stages of nodes that may serve
/// any.
pub(super) fn search(
    placement: Vec<u16>,
    movable: &[u32],
    topology: &Topology,
    network: &Network,
    request: &Request,
) -> Result<Draft, PlanError> {
    let first = start::first(placement, topology, network, request)?;
    let mut random = Stream::from_seed("skippipe placement", request.seed);
    let mut best = Search::new(first, network)?;
    let mut current = best.clone();
    let evaluations = evaluations(&best.best, movable, request);
    let heat = best.cost.sum() / 200;
    for step in 0..evaluations {
        let mut placement = current.best.placement.clone();
        let one = movable[random.index(movable.len())] as usize;
        let other = movable[random.index(movable.len())] as usize;
        if placement[one] == placement[other] {
            continue;
        }
        placement.swap(one, other);
        let draft = start::first(placement, topology, network, request)?;
        let found = Search::new(draft, network)?;
        let left = evaluations - step;
        let temperature = u128::from(heat) * u128::from(left * left);
        let temperature = (temperature / u128::from(evaluations * evaluations)) as u64;
        if found.cost.sum() <= current.cost.sum() + excess(temperature, random.next_u32()) {
            current = found;
            if current.cost.sum() < best.cost.sum() {
                best = current.clone();
            }
        }
    }
    Ok(best.best)
}

/// How many placements to look at.
fn evaluations(draft: &Draft, movable: &[u32], request: &Request) -> u64 {
    if movable.len() < 2 {
        return 0;
    }
    let nodes = draft.placement.len() as u64;
    let sources = draft.replicas[0].len() as u64;
    // Each source is routed twice, over about half of all pairs, once per visit.
    let pairs = sources * nodes * nodes * u64::from(request.visits);
    let most = request.evaluations.map_or(MOST, u64::from).min(MOST);
    (PAIRS / pairs.max(1)).min(most)
}
