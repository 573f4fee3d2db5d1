//! What a node must not forget: one file, `node.redb`, crash-safe, used by one process at a time.
//!
//! ```text
//! Store ─┬─ signed, signed_floors   place → digest, and the floors      (swarm_identity)
//!        ├─ intents                 an account's transactions           (contracts::writer)
//!        ├─ cursors                 how far a contract's events were read, and what they led to
//!        ├─ rounds                  decided rounds
//!        ├─ tables, sums            final tables of earnings and sums of epochs, in pieces
//!        ├─ votes                   owners' signatures under outcomes, one row each
//!        ├─ journal, archive        what a core was told, and the rounds that it decided  (swarm_round)
//!        └─ meta                    the layout's version
//! ```
//! Invariants: what a call wrote is on disk when it returns, but for the [journal and
//! archive](Journal), which come along with the next signature; a call is all or nothing; a record
//! that does not decode is reported and hides no other; a flipped bit is found when the file is
//! opened; another layout is not touched. Sizes are bounded by [`MAX_RECORD`], those of what is
//! kept in pieces by [`MAX_LENGTH`].
//!
//! All tables but `signed`, `journal` and `archive` are told apart by [`Chain`], which a chain's
//! server can change by lying about block 0. Then they are empty until it tells the truth: epochs
//! wait, and what is sent a second time the contracts refuse. What was signed is filed by what the
//! signature is valid for and nothing else.
//!
//! The types of values are the caller's:
//!
//! ```
//! use swarm_store::{Chain, Store};
//!
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join(swarm_store::FILE_NAME);
//! let (chain, contract) = (Chain { id: 31_337, genesis: [1; 32] }, [7; 20]);
//!
//! let store = Store::open(&path)?;
//! store.cursors::<u64>(chain, contract).put(&12)?;
//! drop(store);
//!
//! let store = Store::open(&path)?;
//! assert_eq!(store.cursors::<u64>(chain, contract).get()?, Some(12));
//! // Another chain with the same id is another chain.
//! let other = Chain { genesis: [2; 32], ..chain };
//! assert_eq!(store.cursors::<u64>(other, contract).get()?, None);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod cursors;
mod error;
mod intents;
mod journal;
mod layout;
mod open;
mod pieces;
mod records;
mod settlement;
mod sign_once;

pub use cursors::Cursors;
pub use error::{DamagedRecord, OpenError, StoreError};
pub use intents::Intents;
pub use journal::{Archive, Journal, MAX_ENTRY};
pub use layout::{Chain, SCHEMA};
pub use open::Store;
pub use pieces::{MAX_LENGTH, Pieces};
pub use records::{MAX_RECORD, Records, Scan};
pub use settlement::{Numbered, VotePlace, Votes};
pub use sign_once::SignOnceTable;

/// The usual name of the file.
pub const FILE_NAME: &str = "node.redb";
