//! The decided rounds that a node keeps: for its own next start, and for peers who missed them.
//!
//! What is too large for an answer is offered by its hash, and the network serves it from here: the
//! [`MAX_OFFERS`] latest offers of rounds stand, and the [`MAX_TABLES`] latest of tables.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use swarm_net::{Blob, BlobId, Blobs};
use swarm_round::clock::Round;
use swarm_store::StoreError;

use super::query::Answer;

/// Records that are offered by hash at a time.
const MAX_OFFERS: usize = 64;
/// Tables that are offered by hash at a time: they lie in memory.
const MAX_TABLES: usize = 2;

/// What is offered.
#[derive(Clone)]
enum Offered {
    /// The record of a round.
    Round(Round),
    /// A table of earnings.
    Table(Arc<Vec<u8>>),
}

type Offers = VecDeque<(BlobId, Offered)>;

/// Decided rounds on disk. Clones are the same archive.
#[derive(Clone)]
pub struct Archive {
    store: swarm_store::Archive,
    /// Names of what is offered.
    offers: Arc<Mutex<Offers>>,
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
        self.serve(&answer, Offered::Round(round));
        answer
    }

    /// The answer to whoever wants this table.
    pub fn offer_table(&self, table: &[u8]) -> Answer {
        let answer = Answer::table(table);
        self.serve(&answer, Offered::Table(Arc::new(table.to_vec())));
        answer
    }

    /// Serves what an answer only names.
    fn serve(&self, answer: &Answer, offered: Offered) {
        if let Answer::Blob { hash, bytes } = *answer {
            let id = BlobId { hash, bytes };
            let mut offers = self.offers();
            offers.retain(|(known, _)| *known != id);
            offers.push_back((id, offered));
            limit(&mut offers);
        }
    }

    fn offers(&self) -> MutexGuard<'_, Offers> {
        // Every change of the queue is whole before the next begins.
        self.offers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Drops the oldest offers beyond the limits.
fn limit(offers: &mut Offers) {
    let is_table = |(_, offered): &(BlobId, Offered)| matches!(offered, Offered::Table(_));
    if offers.iter().filter(|offer| is_table(offer)).count() > MAX_TABLES
        && let Some(oldest) = offers.iter().position(is_table)
    {
        offers.remove(oldest);
    }
    if offers.len() > MAX_OFFERS {
        offers.pop_front();
    }
}

impl Blobs for Archive {
    fn open(&self, id: &BlobId) -> Option<Arc<dyn Blob>> {
        let offers = self.offers();
        let offered = offers.iter().find(|(known, _)| known == id)?.1.clone();
        drop(offers);
        let round = match offered {
            Offered::Round(round) => round,
            Offered::Table(table) => return Some(table),
        };
        let record = self.get(round);
        let record = record
            .inspect_err(|error| tracing::warn!(%error, "the archive cannot be read"))
            .ok()??;
        Some(Arc::new(record))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offers_stand_until_there_are_too_many() {
        let name = |number: u8| BlobId {
            hash: [number; 32],
            bytes: 1,
        };
        let mut offers = Offers::new();
        for number in 0..3 {
            offers.push_back((name(number), Offered::Table(Arc::default())));
            limit(&mut offers);
        }
        assert_eq!(offers.len(), MAX_TABLES);
        assert_eq!(offers[0].0, name(1));
        for number in 3..=255 {
            offers.push_back((name(number), Offered::Round(0)));
            limit(&mut offers);
        }
        assert_eq!(offers.len(), MAX_OFFERS);
    }
}
