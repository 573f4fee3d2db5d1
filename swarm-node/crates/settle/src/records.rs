//! What a node keeps on disk, and in which order, so that a process that is killed between any two
//! writes has lost nothing.
//!
//! * [`EpochRecord`], an epoch's points and rounds, is written once, before the epoch's table is
//!   signed. A kill before it: nothing was signed.
//! * A vote is written once, before scores are submitted with it. A kill before it: its signer
//!   sends it again; the node's own signature is made again, the same.
//! * [`Position`], the cursor with what its events led to, is written whole. A kill before it: the
//!   same events are read again.
//!
//! When an epoch is over for good, first the position is written, then the floor of the sign-once
//! table is raised, then its records are removed: whatever part of that is done, a restart does the
//! rest.

use contracts::cursor::Cursor;
use serde::{Deserialize, Serialize};
use swarm_identity::digest::Digest32;
use swarm_identity::key::PeerId;
use swarm_round::reward::Points;
use swarm_store::{Cursors, Epochs};

use super::facts::Facts;
use super::points::EpochPoints;

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

/// The tables of a node's store in which settlement keeps what it must not forget.
#[derive(Clone, Debug)]
pub struct SettleStore {
    /// Closed epochs and their votes.
    pub epochs: Epochs<EpochRecord>,
    /// How far the contract's events were read.
    pub position: Cursors<Position>,
}

/// How far the contract's events were read, and what they led to: one value, so that neither is
/// ahead of the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The events that were read.
    pub cursor: Cursor,
    /// What they say.
    pub facts: Facts,
    /// The greatest block time that was seen, in seconds.
    pub latest: u64,
}

/// A closed epoch as it lies in the store, without its votes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochRecord {
    epoch: u64,
    points: Vec<(Exactly<33>, Points)>,
    rounds: Vec<(u64, Digest32)>,
}

impl EpochRecord {
    /// The record of an epoch that has ended.
    pub(super) fn new(epoch: u64, points: &EpochPoints) -> Self {
        Self {
            epoch,
            points: points
                .points()
                .iter()
                .map(|(peer, points)| (Exactly(peer.0), *points))
                .collect(),
            rounds: points
                .rounds()
                .iter()
                .map(|(round, digest)| (*round, *digest))
                .collect(),
        }
    }

    /// The epoch.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The rounds and points.
    pub(super) fn points(&self) -> EpochPoints {
        let points = self
            .points
            .iter()
            .map(|(peer, points)| (PeerId(peer.0), *points));
        EpochPoints::restore(points.collect(), self.rounds.iter().copied().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A record as it lay in a store before its bytes had lengths.
    #[derive(Serialize)]
    struct Loose {
        epoch: u64,
        points: Vec<(Vec<u8>, Points)>,
        rounds: Vec<(u64, Digest32)>,
    }

    fn read(points: usize) -> Result<EpochRecord, String> {
        let loose = Loose {
            epoch: 3,
            points: vec![(vec![2; points], 5)],
            rounds: vec![(1, [9; 32])],
        };
        let bytes = bincode::serde::encode_to_vec(&loose, bincode::config::standard()).unwrap();
        let read = bincode::serde::decode_from_slice(&bytes, bincode::config::standard());
        read.map(|(record, _)| record)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn records_are_read_as_a_whole_or_not_at_all() {
        let record = read(33).unwrap();
        assert_eq!((record.epoch(), record.points().points().len()), (3, 1));
        for points in [0, 32, 34] {
            let error = read(points).unwrap_err();
            assert!(error.contains("bytes where"), "{error}");
        }
    }
}
