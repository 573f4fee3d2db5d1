//! Transactions of an account, kept for its writer until they are final.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::StoreError;
use super::layout::{Chain, INTENTS, IntentKey};
use super::open::Store;
use super::records::{Records, Scan};

/// Greater than every id: ids are printable ASCII.
const LAST: &str = "\u{7f}";

/// The transactions of one account on one chain, by id.
#[derive(Clone, Debug)]
pub struct Intents<V> {
    records: Records<IntentKey, V>,
    chain: Chain,
    account: [u8; 20],
}

impl Store {
    /// The transactions of an account.
    pub fn intents<V: Serialize + DeserializeOwned>(
        &self,
        chain: Chain,
        account: [u8; 20],
    ) -> Intents<V> {
        Intents {
            records: Records::new(self.clone(), INTENTS),
            chain,
            account,
        }
    }
}

impl<V: Serialize + DeserializeOwned> Intents<V> {
    fn key<'k>(&'k self, id: &'k str) -> (u64, &'k [u8; 32], &'k [u8; 20], &'k str) {
        (self.chain.id, &self.chain.genesis, &self.account, id)
    }

    /// All of them, in the order of their ids.
    ///
    /// # Errors
    /// The store fails.
    pub fn all(&self) -> Result<Scan<V>, StoreError> {
        self.records.scan(self.key("")..=self.key(LAST))
    }

    /// Writes one, in the place of an older one. Its id is printable ASCII.
    ///
    /// # Errors
    /// It is too large, or the store fails.
    pub fn put(&self, id: &str, value: &V) -> Result<(), StoreError> {
        self.records.put(self.key(id), value)
    }

    /// Removes one, if it is there.
    ///
    /// # Errors
    /// The store fails.
    pub fn remove(&self, id: &str) -> Result<(), StoreError> {
        self.records.remove(self.key(id))
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

    #[test]
    fn accounts_and_chains_are_apart() {
        let (_folder, store) = temporary();
        let of = |chain, account| store.intents::<u64>(chain, [account; 20]);
        let other = Chain {
            genesis: [9; 32],
            ..CHAIN
        };
        of(CHAIN, 2).put("~", &1).unwrap();
        assert_eq!(of(CHAIN, 2).all().unwrap().records, [1]);
        assert_eq!(of(CHAIN, 3).all().unwrap().records, [0u64; 0]);
        assert_eq!(of(other, 2).all().unwrap().records, [0u64; 0]);
    }
}
