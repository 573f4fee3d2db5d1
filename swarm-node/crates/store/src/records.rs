//! Typed records by key: serde values in bincode, limited in bytes and consumed exactly.
//!
//! A record that does not decode is reported by name and skipped alone; the others are read.

use std::borrow::Borrow;
use std::fmt::{self, Debug};
use std::marker::PhantomData;
use std::ops::RangeBounds;

use redb::{Key, ReadableTable, TableDefinition, TableHandle};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::{DamagedRecord, StoreError};
use super::layout::Bytes;
use super::open::Store;

/// Most bytes of a record.
pub const MAX_RECORD: usize = 4 << 20;

/// Records of a range, in the order of their keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan<V> {
    /// Those that decode.
    pub records: Vec<V>,
    /// Those that do not.
    pub damaged: Vec<DamagedRecord>,
}

/// A table of values of one type.
pub struct Records<K: Key + 'static, V> {
    store: Store,
    table: TableDefinition<'static, K, Bytes>,
    values: PhantomData<fn(V) -> V>,
}

impl<K: Key + 'static, V> Debug for Records<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Records({} of {})",
            self.table.name(),
            self.store.path().display()
        )
    }
}

impl<K: Key + 'static, V> Clone for Records<K, V> {
    fn clone(&self) -> Self {
        Self {
            store: self.store.clone(),
            table: self.table,
            values: PhantomData,
        }
    }
}

impl<K: Key + 'static, V: Serialize + DeserializeOwned> Records<K, V> {
    /// A view of a table that the store has created.
    pub(super) fn new(store: Store, table: TableDefinition<'static, K, Bytes>) -> Self {
        Self {
            store,
            table,
            values: PhantomData,
        }
    }

    /// The value of a key.
    ///
    /// # Errors
    /// The store fails, or the record is damaged.
    pub fn get<'k>(&self, key: impl Borrow<K::SelfType<'k>>) -> Result<Option<V>, StoreError> {
        let key = key.borrow();
        let found = self.store.read(|transaction| {
            let table = transaction.open_table(self.table)?;
            Ok(table.get(key)?.map(|bytes| decode(bytes.value())))
        })?;
        Ok(found
            .transpose()
            .map_err(|reason| self.damaged(key, reason))?)
    }

    /// Writes a value, in the place of an older one.
    ///
    /// # Errors
    /// The value is larger than [`MAX_RECORD`], or the store fails.
    pub fn put<'k>(&self, key: impl Borrow<K::SelfType<'k>>, value: &V) -> Result<(), StoreError> {
        let bytes = encode(value).map_err(|reason| StoreError::Record {
            table: self.name(),
            reason,
        })?;
        self.store.write(|transaction| {
            transaction
                .open_table(self.table)?
                .insert(key.borrow(), &bytes[..])?;
            Ok(())
        })
    }

    /// Writes values whose keys have none yet, all or none of them.
    ///
    /// # Errors
    /// A value is larger than [`MAX_RECORD`], or the store fails.
    pub fn put_new<'k, 'v>(
        &self,
        entries: impl IntoIterator<Item = (K::SelfType<'k>, &'v V)>,
    ) -> Result<(), StoreError>
    where
        V: 'v,
    {
        let mut encoded = Vec::new();
        for (key, value) in entries {
            let bytes = encode(value).map_err(|reason| StoreError::Record {
                table: self.name(),
                reason,
            })?;
            encoded.push((key, bytes));
        }
        self.store.write(|transaction| {
            let mut table = transaction.open_table(self.table)?;
            for (key, bytes) in &encoded {
                if table.get(key)?.is_none() {
                    table.insert(key, &bytes[..])?;
                }
            }
            Ok(())
        })
    }

    /// Removes the keys of a range.
    ///
    /// # Errors
    /// The store fails.
    pub fn remove_range<'k, Q: Borrow<K::SelfType<'k>> + 'k>(
        &self,
        range: impl RangeBounds<Q> + 'k,
    ) -> Result<(), StoreError> {
        self.store.write(|transaction| {
            transaction
                .open_table(self.table)?
                .retain_in::<Q, _>(range, |_, _| false)?;
            Ok(())
        })
    }

    /// Removes a key; one that is absent is no error.
    ///
    /// # Errors
    /// The store fails.
    pub fn remove<'k>(&self, key: impl Borrow<K::SelfType<'k>>) -> Result<(), StoreError> {
        self.store.write(|transaction| {
            transaction.open_table(self.table)?.remove(key.borrow())?;
            Ok(())
        })
    }

    /// All values of a range of keys.
    ///
    /// # Errors
    /// The store fails. DamagedRecord records are part of the answer.
    pub fn scan<'k, Q: Borrow<K::SelfType<'k>> + 'k>(
        &self,
        range: impl RangeBounds<Q> + 'k,
    ) -> Result<Scan<V>, StoreError> {
        let mut scan = Scan {
            records: Vec::new(),
            damaged: Vec::new(),
        };
        self.store.read(|transaction| {
            let table = transaction.open_table(self.table)?;
            for entry in table.range::<Q>(range)? {
                let (key, bytes) = entry?;
                match decode(bytes.value()) {
                    Ok(value) => scan.records.push(value),
                    Err(reason) => scan.damaged.push(self.damaged(&key.value(), reason)),
                }
            }
            Ok(())
        })?;
        Ok(scan)
    }

    fn damaged(&self, key: &impl Debug, reason: String) -> DamagedRecord {
        DamagedRecord {
            table: self.name(),
            key: format!("{key:?}"),
            reason,
        }
    }

    fn name(&self) -> String {
        self.table.name().to_owned()
    }
}

fn encode<V: Serialize>(value: &V) -> Result<Vec<u8>, String> {
    let bytes = bincode::serde::encode_to_vec(value, bincode::config::standard())
        .map_err(|error| error.to_string())?;
    match bytes.len() {
        0..=MAX_RECORD => Ok(bytes),
        length => Err(format!(
            "it has {length} bytes, at most {MAX_RECORD} are kept"
        )),
    }
}

fn decode<V: DeserializeOwned>(bytes: &[u8]) -> Result<V, String> {
    let config = bincode::config::standard().with_limit::<MAX_RECORD>();
    let (value, used) =
        bincode::serde::decode_from_slice(bytes, config).map_err(|error| error.to_string())?;
    match bytes.len() - used {
        0 => Ok(value),
        rest => Err(format!("{rest} bytes follow it")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::super::open::tests::temporary;
    use super::*;

    const TABLE: TableDefinition<u64, Bytes> = TableDefinition::new("test");

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    enum Value {
        Nothing,
        Both(u64, Vec<String>),
    }

    fn values() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Nothing),
            any::<(u64, Vec<String>)>().prop_map(|(a, b)| Value::Both(a, b))
        ]
    }

    fn records() -> (tempfile::TempDir, Records<u64, Value>) {
        let (folder, store) = temporary();
        store
            .write(|transaction| Ok(transaction.open_table(TABLE).map(drop)?))
            .unwrap();
        (folder, Records::new(store, TABLE))
    }

    #[test]
    fn records_are_put_replaced_and_removed() {
        let (_folder, records) = records();
        let both = Value::Both(7, vec!["x".into()]);
        assert_eq!(records.get(1).unwrap(), None);
        records.put(1, &Value::Nothing).unwrap();
        records.put(1, &both).unwrap();
        records.put(2, &Value::Nothing).unwrap();
        assert_eq!(records.get(1).unwrap(), Some(both.clone()));
        assert_eq!(
            records.scan::<u64>(..).unwrap().records,
            [both, Value::Nothing]
        );
        records.remove(1).unwrap();
        records.remove(1).unwrap();
        assert_eq!(
            (records.get(1).unwrap(), records.get(2).unwrap()),
            (None, Some(Value::Nothing))
        );
    }

    #[test]
    fn a_damaged_record_is_reported_and_hides_no_other() {
        let (_folder, records) = records();
        (1..=3).for_each(|key| records.put(key, &Value::Nothing).unwrap());
        records
            .store
            .write(|transaction| {
                Ok(transaction
                    .open_table(TABLE)?
                    .insert(2, &[9u8][..])?
                    .map(|_| ()))
            })
            .unwrap();
        let scan = records.scan::<u64>(..).unwrap();
        assert_eq!((scan.records.len(), scan.damaged.len()), (2, 1));
        let error = records.get(2).unwrap_err().to_string();
        assert_eq!(error, scan.damaged[0].to_string());
        assert!(
            error.starts_with("record 2 of table test is damaged")
                && error.contains("restore a copy"),
            "{error}"
        );
    }

    #[test]
    fn large_records_are_refused() {
        let (_folder, records) = records();
        let error = records
            .put(1, &Value::Both(0, vec!["x".repeat(MAX_RECORD)]))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("table test") && error.contains("at most 4194304 are kept"),
            "{error}"
        );
    }

    #[test]
    fn a_claimed_length_costs_nothing() {
        let eighteen_quintillion = [1, 0, 253, 255, 255, 255, 255, 255, 255, 255, 255];
        assert!(decode::<Value>(&eighteen_quintillion).is_err());
    }

    proptest! {
        #[test]
        fn decoding_undoes_encoding_and_consumes_exactly(value in values(), more: u8) {
            let mut bytes = encode(&value).unwrap();
            prop_assert_eq!(decode::<Value>(&bytes), Ok(value));
            bytes.push(more);
            prop_assert_eq!(decode::<Value>(&bytes), Err("1 bytes follow it".into()));
        }

        #[test]
        fn changed_bytes_never_panic(value in values(), place: prop::sample::Index, byte: u8) {
            let mut bytes = encode(&value).unwrap();
            let place = place.index(bytes.len());
            bytes[place] = byte;
            let _ = decode::<Value>(&bytes);
        }
    }
}
