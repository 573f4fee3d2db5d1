//! What the node keeps about the settlement of a contract: decided rounds, sums of epochs, final
//! tables, and the owners' votes.

use redb::TableDefinition;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::StoreError;
use super::layout::{Bytes, Chain, NumberKey, OWNER, ROUNDS, SUMS, TABLES, VOTES, VoteKey};
use super::open::Store;
use super::pieces::Pieces;
use super::records::{Records, Scan};

/// One record for each number, such as a round, of one contract.
#[derive(Clone, Debug)]
pub struct Numbered<V> {
    records: Records<NumberKey, V>,
    chain: Chain,
    contract: [u8; 20],
}

/// Whose vote it is: the first and the last epoch that it is about, and the owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VotePlace {
    /// The last epoch.
    pub epoch: u64,
    /// The first epoch.
    pub since: u64,
    /// The owner.
    pub owner: [u8; OWNER],
}

/// Votes on the outcomes of one contract, one for each place.
#[derive(Clone, Debug)]
pub struct Votes<V> {
    records: Records<VoteKey, V>,
    chain: Chain,
    contract: [u8; 20],
}

impl Store {
    /// The decided rounds of a contract's swarm; `V` is what is kept about one.
    pub fn rounds<V: Serialize + DeserializeOwned>(
        &self,
        chain: Chain,
        contract: [u8; 20],
    ) -> Numbered<V> {
        self.numbered(ROUNDS, chain, contract)
    }

    /// The final tables of a contract, by their last epochs.
    pub fn tables(&self, chain: Chain, contract: [u8; 20]) -> Pieces {
        Pieces::new(self.clone(), TABLES, chain, contract)
    }

    /// Sums of epochs of a contract that were added up, by their first epochs.
    pub fn sums(&self, chain: Chain, contract: [u8; 20]) -> Pieces {
        Pieces::new(self.clone(), SUMS, chain, contract)
    }

    fn numbered<V: Serialize + DeserializeOwned>(
        &self,
        table: TableDefinition<'static, NumberKey, Bytes>,
        chain: Chain,
        contract: [u8; 20],
    ) -> Numbered<V> {
        Numbered {
            records: Records::new(self.clone(), table),
            chain,
            contract,
        }
    }

    /// The votes on a contract's outcomes.
    pub fn votes<V: Serialize + DeserializeOwned>(
        &self,
        chain: Chain,
        contract: [u8; 20],
    ) -> Votes<V> {
        Votes {
            records: Records::new(self.clone(), VOTES),
            chain,
            contract,
        }
    }
}

impl<V: Serialize + DeserializeOwned> Numbered<V> {
    fn key(&self, number: u64) -> (u64, &[u8; 32], &[u8; 20], u64) {
        (self.chain.id, &self.chain.genesis, &self.contract, number)
    }

    /// What is kept about a number.
    ///
    /// # Errors
    /// The store fails, or the record is damaged.
    pub fn get(&self, number: u64) -> Result<Option<V>, StoreError> {
        self.records.get(self.key(number))
    }

    /// Keeps something about a number, in the place of what was kept.
    ///
    /// # Errors
    /// It is too large, or the store fails.
    pub fn put(&self, number: u64, value: &V) -> Result<(), StoreError> {
        self.records.put(self.key(number), value)
    }

    /// What is kept about all numbers, in their order.
    ///
    /// # Errors
    /// The store fails; damaged records are part of the answer.
    pub fn all(&self) -> Result<Scan<V>, StoreError> {
        self.records.scan(self.key(0)..=self.key(u64::MAX))
    }

    /// Forgets the numbers below one.
    ///
    /// # Errors
    /// The store fails.
    pub fn forget_before(&self, number: u64) -> Result<(), StoreError> {
        self.records.remove_range(self.key(0)..self.key(number))
    }
}

impl<V: Serialize + DeserializeOwned> Votes<V> {
    fn key<'k>(
        &'k self,
        place: &'k VotePlace,
    ) -> (u64, &'k [u8; 32], &'k [u8; 20], u64, u64, &'k [u8; OWNER]) {
        (
            self.chain.id,
            &self.chain.genesis,
            &self.contract,
            place.epoch,
            place.since,
            &place.owner,
        )
    }

    /// Keeps votes beside those that are kept; the first of a place stays.
    ///
    /// # Errors
    /// The store fails; then none of them is kept.
    pub fn put(&self, votes: &[(VotePlace, V)]) -> Result<(), StoreError> {
        let entries = votes.iter().map(|(place, vote)| (self.key(place), vote));
        self.records.put_new(entries)
    }

    /// All votes, in the order of their places.
    ///
    /// # Errors
    /// The store fails; damaged records are part of the answer.
    pub fn all(&self) -> Result<Scan<V>, StoreError> {
        let first = VotePlace {
            epoch: 0,
            since: 0,
            owner: [0; OWNER],
        };
        let last = VotePlace {
            epoch: u64::MAX,
            since: u64::MAX,
            owner: [u8::MAX; OWNER],
        };
        self.records.scan(self.key(&first)..=self.key(&last))
    }

    /// Forgets votes on outcomes whose last epoch is below this one.
    ///
    /// # Errors
    /// The store fails.
    pub fn forget_before(&self, epoch: u64) -> Result<(), StoreError> {
        let [first, end] = [0, epoch].map(|epoch| VotePlace {
            epoch,
            since: 0,
            owner: [0; OWNER],
        });
        self.records.remove_range(self.key(&first)..self.key(&end))
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
    fn records_belong_to_a_contract_and_are_forgotten_in_order() {
        let (_folder, store) = temporary();
        let (mine, other) = (
            store.rounds::<String>(CHAIN, [2; 20]),
            store.rounds::<String>(CHAIN, [3; 20]),
        );
        [5, 300, u64::MAX]
            .into_iter()
            .for_each(|round| mine.put(round, &round.to_string()).unwrap());
        other.put(5, &"other".into()).unwrap();
        assert_eq!(mine.get(300).unwrap().as_deref(), Some("300"));
        assert_eq!(
            mine.all().unwrap().records,
            ["5", "300", &u64::MAX.to_string()]
        );
        mine.forget_before(0).unwrap();
        mine.forget_before(301).unwrap();
        assert_eq!(mine.all().unwrap().records, [u64::MAX.to_string()]);
        assert_eq!(other.all().unwrap().records, ["other"]);
    }

    #[test]
    fn the_first_vote_of_a_place_stays_and_goes_with_its_epoch() {
        let (_folder, store) = temporary();
        let votes = store.votes::<u8>(CHAIN, [2; 20]);
        let place = |epoch, since, owner| VotePlace {
            epoch,
            since,
            owner: [owner; OWNER],
        };
        votes
            .put(&[(place(7, 6, 2), 1), (place(7, 7, 2), 2)])
            .unwrap();
        votes
            .put(&[(place(7, 6, 2), 9), (place(8, 7, 255), 3)])
            .unwrap();
        store
            .votes::<u8>(CHAIN, [3; 20])
            .put(&[(place(7, 6, 2), 4)])
            .unwrap();
        assert_eq!(votes.all().unwrap().records, [1, 2, 3]);
        votes.forget_before(8).unwrap();
        assert_eq!(votes.all().unwrap().records, [3]);
        assert_eq!(
            store.votes::<u8>(CHAIN, [3; 20]).all().unwrap().records,
            [4]
        );
    }
}
