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
        self.0.retain(|action, _| epoch_of(action) >= oldest);
    }
}

fn epoch_of(action: &Action) -> EpochNumber {
    match action {
        Action::FinaliseFast(span)
        | Action::Propose(span)
        | Action::Object(span)
        | Action::Draw(span, _)
        | Action::Judge(span, ..)
        | Action::Finalise(span)
        | Action::SlashContradiction(span, _)
        | Action::SlashLoser(span, _) => span.epoch,
        Action::Claim(epoch) => *epoch,
    }
}
