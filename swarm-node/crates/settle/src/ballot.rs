//! Signatures under one statement, and whether they are enough.

use std::collections::BTreeMap;

use swarm_identity::key::{PeerId, RecoverableBytes};

use super::seats::{Account, Seats};

/// Signatures that were checked, by signer, each as the contract takes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ballot(BTreeMap<PeerId, RecoverableBytes>);

impl Ballot {
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
    pub fn quorum(&self, seats: &Seats) -> Option<Vec<RecoverableBytes>> {
        let mut heaviest = self.by_owner(seats);
        heaviest.sort_by_key(|(owner, stake, _)| (std::cmp::Reverse(*stake), *owner));
        let mut weight = 0u128;
        let mut taken = Vec::new();
        for (owner, stake, signature) in heaviest {
            weight = weight.saturating_add(stake);
            taken.push((owner, signature));
            if seats.is_quorum(weight) {
                taken.sort_by_key(|(owner, _)| *owner);
                return Some(taken.into_iter().map(|(_, signature)| signature).collect());
            }
        }
        None
    }

    /// One signature for each owner with stake, whichever of its nodes signed.
    fn by_owner(&self, seats: &Seats) -> Vec<(Account, u128, RecoverableBytes)> {
        let mut owners = BTreeMap::new();
        for (peer, signature) in &self.0 {
            if let Some(seat) = seats.seats.get(peer).filter(|seat| seat.stake > 0) {
                owners.entry(seat.owner).or_insert((seat.stake, *signature));
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
    use super::super::seats::Seat;
    use super::*;

    fn peer(number: u8) -> PeerId {
        PeerId([number; 33])
    }

    fn ballot(signers: &[u8]) -> Ballot {
        let mut ballot = Ballot::default();
        signers
            .iter()
            .for_each(|number| ballot.add(peer(*number), [*number; 65]));
        ballot
    }

    fn seats(seats: &[(u8, u8, u128)]) -> Seats {
        let total = seats
            .iter()
            .map(|(_, owner, stake)| (owner, stake))
            .collect::<BTreeMap<_, _>>()
            .values()
            .copied()
            .sum();
        let seat = |&(number, owner, stake): &(u8, u8, u128)| {
            (
                peer(number),
                Seat {
                    owner: [owner; 20],
                    stake,
                },
            )
        };
        Seats {
            seats: seats.iter().map(seat).collect(),
            total,
        }
    }

    #[test]
    fn the_heaviest_sign_in_the_order_of_owners() {
        let seats = seats(&[(1, 9, 10), (2, 8, 50), (3, 7, 40)]);
        assert_eq!(
            ballot(&[1, 2, 3]).quorum(&seats),
            Some(vec![[3; 65], [2; 65]])
        );
        assert_eq!(ballot(&[1, 2]).quorum(&seats), None);
    }

    #[test]
    fn two_nodes_of_an_owner_count_once() {
        let seats = seats(&[(1, 1, 60), (2, 1, 60), (3, 2, 40)]);
        assert_eq!(ballot(&[1, 2]).quorum(&seats), None);
        assert_eq!(
            ballot(&[1, 2, 3]).quorum(&seats).map(|all| all.len()),
            Some(2)
        );
    }

    #[test]
    fn strangers_and_the_stakeless_do_not_count() {
        let seats = seats(&[(1, 1, 2), (2, 2, 1), (3, 3, 0)]);
        assert_eq!(
            ballot(&[1, 3, 4]).quorum(&seats),
            None,
            "exactly two thirds"
        );
        assert_eq!(
            ballot(&[1, 2, 3, 4]).quorum(&seats).map(|all| all.len()),
            Some(2)
        );
    }
}
