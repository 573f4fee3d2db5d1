//! What is kept on disk about a closed epoch: enough to submit it and to claim after a restart.

use serde::{Deserialize, Serialize};

use super::ballot::Ballot;
use super::draft::Draft;
use crate::round::digest::Digest32;
use crate::round::key::{PeerId, RecoverableBytes};
use crate::round::reward::Points;

/// Bytes of one length. A record in which they have another is damaged as a whole, rather than read without them.
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
        bytes.try_into().map(Self).map_err(|bytes: Vec<u8>| format!("{} bytes where {N} must be", bytes.len()))
    }
}

/// A closed epoch as it lies in a store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    epoch: u64,
    points: Vec<(Exactly<33>, Points)>,
    rounds: Vec<(u64, Digest32)>,
    votes: Vec<(Exactly<33>, Exactly<65>)>,
}

impl Kept {
    /// What is known about an epoch, as it is kept.
    pub(super) fn new(epoch: u64, draft: &Draft, ballot: &Ballot) -> Self {
        Self {
            epoch,
            points: draft.points().iter().map(|(peer, points)| (Exactly(peer.0), *points)).collect(),
            rounds: draft.rounds().iter().map(|(round, digest)| (*round, *digest)).collect(),
            votes: ballot.votes().map(|(peer, signature)| (Exactly(peer.0), Exactly(*signature))).collect(),
        }
    }

    /// The epoch.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The rounds and points.
    pub(super) fn draft(&self) -> Draft {
        let points = self.points.iter().map(|(peer, points)| (PeerId(peer.0), *points));
        Draft::restore(points.collect(), self.rounds.iter().copied().collect())
    }

    /// The signatures; they are checked again before they count.
    pub(super) fn votes(&self) -> impl Iterator<Item = (PeerId, RecoverableBytes)> {
        self.votes.iter().map(|(peer, signature)| (PeerId(peer.0), signature.0))
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
        votes: Vec<(Vec<u8>, Vec<u8>)>,
    }

    fn read(points: usize, voter: usize, signature: usize) -> Result<Kept, String> {
        let votes = vec![(vec![2; voter], vec![7; signature])];
        let loose = Loose { epoch: 3, points: vec![(vec![2; points], 5)], rounds: vec![(1, [9; 32])], votes };
        let bytes = bincode::serde::encode_to_vec(&loose, bincode::config::standard()).unwrap();
        let read = bincode::serde::decode_from_slice(&bytes, bincode::config::standard());
        read.map(|(kept, _)| kept).map_err(|error| error.to_string())
    }

    #[test]
    fn records_are_read_as_a_whole_or_not_at_all() {
        let kept = read(33, 33, 65).unwrap();
        assert_eq!((kept.epoch(), kept.draft().points().len(), kept.votes().count()), (3, 1, 1));
        for (points, voter, signature) in [(32, 33, 65), (33, 0, 65), (33, 33, 64), (33, 33, 66)] {
            let error = read(points, voter, signature).unwrap_err();
            assert!(error.contains("bytes where"), "{error}");
        }
    }
}
