//! The votes on one statement, and whether they are a quorum.

use std::collections::BTreeMap;

use swarm_identity::key::{PeerId, RecoverableBytes};

use super::snapshot::{AccountAddress, StakeSnapshot};

/// Signatures that were checked, by signer, each as the contract takes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Votes(BTreeMap<PeerId, RecoverableBytes>);

impl Votes {
    /// The signature of a peer, if it has signed.
    pub fn of(&self, peer: &PeerId) -> Option<&RecoverableBytes> {
        self.0.get(peer)
    }

    /// Adds a signature that was checked; the first of a signer counts.
    pub fn add(&mut self, peer: PeerId, signature: RecoverableBytes) {
        self.0.entry(peer).or_insert(signature);
    }

    /// The fewest signatures that make a quorum, in the order that the contract wants: by owner,
    /// one for each. None while there are not enough.
    pub fn quorum(&self, snapshot: &StakeSnapshot) -> Option<Vec<RecoverableBytes>> {
        let mut heaviest = self.by_owner(snapshot);
        heaviest.sort_by_key(|(owner, stake, _)| (std::cmp::Reverse(*stake), *owner));
        let mut weight = 0u128;
        let mut taken = Vec::new();
        for (owner, stake, signature) in heaviest {
            weight = weight.saturating_add(stake);
            taken.push((owner, signature));
            if snapshot.is_quorum(weight) {
                taken.sort_by_key(|(owner, _)| *owner);
                return Some(taken.into_iter().map(|(_, signature)| signature).collect());
            }
        }
        None
    }

    /// One signature for each owner with stake, whichever of its nodes signed.
    fn by_owner(&self, snapshot: &StakeSnapshot) -> Vec<(AccountAddress, u128, RecoverableBytes)> {
        let mut owners = BTreeMap::new();
        for (peer, signature) in &self.0 {
            if let Some(member) = snapshot.members.get(peer).filter(|member| member.stake > 0) {
                owners
                    .entry(member.owner)
                    .or_insert((member.stake, *signature));
            }
        }
        owners
            .into_iter()
            .map(|(owner, (stake, signature))| (owner, stake, signature))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::snapshot::MemberStake;
    use super::*;

    fn peer(number: u8) -> PeerId {
        PeerId([number; 33])
    }

    fn votes(signers: &[u8]) -> Votes {
        let mut votes = Votes::default();
        signers
            .iter()
            .for_each(|number| votes.add(peer(*number), [*number; 65]));
        votes
    }

    fn snapshot(members: &[(u8, u8, u128)]) -> StakeSnapshot {
        let total = members
            .iter()
            .map(|(_, owner, stake)| (owner, stake))
            .collect::<BTreeMap<_, _>>()
            .values()
            .copied()
            .sum();
        let member = |&(number, owner, stake): &(u8, u8, u128)| {
            (
                peer(number),
                MemberStake {
                    owner: [owner; 20],
                    stake,
                },
            )
        };
        StakeSnapshot {
            members: members.iter().map(member).collect(),
            total,
        }
    }

    #[test]
    fn the_heaviest_sign_in_the_order_of_owners() {
        let snapshot = snapshot(&[(1, 9, 10), (2, 8, 50), (3, 7, 40)]);
        assert_eq!(
            votes(&[1, 2, 3]).quorum(&snapshot),
            Some(vec![[3; 65], [2; 65]])
        );
        assert_eq!(votes(&[1, 2]).quorum(&snapshot), None);
    }

    #[test]
    fn two_nodes_of_an_owner_count_once() {
        let snapshot = snapshot(&[(1, 1, 60), (2, 1, 60), (3, 2, 40)]);
        assert_eq!(votes(&[1, 2]).quorum(&snapshot), None);
        assert_eq!(
            votes(&[1, 2, 3]).quorum(&snapshot).map(|all| all.len()),
            Some(2)
        );
    }

    #[test]
    fn strangers_and_the_stakeless_do_not_count() {
        let snapshot = snapshot(&[(1, 1, 2), (2, 2, 1), (3, 3, 0)]);
        assert_eq!(
            votes(&[1, 3, 4]).quorum(&snapshot),
            None,
            "exactly two thirds"
        );
        assert_eq!(
            votes(&[1, 2, 3, 4]).quorum(&snapshot).map(|all| all.len()),
            Some(2)
        );
    }
}
