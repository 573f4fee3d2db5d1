//! What the node does about a pending outcome, in its turn.
//!
//! ```text
//! its window is open, this node holds it false ──▶ Object
//! its window is over, nobody objected ───────────▶ Finalise, unless this node holds it false
//! objected to, the seed's block is there ────────▶ Draw
//! a court: votes for the own outcome ────────────▶ Judge, in batches
//!          votes against what is pending ────────▶ Refuse, in batches, from the middle of its window
//!          its window over: first court ─▶ Draw again; second ─▶ Finalise, which refuses it
//! ```
//! What only moves the dispute on (drawing, finishing) any node does, whatever it knows. What a
//! node *says* depends on its [`Opinion`]: it signs an outcome only of epochs that it has whole. A
//! member to whom nobody shows what a proposal is computed from says that, and no more: with a bond
//! at the end of the window for objections, and by its vote in the second half of a court's. Else
//! an outcome of rounds that were never decided could be objected to by nobody. A node without
//! stake in the epoch, such as one that joined later, says nothing.

use std::sync::Arc;

use super::super::draft::Electorate;
use super::super::event::{Action, Notice, Now, Output, Transaction};
use super::super::facts::{Court, Pending};
use super::super::span::Span;
use super::Settler;
use contracts::outcome::Outcome;

/// What a node holds of the pending outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opinion {
    /// It has computed the same.
    Right,
    /// It has computed another.
    Wrong,
    /// It has everything, and finds nothing to pay.
    Groundless,
    /// It has long lacked rounds, or the table before them, and nobody shows them.
    Unproven,
    /// It cannot tell, yet or at all.
    Unknown,
}

impl Opinion {
    /// True if the node speaks against the outcome.
    pub(super) fn is_against(self) -> bool {
        matches!(self, Self::Wrong | Self::Groundless | Self::Unproven)
    }
}

impl Settler {
    /// Does what is due about a pending outcome.
    pub(super) fn follow(&mut self, pending: &Pending, now: Now, outputs: &mut Vec<Output>) {
        let opinion = self.opinion(pending, now);
        match (pending.court, pending.objected) {
            (Some(court), _) => self.attend(pending, court, opinion, now, outputs),
            (None, Some(seed_block)) => self.draw(pending, seed_block, now, outputs),
            (None, None) if opinion.is_against() => self.object(pending, opinion, now, outputs),
            (None, None) => self.finalise(pending, pending.deadline, now, outputs),
        }
    }

    /// What this node holds of the pending outcome.
    fn opinion(&mut self, pending: &Pending, now: Now) -> Opinion {
        let span = Span::of(&pending.outcome);
        let case = self.cases.get(&span);
        match case.and_then(|case| case.own()) {
            Some(own) if own.outcome == pending.outcome => return Opinion::Right,
            Some(_) => return Opinion::Wrong,
            None if case.is_some_and(|case| case.is_unpayable()) => return Opinion::Groundless,
            None => {}
        }
        if !self.lacks_evidence(span) {
            self.lacking = None;
            return Opinion::Unknown;
        }
        let lacking = self.lacking.filter(|(of, _)| *of == pending.outcome);
        let (_, since) = *self
            .lacking
            .insert(lacking.unwrap_or((pending.outcome, now.chain)));
        let patience = self.schedule.objection_window / 4;
        match now.chain >= since.saturating_add(patience) && self.voting_owner(span).is_some() {
            true => Opinion::Unproven,
            false => Opinion::Unknown,
        }
    }

    /// True if a round of the span, or the table before it, is not here: members would have it.
    fn lacks_evidence(&self, span: Span) -> bool {
        let has_table = span.since == 0 || self.final_table().is_some();
        let mut kept = self.first_kept(span.since)..=span.epoch;
        !has_table || !kept.all(|epoch| self.is_whole(epoch))
    }

    fn object(&mut self, pending: &Pending, opinion: Opinion, now: Now, outputs: &mut Vec<Output>) {
        let span = Span::of(&pending.outcome);
        outputs.extend(self.notice(pending, opinion));
        let window = self.schedule.objection_window;
        let is_due = match opinion {
            // Whoever has the evidence may still show it.
            Opinion::Unproven => now.chain >= pending.deadline.saturating_sub(window / 4),
            _ => self.is_due(span, window, pending.deadline, now),
        };
        if self.policy.bonds && is_due && now.latest <= pending.deadline {
            let transaction = Transaction::Object(pending.outcome);
            self.send(Action::Object(span), transaction, now, outputs);
        }
    }

    /// Tells people once what is wrong with a proposal.
    fn notice(&mut self, pending: &Pending, opinion: Opinion) -> Option<Output> {
        let (span, theirs) = (Span::of(&pending.outcome), pending.outcome.root);
        let case = self.case(span)?;
        if case.noticed.replace(pending.outcome) == Some(pending.outcome) {
            return None;
        }
        let notice = match (opinion, case.own().map(|own| own.outcome.root)) {
            (Opinion::Wrong, Some(own)) => Notice::Differs { span, theirs, own },
            (Opinion::Unproven, _) => Notice::Unproven { span, theirs },
            _ => Notice::Groundless { span, theirs },
        };
        Some(Output::Notice(notice))
    }

    /// Ends what is pending, once its time is over.
    fn finalise(&mut self, pending: &Pending, end: u64, now: Now, outputs: &mut Vec<Output>) {
        let span = Span::of(&pending.outcome);
        if now.chain > end && self.is_turn(span, now) {
            let transaction = Transaction::Finalise(pending.outcome);
            self.send(Action::Finalise(span), transaction, now, outputs);
        }
    }

    /// Draws the first court, once the block that seeds it is there.
    fn draw(&mut self, pending: &Pending, seed_block: u64, now: Now, outputs: &mut Vec<Output>) {
        let is_there = self.pace.head().is_some_and(|head| head >= seed_block);
        if is_there {
            self.draw_number(1, pending, now, outputs);
        }
    }

    fn draw_number(&mut self, draw: u8, pending: &Pending, now: Now, outputs: &mut Vec<Output>) {
        let span = Span::of(&pending.outcome);
        if self.is_turn(span, now) {
            let transaction = Transaction::Draw(pending.outcome);
            self.send(Action::Draw(span, draw), transaction, now, outputs);
        }
    }

    /// Does what is due while a court sits, or after it.
    fn attend(
        &mut self,
        pending: &Pending,
        court: Court,
        opinion: Opinion,
        now: Now,
        outputs: &mut Vec<Output>,
    ) {
        match (now.chain > court.deadline, court.draw) {
            (false, _) => self.judge(pending, court, opinion, now, outputs),
            (true, 1) => self.draw_number(2, pending, now, outputs),
            (true, _) => self.finalise(pending, court.deadline, now, outputs),
        }
    }

    /// Votes in a court, and brings votes to it: for the own outcome, and from the middle of its
    /// window against what is pending.
    fn judge(
        &mut self,
        pending: &Pending,
        court: Court,
        opinion: Opinion,
        now: Now,
        outputs: &mut Vec<Output>,
    ) {
        let span = Span::of(&pending.outcome);
        if let Some((own, electorate)) = self.own(span) {
            self.bring(own.outcome, court, &electorate, now, outputs);
        }
        let middle = court
            .deadline
            .saturating_sub(self.schedule.court_window / 2);
        if !opinion.is_against() || now.chain < middle {
            return;
        }
        let refusal = pending.outcome.refusal();
        self.refuse(refusal, now, outputs);
        if let Some(electorate) = self.electorate(span.epoch) {
            self.bring(refusal, court, &electorate, now, outputs);
        }
    }

    /// Brings votes for an outcome, or for a refusal, to the court: enough for a verdict, or in its
    /// last quarter whatever there is.
    fn bring(
        &mut self,
        outcome: Outcome,
        court: Court,
        electorate: &Arc<Electorate>,
        now: Now,
        outputs: &mut Vec<Output>,
    ) {
        let span = Span::of(&outcome);
        let window = self.schedule.court_window;
        if !self.is_due(span, window, court.deadline, now) {
            return;
        }
        let wait = now.chain < court.deadline.saturating_sub(window / 4);
        while let Some(case) = self.cases.get_mut(&span) {
            let batch = case.batch(outcome, court, &electorate.snapshot, wait);
            let Some((number, votes)) = batch else { return };
            let action = match outcome.is_refusal() {
                true => Action::Refuse(span, court.draw, number),
                false => Action::Judge(span, court.draw, number),
            };
            let Some(number_of_try) = self.under_way.begin(action, now.ms) else {
                return;
            };
            case.bring(outcome, number, &votes);
            let transaction = Transaction::Judge(outcome, votes);
            outputs.push(Output::Send(action, transaction, number_of_try));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::event::{Events, Input};
    use super::super::super::facts::Fact;
    use super::super::super::testing::{DOMAIN, SCHEDULE, node, owner};
    use super::super::{MAX_SPANS, Policy};
    use super::*;

    /// A court may take longer than many epochs.
    #[test]
    fn what_is_pending_keeps_its_votes_however_many_spans_come_after_it() {
        let policy = Policy {
            claim_from: 1,
            bonds: true,
        };
        let mut settler = Settler::new(node(0), owner(0), SCHEDULE, DOMAIN, policy);
        let now = Now {
            chain: 2_000,
            latest: 2_000,
            ms: 0,
        };
        let span = |epoch| Span { since: 0, epoch };
        let outcome = Outcome {
            epoch: 3,
            points: 1,
            ..Outcome::default()
        };
        let proposed = Fact::Proposed {
            outcome,
            deadline: 2_060,
        };
        let events = Events {
            facts: vec![(1, proposed)],
            head: (1, 0),
            caught_up: true,
            ..Events::default()
        };
        settler.handle(Input::Events(events), now);
        for epoch in 0..40 {
            assert!(settler.case(span(epoch)).is_some());
        }
        assert!(settler.cases.contains_key(&span(3)) && settler.cases.len() == MAX_SPANS);
        assert!(
            settler.case(span(2)).is_none(),
            "older than all there is room for"
        );
        settler.cases.remove(&span(3));
        assert!((40..60).all(|epoch| settler.case(span(epoch)).is_some()));
        assert!(
            settler.case(span(3)).is_some(),
            "there is always room for it"
        );
    }
}
