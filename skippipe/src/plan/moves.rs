//! Small changes of a draft, and their undoing. Each keeps what a plan must keep: stages ascend,
//! jumps are short, and every stage is visited in every wave as often as before.

use reproducible_ops::random::Stream;

use super::draft::{Draft, detour};
use crate::topology::Network;

/// What is needed to take the last change back.
#[derive(Debug, Default)]
pub(super) struct Undo {
    /// Microbatches whose routes changed, and their old routes one after the other.
    changed: Vec<usize>,
    routes: Vec<u32>,
    exchanged: Option<(u32, u32)>,
}

impl Undo {
    fn clear(&mut self) {
        self.changed.clear();
        self.routes.clear();
        self.exchanged = None;
    }

    fn note(&mut self, draft: &Draft, microbatch: usize) {
        self.changed.push(microbatch);
        self.routes.extend(draft.schedule.route(microbatch));
    }

    /// Makes a draft what it was before the change.
    pub(super) fn apply(&self, draft: &mut Draft) {
        if let Some((one, other)) = self.exchanged {
            draft.exchange_nodes(one, other);
        }
        let length = draft.schedule.stride();
        for (microbatch, old) in self.changed.iter().zip(self.routes.chunks(length)).rev() {
            draft.schedule.route_mut(*microbatch).copy_from_slice(old);
        }
    }
}

/// Where changes come from.
pub(super) struct Mover<'a> {
    network: &'a Network,
    random: Stream,
    /// Nodes whose stage the planner may choose, where there are two or more.
    movable: Vec<u32>,
    /// A microbatch that comes back late, to be changed more often than others.
    pub(super) late: usize,
    /// The microbatches that are changed alike.
    ones: Vec<usize>,
    /// Those that each changes something with, where it does.
    others: Vec<usize>,
}

impl<'a> Mover<'a> {
    pub(super) fn new(network: &'a Network, random: Stream, movable: Vec<u32>) -> Self {
        Self {
            network,
            random,
            movable,
            late: 0,
            ones: Vec::new(),
            others: Vec::new(),
        }
    }

    /// 32 random bits.
    pub(super) fn word(&mut self) -> u32 {
        self.random.next_u32()
    }

    /// Changes a draft; false where the change that was drawn is impossible or none.
    pub(super) fn change(&mut self, draft: &mut Draft, undo: &mut Undo) -> bool {
        undo.clear();
        if self.movable.len() > 1 && self.random.below(5) == 0 {
            return self.exchange_nodes(draft, undo);
        }
        if draft.schedule.stride() < 2 {
            return false;
        }
        let one = self.microbatch(draft);
        let drawn = self.random.below(8);
        if drawn < 3 {
            self.choose_alone(draft, one);
            return self.replace_peer(draft, undo);
        }
        if !self.choose_pairs(draft, one) {
            return false;
        }
        match drawn {
            3..=4 => self.exchange_peers(draft, undo),
            5..=6 => self.exchange_stages(draft, undo),
            _ => self.exchange_routes(draft, undo),
        }
    }

    fn microbatch(&mut self, draft: &Draft) -> usize {
        match self.random.below(3) {
            0 => self.late,
            _ => self.random.index(draft.schedule.len()),
        }
    }

    /// One microbatch or, half of the time, all of its source that go the same way.
    fn choose_alone(&mut self, draft: &Draft, one: usize) {
        self.ones.clear();
        self.others.clear();
        match self.random.below(2) {
            0 => self.ones.push(one),
            _ => self.ones.extend(draft.alike(one)),
        }
    }

    /// Two microbatches of a wave or, half of the time, all such pairs of their sources that go the
    /// same two ways; false where two were drawn that make no pair.
    fn choose_pairs(&mut self, draft: &Draft, one: usize) -> bool {
        let wave = &draft.waves[draft.wave[one] as usize];
        let other = wave[self.random.index(wave.len())] as usize;
        if other == one {
            return false;
        }
        self.ones.clear();
        self.others.clear();
        let source = |microbatch| draft.schedule.route(microbatch)[0];
        if source(one) == source(other) || self.random.below(2) == 0 {
            self.ones.push(one);
            self.others.push(other);
            return true;
        }
        for (one, other) in draft.alike(one).zip(draft.alike(other)) {
            if draft.wave[one] == draft.wave[other] {
                self.ones.push(one);
                self.others.push(other);
            }
        }
        !self.ones.is_empty()
    }

    fn note(&self, draft: &Draft, undo: &mut Undo) {
        let all = self.ones.iter().chain(&self.others);
        all.for_each(|microbatch| undo.note(draft, *microbatch));
    }

    /// Sends microbatches over another replica of a stage.
    fn replace_peer(&mut self, draft: &mut Draft, undo: &mut Undo) -> bool {
        let place = 1 + self.random.index(draft.schedule.stride() - 1);
        let route = draft.schedule.route(self.ones[0]);
        let old = route[place];
        let node = self.near(draft, self.ones[0], place, draft.stage(old));
        if node == old {
            return false;
        }
        self.note(draft, undo);
        for one in &self.ones {
            draft.schedule.route_mut(*one)[place] = node;
        }
        true
    }

    /// A replica of a stage, the nearest of a random number of them.
    fn near(&mut self, draft: &Draft, microbatch: usize, place: usize, stage: u16) -> u32 {
        let replicas = &draft.replicas[usize::from(stage)];
        let draws = 1
            << self
                .random
                .below(u64::from(replicas.len().min(32).ilog2()) + 1);
        let route = draft.schedule.route(microbatch);
        let mut best = replicas[self.random.index(replicas.len())];
        for _ in 1..draws {
            let other = replicas[self.random.index(replicas.len())];
            let cost = |node| detour(self.network, route, place, node);
            if cost(other) < cost(best) {
                best = other;
            }
        }
        best
    }

    /// Microbatches change replicas of a stage that both of a pair visit.
    fn exchange_peers(&mut self, draft: &mut Draft, undo: &mut Undo) -> bool {
        let place = 1 + self.random.index(draft.schedule.stride() - 1);
        let node = draft.schedule.route(self.ones[0])[place];
        let stage = draft.stage(node);
        let mut visited = draft.schedule.route(self.others[0]).iter();
        let Some(elsewhere) = visited.position(|node| draft.stage(*node) == stage) else {
            return false;
        };
        let peer = draft.schedule.route(self.others[0])[elsewhere];
        if peer == node {
            return false;
        }
        self.note(draft, undo);
        for (one, other) in self.ones.iter().zip(&self.others) {
            draft.schedule.route_mut(*one)[place] = peer;
            draft.schedule.route_mut(*other)[elsewhere] = node;
        }
        true
    }

    /// One of a pair visits a stage in place of another, and the other the other way round.
    fn exchange_stages(&mut self, draft: &mut Draft, undo: &mut Undo) -> bool {
        let (one, other) = (self.ones[0], self.others[0]);
        let (Some(mine), Some(yours)) = (
            self.place_that_is_skipped_by(draft, one, other),
            self.place_that_is_skipped_by(draft, other, one),
        ) else {
            return false;
        };
        self.note(draft, undo);
        let (node, peer) = (
            draft.schedule.route(one)[mine],
            draft.schedule.route(other)[yours],
        );
        let kept = self.put(draft, one, mine, peer) && self.put(draft, other, yours, node);
        if !kept {
            undo.apply(draft);
            return false;
        }
        for (followers, leader) in [(&self.ones, one), (&self.others, other)] {
            for follower in &followers[1..] {
                draft.schedule.copy_route(leader, *follower);
            }
        }
        true
    }

    /// A place of a route whose stage another microbatch skips.
    fn place_that_is_skipped_by(
        &mut self,
        draft: &Draft,
        microbatch: usize,
        other: usize,
    ) -> Option<usize> {
        let visited = draft.schedule.route(other);
        let route = draft.schedule.route(microbatch);
        let skipped = |place: &usize| {
            let stage = draft.stage(route[*place]);
            visited.iter().all(|node| draft.stage(*node) != stage)
        };
        let count = (1..route.len()).filter(skipped).count();
        let chosen = self.random.index(count);
        (1..route.len()).filter(skipped).nth(chosen)
    }

    /// Puts a node of another stage into a place of a route and moves it to where it belongs; half
    /// of the time a near replica of its stage in place of the node itself. False where the route
    /// must jump too far then.
    fn put(&mut self, draft: &mut Draft, microbatch: usize, place: usize, node: u32) -> bool {
        let stage = draft.stage(node);
        let (placement, route) = (&draft.placement, draft.schedule.route_mut(microbatch));
        route[place] = node;
        route.sort_unstable_by_key(|node| placement[*node as usize]);
        if !draft.may_jump(draft.schedule.route(microbatch)) {
            return false;
        }
        let mut route = draft.schedule.route(microbatch).iter();
        if let (0, Some(place)) = (self.random.below(2), route.position(|other| *other == node)) {
            let near = self.near(draft, microbatch, place, stage);
            draft.schedule.route_mut(microbatch)[place] = near;
        }
        true
    }

    /// The two of a pair change all but their sources.
    fn exchange_routes(&mut self, draft: &mut Draft, undo: &mut Undo) -> bool {
        let (one, other) = (self.ones[0], self.others[0]);
        if draft.schedule.route(one)[1..] == draft.schedule.route(other)[1..] {
            return false;
        }
        self.note(draft, undo);
        for (one, other) in self.ones.iter().zip(&self.others) {
            for place in 1..draft.schedule.stride() {
                let (node, peer) = (
                    draft.schedule.route(*one)[place],
                    draft.schedule.route(*other)[place],
                );
                draft.schedule.route_mut(*one)[place] = peer;
                draft.schedule.route_mut(*other)[place] = node;
            }
        }
        true
    }

    /// Two nodes that may serve any stage change places. They have equally many slots, for waves
    /// are counted by the slots of sources.
    fn exchange_nodes(&mut self, draft: &mut Draft, undo: &mut Undo) -> bool {
        let one = self.movable[self.random.index(self.movable.len())];
        let other = self.movable[self.random.index(self.movable.len())];
        let slots = |node: u32| self.network.work(node as usize).slots;
        if draft.stage(one) == draft.stage(other) || slots(one) != slots(other) {
            return false;
        }
        draft.exchange_nodes(one, other);
        undo.exchanged = Some((one, other));
        true
    }
}
