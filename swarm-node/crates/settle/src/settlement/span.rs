//! The epochs that one outcome covers.

use std::fmt;

use contracts::outcome::Outcome;
use contracts::typed::Domain;
use serde::{Deserialize, Serialize};
use swarm_identity::digest::{Digest32, Hasher};
use swarm_identity::{EPOCH_OUTCOME, EPOCH_REFUSAL, Place};

use super::schedule::EpochNumber;

/// The epochs `since..=epoch`: those after the last final one. A node signs one outcome for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Span {
    /// The last epoch.
    pub epoch: EpochNumber,
    /// The first.
    pub since: EpochNumber,
}

impl Span {
    /// The span of an outcome.
    pub fn of(outcome: &Outcome) -> Self {
        Self {
            epoch: outcome.epoch,
            since: outcome.since,
        }
    }

    /// True if the epoch is one of them.
    pub fn contains(&self, epoch: EpochNumber) -> bool {
        (self.since..=self.epoch).contains(&epoch)
    }

    /// True if a place in the sign-once table tells the span from others: one of more than 65,536
    /// epochs nobody signs.
    pub fn has_place(&self) -> bool {
        self.slot().is_some()
    }

    fn slot(&self) -> Option<u16> {
        u16::try_from(self.epoch.checked_sub(self.since)?).ok()
    }
}

/// Where the signature under an outcome, or under the refusal of one, belongs in the sign-once
/// table; `None` for a span that [has no place](Span::has_place). There is one place for all
/// outcomes of a span, and one for each proposal that is refused: a refusal contradicts nothing.
pub fn place(outcome: &Outcome, domain: &Domain) -> Option<Place> {
    let (swarm, kind) = match outcome.is_refusal() {
        true => (refusal_id(domain, outcome), EPOCH_REFUSAL),
        false => (domain_id(domain), EPOCH_OUTCOME),
    };
    Some(Place {
        swarm,
        kind,
        round: outcome.epoch,
        slot: Span::of(outcome).slot()?,
    })
}

/// Names what the refusal of one proposal is valid for. These places are not forgotten: there is
/// one for each court of this contract in which the node votes against a proposal, and each of them
/// takes a court's time and costs somebody a bond.
fn refusal_id(domain: &Domain, refusal: &Outcome) -> Digest32 {
    Hasher::new("refusal")
        .bytes(&domain_id(domain))
        .bytes(refusal.certificates.as_slice())
        .finish()
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.since, self.epoch)
    }
}

/// Names in the sign-once table what signatures are valid for: one contract on one chain, and
/// nothing that the chain's server says.
pub fn domain_id(domain: &Domain) -> Digest32 {
    Hasher::new("settlement")
        .u64(domain.chain_id)
        .bytes(domain.contract.as_slice())
        .finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_span_has_a_place_of_its_own_as_far_as_places_reach() {
        let domain = Domain {
            chain_id: 31_337,
            contract: [7; 20].into(),
        };
        let outcome = |since, epoch| Outcome {
            since,
            epoch,
            points: 1,
            ..Outcome::default()
        };
        let place = |since, epoch| place(&outcome(since, epoch), &domain);
        let places = [place(0, 0), place(0, 1), place(1, 1), place(0, 65_535)];
        assert!(places.iter().all(Option::is_some));
        let different: std::collections::BTreeSet<_> = places.into_iter().collect();
        assert_eq!(different.len(), 4);
        assert_eq!((place(0, 65_536), place(2, 1)), (None, None));
        let other = Domain {
            chain_id: 1,
            ..domain
        };
        assert_ne!(domain_id(&domain), domain_id(&other));
        let other = Domain {
            contract: [8; 20].into(),
            ..domain
        };
        assert_ne!(domain_id(&domain), domain_id(&other));
    }

    #[test]
    fn refusals_of_two_proposals_have_two_places() {
        let domain = Domain {
            chain_id: 31_337,
            contract: [7; 20].into(),
        };
        let outcomes = [1, 2].map(|points| Outcome {
            points,
            ..Outcome::default()
        });
        let places = outcomes.map(|outcome| place(&outcome, &domain));
        assert_eq!(places[0], places[1], "one outcome of a span is signed");
        let refusals = outcomes.map(|outcome| place(&outcome.refusal(), &domain));
        assert!(refusals[0] != refusals[1] && !refusals.contains(&places[0]));
    }
}
