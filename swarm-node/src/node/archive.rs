//! The decided rounds that a node keeps: for its own next start, and for peers who missed them.
//!
//! A record that is too large for an answer is offered by its hash, and the network serves it from
//! here; the [`MAX_OFFERS`] latest offers stand.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use swarm_net::{Blob, BlobId, Blobs};
use swarm_round::clock::Round;
use swarm_store::StoreError;

use super::query::Answer;

/// Records that are offered by hash at a time.
const MAX_OFFERS: usize = 64;

/// Decided rounds on disk. Clones are the same archive.
#[derive(Clone)]
pub struct Archive {
    store: swarm_store::Archive,
    /// Names of the records that are offered, with their rounds.
    offers: Arc<Mutex<VecDeque<(BlobId, Round)>>>,
}

impl Archive {
    /// The archive of a store.
    pub fn new(store: swarm_store::Archive) -> Self {
        Self {
            store,
            offers: Arc::default(),
        }
    }

    /// The record of a round.
    ///
    /// # Errors
    /// The store fails.
    pub fn get(&self, round: Round) -> Result<Option<Vec<u8>>, StoreError> {
        self.store.get(round)
    }

    /// The first and the last round that are kept.
    ///
    /// # Errors
    /// The store fails.
    pub fn bounds(&self) -> Result<Option<(Round, Round)>, StoreError> {
        self.store.bounds()
    }

    /// Keeps the record of a round; it is on disk once the next signature is.
    ///
    /// # Errors
    /// The store fails.
    pub fn put(&self, round: Round, record: &[u8]) -> Result<(), StoreError> {
        self.store.put(round, record)
    }

    /// Forgets all but the newest rounds.
    ///
    /// # Errors
    /// The store fails.
    pub fn prune(&self, keep: u64) -> Result<(), StoreError> {
        self.store.prune(keep)
    }

    /// The answer to whoever wants the round with this record.
    pub fn offer(&self, round: Round, record: &[u8]) -> Answer {
        let answer = Answer::record(record);
        if let Answer::Blob { hash, bytes } = answer {
            let id = BlobId { hash, bytes };
            let mut offers = self.offers.lock().unwrap_or_else(PoisonError::into_inner);
            offers.retain(|(known, _)| *known != id);
            offers.push_back((id, round));
            if offers.len() > MAX_OFFERS {
                offers.pop_front();
            }
        }
        answer
    }
}

impl Blobs for Archive {
    fn open(&self, id: &BlobId) -> Option<Arc<dyn Blob>> {
        let round = {
            let offers = self.offers.lock().unwrap_or_else(PoisonError::into_inner);
            offers.iter().find(|(known, _)| known == id)?.1
        };
        let record = self.get(round);
        let record = record
            .inspect_err(|error| tracing::warn!(%error, "the archive cannot be read"))
            .ok()??;
        Some(Arc::new(record))
    }
}
