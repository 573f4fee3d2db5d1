//! What a node must not forget: one file, `node.redb`, crash-safe, used by one process at a time.
//!
//! ```text
//! Store ─┬─ sign_once   place → digest, and the floors             (identity)
//!        ├─ intents     transactions of an account, until final    (contracts::writer)
//!        ├─ cursors     how far a contract's events were read, and what they led to
//!        ├─ epochs      what is known of an epoch's scores, as opaque bytes
//!        ├─ votes       signatures under an epoch's scores, one row each
//!        └─ meta        the layout's version
//! ```
//! Invariants: what a call wrote is on disk when it returns; a call is all or nothing; a record
//! that does not decode is reported and hides no other; a flipped bit is found when the file is
//! opened; another layout is not touched. Sizes are bounded by [`MAX_RECORD`].
//!
//! All tables but `sign_once` are told apart by [`Chain`], which a chain's server can change by
//! lying about block 0. Then they are empty until it tells the truth: epochs wait, and what is sent
//! a second time the contracts refuse. What was signed is filed by what the signature is valid for
//! and nothing else.

mod cursors;
mod epochs;
mod error;
mod intents;
mod open;
mod records;
mod sign_once;

pub use cursors::Cursors;
pub use epochs::{Epochs, Vote};
pub use error::{OpenError, StoreError};
pub use intents::Intents;
pub use open::{SCHEMA, Store};
pub use records::{Damaged, MAX_RECORD, Records, Scan};
pub use sign_once::SignOnceTable;

/// The usual name of the file.
pub const FILE_NAME: &str = "node.redb";

/// A chain, told apart from another one with the same id by its first block: development chains are
/// made anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chain {
    /// The chain's id (EIP-155).
    pub id: u64,
    /// The hash of its block 0.
    pub genesis: [u8; 32],
}
