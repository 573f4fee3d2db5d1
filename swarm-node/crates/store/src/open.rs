//! The file: opening, its layout's version, and transactions.

use std::fs::OpenOptions;
use std::path::Path;
use std::sync::Arc;

use redb::{Database, Durability, ReadTransaction, ReadableDatabase, WriteTransaction};
use swarm_files::whole;

use super::error::{OpenError, StoreError};
use super::layout::{self, META, SCHEMA, SCHEMA_KEY, TABLE_COUNT};

/// The node's store; clones share one file.
#[derive(Clone, Debug)]
pub struct Store {
    database: Arc<Database>,
    path: Arc<Path>,
    created: bool,
}

impl Store {
    /// Opens the file, or creates it with mode 0600.
    ///
    /// # Errors
    /// In use, of a newer layout, damaged, or the system refuses; no record is changed then.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let (database, created) = open_caught(path).map_err(|error| OpenError::new(path, error))?;
        let found = prepare(&database).map_err(|error| OpenError::new(path, error))?;
        let path: Arc<Path> = path.into();
        match found {
            SCHEMA => Ok(Self {
                database: Arc::new(database),
                path,
                created,
            }),
            older if older < SCHEMA => Err(OpenError::Older {
                path: path.to_path_buf(),
                found: older,
            }),
            newer => Err(OpenError::Newer {
                path: path.to_path_buf(),
                found: newer,
            }),
        }
    }

    /// True if [`Store::open`] made the file. With a key that is older than its store, see
    /// [`swarm_identity`].
    pub fn is_new(&self) -> bool {
        self.created
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Does `work` on one consistent state.
    pub(super) fn read<R>(
        &self,
        work: impl FnOnce(&ReadTransaction) -> Result<R, redb::Error>,
    ) -> Result<R, StoreError> {
        let transaction = self.database.begin_read().map_err(redb::Error::from);
        transaction
            .and_then(|transaction| work(&transaction))
            .map_err(|error| self.failed(error))
    }

    /// Does `work` wholly or, if it fails, not at all; it is on disk when this returns.
    pub(super) fn write<R>(
        &self,
        work: impl FnOnce(&WriteTransaction) -> Result<R, redb::Error>,
    ) -> Result<R, StoreError> {
        commit(&self.database, Durability::Immediate, work).map_err(|error| self.failed(error))
    }

    /// Does `work` wholly or, if it fails, not at all; it is on disk with the next
    /// [`Store::write`].
    pub(super) fn write_soon<R>(
        &self,
        work: impl FnOnce(&WriteTransaction) -> Result<R, redb::Error>,
    ) -> Result<R, StoreError> {
        commit(&self.database, Durability::None, work).map_err(|error| self.failed(error))
    }

    fn failed(&self, error: redb::Error) -> StoreError {
        StoreError::access(&self.path, error)
    }
}

/// A transaction that is dropped without a commit changes nothing.
fn commit<R>(
    database: &Database,
    durability: Durability,
    work: impl FnOnce(&WriteTransaction) -> Result<R, redb::Error>,
) -> Result<R, redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(durability)?;
    let result = work(&transaction)?;
    transaction.commit()?;
    Ok(result)
}

/// redb panics on some damaged files; here they are an error like the others.
fn open_caught(path: &Path) -> Result<(Database, bool), redb::Error> {
    std::panic::catch_unwind(|| open_file(path)).unwrap_or_else(|_| {
        Err(redb::Error::Corrupted(
            "its pages contradict each other".into(),
        ))
    })
}

fn open_file(path: &Path) -> Result<(Database, bool), redb::Error> {
    let created = !path.try_exists()?;
    let folder = whole::folder_of(path);
    std::fs::create_dir_all(folder)?;
    let file = options().open(path)?;
    let mut database = Database::builder().create_file(file)?;
    // A flipped bit could turn a digest that was signed into another one; redb compares check sums
    // only when asked.
    if !database.check_integrity()? {
        return Err(redb::Error::Corrupted("its check sums do not match".into()));
    }
    if created {
        whole::sync_folder(folder)?;
    }
    Ok((database, created))
}

#[cfg(unix)]
fn options() -> OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600);
    options
}

#[cfg(not(unix))]
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    options
}

/// The layout of a file; an empty one gets this program's, in one transaction with all tables.
fn prepare(database: &Database) -> Result<u64, redb::Error> {
    let found = version(database)?;
    let tables = database.begin_read()?.list_tables()?.count();
    // A file of this layout may be from before a table was added.
    if found.is_none() || found == Some(SCHEMA) && tables < TABLE_COUNT {
        commit(database, Durability::Immediate, layout::create)?;
    }
    Ok(found.unwrap_or(SCHEMA))
}

/// `None` for a file without tables. Tables without a version are somebody else's.
fn version(database: &Database) -> Result<Option<u64>, redb::Error> {
    let transaction = database.begin_read()?;
    if transaction.list_tables()?.next().is_none() {
        return Ok(None);
    }
    let meta = transaction.open_table(META)?;
    let version = meta.get(SCHEMA_KEY)?.map(|version| version.value());
    version
        .map(Some)
        .ok_or(redb::Error::Corrupted("it states no layout".into()))
}

#[cfg(test)]
pub(super) mod tests {
    use std::path::PathBuf;

    use redb::TableDefinition;
    use swarm_identity::SignOnce;
    use swarm_identity::testing::place;

    use super::super::layout::JOURNAL;
    use super::*;

    /// A store that ends with the test.
    pub(crate) fn temporary() -> (tempfile::TempDir, Store) {
        let (folder, path) = at();
        let store = Store::open(&path).unwrap();
        (folder, store)
    }

    fn at() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data/node.redb");
        (folder, path)
    }

    fn error_at(path: &Path) -> String {
        Store::open(path).unwrap_err().to_string()
    }

    #[test]
    fn a_store_is_made_once_for_its_owner() {
        let (_folder, path) = at();
        assert!(Store::open(&path).unwrap().is_new());
        assert!(!Store::open(&path).unwrap().is_new());
        assert_eq!(
            swarm_files::private::exposed_mode(&std::fs::File::open(&path).unwrap()).unwrap(),
            None
        );
    }

    #[test]
    fn a_second_holder_is_refused() {
        let (_folder, path) = at();
        let _first = Store::open(&path).unwrap();
        let error = error_at(&path);
        assert!(
            error.contains("node.redb is in use by another process; stop that one"),
            "{error}"
        );
    }

    #[test]
    fn other_layouts_are_not_touched() {
        for (layout, words) in [
            (
                9,
                "has layout 9, this program knows layouts up to 3; use the newer program",
            ),
            (1, "has layout 1, from before the first release"),
        ] {
            let (_folder, path) = at();
            let store = Store::open(&path).unwrap();
            store
                .write(|transaction| {
                    Ok(transaction
                        .open_table(META)?
                        .insert(SCHEMA_KEY, layout)?
                        .map(|_| ()))
                })
                .unwrap();
            drop(store);
            let before = std::fs::read(&path).unwrap();
            let error = error_at(&path);
            assert!(error.contains(words), "{error}");
            assert_eq!(std::fs::read(&path).unwrap().len(), before.len());
        }
    }

    #[test]
    fn other_files_are_refused_and_kept() {
        let (_folder, path) = at();
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        for content in [&b"not a database"[..], &[0; 5000]] {
            std::fs::write(&path, content).unwrap();
            let error = error_at(&path);
            assert!(
                error.contains("node.redb is not a node's store, or is damaged"),
                "{error}"
            );
            assert!(error.contains("restore a copy"), "{error}");
            assert_eq!(std::fs::read(&path).unwrap(), content);
        }
        assert!(error_at(path.parent().unwrap()).contains("check free space and permissions"));
    }

    #[test]
    fn a_table_that_was_added_later_is_made() {
        let (_folder, path) = at();
        let store = Store::open(&path).unwrap();
        let remove = |transaction: &WriteTransaction| Ok(transaction.delete_table(JOURNAL)?);
        assert!(store.write(remove).unwrap());
        drop(store);
        let journal = Store::open(&path).unwrap().journal([1; 32]);
        assert!(journal.all().unwrap().is_empty());
    }

    #[test]
    fn somebody_elses_tables_are_refused() {
        let (_folder, path) = at();
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let other = Database::create(&path).unwrap();
        commit(&other, Durability::Immediate, |transaction| {
            Ok(transaction
                .open_table(TableDefinition::<u8, u8>::new("other"))
                .map(drop)?)
        })
        .unwrap();
        drop(other);
        assert!(error_at(&path).contains("is not a node's store"));
    }

    #[test]
    fn a_failed_write_leaves_nothing() {
        let (_folder, store) = temporary();
        let failed = store.write(|transaction| {
            transaction.open_table(META)?.insert("half", 1)?;
            Err::<(), _>(redb::Error::Corrupted("made up".into()))
        });
        assert!(
            failed
                .unwrap_err()
                .to_string()
                .contains("made up; check free space and the disk")
        );
        let half =
            store.read(|transaction| Ok(transaction.open_table(META)?.get("half")?.is_some()));
        assert!(!half.unwrap());
    }

    /// Every flipped bit is found when the file is opened, or lies where no record is.
    #[test]
    fn a_flipped_bit_never_changes_a_record() {
        let (_folder, path) = at();
        let place = |slot| place(1, 1, 0, slot);
        let table = Store::open(&path).unwrap().sign_once();
        (0..100).for_each(|slot| table.commit(&place(slot), &[7; 32]).unwrap());
        drop(table);
        let (whole, mut refused) = (std::fs::read(&path).unwrap(), 0);
        for bit in (0..8 * whole.len()).step_by(12_347) {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, bytes).unwrap();
            match Store::open(&path) {
                Ok(store) => (0..100)
                    .for_each(|slot| store.sign_once().commit(&place(slot), &[7; 32]).unwrap()),
                Err(error) => refused += usize::from(error.to_string().contains("or is damaged")),
            }
        }
        assert!(refused > 0);
    }
}
