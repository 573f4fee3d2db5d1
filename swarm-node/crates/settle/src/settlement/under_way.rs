//! Transactions under way: at most one of each [`Action`], and longer and longer waits after
//! refusals.

use std::collections::BTreeMap;

use super::event::Action;
use super::schedule::EpochNumber;
use crate::backoff::Backoff;

/// Epochs before the first one that is not final whose transactions are remembered.
const REMEMBERED_EPOCHS: u64 = 8;

/// The tries of each action.
#[derive(Debug, Default)]
pub(super) struct UnderWay(BTreeMap<Action, Backoff>);

impl UnderWay {
    /// Begins a try, if none is under way and the wait is over: its number.
    pub(super) fn begin(&mut self, action: Action, now_ms: u64) -> Option<u32> {
        let backoff = self.0.entry(action).or_default();
        backoff.begin(now_ms).then_some(backoff.tries)
    }

    /// Tries of an action so far.
    pub(super) fn tries(&self, action: &Action) -> u32 {
        self.0.get(action).map_or(0, |backoff| backoff.tries)
    }

    /// A try will not happen.
    pub(super) fn refused(&mut self, action: Action, now_ms: u64) {
        if let Some(backoff) = self.0.get_mut(&action) {
            backoff.refused(now_ms);
        }
    }

    /// What was pending up to an epoch was refused: all that was done about it has had its effect,
    /// and may be done again.
    pub(super) fn forget_refused(&mut self, epoch: EpochNumber) {
        let kept = |action: &Action| match action {
            Action::Propose(span)
            | Action::Object(span)
            | Action::Draw(span, _)
            | Action::Judge(span, ..)
            | Action::Refuse(span, ..)
            | Action::Finalise(span) => span.epoch != epoch,
            _ => true,
        };
        for (action, backoff) in &mut self.0 {
            if !kept(action) {
                backoff.release();
            }
        }
    }

    /// Forgets the transactions of epochs that have long been final.
    pub(super) fn forget_before(&mut self, since: EpochNumber) {
        let oldest = since.saturating_sub(REMEMBERED_EPOCHS);
        self.0
            .retain(|action, _| epoch_of(action).is_none_or(|epoch| epoch >= oldest));
    }

    /// Forgets collections of no more than what is collected.
    pub(super) fn forget_collected(&mut self, collected: u128) {
        self.0
            .retain(|action, _| !matches!(action, Action::Collect(units) if *units <= collected));
    }
}

/// The epoch with which an action ends, if it belongs to one.
fn epoch_of(action: &Action) -> Option<EpochNumber> {
    match action {
        Action::FinaliseFast(span)
        | Action::Propose(span)
        | Action::Object(span)
        | Action::Draw(span, _)
        | Action::Judge(span, ..)
        | Action::Refuse(span, ..)
        | Action::Finalise(span)
        | Action::SlashContradiction(span, _)
        | Action::SlashLoser(span, _) => Some(span.epoch),
        Action::Claim(epoch) => Some(*epoch),
        Action::Collect(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::span::Span;
    use super::*;

    const SPAN: Span = Span { since: 0, epoch: 3 };

    #[test]
    fn one_of_each_is_under_way_until_it_is_refused() {
        let mut under_way = UnderWay::default();
        let (fast, propose) = (Action::FinaliseFast(SPAN), Action::Propose(SPAN));
        assert_eq!(under_way.begin(fast, 0), Some(1));
        assert_eq!(under_way.begin(fast, 1_000_000), None);
        assert_eq!(under_way.begin(propose, 0), Some(1));
        under_way.refused(fast, 0);
        assert_eq!(
            (under_way.begin(fast, 1_999), under_way.begin(fast, 2_000)),
            (None, Some(2))
        );
        assert_eq!((under_way.tries(&fast), under_way.tries(&propose)), (2, 1));
    }

    #[test]
    fn what_was_refused_by_the_court_may_be_proposed_again() {
        let mut under_way = UnderWay::default();
        let (claim, propose) = (Action::Claim(3), Action::Propose(SPAN));
        let other = Action::Propose(Span { epoch: 4, ..SPAN });
        let all = [claim, propose, other];
        assert_eq!(all.map(|action| under_way.begin(action, 0)), [Some(1); 3]);
        under_way.forget_refused(3);
        assert_eq!(
            all.map(|action| under_way.begin(action, 0)),
            [None, Some(2), None]
        );
    }

    #[test]
    fn what_is_collected_takes_no_memory() {
        let mut under_way = UnderWay::default();
        for units in 1..100 {
            under_way.begin(Action::Collect(units), 0);
            under_way.forget_before(1_000_000);
            under_way.forget_collected(units - 1);
        }
        assert_eq!(under_way.tries(&Action::Collect(99)), 1);
        assert_eq!(under_way.0.len(), 1);
    }

    #[test]
    fn long_final_epochs_take_no_memory() {
        let mut under_way = UnderWay::default();
        for epoch in 0..100 {
            under_way.begin(Action::Claim(epoch), 0);
            under_way.forget_before(epoch);
        }
        assert_eq!(under_way.0.len(), 9);
    }
}
