//! The writer's transactions in the node's store.

use contracts::writer::{IntentId, IntentStore, Record, StoreError};
use swarm_store::{Chain, Intents, Store};

/// The transactions of one account on one chain, on disk.
#[derive(Clone, Debug)]
pub struct StoredIntents(Intents<Record>);

impl StoredIntents {
    /// The transactions of an account in a store.
    pub fn new(store: &Store, chain: Chain, account: [u8; 20]) -> Self {
        Self(store.intents(chain, account))
    }
}

impl IntentStore for StoredIntents {
    fn load(&self) -> Result<Vec<Record>, StoreError> {
        let scan = self.0.all().map_err(StoreError::new)?;
        // A writer that forgot one transaction could spend its nonce twice, so it does not start.
        match scan.damaged.first() {
            Some(damaged) => Err(StoreError::new(damaged)),
            None => Ok(scan.records),
        }
    }

    fn put(&self, record: &Record) -> Result<(), StoreError> {
        let id = record.intent.id.as_str();
        self.0.put(id, record).map_err(StoreError::new)
    }

    fn remove(&self, id: &IntentId) -> Result<(), StoreError> {
        self.0.remove(id.as_str()).map_err(StoreError::new)
    }
}

#[cfg(test)]
mod tests {
    use contracts::writer::{Attempt, Fees, Intent, Sent, State};
    use proptest::prelude::*;
    use swarm_store::Store;

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

    fn opened() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("node.redb")).unwrap();
        (folder, store)
    }

    #[test]
    fn records_survive_a_restart() {
        let (_folder, store) = opened();
        let path = store.path().to_owned();
        let intents = StoredIntents::new(&store, CHAIN, [2; 20]);
        let queued = record("claim/1", 1, State::Queued);
        let gone = record("claim/2", 2, State::Queued);
        let moved = record("claim/1", 1, sent(5, vec![9; 300]));
        for record in [&queued, &gone, &moved] {
            intents.put(record).unwrap();
        }
        intents.remove(&gone.intent.id).unwrap();
        intents.remove(&gone.intent.id).unwrap();
        drop((store, intents));
        let store = Store::open(&path).unwrap();
        let intents = StoredIntents::new(&store, CHAIN, [2; 20]);
        assert_eq!(intents.load().unwrap(), [moved]);
    }

    #[test]
    fn a_damaged_record_stops_the_writer_and_is_named() {
        let (_folder, store) = opened();
        let intents = StoredIntents::new(&store, CHAIN, [2; 20]);
        intents.put(&record("good", 1, State::Queued)).unwrap();
        let damaged = store.intents::<u8>(CHAIN, [2; 20]);
        damaged.put("bad", &255).unwrap();
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
            let (_folder, store) = opened();
            let intents = StoredIntents::new(&store, CHAIN, [2; 20]);
            let record = record(&id, sequence, sent(nonce, raw));
            intents.put(&record).unwrap();
            prop_assert_eq!(intents.load().unwrap(), [record]);
        }
    }
}
