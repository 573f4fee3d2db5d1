//! Long values by number, in pieces.
//!
//! ```text
//! number, 0 ─▶ length (8 bytes, little-endian) ‖ digest of all bytes
//! number, 1… ─▶ the bytes, PIECE to a piece, the last one shorter
//! ```
//! All pieces of a value are written in one transaction, in the place of those of an older one. A
//! value of which a piece is missing, too much, or altered is reported and hides no other; nothing
//! is read of one that claims to be too long.

use std::fmt;

use redb::{Table, TableDefinition, TableHandle};
use swarm_identity::digest::{Digest32, Hasher};

use super::error::{DamagedRecord, StoreError};
use super::layout::{Bytes, Chain, PieceKey};
use super::open::Store;
use super::records::Scan;

/// Most bytes of a value: a table of a million owners has 36 million.
pub const MAX_LENGTH: usize = 48 << 20;
/// Bytes of a piece.
const PIECE: usize = 1 << 20;
/// Bytes of the first piece.
const HEAD: usize = 40;

/// Long values of one contract, by number.
#[derive(Clone)]
pub struct Pieces {
    store: Store,
    table: TableDefinition<'static, PieceKey, Bytes>,
    chain: Chain,
    contract: [u8; 20],
}

impl fmt::Debug for Pieces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (table, store) = (self.table.name(), self.store.path().display());
        write!(f, "Pieces({table} of {store})")
    }
}

type Key<'k> = (u64, &'k [u8; 32], &'k [u8; 20], u64, u32);

/// A value whose pieces are being read.
struct Begun {
    number: u64,
    length: usize,
    digest: Digest32,
    bytes: Vec<u8>,
    /// The number of the next piece.
    next: u32,
}

impl Begun {
    fn new(number: u64, piece: u32, head: &[u8]) -> Result<Self, String> {
        let head: &[u8; HEAD] = head
            .try_into()
            .ok()
            .filter(|_| piece == 0)
            .ok_or_else(|| format!("piece {piece} is not its beginning"))?;
        let mut length = [0; 8];
        length.copy_from_slice(&head[..8]);
        let mut digest = [0; 32];
        digest.copy_from_slice(&head[8..]);
        let length = u64::from_le_bytes(length);
        match usize::try_from(length) {
            Ok(length @ 0..=MAX_LENGTH) => Ok(Self {
                number,
                length,
                digest,
                bytes: Vec::with_capacity(length),
                next: 1,
            }),
            _ => Err(too_long(length)),
        }
    }

    fn add(&mut self, piece: u32, bytes: &[u8]) -> Result<(), String> {
        let fits = bytes.len() <= self.length - self.bytes.len();
        if piece != self.next || !fits {
            return Err(format!("piece {piece} does not continue it"));
        }
        self.next += 1;
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn end(self) -> Result<(u64, Vec<u8>), String> {
        if self.bytes.len() != self.length {
            let (there, length) = (self.bytes.len(), self.length);
            return Err(format!("{there} of {length} bytes are there"));
        }
        match digest(&self.bytes) == self.digest {
            true => Ok((self.number, self.bytes)),
            false => Err("its bytes are not those that were written".into()),
        }
    }
}

fn digest(bytes: &[u8]) -> Digest32 {
    Hasher::new("pieces").bytes(bytes).finish()
}

fn too_long(length: u64) -> String {
    format!("it has {length} bytes, at most {MAX_LENGTH} are kept")
}

impl Pieces {
    /// A view of a table that the store has created.
    pub(super) fn new(
        store: Store,
        table: TableDefinition<'static, PieceKey, Bytes>,
        chain: Chain,
        contract: [u8; 20],
    ) -> Self {
        Self {
            store,
            table,
            chain,
            contract,
        }
    }

    fn key(&self, number: u64, piece: u32) -> Key<'_> {
        let Chain { id, genesis } = &self.chain;
        (*id, genesis, &self.contract, number, piece)
    }

    /// Keeps a value, in the place of an older one.
    ///
    /// # Errors
    /// It is longer than [`MAX_LENGTH`], or the store fails; then the older one stays.
    pub fn put(&self, number: u64, value: &[u8]) -> Result<(), StoreError> {
        if value.len() > MAX_LENGTH {
            return Err(StoreError::Record {
                table: self.table.name().to_owned(),
                reason: too_long(value.len() as u64),
            });
        }
        let mut head = (value.len() as u64).to_le_bytes().to_vec();
        head.extend(digest(value));
        self.store.write(|transaction| {
            let mut table = transaction.open_table(self.table)?;
            self.remove(&mut table, number..=number)?;
            table.insert(self.key(number, 0), &head[..])?;
            for (piece, bytes) in (1..).zip(value.chunks(PIECE)) {
                table.insert(self.key(number, piece), bytes)?;
            }
            Ok(())
        })
    }

    fn remove(
        &self,
        table: &mut Table<'_, PieceKey, Bytes>,
        numbers: std::ops::RangeInclusive<u64>,
    ) -> Result<(), redb::Error> {
        let (first, last) = numbers.into_inner();
        let range = self.key(first, 0)..=self.key(last, u32::MAX);
        table.retain_in::<Key<'_>, _>(range, |_, _| false)?;
        Ok(())
    }

    /// All values with their numbers, in their order.
    ///
    /// # Errors
    /// The store fails; damaged values are part of the answer.
    pub fn all(&self) -> Result<Scan<(u64, Vec<u8>)>, StoreError> {
        let mut found = Values::default();
        self.store.read(|transaction| {
            let table = transaction.open_table(self.table)?;
            let range = self.key(0, 0)..=self.key(u64::MAX, u32::MAX);
            for entry in table.range::<Key<'_>>(range)? {
                let (key, bytes) = entry?;
                let (.., number, piece) = key.value();
                found.add(number, piece, bytes.value());
            }
            Ok(())
        })?;
        let damaged = |(number, reason): (u64, String)| DamagedRecord {
            table: self.table.name().to_owned(),
            key: number.to_string(),
            reason,
        };
        found.close();
        Ok(Scan {
            records: found.whole,
            damaged: found.damaged.into_iter().map(damaged).collect(),
        })
    }

    /// Forgets the numbers below one.
    ///
    /// # Errors
    /// The store fails.
    pub fn forget_before(&self, number: u64) -> Result<(), StoreError> {
        let Some(last) = number.checked_sub(1) else {
            return Ok(());
        };
        self.store.write(|transaction| {
            let mut table = transaction.open_table(self.table)?;
            self.remove(&mut table, 0..=last)
        })
    }
}

/// Values as their pieces come, in order.
#[derive(Default)]
struct Values {
    whole: Vec<(u64, Vec<u8>)>,
    damaged: Vec<(u64, String)>,
    begun: Option<Begun>,
}

impl Values {
    fn add(&mut self, number: u64, piece: u32, bytes: &[u8]) {
        if self.damaged.last().is_some_and(|(of, _)| *of == number) {
            return;
        }
        if self
            .begun
            .as_ref()
            .is_some_and(|begun| begun.number != number)
        {
            self.close();
        }
        let added = match &mut self.begun {
            Some(begun) => begun.add(piece, bytes),
            None => Begun::new(number, piece, bytes).map(|begun| self.begun = Some(begun)),
        };
        if let Err(reason) = added {
            self.begun = None;
            self.damaged.push((number, reason));
        }
    }

    /// No piece of what has begun comes any more.
    fn close(&mut self) {
        let Some(begun) = self.begun.take() else {
            return;
        };
        let number = begun.number;
        match begun.end() {
            Ok(value) => self.whole.push(value),
            Err(reason) => self.damaged.push((number, reason)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::open::tests::temporary;
    use super::*;

    const CHAIN: Chain = Chain {
        id: 31_337,
        genesis: [1; 32],
    };

    fn value(length: usize, first: u8) -> Vec<u8> {
        let bytes = (0..length).map(|at| (at % 251) as u8 ^ first);
        bytes.collect()
    }

    #[test]
    fn values_of_every_length_come_back_and_belong_to_a_contract() {
        let (_folder, store) = temporary();
        let (mine, other) = (store.tables(CHAIN, [2; 20]), store.tables(CHAIN, [3; 20]));
        let lengths = [0, 1, PIECE, PIECE + 1, 3 * PIECE + 7];
        for (number, length) in (5..).zip(lengths) {
            mine.put(number, &value(length, 1)).unwrap();
        }
        other.put(6, b"other").unwrap();
        store.sums(CHAIN, [2; 20]).put(6, b"sum").unwrap();
        // A shorter one leaves nothing of the longer one.
        mine.put(8, &value(PIECE + 1, 9)).unwrap();
        let scan = mine.all().unwrap();
        assert_eq!(scan.damaged, []);
        let expected = [(5, 0, 1), (6, 1, 1), (7, PIECE, 1), (8, PIECE + 1, 9)];
        let expected = expected.map(|(number, length, first)| (number, value(length, first)));
        assert_eq!(scan.records[..4], expected);
        assert_eq!(scan.records[4], (9, value(3 * PIECE + 7, 1)));
        mine.forget_before(0).unwrap();
        mine.forget_before(9).unwrap();
        let numbers: Vec<u64> = mine
            .all()
            .unwrap()
            .records
            .iter()
            .map(|(n, _)| *n)
            .collect();
        assert_eq!(numbers, [9]);
        assert_eq!(other.all().unwrap().records, [(6, b"other".to_vec())]);
    }

    #[test]
    fn what_is_missing_altered_or_too_long_is_reported_alone() {
        let (_folder, store) = temporary();
        let tables = store.tables(CHAIN, [2; 20]);
        for number in 0..7 {
            tables.put(number, &value(2 * PIECE + 9, 1)).unwrap();
        }
        let head = |length: u64| [&length.to_le_bytes()[..], &[0; 32]].concat();
        store
            .write(|transaction| {
                let mut table = transaction.open_table(tables.table)?;
                table.remove(tables.key(0, 0))?;
                table.remove(tables.key(1, 2))?;
                table.remove(tables.key(2, 3))?;
                table.insert(tables.key(3, 2), &value(PIECE, 2)[..])?;
                table.insert(tables.key(4, 4), &[1u8][..])?;
                table.insert(tables.key(5, 0), &head(u64::MAX)[..])?;
                Ok(())
            })
            .unwrap();
        let scan = tables.all().unwrap();
        assert_eq!(scan.records, [(6, value(2 * PIECE + 9, 1))]);
        let damaged: Vec<(&str, &str)> = scan
            .damaged
            .iter()
            .map(|record| (record.key.as_str(), record.reason.as_str()))
            .collect();
        assert_eq!(
            damaged,
            [
                ("0", "piece 1 is not its beginning"),
                ("1", "piece 3 does not continue it"),
                ("2", "2097152 of 2097161 bytes are there"),
                ("3", "its bytes are not those that were written"),
                ("4", "piece 4 does not continue it"),
                (
                    "5",
                    "it has 18446744073709551615 bytes, at most 50331648 are kept"
                ),
            ]
        );
    }

    #[test]
    fn what_is_too_long_is_refused_and_the_older_value_stays() {
        let (_folder, store) = temporary();
        let tables = store.tables(CHAIN, [2; 20]);
        tables.put(1, b"old").unwrap();
        let error = tables.put(1, &vec![0; MAX_LENGTH + 1]).unwrap_err();
        assert!(
            error.to_string().contains("at most 50331648 are kept"),
            "{error}"
        );
        assert_eq!(tables.all().unwrap().records, [(1, b"old".to_vec())]);
    }
}
