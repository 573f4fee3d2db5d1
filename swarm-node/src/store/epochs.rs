//! What the node keeps about each epoch of a contract, such as the score table and the attestations it has seen.

use redb::{TableDefinition, WriteTransaction};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::open::Store;
use super::records::{Bytes, Records, Scan};
use super::{Chain, StoreError};

/// Chain id, its first block, contract, epoch.
type Key = (u64, &'static [u8; 32], &'static [u8; 20], u64);
const EPOCHS: TableDefinition<Key, Bytes> = TableDefinition::new("epochs");

/// Makes the table.
pub(super) fn create(transaction: &WriteTransaction) -> Result<(), redb::Error> {
    transaction.open_table(EPOCHS)?;
    Ok(())
}

/// One record per epoch of one contract.
#[derive(Clone, Debug)]
pub struct Epochs<V> {
    records: Records<Key, V>,
    chain: Chain,
    contract: [u8; 20],
}

impl Store {
    /// The epochs of a contract; `V` is what is kept about one.
    pub fn epochs<V: Serialize + DeserializeOwned>(&self, chain: Chain, contract: [u8; 20]) -> Epochs<V> {
        Epochs { records: Records::new(self.clone(), EPOCHS), chain, contract }
    }
}

impl<V: Serialize + DeserializeOwned> Epochs<V> {
    fn key(&self, epoch: u64) -> (u64, &[u8; 32], &[u8; 20], u64) {
        (self.chain.id, &self.chain.genesis, &self.contract, epoch)
    }

    /// What is kept about an epoch.
    ///
    /// # Errors
    /// The store fails, or the record is damaged.
    pub fn get(&self, epoch: u64) -> Result<Option<V>, StoreError> {
        self.records.get(self.key(epoch))
    }

    /// Keeps something about an epoch, in the place of what was kept.
    ///
    /// # Errors
    /// It is too large, or the store fails.
    pub fn put(&self, epoch: u64, value: &V) -> Result<(), StoreError> {
        self.records.put(self.key(epoch), value)
    }

    /// What is kept about all epochs, in their order.
    ///
    /// # Errors
    /// The store fails; damaged records are part of the answer.
    pub fn all(&self) -> Result<Scan<V>, StoreError> {
        self.records.scan(self.key(0)..=self.key(u64::MAX))
    }

    /// Forgets the epochs below one.
    ///
    /// # Errors
    /// The store fails.
    pub fn forget_before(&self, epoch: u64) -> Result<(), StoreError> {
        self.records.remove_range(self.key(0)..self.key(epoch))
    }
}

#[cfg(test)]
mod tests {
    use super::super::open::tests::temporary;
    use super::*;

    #[test]
    fn epochs_belong_to_a_contract_and_are_forgotten_in_order() {
        let (_folder, store) = temporary();
        let chain = Chain { id: 31_337, genesis: [1; 32] };
        let (mine, other) = (store.epochs::<String>(chain, [2; 20]), store.epochs::<String>(chain, [3; 20]));
        [5, 300, u64::MAX].into_iter().for_each(|epoch| mine.put(epoch, &epoch.to_string()).unwrap());
        other.put(5, &"other".into()).unwrap();
        assert_eq!(mine.get(300).unwrap().as_deref(), Some("300"));
        assert_eq!(mine.all().unwrap().records, ["5", "300", &u64::MAX.to_string()]);
        mine.forget_before(301).unwrap();
        assert_eq!(mine.all().unwrap().records, [u64::MAX.to_string()]);
        assert_eq!(other.all().unwrap().records, ["other"]);
    }
}
