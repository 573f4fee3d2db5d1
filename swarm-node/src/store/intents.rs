//! Transactions of an account, kept for the writer until they are final.

use contracts::writer::{IntentId, IntentStore, Record, StoreError};
use redb::{TableDefinition, WriteTransaction};

use super::Chain;
use super::open::Store;
use super::records::{Bytes, Records};

/// Chain id, its first block, account, identifier.
type Key = (u64, &'static [u8; 32], &'static [u8; 20], &'static str);
const INTENTS: TableDefinition<Key, Bytes> = TableDefinition::new("intents");
/// Above every identifier: these are visible ASCII.
const LAST: &str = "\u{7f}";

/// Makes the table.
pub(super) fn create(transaction: &WriteTransaction) -> Result<(), redb::Error> {
    transaction.open_table(INTENTS)?;
    Ok(())
}

/// The transactions of one account on one chain.
#[derive(Clone, Debug)]
pub struct Intents {
    records: Records<Key, Record>,
    chain: Chain,
    account: [u8; 20],
}

impl Store {
    /// The transactions of an account on a chain.
    pub fn intents(&self, chain: Chain, account: [u8; 20]) -> Intents {
        Intents {
            records: Records::new(self.clone(), INTENTS),
            chain,
            account,
        }
    }
}

impl Intents {
    fn key<'k>(&'k self, id: &'k str) -> (u64, &'k [u8; 32], &'k [u8; 20], &'k str) {
        (self.chain.id, &self.chain.genesis, &self.account, id)
    }
}

impl IntentStore for Intents {
    /// A damaged record is an error here: a transaction that is forgotten could be sent twice.
    fn load(&self) -> Result<Vec<Record>, StoreError> {
        let scan = self
            .records
            .scan(self.key("")..=self.key(LAST))
            .map_err(StoreError::new)?;
        match scan.damaged.first() {
            Some(damaged) => Err(StoreError::new(damaged)),
            None => Ok(scan.records),
        }
    }

    fn put(&self, record: &Record) -> Result<(), StoreError> {
        self.records
            .put(self.key(record.intent.id.as_str()), record)
            .map_err(StoreError::new)
    }

    fn remove(&self, id: &IntentId) -> Result<(), StoreError> {
        self.records
            .remove(self.key(id.as_str()))
            .map_err(StoreError::new)
    }
}

#[cfg(test)]
mod tests {
    use contracts::writer::{Attempt, Fees, Intent, Sent, State};
    use proptest::prelude::*;

    use super::super::open::tests::temporary;
    use super::*;

    const CHAIN: Chain = Chain {
        id: 31_337,
        genesis: [1; 32],
    };

    fn record(id: &str, sequence: u64, state: State) -> Record {
        Record {
            sequence,
            intent: Intent::create(IntentId::new(id).unwrap(), vec![1, 2, 3]),
            state,
        }
    }

    fn sent(nonce: u64, raw: Vec<u8>) -> State {
        let fees = Fees {
            max: u128::MAX,
            tip: 1,
        };
        State::Sent(Sent {
            nonce,
            gas: 6,
            attempts: vec![Attempt {
                hash: [7; 32].into(),
                raw: raw.into(),
                fees,
                at: 4,
            }],
        })
    }

    #[test]
    fn records_survive_a_restart() {
        let (folder, store) = temporary();
        let path = store.path().to_owned();
        let intents = store.intents(CHAIN, [2; 20]);
        let (queued, gone) = (
            record("claim/1", 1, State::Queued),
            record("claim/2", 2, State::Queued),
        );
        let moved = record("claim/1", 1, sent(5, vec![9; 300]));
        [&queued, &gone, &moved]
            .into_iter()
            .for_each(|record| intents.put(record).unwrap());
        intents.remove(&gone.intent.id).unwrap();
        intents.remove(&gone.intent.id).unwrap();
        drop((store, intents));
        let intents = Store::open(&path).unwrap().intents(CHAIN, [2; 20]);
        assert_eq!(intents.load().unwrap(), [moved]);
        drop(folder);
    }

    #[test]
    fn accounts_and_chains_are_apart() {
        let (_folder, store) = temporary();
        store
            .intents(CHAIN, [2; 20])
            .put(&record("~", 1, State::Queued))
            .unwrap();
        assert_eq!(store.intents(CHAIN, [2; 20]).load().unwrap().len(), 1);
        assert_eq!(store.intents(CHAIN, [3; 20]).load().unwrap(), []);
        assert_eq!(
            store
                .intents(
                    Chain {
                        genesis: [9; 32],
                        ..CHAIN
                    },
                    [2; 20]
                )
                .load()
                .unwrap(),
            []
        );
    }

    #[test]
    fn a_damaged_record_stops_the_writer_and_is_named() {
        let (_folder, store) = temporary();
        let intents = store.intents(CHAIN, [2; 20]);
        intents.put(&record("good", 1, State::Queued)).unwrap();
        let damage = |transaction: &WriteTransaction| {
            transaction
                .open_table(INTENTS)?
                .insert(intents.key("bad"), &[255u8; 3][..])?;
            Ok(())
        };
        store.write(damage).unwrap();
        let error = intents.load().unwrap_err().to_string();
        assert!(
            error.contains("\"bad\") of table intents is damaged"),
            "{error}"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]
        #[test]
        fn every_record_comes_back(id in "[!-v]{1,128}", sequence: u64, nonce: u64, raw: Vec<u8>) {
            let (_folder, store) = temporary();
            let intents = store.intents(CHAIN, [2; 20]);
            let record = record(&id, sequence, sent(nonce, raw));
            intents.put(&record).unwrap();
            prop_assert_eq!(intents.load().unwrap(), [record]);
        }
    }
}
