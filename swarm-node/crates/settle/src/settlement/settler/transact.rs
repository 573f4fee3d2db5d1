//! What the node does on the chain, in its turn.
//!
//! ```text
//! votes of > 2/3 of the stake ──────────────────▶ FinaliseFast, whatever is pending
//! nothing pending, no such votes after a while ─▶ Propose
//! something pending ────────────────────────────▶ see `dispute`
//! ```
//! In the last quarter of a window everybody acts who can: two transactions cost gas, none would
//! cost the outcome.

use std::sync::Arc;

use contracts::Address;
use contracts::outcome::Vote;

use super::super::case::Own;
use super::super::draft::Electorate;
use super::super::event::{Action, Claim, Now, Output, Transaction};
use super::super::span::Span;
use super::Settler;

/// Slots that are left to the votes before somebody proposes with a bond.
const FAST_SLOTS: u64 = 8;
/// Tries to make an outcome final by votes, after which a quorum of them stops no proposal.
const FAST_TRIES: u32 = 2;
/// Most tries to report an owner: others may have done it.
const MAX_REPORTS: u32 = 3;

impl Settler {
    /// Does what is due about the spans that can become final.
    pub(super) fn transact(&mut self, spans: &[Span], now: Now, outputs: &mut Vec<Output>) {
        // While something is pending the contract takes votes for its span alone.
        let pending = self.state().pending;
        let pending = pending.map(|pending| Span::of(&pending.outcome));
        for span in spans {
            if pending.is_none_or(|pending| pending == *span) {
                self.finalise_fast(*span, now, outputs);
            }
        }
        match self.state().pending {
            Some(pending) => self.follow(&pending, now, outputs),
            None => self.propose(spans, now, outputs),
        }
        self.report(now, outputs);
    }

    /// Sends a transaction, if none like it is under way.
    pub(super) fn send(
        &mut self,
        action: Action,
        transaction: Transaction,
        now: Now,
        outputs: &mut Vec<Output>,
    ) {
        if let Some(number) = self.under_way.begin(action, now.ms) {
            outputs.push(Output::Send(action, transaction, number));
        }
    }

    /// True if it is the node's turn in the matters of a span.
    pub(super) fn is_turn(&self, span: Span, now: Now) -> bool {
        let electorate = self.electorate(span.epoch);
        let patience = self.pace.patience();
        electorate.is_some_and(|known| known.turns.is_turn(&self.me, now.chain, patience))
    }

    /// True if it is the node's turn, or the last quarter of a window that ends then.
    pub(super) fn is_due(&self, span: Span, window: u64, end: u64, now: Now) -> bool {
        now.chain >= end.saturating_sub(window / 4) || self.is_turn(span, now)
    }

    /// The votes that make the own outcome of a span final at once.
    fn quorum(&self, span: Span, own: &Own, electorate: &Electorate) -> Option<Vec<Vote>> {
        let ballot = &self.cases.get(&span)?.ballot;
        ballot.quorum(&own.outcome, &electorate.snapshot)
    }

    pub(super) fn own(&self, span: Span) -> Option<(Own, Arc<Electorate>)> {
        let own = self.cases.get(&span)?.own()?.clone();
        Some((own, self.electorate(span.epoch)?))
    }

    fn finalise_fast(&mut self, span: Span, now: Now, outputs: &mut Vec<Output>) {
        let end = self.schedule.last_proposal(span.epoch);
        if !self.is_due(span, self.schedule.proposal_window, end, now) {
            return;
        }
        let Some((own, electorate)) = self.own(span) else {
            return;
        };
        if let Some(votes) = self.quorum(span, &own, &electorate) {
            let transaction = Transaction::FinaliseFast(own.outcome, votes);
            self.send(Action::FinaliseFast(span), transaction, now, outputs);
        }
    }

    /// Proposes the longest span that votes alone have not made final in good time.
    fn propose(&mut self, spans: &[Span], now: Now, outputs: &mut Vec<Output>) {
        if !self.policy.bonds {
            return;
        }
        let due = spans.iter().rev().find(|span| self.is_slow(**span, now));
        let Some((span, (own, electorate))) = due.and_then(|span| Some((*span, self.own(*span)?)))
        else {
            return;
        };
        let end = self.schedule.last_proposal(span.epoch);
        if !self.is_due(span, self.schedule.proposal_window, end, now) {
            return;
        }
        // A quorum that the contract has refused, as one that no block carries, is no way.
        let refused = self.under_way.tries(&Action::FinaliseFast(span)) >= FAST_TRIES;
        if refused || self.quorum(span, &own, &electorate).is_none() {
            let transaction = Transaction::Propose(own.outcome);
            self.send(Action::Propose(span), transaction, now, outputs);
        }
    }

    /// True if the votes have had their time.
    fn is_slow(&self, span: Span, now: Now) -> bool {
        let patience = self.pace.patience().saturating_mul(FAST_SLOTS);
        let wait = patience.min(self.schedule.proposal_window / 4);
        let from = self.schedule.end(span.epoch).saturating_add(wait);
        let is_computed = self
            .cases
            .get(&span)
            .is_some_and(|case| case.own().is_some());
        is_computed && now.chain >= from && now.latest <= self.schedule.last_proposal(span.epoch)
    }

    /// Claims all that the account has earned and not taken, if it is worth it.
    pub(super) fn claim(&mut self, now: Now, outputs: &mut Vec<Output>) {
        let (Some(last), Some(table)) = (self.state().last, self.final_table()) else {
            return;
        };
        let (earned, taken) = (table.earned(self.account), self.state().taken);
        let is_under_way = self.claiming.is_some_and(|(_, claimed)| claimed > taken);
        if is_under_way || earned.saturating_sub(taken) < self.policy.claim_from.max(1) {
            return;
        }
        let Some(proof) = table.proof(self.account) else {
            return;
        };
        let owner = self.account;
        let action = Action::Claim(last.outcome.epoch);
        if let Some(number) = self.under_way.begin(action, now.ms) {
            self.claiming = Some((last.outcome.epoch, earned));
            let claim = Claim {
                owner,
                earned,
                proof,
            };
            outputs.push(Output::Send(action, Transaction::Claim(claim), number));
        }
    }

    /// Collects the fees and bonds that the account is owed, if it is worth it.
    pub(super) fn collect(&mut self, now: Now, outputs: &mut Vec<Output>) {
        let (credited, collected) = (self.state().credited, self.state().collected);
        let is_under_way = self.collecting.is_some_and(|begun| begun > collected);
        if is_under_way || credited.saturating_sub(collected) < self.policy.claim_from.max(1) {
            return;
        }
        let action = Action::Collect(credited);
        if let Some(number) = self.under_way.begin(action, now.ms) {
            self.collecting = Some(credited);
            outputs.push(Output::Send(action, Transaction::Collect, number));
        }
    }

    /// Reports owners that signed two outcomes of a span, and those whose votes lost in the court.
    fn report(&mut self, now: Now, outputs: &mut Vec<Output>) {
        let mut reports = self.contradictions(now);
        reports.extend(self.losers(now));
        for (action, transaction) in reports {
            if self.under_way.tries(&action) < MAX_REPORTS {
                self.send(action, transaction, now, outputs);
            }
        }
    }

    fn contradictions(&self, now: Now) -> Vec<(Action, Transaction)> {
        let cases = self
            .cases
            .iter()
            .filter(|(_, case)| !case.ballot.evidence().is_empty());
        let due = cases.filter(|(span, _)| self.is_turn(**span, now));
        let reports = due.flat_map(|(span, case)| {
            case.ballot.evidence().iter().map(|evidence| {
                let action = Action::SlashContradiction(*span, evidence.first.vote.owner);
                (
                    action,
                    Transaction::SlashContradiction(Box::new(evidence.clone())),
                )
            })
        });
        reports.collect()
    }

    fn losers(&self, now: Now) -> Vec<(Action, Transaction)> {
        let state = self.state();
        let (Some(last), Some((span, court))) = (state.last, state.judged) else {
            return Vec::new();
        };
        let (case, electorate) = (self.cases.get(&span), self.electorate(span.epoch));
        let (Some(case), Some(electorate)) = (case, electorate) else {
            return Vec::new();
        };
        if Span::of(&last.outcome) != span || !self.is_turn(span, now) {
            return Vec::new();
        }
        let is_seated = |owner: &Address| electorate.snapshot.seats(court.seed, owner) > 0;
        let votes = case.ballot.against(&last.outcome);
        votes
            .filter(|vote| is_seated(&vote.vote.owner))
            .map(|vote| {
                let action = Action::SlashLoser(span, vote.vote.owner);
                (action, Transaction::SlashLoser(*vote))
            })
            .collect()
    }
}
