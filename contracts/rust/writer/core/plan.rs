//! The start of a pass: what a new view of the chain means for the records, and which steps follow.

use std::collections::{BTreeSet, VecDeque};

use super::Core;
use super::agenda::Step;
use super::entry::Entry;
use crate::writer::intent::State;
use crate::writer::signer::TransactionSigner;
use crate::writer::view::View;

impl<S: TransactionSigner> Core<S> {
    /// Takes in the chain as it is and builds the pass.
    pub(super) fn looked(&mut self, now: u64, view: View) {
        if self
            .view
            .is_some_and(|old| view.nonce < old.nonce || view.head.number < old.head.number)
        {
            self.entries
                .values_mut()
                .filter(|entry| entry.pending_nonce().is_some())
                .for_each(Entry::forget_chain);
        }
        self.view = Some(view);
        self.busy = true;
        self.next_look = now.saturating_add(if self.live() > 0 {
            self.config.poll_ms
        } else {
            self.config.idle_ms
        });
        self.roll_back(view.nonce);
        self.agenda = self.plan(&view);
    }

    /// What the chain no longer holds is not included, final or not: the chain was reorganised or
    /// set back.
    fn roll_back(&mut self, nonce: u64) {
        let gone: Vec<u64> = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.record.state.inclusion().is_some() && !used(entry, nonce))
            .map(|(at, _)| *at)
            .collect();
        for sequence in gone {
            self.entry_mut(sequence).uninclude();
            self.changed(sequence);
        }
        let pending = self
            .entries
            .values_mut()
            .filter(|entry| !used(entry, nonce));
        pending.for_each(|entry| entry.overtaken = None);
    }

    fn plan(&self, view: &View) -> VecDeque<Step> {
        let (mined, pending): (Vec<_>, Vec<_>) = self
            .with_nonces()
            .into_iter()
            .partition(|(nonce, _)| *nonce < view.nonce);
        let locate = mined.into_iter().map(|(_, at)| Step::Locate(at));
        let push = pending.into_iter().map(|(_, at)| Step::Push(at));
        let queued = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.record.state == State::Queued);
        let launch = queued.map(|(at, _)| Step::Preflight(*at));
        locate
            .chain(push)
            .chain(launch)
            .chain([Step::CloseGap])
            .collect()
    }

    /// Nonces and places of what is sent or included, in the order of nonces.
    fn with_nonces(&self) -> Vec<(u64, u64)> {
        let live = self
            .entries
            .iter()
            .filter(|(_, entry)| !entry.record.state.is_done());
        let mut places: Vec<_> = live
            .filter_map(|(at, entry)| Some((entry.sent()?.nonce, *at)))
            .collect();
        places.sort_unstable();
        places
    }

    /// Nonces from the chain's next one that belong to a record.
    pub(super) fn taken(&self, from: u64) -> BTreeSet<u64> {
        self.with_nonces()
            .into_iter()
            .map(|(nonce, _)| nonce)
            .filter(|nonce| *nonce >= from)
            .collect()
    }
}

/// True if the chain has used the entry's nonce.
fn used(entry: &Entry, next: u64) -> bool {
    entry.sent().is_some_and(|sent| sent.nonce < next)
}
