//! How far the events of each contract were read.

use redb::{TableDefinition, WriteTransaction};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::open::Store;
use super::records::{Bytes, Records};
use super::{Chain, StoreError};

/// Chain id, its first block, contract.
type Key = (u64, &'static [u8; 32], &'static [u8; 20]);
const CURSORS: TableDefinition<Key, Bytes> = TableDefinition::new("cursors");

/// Makes the table.
pub(super) fn create(transaction: &WriteTransaction) -> Result<(), redb::Error> {
    transaction.open_table(CURSORS)?;
    Ok(())
}

/// Positions in the events of contracts.
#[derive(Clone, Debug)]
pub struct Cursors<V>(Records<Key, V>);

impl Store {
    /// How far the events of contracts were read; `V` is the position's type.
    pub fn cursors<V: Serialize + DeserializeOwned>(&self) -> Cursors<V> {
        Cursors(Records::new(self.clone(), CURSORS))
    }
}

impl<V: Serialize + DeserializeOwned> Cursors<V> {
    /// The position in a contract's events; `None` if they were never read.
    ///
    /// # Errors
    /// The store fails, or the position is damaged; the events can be read again from the contract's first block.
    pub fn get(&self, chain: &Chain, contract: &[u8; 20]) -> Result<Option<V>, StoreError> {
        self.0.get((chain.id, &chain.genesis, contract))
    }

    /// Keeps a position.
    ///
    /// # Errors
    /// The store fails.
    pub fn put(&self, chain: &Chain, contract: &[u8; 20], position: &V) -> Result<(), StoreError> {
        self.0.put((chain.id, &chain.genesis, contract), position)
    }
}

#[cfg(test)]
mod tests {
    use super::super::open::tests::temporary;
    use super::*;

    #[test]
    fn positions_belong_to_a_chain_and_a_contract() {
        let (_folder, store) = temporary();
        let cursors = store.cursors::<(u64, [u8; 32])>();
        let (chain, other) = (Chain { id: 1, genesis: [1; 32] }, Chain { id: 1, genesis: [2; 32] });
        cursors.put(&chain, &[3; 20], &(7, [8; 32])).unwrap();
        cursors.put(&chain, &[3; 20], &(9, [8; 32])).unwrap();
        assert_eq!(cursors.get(&chain, &[3; 20]).unwrap(), Some((9, [8; 32])));
        assert_eq!(cursors.get(&chain, &[4; 20]).unwrap(), None);
        assert_eq!(cursors.get(&other, &[3; 20]).unwrap(), None);
    }
}
