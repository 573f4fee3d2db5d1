//! The end of a step: what the record counts is summed, said to be ready, and, when the leader says
//! so, moves the stage.

use std::collections::BTreeMap;

use super::reduction::Reduction;
use super::visits::Progress;
use super::{Member, Output, Purpose};
use crate::content::{Content, Digest};
use crate::event::{Event, Stepped};
use crate::message::{Body, Commit, When};
use crate::path::{Hop, Microbatch, Peer, Stage};
use crate::transcript::{Stated, StepRecord, Sums};
use crate::work::{Task, Work};

impl Member {
    pub(super) fn close(&mut self, amendment: u32, record: StepRecord) {
        let later = self
            .reduction
            .as_ref()
            .is_none_or(|reduction| amendment > reduction.amendment && !reduction.is_committed());
        if !later {
            return self.say_again(amendment);
        }
        let leader = self.when.term.leader;
        let stages = usize::from(self.settings.stages);
        let is_meeting = self.settings.round_of(record.step).is_some();
        if !record.is_sound()
            || record.step != self.when.step
            || record.roster.0.len() != stages
            || record.met.is_empty() == is_meeting
        {
            return self.fault(leader, "closed a step with a record that cannot be");
        }
        let Some(stage) = self.stage() else { return };
        let hop = Hop {
            stage,
            peer: self.me,
        };
        if !record.roster.holds(hop) {
            self.forget_step();
            return self.send(leader, Body::Join);
        }
        self.roster = record.roster.clone();
        if is_meeting {
            return self.close_meeting(amendment, record, stage);
        }
        let (kept, disputed) = self.own_gradients(&record, stage);
        if !disputed.is_empty() {
            let body = Body::Disputed {
                amendment,
                microbatches: disputed,
            };
            return self.send(leader, body);
        }
        let gone =
            |purpose: &Purpose| matches!(purpose, Purpose::Sum | Purpose::Add | Purpose::Squares);
        self.tasks.retain(|_, purpose| !gone(purpose));
        let tree = record.reduce_tree(stage);
        let task = (!kept.is_empty()).then(|| self.work(Work::Sum(kept), Purpose::Sum));
        let nothing_counts = tree.root().is_none();
        self.reduction = Some(Reduction {
            amendment,
            children: tree.children(self.me).into(),
            record,
            tree,
            sum: None,
            handed: None,
            told: None,
            adding: None,
            received: Vec::new(),
            partials: BTreeMap::new(),
            task,
            whole: None,
            squares: Vec::new(),
            waits: self.now,
            prepared: false,
            commit: None,
        });
        if nothing_counts {
            self.prepared(None, Vec::new());
        }
        for (from, body) in std::mem::take(&mut self.early_sums) {
            self.in_step(from, body);
        }
    }

    /// The leader has not heard from everybody: what this member said may have been lost.
    fn say_again(&mut self, amendment: u32) {
        let me = self.me;
        let reduction = self.reduction.as_ref();
        let Some(reduction) = reduction.filter(|one| one.amendment == amendment) else {
            return;
        };
        let mut words = Vec::new();
        if let Some((parent, content)) = reduction.tree.parent(me).zip(reduction.handed.clone()) {
            words.push((parent, Body::Partial { amendment, content }));
        }
        if let (true, Some(content)) = (reduction.tree.root() == Some(me), &reduction.whole) {
            let holders = self.roster.of(self.hop().stage).iter();
            for &peer in holders.filter(|&&peer| peer != me) {
                let content = content.clone();
                words.push((peer, Body::Sum { amendment, content }));
            }
        }
        words.extend(
            reduction
                .told
                .clone()
                .map(|told| (self.when.term.leader, told)),
        );
        for (peer, body) in words {
            self.send(peer, body);
        }
    }

    /// Tasks that keep the gradients of this member's visits that count, and microbatches that did
    /// not go through it as the record says.
    fn own_gradients(&self, record: &StepRecord, stage: Stage) -> (Vec<Task>, Vec<Microbatch>) {
        let (mut found, mut disputed) = (Vec::new(), Vec::new());
        let own = record
            .counted(stage)
            .filter(|(_, visit)| visit.hop.peer == self.me);
        for (microbatch, counted) in own {
            let visit = self.visits.passing.get(&microbatch);
            match visit.map(|visit| &visit.progress) {
                Some(Progress::Done { visit, kept, .. }) if *visit == counted => {
                    found.push(*kept);
                }
                _ => disputed.push(microbatch),
            }
        }
        (found, disputed)
    }

    pub(super) fn added(&mut self, task: Task, sum: Content) {
        let Some(reduction) = &mut self.reduction else {
            return;
        };
        if reduction.task == Some(task) {
            reduction.task = None;
            reduction.sum = Some(sum);
            reduction.waits = self.now;
            self.add_next();
        }
    }

    /// Adds the next child's sum if it is here; hands the sum on when there is none to add.
    fn add_next(&mut self) {
        let me = self.me;
        let Some(reduction) = &mut self.reduction else {
            return;
        };
        let (None, Some(sum)) = (reduction.task, reduction.sum.clone()) else {
            return;
        };
        if let Some(child) = reduction.children.front() {
            if let Some(partial) = reduction.partials.remove(child) {
                reduction.adding = reduction.children.pop_front();
                reduction.received.push(partial.digest());
                let task = self.work(Work::Add(sum, partial), Purpose::Add);
                if let Some(reduction) = &mut self.reduction {
                    reduction.task = Some(task);
                }
            }
            return;
        }
        reduction.sum = None;
        let amendment = reduction.amendment;
        match reduction.tree.parent(me) {
            Some(parent) => {
                let content = sum;
                reduction.handed = Some(content.clone());
                self.send(parent, Body::Partial { amendment, content });
            }
            None => self.is_root(sum),
        }
    }

    /// The whole sum is here, at the root: its squares, and the other holders need it, too.
    fn is_root(&mut self, sum: Content) {
        let work = Work::Squares {
            step: self.when.step,
            sum: sum.clone(),
            visits: self.visited(),
        };
        let task = self.work(work, Purpose::Squares);
        let Some(reduction) = &mut self.reduction else {
            return;
        };
        reduction.task = Some(task);
        reduction.whole = Some(sum.clone());
        let amendment = reduction.amendment;
        let holders = self.roster.of(self.hop().stage).to_vec();
        let me = self.me;
        for peer in holders.into_iter().filter(|&peer| peer != me) {
            let content = sum.clone();
            self.send(peer, Body::Sum { amendment, content });
        }
    }

    /// The microbatches whose gradients count at this member's stage.
    fn visited(&self) -> Vec<Microbatch> {
        let stage = self.stage();
        let record = self.reduction.as_ref().map(|reduction| &reduction.record);
        let counted = record
            .zip(stage)
            .map(|(record, stage)| record.counted(stage));
        let counted = counted.into_iter().flatten();
        counted.map(|(microbatch, _)| microbatch).collect()
    }

    pub(super) fn partial(&mut self, from: Peer, amendment: u32, content: Content) {
        match &mut self.reduction {
            Some(reduction)
                if reduction.amendment == amendment && reduction.children.contains(&from) =>
            {
                reduction.partials.insert(from, content);
                self.add_next();
            }
            reduction
                if reduction
                    .as_ref()
                    .is_none_or(|one| one.amendment < amendment) =>
            {
                self.too_early(from, Body::Partial { amendment, content });
            }
            _ => {}
        }
    }

    /// The record that a sum is of has not come yet.
    fn too_early(&mut self, from: Peer, body: Body) {
        let holders = self.stage().map_or(0, |stage| self.roster.of(stage).len());
        let own_stage = self.stage() == self.roster.stage_of(from);
        if own_stage && self.early_sums.len() < 2 * holders {
            self.early_sums.push((from, body));
        }
    }

    pub(super) fn whole_sum(&mut self, from: Peer, amendment: u32, content: Content) {
        match &mut self.reduction {
            Some(reduction) if reduction.amendment == amendment => {
                let expected = reduction.tree.root() == Some(from) && reduction.whole.is_none();
                if expected && from != self.me && !self.brought(&content) {
                    let digest = content.digest();
                    if let Some(reduction) = &mut self.reduction {
                        reduction.whole = Some(content);
                    }
                    self.prepared(Some(digest), Vec::new());
                }
            }
            reduction
                if reduction
                    .as_ref()
                    .is_none_or(|one| one.amendment < amendment) =>
            {
                self.too_early(from, Body::Sum { amendment, content });
            }
            _ => {}
        }
    }

    pub(super) fn squared(&mut self, task: Task, squares: Vec<u32>) {
        let Some(reduction) = &mut self.reduction else {
            return;
        };
        if reduction.task == Some(task) {
            reduction.task = None;
            reduction.squares.clone_from(&squares);
            let sum = reduction.whole.as_ref().map(Content::digest);
            self.prepared(sum, squares);
        }
    }

    pub(super) fn prepared(&mut self, sum: Option<Digest>, squares: Vec<u32>) {
        let Some(reduction) = &mut self.reduction else {
            return;
        };
        reduction.prepared = true;
        let amendment = reduction.amendment;
        let body = Body::Prepared {
            amendment,
            sum,
            squares,
        };
        reduction.told = Some(body.clone());
        self.tell_concluded();
        self.send(self.when.term.leader, body);
    }

    /// Sums that should be here: the leader is told whose is missing, by those near the leaves
    /// first, so that nobody is blamed for whom it waits for itself.
    pub(super) fn look_for_sums(&mut self) {
        let Some(reduction) = self.reduction.as_mut().filter(|one| !one.prepared) else {
            return;
        };
        let child = reduction.children.front().copied();
        let blamed = child.or_else(|| reduction.tree.root().filter(|&root| root != self.me));
        let height = match child {
            Some(child) => reduction.tree.children(child).len() as u32,
            None => reduction.tree.peers().len().ilog2() + 1,
        };
        let patience = self.settings.phase_time / 8 * (height + 1).min(6);
        let waiting = reduction.task.is_none() && (child.is_none() || reduction.sum.is_some());
        if waiting && self.now > reduction.waits + patience {
            reduction.waits = self.now;
            let amendment = reduction.amendment;
            if let Some(peer) = blamed {
                self.send(self.when.term.leader, Body::Accused { amendment, peer });
            }
        }
    }

    /// A child's sum is nothing to add.
    pub(super) fn sum_refused(&mut self, task: Task) {
        let reduction = self.reduction.as_ref().filter(|one| one.task == Some(task));
        let accused = reduction.and_then(|one| Some((one.amendment, one.adding?)));
        if let Some((amendment, peer)) = accused {
            self.fault(peer, "sent a sum of gradients that cannot be added");
            self.send(self.when.term.leader, Body::Accused { amendment, peer });
        }
    }

    pub(super) fn commit(&mut self, when: When, commit: Commit) {
        if self.last.as_deref() == Some(&commit) {
            // Said once more, by a new leader perhaps.
            self.when.term = when.term;
            return self.state_what_was_done();
        }
        let ready = |reduction: &&mut Reduction| {
            reduction.prepared && !reduction.is_committed() && reduction.record == commit.record
        };
        let Some(reduction) = self.reduction.as_mut().filter(ready) else {
            return;
        };
        if commit.record.step != self.next {
            return;
        }
        self.when.term = when.term;
        let (norm, step) = (commit.norm, commit.record.step);
        let met = commit.record.met.clone();
        reduction.commit = Some(Box::new(commit));
        let whole = reduction.whole.clone();
        let met = self.stage().and_then(|stage| met.get(&stage).cloned());
        if let Some(met) = met {
            let content = whole;
            self.work(Work::Meet { met, content }, Purpose::Update);
            return;
        }
        match (whole, self.held) {
            (Some(sum), _) => {
                let work = Work::Update {
                    step,
                    sum,
                    visits: self.visited(),
                    norm,
                };
                self.work(work, Purpose::Update);
            }
            // Nothing counts at this stage: it stays as it is.
            (None, Some((_, state))) => self.updated(state),
            (None, None) => {}
        }
    }

    pub(super) fn updated(&mut self, state: Digest) {
        let mut reduction = self.reduction.take();
        let commit = reduction.as_mut().and_then(|one| one.commit.take());
        let (Some(reduction), Some(commit), Some(stage)) = (reduction, commit, self.stage()) else {
            return;
        };
        let step = commit.record.step;
        // A meeting sums no gradients: what moved the stage is in the record.
        self.sums = match commit.record.met.is_empty() {
            true => reduction.sums(self.me, commit.norm),
            false => Sums::default(),
        };
        self.held = Some((stage, state));
        self.next = step + 1;
        self.last = Some(commit);
        self.joined.clear();
        self.forget_step();
        self.event(Event::Moved { step, state });
        self.state_what_was_done();
        self.answer_who_asked();
        self.make_copy(stage);
    }

    /// Signs what the last step came to, for the leader.
    fn state_what_was_done(&mut self) {
        let (Some(commit), Some((stage, state))) = (&self.last, self.held) else {
            return;
        };
        let stated = Stated {
            state,
            sums: self.sums.clone(),
            signature: Vec::new(),
        };
        let statement = stated.statement(self.settings.job, &commit.record, stage);
        self.unsigned = Some((statement.clone(), stated));
        self.outputs.push(Output::Sign(statement));
    }

    /// What all holders stated about the last step, as the leader tells it.
    pub(super) fn stated(&mut self, record: Digest, norm: u32, statements: Vec<(Hop, Stated)>) {
        let last = self.last.as_ref().map(|commit| &commit.record);
        let Some(last) = last.filter(|last| last.digest() == record) else {
            return;
        };
        let of_holder =
            |(hop, stated): &(Hop, Stated)| last.roster.holds(*hop) && stated.is_sound();
        let statements = statements.into_iter().filter(of_holder);
        let stepped = Stepped {
            record: last.clone(),
            norm,
            statements: statements.collect(),
        };
        self.event(Event::Stepped(Box::new(stepped)));
    }

    pub(super) fn signed(&mut self, statement: Digest, signature: Vec<u8>) {
        let asked = self.unsigned.take();
        let Some((asked, stated)) = asked else { return };
        if asked.digest() != statement {
            self.unsigned = Some((asked, stated));
            return;
        }
        let body = Body::Updated {
            record: asked.record,
            stated: Stated {
                signature,
                ..stated
            },
            kept: self.copies(),
        };
        self.send(self.when.term.leader, body);
    }
}
