//! The epochs that one outcome covers.

use std::fmt;

use contracts::outcome::Outcome;
use contracts::typed::Domain;
use serde::{Deserialize, Serialize};
use swarm_identity::digest::{Digest32, Hasher};
use swarm_identity::{EPOCH_OUTCOME, Place};

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

    /// Where the signature under the span's outcome belongs in the sign-once table; `None` for a
    /// span of more epochs than a place tells apart (65,536), which nobody signs.
    pub fn place(&self, domain: &Domain) -> Option<Place> {
        let slot = self.epoch.checked_sub(self.since)?;
        Some(Place {
            swarm: domain_id(domain),
            kind: EPOCH_OUTCOME,
            round: self.epoch,
            slot: u16::try_from(slot).ok()?,
        })
    }
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
        let place = |since, epoch| Span { since, epoch }.place(&domain);
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
}
