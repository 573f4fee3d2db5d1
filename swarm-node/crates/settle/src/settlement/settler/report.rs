//! Where the epochs stand.

use contracts::outcome::Outcome;

use super::super::draft::Draft;
use super::super::event::Now;
use super::super::phase::{EpochStatus, Phase};
use super::super::schedule::EpochNumber;
use super::super::span::Span;
use super::Settler;

impl Settler {
    /// Every epoch of which the node has a round or that is over and not final.
    pub fn epochs(&self, now: Now) -> Vec<EpochStatus> {
        let drafts = self.drafts.iter();
        drafts
            .map(|(epoch, draft)| EpochStatus {
                epoch: *epoch,
                phase: self.phase(*epoch, draft, now),
                rounds: draft.rounds(),
                points: draft.points_of(self.me),
            })
            .collect()
    }

    fn phase(&self, epoch: EpochNumber, draft: &Draft, now: Now) -> Phase {
        let state = self.state();
        if epoch < state.since() {
            return self.final_phase(epoch);
        }
        let pending = state
            .pending
            .filter(|pending| Span::of(&pending.outcome).contains(epoch));
        match pending {
            Some(pending) if pending.objected.is_some() => Phase::Disputed,
            Some(_) => Phase::Pending,
            None => self.draft_phase(epoch, draft, now),
        }
    }

    fn final_phase(&self, epoch: EpochNumber) -> Phase {
        let last = self.state().last.map(|last| last.outcome);
        match last.filter(|last| Span::of(last).contains(epoch)) {
            Some(last) if self.is_contradicted_by(&last) => Phase::Contradicted,
            _ => Phase::Settled,
        }
    }

    /// True if the node has computed another outcome than the final one, and said so.
    fn is_contradicted_by(&self, last: &Outcome) -> bool {
        self.cases.get(&Span::of(last)).is_some_and(|case| {
            let own = case.latest();
            case.contradicted == Some(*last) && own.is_none_or(|own| own.outcome != *last)
        })
    }

    fn draft_phase(&self, epoch: EpochNumber, draft: &Draft, now: Now) -> Phase {
        let span = Span {
            since: self.state().since(),
            epoch,
        };
        let case = self.cases.get(&span);
        let sum = case.and_then(|case| case.sum());
        match () {
            () if now.chain < self.schedule.end(epoch) => Phase::Open,
            () if !draft.is_whole(&self.schedule.rounds(epoch)) => Phase::Incomplete,
            () if now.latest > self.schedule.last_proposal(epoch) => Phase::Deferred,
            () if sum.is_some_and(|sum| sum.points() == 0) => Phase::Empty,
            () if case.is_some_and(|case| case.worth() == Some(0)) => Phase::Unfunded,
            () if case.is_some_and(|case| case.own().is_some()) => Phase::Voting,
            () => Phase::Waiting,
        }
    }
}
