//! What the node lets go of.

use super::super::event::{Now, Output};
use super::super::schedule::EpochNumber;
use super::Settler;

/// Requests that are remembered.
const MAX_ASKED: usize = 256;

impl Settler {
    /// Lets go of the epochs that are over for good: final, their table known, and a day after the
    /// last moment in which any chain could have decided about them. By the time of the tick
    /// before, so that their end was seen first.
    pub(super) fn forget_old(&mut self, now: Now) -> Option<Output> {
        let before = std::mem::replace(&mut self.ticked, now.latest);
        if self.asked.len() > MAX_ASKED {
            self.asked.clear();
        }
        if !self.caught_up || self.final_table().is_none() {
            return None;
        }
        let floor = self.first_of_use(before.min(now.latest));
        let rises = floor > self.floor || self.drafts.range(..floor).next().is_some();
        if !rises {
            return None;
        }
        self.floor = floor;
        self.drafts = self.drafts.split_off(&floor);
        self.cases.retain(|span, _| span.epoch >= floor);
        Some(Output::ForgetBefore(floor))
    }

    /// The first epoch that is not final or of which something may still be decided at a time.
    fn first_of_use(&self, time: u64) -> EpochNumber {
        let since = self.state().since();
        let windows = self
            .schedule
            .end_of_use(0)
            .saturating_sub(self.schedule.end(0));
        let settled = self.schedule.epoch_at(time.saturating_sub(windows));
        settled.min(since).max(self.floor)
    }
}
