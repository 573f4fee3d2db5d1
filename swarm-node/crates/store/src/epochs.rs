//! What the node keeps about each epoch of a contract: one record, such as its score table, and the
//! members' votes.
//!
//! A vote is a row of its own of fixed size, so that one more costs one more, whatever the number
//! of members.

use redb::ReadableTable;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::StoreError;
use super::layout::{Chain, EPOCHS, EpochKey, SIGNATURE, VOTER, VOTES};
use super::open::Store;
use super::records::{Records, Scan};

/// Who voted, and the signature.
pub type Vote = ([u8; VOTER], [u8; SIGNATURE]);

/// One record per epoch of one contract, and its votes.
#[derive(Clone, Debug)]
pub struct Epochs<V> {
    store: Store,
    records: Records<EpochKey, V>,
    chain: Chain,
    contract: [u8; 20],
}

impl Store {
    /// The epochs of a contract; `V` is what is kept about one.
    pub fn epochs<V: Serialize + DeserializeOwned>(
        &self,
        chain: Chain,
        contract: [u8; 20],
    ) -> Epochs<V> {
        Epochs {
            store: self.clone(),
            records: Records::new(self.clone(), EPOCHS),
            chain,
            contract,
        }
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

    /// Keeps votes of an epoch beside those that are kept; the first of a voter counts.
    ///
    /// # Errors
    /// The store fails; then none of them is kept.
    pub fn put_votes(&self, epoch: u64, votes: &[Vote]) -> Result<(), StoreError> {
        self.store.write(|transaction| {
            let mut table = transaction.open_table(VOTES)?;
            for (voter, signature) in votes {
                let key = self.vote_key(epoch, voter);
                if table.get(key)?.is_none() {
                    table.insert(key, signature)?;
                }
            }
            Ok(())
        })
    }

    /// The votes of an epoch, in the order of the voters' keys.
    ///
    /// # Errors
    /// The store fails.
    pub fn votes(&self, epoch: u64) -> Result<Vec<Vote>, StoreError> {
        let (first, last) = ([0; VOTER], [u8::MAX; VOTER]);
        self.store.read(|transaction| {
            let table = transaction.open_table(VOTES)?;
            let mut votes = Vec::new();
            for entry in table.range(self.vote_key(epoch, &first)..=self.vote_key(epoch, &last))? {
                let (key, signature) = entry?;
                votes.push((*key.value().4, *signature.value()));
            }
            Ok(votes)
        })
    }

    /// Forgets an epoch and its votes.
    ///
    /// # Errors
    /// The store fails.
    pub fn forget(&self, epoch: u64) -> Result<(), StoreError> {
        self.remove(epoch, epoch)
    }

    /// Forgets the epochs below one and their votes.
    ///
    /// # Errors
    /// The store fails.
    pub fn forget_before(&self, epoch: u64) -> Result<(), StoreError> {
        epoch
            .checked_sub(1)
            .map_or(Ok(()), |last| self.remove(0, last))
    }

    /// Removes what is kept about the epochs from `first` to `last`, in one transaction.
    fn remove(&self, first: u64, last: u64) -> Result<(), StoreError> {
        let (lowest, highest) = ([0; VOTER], [u8::MAX; VOTER]);
        let votes = self.vote_key(first, &lowest)..=self.vote_key(last, &highest);
        self.store.write(|transaction| {
            transaction
                .open_table(VOTES)?
                .retain_in(votes, |_, _| false)?;
            transaction
                .open_table(EPOCHS)?
                .retain_in(self.key(first)..=self.key(last), |_, _| false)?;
            Ok(())
        })
    }

    fn vote_key<'k>(
        &'k self,
        epoch: u64,
        voter: &'k [u8; VOTER],
    ) -> (u64, &'k [u8; 32], &'k [u8; 20], u64, &'k [u8; VOTER]) {
        (
            self.chain.id,
            &self.chain.genesis,
            &self.contract,
            epoch,
            voter,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::open::tests::temporary;
    use super::*;

    #[test]
    fn epochs_belong_to_a_contract_and_are_forgotten_in_order() {
        let (_folder, store) = temporary();
        let chain = Chain {
            id: 31_337,
            genesis: [1; 32],
        };
        let (mine, other) = (
            store.epochs::<String>(chain, [2; 20]),
            store.epochs::<String>(chain, [3; 20]),
        );
        [5, 300, u64::MAX]
            .into_iter()
            .for_each(|epoch| mine.put(epoch, &epoch.to_string()).unwrap());
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
        mine.forget(u64::MAX).unwrap();
        assert!(mine.all().unwrap().records.is_empty());
    }

    #[test]
    fn votes_are_added_one_by_one_and_go_with_their_epoch() {
        let (_folder, store) = temporary();
        let chain = Chain {
            id: 31_337,
            genesis: [1; 32],
        };
        let (mine, other) = (
            store.epochs::<u8>(chain, [2; 20]),
            store.epochs::<u8>(chain, [3; 20]),
        );
        let vote = |voter: u8, signature: u8| ([voter; VOTER], [signature; SIGNATURE]);
        mine.put_votes(7, &[vote(2, 2), vote(255, 9)]).unwrap();
        mine.put_votes(7, &[vote(0, 1), vote(2, 8)]).unwrap();
        mine.put_votes(8, &[vote(2, 3)]).unwrap();
        other.put_votes(7, &[vote(2, 4)]).unwrap();
        assert_eq!(
            mine.votes(7).unwrap(),
            [vote(0, 1), vote(2, 2), vote(255, 9)],
            "the first of a voter counts"
        );
        mine.forget(7).unwrap();
        assert_eq!(
            (mine.votes(7).unwrap(), mine.votes(8).unwrap()),
            (vec![], vec![vote(2, 3)])
        );
        mine.forget_before(9).unwrap();
        assert_eq!(
            (mine.votes(8).unwrap(), other.votes(7).unwrap()),
            (vec![], vec![vote(2, 4)])
        );
    }
}
