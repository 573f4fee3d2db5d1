//! The node's own vote, and those of others.

use contracts::Address;
use contracts::outcome::Outcome;

use super::super::attestation::Attestation;
use super::super::event::{Notice, Now, Output, Rejection};
use super::super::span::Span;
use super::Settler;

/// Time between two broadcasts of the node's own vote, in milliseconds.
const REPEAT_MS: u64 = 10_000;

impl Settler {
    /// The node's own vote, made: it counts like any other, and others hear of it.
    pub(super) fn signed(&mut self, vote: Attestation, now: Now, outputs: &mut Vec<Output>) {
        let span = Span::of(&vote.outcome);
        if let Some(refused) = self.count(span, vote) {
            outputs.push(refused);
            return;
        }
        if let Some(case) = self.cases.get_mut(&span) {
            case.said_ms.insert(vote.outcome.is_refusal(), now.ms);
        }
        outputs.push(Output::Publish(vote));
    }

    /// A member's vote.
    pub(super) fn attestation(&mut self, vote: Attestation, now: Now) -> Option<Output> {
        let span = Span::of(&vote.outcome);
        let owner = vote.vote.owner;
        if vote.outcome.is_refusal() {
            let pending = self.state().pending;
            let is_meant = pending.is_some_and(|it| it.outcome.refusal() == vote.outcome);
            return match is_meant {
                true => self.count(span, vote),
                false => Some(Output::Rejected(owner, Rejection::Refusal(span))),
            };
        }
        // Members may be ahead: votes on the epoch that still runs here wait, too.
        let running = self.schedule.epoch_at(now.chain);
        let range = self.state().since()..=running;
        let is_next = span.since == self.state().since()
            && range.contains(&span.epoch)
            && self.is_open(span, now);
        match is_next || self.cases.contains_key(&span) {
            true => self.count(span, vote),
            false => Some(Output::Rejected(owner, Rejection::Span(span))),
        }
    }

    fn count(&mut self, span: Span, vote: Attestation) -> Option<Output> {
        let electorate = self.electorate(span.epoch);
        let snapshot = electorate.as_ref().map(|electorate| &electorate.snapshot);
        let domain = self.domain;
        let taken = match self.case(span) {
            Some(case) => case
                .ballot_of(&vote.outcome)
                .attested(vote, snapshot, &domain),
            None => Err(Rejection::Span(span)),
        };
        let rejection = taken.err()?;
        Some(Output::Rejected(vote.vote.owner, rejection))
    }

    /// Signs what the node computed, once, and repeats it now and then.
    pub(super) fn vote(&mut self, span: Span, now: Now, outputs: &mut Vec<Output>) {
        let Some(owner) = self.voting_owner(span) else {
            return;
        };
        let Some(case) = self.cases.get_mut(&span) else {
            return;
        };
        let Some(outcome) = case.own().map(|own| own.outcome) else {
            return;
        };
        let counted = case.ballot.of(&owner).copied();
        let said = counted.map(|vote| vote.outcome).or(case.asked_to_sign);
        match said {
            None => {
                case.asked_to_sign = Some(outcome);
                outputs.push(Output::Sign(outcome, owner));
            }
            Some(said) if said != outcome => {
                if case.overtaken.replace(outcome) != Some(outcome) {
                    outputs.push(Output::Notice(Notice::Overtaken(span)));
                }
            }
            Some(_) => outputs.extend(counted.and_then(|vote| self.repeat(span, vote, now))),
        }
    }

    /// Signs that what is pending is false or was not shown, once, and repeats it now and then.
    pub(super) fn refuse(&mut self, refusal: Outcome, now: Now, outputs: &mut Vec<Output>) {
        let span = Span::of(&refusal);
        let Some(owner) = self.voting_owner(span) else {
            return;
        };
        let Some(case) = self.case(span) else { return };
        match case.ballot_of(&refusal).of(&owner).copied() {
            Some(vote) => outputs.extend(self.repeat(span, vote, now)),
            None if case.asked_to_refuse.replace(refusal) == Some(refusal) => {}
            None => outputs.push(Output::Sign(refusal, owner)),
        }
    }

    /// In whose name the node votes: that of the owner that it had when the last epoch of the span
    /// began, if it has stake.
    pub(super) fn voting_owner(&self, span: Span) -> Option<Address> {
        let electorate = self.electorate(span.epoch)?;
        let owner = electorate.snapshot.owner(&self.me)?;
        let votes = span.has_place() && electorate.snapshot.stake(&owner) > 0;
        votes.then_some(owner)
    }

    fn repeat(&mut self, span: Span, vote: Attestation, now: Now) -> Option<Output> {
        let case = self.cases.get_mut(&span)?;
        let said = case
            .said_ms
            .entry(vote.outcome.is_refusal())
            .or_insert(now.ms);
        if now.ms < said.saturating_add(REPEAT_MS) {
            return None;
        }
        *said = now.ms;
        Some(Output::Publish(vote))
    }
}
