//! The round core: one node's view of its swarm, as a pure state machine.
//!
//! ```text
//!            Register ─┐                    ┌─► Sign(place, digest) through the sign-once table
//!   Tick(now) ─────────┤                    ├─► Broadcast(envelope)
//!   Envelope(bytes) ───┤  Core::handle(now) ├─► Need(task)          to the model
//!   Work(answers, …) ──┤                    ├─► Decided(round)      to archive, learner and chain
//!   Signed, Refused ───┤                    ├─► Ask(want), Send(…)  from and to peers
//!   Asked, Adopt ──────┘                    └─► Rejected / Withheld / Evidence / Missed / Entered
//! ```
//! ```text
//! window:  ShareSeal … DecideReveal │ Settle │ ShareSeal …        of the next round
//!          ActiveRound              │ Progress ────────► decided  beside it
//! ```
//! Same inputs, same outputs: no socket, disk, wall clock or randomness. A node's salts derive from
//! its key, so that it seals the same content to the same bytes.
//!
//! The core cannot sign. It asks for every signature with [`Output::Sign`], and whoever runs it
//! signs with a [`Signer`](swarm_identity::Signer), whose table allows one digest per place for
//! ever; a node that restarts cannot contradict what it said before. Only a signed message is
//! published, and only then does it count in the node's own log. If its signature is refused, or
//! comes when the window is over, the message is [withheld](Output::Withheld) and the node is
//! silent in that place, like a member that said nothing. So it is with contents that would go out
//! nearer to the end of their window than the [measured lead](Input::Lead).
//!
//! All queues are bounded; see `allowance`, `codec` and `config` for the limits. What counts in a
//! round the members [agree](crate::agreement) on, beside the rounds that follow; a node with
//! [`MAX_UNDECIDED`] rounds open begins no new one.
//!
//! What a core is bound by is in its memory. A [journal] brings it back after a restart; a
//! core without one votes in no round that began before it, and adopts those rounds when the others
//! have decided them.
//!
//! Time goes on while members are away, so there may be rounds that nobody plays. Two rounds later
//! a core opens those that it missed, with nothing in them, and the members agree on that. A core
//! does so only if it remembers everything since that round, so that it cannot have voted in it.
//!
//! [journal]: crate::journal

mod active;
mod agreeing;
mod census;
mod early;
mod interface;
mod members;
mod messages;
mod replay;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use swarm_identity::Place;
use swarm_identity::key::SignatureBytes;

use self::active::ActiveRound;
pub use self::census::Census;
use self::early::EarlyMessages;
pub use self::interface::{
    CoreSetup, Input, MAX_UNDECIDED, Output, Recorded, ReplayError, Waiting,
};
use self::members::MemberSource;
use crate::agreement::{History, Progress, Want, Wanted};
use crate::allowance::{Allowance, Link};
use crate::clock::{Clock, Millis, Position, Round, Window};
use crate::config::{SwarmConfigError, SwarmId};
use crate::envelope::UnsignedEnvelope;
use crate::membership::Member;
use crate::phase::{self, Phase};
use crate::rejection::{Counters, Withheld};
use crate::transcript::RoundPlan;
use crate::work::Work;

/// Missing rounds that are asked for at a time.
const MISSING: usize = 16;

/// The state of one node.
pub struct Core {
    setup: CoreSetup,
    swarm: SwarmId,
    clock: Clock,
    now: Millis,
    /// Where the node stands; `None` while it waits for a round.
    position: Option<Position>,
    /// The round whose windows are open.
    active: Option<ActiveRound>,
    /// Rounds whose windows are over, until they are decided.
    open: BTreeMap<Round, Progress>,
    history: History,
    members: MemberSource,
    /// What the node waits for, as it said last.
    waits: Option<Waiting>,
    /// Rounds below this one were asked for.
    sought: Round,
    /// First round that the node may still take part in.
    next_round: Round,
    /// First round since which the node remembers everything that it was told.
    first: Round,
    /// The round in which the clock was last seen, and the first undecided round then.
    seen: Option<(Round, Round)>,
    /// Undecided rounds that were opened because they were missed.
    missed: BTreeSet<Round>,
    /// Rounds that were open before the journal of a replay begins: it ends with all of them
    /// decided, and meanwhile they are not missed.
    elsewhere: BTreeSet<Round>,
    early: EarlyMessages,
    /// Bad signatures by link, of messages for rounds that are decided; anew in each round.
    ignored: Allowance,
    /// How long before the end of a window contents must go out, in milliseconds.
    lead: Millis,
    counters: Counters,
    /// True if the present input, or the time that passed with it, changed anything on which later
    /// outputs depend.
    is_moved: bool,
    /// The segment of the journal that was begun last.
    segment: Option<Round>,
}

/// A core that was told again what another one was told.
pub struct Replayed {
    /// The core, in the state of the other one after the last record.
    pub core: Core,
    /// What is still to be done: signatures to give, work to deliver, own messages to publish
    /// again, rounds to archive.
    pub outstanding: Vec<Output>,
}

impl Core {
    /// A node that starts at `now` and joins the first round that begins then or later.
    ///
    /// # Errors
    /// A configuration out of its limits.
    pub fn new(setup: CoreSetup, now: Millis) -> Result<Self, SwarmConfigError> {
        setup.config.validate()?;
        let clock = Clock::new(&setup.config);
        let next_round = clock.first_whole_round(now);
        Ok(Self {
            swarm: setup.config.swarm_id(),
            next_round,
            first: next_round,
            seen: None,
            missed: BTreeSet::new(),
            elsewhere: BTreeSet::new(),
            clock,
            now,
            position: None,
            active: None,
            open: BTreeMap::new(),
            history: History::new(setup.config.agreement, &setup.config.membership),
            members: MemberSource::new(&setup)?,
            waits: None,
            sought: 0,
            early: EarlyMessages::default(),
            ignored: Allowance::default(),
            lead: 0,
            counters: Counters::default(),
            is_moved: false,
            segment: None,
            setup,
        })
    }

    /// The same for a node whose key has never signed anything, which its new sign-once table
    /// shows: it may help to agree on rounds from before it started, in which it cannot have voted.
    #[must_use]
    pub fn never_signed(self) -> Self {
        Self { first: 0, ..self }
    }

    /// The node's phase.
    pub fn phase(&self) -> Phase {
        self.position
            .map_or(Phase::Waiting, |at| Phase::In(at.window))
    }

    /// The round in progress.
    pub fn round(&self) -> Option<Round> {
        self.position.map(|at| at.round)
    }

    /// True if the node is a member of the round in progress.
    pub fn is_member(&self) -> bool {
        let active = self.active.as_ref().and_then(ActiveRound::me);
        let open = self.round().and_then(|round| self.open.get(&round)?.me());
        active.or(open).is_some()
    }

    /// The members of the round in progress; none between rounds.
    pub fn members(&self) -> &[Member] {
        self.active.as_ref().map_or(&[], ActiveRound::members)
    }

    /// The decided rounds, as far as votes depend on them.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// The rounds whose windows are over and that are not decided here.
    pub fn undecided(&self) -> impl Iterator<Item = Round> + '_ {
        self.open.keys().copied()
    }

    /// What this node has said in rounds that are not decided here: for a peer that was away.
    pub fn said(&self) -> impl Iterator<Item = &Arc<[u8]>> {
        self.open.values().flat_map(Progress::said_so_far)
    }

    /// Message counts since the start.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The swarm's name.
    pub fn swarm(&self) -> &SwarmId {
        &self.swarm
    }

    /// The clock of the swarm.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// When the node wants its next [`Input::Tick`].
    pub fn next_tick(&self) -> Millis {
        let open = self.open.values().map(Progress::next_tick);
        let next = open.fold(self.clock.next_boundary(self.now), Millis::min);
        next.max(self.now.saturating_add(1))
    }

    /// Takes an input at a time. Time that runs backwards is held at the latest time seen.
    pub fn handle(&mut self, input: Input, now: Millis) -> Vec<Output> {
        self.now = self.now.max(now);
        self.is_moved = false;
        let mut out = Vec::new();
        self.advance(&mut out);
        match input {
            Input::Tick => {}
            Input::Lead(ms) => self.lead(ms),
            Input::Envelope(link, bytes) => {
                self.deliver(link, &bytes, &mut out);
            }
            Input::Work(round, work) => self.work(round, work, &mut out),
            Input::Register(member) => self.register(member, &mut out),
            Input::Stakes(epoch, members) => self.stakes(epoch, members, &mut out),
            Input::Signed(place, signature) => self.signed(&place, &signature, &mut out),
            Input::Refused(place) => self.refused(&place, &mut out),
            Input::Asked(link, want) => self.asked(link, &want, &mut out),
            Input::Adopt(record) => self.adopt(*record, &mut out),
        }
        self.decide(&mut out);
        // What the node waited for may be here.
        if let Some(now) = self.clock.at(self.now).filter(|_| self.position.is_none()) {
            self.visit(now, &mut out);
        }
        self.count(&out);
        out
    }

    fn count(&mut self, outputs: &[Output]) {
        for output in outputs {
            match output {
                Output::Rejected { reason, .. } => self.counters.reject(*reason),
                Output::Withheld(_, reason) => self.counters.withhold(*reason),
                _ => {}
            }
        }
    }

    fn lead(&mut self, ms: Millis) {
        self.is_moved |= self.lead != ms;
        self.lead = ms;
    }

    fn register(&mut self, member: Member, out: &mut Vec<Output>) {
        let from = match self.clock.at(self.now) {
            Some(at) => at.round.saturating_add(1),
            // Nobody is late before genesis.
            None => 0,
        };
        match self.members.register(member, from) {
            Ok(()) => self.is_moved = true,
            Err(error) => out.push(Output::NotRegistered(error)),
        }
    }

    fn stakes(&mut self, epoch: u64, members: Vec<Member>, out: &mut Vec<Output>) {
        let current = self.history.epoch(self.history.floor());
        match self.members.stakes(epoch, members, current) {
            Ok(()) => self.is_moved = true,
            Err(error) => out.push(Output::NotRegistered(error)),
        }
    }
}

// What it holds.
impl Core {
    /// Counts what the core holds. Verified signatures are elsewhere and have a bound of their own.
    pub fn census(&self) -> Census {
        let Self {
            setup: _,
            swarm: _,
            clock: _,
            now: _,
            position: _,
            active,
            open,
            history,
            members,
            waits: _,
            sought: _,
            next_round: _,
            first: _,
            seen: _,
            missed,
            elsewhere,
            early,
            ignored,
            lead: _,
            counters: _,
            is_moved: _,
            segment: _,
        } = self;
        Census {
            active: active.as_ref().map_or(0, ActiveRound::entries),
            undecided: open.len(),
            open: open.values().map(Progress::entries).sum(),
            history: history.entries(),
            members: members.entries(),
            missed: missed.len() + elsewhere.len(),
            early: early.entries() + ignored.entries(),
        }
    }
}

// Phases.
impl Core {
    /// Visits every phase up to the present, and lets open rounds go on.
    fn advance(&mut self, out: &mut Vec<Output>) {
        // Nothing happens before genesis.
        let Some(now) = self.clock.at(self.now) else {
            return;
        };
        self.visit(now, out);
        if self.seen.is_none_or(|(round, _)| round < now.round) {
            let floor = self.history.floor();
            // While others answer, there is nothing to agree on.
            let is_stuck = self.seen.is_some_and(|(_, before)| before == floor);
            (self.seen, self.is_moved) = (Some((now.round, floor)), true);
            if is_stuck && self.missed.is_empty() {
                self.open_missed(out);
            }
            self.wait(now.round, out);
        }
        self.tick_open(out);
    }

    /// Visits every phase up to a position.
    fn visit(&mut self, now: Position, out: &mut Vec<Output>) {
        while let Some(to) = self.next_phase(now) {
            assert!(
                phase::is_legal(self.phase(), to),
                "invariant: {:?} to {to:?} is an edge",
                self.phase()
            );
            self.enter(to, now, out);
        }
    }

    fn next_phase(&self, now: Position) -> Option<Phase> {
        let has_room = self.open.len() + self.elsewhere.len() < MAX_UNDECIDED;
        let may_begin = now.window == Window::ShareSeal && now.round >= self.next_round && has_room;
        let may_begin = may_begin && self.waits_for(now.round).is_none();
        let begin = may_begin.then_some(Phase::In(Window::ShareSeal));
        match self.position {
            None => begin,
            Some(here) if here >= now => None,
            Some(here) => match here.window.next() {
                Some(window) => Some(Phase::In(window)),
                None => begin.or(Some(Phase::Waiting)),
            },
        }
    }

    fn enter(&mut self, to: Phase, now: Position, out: &mut Vec<Output>) {
        self.is_moved = true;
        if let Some(active) = &mut self.active {
            active.leave(out);
        }
        out.push(Output::Entered(to));
        match to {
            Phase::Waiting => self.position = None,
            Phase::In(Window::ShareSeal) => self.begin(now.round, out),
            Phase::In(window) => self.position = self.position.map(|at| Position { window, ..at }),
        }
        if let (Some(active), Phase::In(window)) = (&mut self.active, to) {
            active.enter(window, now, out);
        }
        if to == Phase::In(Window::Settle) {
            self.open_round(out);
        }
        for (link, bytes) in self.early.release() {
            self.deliver(link, &bytes, out);
        }
    }

    fn begin(&mut self, round: Round, out: &mut Vec<Output>) {
        let undecided = self.history.missing(self.first..round).next();
        out.push(Output::ForgetBefore(undecided.unwrap_or(round)));
        self.ignored = Allowance::default();
        self.next_round = round.saturating_add(1);
        self.position = Some(Position {
            round,
            window: Window::ShareSeal,
        });
        self.waits = None;
        if let Ok(plan) = self.plan(round) {
            let mut active = ActiveRound::new(plan, self.setup.peer);
            let hello = self.setup.hello;
            if let Some(hello) = hello.filter(|_| self.history.needs_hello(&self.setup.peer)) {
                active.say_hello(hello, out);
            }
            self.active = Some(active);
        }
        self.ask_for_missing(round, out);
    }

    /// What the members of a round follow from and is not known here.
    fn waits_for(&self, round: Round) -> Option<Waiting> {
        self.members.waits_for(round, &self.history)
    }

    /// Says what the node waits for, and asks for it.
    fn wait(&mut self, round: Round, out: &mut Vec<Output>) {
        let Some(waits) = self.waits_for(round) else {
            return;
        };
        if self.waits != Some(waits) {
            self.waits = Some(waits);
            out.push(Output::Waits(waits));
        }
        if self.position.is_none() {
            self.ask_for_missing(round, out);
        }
    }

    /// The plan of a round: of an open one the one that it was begun with.
    fn plan(&self, round: Round) -> Result<Arc<RoundPlan>, Waiting> {
        let open = self
            .open
            .get(&round)
            .map(|progress| progress.plan().clone());
        if let Some(plan) = open {
            return Ok(plan);
        }
        let members = self.members.of(round, &self.history)?;
        let config = &self.setup.config;
        Ok(Arc::new(RoundPlan::new(config, self.swarm, round, members)))
    }

    fn ask_for_missing(&mut self, before: Round, out: &mut Vec<Output>) {
        let missing = self.history.missing(0..before);
        let unknown = missing.filter(|round| !self.open.contains_key(round));
        let unknown: Vec<Round> = unknown.take(MISSING).collect();
        self.sought = unknown.last().map_or(0, |last| last + 1);
        out.extend(unknown.into_iter().map(|round| {
            Output::Ask(Want {
                round,
                what: Wanted::Decision,
            })
        }));
    }

    /// Asks for more once all that was asked for is here.
    fn ask_for_more(&mut self, out: &mut Vec<Output>) {
        let now = self.clock.at(self.now);
        let is_all_here = {
            let mut missing = self.history.missing(0..self.sought);
            missing.all(|round| self.open.contains_key(&round))
        };
        if let Some(now) = now.filter(|_| is_all_here && self.sought > 0) {
            self.ask_for_missing(now.round, out);
        }
    }
}

// The node's own messages.
impl Core {
    fn work(&mut self, round: Round, work: Work, out: &mut Vec<Output>) {
        self.is_moved = true;
        match self
            .active
            .as_mut()
            .filter(|active| active.round() == round)
        {
            Some(active) => active.seal(work, &self.setup.salts, out),
            None => out.push(Output::Missed(round, work.stage())),
        }
    }

    /// Publishes a message that waited for its signature, if the node's own log takes it. An answer
    /// that comes too late finds nothing: its message was withheld when the window closed.
    fn signed(&mut self, place: &Place, signature: &SignatureBytes, out: &mut Vec<Output>) {
        let Some(message) = self.take_waiting(place) else {
            return;
        };
        if !message.header().kind.is_agreement() && self.is_out_of_reach() {
            out.push(Output::Withheld(*place, Withheld::OutOfReach));
            return;
        }
        let bytes: Arc<[u8]> = message.signed(signature).into();
        let accepted = self.deliver(Link(self.setup.peer), &bytes, out);
        if let Some(progress) = self.open.get_mut(&place.round).filter(|_| accepted) {
            progress.said(*place, bytes.clone());
        }
        out.push(match accepted {
            true => Output::Broadcast(bytes),
            false => Output::Withheld(*place, Withheld::Rejected),
        });
    }

    fn refused(&mut self, place: &Place, out: &mut Vec<Output>) {
        if self.take_waiting(place).is_some() {
            out.push(Output::Withheld(*place, Withheld::Refused));
        }
    }

    /// True if a message would leave too near to the end of the present window.
    fn is_out_of_reach(&self) -> bool {
        let end = self.clock.next_boundary(self.now);
        self.lead > 0 && self.now.saturating_add(self.lead) >= end
    }

    fn take_waiting(&mut self, place: &Place) -> Option<UnsignedEnvelope> {
        let taken = match self.open.get_mut(&place.round) {
            Some(progress) => progress.outbox.take(place),
            None => self.active.as_mut()?.outbox.take(place),
        };
        self.is_moved |= taken.is_some();
        taken
    }
}

#[cfg(test)]
mod tests;
