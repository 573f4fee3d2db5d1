//! Whom to call and when, as a pure table: time and connections are arguments.
//!
//! ```text
//! add ─▶ waiting ─due─▶ dialling ─ok─▶ connected ─lost─▶ waiting, at once
//!           ▲              │
//!           └── pause ×2 ──┘ failed          given up after DIAL_TRIES, if never reached
//! ```
//! Configured addresses are called until they answer, for ever: a dead one costs a dial every five
//! minutes and nothing else. Others, from the file of known addresses, from names, a chain, the
//! local network, from peers, are called while the node has fewer peers than it wants; those that
//! were reached once, by this run or an earlier one, are not given up either, so that a node finds
//! back after an outage of any length. The table is bounded; those that were never reached make
//! room first, of the source that is trusted least.

use std::time::{Duration, Instant};

use libp2p::{Multiaddr, PeerId};

use crate::address;
use crate::limits::{
    DIAL_PAUSE_FIRST, DIAL_PAUSE_LONGEST, DIAL_TRIES, DIALS_AT_ONCE, MAX_ADDRESSES_PER_PEER,
    MAX_DIAL_TARGETS,
};
use crate::source::{Source, SourceInfo, Sources};

/// Names a target while it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TargetId(u64);

/// A call to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) target: TargetId,
    /// Who must answer, if that is known.
    pub(crate) peer: Option<PeerId>,
    pub(crate) addresses: Vec<Multiaddr>,
}

#[derive(Debug)]
struct Target {
    id: TargetId,
    /// The source of it that is trusted most, and all of them.
    source: Source,
    sources: Sources,
    /// Who must answer.
    peer: Option<PeerId>,
    /// Who answered last, where nobody in particular must.
    answered: Option<PeerId>,
    addresses: Vec<Multiaddr>,
    failures: u32,
    next: Instant,
    dialling: bool,
    reached: Option<Instant>,
}

impl Target {
    fn is(&self, peer: &PeerId) -> bool {
        self.peer.or(self.answered).as_ref() == Some(peer)
    }

    fn learn(&mut self, address: Multiaddr) {
        self.addresses.retain(|known| *known != address);
        self.addresses.insert(0, address);
        self.addresses.truncate(MAX_ADDRESSES_PER_PEER);
    }
}

/// All targets.
#[derive(Debug)]
pub(crate) struct Dialler {
    targets: Vec<Target>,
    next_id: u64,
    seed: u64,
}

impl Dialler {
    /// `seed` spreads the pauses of different nodes.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            targets: Vec::new(),
            next_id: 0,
            seed,
        }
    }

    /// Adds an address, with or without a peer at its end. True if its source had not given this
    /// peer, or this address of an unknown peer, before.
    pub(crate) fn add(&mut self, address: Multiaddr, source: Source, now: Instant) -> bool {
        let peer = address::peer(&address);
        let address = address::without_peer(address);
        let known = self.targets.iter_mut().find(|target| match peer {
            Some(peer) => target.peer == Some(peer),
            None => target.peer.is_none() && target.addresses.contains(&address),
        });
        match known {
            Some(target) => {
                let is_new = !target.sources.contains(source);
                target.source = target.source.max(source);
                target.sources.insert(source);
                target.learn(address);
                is_new
            }
            None => self.insert(peer, vec![address], source, now),
        }
    }

    /// Notes what is known of a peer that is connected.
    pub(crate) fn reached(&mut self, peer: PeerId, addresses: Vec<Multiaddr>, now: Instant) {
        if addresses.is_empty() {
            return;
        }
        if !self.targets.iter().any(|target| target.peer == Some(peer)) {
            self.insert(Some(peer), Vec::new(), Source::Peers, now);
        }
        let target = self
            .targets
            .iter_mut()
            .find(|target| target.peer == Some(peer));
        if let Some(target) = target {
            addresses
                .into_iter()
                .rev()
                .for_each(|address| target.learn(address));
            target.reached = Some(now);
            target.failures = 0;
        }
    }

    fn insert(
        &mut self,
        peer: Option<PeerId>,
        addresses: Vec<Multiaddr>,
        source: Source,
        now: Instant,
    ) -> bool {
        if self.targets.len() >= MAX_DIAL_TARGETS && !self.make_room() {
            return false;
        }
        self.next_id += 1;
        let mut sources = Sources::default();
        sources.insert(source);
        self.targets.push(Target {
            id: TargetId(self.next_id),
            source,
            sources,
            peer,
            answered: None,
            addresses,
            failures: 0,
            next: now,
            dialling: false,
            reached: None,
        });
        true
    }

    /// Forgets the target that is worth least; configured ones stay.
    fn make_room(&mut self) -> bool {
        let least = (0..self.targets.len())
            .filter(|index| !self.targets[*index].source.is_configured())
            .min_by_key(|index| {
                let Target {
                    reached,
                    source,
                    id,
                    ..
                } = &self.targets[*index];
                (*reached, *source, id.0)
            });
        least.map(|index| self.targets.swap_remove(index)).is_some()
    }

    /// The calls to make: all configured targets that are due and not connected, and others while
    /// there is room for peers.
    pub(crate) fn due(
        &mut self,
        now: Instant,
        connected: impl Fn(&PeerId) -> bool,
        mut room: usize,
    ) -> Vec<Call> {
        let mut at_once =
            DIALS_AT_ONCE.saturating_sub(self.targets.iter().filter(|t| t.dialling).count());
        let mut calls = Vec::new();
        self.targets
            .sort_by_key(|target| (std::cmp::Reverse(target.source), target.next));
        for target in &mut self.targets {
            let configured = target.source.is_configured();
            let there = target
                .peer
                .or(target.answered)
                .is_some_and(|peer| connected(&peer));
            let wanted = configured || room > 0;
            if target.dialling || there || !wanted || target.next > now || at_once == 0 {
                continue;
            }
            at_once -= 1;
            room = room.saturating_sub(usize::from(!configured));
            target.dialling = true;
            calls.push(Call {
                target: target.id,
                peer: target.peer,
                addresses: target.addresses.clone(),
            });
        }
        calls
    }

    /// A call was answered.
    pub(crate) fn succeeded(&mut self, id: TargetId, peer: PeerId, now: Instant) {
        if let Some(target) = self.find(id) {
            target.dialling = false;
            target.failures = 0;
            target.answered = Some(peer);
            target.reached = Some(now);
        }
    }

    /// A call was not made, because the peer is being called already.
    pub(crate) fn deferred(&mut self, id: TargetId, now: Instant) {
        if let Some(target) = self.find(id) {
            target.dialling = false;
            target.next = now + DIAL_PAUSE_FIRST;
        }
    }

    /// A call was not answered, or not by the peer that was meant.
    pub(crate) fn failed(&mut self, id: TargetId, now: Instant) {
        let seed = self.seed;
        let Some(target) = self.find(id) else {
            return;
        };
        target.dialling = false;
        target.failures = target.failures.saturating_add(1);
        target.next = now + pause(target.failures, seed ^ id.0);
        let known = target.source.is_kept() || target.reached.is_some();
        if !known && target.failures >= DIAL_TRIES {
            self.targets.retain(|target| target.id != id);
        }
    }

    /// The last connection with a peer is gone: it is called again soon.
    pub(crate) fn lost(&mut self, peer: &PeerId, now: Instant) {
        let seed = self.seed;
        for target in self.targets.iter_mut().filter(|target| target.is(peer)) {
            target.next = now + pause(0, seed ^ target.id.0);
        }
    }

    /// Forgets a peer that is not of this swarm, or that must not be called.
    pub(crate) fn forget(&mut self, peer: &PeerId) {
        self.targets
            .retain(|target| target.source.is_configured() || target.peer != Some(*peer));
    }

    /// The addresses of peers that were reached, by this run or an earlier one, the latest first.
    pub(crate) fn known(&self, count: usize) -> Vec<Multiaddr> {
        let mut reached: Vec<&Target> = self
            .targets
            .iter()
            .filter(|target| target.reached.is_some() || target.sources.contains(Source::Cache))
            .filter(|target| target.peer.is_some())
            .collect();
        reached.sort_by_key(|target| std::cmp::Reverse(target.reached));
        reached
            .into_iter()
            .take(count)
            .flat_map(|target| {
                let addresses = target.addresses.iter().take(2).cloned();
                let peer = target.peer;
                addresses.filter_map(move |at| Some(address::with_peer(at, peer?)))
            })
            .collect()
    }

    /// Targets that are called again and again without an answer.
    pub(crate) fn unanswered(&self) -> impl Iterator<Item = &Multiaddr> {
        self.targets
            .iter()
            .filter(|target| target.source.is_configured() && target.failures > 0)
            .filter_map(|target| target.addresses.first())
    }

    /// What a source has given.
    pub(crate) fn given(&self, source: Source) -> SourceInfo {
        let given = self.targets.iter();
        let given = given.filter(|target| target.sources.contains(source));
        let reached = given.clone().filter(|target| target.reached.is_some());
        SourceInfo {
            source,
            known: given.clone().count(),
            reached: reached.count(),
        }
    }

    fn find(&mut self, id: TargetId) -> Option<&mut Target> {
        self.targets.iter_mut().find(|target| target.id == id)
    }
}

/// The pause after a number of failures: doubling, up to the longest, less up to a half by chance.
pub(crate) fn pause(failures: u32, seed: u64) -> Duration {
    let doubled = DIAL_PAUSE_FIRST.saturating_mul(1 << failures.saturating_sub(1).min(16));
    let longest = doubled.min(DIAL_PAUSE_LONGEST);
    let mixed = (seed ^ u64::from(failures)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    longest.mul_f64(1.0 - mixed as f64 / (1 << 25) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(port: u16) -> Multiaddr {
        format!("/ip4/8.8.8.8/tcp/{port}").parse().unwrap()
    }

    fn none(_: &PeerId) -> bool {
        false
    }

    #[test]
    fn a_dead_bootstrap_is_called_for_ever_with_growing_pauses() {
        let (mut dialler, start) = (Dialler::new(7), Instant::now());
        dialler.add(at(1), Source::Flag, start);
        let (mut calls, mut now) = (0, start);
        for _ in 0..24 * 3600 {
            for call in dialler.due(now, none, 0) {
                calls += 1;
                dialler.failed(call.target, now);
            }
            now += SECOND;
        }
        assert!((250..700).contains(&calls), "{calls} calls in a day");
        assert_eq!(dialler.unanswered().collect::<Vec<_>>(), [&at(1)]);
        let call = dialler.due(now + DIAL_PAUSE_LONGEST, none, 0);
        dialler.succeeded(call[0].target, PeerId::random(), now);
        assert_eq!(dialler.unanswered().count(), 0);
    }

    #[test]
    fn who_was_never_reached_is_given_up_and_who_was_is_not() {
        let (mut dialler, start) = (Dialler::new(1), Instant::now());
        let [peer, other] = [PeerId::random(), PeerId::random()];
        dialler.reached(peer, vec![at(1), at(2)], start);
        assert_eq!(dialler.due(start, |_| true, 9), []);
        dialler.lost(&peer, start);
        dialler.add(address::with_peer(at(3), other), Source::Peers, start);
        let mut now = start + SECOND;
        for try_ in 0..2 * DIAL_TRIES {
            let calls = dialler.due(now, none, 9);
            let expected = if try_ < DIAL_TRIES { 2 } else { 1 };
            assert_eq!(calls.len(), expected, "try {try_}");
            assert_eq!(dialler.due(now, none, 9), [], "one call at a time");
            for call in calls {
                dialler.failed(call.target, now);
            }
            now += DIAL_PAUSE_LONGEST;
        }
        let call = &dialler.due(now, none, 9)[0];
        assert_eq!(
            (call.peer, &*call.addresses),
            (Some(peer), &[at(1), at(2)][..])
        );
        dialler.deferred(call.target, now);
        assert_eq!(dialler.due(now, none, 9), []);
        assert_eq!(dialler.due(now + DIAL_PAUSE_FIRST, none, 9).len(), 1);
    }

    #[test]
    fn strangers_are_called_only_while_peers_are_wanted() {
        let (mut dialler, start) = (Dialler::new(1), Instant::now());
        for port in 1..20 {
            let found = address::with_peer(at(port), PeerId::random());
            dialler.add(found, Source::Peers, start);
        }
        dialler.add(at(99), Source::Flag, start);
        assert_eq!(dialler.due(start, none, 0).len(), 1);
        assert_eq!(dialler.due(start, none, 3).len(), 3);
        assert_eq!(dialler.due(start, none, 100).len(), DIALS_AT_ONCE - 4);
    }

    #[test]
    fn the_table_is_bounded_and_keeps_what_was_reached() {
        let (mut dialler, start) = (Dialler::new(1), Instant::now());
        let good = PeerId::random();
        dialler.add(at(9), Source::Flag, start);
        dialler.reached(good, vec![at(1)], start);
        for _ in 0..3 * MAX_DIAL_TARGETS {
            let found = address::with_peer(at(2), PeerId::random());
            dialler.add(found, Source::Peers, start);
        }
        assert_eq!(dialler.targets.len(), MAX_DIAL_TARGETS);
        assert_eq!(dialler.known(10), [address::with_peer(at(1), good)]);
        assert_eq!(dialler.due(start, none, 0).len(), 1);
        for port in 0..100 {
            dialler.reached(good, vec![at(port)], start);
        }
        let target = dialler.targets.iter().find(|t| t.is(&good)).unwrap();
        assert_eq!(target.addresses.len(), MAX_ADDRESSES_PER_PEER);
    }
}
