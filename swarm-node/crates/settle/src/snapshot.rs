//! The stake snapshot at an epoch's start: who may vote on the epoch, and with how much.

use std::collections::BTreeMap;

use swarm_identity::key::PeerId;

/// The address of an account on the chain.
pub type AccountAddress = [u8; 20];

/// What a member's vote weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberStake {
    /// The account that the node key is bound to.
    pub owner: AccountAddress,
    /// The owner's stake at the epoch's start, in units of the token.
    pub stake: u128,
}

/// The stake snapshot of an epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StakeSnapshot {
    /// Members whose node key is bound to an account.
    pub members: BTreeMap<PeerId, MemberStake>,
    /// Stake of everybody, members or not.
    pub total: u128,
}

impl StakeSnapshot {
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
            let snapshot = StakeSnapshot {
                total,
                ..StakeSnapshot::default()
            };
            for stake in 0..=total {
                assert_eq!(
                    snapshot.is_quorum(stake),
                    3 * stake > 2 * total,
                    "{stake} of {total}"
                );
            }
        }
        let most = StakeSnapshot {
            total: u128::MAX,
            ..StakeSnapshot::default()
        };
        assert!(most.is_quorum(u128::MAX) && !most.is_quorum(u128::MAX / 3 * 2));
        assert!(!most.is_quorum(0));
    }
}
