//! What is kept on disk about a closed epoch: enough to submit it and to claim after a restart.

use serde::{Deserialize, Serialize};

use super::ballot::Ballot;
use super::draft::Draft;
use crate::round::digest::Digest32;
use crate::round::key::{PeerId, RecoverableBytes};
use crate::round::reward::Points;

/// A closed epoch as it lies in a store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    epoch: u64,
    points: Vec<(Vec<u8>, Points)>,
    rounds: Vec<(u64, Digest32)>,
    votes: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Kept {
    /// What is known about an epoch, as it is kept.
    pub(super) fn new(epoch: u64, draft: &Draft, ballot: &Ballot) -> Self {
        Self {
            epoch,
            points: draft.points().iter().map(|(peer, points)| (peer.0.to_vec(), *points)).collect(),
            rounds: draft.rounds().iter().map(|(round, digest)| (*round, *digest)).collect(),
            votes: ballot.votes().map(|(peer, signature)| (peer.0.to_vec(), signature.to_vec())).collect(),
        }
    }

    /// The epoch.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The rounds and points.
    pub(super) fn draft(&self) -> Draft {
        let points = self.points.iter().filter_map(|(peer, points)| Some((peer_id(peer)?, *points)));
        Draft::restore(points.collect(), self.rounds.iter().copied().collect())
    }

    /// The signatures; they are checked again before they count.
    pub(super) fn votes(&self) -> impl Iterator<Item = (PeerId, RecoverableBytes)> {
        self.votes.iter().filter_map(|(peer, signature)| Some((peer_id(peer)?, signature.as_slice().try_into().ok()?)))
    }
}

fn peer_id(bytes: &[u8]) -> Option<PeerId> {
    bytes.try_into().ok().map(PeerId)
}
