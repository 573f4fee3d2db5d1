//! The plan that a search begins with: source by source, the one with the longest way first, each
//! takes the cheapest route that leaves the others a balanced rest.
//!
//! Each wave has a *quota* of visits for every stage. With r paths still to be chosen, a stage
//! whose quota is not used up by exactly r visits is forced: every one of those paths takes it. As
//! long as none misses more, the rest can be filled.

use std::cmp::Reverse;

use super::draft::Draft;
use super::request::{PlanError, Request};
use super::stages::{balanced, even};
use crate::path::{Peer, Stage};
use crate::topology::{Network, Topology};

/// A first draft for a placement.
pub(super) fn first(
    placement: Vec<u16>,
    topology: &Topology,
    network: &Network,
    request: &Request,
) -> Result<Draft, PlanError> {
    let mut draft = Draft::new(placement, request)?;
    let waves = waves(topology, &draft.replicas[0], request);
    let mut router = Router::new(network, &draft, request);
    let mut routes: Vec<Vec<Vec<u32>>> = Vec::new();
    for (index, wave) in waves.iter().enumerate() {
        // Most waves are like the one before.
        match index
            .checked_sub(1)
            .filter(|before| waves[*before] == *wave)
        {
            Some(before) => routes.push(routes[before].clone()),
            None => routes.push(router.wave(wave)),
        }
    }
    // By source, those of the first wave first; then round by round.
    for round in 0..request.microbatches {
        for (place, source) in draft.replicas[0].clone().into_iter().enumerate() {
            let slots = u32::from(topology.nodes()[source as usize].slots);
            let wave = (round / slots) as usize;
            let before: u32 = waves[wave][..place].iter().map(|(_, count)| *count).sum();
            let route = &routes[wave][(before + round % slots) as usize];
            draft.push(wave, route.iter().copied().map(Peer));
        }
    }
    Ok(draft)
}

/// Of every wave the sources, ascending, and how many microbatches each has in it.
#[expect(
    clippy::expect_used,
    reason = "a draft is refused where a stage has nobody"
)]
fn waves(topology: &Topology, sources: &[u32], request: &Request) -> Vec<Vec<(u32, u32)>> {
    let slots = |source: &u32| u32::from(topology.nodes()[*source as usize].slots);
    let fewest = sources.iter().map(slots).min();
    let fewest = fewest.expect("invariant: a draft has a peer of stage 0");
    let waves = 0..request.microbatches.div_ceil(fewest);
    let wave = |wave: u32| {
        let count = |source: &u32| {
            let left = request.microbatches.saturating_sub(wave * slots(source));
            (*source, left.min(slots(source)))
        };
        sources.iter().map(count).collect()
    };
    waves.map(wave).collect()
}

/// How often stages must still be visited in a wave.
struct Quota {
    /// By stage.
    missing: Vec<usize>,
    /// Paths still to be chosen.
    paths: usize,
}

impl Quota {
    /// Balanced visits; where they cannot be divided, the stages of most replicas have one more.
    fn new(paths: usize, replicas: &[Vec<u32>], request: &Request) -> Self {
        let (fewest, _) = balanced(paths, request.stages, request.visits);
        let others = replicas.len() - 1;
        let mut missing = vec![fewest; replicas.len()];
        missing[0] = paths;
        let more = paths * (usize::from(request.visits) - 1) - fewest * others;
        let mut stages: Vec<usize> = (1..replicas.len()).collect();
        stages.sort_by_key(|stage| (Reverse(replicas[*stage].len()), *stage));
        for stage in stages.into_iter().take(more) {
            missing[stage] += 1;
        }
        Self { missing, paths }
    }

    /// Allows every stage and forces none.
    fn open(stages: usize) -> Self {
        Self {
            missing: vec![1; stages],
            paths: 2,
        }
    }

    /// One path, of just these stages.
    fn only(stages: usize, set: impl Iterator<Item = Stage>) -> Self {
        let mut missing = vec![0; stages];
        set.for_each(|stage| missing[stage.index()] = 1);
        Self { missing, paths: 1 }
    }

    fn may(&self, stage: usize) -> bool {
        self.missing[stage] > 0
    }

    fn must(&self, stage: usize) -> bool {
        self.missing[stage] == self.paths
    }

    /// Whether a path may take just these stages.
    fn allows(&self, stages: impl Iterator<Item = usize> + Clone) -> bool {
        let forced = (0..self.missing.len())
            .filter(|stage| self.must(*stage))
            .count();
        let taken = stages.clone().filter(|stage| self.must(*stage)).count();
        forced == taken && stages.clone().all(|stage| self.may(stage))
    }

    fn take(&mut self, stages: impl Iterator<Item = usize>) {
        stages.for_each(|stage| self.missing[stage] -= 1);
        self.paths -= 1;
    }
}

/// A way to a node: what it costs, and the place of the node before in its layer.
#[derive(Clone, Copy)]
struct Way {
    cost: u64,
    stage: u16,
    place: u32,
}

const NO_WAY: Way = Way {
    cost: u64::MAX,
    stage: 0,
    place: 0,
};

/// Finds routes for the sources of a wave.
struct Router<'a> {
    network: &'a Network,
    replicas: Vec<Vec<u32>>,
    request: &'a Request,
    /// What was put on every node in the wave.
    load: Vec<u64>,
    /// By number of visits, stage, and place of a node in its stage.
    ways: Vec<Vec<Vec<Way>>>,
}

impl<'a> Router<'a> {
    fn new(network: &'a Network, draft: &Draft, request: &'a Request) -> Self {
        Self {
            network,
            replicas: draft.replicas.clone(),
            request,
            load: vec![0; network.len()],
            ways: Vec::new(),
        }
    }

    /// The routes of a wave, source by source.
    fn wave(&mut self, wave: &[(u32, u32)]) -> Vec<Vec<u32>> {
        self.load.fill(0);
        let paths = wave.iter().map(|(_, count)| *count as usize).sum();
        let mut quota = Quota::new(paths, &self.replicas, self.request);
        let open = Quota::open(self.replicas.len());
        let mut order: Vec<usize> = (0..wave.len()).collect();
        order.sort_by_cached_key(|place| {
            let source = wave[*place].0;
            // Whoever has no way at all does not care when its turn is: the wave gets even sets.
            let alone = self.route(source, &open).map(|(cost, _)| cost);
            Reverse(alone.map(|cost| cost + self.work(source)))
        });
        let mut routes: Vec<Vec<Vec<u32>>> = vec![Vec::new(); wave.len()];
        for place in order {
            let (source, count) = wave[place];
            for _ in 0..count {
                let again = routes[place]
                    .last()
                    .filter(|route| quota.allows(self.stages_of(route)));
                let route: Vec<u32> = match again
                    .cloned()
                    .or_else(|| self.route(source, &quota).map(|(_, route)| route))
                {
                    Some(route) => route,
                    // Jumps leave no way to fill the rest.
                    None => return self.even_wave(wave),
                };
                quota.take(self.stages_of(&route));
                self.put_load(&route);
                routes[place].push(route);
            }
        }
        routes.into_iter().flatten().collect()
    }

    /// Even stage sets, which fit into any limit of jumps that was not refused.
    #[expect(
        clippy::expect_used,
        reason = "the request is refused where even sets jump too far"
    )]
    fn even_wave(&mut self, wave: &[(u32, u32)]) -> Vec<Vec<u32>> {
        self.load.fill(0);
        let each = wave
            .iter()
            .flat_map(|(source, count)| (0..*count).map(move |_| *source));
        let mut routes = Vec::new();
        for (place, source) in each.enumerate() {
            let set = even(place, self.request.stages, self.request.visits);
            let only = Quota::only(self.replicas.len(), set);
            let (_, route) = self
                .route(source, &only)
                .expect("invariant: an even set has no longer jumps than were checked");
            self.put_load(&route);
            routes.push(route);
        }
        routes
    }

    fn stages_of<'r>(&'r self, route: &'r [u32]) -> impl Iterator<Item = usize> + Clone + 'r {
        let serves = |node: &u32| {
            let by = |nodes: &Vec<u32>| nodes.binary_search(node).is_ok();
            self.replicas.iter().position(by)
        };
        route.iter().filter_map(serves)
    }

    fn put_load(&mut self, route: &[u32]) {
        for node in route {
            self.load[*node as usize] += self.work(*node);
        }
    }

    fn work(&self, node: u32) -> u64 {
        let work = self.network.work(node as usize);
        work.forward + work.backward + 2 * self.network.pause()
    }

    /// The cheapest route of a source that a quota allows, and its cost: delays both ways, and the
    /// work of its nodes and of all that they were given in the wave before.
    fn route(&mut self, source: u32, quota: &Quota) -> Option<(u64, Vec<u32>)> {
        let visits = usize::from(self.request.visits);
        let stages = usize::from(self.request.stages);
        let layer = |stage: usize| vec![NO_WAY; self.replicas[stage].len()];
        self.ways.clear();
        self.ways
            .resize_with(visits, || (0..stages).map(layer).collect());
        let place = self.replicas[0].binary_search(&source).ok()?;
        self.ways[0][0][place].cost = 0;
        for visit in 1..visits {
            for before in 0..stages {
                let farthest = stages.min(before + usize::from(self.request.max_jump) + 1);
                for stage in before + 1..farthest {
                    if quota.may(stage) {
                        self.extend(visit, before, stage);
                    }
                    if quota.must(stage) {
                        break;
                    }
                }
            }
        }
        self.home(source, quota)
    }

    /// Improves the ways to the nodes of a stage by those over the nodes of one before.
    fn extend(&mut self, visit: usize, before: usize, stage: usize) {
        let (known, open) = self.ways.split_at_mut(visit);
        let known = &known[visit - 1][before];
        for (way, node) in open[0][stage].iter_mut().zip(&self.replicas[stage]) {
            let work = self.network.work(*node as usize);
            let cost = self.load[*node as usize] + work.forward + work.backward;
            let froms = known.iter().zip(&self.replicas[before]).enumerate();
            for (place, (from, other)) in froms.filter(|(_, (from, _))| from.cost != u64::MAX) {
                let delay = self.network.both_ways(*other as usize, *node as usize);
                let found = from.cost + delay + cost;
                if found < way.cost {
                    *way = Way {
                        cost: found,
                        stage: before as u16,
                        place: place as u32,
                    };
                }
            }
        }
    }

    /// The best of all ways from the last node to the source, followed back.
    fn home(&self, source: u32, quota: &Quota) -> Option<(u64, Vec<u32>)> {
        let visits = usize::from(self.request.visits);
        let stages = usize::from(self.request.stages);
        let nearest = stages.saturating_sub(usize::from(self.request.max_jump));
        let last_forced = (0..stages)
            .rev()
            .find(|stage| quota.must(*stage))
            .unwrap_or(0);
        let mut best: Option<(u64, usize, usize)> = None;
        for stage in nearest.max(last_forced)..stages {
            for (place, way) in self.ways[visits - 1][stage].iter().enumerate() {
                if way.cost == u64::MAX {
                    continue;
                }
                let node = self.replicas[stage][place] as usize;
                let cost = way.cost + self.network.both_ways(node, source as usize);
                if best.is_none_or(|(least, _, _)| cost < least) {
                    best = Some((cost, stage, place));
                }
            }
        }
        let (cost, mut stage, mut place) = best?;
        let mut route = vec![source; visits];
        for visit in (1..visits).rev() {
            route[visit] = self.replicas[stage][place];
            let way = self.ways[visit][stage][place];
            (stage, place) = (usize::from(way.stage), way.place as usize);
        }
        Some((cost, route))
    }
}
