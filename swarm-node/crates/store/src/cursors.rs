//! How far the events of a contract were read.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::StoreError;
use super::layout::{CURSORS, Chain, CursorKey};
use super::open::Store;
use super::records::Records;

/// The position in the events of one contract.
#[derive(Clone, Debug)]
pub struct Cursors<V> {
    records: Records<CursorKey, V>,
    chain: Chain,
    contract: [u8; 20],
}

impl Store {
    /// How far the events of a contract were read; `V` is the position's type.
    pub fn cursors<V: Serialize + DeserializeOwned>(
        &self,
        chain: Chain,
        contract: [u8; 20],
    ) -> Cursors<V> {
        Cursors {
            records: Records::new(self.clone(), CURSORS),
            chain,
            contract,
        }
    }
}

impl<V: Serialize + DeserializeOwned> Cursors<V> {
    fn key(&self) -> (u64, &[u8; 32], &[u8; 20]) {
        (self.chain.id, &self.chain.genesis, &self.contract)
    }

    /// The position; `None` if the events were never read.
    ///
    /// # Errors
    /// The store fails, or the position is damaged; the events can be read again from the
    /// contract's first block.
    pub fn get(&self) -> Result<Option<V>, StoreError> {
        self.records.get(self.key())
    }

    /// Keeps a position, in the place of the one before.
    ///
    /// # Errors
    /// It is too large, or the store fails.
    pub fn put(&self, position: &V) -> Result<(), StoreError> {
        self.records.put(self.key(), position)
    }
}

#[cfg(test)]
mod tests {
    use super::super::open::tests::temporary;
    use super::*;

    #[test]
    fn positions_belong_to_a_chain_and_a_contract() {
        let (_folder, store) = temporary();
        let (chain, other) = (
            Chain {
                id: 1,
                genesis: [1; 32],
            },
            Chain {
                id: 1,
                genesis: [2; 32],
            },
        );
        let of = |chain, contract| store.cursors::<(u64, [u8; 32])>(chain, [contract; 20]);
        of(chain, 3).put(&(7, [8; 32])).unwrap();
        of(chain, 3).put(&(9, [8; 32])).unwrap();
        assert_eq!(of(chain, 3).get().unwrap(), Some((9, [8; 32])));
        assert_eq!(of(chain, 4).get().unwrap(), None);
        assert_eq!(of(other, 3).get().unwrap(), None);
    }
}
