//! A plan for peers of whom some left or came, made from the plan before.
//!
//! Whoever stays keeps its stage. A peer that came goes to the stage that misses most of its share;
//! a stage that lost its last peer gets one from the stage that can best do without. Paths over
//! peers that left go over the replica with the least delay; microbatches of a peer of stage 0 that
//! left are gone, and the visits of a wave are balanced again. From there a search goes on, shorter
//! than for a new plan.

use super::anneal::Search;
use super::draft::{Draft, detour};
use super::placement;
use super::request::{PlanError, Request};
use super::stages::{balanced, even};
use super::step::Plan;
use crate::path::{Peer, Stage};
use crate::topology::{Micros, Network, Topology};

/// What came of planning again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replan {
    /// The plan to go on with.
    pub plan: Plan,
    /// Why it is this one.
    pub reason: Reason,
}

/// Why a plan was kept or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The plan before is no plan for the peers that are there.
    Broken,
    /// The new one is faster by more than the threshold; the one before would take this long.
    Better {
        /// Time of the plan before, with the peers that are there.
        before: Micros,
    },
    /// The plan before still holds, and nothing much better was found.
    Kept,
}

impl Plan {
    /// Plans again after peers left or came. `places` says where each peer of this plan is among
    /// the nodes of `topology`, as [`Topology::without`] does; none for one that left. A plan that
    /// still holds is kept unless a new one is faster by more than `threshold_permille`
    /// thousandths: a change of plan costs peers the loading of stages and warm links.
    ///
    /// # Errors
    /// The request does not fit the topology: for example, fewer peers than stages are left.
    ///
    /// # Panics
    /// `places` names a peer that is not in the topology, or two peers the same place.
    pub fn replan(
        &self,
        places: &[Option<Peer>],
        topology: &Topology,
        request: &Request,
        threshold_permille: u32,
    ) -> Result<Replan, PlanError> {
        request.check()?;
        request.check_stages(topology)?;
        let network = topology.network(request.bytes)?;
        let before = self.still_holds(places, topology, request);
        let placement = self.placement_again(places, topology, request)?;
        let draft = match before.as_ref() {
            Some(plan) => plan.draft(topology, request)?,
            None => Repair::new(self, places, placement, topology, &network, request)?.draft,
        };
        let budget = request.budget(draft.schedule.len()) / 2;
        let mut search = Search::new(draft, &network)?;
        let started = Micros(search.cost.time);
        // Nobody who stays changes its stage: it would have to load another one.
        search.anneal(Vec::new(), request, 0, budget)?;
        let plan = Plan::found(&search, &network, request);
        Ok(match before {
            None => Replan {
                plan,
                reason: Reason::Broken,
            },
            Some(old) if is_better(plan.time, started, threshold_permille) => Replan {
                plan,
                reason: Reason::Better { before: old.time },
            },
            Some(old) => Replan {
                plan: old,
                reason: Reason::Kept,
            },
        })
    }

    /// This plan with new numbers for its peers and its time among them, if it is still a plan.
    fn still_holds(
        &self,
        places: &[Option<Peer>],
        topology: &Topology,
        request: &Request,
    ) -> Option<Self> {
        let mut placement = vec![None; topology.nodes().len()];
        for (stage, place) in self.placement.iter().zip(places) {
            *placement.get_mut((*place)?.index())? = Some(*stage);
        }
        let placement: Vec<Stage> = placement.into_iter().collect::<Option<_>>()?;
        let paths = self.paths.iter().map(|path| path.renamed(places));
        let mut plan = Self {
            placement,
            paths: paths.collect::<Option<_>>()?,
            ..self.clone()
        };
        plan.check(topology, request).ok()?;
        plan.time = plan.report(topology, request.bytes).ok()?.time;
        let network = topology.network(request.bytes).ok()?;
        plan.bounds = super::bounds::of(&network, &plan.stages(), request);
        Some(plan)
    }

    fn placement_again(
        &self,
        places: &[Option<Peer>],
        topology: &Topology,
        request: &Request,
    ) -> Result<Vec<u16>, PlanError> {
        let given = placement::given(topology);
        let mut stages = given.clone();
        for (stage, place) in self.placement.iter().zip(places) {
            let Some(place) = place else { continue };
            let kept = Some(stage.0).filter(|stage| *stage < request.stages);
            stages[place.index()] = given[place.index()].or(kept);
        }
        placement::complete(stages, &given, request)
    }

    fn stages(&self) -> Vec<u16> {
        self.placement.iter().map(|stage| stage.0).collect()
    }

    /// A draft of this plan, which holds.
    fn draft(&self, topology: &Topology, request: &Request) -> Result<Draft, PlanError> {
        let mut draft = Draft::new(self.stages(), request)?;
        let mut own = vec![Vec::new(); topology.nodes().len()];
        for path in &self.paths {
            own[path.source().index()].push(path.hops().iter().map(|hop| hop.peer));
        }
        for round in 0..request.microbatches {
            for source in draft.replicas[0].clone() {
                let slots = u32::from(topology.nodes()[source as usize].slots);
                let route = own[source as usize][round as usize].clone();
                draft.push((round / slots) as usize, route);
            }
        }
        Ok(draft)
    }
}

fn is_better(new: Micros, old: Micros, threshold_permille: u32) -> bool {
    let threshold = u128::from(1000_u32.saturating_sub(threshold_permille));
    u128::from(new.0) * 1000 < u128::from(old.0) * threshold
}

/// Turns the routes of a plan that broke into routes for the peers that are there.
struct Repair<'a> {
    draft: Draft,
    network: &'a Network,
    request: &'a Request,
    /// Work put on every node.
    load: Vec<u64>,
}

impl<'a> Repair<'a> {
    fn new(
        old: &Plan,
        places: &[Option<Peer>],
        placement: Vec<u16>,
        topology: &Topology,
        network: &'a Network,
        request: &'a Request,
    ) -> Result<Self, PlanError> {
        let mut repair = Self {
            draft: Draft::new(placement, request)?,
            network,
            request,
            load: vec![0; network.len()],
        };
        let mut own: Vec<Vec<Vec<Option<u32>>>> = vec![Vec::new(); network.len()];
        for path in &old.paths {
            let place = |peer: Peer| places.get(peer.index()).copied().flatten();
            if let Some(source) = place(path.source()) {
                let nodes = path
                    .hops()
                    .iter()
                    .map(|hop| place(hop.peer).map(|peer| peer.0));
                own[source.index()].push(nodes.collect());
            }
        }
        for round in 0..request.microbatches {
            for source in repair.draft.replicas[0].clone() {
                let slots = u32::from(topology.nodes()[source as usize].slots);
                let old = own[source as usize].get(round as usize);
                repair.push(
                    (round / slots) as usize,
                    source,
                    old.map_or(&[], Vec::as_slice),
                );
            }
        }
        for wave in 0..repair.draft.waves.len() {
            repair.balance(wave);
        }
        Ok(repair)
    }

    /// Adds a microbatch that goes the old way where it can.
    fn push(&mut self, wave: usize, source: u32, old: &[Option<u32>]) {
        let mut kept: Vec<u32> = old.iter().flatten().copied().collect();
        kept.retain(|node| self.draft.stage(*node) != 0);
        kept.sort_by_key(|node| self.draft.stage(*node));
        kept.dedup_by_key(|node| self.draft.stage(*node));
        kept.truncate(usize::from(self.request.visits) - 1);
        let mut stages: Vec<u16> = kept.iter().map(|node| self.draft.stage(*node)).collect();
        let place = self.draft.waves.get(wave).map_or(0, Vec::len);
        let set = even(place, self.request.stages, self.request.visits).skip(1);
        let others = 1..self.request.stages;
        for stage in set.map(|stage| stage.0).chain(others) {
            if stages.len() + 1 < usize::from(self.request.visits) && !stages.contains(&stage) {
                stages.push(stage);
            }
        }
        stages.sort_unstable();
        let mut route = vec![source];
        for stage in stages {
            let old = kept
                .iter()
                .copied()
                .find(|node| self.draft.stage(*node) == stage);
            let node = old.unwrap_or_else(|| self.near(&route, route.len(), stage));
            route.push(node);
        }
        self.put_load(&route);
        self.draft.push(wave, route.into_iter().map(Peer));
    }

    fn put_load(&mut self, route: &[u32]) {
        for node in route {
            let work = self.network.work(*node as usize);
            self.load[*node as usize] += work.forward + work.backward;
        }
    }

    /// The replica of a stage with the shortest detour and the least load.
    #[expect(
        clippy::expect_used,
        reason = "a draft is refused where a stage has nobody"
    )]
    fn near(&self, route: &[u32], place: usize, stage: u16) -> u32 {
        let replicas = &self.draft.replicas[usize::from(stage)];
        let cost = |node: &u32| {
            let way = detour(self.network, route, place, *node);
            (way + self.load[*node as usize], *node)
        };
        let best = replicas.iter().copied().min_by_key(cost);
        best.expect("invariant: a stage has a replica")
    }

    /// Has all stages of a wave visited equally often again; by even stage sets where single
    /// changes are stopped by the limit of jumps.
    fn balance(&mut self, wave: usize) {
        let members = self.draft.waves[wave].clone();
        let (fewest, most) = balanced(members.len(), self.request.stages, self.request.visits);
        loop {
            let counts = self.counts(&members);
            let even = (1..counts.len()).all(|stage| (fewest..=most).contains(&counts[stage]));
            let short = members.iter().all(|one| {
                self.draft
                    .may_jump(self.draft.schedule.route(*one as usize))
            });
            if even && short {
                return;
            }
            if even || !self.shift(&members, &counts) {
                return self.even_wave(&members);
            }
        }
    }

    fn counts(&self, members: &[u32]) -> Vec<usize> {
        let mut counts = vec![0; usize::from(self.request.stages)];
        for one in members {
            for node in self.draft.schedule.route(*one as usize) {
                counts[usize::from(self.draft.stage(*node))] += 1;
            }
        }
        counts
    }

    /// Moves a visit from a stage to another that has at least two fewer; false where none can
    /// move.
    fn shift(&mut self, members: &[u32], counts: &[usize]) -> bool {
        let mut order: Vec<usize> = (1..counts.len()).collect();
        order.sort_by_key(|stage| (counts[*stage], *stage));
        for high in order.iter().rev() {
            for low in order
                .iter()
                .take_while(|low| counts[**low] + 1 < counts[*high])
            {
                for one in members {
                    if self.shift_one(*one as usize, *high as u16, *low as u16) {
                        return true;
                    }
                }
            }
        }
        false
    }

    fn shift_one(&mut self, one: usize, high: u16, low: u16) -> bool {
        let route = self.draft.schedule.route(one);
        if route.iter().any(|node| self.draft.stage(*node) == low) {
            return false;
        }
        let Some(place) = route
            .iter()
            .position(|node| self.draft.stage(*node) == high)
        else {
            return false;
        };
        let mut changed = route.to_vec();
        changed[place] = self.near(route, place, low);
        changed.sort_by_key(|node| self.draft.stage(*node));
        if !self.draft.may_jump(&changed) {
            return false;
        }
        self.draft.schedule.route_mut(one).copy_from_slice(&changed);
        true
    }

    fn even_wave(&mut self, members: &[u32]) {
        for (place, one) in members.iter().enumerate() {
            let mut route = vec![self.draft.schedule.route(*one as usize)[0]];
            for stage in even(place, self.request.stages, self.request.visits).skip(1) {
                let node = self.near(&route, route.len(), stage.0);
                route.push(node);
            }
            self.draft
                .schedule
                .route_mut(*one as usize)
                .copy_from_slice(&route);
        }
    }
}
