//! What members sign about an epoch, and what a claim proves.

use contracts::scores::{Entry, ScoreTable};
use contracts::swarm::Scores;
use contracts::typed;
use contracts::{Address, B256};

pub use contracts::typed::Domain;

use super::draft::Draft;
use super::schedule::EpochNumber;
use crate::round::digest::Digest32;
use crate::round::key::PeerId;

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

/// A closed epoch, as one member sees it.
#[derive(Debug)]
pub(super) struct Table {
    statement: Statement,
    claim: Option<Claim>,
}

impl Table {
    /// The table of an epoch; `None` if nobody took part in a settled round of it.
    pub(super) fn new(epoch: EpochNumber, me: PeerId, draft: &Draft) -> Option<Self> {
        let entry =
            |(peer, points): (PeerId, u64)| Some(Entry { node: typed::address(&peer.0)?, points: points.into() });
        let table = ScoreTable::new(epoch, draft.earned().filter_map(entry)).ok()?;
        let (root, members, points) = (table.root(), table.members(), table.points());
        let scores = Scores { epoch, root, members, points, transcript: draft.transcript().into() };
        Some(Self { statement: Statement(scores), claim: claim(&table, me) })
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
    let claim = Claim { epoch: table.epoch(), peer, node, index, points, proof: table.proof(index) };
    (points > 0).then_some(claim)
}
