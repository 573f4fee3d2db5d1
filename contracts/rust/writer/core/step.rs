//! The steps of a pass: what each asks for, and what its answer does to the record.

use alloy::primitives::{Bytes, U256};

use super::Core;
use super::agenda::Step;
use super::entry::{Entry, cost};
use super::event::{Action, BroadcastOutcome, EstimateError};
use crate::client::Call;
use crate::writer::fees;
use crate::writer::intent::{Attempt, Fees, Inclusion, Intent, IntentId, Sent, State};
use crate::writer::signer::{TransactionSigner, UnsignedTransaction};
use crate::writer::status::WaitReason;
use crate::writer::view::View;

/// Gas of two words of storage that are new. A contract that keeps a value for each second writes
/// over the last one where the estimate is made for the same second, and adds another where the
/// block has a later one.
const NEW_WORDS: u64 = 50_000;

/// Most transactions that are signed for one nonce.
const ATTEMPTS: usize = 32;
/// Gas of a payment: no transaction takes less.
const LEAST_GAS: u64 = 21_000;

impl<S: TransactionSigner> Core<S> {
    /// The action of a step, if there is anything to do.
    #[expect(clippy::expect_used, reason = "a look makes the agenda")]
    pub(super) fn begin(&mut self, step: Step, now: u64) -> Option<Action> {
        let view = self.view.expect("invariant: steps follow a look");
        match step {
            Step::Locate(at) => self.locate(at, &view),
            Step::Push(at) => self.push(at, &view, now),
            Step::Preflight(at) => self.preflight(at, &view, now),
            Step::CloseGap => self.close_gap(&view),
        }
    }

    fn locate(&self, at: u64, view: &View) -> Option<Action> {
        let entry = self.entry(at);
        let unseen = entry.seen_under != Some(view.head.hash);
        let hashes = entry
            .sent()?
            .attempts
            .iter()
            .rev()
            .map(|attempt| attempt.hash)
            .collect();
        unseen.then(|| Action::Locate(entry.record.intent.id.clone(), hashes))
    }

    /// Broadcasts the newest transaction, or signs a better offer, which is written and broadcast
    /// next.
    fn push(&mut self, at: u64, view: &View, now: u64) -> Option<Action> {
        let entry = self.entry(at);
        let (State::Sent(sent), Some(newest)) = (&entry.record.state, entry.attempt()) else {
            return None;
        };
        let raw = newest.raw.clone();
        if self.raise_is_due(entry, newest, view, now) {
            match self.raised(entry, sent, newest.fees, view, now) {
                Ok(attempt) => return self.raise(at, attempt),
                Err(reason) => self.wait(at, reason, now),
            }
        }
        let entry = self.entry(at);
        let due = entry
            .broadcast_at
            .is_none_or(|last| now >= last.saturating_add(self.config.resend_ms));
        due.then(|| Action::Broadcast(entry.record.intent.id.clone(), raw))
    }

    /// A better offer is due if the chain asked for it, or if blocks have passed the transaction by
    /// for long enough.
    fn raise_is_due(&self, entry: &Entry, newest: &Attempt, view: &View, now: u64) -> bool {
        let waited = now >= newest.at.saturating_add(self.config.bump_ms);
        let passed_by = entry
            .broadcast_in
            .is_some_and(|height| view.head.number > height);
        entry.underpriced || (waited && passed_by)
    }

    fn raised(
        &self,
        entry: &Entry,
        sent: &Sent,
        old: Fees,
        view: &View,
        now: u64,
    ) -> Result<Attempt, WaitReason> {
        if sent.attempts.len() >= ATTEMPTS {
            return Err(too_many());
        }
        let cap = self.config.fee_cap;
        let fees = fees::raise(old, view, cap).map_err(|need| WaitReason::TooDear { need, cap })?;
        let intent = &entry.record.intent;
        let more = cost(sent.gas, fees.max, intent.value).saturating_sub(entry.reserved());
        self.afford(view, more)?;
        self.sign(intent, sent.nonce, sent.gas, fees, now)
    }

    fn raise(&mut self, at: u64, attempt: Attempt) -> Option<Action> {
        let entry = self.entry_mut(at);
        match &mut entry.record.state {
            State::Sent(sent) => sent.attempts.push(attempt),
            other => unreachable!("invariant: only what is sent is raised, not {other:?}"),
        }
        (
            entry.underpriced,
            entry.broadcast_at,
            entry.broadcast_in,
            entry.wait_reason,
        ) = (false, None, None, None);
        self.changed(at);
        self.agenda.push_front(Step::Push(at));
        None
    }

    fn preflight(&mut self, at: u64, view: &View, now: u64) -> Option<Action> {
        let entry = self.entry(at);
        let room =
            self.taken(view.nonce).len() < self.config.in_flight || entry.record.intent.id.is_own();
        if entry.record.state != State::Queued || now < entry.not_before || !room {
            return None;
        }
        let Intent {
            id,
            to,
            data,
            value,
        } = entry.record.intent.clone();
        if let Err(reason) = self.offer(view, LEAST_GAS, value) {
            self.wait(at, reason, now);
            return None;
        }
        Some(Action::Preflight(
            id,
            Call {
                from: self.account(),
                to,
                data,
                value,
            },
        ))
    }

    fn close_gap(&mut self, view: &View) -> Option<Action> {
        let taken = self.taken(view.nonce);
        let gap = free(&taken, view.nonce);
        let id = IntentId::gap(gap);
        let at = match self.find(&id) {
            _ if taken.last().is_none_or(|last| *last < gap) => return None,
            Some((at, entry)) if matches!(entry.record.state, State::Refused(_)) => {
                self.requeue(at);
                at
            }
            Some(_) => return None,
            None => self.queue(Intent::pay(id, self.account(), U256::ZERO)),
        };
        self.agenda.push_front(Step::Preflight(at));
        None
    }

    /// The transaction was found in a block, or in none.
    pub(super) fn located(&mut self, now: u64, id: &IntentId, found: Option<Inclusion>) {
        self.recover();
        let (Some(view), wait, resend) =
            (self.view, self.config.confirmations, self.config.resend_ms)
        else {
            return;
        };
        let Some((at, entry)) = self.find_mut(id) else {
            return;
        };
        let is_changed = match found {
            Some(inclusion) => {
                entry.seen_under = Some(view.head.hash);
                let last = view.head.number >= inclusion.block.saturating_add(wait);
                entry.include(inclusion, last)
            }
            None => missing(entry, &view, now, wait, resend),
        };
        if is_changed {
            self.changed(at);
        }
    }

    /// The call was tried.
    pub(super) fn estimated(
        &mut self,
        now: u64,
        id: &IntentId,
        estimate: Result<u64, EstimateError>,
    ) {
        self.recover();
        let Some((at, entry)) = self.find_mut(id) else {
            return;
        };
        match estimate {
            Ok(gas) => self.launch(at, gas, now),
            Err(EstimateError::Other(message)) => self.wait(at, WaitReason::NotTaken(message), now),
            Err(EstimateError::Revert(revert)) => {
                entry.record.state = State::Refused(revert);
                entry.wait_reason = None;
                self.changed(at);
            }
        }
    }

    /// Gives an intent a nonce and a signed transaction, which is written and broadcast next.
    fn launch(&mut self, at: u64, gas: u64, now: u64) {
        let Some(view) = self.view else {
            return;
        };
        let intent = &self.entry(at).record.intent;
        // Others of the account's transactions may be mined before it and change what it takes.
        let gas = gas.saturating_add(gas / 4).saturating_add(NEW_WORDS);
        let nonce = free(&self.taken(view.nonce), view.nonce);
        let fees = self.offer(&view, gas, intent.value);
        match fees.and_then(|fees| self.sign(intent, nonce, gas, fees, now)) {
            Ok(attempt) => self.send(
                at,
                Sent {
                    nonce,
                    gas,
                    attempts: vec![attempt],
                },
            ),
            Err(reason) => self.wait(at, reason, now),
        }
    }

    fn send(&mut self, at: u64, sent: Sent) {
        let entry = self.entry_mut(at);
        entry.record.state = State::Sent(sent);
        entry.wait_reason = None;
        self.changed(at);
        self.agenda.push_front(Step::Push(at));
    }

    /// The chain has answered a broadcast.
    pub(super) fn broadcast(&mut self, now: u64, id: &IntentId, outcome: BroadcastOutcome) {
        self.recover();
        let height = self.view.map(|view| view.head.number);
        let Some((at, entry)) = self.find_mut(id) else {
            return;
        };
        entry.broadcast_at = Some(now);
        entry.broadcast_in = entry.broadcast_in.or(height);
        match outcome {
            BroadcastOutcome::Known => entry.wait_reason = None,
            BroadcastOutcome::NonceUsed => (),
            BroadcastOutcome::Underpriced => entry.underpriced = true,
            BroadcastOutcome::Other(message) => self.wait(at, WaitReason::NotTaken(message), now),
        }
    }

    /// The price to offer, if the account can pay it.
    fn offer(&self, view: &View, gas: u64, value: U256) -> Result<Fees, WaitReason> {
        let cap = self.config.fee_cap;
        let fees = fees::offer(view, cap).map_err(|need| WaitReason::TooDear { need, cap })?;
        self.afford(view, cost(gas, fees.max, value)).map(|()| fees)
    }

    fn afford(&self, view: &View, more: U256) -> Result<(), WaitReason> {
        let reserved = self.entries.values().fold(U256::ZERO, |sum, entry| {
            sum.saturating_add(entry.reserved())
        });
        let (balance, need) = (view.balance, reserved.saturating_add(more));
        if need <= balance {
            Ok(())
        } else {
            Err(WaitReason::Underfunded { balance, need })
        }
    }

    fn sign(
        &self,
        intent: &Intent,
        nonce: u64,
        gas: u64,
        fees: Fees,
        now: u64,
    ) -> Result<Attempt, WaitReason> {
        let Intent {
            to, data, value, ..
        } = intent.clone();
        let sealed = self.signer.sign(&UnsignedTransaction {
            nonce,
            gas,
            fees,
            to,
            data,
            value,
        });
        let (hash, raw): (_, Bytes) =
            sealed.map_err(|error| WaitReason::NotTaken(error.to_string()))?;
        Ok(Attempt {
            hash,
            raw,
            fees,
            at: now,
        })
    }

    fn wait(&mut self, at: u64, reason: WaitReason, now: u64) {
        let retry = now.saturating_add(self.config.poll_ms);
        let entry = self.entry_mut(at);
        (entry.wait_reason, entry.not_before) = (Some(reason), retry);
    }
}

/// None of the transactions of a used nonce is in the chain. Returns true if the record changed.
fn missing(entry: &mut Entry, view: &View, now: u64, confirmations: u64, patience: u64) -> bool {
    if entry.record.state.inclusion().is_some() {
        entry.uninclude();
        return true;
    }
    // INVARIANT: a second nonce only when the first is used for good. A node that lags with its
    // receipts is waited for.
    let (height, time) = *entry.overtaken.get_or_insert((view.head.number, now));
    let sure = view.head.number >= height.saturating_add(confirmations)
        && now >= time.saturating_add(patience);
    if sure {
        let own = entry.record.intent.id.is_own();
        entry.record.state = if own {
            State::Refused("the gap is closed".to_owned().into())
        } else {
            State::Queued
        };
        entry.forget_chain();
    }
    sure
}

/// The smallest nonce from `from` that nobody has.
fn free(taken: &std::collections::BTreeSet<u64>, from: u64) -> u64 {
    taken.iter().fold(from, |free, nonce| {
        if *nonce == free {
            free.saturating_add(1)
        } else {
            free
        }
    })
}

fn too_many() -> WaitReason {
    WaitReason::NotTaken(format!(
        "{ATTEMPTS} offers were made for its nonce, and none was taken"
    ))
}
