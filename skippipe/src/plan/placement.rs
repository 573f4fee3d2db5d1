//! Which node serves which stage, to begin with.
//!
//! A path of L visits wants L near nodes, one of them of stage 0. So nodes without a stage are
//! taken together in groups of L neighbours, the most remote node first; each group serves the
//! stages of one even set. With n nodes that makes n / L nodes of stage 0 and n (L − 1) / (L (S −
//! 1)) of every other stage: then all nodes have the same number of visits. Where some stages are
//! given, or a stage is left with nobody, nodes go to the stage that misses most of its share.

use super::request::{PlanError, Request};
use super::stages::even;
use crate::path::Stage;
use crate::topology::{Network, Topology};

/// The stage of every node, where it is given.
pub(super) fn given(topology: &Topology) -> Vec<Option<u16>> {
    let nodes = topology.nodes().iter();
    nodes.map(|node| node.stage.map(|stage| stage.0)).collect()
}

/// A stage for every node; those that are given stay.
pub(super) fn first(
    topology: &Topology,
    network: &Network,
    request: &Request,
) -> Result<Vec<u16>, PlanError> {
    let given = given(topology);
    let stages = match given.iter().all(Option::is_none) {
        true => by_groups(network, request),
        false => given.clone(),
    };
    complete(stages, &given, request)
}

/// A stage for everybody who has none, and somebody for every stage; nodes of given stages stay.
pub(super) fn complete(
    mut stages: Vec<Option<u16>>,
    given: &[Option<u16>],
    request: &Request,
) -> Result<Vec<u16>, PlanError> {
    fill(&mut stages, request);
    staff(&mut stages, given, request)
}

/// Nodes whose stage is not given, if a search may exchange them.
pub(super) fn movable(topology: &Topology) -> Vec<u32> {
    let nodes = topology.nodes().iter().enumerate();
    let free = nodes.filter(|(_, node)| node.stage.is_none());
    free.map(|(node, _)| node as u32).collect()
}

/// Stages of whole groups; whoever is left over has none.
fn by_groups(network: &Network, request: &Request) -> Vec<Option<u16>> {
    let size = usize::from(request.visits);
    let mut stages = vec![None; network.len()];
    for group in 0..network.len() / size {
        let members = group_of(network, &stages, size);
        let set = even(group, request.stages, request.visits);
        for (node, stage) in members.into_iter().zip(set) {
            stages[node] = Some(stage.0);
        }
    }
    stages
}

/// The most remote node without a stage, and one after the other whoever is nearest to the last
/// member and the first.
fn group_of(network: &Network, stages: &[Option<u16>], size: usize) -> Vec<usize> {
    let mut free: Vec<usize> = (0..stages.len())
        .filter(|node| stages[*node].is_none())
        .collect();
    let remoteness = |node: usize| -> u64 {
        let others = free.iter().map(|other| network.both_ways(node, *other));
        others.sum()
    };
    let Some(first) = (0..free.len()).max_by_key(|place| remoteness(free[*place])) else {
        return Vec::new();
    };
    let mut members = vec![free.swap_remove(first)];
    while members.len() < size {
        let (first, last) = (members[0], members[members.len() - 1]);
        let distance = |node: usize| network.both_ways(last, node) + network.both_ways(node, first);
        let Some(next) = (0..free.len()).min_by_key(|place| (distance(free[*place]), free[*place]))
        else {
            break;
        };
        members.push(free.swap_remove(next));
    }
    members
}

/// Gives everybody a stage: the one that misses most of its share.
fn fill(stages: &mut [Option<u16>], request: &Request) {
    let mut counts = counts(stages, request.stages);
    for stage in stages.iter_mut().filter(|stage| stage.is_none()) {
        let next = neediest(&counts, request);
        counts[next] += 1;
        *stage = Some(next as u16);
    }
}

/// The stage with the fewest nodes by its share; of equals, the lowest. Stage 0 has S − 1 parts of
/// the work where another stage has L − 1.
#[expect(clippy::expect_used, reason = "a request for no stages is refused")]
fn neediest(counts: &[usize], request: &Request) -> usize {
    let parts = |stage: usize| match stage {
        0 => usize::from(request.stages.max(2)) - 1,
        _ => usize::from(request.visits.max(2)) - 1,
    };
    // counts / parts, compared without division; an empty stage comes before all others.
    let emptier = |one: &usize, other: &usize| {
        let (left, right) = (counts[*one] * parts(*other), counts[*other] * parts(*one));
        let empty = |stage: usize| counts[stage] > 0;
        empty(*one).cmp(&empty(*other)).then(left.cmp(&right))
    };
    let neediest = (0..counts.len()).min_by(emptier);
    neediest.expect("invariant: a model has a stage")
}

/// Gives every stage somebody: a node whose stage is not given, from a stage with two or more.
fn staff(
    stages: &mut [Option<u16>],
    given: &[Option<u16>],
    request: &Request,
) -> Result<Vec<u16>, PlanError> {
    let mut counts = counts(stages, request.stages);
    while let Some(empty) = counts.iter().position(|count| *count == 0) {
        let spare = (0..stages.len()).filter(|node| given[*node].is_none());
        let richest = spare
            .filter_map(|node| stages[node].map(|stage| (counts[usize::from(stage)], node)))
            .filter(|(count, _)| *count > 1)
            .max();
        let Some((_, node)) = richest else {
            let stage = Stage(empty as u16);
            return Err(PlanError::Nobody { stage });
        };
        if let Some(old) = stages[node].replace(empty as u16) {
            counts[usize::from(old)] -= 1;
        }
        counts[empty] += 1;
    }
    Ok(stages.iter().flatten().copied().collect())
}

fn counts(stages: &[Option<u16>], all: u16) -> Vec<usize> {
    let mut counts = vec![0; usize::from(all)];
    for stage in stages.iter().flatten() {
        counts[usize::from(*stage)] += 1;
    }
    counts
}
