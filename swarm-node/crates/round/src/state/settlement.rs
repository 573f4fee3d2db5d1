//! What the members of a round attested.

use std::collections::BTreeMap;

use swarm_identity::digest::Digest32;

use crate::clock::Round;
use crate::message_log::MessageLog;

/// How a round ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// The round.
    pub round: Round,
    /// The digest that members with more than two thirds of the stake attest, if any.
    pub digest: Option<Digest32>,
    /// True if it is this node's own result.
    pub agrees: bool,
    /// Stake behind the most attested digest.
    pub stake: u64,
    /// Stake of all members.
    pub total: u64,
}

impl Settlement {
    /// Counts the attestations of a round for a node whose own result has the digest `own`.
    pub(super) fn new(log: &MessageLog, own: &Digest32) -> Self {
        let members = &log.plan().members;
        let mut stakes: BTreeMap<Digest32, u64> = BTreeMap::new();
        for (member, digest) in log.attests() {
            *stakes.entry(*digest).or_default() += members[*member].stake;
        }
        let most = stakes.into_iter().max_by_key(|(_, stake)| *stake);
        let stake = most.map_or(0, |(_, stake)| stake);
        let total = members.total_stake();
        let settled = u128::from(stake) * 3 > u128::from(total) * 2;
        let digest = most.map(|(digest, _)| digest).filter(|_| settled);
        Self {
            round: log.plan().round,
            digest,
            agrees: digest == Some(*own),
            stake,
            total,
        }
    }
}
