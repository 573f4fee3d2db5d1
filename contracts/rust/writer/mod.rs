//! One writer of transactions per account: intent → effect → done.

mod intent;
mod store;

pub use intent::{Attempt, DATA_BYTES, Fees, ID_BYTES, Inclusion, Intent, IntentError, IntentId, Record, Sent, State};
pub use store::{IntentStore, MemoryStore, StoreError};
