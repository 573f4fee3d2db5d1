//! A record, and what was learnt about it since the program started, which is not kept on disk.

use alloy::primitives::{B256, U256};

use crate::writer::intent::{Attempt, Inclusion, Record, Sent, State};
use crate::writer::status::WaitReason;

/// An intent under the writer's care.
#[derive(Debug)]
pub(super) struct Entry {
    pub record: Record,
    /// When its newest transaction was last handed to the chain.
    pub broadcast_at: Option<u64>,
    /// The height when its newest transaction was first handed to the chain.
    pub broadcast_in: Option<u64>,
    /// The chain asked for a better offer.
    pub underpriced: bool,
    /// Its nonce is used, by none of its transactions, since this height and time.
    pub overtaken: Option<(u64, u64)>,
    /// The head under which it was last found in the chain.
    pub seen_under: Option<B256>,
    /// Why it waits.
    pub wait_reason: Option<WaitReason>,
    /// When a troubled intent is tried again.
    pub not_before: u64,
}

impl Entry {
    pub fn new(record: Record) -> Self {
        Self {
            record,
            broadcast_at: None,
            broadcast_in: None,
            underpriced: false,
            overtaken: None,
            seen_under: None,
            wait_reason: None,
            not_before: 0,
        }
    }

    pub fn sent(&self) -> Option<&Sent> {
        self.record.state.sent()
    }

    /// The nonce of a transaction that is signed and not known to be in the chain.
    pub fn pending_nonce(&self) -> Option<u64> {
        match &self.record.state {
            State::Sent(sent) => Some(sent.nonce),
            _ => None,
        }
    }

    /// The newest transaction.
    pub fn attempt(&self) -> Option<&Attempt> {
        self.sent()?.attempts.last()
    }

    /// Wei that it may still take from the account.
    pub fn reserved(&self) -> U256 {
        match (&self.record.state, self.attempt()) {
            (State::Sent(sent), Some(attempt)) => {
                cost(sent.gas, attempt.fees.max, self.record.intent.value)
            }
            _ => U256::ZERO,
        }
    }

    /// Back to waiting for inclusion; it is broadcast at once.
    pub fn uninclude(&mut self) {
        let queued = std::mem::replace(&mut self.record.state, State::Queued);
        self.record.state = match queued {
            State::Included(sent, _) | State::Final(sent, _) => State::Sent(sent),
            other => other,
        };
        self.forget_chain();
    }

    /// Forgets what the chain is known to know.
    pub fn forget_chain(&mut self) {
        self.broadcast_at = None;
        self.broadcast_in = None;
        self.overtaken = None;
        self.seen_under = None;
    }

    /// Puts it into the chain. Returns true if that changes the record.
    pub fn include(&mut self, inclusion: Inclusion, last: bool) -> bool {
        self.overtaken = None;
        self.wait_reason = None;
        let Some(mut sent) = self.sent().cloned() else {
            return false;
        };
        if last {
            sent.attempts.retain(|attempt| attempt.hash == inclusion.tx);
        }
        let state = if last {
            State::Final(sent, inclusion)
        } else {
            State::Included(sent, inclusion)
        };
        let is_changed = state != self.record.state;
        self.record.state = state;
        is_changed
    }
}

/// The most wei that a transaction takes.
pub(super) fn cost(gas: u64, price: u128, value: U256) -> U256 {
    U256::from(gas)
        .saturating_mul(U256::from(price))
        .saturating_add(value)
}
