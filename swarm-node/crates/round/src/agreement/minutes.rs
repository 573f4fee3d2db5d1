//! Minutes: what the members agree on. Everything that counts in a round follows from them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use swarm_identity::digest::{Digest32, Hasher};
use swarm_identity::key::PeerId;

use super::place::{MessagePlace, Places};
use super::receipt::{ReceiptName, Receipts};
use super::voters::Voters;
use crate::clock::Round;
use crate::codec::{self, bounded_list};
use crate::membership::{MAX_MEMBERS, MemberIndex};
use crate::transcript::RoundPlan;

/// Most places that minutes may strike; a round with more contradictions strikes these first.
pub const MAX_STRUCK: usize = 1024;

/// Which receipts count, which places were contradicted, and what follows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Minutes {
    /// The round.
    pub round: Round,
    /// The receipts, ascending by member.
    #[serde(deserialize_with = "bounded_list::<_, _, MAX_MEMBERS>")]
    pub receipts: Vec<(MemberIndex, ReceiptName)>,
    /// Places at which a member signed two different messages, ascending. They do not count.
    #[serde(deserialize_with = "bounded_list::<_, _, MAX_STRUCK>")]
    pub struck: Vec<MessagePlace>,
    /// Digest of the transcript: of everything that counts.
    pub transcript: Digest32,
}

impl Minutes {
    /// What is voted on.
    ///
    /// # Panics
    /// Never: minutes have an encoding.
    #[expect(clippy::expect_used, reason = "minutes have an encoding")]
    pub fn digest(&self) -> Digest32 {
        let bytes = codec::canonical(self).expect("invariant: minutes have an encoding");
        Hasher::new("minutes").bytes(&bytes).finish()
    }

    /// True if the lists are in order and name members and places of the round.
    pub fn is_well_formed(&self, plan: &RoundPlan, places: &Places) -> bool {
        let known = |(member, _): &(MemberIndex, _)| usize::from(*member) < plan.members.len();
        self.round == plan.round
            && self.receipts.is_sorted_by(|a, b| a.0 < b.0)
            && self.receipts.iter().all(known)
            && self.struck.is_sorted_by(|a, b| a < b)
            && self
                .struck
                .iter()
                .all(|place| places.position(plan, *place).is_some())
    }

    /// True if the member's receipt is in.
    pub fn names(&self, member: MemberIndex) -> bool {
        self.receipts
            .binary_search_by_key(&member, |(member, _)| *member)
            .is_ok()
    }

    /// The receipts that are not known yet.
    pub fn unknown(&self, receipts: &Receipts) -> Vec<(MemberIndex, ReceiptName)> {
        let missing =
            |(member, name): &&(MemberIndex, ReceiptName)| receipts.get(*member, name).is_none();
        self.receipts.iter().filter(missing).copied().collect()
    }
}

/// The hellos that receipts of more than half of the weight show, with their topics.
pub fn counted_hellos(
    named: &[(MemberIndex, ReceiptName)],
    receipts: &Receipts,
    voters: &Voters,
    places: usize,
) -> BTreeMap<PeerId, u64> {
    let mut weights: BTreeMap<(PeerId, u64), u64> = BTreeMap::new();
    for (member, name) in named {
        let weight = voters.weight(*member);
        let signed = receipts.get(*member, name).filter(|_| weight > 0);
        let hellos = signed.and_then(|signed| signed.receipt.hellos(places));
        for hello in hellos.into_iter().flatten() {
            *weights.entry(hello).or_insert(0) += weight;
        }
    }
    let shown = weights.into_iter();
    shown
        .filter(|(_, weight)| voters.is_majority(*weight))
        .map(|(hello, _)| hello)
        .collect()
}

/// The places that receipts of more than half of the weight show, less those that are struck.
pub fn counted(
    named: &[(MemberIndex, ReceiptName)],
    struck: &[MessagePlace],
    receipts: &Receipts,
    voters: &Voters,
    plan: &RoundPlan,
    places: &Places,
) -> BTreeSet<MessagePlace> {
    let mut weights = vec![0; places.len()];
    for (member, name) in named {
        let weight = voters.weight(*member);
        if let Some(signed) = receipts.get(*member, name).filter(|_| weight > 0) {
            signed
                .receipt
                .held(places.len())
                .for_each(|position| weights[position] += weight);
        }
    }
    let shown = places.all(plan).zip(weights);
    shown
        .filter(|(place, weight)| {
            voters.is_majority(*weight) && struck.binary_search(place).is_err()
        })
        .map(|(place, _)| place)
        .collect()
}
