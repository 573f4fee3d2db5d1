//! The round core: one node's view of its swarm, as a pure state machine.
//!
//! ```text
//!            Register ─┐                    ┌─► Broadcast(envelope)
//!   Tick(now) ─────────┤                    ├─► Need(task)       to the model
//!   Envelope(bytes) ───┤  Core::handle(now) ├─► Resolved(result) to the learner
//!   Work(answers, …) ──┘                    ├─► Settled(…)       to the chain
//!                                           └─► Rejected / Evidence / Missed / Entered
//! ```
//! Same inputs, same outputs: no socket, disk, wall clock or randomness. A node's salts derive from
//! its key, so that it seals the same content to the same bytes. All queues are bounded; see
//! `gate`, `codec` and `config` for the limits. A message published at the very end of a window may
//! reach some nodes in time and others late. Their results then differ, which attestations show:
//! without more than two thirds of the stake behind one digest a round is not settled.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use swarm_identity::digest::Digest32;
use swarm_identity::key::{NodeKey, PeerId, SignatureMemo};

use super::book::{Book, Evidence};
use super::clock::{Clock, Millis, Position, Round, Window};
use super::codec;
use super::config::{ConfigError, SwarmConfig, SwarmId};
use super::envelope::{Envelope, EnvelopeError, Header, seal_envelope};
use super::gate::{Allowance, Counters, EARLY_BYTES, EARLY_PER_LINK, Link, Rejection};
use super::membership::{Member, MemberIndex, RegisterError, Roster};
use super::payload::{Attest, Kind, STAGE_SLOT, Seals, Stage};
use super::phase::{self, Phase};
use super::question::Judge;
use super::resolve::{RoundResult, resolve};
use super::seal::{SealContext, salted};
use super::transcript::Plan;
use super::work::{self, Task, Work};

/// What happens to a node.
#[derive(Clone, Debug)]
pub enum Input {
    /// Time passed.
    Tick,
    /// A neighbour delivered a message.
    Envelope(Link, Arc<[u8]>),
    /// The model finished work for a round.
    Work(Round, Work),
    /// A peer registered (on chain or by a signed hello); it counts from the next round.
    Register(Member),
}

/// What a node wants done.
#[derive(Clone, Debug)]
pub enum Output {
    /// Publish this message to all members.
    Broadcast(Arc<[u8]>),
    /// Let the model do this and come back with [`Input::Work`] before the window ends.
    Need(Task),
    /// The round is over for this node; learn from it.
    Resolved(Arc<RoundResult>),
    /// What the members attested.
    Settled(Settlement),
    /// A message was refused.
    Rejected {
        /// Who delivered it.
        link: Link,
        /// Who is said to have signed it, where the header can be read.
        peer: Option<PeerId>,
        /// Why.
        reason: Rejection,
    },
    /// A peer contradicted itself: keep the proof.
    Evidence(Box<Evidence>),
    /// This node's own work came too late or not at all: it sat out a stage.
    Missed(Round, Stage),
    /// A registration was refused.
    NotRegistered(RegisterError),
    /// The node changed its phase.
    Entered(Phase),
}

/// How a round ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// The round.
    pub round: Round,
    /// The digest that members with more than two thirds of the stake attest, if any.
    pub digest: Option<Digest32>,
    /// True if it is this node's own result.
    pub agrees: bool,
    /// Stake behind the most attested digest.
    pub stake: u64,
    /// Stake of all members.
    pub total: u64,
}

/// What a node needs to exist.
#[derive(Clone)]
pub struct Setup {
    /// The swarm's configuration.
    pub config: Arc<SwarmConfig>,
    /// The node's key.
    pub key: NodeKey,
    /// The judge of its tasks.
    pub judge: Arc<dyn Judge>,
    /// Verified signatures; may be shared by nodes of one process.
    pub memo: Arc<SignatureMemo>,
    /// Peers registered so far.
    pub roster: Roster,
}

/// The state of one node.
pub struct Core {
    setup: Setup,
    swarm: SwarmId,
    clock: Clock,
    now: Millis,
    phase: Phase,
    active: Option<Active>,
    /// First round that the node may still take part in.
    next_round: Round,
    early: Early,
    counters: Counters,
}

/// A round in progress.
struct Active {
    book: Book,
    me: Option<MemberIndex>,
    allowance: Allowance,
    /// Reveal payloads of the node's own sealed contents.
    drafts: BTreeMap<(Stage, u16), Vec<u8>>,
    sequence: u64,
    result: Option<Arc<RoundResult>>,
}

/// Messages of the window that comes next.
#[derive(Default)]
struct Early {
    held: Vec<(Link, Arc<[u8]>)>,
    per_link: HashMap<Link, u32>,
    bytes: usize,
}

impl Early {
    fn hold(&mut self, link: Link, bytes: &Arc<[u8]>) -> bool {
        let count = self.per_link.entry(link).or_insert(0);
        if *count >= EARLY_PER_LINK || self.bytes + bytes.len() > EARLY_BYTES {
            return false;
        }
        *count += 1;
        self.bytes += bytes.len();
        self.held.push((link, bytes.clone()));
        true
    }
}

impl Core {
    /// A node that starts at `now` and joins the first round that begins then or later.
    ///
    /// # Errors
    /// A configuration out of its limits.
    pub fn new(setup: Setup, now: Millis) -> Result<Self, ConfigError> {
        setup.config.validate()?;
        let clock = Clock::new(&setup.config);
        Ok(Self {
            swarm: setup.config.swarm_id(),
            next_round: clock.first_whole_round(now),
            clock,
            now,
            phase: Phase::Waiting,
            active: None,
            early: Early::default(),
            counters: Counters::default(),
            setup,
        })
    }

    /// The node's phase.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// The round in progress.
    pub fn round(&self) -> Option<Round> {
        self.active.as_ref().map(|active| active.book.plan().round)
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
        self.clock.next_boundary(self.now)
    }

    /// Takes an input at a time. Time that runs backwards is held at the latest time seen.
    pub fn handle(&mut self, input: Input, now: Millis) -> Vec<Output> {
        self.now = self.now.max(now);
        let mut out = Vec::new();
        self.advance(&mut out);
        match input {
            Input::Tick => {}
            Input::Envelope(link, bytes) => self.deliver(link, &bytes, &mut out),
            Input::Work(round, work) => self.work(round, work, &mut out),
            Input::Register(member) => self.register(member, &mut out),
        }
        out
    }

    fn register(&mut self, member: Member, out: &mut Vec<Output>) {
        let from = self
            .clock
            .at(self.now)
            .map_or(0, |at| at.round.saturating_add(1));
        if let Err(error) = self.setup.roster.register(member, from) {
            out.push(Output::NotRegistered(error));
        }
    }
}

// Phases.
impl Core {
    /// Visits every phase up to the present.
    fn advance(&mut self, out: &mut Vec<Output>) {
        let Some(target) = self.clock.at(self.now) else {
            return;
        };
        while let Some(to) = self.next_phase(target) {
            self.enter(to, target.round, out);
        }
    }

    fn next_phase(&self, target: Position) -> Option<Phase> {
        let may_begin = target.window == Window::ShareSeal && target.round >= self.next_round;
        match (self.phase, self.round()) {
            (Phase::In(window), Some(round)) => {
                let here = Position { round, window };
                (here < target).then(|| match window.next() {
                    Some(next) => Phase::In(next),
                    None if may_begin => Phase::In(Window::ShareSeal),
                    None => Phase::Waiting,
                })
            }
            _ => may_begin.then_some(Phase::In(Window::ShareSeal)),
        }
    }

    fn enter(&mut self, to: Phase, round: Round, out: &mut Vec<Output>) {
        debug_assert!(
            phase::is_legal(self.phase, to),
            "{:?} to {to:?}",
            self.phase
        );
        self.leave(out);
        self.phase = to;
        out.push(Output::Entered(to));
        match to {
            Phase::Waiting => self.active = None,
            Phase::In(Window::ShareSeal) => self.begin(round, out),
            Phase::In(Window::CritiqueSeal) => self.need(Stage::Critique, out),
            Phase::In(Window::DecideSeal) => self.need(Stage::Decide, out),
            Phase::In(Window::ShareReveal) => self.reveal(Stage::Share, out),
            Phase::In(Window::CritiqueReveal) => self.reveal(Stage::Critique, out),
            Phase::In(Window::DecideReveal) => self.reveal(Stage::Decide, out),
            Phase::In(Window::Settle) => self.resolve(out),
        }
        self.release_early(out);
    }

    fn leave(&mut self, out: &mut Vec<Output>) {
        let Phase::In(window) = self.phase else {
            return;
        };
        if let Some(stage) = Stage::ALL
            .into_iter()
            .find(|stage| stage.seal().window() == window)
        {
            self.note_missed(stage, out);
        }
        if window == Window::Settle {
            out.extend(
                self.active
                    .as_ref()
                    .and_then(Active::settlement)
                    .map(Output::Settled),
            );
        }
    }

    fn note_missed(&self, stage: Stage, out: &mut Vec<Output>) {
        let Some(active) = &self.active else { return };
        let plan = active.book.plan();
        let due = active
            .me
            .is_some_and(|me| !plan.assignment.slots(stage, me).is_empty());
        if due && !active.has_sealed(stage) {
            out.push(Output::Missed(plan.round, stage));
        }
    }

    fn begin(&mut self, round: Round, out: &mut Vec<Output>) {
        let members = self.setup.roster.snapshot(round);
        let plan = Arc::new(Plan::new(&self.setup.config, self.swarm, round, members));
        self.active = Some(Active::new(plan, self.setup.key.peer()));
        self.next_round = round.saturating_add(1);
        self.need(Stage::Share, out);
    }

    fn need(&self, stage: Stage, out: &mut Vec<Output>) {
        let Some(active) = &self.active else { return };
        let Some(me) = active.me else { return };
        let task = Task::new(active.book.transcript(), stage, me);
        if !task.asked.is_empty() {
            out.push(Output::Need(task));
        }
    }

    fn resolve(&mut self, out: &mut Vec<Output>) {
        let Some(active) = &mut self.active else {
            return;
        };
        let transcript = Arc::new(active.book.transcript().clone());
        let result = Arc::new(resolve(transcript, self.setup.judge.as_ref()));
        active.result = Some(result.clone());
        out.push(Output::Resolved(result.clone()));
        if let Ok(payload) = codec::encode(&Attest {
            digest: result.digest,
        }) {
            self.publish(Kind::Attest, STAGE_SLOT, &payload, out);
        }
    }
}

// The node's own messages.
impl Core {
    fn work(&mut self, round: Round, work: Work, out: &mut Vec<Output>) {
        let stage = work.stage();
        if !self.wants(round, stage) {
            out.push(Output::Missed(round, stage));
            return;
        }
        let bodies = self.bodies(work);
        let seals: Vec<_> = bodies
            .into_iter()
            .filter_map(|(slot, body)| self.draft(stage, slot, &body))
            .collect();
        if let Ok(payload) = codec::encode(&Seals { seals }) {
            self.publish(stage.seal(), STAGE_SLOT, &payload, out);
        }
    }

    /// True if the node is a member, the stage's seal window is open, and it has sealed nothing
    /// yet.
    fn wants(&self, round: Round, stage: Stage) -> bool {
        let open = self.round() == Some(round) && self.phase == Phase::In(stage.seal().window());
        open && self
            .active
            .as_ref()
            .is_some_and(|active| active.me.is_some() && !active.has_sealed(stage))
    }

    /// Encoded bodies by slot, ascending, cut to the limits.
    fn bodies(&self, work: Work) -> BTreeMap<u16, Vec<u8>> {
        let game = &self.setup.config.game;
        let max = game.text_bytes;
        let groups = |(slot, completions)| {
            Some((slot, codec::encode(&work::group(completions, game)?).ok()?))
        };
        let critiques =
            |(slot, text)| Some((slot, codec::encode(&work::critique(text, max)).ok()?));
        let decisions =
            |(slot, text)| Some((slot, codec::encode(&work::decision(text, max)).ok()?));
        match work {
            Work::Answers(list) => list.into_iter().filter_map(groups).collect(),
            Work::Critiques(list) => list.into_iter().filter_map(critiques).collect(),
            Work::Decisions(list) => list.into_iter().filter_map(decisions).collect(),
        }
    }

    /// Keeps a body for its reveal and returns its seal; `None` for a slot that is not the node's.
    fn draft(&mut self, stage: Stage, slot: u16, body: &[u8]) -> Option<(u16, Digest32)> {
        let active = self.active.as_mut()?;
        let plan = active.book.plan();
        if !plan.assignment.contains(stage, slot, active.me?) {
            return None;
        }
        let key = &self.setup.key;
        let context = SealContext {
            swarm: plan.swarm,
            round: plan.round,
            stage,
            slot,
            peer: key.peer(),
        };
        let payload = salted(&key.salt(&context.digest()), body);
        let seal = context.seal(&payload);
        active.drafts.insert((stage, slot), payload);
        Some((slot, seal))
    }

    fn reveal(&mut self, stage: Stage, out: &mut Vec<Output>) {
        let Some(active) = &self.active else { return };
        let range = (stage, 0)..=(stage, u16::MAX);
        let drafts: Vec<_> = active
            .drafts
            .range(range)
            .map(|((_, slot), draft)| (*slot, draft.clone()))
            .collect();
        for (slot, payload) in drafts {
            self.publish(stage.reveal(), slot, &payload, out);
        }
    }

    /// Signs a message, takes it in like anybody's, and hands it out if it is still in time.
    fn publish(&mut self, kind: Kind, slot: u16, payload: &[u8], out: &mut Vec<Output>) {
        let Some(active) = self.active.as_mut().filter(|active| active.me.is_some()) else {
            return;
        };
        let (round, peer, sequence) = (
            active.book.plan().round,
            self.setup.key.peer(),
            active.sequence,
        );
        let header = Header {
            swarm: self.swarm,
            round,
            kind,
            slot,
            peer,
            sequence,
        };
        let Ok(bytes) = seal_envelope(&header, payload, &self.setup.key) else {
            return;
        };
        active.sequence += 1;
        let bytes: Arc<[u8]> = bytes.into();
        let accepted = self.counters.accepted;
        self.deliver(Link(peer), &bytes, out);
        if self.counters.accepted > accepted {
            out.push(Output::Broadcast(bytes));
        }
    }
}

// Messages from others.
impl Core {
    fn deliver(&mut self, link: Link, bytes: &Arc<[u8]>, out: &mut Vec<Output>) {
        let mut evidence = None;
        let verdict = self.judge(link, bytes, &mut evidence);
        out.extend(evidence.map(|evidence| Output::Evidence(Box::new(evidence))));
        match verdict {
            Ok(Verdict::Accepted) => self.counters.accepted += 1,
            Ok(Verdict::Held) => {}
            Err(reason) => {
                self.counters.reject(reason);
                let peer = Envelope::parse(bytes)
                    .ok()
                    .map(|envelope| envelope.header.peer);
                out.push(Output::Rejected { link, peer, reason });
            }
        }
    }

    /// All checks, cheapest first.
    fn judge(
        &mut self,
        link: Link,
        bytes: &Arc<[u8]>,
        evidence: &mut Option<Evidence>,
    ) -> Result<Verdict, Rejection> {
        let envelope = Envelope::parse(bytes).map_err(Rejection::from)?;
        if envelope.header.swarm != self.swarm {
            return Err(Rejection::Swarm);
        }
        if self.is_next(&envelope)? {
            return if self.early.hold(link, bytes) {
                Ok(Verdict::Held)
            } else {
                Err(Rejection::Early)
            };
        }
        let active = self.active.as_mut().ok_or(Rejection::Waiting)?;
        let author = envelope.header.peer;
        let member = active.book.member(&envelope)?;
        active.book.duplicate(member, &envelope)?;
        active
            .book
            .assigned(member, envelope.header.kind, envelope.header.slot)?;
        active.allowance.check(link, author)?;
        if !active.book.signed(member, &envelope, &self.setup.memo) {
            active.allowance.charge(link, author);
            return Err(Rejection::Signature);
        }
        active
            .book
            .write(member, &envelope, bytes, evidence)
            .map(|()| Verdict::Accepted)
    }

    /// False if the message belongs to the present window, true if to the next one.
    fn is_next(&self, envelope: &Envelope<'_>) -> Result<bool, Rejection> {
        let here = self.clock.at(self.now);
        let there = Position {
            round: envelope.header.round,
            window: envelope.header.kind.window(),
        };
        let next = here.map_or(
            Position {
                round: 0,
                window: Window::ShareSeal,
            },
            Position::next,
        );
        match here {
            Some(here) if there == here => Ok(false),
            _ if there == next => Ok(true),
            Some(here) if there < here => Err(Rejection::Late),
            _ => Err(Rejection::Early),
        }
    }

    /// Judges the messages that waited for this window.
    fn release_early(&mut self, out: &mut Vec<Output>) {
        for (link, bytes) in std::mem::take(&mut self.early).held {
            self.deliver(link, &bytes, out);
        }
    }
}

enum Verdict {
    Accepted,
    Held,
}

impl From<EnvelopeError> for Rejection {
    fn from(error: EnvelopeError) -> Self {
        match error {
            EnvelopeError::Size(_) => Self::Size,
            EnvelopeError::Version(_) => Self::Version,
            EnvelopeError::Kind(_) => Self::Kind,
        }
    }
}

impl Active {
    fn new(plan: Arc<Plan>, peer: PeerId) -> Self {
        let me = plan.members.find(&peer);
        let allowance = Allowance::default();
        Self {
            book: Book::new(plan),
            me,
            allowance,
            drafts: BTreeMap::new(),
            sequence: 0,
            result: None,
        }
    }

    fn has_sealed(&self, stage: Stage) -> bool {
        self.drafts
            .range((stage, 0)..=(stage, u16::MAX))
            .next()
            .is_some()
    }

    fn settlement(&self) -> Option<Settlement> {
        let result = self.result.as_ref()?;
        let members = &self.book.plan().members;
        let mut stakes: BTreeMap<Digest32, u64> = BTreeMap::new();
        for (member, digest) in self.book.attests() {
            let stake = stakes.entry(*digest).or_insert(0);
            *stake = stake.saturating_add(members.stake(*member));
        }
        let (digest, stake) = stakes
            .into_iter()
            .max_by_key(|(_, stake)| *stake)
            .unwrap_or_default();
        let total = members.total_stake();
        let settled = u128::from(stake) * 3 > u128::from(total) * 2;
        let agrees = settled && digest == result.digest;
        Some(Settlement {
            round: self.book.plan().round,
            digest: settled.then_some(digest),
            agrees,
            stake,
            total,
        })
    }
}

#[cfg(test)]
mod tests;
