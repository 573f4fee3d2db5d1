//! What members sign about an epoch, and what a claim proves.

use contracts::scores::{Entry, ScoreTable, ScoresError};
use contracts::swarm::Scores;
use contracts::typed;
pub use contracts::typed::Domain;
use contracts::{Address, B256};
use swarm_identity::digest::Digest32;
use swarm_identity::key::PeerId;
use thiserror::Error;

use super::points::EpochPoints;
use super::schedule::EpochNumber;

/// The scores of an epoch in short: the same at every member that saw the same rounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement(Scores);

impl Statement {
    /// The epoch.
    pub fn epoch(&self) -> EpochNumber {
        self.0.epoch
    }

    /// Root of the claims.
    pub fn root(&self) -> Digest32 {
        self.0.root.0
    }

    /// What is signed.
    pub fn digest(&self, domain: &Domain) -> Digest32 {
        domain.scores(&self.0).0
    }

    /// As the contract takes it.
    pub fn scores(&self) -> &Scores {
        &self.0
    }
}

/// A reward with its proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The epoch.
    pub epoch: EpochNumber,
    /// Who earned it.
    pub peer: PeerId,
    /// The address of its node key.
    pub node: Address,
    /// Position in the table.
    pub index: u32,
    /// How much.
    pub points: u128,
    /// Siblings from the leaf to the root.
    pub proof: Vec<B256>,
}

/// Why the points of an epoch make no score table. Every honest member finds the same, so nobody
/// can be paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TableError {
    /// A peer whose name is no key.
    #[error("peer {0} is not a compressed point of secp256k1; remove it from the members")]
    Key(PeerId),
    /// Entries that no table holds.
    #[error(transparent)]
    Scores(#[from] ScoresError),
}

/// A closed epoch, as one member sees it.
#[derive(Debug)]
pub(super) struct Table {
    statement: Statement,
    claim: Option<Claim>,
}

impl Table {
    /// The table of an epoch; `None` if nobody took part in a settled round of it.
    ///
    /// # Errors
    /// [`TableError`].
    pub(super) fn new(
        epoch: EpochNumber,
        me: PeerId,
        points: &EpochPoints,
    ) -> Result<Option<Self>, TableError> {
        let entry = |(peer, points): (PeerId, u64)| {
            let node = typed::address(&peer.0).ok_or(TableError::Key(peer))?;
            Ok(Entry {
                node,
                points: points.into(),
            })
        };
        let entries = points
            .earned()
            .map(entry)
            .collect::<Result<Vec<_>, TableError>>()?;
        if entries.is_empty() {
            return Ok(None);
        }
        let table = ScoreTable::new(epoch, entries)?;
        let scores = Scores {
            epoch,
            root: table.root(),
            members: table.members(),
            points: table.points(),
            transcript: points.transcript().into(),
        };
        Ok(Some(Self {
            statement: Statement(scores),
            claim: claim(&table, me),
        }))
    }

    pub(super) fn statement(&self) -> &Statement {
        &self.statement
    }

    /// This member's reward, if it earned one.
    pub(super) fn claim(&self) -> Option<&Claim> {
        self.claim.as_ref()
    }
}

fn claim(table: &ScoreTable, peer: PeerId) -> Option<Claim> {
    let node = typed::address(&peer.0)?;
    let index = table.index(node)?;
    let points = table.entries().get(index as usize)?.points;
    let claim = Claim {
        epoch: table.epoch(),
        peer,
        node,
        index,
        points,
        proof: table.proof(index),
    };
    (points > 0).then_some(claim)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::testing::key;
    use super::*;

    fn table(points: BTreeMap<PeerId, i64>) -> Result<Option<Table>, TableError> {
        Table::new(
            0,
            key(0).peer(),
            &EpochPoints::restore(points, BTreeMap::from([(0, [1; 32])])),
        )
    }

    #[test]
    fn nobody_is_no_table_and_a_peer_without_a_key_is_an_error() {
        assert!(table(BTreeMap::new()).unwrap().is_none());
        let two = BTreeMap::from([(key(0).peer(), 5), (key(1).peer(), 7)]);
        assert_eq!(
            table(two.clone()).unwrap().unwrap().claim().unwrap().points,
            5
        );
        // SEC1's compact form of a member's key would be a second entry of one node.
        let mut compact = key(1).peer();
        compact.0[0] = 5;
        for stranger in [compact, PeerId([9; 33])] {
            let mut points = two.clone();
            points.insert(stranger, 1);
            assert_eq!(table(points).unwrap_err(), TableError::Key(stranger));
        }
    }
}
