//! What was signed, by place: one digest for each, for ever.
//!
//! ```text
//! round of the place     < floor   │ ≥ floor
//! nothing committed      refused   │ committed, may be signed
//! the same digest        refused   │ may be signed again
//! another digest         refused   │ refused
//! ```
//! The floor of a swarm and kind only rises; with it the table forgets the rounds below and stays
//! small.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use thiserror::Error;

use crate::digest::{Digest32, hex};

/// Kind of signatures over the outcome of epochs, where `round` is the last epoch and `slot` the
/// number of epochs before it that the outcome covers, too; kinds of messages are lower.
pub const EPOCH_OUTCOME: u8 = 129;
/// Kind of signatures against one proposed outcome of epochs, with `round` and `slot` alike.
pub const EPOCH_REFUSAL: u8 = 130;
/// Kind of signatures over what a step of a pipeline came to: `swarm` is the job, `round` the step,
/// `slot` the signer's stage.
pub const PIPELINE_STEP: u8 = 131;
/// Kind of signatures over who is admitted to a pipeline that runs: `round` is the number of the
/// term, `slot` that of the new member.
pub const PIPELINE_ADMISSION: u8 = 136;
/// Kind of signatures over what a replica contributes to a round of an averaging job: `swarm` is
/// the job.
pub const AVERAGING_OFFER: u8 = 132;
/// Kind of signatures over what such a round came to at a replica.
pub const AVERAGING_ROUND: u8 = 133;
/// Kind of signatures over who takes part in an averaging job: `round` is the roster's number.
pub const AVERAGING_ROSTER: u8 = 134;

/// Kind of signatures over what a worker claims of a step of a job on a chain: `swarm` is the job
/// of a contract, `round` the step.
pub const STEP_CLAIM: u8 = 135;

/// Where a signature belongs: a node signs at most one digest for each place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The swarm.
    pub swarm: Digest32,
    /// A message's kind on the wire, or one of this module's constants.
    pub kind: u8,
    /// The round, or the epoch.
    pub round: u64,
    /// The slot that the message is about.
    pub slot: u16,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "kind {}, round {}, slot {} of swarm {}",
            self.kind,
            self.round,
            self.slot,
            hex(&self.swarm)
        )
    }
}

/// Why nothing may be signed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SignOnceError {
    /// Another digest was committed for the place.
    #[error(
        "{place}: {} is committed, so {} is not signed: both together would be equivocation; skip \
         this message",
        hex(.committed),
        hex(.refused)
    )]
    Conflict {
        /// The place.
        place: Place,
        /// What may be signed.
        committed: Digest32,
        /// What was asked for.
        refused: Digest32,
    },
    /// The table has forgotten what was signed there.
    #[error(
        "{place}: rounds below {floor} are over and nothing is signed for them; skip this message"
    )]
    Forgotten {
        /// The place.
        place: Place,
        /// The lowest round that is signed.
        floor: u64,
    },
    /// The table cannot be read or written.
    #[error("{source}; nothing was signed")]
    Table {
        /// What it says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// A table of what was signed.
pub trait SignOnce: Send + Sync {
    /// Commits a digest for its place. It is durable when this returns, and may then be signed.
    ///
    /// # Errors
    /// Every [`SignOnceError`]; nothing may be signed then.
    fn commit(&self, place: &Place, digest: &Digest32) -> Result<(), SignOnceError>;

    /// Forgets all rounds below `floor` and refuses them from here on; a floor that is lower than
    /// before has no effect.
    ///
    /// # Errors
    /// [`SignOnceError::Table`].
    fn raise_floor(&self, swarm: &Digest32, kind: u8, floor: u64) -> Result<(), SignOnceError>;
}

impl<T: SignOnce + ?Sized> SignOnce for Arc<T> {
    fn commit(&self, place: &Place, digest: &Digest32) -> Result<(), SignOnceError> {
        (**self).commit(place, digest)
    }

    fn raise_floor(&self, swarm: &Digest32, kind: u8, floor: u64) -> Result<(), SignOnceError> {
        (**self).raise_floor(swarm, kind, floor)
    }
}

/// Decides about a digest from what a table holds: `Ok(true)` if it must be committed, `Ok(false)`
/// if it is.
pub fn judge(
    place: &Place,
    digest: &Digest32,
    floor: u64,
    committed: Option<Digest32>,
) -> Result<bool, SignOnceError> {
    if place.round < floor {
        return Err(SignOnceError::Forgotten {
            place: *place,
            floor,
        });
    }
    match committed {
        None => Ok(true),
        Some(committed) if committed == *digest => Ok(false),
        Some(committed) => Err(SignOnceError::Conflict {
            place: *place,
            committed,
            refused: *digest,
        }),
    }
}

/// A table that ends with the process: for simulations.
#[derive(Debug, Default)]
pub struct MemoryTable(Mutex<Tables>);

#[derive(Debug, Default)]
struct Tables {
    signed: BTreeMap<Place, Digest32>,
    floors: BTreeMap<(Digest32, u8), u64>,
}

impl MemoryTable {
    fn lock(&self) -> std::sync::MutexGuard<'_, Tables> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SignOnce for MemoryTable {
    fn commit(&self, place: &Place, digest: &Digest32) -> Result<(), SignOnceError> {
        let mut tables = self.lock();
        let floor = tables
            .floors
            .get(&(place.swarm, place.kind))
            .copied()
            .unwrap_or_default();
        if judge(place, digest, floor, tables.signed.get(place).copied())? {
            tables.signed.insert(*place, *digest);
        }
        Ok(())
    }

    fn raise_floor(&self, swarm: &Digest32, kind: u8, floor: u64) -> Result<(), SignOnceError> {
        let mut tables = self.lock();
        let known = tables.floors.entry((*swarm, kind)).or_default();
        *known = floor.max(*known);
        tables
            .signed
            .retain(|place, _| (place.swarm, place.kind) != (*swarm, kind) || place.round >= floor);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{check, place, wishes};

    proptest! {
        #[test]
        fn no_place_gets_a_second_digest(wishes in wishes()) {
            check(&MemoryTable::default(), &wishes);
        }
    }

    #[test]
    fn errors_name_both_digests_and_the_floor() {
        let (table, place) = (Arc::new(MemoryTable::default()), place(1, 7, 5, 3));
        table.commit(&place, &[0xaa; 32]).unwrap();
        let error = table.commit(&place, &[0xbb; 32]).unwrap_err().to_string();
        let named = [
            "kind 7, round 5, slot 3",
            &"aa".repeat(32),
            &"bb".repeat(32),
            "skip this message",
        ];
        assert!(named.iter().all(|part| error.contains(part)), "{error}");
        table.raise_floor(&place.swarm, 7, 6).unwrap();
        let error = table.commit(&place, &[0xaa; 32]).unwrap_err().to_string();
        assert!(error.contains("rounds below 6 are over"), "{error}");
    }

    #[test]
    fn forgotten_places_take_no_memory() {
        let table = MemoryTable::default();
        (0..100).for_each(|round| table.commit(&place(1, 1, round, 0), &[1; 32]).unwrap());
        table.raise_floor(&[1; 32], 1, 98).unwrap();
        assert_eq!(table.lock().signed.len(), 2);
    }
}
