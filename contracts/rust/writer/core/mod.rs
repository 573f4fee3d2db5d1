//! The writer as a pure state machine: no socket, no disk, no clock.
//!
//! ```text
//!  submit ─▶ entries ─▶ next(now) ─▶ Action ─▶ (store, chain) ─▶ Event ─▶ handle(now)
//!
//!  one pass:  Look ─▶ Locate what may be mined ─▶ Broadcast or raise what is not ─▶ Preflight and launch what is queued
//! ```
//! A pass is built afresh from the records after every look, so a failure just ends it: nothing is
//! remembered that a restart would lose. Invariants:
//! * a change of a record is written before anything that follows from it is done (`unsaved` comes
//!   first in `next`);
//! * a nonce belongs to one record until somebody else's transaction has used it, confirmed;
//! * an intent gets a second nonce only then, so it happens once, up to reorganisations deeper than
//!   `confirmations`.

mod agenda;
mod entry;
mod event;
mod plan;
mod step;

use std::collections::{BTreeMap, HashMap, VecDeque};

use alloy::primitives::Address;

pub use event::{Action, BroadcastOutcome, EstimateError, Event};

use self::agenda::Step;
use self::entry::Entry;
use super::config::WriterConfig;
use super::intent::{Intent, IntentId, Record, State, SubmitError};
use super::signer::TransactionSigner;
use super::status::{Outage, Status};
use super::view::View;

/// First wait after a failure, in milliseconds; it doubles with each.
const BACKOFF_MS: u64 = 500;
/// Longest wait after a failure, in milliseconds.
const BACKOFF_CAP_MS: u64 = 60_000;

/// A change that the store does not have yet.
#[derive(Clone, Debug)]
enum Unsaved {
    Write(u64),
    Remove(IntentId),
}

/// The intents of one account and what comes next.
pub struct Core<S> {
    config: WriterConfig,
    signer: S,
    entries: BTreeMap<u64, Entry>,
    names: HashMap<IntentId, u64>,
    unsaved: VecDeque<Unsaved>,
    agenda: VecDeque<Step>,
    /// A pass is under way.
    busy: bool,
    view: Option<View>,
    next_look: u64,
    outage: Option<Outage>,
    store_is_down: bool,
}

impl<S: TransactionSigner> Core<S> {
    /// A writer that goes on where `records` end.
    pub fn new(config: WriterConfig, signer: S, records: Vec<Record>) -> Self {
        let names = records
            .iter()
            .map(|record| (record.intent.id.clone(), record.sequence))
            .collect();
        let entries = records
            .into_iter()
            .map(|record| (record.sequence, Entry::new(record)))
            .collect();
        let (unsaved, agenda) = Default::default();
        Self {
            config,
            signer,
            entries,
            names,
            unsaved,
            agenda,
            busy: false,
            view: None,
            next_look: 0,
            outage: None,
            store_is_down: false,
        }
    }

    /// The account.
    pub fn account(&self) -> Address {
        self.signer.account()
    }

    /// Takes an intent. One that is known already is left as it is; with `again`, one that was
    /// refused or reverted is queued once more.
    ///
    /// # Errors
    /// [`SubmitError`] if it is malformed, differs from the known one of its name, or too many are
    /// waiting.
    pub fn submit(&mut self, intent: Intent, again: bool) -> Result<(), SubmitError> {
        intent.check()?;
        if let Some((sequence, entry)) = self.find(&intent.id) {
            if entry.record.intent != intent {
                return Err(SubmitError::Conflict(intent.id));
            }
            if again && has_failed(&entry.record.state) {
                self.requeue(sequence);
            }
            return Ok(());
        }
        if self.live() >= self.config.live {
            return Err(SubmitError::Full {
                limit: self.config.live,
            });
        }
        self.queue(intent);
        self.next_look = 0;
        Ok(())
    }

    /// What is to be done now; nothing before [`Core::wake_at`] if `None`.
    pub fn next(&mut self, now: u64) -> Option<Action> {
        let waits = self
            .outage
            .as_ref()
            .is_some_and(|outage| now < outage.retry_at);
        // A dead chain keeps nobody from handing in an intent.
        if !(waits && self.store_is_down)
            && let Some(action) = self.save()
        {
            return Some(action);
        }
        if waits {
            return None;
        }
        while let Some(step) = self.agenda.pop_front() {
            if let Some(action) = self.begin(step, now) {
                return Some(action);
            }
            if !self.unsaved.is_empty() {
                return self.save();
            }
        }
        self.finish();
        self.save()
            .or_else(|| (now >= self.next_look).then_some(Action::Look))
    }

    /// Takes in what came of the last action.
    pub fn handle(&mut self, now: u64, event: Event) {
        match event {
            Event::Stored => self.stored(),
            Event::Looked(view) => self.looked(now, view),
            Event::Located(id, found) => self.located(now, &id, found),
            Event::Estimated(id, estimate) => self.estimated(now, &id, estimate),
            Event::Broadcast(id, outcome) => self.broadcast(now, &id, outcome),
            Event::NotStored(cause) => {
                self.store_is_down = true;
                self.failed(now, cause);
            }
            Event::Failed(cause) => self.failed(now, cause),
        }
    }

    /// When [`Core::next`] has something to do, unless an intent is submitted before.
    pub fn wake_at(&self) -> u64 {
        self.outage
            .as_ref()
            .map_or(self.next_look, |outage| outage.retry_at)
    }

    /// How far an intent has come, once the store has it.
    pub fn state(&self, id: &IntentId) -> Option<&State> {
        let (sequence, entry) = self.find(id)?;
        let saved = !self
            .unsaved
            .iter()
            .any(|change| matches!(change, Unsaved::Write(other) if *other == sequence));
        saved.then_some(&entry.record.state)
    }

    /// The writer at this moment.
    pub fn status(&self) -> Status {
        let mut status = Status {
            account: self.account(),
            view: self.view,
            outage: self.outage.clone(),
            ..Status::default()
        };
        for entry in self.entries.values() {
            *match entry.record.state {
                State::Queued => &mut status.queued,
                State::Sent(_) => &mut status.sent,
                State::Included(..) => &mut status.included,
                State::Final(..) | State::Refused(_) => &mut status.done,
            } += 1;
            status.waiting.extend(
                entry
                    .wait_reason
                    .clone()
                    .map(|reason| (entry.record.intent.id.clone(), reason)),
            );
        }
        status
    }

    fn find(&self, id: &IntentId) -> Option<(u64, &Entry)> {
        let sequence = *self.names.get(id)?;
        Some((sequence, self.entry(sequence)))
    }

    fn find_mut(&mut self, id: &IntentId) -> Option<(u64, &mut Entry)> {
        let sequence = *self.names.get(id)?;
        Some((sequence, self.entry_mut(sequence)))
    }

    /// The entry that a name, a step or an unsaved change stands for.
    #[expect(clippy::expect_used, reason = "places never come from outside")]
    fn entry(&self, at: u64) -> &Entry {
        // INVARIANT: entries are removed with their names, when no step and no change is left.
        self.entries.get(&at).expect("invariant: no dangling place")
    }

    /// As [`Self::entry`].
    #[expect(clippy::expect_used, reason = "places never come from outside")]
    fn entry_mut(&mut self, at: u64) -> &mut Entry {
        self.entries
            .get_mut(&at)
            .expect("invariant: no dangling place")
    }

    fn live(&self) -> usize {
        self.entries
            .values()
            .filter(|entry| !entry.record.state.is_done())
            .count()
    }

    /// Appends an intent and returns its place.
    fn queue(&mut self, intent: Intent) -> u64 {
        let sequence = self
            .entries
            .last_key_value()
            .map_or(0, |(last, _)| last + 1);
        self.names.insert(intent.id.clone(), sequence);
        self.entries.insert(
            sequence,
            Entry::new(Record {
                sequence,
                intent,
                state: State::Queued,
            }),
        );
        self.changed(sequence);
        sequence
    }

    fn requeue(&mut self, sequence: u64) {
        let entry = self.entry_mut(sequence);
        *entry = Entry::new(Record {
            state: State::Queued,
            ..entry.record.clone()
        });
        self.changed(sequence);
        self.next_look = 0;
    }

    fn changed(&mut self, sequence: u64) {
        self.unsaved.push_back(Unsaved::Write(sequence));
    }

    /// The oldest change that the store does not have.
    fn save(&self) -> Option<Action> {
        Some(match self.unsaved.front()? {
            Unsaved::Remove(id) => Action::Remove(id.clone()),
            Unsaved::Write(at) => Action::Write(self.entry(*at).record.clone().into()),
        })
    }

    fn stored(&mut self) {
        self.store_is_down = false;
        self.unsaved.pop_front();
    }

    /// Something came through: over a line that fails now and then, waits stay short.
    fn recover(&mut self) {
        if let Some(outage) = &mut self.outage {
            outage.tries /= 2;
        }
    }

    /// Ends a pass that came through: the chain and the store work.
    fn finish(&mut self) {
        if std::mem::take(&mut self.busy) {
            self.outage = None;
            self.prune();
        }
    }

    fn prune(&mut self) {
        let done: Vec<u64> = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.record.state.is_done())
            .map(|(at, _)| *at)
            .collect();
        let surplus = done.len().saturating_sub(self.config.done);
        for sequence in done.into_iter().take(surplus) {
            if let Some(entry) = self.entries.remove(&sequence) {
                self.names.remove(&entry.record.intent.id);
                self.unsaved
                    .push_back(Unsaved::Remove(entry.record.intent.id));
            }
        }
    }

    /// Ends a pass that did not come through and waits, longer each time.
    fn failed(&mut self, now: u64, cause: String) {
        self.agenda.clear();
        self.busy = false;
        self.next_look = 0;
        let (since, tries) = self
            .outage
            .take()
            .map_or((now, 0), |outage| (outage.since, outage.tries));
        let wait = BACKOFF_MS
            .saturating_mul(1 << tries.min(16))
            .min(BACKOFF_CAP_MS);
        self.outage = Some(Outage {
            since,
            retry_at: now.saturating_add(wait),
            tries: tries.saturating_add(1),
            cause,
        });
    }
}

/// True if nothing happened on chain, for good.
fn has_failed(state: &State) -> bool {
    match state {
        State::Refused(_) => true,
        State::Final(_, inclusion) => !inclusion.success,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
