//! What a node keeps on disk, and in which order, so that a process that is killed between any two
//! writes has lost nothing.
//!
//! * [`RoundRecord`], what one decided round came to, is written when it comes, before anything
//!   that counts it is signed. A kill before it: the round is fetched again.
//! * A table that became final is written once. A kill before it: it is computed again from the
//!   rounds, or fetched by its root.
//! * A vote is written when it is counted. A kill before it: its signer sends it again; the node's
//!   own is made again, the same.
//! * [`SumRecord`], epochs added up, is written before their rounds are removed. A kill between:
//!   what the sum covers is not added again.
//! * The position, the cursor with the [`Facts`](super::Facts) that its events led to, is written
//!   whole. A kill before it: the same events are read again.
//!
//! When an epoch is over for good, first the position is written, then the floor of the sign-once
//! table is raised, then rounds, tables and votes below it are removed: whatever part of that is
//! done, a restart does the rest.

use std::collections::BTreeMap;

use contracts::Address;
use serde::{Deserialize, Serialize};
use swarm_identity::digest::Digest32;
use swarm_identity::key::PeerId;
use swarm_round::RoundResult;
use swarm_round::reward::Points;

use super::schedule::EpochNumber;

/// Bytes of one length. A record in which they have another is damaged as a whole, rather than read
/// without them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Vec<u8>", try_from = "Vec<u8>")]
struct Exactly<const N: usize>([u8; N]);

impl<const N: usize> From<Exactly<N>> for Vec<u8> {
    fn from(bytes: Exactly<N>) -> Self {
        bytes.0.to_vec()
    }
}

impl<const N: usize> TryFrom<Vec<u8>> for Exactly<N> {
    type Error = String;

    fn try_from(bytes: Vec<u8>) -> Result<Self, String> {
        bytes
            .try_into()
            .map(Self)
            .map_err(|bytes: Vec<u8>| format!("{} bytes where {N} must be", bytes.len()))
    }
}

/// Epochs that were added up because they are too many to be kept one by one: what the owners of
/// each earned since the last final one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SumRecord {
    /// The first epoch.
    pub since: EpochNumber,
    /// The last epoch.
    pub through: EpochNumber,
    /// Digest over the certificates of their rounds.
    pub certificates: Digest32,
    /// Points of each owner.
    pub owners: BTreeMap<Address, u128>,
}

/// Bytes before the owners, and of an owner with its points.
const SUM_HEAD: usize = 48;
const SUM_ENTRY: usize = 36;

impl SumRecord {
    /// The record as it is kept: numbers big-endian, owners in order.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(SUM_HEAD + SUM_ENTRY * self.owners.len());
        bytes.extend(self.since.to_be_bytes());
        bytes.extend(self.through.to_be_bytes());
        bytes.extend(self.certificates);
        for (owner, points) in &self.owners {
            bytes.extend(owner.as_slice());
            bytes.extend(points.to_be_bytes());
        }
        bytes
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote; `None` for other bytes.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (since, rest) = bytes.split_first_chunk()?;
        let (through, rest) = rest.split_first_chunk()?;
        let (certificates, rest) = rest.split_first_chunk()?;
        let (entries, rest) = rest.as_chunks::<SUM_ENTRY>();
        let read = entries.iter().map(|entry| {
            let (owner, points) = entry.split_first_chunk::<20>()?;
            let points = u128::from_be_bytes(points.try_into().ok()?);
            Some((Address::from(*owner), points))
        });
        let owners: BTreeMap<Address, u128> = read.collect::<Option<_>>()?;
        let record = Self {
            since: u64::from_be_bytes(*since),
            through: u64::from_be_bytes(*through),
            certificates: *certificates,
            owners,
        };
        let is_exact = rest.is_empty() && record.owners.len() == entries.len();
        (is_exact && record.since <= record.through).then_some(record)
    }
}

/// What one decided round came to: the same at every member, whenever it learns of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoundRecord {
    round: u64,
    minutes: Digest32,
    points: Vec<(Exactly<33>, Points)>,
}

impl RoundRecord {
    /// The record of a round that was decided by these minutes.
    pub fn new(round: u64, minutes: Digest32, result: &RoundResult) -> Self {
        let scores = result.scores.iter();
        let points = scores.map(|score| (score.peer, score.rows.total()));
        Self::of_points(round, minutes, points)
    }

    /// The record of a round from its points.
    pub fn of_points(
        round: u64,
        minutes: Digest32,
        points: impl IntoIterator<Item = (PeerId, Points)>,
    ) -> Self {
        let points = points.into_iter();
        Self {
            round,
            minutes,
            points: points
                .map(|(peer, points)| (Exactly(peer.0), points))
                .collect(),
        }
    }

    /// The round.
    pub fn round(&self) -> u64 {
        self.round
    }

    /// Digest of the minutes that decided it.
    pub fn minutes(&self) -> Digest32 {
        self.minutes
    }

    /// Points by peer; a penalty is below zero.
    pub fn points(&self) -> impl Iterator<Item = (PeerId, Points)> {
        self.points
            .iter()
            .map(|(peer, points)| (PeerId(peer.0), *points))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A record whose bytes have no lengths.
    #[derive(Serialize)]
    struct Loose {
        round: u64,
        minutes: Digest32,
        points: Vec<(Vec<u8>, Points)>,
    }

    fn read(bytes_of_peer: usize) -> Result<RoundRecord, String> {
        let loose = Loose {
            round: 3,
            minutes: [9; 32],
            points: vec![(vec![2; bytes_of_peer], 5)],
        };
        let bytes = bincode::serde::encode_to_vec(&loose, bincode::config::standard()).unwrap();
        let read = bincode::serde::decode_from_slice(&bytes, bincode::config::standard());
        read.map(|(record, _)| record)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn sums_are_read_as_they_were_written_or_not_at_all() {
        let owners = (1..5).map(|n| (Address::repeat_byte(n), u128::MAX - u128::from(n)));
        let record = SumRecord {
            since: 3,
            through: 900,
            certificates: [9; 32],
            owners: owners.collect(),
        };
        let bytes = record.to_bytes();
        assert_eq!(SumRecord::from_bytes(&bytes), Some(record.clone()));
        let backwards = SumRecord {
            since: 901,
            ..record
        };
        let repeated = [&bytes[..], &bytes[SUM_HEAD..]].concat();
        for bad in [
            &bytes[..40],
            &bytes[..bytes.len() - 1],
            &repeated,
            &backwards.to_bytes(),
        ] {
            assert_eq!(SumRecord::from_bytes(bad), None);
        }
    }

    #[test]
    fn records_are_read_as_a_whole_or_not_at_all() {
        let record = read(33).unwrap();
        assert_eq!((record.round(), record.minutes()), (3, [9; 32]));
        assert_eq!(record.points().collect::<Vec<_>>(), [(PeerId([2; 33]), 5)]);
        for bytes_of_peer in [0, 32, 34] {
            let error = read(bytes_of_peer).unwrap_err();
            assert!(error.contains("bytes where"), "{error}");
        }
    }
}
