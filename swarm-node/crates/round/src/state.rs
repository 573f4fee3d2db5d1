//! The round core: one node's view of its swarm, as a pure state machine.
//!
//! ```text
//!            Register ─┐                    ┌─► Sign(place, digest) through the sign-once table
//!   Tick(now) ─────────┤                    ├─► Broadcast(envelope)
//!   Envelope(bytes) ───┤  Core::handle(now) ├─► Need(task)         to the model
//!   Work(answers, …) ──┤                    ├─► Resolved(result)   to the learner
//!   Signed, Refused ───┘                    ├─► Settled(…)         to the chain
//!                                           └─► Rejected / Withheld / Evidence / Missed / Entered
//! ```
//! Same inputs, same outputs: no socket, disk, wall clock or randomness. A node's salts derive from
//! its key, so that it seals the same content to the same bytes.
//!
//! The core cannot sign. It asks for every signature with [`Output::Sign`], and whoever runs it
//! signs with a [`Signer`](swarm_identity::Signer), whose table allows one digest per place for
//! ever; a node that restarts cannot contradict what it said before. Only a signed message is
//! published, and only then does it count in the node's own log. If its signature is refused, or
//! comes when the window is over, the message is [withheld](Output::Withheld) and the node is
//! silent in that place, like a member that said nothing.
//!
//! All queues are bounded; see `allowance`, `codec` and `config` for the limits. A message published
//! at the very end of a window may reach some nodes in time and others late. Their results then
//! differ, which attestations show: without more than two thirds of the stake behind one digest a
//! round is not settled.

mod active;
mod early;
mod interface;
mod outbox;
mod settlement;

use std::sync::Arc;

use swarm_identity::Place;
use swarm_identity::key::SignatureBytes;

use self::active::ActiveRound;
use self::early::EarlyMessages;
pub use self::interface::{CoreSetup, Input, Output};
pub use self::settlement::Settlement;
use crate::allowance::Link;
use crate::clock::{Clock, Millis, Position, Round, Window};
use crate::config::{SwarmConfigError, SwarmId};
use crate::envelope::{Envelope, EnvelopeError, UnsignedEnvelope};
use crate::membership::Member;
use crate::message_log::Refusal;
use crate::phase::{self, Phase};
use crate::rejection::{Counters, Rejection, Withheld};
use crate::transcript::RoundPlan;
use crate::work::Work;

/// The state of one node.
pub struct Core {
    setup: CoreSetup,
    swarm: SwarmId,
    clock: Clock,
    now: Millis,
    /// The round in progress; `None` while the node waits for one.
    active: Option<ActiveRound>,
    /// First round that the node may still take part in.
    next_round: Round,
    early: EarlyMessages,
    counters: Counters,
}

impl Core {
    /// A node that starts at `now` and joins the first round that begins then or later.
    ///
    /// # Errors
    /// A configuration out of its limits.
    pub fn new(setup: CoreSetup, now: Millis) -> Result<Self, SwarmConfigError> {
        setup.config.validate()?;
        let clock = Clock::new(&setup.config);
        Ok(Self {
            swarm: setup.config.swarm_id(),
            next_round: clock.first_whole_round(now),
            clock,
            now,
            active: None,
            early: EarlyMessages::default(),
            counters: Counters::default(),
            setup,
        })
    }

    /// The node's phase.
    pub fn phase(&self) -> Phase {
        let active = self.active.as_ref();
        active.map_or(Phase::Waiting, |active| Phase::In(active.position().window))
    }

    /// The round in progress.
    pub fn round(&self) -> Option<Round> {
        self.active.as_ref().map(ActiveRound::round)
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
            Input::Envelope(link, bytes) => {
                self.deliver(link, &bytes, &mut out);
            }
            Input::Work(round, work) => self.work(round, work, &mut out),
            Input::Register(member) => self.register(member, &mut out),
            Input::Signed(place, signature) => self.signed(&place, &signature, &mut out),
            Input::Refused(place) => self.refused(&place, &mut out),
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

    fn register(&mut self, member: Member, out: &mut Vec<Output>) {
        let from = match self.clock.at(self.now) {
            Some(at) => at.round.saturating_add(1),
            // Nobody is late before genesis.
            None => 0,
        };
        if let Err(error) = self.setup.roster.register(member, from) {
            out.push(Output::NotRegistered(error));
        }
    }
}

// Phases.
impl Core {
    /// Visits every phase up to the present.
    fn advance(&mut self, out: &mut Vec<Output>) {
        // Nothing happens before genesis.
        let Some(now) = self.clock.at(self.now) else {
            return;
        };
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
        let may_begin = now.window == Window::ShareSeal && now.round >= self.next_round;
        let begin = may_begin.then_some(Phase::In(Window::ShareSeal));
        match self.active.as_ref().map(ActiveRound::position) {
            None => begin,
            Some(here) if here >= now => None,
            Some(here) => match here.window.next() {
                Some(window) => Some(Phase::In(window)),
                None => begin.or(Some(Phase::Waiting)),
            },
        }
    }

    fn enter(&mut self, to: Phase, now: Position, out: &mut Vec<Output>) {
        let mut active = self.active.take();
        if let Some(active) = &mut active {
            active.leave(out);
        }
        out.push(Output::Entered(to));
        self.active = match to {
            Phase::Waiting => None,
            Phase::In(Window::ShareSeal) => Some(self.begin(now.round, out)),
            Phase::In(_) => active,
        };
        if let (Some(active), Phase::In(window)) = (&mut self.active, to) {
            active.enter(window, now, self.setup.judge.as_ref(), out);
        }
        for (link, bytes) in self.early.release() {
            self.deliver(link, &bytes, out);
        }
    }

    fn begin(&mut self, round: Round, out: &mut Vec<Output>) -> ActiveRound {
        out.push(Output::ForgetBefore(round));
        self.next_round = round.saturating_add(1);
        let members = self.setup.roster.snapshot(round);
        let plan = RoundPlan::new(&self.setup.config, self.swarm, round, members);
        ActiveRound::new(Arc::new(plan), self.setup.peer)
    }
}

// The node's own messages.
impl Core {
    fn work(&mut self, round: Round, work: Work, out: &mut Vec<Output>) {
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
        let bytes: Arc<[u8]> = message.signed(signature).into();
        let accepted = self.deliver(Link(self.setup.peer), &bytes, out);
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

    fn take_waiting(&mut self, place: &Place) -> Option<UnsignedEnvelope> {
        self.active.as_mut()?.outbox.take(place)
    }
}

// Messages from others, and the node's own once they are signed.
impl Core {
    /// Takes a message in, or says why not; true if it counts from now on.
    fn deliver(&mut self, link: Link, bytes: &Arc<[u8]>, out: &mut Vec<Output>) -> bool {
        match self.judge(link, bytes) {
            Ok(Verdict::Accepted) => {
                self.counters.accepted += 1;
                true
            }
            Ok(Verdict::Held) => false,
            Err(Refusal { reason, evidence }) => {
                out.extend(evidence.map(Output::Evidence));
                let peer = Envelope::parse(bytes)
                    .ok()
                    .map(|envelope| envelope.header.peer);
                out.push(Output::Rejected { link, peer, reason });
                false
            }
        }
    }

    /// All checks, cheapest first.
    fn judge(&mut self, link: Link, bytes: &Arc<[u8]>) -> Result<Verdict, Refusal> {
        let envelope = Envelope::parse(bytes).map_err(Rejection::from)?;
        if envelope.header.swarm != self.swarm {
            return Err(Rejection::Swarm.into());
        }
        if self.is_next(&envelope)? {
            return match self.early.hold(link, bytes) {
                true => Ok(Verdict::Held),
                false => Err(Rejection::Early.into()),
            };
        }
        let active = self.active.as_mut().ok_or(Rejection::Waiting)?;
        let author = envelope.header.peer;
        let member = active.log.member(&envelope)?;
        active.log.duplicate(member, &envelope)?;
        active
            .log
            .assigned(member, envelope.header.kind, envelope.header.slot)?;
        active.allowance.check(link, author)?;
        if !active.log.signed(member, &envelope, &self.setup.memo) {
            active.allowance.charge(link, author);
            return Err(Rejection::Signature.into());
        }
        active.log.write(member, &envelope, bytes)?;
        Ok(Verdict::Accepted)
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
}

/// What became of a message that was not rejected.
enum Verdict {
    Accepted,
    /// It waits for the next window.
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

#[cfg(test)]
mod tests;
