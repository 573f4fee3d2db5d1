//! What no plan of a placement can beat.
//!
//! * **Round trip**, for each peer of stage 0 with m microbatches and s slots, where R is the least
//!   time in which one microbatch can go out and come back alone. Microbatches start at least `f +
//!   p₀` apart (a forward pass and the pause after it). The (i + s)-th to start finds at least i of
//!   those before it back and their backward passes over, the last of which started no earlier than
//!   the i-th; so it starts at least `R + p` after the i-th. With m = q s + r, 1 ≤ r ≤ s: `T ≥ (r −
//!   1)(f + p₀) + q (R + p) + R`.
//! * **Compute**: of the V visits of a stage in a step, a node that is reached and left no earlier
//!   than `a` after the start and `b` before the end does at most `⌊(T − a − b + p) / (f + w + 2
//!   p)⌋`, with its forward and backward passes f and w; all nodes of the stage together must do V.
//!   At stage 0, a node has its own m microbatches.
//! * **Links**: the round trip with nothing but the links' delays, `(q + 1)` times. Links carry any
//!   number of messages at once, so they bound nothing but ways.

use serde::{Deserialize, Serialize};

use super::request::{PlanError, Request};
use super::stages::balanced;
use crate::path::Peer;
use crate::topology::{Micros, Network, Topology};

/// Times that no plan of a placement can beat; zero where there is nothing to bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounds {
    /// By round trips of the slowest peer of stage 0.
    pub round_trip: Micros,
    /// Who that is.
    pub slowest: Peer,
    /// By what the busiest stage must compute.
    pub compute: Micros,
    /// By delays of links alone.
    pub links: Micros,
}

impl Bounds {
    /// The highest of them.
    pub fn time(&self) -> Micros {
        self.round_trip.max(self.compute).max(self.links)
    }

    /// The bounds for a topology whose every node has a stage.
    ///
    /// # Errors
    /// A request that does not fit the topology, or a node without a stage.
    pub fn of(topology: &Topology, request: &Request) -> Result<Self, PlanError> {
        request.check()?;
        request.check_stages(topology)?;
        let network = topology.network(request.bytes)?;
        let placement = super::placement::first(topology, &network, request)?;
        Ok(of(&network, &placement, request))
    }
}

/// The bounds for a placement.
pub(super) fn of(network: &Network, placement: &[u16], request: &Request) -> Bounds {
    let mut bounds = Bounds {
        round_trip: Micros::ZERO,
        slowest: Peer(0),
        compute: compute(network, placement, request),
        links: Micros::ZERO,
    };
    let layers = layers(placement, request.stages);
    for source in &layers[0] {
        let work = network.work(*source);
        let slots = u64::from(work.slots);
        let before_last = u64::from(request.microbatches) - 1;
        let (full, rest) = (before_last / slots, before_last % slots);
        let best = best_way(network, &layers, *source, request, true);
        let apart = work.forward + network.pause_after_new();
        let trips = rest * apart + full * (best + network.pause()) + best;
        let links = (full + 1) * best_way(network, &layers, *source, request, false);
        bounds.links = bounds.links.max(Micros(links));
        if Micros(trips) > bounds.round_trip {
            bounds.round_trip = Micros(trips);
            bounds.slowest = Peer(*source as u32);
        }
    }
    bounds
}

/// The nodes of every stage.
fn layers(placement: &[u16], stages: u16) -> Vec<Vec<usize>> {
    let mut layers = vec![Vec::new(); usize::from(stages)];
    for (node, stage) in placement.iter().enumerate() {
        layers[usize::from(*stage)].push(node);
    }
    layers
}

/// Least time in which a microbatch of a source can be out and back, with what nodes compute or
/// without.
#[expect(
    clippy::expect_used,
    reason = "a request is refused where even stages jump too far"
)]
fn best_way(
    network: &Network,
    layers: &[Vec<usize>],
    source: usize,
    request: &Request,
    with_work: bool,
) -> u64 {
    let work = |node: usize| match with_work {
        true => network.work(node).forward + network.work(node).backward,
        false => 0,
    };
    let loss = if with_work {
        network.work(source).loss
    } else {
        0
    };
    // Nodes that the path may have reached after its visits so far, and the time of the way there.
    let mut reached: Vec<(usize, usize, u64)> = vec![(0, source, work(source))];
    for _ in 1..request.visits {
        reached = (1..layers.len())
            .flat_map(|stage| layers[stage].iter().map(move |node| (stage, *node)))
            .filter_map(|(stage, node)| {
                let from = reached.iter().filter(|(before, _, _)| {
                    *before < stage && stage - before <= usize::from(request.max_jump)
                });
                let times = from.map(|(_, from, time)| time + network.both_ways(*from, node));
                times.min().map(|time| (stage, node, time + work(node)))
            })
            .collect();
    }
    let home = reached
        .iter()
        .filter(|(stage, _, _)| layers.len() - stage <= usize::from(request.max_jump));
    let times = home.map(|(_, node, time)| time + network.both_ways(*node, source) + loss);
    times
        .min()
        .expect("invariant: a path of even stages exists")
}

fn compute(network: &Network, placement: &[u16], request: &Request) -> Micros {
    let layers = layers(placement, request.stages);
    let sources = layers[0].len();
    let fewest = balanced(
        sources * request.microbatches as usize,
        request.stages,
        request.visits,
    )
    .0 as u64;
    let stages = layers[1..]
        .iter()
        .map(|stage| of_stage(network, stage, &layers[0], fewest));
    let own = layers[0]
        .iter()
        .map(|source| of_source(network, *source, request));
    Micros(stages.chain(own).fold(0, u64::max))
}

/// What a peer of stage 0 computes, one task after the other.
fn of_source(network: &Network, source: usize, request: &Request) -> u64 {
    let work = network.work(source);
    let tasks = work.forward + work.loss + work.backward;
    let pauses = network.pause_after_new() + 2 * network.pause();
    u64::from(request.microbatches) * (tasks + pauses) - network.pause()
}

/// The least time in which the nodes of a stage do so many visits.
fn of_stage(network: &Network, nodes: &[usize], sources: &[usize], visits: u64) -> u64 {
    // What a node needs for a visit, and what lies before the first and after the last. Where there
    // is nobody to send or to receive, that is no time.
    let first = sources
        .iter()
        .map(|source| network.work(*source).forward)
        .min();
    let last = sources
        .iter()
        .map(|source| network.work(*source).backward)
        .min();
    let ends = first.unwrap_or(0) + last.unwrap_or(0);
    let costs: Vec<(u64, u64)> = nodes
        .iter()
        .map(|node| {
            let others = || (0..network.len()).filter(|other| other != node);
            let arrive = others().map(|other| network.delay(other, *node).0).min();
            let leave = others().map(|other| network.delay(*node, other).0).min();
            let work = network.work(*node);
            let each = work.forward + work.backward + 2 * network.pause();
            (each, ends + arrive.unwrap_or(0) + leave.unwrap_or(0))
        })
        .collect();
    let done = |time: u64| -> u64 {
        let by = |(each, away): &(u64, u64)| match (time + network.pause()).checked_sub(*away) {
            Some(left) if *each > 0 => left / each,
            Some(_) => visits,
            None => 0,
        };
        costs.iter().map(by).fold(0, u64::saturating_add)
    };
    let whole = |(each, away): &(u64, u64)| visits * each + away;
    let (mut below, mut enough) = (0, costs.iter().map(whole).min().unwrap_or(0));
    if visits == 0 {
        return 0;
    }
    while below < enough {
        let middle = below + (enough - below) / 2;
        match done(middle) >= visits {
            true => enough = middle,
            false => below = middle + 1,
        }
    }
    below
}
