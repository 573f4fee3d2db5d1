//! A plan while it is changed: routes as numbers, and who serves what.

use super::request::{PlanError, Request};
use crate::path::{Hop, Path, Peer, Stage};
use crate::sim::Schedule;
use crate::topology::Network;

/// Routes and placement. Every route has as many nodes as the request has visits.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) schedule: Schedule,
    /// The stage of every node.
    pub(super) placement: Vec<u16>,
    /// The nodes of every stage, ascending.
    pub(super) replicas: Vec<Vec<u32>>,
    /// The wave of every microbatch.
    pub(super) wave: Vec<u32>,
    /// The microbatches of every wave.
    pub(super) waves: Vec<Vec<u32>>,
    pub(super) stages: u16,
    pub(super) max_jump: u16,
}

impl Draft {
    /// No routes yet.
    ///
    /// # Errors
    /// A stage without a node, or too many microbatches.
    pub(super) fn new(placement: Vec<u16>, request: &Request) -> Result<Self, PlanError> {
        let mut replicas = vec![Vec::new(); usize::from(request.stages)];
        for (node, stage) in placement.iter().enumerate() {
            replicas[usize::from(*stage)].push(node as u32);
        }
        if let Some(stage) = replicas.iter().position(Vec::is_empty) {
            let stage = Stage(stage as u16);
            return Err(PlanError::Nobody { stage });
        }
        request.check_microbatches(replicas[0].len())?;
        Ok(Self {
            schedule: Schedule::new(request.visits),
            placement,
            replicas,
            wave: Vec::new(),
            waves: Vec::new(),
            stages: request.stages,
            max_jump: request.max_jump,
        })
    }

    /// Adds a microbatch to a wave.
    pub(super) fn push(&mut self, wave: usize, route: impl IntoIterator<Item = Peer>) {
        let microbatch = self.schedule.len() as u32;
        let added = self.schedule.push(route, crate::topology::Micros::ZERO);
        assert!(
            added,
            "invariant: a route has as many nodes as the request has visits"
        );
        if self.waves.len() <= wave {
            self.waves.resize(wave + 1, Vec::new());
        }
        self.waves[wave].push(microbatch);
        self.wave.push(wave as u32);
    }

    /// The stage that a node serves.
    pub(super) fn stage(&self, node: u32) -> u16 {
        self.placement[node as usize]
    }

    /// The microbatches of the same source that go the same way.
    pub(super) fn alike(&self, one: usize) -> impl Iterator<Item = usize> + '_ {
        let sources = self.replicas[0].len();
        let route = self.schedule.route(one);
        // Microbatches come in rounds of one per source.
        let own = (one % sources..self.schedule.len()).step_by(sources);
        own.filter(move |other| self.schedule.route(*other) == route)
    }

    /// Whether the jumps of a route are short enough, the way to the head included.
    pub(super) fn may_jump(&self, route: &[u32]) -> bool {
        let next = route[1..].iter().map(|node| self.stage(*node));
        let next = next.chain(std::iter::once(self.stages));
        let near = |(node, next): (&u32, u16)| next - self.stage(*node) <= self.max_jump;
        route.iter().zip(next).all(near)
    }

    /// Has two nodes change places: in every route, and in the stages that they serve.
    pub(super) fn exchange_nodes(&mut self, one: u32, other: u32) {
        for node in self.schedule.nodes_mut() {
            if *node == one {
                *node = other;
            } else if *node == other {
                *node = one;
            }
        }
        let (first, second) = (self.stage(one), self.stage(other));
        self.placement.swap(one as usize, other as usize);
        for (stage, left, joined) in [(first, one, other), (second, other, one)] {
            let nodes = &mut self.replicas[usize::from(stage)];
            nodes.retain(|node| *node != left);
            nodes.push(joined);
            nodes.sort_unstable();
        }
    }

    /// The paths, by microbatch.
    #[expect(clippy::expect_used, reason = "routes ascend from stage 0")]
    pub(super) fn paths(&self) -> Vec<Path> {
        let hop = |node: &u32| Hop {
            stage: Stage(self.stage(*node)),
            peer: Peer(*node),
        };
        let path = |microbatch| {
            let hops = self.schedule.route(microbatch).iter().map(hop).collect();
            Path::new(hops).expect("invariant: routes ascend from stage 0")
        };
        (0..self.schedule.len()).map(path).collect()
    }
}

/// What a detour over a node costs between the nodes before and after it (the source again, after
/// the last), both ways.
pub(super) fn detour(network: &Network, route: &[u32], place: usize, node: u32) -> u64 {
    let before = route[place - 1] as usize;
    let after = route.get(place + 1).unwrap_or(&route[0]);
    network.both_ways(before, node as usize) + network.both_ways(node as usize, *after as usize)
}
