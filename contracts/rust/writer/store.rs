//! Where the writer keeps its records.
//!
//! One store belongs to one account on one chain (chain id and genesis block). A record is written
//! before any of its transactions is broadcast; a store that loses a written record can make an
//! intent happen twice.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::{Mutex, MutexGuard, PoisonError};

use thiserror::Error;

use super::intent::{IntentId, Record};

/// A record could not be read, written or removed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the store of transactions failed: {0}; nothing is sent until it works again")]
pub struct StoreError(String);

impl StoreError {
    /// Wraps the store's own error.
    pub fn new(cause: impl Display) -> Self {
        Self(cause.to_string())
    }
}

/// Records by intent, on disk.
pub trait IntentStore: Send + Sync + 'static {
    /// All records, in any order.
    ///
    /// # Errors
    /// If a record cannot be read. The writer does not start then.
    fn load(&self) -> Result<Vec<Record>, StoreError>;

    /// Writes a record, replacing the one of the same intent. It is durable when this returns.
    ///
    /// # Errors
    /// If it may not be durable. The writer tries again.
    fn put(&self, record: &Record) -> Result<(), StoreError>;

    /// Removes a record; a record that is absent is no error.
    ///
    /// # Errors
    /// If it may still be there. The writer tries again.
    fn remove(&self, id: &IntentId) -> Result<(), StoreError>;
}

/// Records in memory: for tests and for chains that end with the process.
#[derive(Debug, Default)]
pub struct MemoryStore(Mutex<BTreeMap<IntentId, Record>>);

impl MemoryStore {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<IntentId, Record>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl IntentStore for MemoryStore {
    fn load(&self) -> Result<Vec<Record>, StoreError> {
        Ok(self.lock().values().cloned().collect())
    }

    fn put(&self, record: &Record) -> Result<(), StoreError> {
        self.lock().insert(record.intent.id.clone(), record.clone());
        Ok(())
    }

    fn remove(&self, id: &IntentId) -> Result<(), StoreError> {
        self.lock().remove(id);
        Ok(())
    }
}
