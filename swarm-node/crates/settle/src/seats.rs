//! Who may vote on an epoch, and with how much: the stake snapshot at the epoch's start.

use std::collections::BTreeMap;

use swarm_identity::key::PeerId;

/// An account on the chain.
pub type Account = [u8; 20];

/// A member's place in a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seat {
    /// The account that the node key is bound to.
    pub owner: Account,
    /// The owner's stake at the epoch's start, in units of the token.
    pub stake: u128,
}

/// The stake snapshot of an epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seats {
    /// Members whose node key is bound to an account.
    pub seats: BTreeMap<PeerId, Seat>,
    /// Stake of everybody, members or not.
    pub total: u128,
}

impl Seats {
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
            let seats = Seats {
                total,
                ..Seats::default()
            };
            for stake in 0..=total {
                assert_eq!(
                    seats.is_quorum(stake),
                    3 * stake > 2 * total,
                    "{stake} of {total}"
                );
            }
        }
        let most = Seats {
            total: u128::MAX,
            ..Seats::default()
        };
        assert!(most.is_quorum(u128::MAX) && !most.is_quorum(u128::MAX / 3 * 2));
        assert!(!most.is_quorum(0));
    }
}
