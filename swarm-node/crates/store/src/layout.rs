//! The layout of the file: its version, and every table with its key.
//!
//! A table that is added here is made in every file that lacks it; a change to a key or a value is
//! a new [`SCHEMA`].

use redb::{Error, TableDefinition, WriteTransaction};

/// Version of the layout.
///
/// Older layouts, which no release has written, are refused rather than converted. Layout 1 filed
/// signatures under a name that a chain's server could change, so what a node has signed cannot be
/// looked up in it, and a table that answers "never signed" for an epoch that was signed is worse
/// than none. Layout 2 kept a table of earnings in one record.
pub const SCHEMA: u64 = 3;

/// A chain, told apart from another one with the same id by its first block: development chains are
/// made anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chain {
    /// The chain's id (EIP-155).
    pub id: u64,
    /// The hash of its block 0.
    pub genesis: [u8; 32],
}

/// How values lie in a table.
pub(super) type Bytes = &'static [u8];

/// Swarm, kind, round, slot.
pub(super) type PlaceKey = (&'static [u8; 32], u8, u64, u16);
/// Swarm, kind.
pub(super) type FloorKey = (&'static [u8; 32], u8);
/// Chain id, its first block, account, the transaction's id.
pub(super) type IntentKey = (u64, &'static [u8; 32], &'static [u8; 20], &'static str);
/// Chain id, its first block, contract.
pub(super) type CursorKey = (u64, &'static [u8; 32], &'static [u8; 20]);
/// Chain id, its first block, contract, a number such as a round.
pub(super) type NumberKey = (u64, &'static [u8; 32], &'static [u8; 20], u64);
/// Chain id, its first block, contract, a number such as an epoch, number of the piece.
pub(super) type PieceKey = (u64, &'static [u8; 32], &'static [u8; 20], u64, u32);
/// Chain id, its first block, contract, last epoch, first epoch, owner.
pub(super) type VoteKey = (
    u64,
    &'static [u8; 32],
    &'static [u8; 20],
    u64,
    u64,
    &'static [u8; OWNER],
);

/// Swarm, segment, number in the segment.
pub(super) type JournalKey = (&'static [u8; 32], u64, u64);
/// Swarm, round.
pub(super) type RoundKey = (&'static [u8; 32], u64);

/// Bytes of an owner's account.
pub(super) const OWNER: usize = 20;

/// The layout's version, under [`SCHEMA_KEY`].
pub(super) const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
pub(super) const SCHEMA_KEY: &str = "schema";

pub(super) const SIGNED: TableDefinition<PlaceKey, &[u8; 32]> = TableDefinition::new("signed");
pub(super) const FLOORS: TableDefinition<FloorKey, u64> = TableDefinition::new("signed_floors");
pub(super) const INTENTS: TableDefinition<IntentKey, Bytes> = TableDefinition::new("intents");
pub(super) const ROUNDS: TableDefinition<NumberKey, Bytes> = TableDefinition::new("rounds");
pub(super) const TABLES: TableDefinition<PieceKey, Bytes> = TableDefinition::new("tables");
pub(super) const SUMS: TableDefinition<PieceKey, Bytes> = TableDefinition::new("sums");
pub(super) const VOTES: TableDefinition<VoteKey, Bytes> = TableDefinition::new("votes");
pub(super) const CURSORS: TableDefinition<CursorKey, Bytes> = TableDefinition::new("cursors");
pub(super) const JOURNAL: TableDefinition<JournalKey, Bytes> = TableDefinition::new("journal");
pub(super) const ARCHIVE: TableDefinition<RoundKey, Bytes> = TableDefinition::new("archive");
pub(super) const RESULTS: TableDefinition<RoundKey, Bytes> = TableDefinition::new("results");
/// Number of tables.
pub(super) const TABLE_COUNT: usize = 12;

/// Makes every table, and writes the version.
pub(super) fn create(transaction: &WriteTransaction) -> Result<(), Error> {
    transaction.open_table(META)?.insert(SCHEMA_KEY, SCHEMA)?;
    transaction.open_table(SIGNED)?;
    transaction.open_table(FLOORS)?;
    transaction.open_table(INTENTS)?;
    transaction.open_table(ROUNDS)?;
    transaction.open_table(TABLES)?;
    transaction.open_table(SUMS)?;
    transaction.open_table(VOTES)?;
    transaction.open_table(CURSORS)?;
    transaction.open_table(JOURNAL)?;
    transaction.open_table(ARCHIVE)?;
    transaction.open_table(RESULTS)?;
    Ok(())
}
