//! The one ledger that handles, transports and the server's connections share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use super::ledger::Ledger;
use super::rpc;

/// A ledger behind a lock; clones are the same ledger.
#[derive(Clone, Debug)]
pub(super) struct SharedLedger(Arc<Mutex<Ledger>>);

impl SharedLedger {
    pub fn new(ledger: Ledger) -> Self {
        Self(Arc::new(Mutex::new(ledger)))
    }

    pub fn lock(&self) -> MutexGuard<'_, Ledger> {
        // A change is committed as a whole or not at all, so the ledger is sound even after a panic
        // elsewhere.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers JSON-RPC: a request or a batch; `None` to notifications.
    pub fn answer(&self, request: &[u8]) -> Option<Vec<u8>> {
        rpc::handle(&mut self.lock(), wall_clock(), request)
    }
}

/// The wall clock in Unix seconds. One that is set before 1970 counts as 1970: block times never
/// fall, so a chain is no worse for it.
pub(super) fn wall_clock() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| time.as_secs())
}
