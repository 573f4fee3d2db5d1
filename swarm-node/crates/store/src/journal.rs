//! The journal of a swarm's core and the archives of its decided rounds: bytes that this crate does
//! not read.
//!
//! What is written here is *not* on disk when the call returns, but it is before anything that is
//! written later: the commit of the sign-once table that precedes a signature brings along all that
//! was written before it. So it costs no flush of its own, and what a crash leaves is always a
//! beginning of what was written, with everything that led to a signature.

use std::fmt;

use redb::{ReadableTable, StorageError, Table, TableDefinition};

use super::error::StoreError;
use super::layout::{ARCHIVE, Bytes, JOURNAL, JournalKey, RESULTS, RoundKey};
use super::open::Store;

/// Most bytes of one record.
pub const MAX_ENTRY: usize = 64 << 20;

/// What a core was told, by segment, in order.
#[derive(Clone, Debug)]
pub struct Journal {
    store: Store,
    swarm: [u8; 32],
}

/// What is kept of decided rounds, by number.
#[derive(Clone)]
pub struct Archive {
    store: Store,
    table: TableDefinition<'static, RoundKey, Bytes>,
    swarm: [u8; 32],
}

impl Store {
    /// The journal of a swarm's core.
    pub fn journal(&self, swarm: [u8; 32]) -> Journal {
        let store = self.clone();
        Journal { store, swarm }
    }

    /// The decided rounds of a swarm.
    pub fn archive(&self, swarm: [u8; 32]) -> Archive {
        self.by_round(ARCHIVE, swarm)
    }

    /// What the decided rounds of a swarm came to: far less than the rounds themselves.
    pub fn results(&self, swarm: [u8; 32]) -> Archive {
        self.by_round(RESULTS, swarm)
    }

    fn by_round(
        &self,
        table: TableDefinition<'static, RoundKey, Bytes>,
        swarm: [u8; 32],
    ) -> Archive {
        let store = self.clone();
        Archive {
            store,
            table,
            swarm,
        }
    }
}

fn check_size<K: redb::Key>(
    table: TableDefinition<'static, K, Bytes>,
    bytes: &[u8],
) -> Result<(), StoreError> {
    if bytes.len() <= MAX_ENTRY {
        return Ok(());
    }
    Err(StoreError::Record {
        table: redb::TableHandle::name(&table).to_owned(),
        reason: format!("it has {} bytes, at most {MAX_ENTRY} are kept", bytes.len()),
    })
}

impl Journal {
    fn keys(&self, first: u64, end: u64) -> std::ops::Range<(&[u8; 32], u64, u64)> {
        (&self.swarm, first, 0)..(&self.swarm, end, 0)
    }

    /// Appends records to a segment, all or none of them. They are on disk with the next signature.
    ///
    /// # Errors
    /// A record of more than [`MAX_ENTRY`] bytes, or the store fails.
    pub fn append(&self, segment: u64, records: &[Vec<u8>]) -> Result<(), StoreError> {
        for record in records {
            check_size(JOURNAL, record)?;
        }
        if records.is_empty() {
            return Ok(());
        }
        self.store.write_soon(|transaction| {
            let mut table = transaction.open_table(JOURNAL)?;
            let next = next_number(&table, &self.swarm, segment)?;
            for (number, record) in (next..).zip(records) {
                table.insert((&self.swarm, segment, number), &record[..])?;
            }
            Ok(())
        })
    }

    /// All records in the order in which they were appended.
    ///
    /// # Errors
    /// The store fails.
    pub fn all(&self) -> Result<Vec<Vec<u8>>, StoreError> {
        self.store.read(|transaction| {
            let table = transaction.open_table(JOURNAL)?;
            let rows = table.range(self.keys(0, u64::MAX))?;
            rows.map(|row| Ok(row?.1.value().to_vec())).collect()
        })
    }

    /// Forgets the segments below one.
    ///
    /// # Errors
    /// The store fails.
    pub fn forget_before(&self, segment: u64) -> Result<(), StoreError> {
        self.store.write_soon(|transaction| {
            let mut table = transaction.open_table(JOURNAL)?;
            table.retain_in(self.keys(0, segment), |_, _| false)?;
            Ok(())
        })
    }

    /// Forgets everything: for a core that begins without what was before.
    ///
    /// # Errors
    /// The store fails.
    pub fn clear(&self) -> Result<(), StoreError> {
        self.forget_before(u64::MAX)
    }
}

/// The number of a segment's next record.
fn next_number(
    table: &Table<'_, JournalKey, Bytes>,
    swarm: &[u8; 32],
    segment: u64,
) -> Result<u64, StorageError> {
    let range = (swarm, segment, 0)..=(swarm, segment, u64::MAX);
    let last = table.range(range)?.next_back().transpose()?;
    let Some((key, _)) = last else { return Ok(0) };
    let next = key.value().2.checked_add(1);
    next.ok_or_else(|| StorageError::Corrupted("a segment without room for a record".into()))
}

impl fmt::Debug for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Archive({})", redb::TableHandle::name(&self.table))
    }
}

impl Archive {
    fn keys(&self, first: u64, end: u64) -> std::ops::Range<(&[u8; 32], u64)> {
        (&self.swarm, first)..(&self.swarm, end)
    }

    /// Keeps a round, in the place of what was kept. It is on disk with the next signature.
    ///
    /// # Errors
    /// A record of more than [`MAX_ENTRY`] bytes, or the store fails.
    pub fn put(&self, round: u64, record: &[u8]) -> Result<(), StoreError> {
        check_size(self.table, record)?;
        self.store.write_soon(|transaction| {
            let mut table = transaction.open_table(self.table)?;
            table.insert((&self.swarm, round), record)?;
            Ok(())
        })
    }

    /// A round.
    ///
    /// # Errors
    /// The store fails.
    pub fn get(&self, round: u64) -> Result<Option<Vec<u8>>, StoreError> {
        self.store.read(|transaction| {
            let table = transaction.open_table(self.table)?;
            let found = table.get((&self.swarm, round))?;
            Ok(found.map(|bytes| bytes.value().to_vec()))
        })
    }

    /// The rounds from `first` on that are there, ascending: at most `rounds`, and no more than
    /// `bytes` together, but for the first one.
    ///
    /// # Errors
    /// The store fails.
    pub fn range(
        &self,
        first: u64,
        rounds: usize,
        bytes: usize,
    ) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        self.store.read(|transaction| {
            let table = transaction.open_table(self.table)?;
            let (mut found, mut sum) = (Vec::new(), 0);
            for row in table.range(self.keys(first, u64::MAX))?.take(rounds) {
                let (key, record) = row?;
                sum += record.value().len();
                if sum > bytes && !found.is_empty() {
                    break;
                }
                found.push((key.value().1, record.value().to_vec()));
            }
            Ok(found)
        })
    }

    /// The first and the last round; `None` if there is none.
    ///
    /// # Errors
    /// The store fails.
    pub fn bounds(&self) -> Result<Option<(u64, u64)>, StoreError> {
        self.store.read(|transaction| {
            let table = transaction.open_table(self.table)?;
            let mut rows = table.range(self.keys(0, u64::MAX))?;
            let Some(first) = rows.next().transpose()? else {
                return Ok(None);
            };
            let first = first.0.value().1;
            let last = rows.next_back().transpose()?;
            Ok(Some((first, last.map_or(first, |(key, _)| key.value().1))))
        })
    }

    /// Forgets the rounds that are `rounds` or more below the last one. Keep at least those that
    /// the journal may name: the undecided ones and what was decided since.
    ///
    /// # Errors
    /// The store fails.
    pub fn prune(&self, rounds: u64) -> Result<(), StoreError> {
        let Some((first, last)) = self.bounds()? else {
            return Ok(());
        };
        let kept = last.saturating_add(1).saturating_sub(rounds);
        if first >= kept {
            return Ok(());
        }
        self.store.write_soon(|transaction| {
            let mut table = transaction.open_table(self.table)?;
            table.retain_in(self.keys(0, kept), |_, _| false)?;
            Ok(())
        })
    }
}

#[cfg(test)]
mod crash;

#[cfg(test)]
mod tests {
    use super::super::open::tests::temporary;
    use super::*;

    fn record(tag: u8) -> Vec<u8> {
        vec![tag; 3]
    }

    #[test]
    fn records_come_back_in_the_order_of_segments() {
        let (folder, store) = temporary();
        let journal = store.journal([1; 32]);
        journal.append(7, &[record(1), record(2)]).unwrap();
        journal.append(300, &[record(4)]).unwrap();
        journal.append(7, &[record(3)]).unwrap();
        journal.append(7, &[]).unwrap();
        store.journal([2; 32]).append(7, &[record(9)]).unwrap();
        let all = [1, 2, 3, 4].map(record);
        assert_eq!(journal.all().unwrap(), all);
        journal.forget_before(8).unwrap();
        assert_eq!(journal.all().unwrap(), [record(4)]);
        let path = store.path().to_owned();
        drop((journal, store));
        let journal = Store::open(&path).unwrap().journal([1; 32]);
        assert_eq!(journal.all().unwrap(), [record(4)]);
        journal.clear().unwrap();
        assert!(journal.all().unwrap().is_empty());
        drop(folder);
    }

    #[test]
    fn an_archive_is_read_in_parts_and_pruned() {
        let (_folder, store) = temporary();
        let archive = store.archive([1; 32]);
        assert_eq!(archive.bounds().unwrap(), None);
        archive.prune(3).unwrap();
        for round in [2, 5, 6, 9] {
            archive.put(round, &record(round as u8)).unwrap();
        }
        store.archive([2; 32]).put(40, &record(0)).unwrap();
        let numbers = |first, rounds, bytes| {
            let found = archive.range(first, rounds, bytes).unwrap();
            found
                .into_iter()
                .map(|(round, _)| round)
                .collect::<Vec<_>>()
        };
        assert_eq!(numbers(3, 9, 9), [5, 6, 9]);
        assert_eq!(numbers(0, 2, 9), [2, 5]);
        assert_eq!(numbers(0, 9, 7), [2, 5]);
        assert_eq!(numbers(0, 9, 0), [2]);
        assert_eq!(archive.get(6).unwrap(), Some(record(6)));
        archive.prune(5).unwrap();
        assert_eq!(
            (archive.bounds().unwrap(), archive.get(2).unwrap()),
            (Some((5, 9)), None)
        );
        assert_eq!(store.archive([2; 32]).bounds().unwrap(), Some((40, 40)));
        assert_eq!(store.results([1; 32]).bounds().unwrap(), None);
    }

    #[test]
    fn records_are_bounded() {
        let (_folder, store) = temporary();
        let large = vec![0; MAX_ENTRY + 1];
        let error = store
            .journal([1; 32])
            .append(0, &[large])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("table journal") && error.contains("at most 67108864"),
            "{error}"
        );
    }
}
