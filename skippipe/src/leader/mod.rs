//! The leader of a term: begins steps, decides what counts, and says when everybody moves.
//!
//! ```text
//!  asking ─▶ recovering ─▶ planning ─▶ passing ─▶ closing ─▶ norming ─▶ committing ─┐
//!              ▲  one peer at a time      │          │ ▲ a peer lost, gradients lost:│
//!              │                          │          └─┘ an amendment                │
//!              │◀── nothing came back ────┘                                          │
//!              └──────────────────────────── next step ──────────────────────────────┘
//!  where pipelines meet:  recovering ─▶ meeting ─▶ closing ─▶ committing
//! ```
//! A stage that nobody holds any more is, in this order: passed by (its microbatches go on without
//! it), rebuilt from its neighbours (CheckFree, arXiv 2506.15461), or taken up from a copy that a
//! peer kept.
//!
//! Invariants: every amendment counts fewer visits or has fewer holders than the one before, so
//! closing ends; a step is committed once, when every holder of every stage is prepared for the
//! same record.

mod admitting;
mod meeting;
mod phase;
mod recovering;
mod settling;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use admitting::{Failed, Seats};
use phase::{Asking, Passing, Phase};

use crate::admission::{Admission, Admitted};
use crate::content::Digest;
use crate::event::Event;
use crate::message::{Body, Launch, Message, Standing, When};
use crate::path::{Hop, Microbatch, Path, Peer, Stage};
use crate::settings::Settings;
use crate::transcript::{Joined, Passage, Roster, StepRecord, Visit};

/// Most times that a step begins anew because nothing came back.
const MAX_REDONE: u32 = 8;

/// What a leader wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LeaderOutput {
    Send {
        to: Peer,
        message: Message,
    },
    Norm(BTreeMap<Stage, Vec<u32>>),
    Plan {
        when: When,
        roster: Roster,
    },
    /// To be signed.
    Admit(Admission),
    /// What others say of who was admitted.
    Told(Vec<Admission>),
    Event(Event),
}

/// The leader's part of a member.
#[derive(Debug)]
pub struct Leader {
    settings: Settings,
    me: Peer,
    when: When,
    /// The record that this member was prepared for when it took the lead.
    prepared: Option<StepRecord>,
    roster: Roster,
    lost: BTreeSet<Peer>,
    /// The state of each stage before the step.
    states: BTreeMap<Stage, Digest>,
    /// Norms of the stages' last gradients.
    norms: BTreeMap<Stage, u32>,
    /// Who keeps a copy of a stage's state, and before which step it was.
    kept: BTreeMap<Stage, (u64, Peer)>,
    joins: BTreeSet<Peer>,
    seats: Seats,
    failed: BTreeMap<Peer, Failed>,
    /// Peers that could not take up a stage before this step.
    tried: BTreeSet<Peer>,
    joined: Vec<Joined>,
    /// Who took up stages under an earlier leader, before a step that nobody has made.
    fresh: Vec<Joined>,
    redone: u32,
    /// When what is not answered was said again.
    said: Duration,
    phase: Phase,
    outputs: Vec<LeaderOutput>,
}

impl Leader {
    /// The leader of a term, which has asked nobody yet. `when` has the step that it does next
    /// itself, `prepared` is the record that it would move by.
    pub(crate) fn new(
        settings: Settings,
        me: Peer,
        when: When,
        prepared: Option<StepRecord>,
        lost: BTreeSet<Peer>,
        admitted: Admitted,
    ) -> Self {
        let stages = usize::from(settings.stages);
        Self {
            settings,
            me,
            when,
            prepared,
            roster: Roster(vec![Vec::new(); stages]),
            lost,
            states: BTreeMap::new(),
            norms: BTreeMap::new(),
            kept: BTreeMap::new(),
            joins: BTreeSet::new(),
            seats: Seats::new(admitted),
            failed: BTreeMap::new(),
            tried: BTreeSet::new(),
            joined: Vec::new(),
            fresh: Vec::new(),
            redone: 0,
            said: Duration::ZERO,
            phase: Phase::Over,
            outputs: Vec::new(),
        }
    }

    /// Asks everybody where they are.
    pub(crate) fn ask(&mut self, now: Duration) -> Vec<LeaderOutput> {
        self.phase = Phase::Asking(Asking {
            standings: BTreeMap::new(),
            until: now + self.settings.phase_time,
        });
        self.say_to_all(Body::Ask);
        self.take_outputs()
    }

    pub(crate) fn hear(
        &mut self,
        from: Peer,
        when: When,
        body: Body,
        now: Duration,
    ) -> Vec<LeaderOutput> {
        if when.term == self.when.term {
            match body {
                Body::Standing(standing) => self.standing(from, standing, now),
                Body::Updated {
                    record,
                    stated,
                    kept,
                } => {
                    self.note_copies(from, &kept);
                    self.updated(from, record, stated, now);
                }
                Body::Adopted { stage, state } => self.adopted(from, stage, state, now),
                body if when.step == self.when.step => self.hear_in_step(from, body, now),
                _ => {}
            }
        }
        self.take_outputs()
    }

    fn hear_in_step(&mut self, from: Peer, body: Body, now: Duration) {
        match body {
            Body::Finished {
                microbatch,
                loss,
                visits,
            } => self.finished(from, microbatch, loss, visits, now),
            Body::Failed(microbatch) => self.failed(from, microbatch, now),
            Body::Met(met) => self.met(from, met, now),
            Body::Disputed {
                amendment,
                microbatches,
            } => self.disputed(from, amendment, &microbatches, now),
            Body::Accused { amendment, peer } => self.accused(from, amendment, peer, now),
            Body::Prepared {
                amendment,
                sum,
                squares,
            } => self.prepared(from, amendment, (sum, squares), now),
            _ => {}
        }
    }

    pub(crate) fn join(&mut self, from: Peer, now: Duration) -> Vec<LeaderOutput> {
        if from.0 < self.seats.members() {
            self.lost.remove(&from);
            // Who has a stage here and asks for one has lost it.
            if self.roster.stage_of(from).is_some() {
                self.drop_peer(from, now);
            }
            self.joins.insert(from);
            self.say_if_over(from);
        }
        self.take_outputs()
    }

    /// The transport reaches a peer again. Who was away at the end is told of it.
    pub(crate) fn found(&mut self, peer: Peer) -> Vec<LeaderOutput> {
        self.say_if_over(peer);
        self.take_outputs()
    }

    fn say_if_over(&mut self, peer: Peer) {
        if matches!(self.phase, Phase::Over) && self.when.step >= self.settings.steps {
            self.say(peer, Body::Over);
        }
    }

    pub(crate) fn lose(&mut self, peer: Peer, now: Duration) -> Vec<LeaderOutput> {
        self.lost.insert(peer);
        self.joins.remove(&peer);
        self.drop_peer(peer, now);
        self.take_outputs()
    }

    pub(crate) fn tick(&mut self, now: Duration) -> Vec<LeaderOutput> {
        if now > self.said + self.settings.phase_time / 6 {
            self.said = now;
            self.say_again();
            self.launch_again();
        }
        match &self.phase {
            Phase::Asking(asking) if asking.until < now => self.gathered(now),
            Phase::Recovering(recovering) if recovering.until < now => self.not_adopted(now),
            Phase::Passing(passing) if passing.until < now => self.close(now),
            Phase::Meeting(meeting) if meeting.until < now => self.drop_silent(now),
            Phase::Closing(closing) if closing.until < now => self.drop_unprepared(now),
            Phase::Committing(committing) if committing.until < now => self.step_over(now),
            _ => {}
        }
        self.take_outputs()
    }

    /// A peer does not take part any more, for the transport or for what it said.
    fn drop_peer(&mut self, peer: Peer, now: Duration) {
        let stage = self.roster.stage_of(peer);
        self.kept.retain(|_, (_, keeper)| *keeper != peer);
        if let Some(stage) = stage {
            self.take_out(Hop { stage, peer });
        }
        match &mut self.phase {
            Phase::Asking(asking) => {
                asking.standings.remove(&peer);
                self.gathered_all(now);
            }
            Phase::Recovering(recovering) if recovering.needs(peer) => self.not_adopted(now),
            Phase::Passing(_) => self.relaunch(peer, now),
            Phase::Meeting(_) if stage.is_some() => self.meet_anew(now),
            Phase::Closing(_) | Phase::Norming(_) if stage.is_some() => self.amend(now),
            Phase::Committing(_) => self.updated_all(now),
            _ => {}
        }
    }

    /// Takes a holder out of the roster, and says so.
    fn take_out(&mut self, hop: Hop) {
        self.roster.remove(hop.peer);
        let event = Event::Dropped { hop };
        self.outputs.push(LeaderOutput::Event(event));
    }

    // --- Asking.

    fn standing(&mut self, from: Peer, standing: Standing, now: Duration) {
        self.note_copies(from, &standing.kept);
        self.others_admitted(&standing.admitted);
        if !self.is_credible(&standing) {
            let what = "says that it is at a step that it cannot be at".into();
            let event = Event::Fault { peer: from, what };
            return self.outputs.push(LeaderOutput::Event(event));
        }
        if let Phase::Asking(asking) = &mut self.phase {
            asking.standings.insert(from, standing);
            self.gathered_all(now);
        }
    }

    /// Nobody moves before all are prepared for the same record: who is a step ahead of this member
    /// has moved by the one that it is prepared for, and nobody is farther.
    fn is_credible(&self, standing: &Standing) -> bool {
        let own = self.when.step;
        let moved = standing.last.as_ref().map(|commit| &commit.record);
        match standing.next {
            next if standing.state.is_none() || next <= own => true,
            next if next == own + 1 => moved.is_some() && moved == self.prepared.as_ref(),
            _ => false,
        }
    }

    fn gathered_all(&mut self, now: Duration) {
        let Phase::Asking(asking) = &self.phase else {
            return;
        };
        let all = (0..self.seats.members()).map(Peer);
        let mut expected = all.filter(|peer| !self.lost.contains(peer));
        if expected.all(|peer| asking.standings.contains_key(&peer)) {
            self.gathered(now);
        }
    }

    /// Everybody has answered, or has had the time to. If anybody has moved by a step, its commit
    /// is handed on first, to those who know it, too: they state what they came to.
    fn gathered(&mut self, now: Duration) {
        let phase = std::mem::replace(&mut self.phase, Phase::Over);
        let Phase::Asking(asking) = phase else {
            self.phase = phase;
            return;
        };
        let Some(next) = asking.furthest() else {
            return self.stuck("no peer holds a stage");
        };
        let commit = asking.commit();
        let first = next - u64::from(commit.is_some());
        let mut late = Vec::new();
        for (&peer, standing) in &asking.standings {
            match standing.state {
                Some(_) if standing.next == next && !standing.joined.is_empty() => {
                    if standing.joined.len() > self.fresh.len() {
                        self.fresh.clone_from(&standing.joined);
                    }
                    late.push(peer);
                }
                Some((stage, state)) if standing.next >= first => {
                    let known = (standing.next == next).then_some(state);
                    self.admit(Hop { stage, peer }, known);
                }
                _ => {
                    self.joins.insert(peer);
                }
            }
        }
        // Of who took up stages since, those that others know of hold them still.
        for peer in late {
            let own = asking
                .standings
                .get(&peer)
                .and_then(|one| one.joined.last());
            if own.is_none_or(|own| own.hop.peer != peer || !self.fresh.contains(own)) {
                self.joins.insert(peer);
            }
        }
        self.fresh.truncate(self.seats.members() as usize);
        self.when.step = first;
        match commit {
            Some(commit) => self.say_commit(commit, now),
            None => {
                self.take_in_fresh();
                self.boundary(now);
            }
        }
    }

    /// Who took up a stage under an earlier leader holds it still, unless it is gone.
    pub(super) fn take_in_fresh(&mut self) {
        self.joined = std::mem::take(&mut self.fresh);
        for Joined { hop, state, .. } in self.joined.clone() {
            if !self.lost.contains(&hop.peer) && !self.joins.contains(&hop.peer) {
                self.admit(hop, Some(state));
            }
        }
    }

    /// Takes a peer in, unless others hold its stage in another state.
    fn admit(&mut self, hop: Hop, state: Option<Digest>) {
        let known = state.map(|state| *self.states.entry(hop.stage).or_insert(state));
        if hop.stage.0 < self.settings.stages && known == state {
            self.roster.insert(hop);
        } else {
            self.joins.insert(hop.peer);
        }
    }

    // --- Passing.

    pub(crate) fn planned(
        &mut self,
        when: When,
        paths: Vec<Path>,
        now: Duration,
    ) -> Vec<LeaderOutput> {
        if when == self.when && matches!(self.phase, Phase::Planning) {
            self.begin(paths, now);
        }
        self.take_outputs()
    }

    fn begin(&mut self, paths: Vec<Path>, now: Duration) {
        if paths.len() != self.settings.microbatches as usize {
            return self.stuck("the planner gave another number of paths than microbatches");
        }
        let sources = self.roster.of(Stage::FIRST).to_vec();
        let numbered = (0..).map(Microbatch).zip(paths);
        let launches = numbered.map(|(microbatch, path)| {
            let here = sources.contains(&path.source());
            let path = if here {
                path
            } else {
                from_another(&path, &sources, microbatch)
            };
            let launch = Launch {
                microbatch,
                launches: 0,
                path,
            };
            (microbatch, launch)
        });
        let paths: BTreeMap<Microbatch, Launch> = launches.collect();
        let launches: Vec<Launch> = paths.values().cloned().collect();
        self.phase = Phase::Passing(Passing {
            paths,
            passages: BTreeMap::new(),
            failed: BTreeSet::new(),
            roster: self.roster.clone(),
            until: now + self.settings.step_time,
        });
        self.announce_seats();
        self.say_to_all(Body::Begin(self.roster.clone()));
        for launch in launches {
            self.say(launch.path.source(), Body::Launch(launch));
        }
    }

    fn finished(
        &mut self,
        from: Peer,
        microbatch: Microbatch,
        loss: u32,
        visits: Vec<Visit>,
        now: Duration,
    ) {
        let Phase::Passing(passing) = &mut self.phase else {
            return;
        };
        let owner = passing.paths.get(&microbatch);
        if owner.is_none_or(|launch| launch.path.source() != from) {
            return;
        }
        let passage = Passage {
            microbatch,
            loss,
            visits,
        };
        if !passing.is_sound(from, &passage) {
            let what = "reported a microbatch along hops that cannot be".into();
            let event = Event::Fault { peer: from, what };
            self.outputs.push(LeaderOutput::Event(event));
            return self.failed(from, microbatch, now);
        }
        passing.failed.remove(&microbatch);
        passing.passages.insert(microbatch, passage);
        self.passed_all(now);
    }

    fn failed(&mut self, from: Peer, microbatch: Microbatch, now: Duration) {
        let Phase::Passing(passing) = &mut self.phase else {
            return;
        };
        let owner = passing.paths.get(&microbatch);
        if owner.is_some_and(|launch| launch.path.source() == from) {
            passing.failed.insert(microbatch);
            self.passed_all(now);
        }
    }

    fn passed_all(&mut self, now: Duration) {
        if let Phase::Passing(passing) = &self.phase
            && passing.passages.len() + passing.failed.len() == passing.paths.len()
        {
            self.close(now);
        }
    }

    /// Microbatches of a source that is gone begin anew at another.
    fn relaunch(&mut self, peer: Peer, now: Duration) {
        let sources = self.roster.of(Stage::FIRST).to_vec();
        let Phase::Passing(passing) = &mut self.phase else {
            return;
        };
        let mut again = Vec::new();
        for (microbatch, launch) in &mut passing.paths {
            if launch.path.source() == peer && !sources.is_empty() {
                launch.path = from_another(&launch.path, &sources, *microbatch);
                launch.launches += 1;
                passing.passages.remove(microbatch);
                passing.failed.remove(microbatch);
                again.push(launch.clone());
            }
        }
        if !again.is_empty() {
            passing.until = now + self.settings.step_time;
        }
        for launch in again {
            self.say(launch.path.source(), Body::Launch(launch));
        }
    }

    /// Whoever has not begun, or not sent off a microbatch, hears of it once more.
    fn launch_again(&mut self) {
        let Phase::Passing(passing) = &self.phase else {
            return;
        };
        let open = passing.paths.values().filter(|launch| {
            let microbatch = launch.microbatch;
            !passing.passages.contains_key(&microbatch) && !passing.failed.contains(&microbatch)
        });
        let open: Vec<Launch> = open.cloned().collect();
        let roster = passing.roster.clone();
        let holders: Vec<Peer> = self.roster.hops().map(|hop| hop.peer).collect();
        for peer in holders {
            self.say(peer, Body::Begin(roster.clone()));
        }
        for launch in open {
            self.say(launch.path.source(), Body::Launch(launch));
        }
    }

    // --- Between steps.

    /// Plans the step if nobody has to take up a stage before it.
    fn plan(&mut self) {
        self.phase = Phase::Planning;
        let (when, roster) = (self.when, self.roster.clone());
        self.outputs.push(LeaderOutput::Plan { when, roster });
    }

    /// The same step once more, in a term of its own.
    fn redo(&mut self, now: Duration) {
        self.redone += 1;
        if self.redone > MAX_REDONE {
            return self.stuck("no microbatch came back, several times");
        }
        self.when.term.number += 1;
        self.boundary(now);
    }

    fn stuck(&mut self, why: &'static str) {
        self.phase = Phase::Over;
        self.outputs.push(LeaderOutput::Event(Event::Stuck(why)));
    }

    fn note_copies(&mut self, from: Peer, kept: &[(Stage, u64)]) {
        for &(stage, step) in kept.iter().take(usize::from(self.settings.stages)) {
            let known = self
                .kept
                .get(&stage)
                .is_some_and(|(known, _)| *known >= step);
            if !known && stage.0 < self.settings.stages && step <= self.when.step + 1 {
                self.kept.insert(stage, (step, from));
            }
        }
    }

    // --- Words.

    fn say(&mut self, to: Peer, body: Body) {
        let message = Message {
            when: self.when,
            body,
        };
        self.outputs.push(LeaderOutput::Send { to, message });
    }

    /// To every peer there may be, this one last: what it does at once then follows.
    fn say_to_all(&mut self, body: Body) {
        self.say_to_others(&body);
        self.say(self.me, body);
    }

    fn say_to_others(&mut self, body: &Body) {
        let me = self.me;
        let others = (0..self.seats.members()).map(Peer);
        for peer in others.filter(|&peer| peer != me) {
            self.say(peer, body.clone());
        }
    }

    fn take_outputs(&mut self) -> Vec<LeaderOutput> {
        std::mem::take(&mut self.outputs)
    }
}

/// A path from another source.
#[expect(
    clippy::expect_used,
    reason = "the rest of a path ascends from stage 0"
)]
fn from_another(path: &Path, sources: &[Peer], microbatch: Microbatch) -> Path {
    let mut hops = path.hops().to_vec();
    hops[0].peer = sources[microbatch.index() % sources.len()];
    Path::new(hops).expect("invariant: another source leaves the stages as they are")
}
