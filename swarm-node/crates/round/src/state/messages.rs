//! Messages from others, and the node's own once they are signed.

use std::sync::Arc;

use swarm_identity::key::{PublicKey, SignatureMemo};

use super::Core;
use super::interface::{MAX_UNDECIDED, Output};
use crate::allowance::Link;
use crate::clock::{Position, Round, Window};
use crate::codec;
use crate::envelope::{Envelope, EnvelopeError};
use crate::heard::Refusal;
use crate::membership::hello::Hello;
use crate::message_log::Timing;
use crate::payload::{Kind, STAGE_SLOT};
use crate::rejection::Rejection;

impl Core {
    /// Takes a message in, or says why not; true if it counts from now on.
    pub(super) fn deliver(&mut self, link: Link, bytes: &Arc<[u8]>, out: &mut Vec<Output>) -> bool {
        match self.judge(link, bytes, out) {
            Ok(Verdict::Accepted) => {
                self.counters.accepted += 1;
                self.is_moved = true;
                true
            }
            Ok(Verdict::Held) => {
                self.is_moved = true;
                false
            }
            Ok(Verdict::Ignored) => false,
            Err(Refusal {
                reason,
                evidence,
                is_noted,
            }) => {
                self.is_moved |= is_noted;
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
    fn judge(
        &mut self,
        link: Link,
        bytes: &Arc<[u8]>,
        out: &mut Vec<Output>,
    ) -> Result<Verdict, Refusal> {
        let envelope = Envelope::parse(bytes).map_err(Rejection::from)?;
        if envelope.header.swarm != self.swarm {
            return Err(Rejection::Swarm.into());
        }
        match self.timing(&envelope)? {
            Moment::Next => self.hold(link, &envelope, bytes),
            moment if envelope.header.kind.is_agreement() => {
                self.agree(link, &envelope, bytes, moment, out)
            }
            Moment::Present if envelope.header.kind == Kind::Hello => self.greeted(link, &envelope),
            _ if envelope.header.kind == Kind::Hello => Err(Rejection::Late.into()),
            Moment::Present => self.write(link, &envelope, bytes, Timing::InTime),
            Moment::Past => self.write_late(link, &envelope, bytes, out),
        }
    }

    /// Holds a message for the window that comes next.
    fn hold(
        &mut self,
        link: Link,
        envelope: &Envelope<'_>,
        bytes: &Arc<[u8]>,
    ) -> Result<Verdict, Refusal> {
        let header = &envelope.header;
        let window = Position {
            round: header.round,
            window: header.kind.window(),
        };
        let may_be_member = self
            .members
            .may_contain(&header.peer, header.round, &self.history);
        if header.kind != Kind::Hello && !may_be_member {
            return Err(Rejection::NotMember.into());
        }
        let memo = &self.setup.memo;
        self.early.hold(window, (link, header.peer), bytes, || {
            is_signed(envelope, memo)
        })?;
        Ok(Verdict::Held)
    }

    fn timing(&self, envelope: &Envelope<'_>) -> Result<Moment, Rejection> {
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
            Some(here) if there == here => Ok(Moment::Present),
            _ if there == next => Ok(Moment::Next),
            Some(here) if there < here => Ok(Moment::Past),
            _ => Err(Rejection::Early),
        }
    }

    fn agree(
        &mut self,
        link: Link,
        envelope: &Envelope<'_>,
        bytes: &Arc<[u8]>,
        moment: Moment,
        out: &mut Vec<Output>,
    ) -> Result<Verdict, Refusal> {
        let round = envelope.header.round;
        if self.history.contains(round) {
            return self.ignore(link, envelope);
        }
        let taken = self.with_open(round, out, |progress, _, around, acts| {
            progress.accept(link, envelope, bytes, around, acts)
        });
        match (taken, moment) {
            (Some(taken), _) => taken.map(|()| Verdict::Accepted),
            (None, Moment::Past) => Err(Rejection::Late.into()),
            (None, _) => Err(Rejection::Waiting.into()),
        }
    }

    /// Passes over a message of a round that is decided here. Others may still need it, and it is
    /// handed on to them, so it must be signed by whoever may be a member, and not be old.
    fn ignore(&mut self, link: Link, envelope: &Envelope<'_>) -> Result<Verdict, Refusal> {
        let header = &envelope.header;
        let now = self.clock.at(self.now).map_or(0, |at| at.round);
        if header.round.saturating_add(MAX_UNDECIDED as Round) < now {
            return Err(Rejection::Late.into());
        }
        let may_be_member = self
            .members
            .may_contain(&header.peer, header.round, &self.history);
        if !may_be_member {
            return Err(Rejection::NotMember.into());
        }
        let memo = &self.setup.memo;
        self.ignored
            .verified(link, header.peer, || is_signed(envelope, memo))?;
        Ok(Verdict::Ignored)
    }

    /// Hears a hello of a peer that is no member of an open swarm.
    fn greeted(&mut self, link: Link, envelope: &Envelope<'_>) -> Result<Verdict, Refusal> {
        let (header, memo) = (&envelope.header, &self.setup.memo);
        let active = self.active.as_mut().ok_or(Rejection::Waiting)?;
        let plan = active.log.plan();
        let is_welcome = plan.is_open && plan.members.find(&header.peer).is_none();
        if !is_welcome || header.slot != STAGE_SLOT {
            return Err(Rejection::NotAssigned.into());
        }
        active.hellos.check(link, header.peer)?;
        let hello: Hello = codec::decode(envelope.payload).map_err(|_| Rejection::Malformed)?;
        active
            .allowance
            .verified(link, header.peer, || is_signed(envelope, memo))?;
        active.hellos.hold(link, header.peer, hello);
        Ok(Verdict::Accepted)
    }

    fn write(
        &mut self,
        link: Link,
        envelope: &Envelope<'_>,
        bytes: &Arc<[u8]>,
        timing: Timing,
    ) -> Result<Verdict, Refusal> {
        let active = self.active.as_mut().ok_or(Rejection::Waiting)?;
        let author = envelope.header.peer;
        let place = active.log.check(envelope).map_err(|reason| match timing {
            Timing::InTime => reason,
            Timing::Late => Rejection::Late,
        })?;
        let (log, memo) = (&active.log, &self.setup.memo);
        active
            .allowance
            .verified(link, author, || log.signed(place.member, envelope, memo))?;
        active.log.write(place, envelope, bytes, timing)?;
        Ok(Verdict::Accepted)
    }

    /// A message whose window is over counts for nothing here. It is kept while its round is not
    /// decided: it may prove a contradiction, and others may have had it in time.
    fn write_late(
        &mut self,
        link: Link,
        envelope: &Envelope<'_>,
        bytes: &Arc<[u8]>,
        out: &mut Vec<Output>,
    ) -> Result<Verdict, Refusal> {
        let round = envelope.header.round;
        if self
            .active
            .as_ref()
            .is_some_and(|active| active.round() == round)
        {
            self.write(link, envelope, bytes, Timing::Late)?;
            return Err(Refusal::noted(Rejection::Late));
        }
        let taken = self.with_open(round, out, |progress, _, around, acts| {
            progress.accept_late(link, envelope, bytes, around, acts)
        });
        taken.ok_or(Rejection::Late)??;
        Ok(Verdict::Held)
    }
}

/// True if the peer that a message names signed it, member or not.
fn is_signed(envelope: &Envelope<'_>, memo: &SignatureMemo) -> bool {
    let author = envelope.header.peer;
    PublicKey::try_from(author)
        .is_ok_and(|key| memo.verify(author, &key, &envelope.digest(), &envelope.signature))
}

/// Where a message's window lies.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Moment {
    Past,
    Present,
    Next,
}

/// What became of a message that was not rejected.
enum Verdict {
    Accepted,
    /// It waits for the next window, or was asked for.
    Held,
    /// Its round is decided.
    Ignored,
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
