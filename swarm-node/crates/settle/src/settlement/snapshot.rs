//! Who owned which node when an epoch began, and with how much stake.

use std::collections::BTreeMap;

use contracts::{Address, B256, U256, court};

/// Bindings and stakes at an epoch's start: they decide whose points count, whose votes weigh, and
/// who sits in a court.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Owners by the addresses of their node keys, as `ownerAt` says. A node that is not here was
    /// bound to nobody.
    pub owners: BTreeMap<Address, Address>,
    /// Stakes of these owners, in units of the token, as `getPastVotes` says.
    pub stakes: BTreeMap<Address, u128>,
    /// Stake of everybody, as `getPastTotalSupply` says.
    pub total: u128,
}

impl Snapshot {
    /// The owner of a node.
    pub fn owner(&self, node: &Address) -> Option<Address> {
        self.owners.get(node).copied()
    }

    /// What an owner's vote weighs.
    pub fn stake(&self, owner: &Address) -> u128 {
        self.stakes.get(owner).map_or(0, |stake| *stake)
    }

    /// An owner's seats in the court that was drawn with a seed.
    pub fn seats(&self, seed: B256, owner: &Address) -> u64 {
        let stake = U256::from(self.stake(owner));
        court::seats(seed, *owner, stake, U256::from(self.total))
    }

    /// True if this much stake is more than two thirds of all: the contract's rule.
    pub fn is_quorum(&self, stake: u128) -> bool {
        // 3·stake > 2·total is stake > 2·(total − stake), and this form cannot overflow.
        self.total
            .checked_sub(stake)
            .is_some_and(|rest| stake.div_ceil(2) > rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quorum_is_more_than_two_thirds() {
        for total in 0..50u128 {
            let snapshot = Snapshot {
                total,
                ..Snapshot::default()
            };
            for stake in 0..=total {
                assert_eq!(
                    snapshot.is_quorum(stake),
                    3 * stake > 2 * total,
                    "{stake} of {total}"
                );
            }
        }
        let most = Snapshot {
            total: u128::MAX,
            ..Snapshot::default()
        };
        assert!(most.is_quorum(u128::MAX) && !most.is_quorum(u128::MAX / 3 * 2));
        assert!(!most.is_quorum(0));
    }
}
