//! The table of [`swarm_identity`] on disk: what was signed, and the floors.

use redb::{ReadableTable, ReadableTableMetadata, Table, WriteTransaction};
use swarm_identity::digest::Digest32;
use swarm_identity::once::{Place, SignOnce, SignOnceError, judge};

use super::error::StoreError;
use super::layout::{FLOORS, FloorKey, PlaceKey, SIGNED};
use super::open::Store;

/// What the node has signed, on disk.
#[derive(Clone, Debug)]
pub struct SignOnceTable(Store);

impl Store {
    /// What the node has signed.
    pub fn sign_once(&self) -> SignOnceTable {
        SignOnceTable(self.clone())
    }
}

impl SignOnceTable {
    /// True if nothing was ever signed.
    ///
    /// # Errors
    /// The store fails.
    pub fn is_empty(&self) -> Result<bool, StoreError> {
        self.0.read(|transaction| {
            let signed = transaction.open_table(SIGNED)?.is_empty()?;
            Ok(signed && transaction.open_table(FLOORS)?.is_empty()?)
        })
    }
}

impl SignOnce for SignOnceTable {
    fn commit(&self, place: &Place, digest: &Digest32) -> Result<(), SignOnceError> {
        // Reading first spares a write to disk for what is known, and for what is refused.
        let known = |transaction: &redb::ReadTransaction| {
            Ok(decide(
                place,
                digest,
                &transaction.open_table(FLOORS)?,
                &transaction.open_table(SIGNED)?,
            )?)
        };
        match self.0.read(known).map_err(failed)?? {
            true => self
                .0
                .write(|transaction| insert(transaction, place, digest))
                .map_err(failed)?,
            false => Ok(()),
        }
    }

    fn raise_floor(&self, swarm: &Digest32, kind: u8, floor: u64) -> Result<(), SignOnceError> {
        self.0
            .write(|transaction| raise(transaction, swarm, kind, floor))
            .map_err(failed)
    }
}

fn failed(error: StoreError) -> SignOnceError {
    SignOnceError::Table {
        source: Box::new(error),
    }
}

type Verdict<T> = Result<T, SignOnceError>;

fn decide(
    place: &Place,
    digest: &Digest32,
    floors: &impl ReadableTable<FloorKey, u64>,
    signed: &impl ReadableTable<PlaceKey, &'static [u8; 32]>,
) -> Result<Verdict<bool>, redb::StorageError> {
    let floor = floors
        .get((&place.swarm, place.kind))?
        .map_or(0, |floor| floor.value());
    let committed = signed
        .get((&place.swarm, place.kind, place.round, place.slot))?
        .map(|digest| *digest.value());
    Ok(judge(place, digest, floor, committed))
}

/// Decides once more, because another thread may have written since, and commits.
fn insert(
    transaction: &WriteTransaction,
    place: &Place,
    digest: &Digest32,
) -> Result<Verdict<()>, redb::Error> {
    let mut signed = transaction.open_table(SIGNED)?;
    let verdict = decide(place, digest, &transaction.open_table(FLOORS)?, &signed)?;
    if let Ok(true) = verdict {
        signed.insert((&place.swarm, place.kind, place.round, place.slot), digest)?;
    }
    Ok(verdict.map(drop))
}

fn raise(
    transaction: &WriteTransaction,
    swarm: &Digest32,
    kind: u8,
    floor: u64,
) -> Result<(), redb::Error> {
    let mut floors: Table<FloorKey, u64> = transaction.open_table(FLOORS)?;
    let known = floors.get((swarm, kind))?.map_or(0, |floor| floor.value());
    floors.insert((swarm, kind), floor.max(known))?;
    let below = (swarm, kind, 0, 0)..(swarm, kind, floor, 0);
    transaction
        .open_table(SIGNED)?
        .retain_in(below, |_, _| false)?;
    Ok(())
}

#[cfg(test)]
mod crash;

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use proptest::prelude::*;
    use swarm_identity::testing::{check, place, wishes};

    use super::super::open::tests::temporary;
    use super::*;

    #[test]
    fn a_table_knows_whether_anything_was_ever_signed() {
        let (_folder, store) = temporary();
        let table = store.sign_once();
        assert!(table.is_empty().unwrap());
        table.commit(&place(1, 1, 5, 1), &[7; 32]).unwrap();
        assert!(!table.is_empty().unwrap());
        // What was forgotten was signed, too.
        table.raise_floor(&[1; 32], 1, 9).unwrap();
        assert!(!table.is_empty().unwrap());
    }

    #[test]
    fn a_restart_forgets_nothing() {
        let (folder, store) = temporary();
        let path = store.path().to_owned();
        store
            .sign_once()
            .commit(&place(1, 1, 5, 1), &[7; 32])
            .unwrap();
        store.sign_once().raise_floor(&[1; 32], 2, 9).unwrap();
        drop(store);
        let table = Store::open(&path).unwrap().sign_once();
        table.commit(&place(1, 1, 5, 1), &[7; 32]).unwrap();
        let conflict = table.commit(&place(1, 1, 5, 1), &[8; 32]).unwrap_err();
        assert!(matches!(
            conflict,
            SignOnceError::Conflict {
                committed: [7, ..],
                refused: [8, ..],
                ..
            }
        ));
        let forgotten = table.commit(&place(1, 2, 8, 1), &[7; 32]).unwrap_err();
        assert!(matches!(
            forgotten,
            SignOnceError::Forgotten { floor: 9, .. }
        ));
        drop(folder);
    }

    #[test]
    fn forgotten_places_take_no_space() {
        let (_folder, store) = temporary();
        let table = store.sign_once();
        let raised = (0..40).try_for_each(|round| {
            table.commit(&place(1, 1, round, 0), &[1; 32])?;
            table.commit(&place(1, 2, round, 0), &[1; 32])?;
            table.raise_floor(&[1; 32], 1, round.saturating_sub(2))
        });
        raised.unwrap();
        let rows = store
            .read(|transaction| Ok(transaction.open_table(SIGNED)?.iter()?.count()))
            .unwrap();
        assert_eq!(rows, 3 + 40);
    }

    #[test]
    fn of_two_threads_one_wins() {
        let (_folder, store) = temporary();
        let (table, gate) = (store.sign_once(), Barrier::new(2));
        for slot in 0..20 {
            let race = |digest| {
                gate.wait();
                table.commit(&place(1, 1, 1, slot), &[digest; 32]).is_ok()
            };
            let (a, b) = std::thread::scope(|scope| {
                let other = scope.spawn(|| race(2));
                (race(1), other.join().unwrap())
            });
            assert!(a != b, "slot {slot}: {a} {b}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
        #[test]
        fn no_place_gets_a_second_digest(wishes in wishes()) {
            let (_folder, store) = temporary();
            check(&store.sign_once(), &wishes);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4, ..ProptestConfig::default() })]
        #[test]
        fn nor_with_a_restart_after_every_wish(wishes in wishes()) {
            let (_folder, store) = temporary();
            let path = store.path().to_owned();
            drop(store);
            check(&Reopened(path), &wishes);
        }
    }

    /// A table that is closed after every call.
    struct Reopened(std::path::PathBuf);

    impl SignOnce for Reopened {
        fn commit(&self, place: &Place, digest: &Digest32) -> Result<(), SignOnceError> {
            Store::open(&self.0)
                .unwrap()
                .sign_once()
                .commit(place, digest)
        }

        fn raise_floor(&self, swarm: &Digest32, kind: u8, floor: u64) -> Result<(), SignOnceError> {
            Store::open(&self.0)
                .unwrap()
                .sign_once()
                .raise_floor(swarm, kind, floor)
        }
    }
}
