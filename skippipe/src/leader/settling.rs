//! The end of a step: the record, its amendments, the commit, and what everybody came to.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::phase::{Closing, Committing, Phase};
use super::{Leader, LeaderOutput};
use crate::content::Digest;
use crate::event::{Event, Stepped};
use crate::message::{Body, Commit};
use crate::path::{Hop, Microbatch, Peer, Stage};
use crate::transcript::{Passage, Stated, StepRecord};

impl Leader {
    /// No more microbatches are waited for.
    pub(super) fn close(&mut self, now: Duration) {
        let phase = std::mem::replace(&mut self.phase, Phase::Over);
        let Phase::Passing(passing) = phase else {
            self.phase = phase;
            return;
        };
        if passing.passages.is_empty() {
            return self.redo(now);
        }
        let record = passing.record(self.when.step, self.joined.clone(), self.roster.clone());
        self.say_record(0, record, BTreeSet::new(), now);
    }

    /// What a record counts is made to fit who still holds what.
    pub(super) fn amend(&mut self, now: Duration) {
        let phase = std::mem::replace(&mut self.phase, Phase::Over);
        let (Phase::Closing(closing) | Phase::Norming(closing)) = phase else {
            self.phase = phase;
            return;
        };
        let mut record = closing.record;
        if !record.met.is_empty() {
            return self.meet_anew(now);
        }
        record.roster = self.roster.clone();
        self.say_record(closing.amendment + 1, record, closing.disputing, now);
    }

    pub(super) fn say_record(
        &mut self,
        amendment: u32,
        mut record: StepRecord,
        disputing: BTreeSet<Peer>,
        now: Duration,
    ) {
        if self.roster.of(Stage::FIRST).is_empty() {
            return self.stuck("nobody holds stage 0");
        }
        for passage in &record.passages {
            let gone = passage
                .visits
                .iter()
                .filter(|visit| !record.roster.holds(visit.hop));
            let gone = gone.map(|visit| (passage.microbatch, visit.hop.stage));
            record.excluded.extend(gone);
        }
        if !record.excluded.is_empty() {
            let event = Event::Amended {
                step: record.step,
                excluded: record.excluded.len(),
            };
            self.outputs.push(LeaderOutput::Event(event));
        }
        self.phase = Phase::Closing(Closing {
            amendment,
            disputing,
            record: record.clone(),
            prepared: BTreeMap::new(),
            squares: BTreeMap::new(),
            until: now + self.settings.phase_time,
        });
        self.say_to_all(Body::Close { amendment, record });
    }

    /// A member's visits were other than its predecessors told: these microbatches count for
    /// nothing.
    pub(super) fn disputed(
        &mut self,
        from: Peer,
        amendment: u32,
        microbatches: &[Microbatch],
        now: Duration,
    ) {
        let Phase::Closing(closing) = &mut self.phase else {
            return;
        };
        if closing.amendment != amendment {
            return;
        }
        // Who disputes again, or all there is, is what these microbatches have in common.
        let of_peer = |passage: &&Passage| {
            let mut visits = passage.visits.iter();
            visits.any(|visit| visit.hop.peer == from)
        };
        let own: Vec<Microbatch> = {
            let passages = closing.record.passages.iter().filter(of_peer);
            passages.map(|passage| passage.microbatch).collect()
        };
        let told = own.iter().filter(|one| microbatches.contains(one)).count();
        if told > 0 && (told == closing.record.passages.len() || !closing.disputing.insert(from)) {
            return self.drop_peer(from, now);
        }
        let passages = &mut closing.record.passages;
        let before = passages.len();
        passages.retain(|passage| {
            let mut visits = passage.visits.iter();
            let own = visits.any(|visit| visit.hop.peer == from);
            !(own && microbatches.contains(&passage.microbatch))
        });
        let left: BTreeSet<Microbatch> = passages.iter().map(|one| one.microbatch).collect();
        closing
            .record
            .excluded
            .retain(|(microbatch, _)| left.contains(microbatch));
        match (left.len() < before, left.is_empty()) {
            (false, _) => {}
            (true, true) => self.redo(now),
            (true, false) => self.amend(now),
        }
    }

    /// A replica sent another what is no sum, or nothing: it does not take part any more. Only its
    /// parent in the reduce tree can say so, and of the root whoever waits for the whole.
    pub(super) fn accused(&mut self, from: Peer, amendment: u32, peer: Peer, now: Duration) {
        let Phase::Closing(closing) = &self.phase else {
            return;
        };
        let Some(stage) = closing.record.roster.stage_of(from) else {
            return;
        };
        let tree = closing.record.reduce_tree(stage);
        let speaks =
            closing.record.met.contains_key(&stage) && closing.record.speaker(stage) == Some(peer);
        let waits = tree.parent(peer) == Some(from)
            || ((speaks || tree.root() == Some(peer)) && peer != from);
        if closing.amendment == amendment && waits {
            self.drop_peer(peer, now);
        }
    }

    pub(super) fn prepared(
        &mut self,
        from: Peer,
        amendment: u32,
        (sum, squares): (Option<Digest>, Vec<u32>),
        now: Duration,
    ) {
        let Phase::Closing(closing) = &mut self.phase else {
            return;
        };
        let Some(stage) = closing.record.roster.stage_of(from) else {
            return;
        };
        if closing.amendment != amendment {
            return;
        }
        closing.prepared.insert(from, sum);
        let root = closing.record.reduce_tree(stage).root();
        if root == Some(from) {
            closing.squares.insert(stage, squares);
        }
        let holders = closing.record.roster.hops();
        let mut waiting = holders.filter(|hop| !closing.prepared.contains_key(&hop.peer));
        if waiting.next().is_some() {
            return;
        }
        drop(waiting);
        let phase = std::mem::replace(&mut self.phase, Phase::Over);
        if let Phase::Closing(closing) = phase {
            if !closing.record.met.is_empty() {
                let (record, norm) = (closing.record, 0);
                return self.say_commit(Commit { record, norm }, now);
            }
            let squares = closing.squares.clone();
            self.phase = Phase::Norming(closing);
            self.outputs.push(LeaderOutput::Norm(squares));
        }
    }

    /// Who does not get ready is dropped, and may come back between steps. Of holders that would
    /// add something else than their root, the state tells: see [`Self::step_over`].
    pub(super) fn drop_unprepared(&mut self, now: Duration) {
        let Phase::Closing(closing) = &self.phase else {
            return;
        };
        let holders = closing.record.roster.hops();
        let waiting = holders.filter(|hop| !closing.prepared.contains_key(&hop.peer));
        let waiting: Vec<Hop> = waiting.collect();
        for hop in waiting {
            self.take_out(hop);
        }
        self.amend(now);
    }

    pub(crate) fn norm(
        &mut self,
        norm: u32,
        stages: BTreeMap<Stage, u32>,
        now: Duration,
    ) -> Vec<LeaderOutput> {
        let phase = std::mem::replace(&mut self.phase, Phase::Over);
        let Phase::Norming(closing) = phase else {
            self.phase = phase;
            return self.take_outputs();
        };
        self.norms = stages;
        let record = closing.record;
        self.say_commit(Commit { record, norm }, now);
        self.take_outputs()
    }

    /// The squares of some root are nothing to make a norm of; whose cannot be told, so all roots
    /// but this member's stage's go.
    pub(crate) fn norm_refused(&mut self, what: &str, now: Duration) -> Vec<LeaderOutput> {
        let Phase::Norming(closing) = &self.phase else {
            return Vec::new();
        };
        let own = self.roster.stage_of(self.me);
        let stages = closing.squares.keys().filter(|&&stage| Some(stage) != own);
        let roots = stages.filter_map(|&stage| closing.record.reduce_tree(stage).root());
        for root in roots.collect::<Vec<Peer>>() {
            let what = format!("sent squares that may be none: {what}");
            let event = Event::Fault { peer: root, what };
            self.outputs.push(LeaderOutput::Event(event));
            self.roster.remove(root);
        }
        self.amend(now);
        self.take_outputs()
    }

    /// What is not answered is said again.
    pub(super) fn say_again(&mut self) {
        let waiting = |answered: &dyn Fn(Hop) -> bool| {
            let holders = self.roster.hops().filter(|&hop| !answered(hop));
            holders.map(|hop| hop.peer).collect::<Vec<Peer>>()
        };
        let (peers, body) = match &self.phase {
            Phase::Meeting(_) => (waiting(&|_| false), Body::Begin(self.roster.clone())),
            Phase::Closing(closing) => {
                let record = closing.record.clone();
                let amendment = closing.amendment;
                let peers = waiting(&|hop| closing.prepared.contains_key(&hop.peer));
                // Sums may be lost between members that are prepared and those that are not.
                let all = if peers.is_empty() {
                    peers
                } else {
                    waiting(&|_| false)
                };
                (all, Body::Close { amendment, record })
            }
            Phase::Committing(committing) => {
                let peers = waiting(&|hop| committing.updated.contains_key(&hop));
                (peers, Body::Commit(committing.commit.clone()))
            }
            _ => return,
        };
        for peer in peers {
            self.say(peer, body.clone());
        }
    }

    /// Everybody moves who is prepared, and states what it came to.
    pub(super) fn say_commit(&mut self, commit: Commit, now: Duration) {
        self.phase = Phase::Committing(Committing {
            record: commit.record.digest(),
            commit: commit.clone(),
            updated: BTreeMap::new(),
            until: now + self.settings.phase_time,
        });
        self.say_to_all(Body::Commit(commit));
    }

    /// What a member came to.
    pub(super) fn updated(&mut self, from: Peer, record: Digest, stated: Stated, now: Duration) {
        if let Phase::Committing(committing) = &mut self.phase
            && committing.record == record
            && stated.is_sound()
            && let Some(stage) = self.roster.stage_of(from)
        {
            committing.updated.insert(Hop { stage, peer: from }, stated);
            self.updated_all(now);
        }
    }

    pub(super) fn updated_all(&mut self, now: Duration) {
        let Phase::Committing(committing) = &self.phase else {
            return;
        };
        let moved = |hop| committing.updated.contains_key(&hop);
        if self.roster.hops().all(moved) {
            self.step_over(now);
        }
    }

    /// Who has not moved by now, or to another state than most of its stage, does not take part in
    /// the next step.
    pub(super) fn step_over(&mut self, now: Duration) {
        let phase = std::mem::replace(&mut self.phase, Phase::Over);
        let Phase::Committing(committing) = phase else {
            self.phase = phase;
            return;
        };
        let states = agreed(&committing.updated);
        let holders: Vec<Hop> = self.roster.hops().collect();
        for hop in holders {
            let state = committing.updated.get(&hop).map(|stated| &stated.state);
            if state.is_none() || state != states.get(&hop.stage) {
                self.take_out(hop);
            }
        }
        self.states = states;
        let stated = committing.updated.iter();
        let statements = stated.map(|(hop, stated)| (*hop, stated.clone()));
        let body = Body::Stated {
            record: committing.record,
            norm: committing.commit.norm,
            statements: statements.collect(),
        };
        self.say_to_others(&body);
        let stepped = Stepped {
            record: committing.commit.record,
            norm: committing.commit.norm,
            statements: committing.updated,
        };
        self.outputs
            .push(LeaderOutput::Event(Event::Stepped(Box::new(stepped))));
        self.when.step += 1;
        self.seats.step_over();
        self.joined.clear();
        self.tried.clear();
        self.redone = 0;
        self.take_in_fresh();
        self.boundary(now);
    }
}

/// The state that most holders of each stage came to; of as many the first one's.
fn agreed(updated: &BTreeMap<Hop, Stated>) -> BTreeMap<Stage, Digest> {
    let mut counts: BTreeMap<Stage, Vec<(Digest, usize)>> = BTreeMap::new();
    for (hop, Stated { state, .. }) in updated {
        let counts = counts.entry(hop.stage).or_default();
        match counts.iter_mut().find(|(known, _)| known == state) {
            Some((_, count)) => *count += 1,
            None => counts.push((*state, 1)),
        }
    }
    let most = |counts: Vec<(Digest, usize)>| {
        let mut best: Option<(Digest, usize)> = None;
        for (state, count) in counts {
            if best.is_none_or(|(_, most)| count > most) {
                best = Some((state, count));
            }
        }
        best.map(|(state, _)| state)
    };
    let stages = counts.into_iter();
    stages
        .filter_map(|(stage, counts)| Some((stage, most(counts)?)))
        .collect()
}
