//! Who votes on what counts, and with which weight.
//!
//! Voters of a round are its *present* members: those who appear in the decided minutes of the
//! epoch before the last (everybody in the first two epochs). So a member that falls silent loses
//! its weight after two epochs, and one that comes back has it again two epochs after its first
//! receipt was counted. The delay makes the list a function of rounds that are decided.
//!
//! Everybody present votes. A committee drawn by lot would make the number of votes constant, but
//! it is only as safe as its sample: of 64 seats drawn while 30 % of the members are hostile, a
//! third or more are hostile in one round of four, and then a round may have no decision or, worse,
//! two. [`Agreement::seats`](crate::config::Agreement) draws one where that is accepted.

use std::sync::Arc;

use swarm_identity::digest::{Hasher, low_u64};

use crate::membership::{MemberIndex, Members};
use crate::question::Beacon;

/// The voters of a round with their weights, ascending by member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voters {
    beacon: Beacon,
    seats: Arc<[Seat]>,
    total: u64,
}

/// A voter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seat {
    /// Who.
    pub member: MemberIndex,
    /// Its weight, above 0.
    pub weight: u64,
}

impl Voters {
    /// The voters among a round's members: those present, or a committee of `seats` drawn from them
    /// by stake if they are more. Without anybody present, all members vote.
    pub fn new(
        beacon: Beacon,
        members: &Members,
        is_present: impl Fn(MemberIndex) -> bool,
        seats: u16,
    ) -> Self {
        let all = || {
            members
                .indices()
                .filter(|member| members[*member].stake > 0)
        };
        let seat = |member: MemberIndex| Seat {
            member,
            weight: members[member].stake,
        };
        let mut present: Vec<Seat> = all().filter(|m| is_present(*m)).map(seat).collect();
        if present.is_empty() {
            present = all().map(seat).collect();
        }
        if present.len() > usize::from(seats) {
            present = committee(&beacon, &present, seats);
        }
        let total = present.iter().map(|seat| seat.weight).sum();
        Self {
            beacon,
            seats: present.into(),
            total,
        }
    }

    /// The seats in order.
    pub fn seats(&self) -> &[Seat] {
        &self.seats
    }

    /// Sum of all weights.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The weight of a member; 0 if it does not vote.
    pub fn weight(&self, member: MemberIndex) -> u64 {
        self.find(member).map_or(0, |seat| seat.weight)
    }

    /// The seat of a member.
    pub fn find(&self, member: MemberIndex) -> Option<&Seat> {
        let found = self.seats.binary_search_by_key(&member, |seat| seat.member);
        found.ok().map(|index| &self.seats[index])
    }

    /// True if `weight` is more than two thirds of all.
    pub fn is_quorum(&self, weight: u64) -> bool {
        u128::from(weight) * 3 > u128::from(self.total) * 2
    }

    /// True if `weight` is more than half of all.
    pub fn is_majority(&self, weight: u64) -> bool {
        u128::from(weight) * 2 > u128::from(self.total)
    }

    /// Who proposes in a ballot: drawn by weight from the beacon, so nobody chooses.
    ///
    /// # Panics
    /// Without voters.
    #[expect(clippy::expect_used, reason = "a point below the sum lies in a seat")]
    pub fn proposer(&self, ballot: u16) -> &Seat {
        let drawn = Hasher::new("proposer")
            .bytes(&self.beacon)
            .u64(ballot.into());
        let mut point = low_u64(&drawn.finish()) % self.total.max(1);
        let seat = self.seats.iter().find(|seat| {
            let inside = point < seat.weight;
            point = point.saturating_sub(seat.weight);
            inside
        });
        seat.expect("invariant: a round has voters")
    }
}

/// Draws `count` seats of weight 1 each time by stake; a member may hold several.
fn committee(beacon: &Beacon, present: &[Seat], count: u16) -> Vec<Seat> {
    let total: u64 = present.iter().map(|seat| seat.weight).sum();
    let mut points: Vec<u64> = (0..count)
        .map(|seat| {
            let drawn = Hasher::new("committee").bytes(beacon).u64(seat.into());
            low_u64(&drawn.finish()) % total
        })
        .collect();
    points.sort_unstable();
    let (mut seats, mut below, mut next) = (Vec::new(), 0, points.into_iter().peekable());
    for Seat { member, weight } in present {
        below += weight;
        let mut held = 0;
        while next.next_if(|point| *point < below).is_some() {
            held += 1;
        }
        if held > 0 {
            seats.push(Seat {
                member: *member,
                weight: held,
            });
        }
    }
    seats
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agreement::testing::plan;

    #[test]
    fn the_present_vote_and_without_them_all() {
        let plan = plan(6);
        let voters = |present: &[u16], seats| {
            Voters::new(plan.beacon, &plan.members, |m| present.contains(&m), seats)
        };
        let some = voters(&[1, 4], 64);
        assert_eq!((some.total(), some.weight(4), some.weight(2)), (2, 1, 0));
        assert_eq!(voters(&[], 64).total(), 6);
    }

    #[test]
    fn a_committee_has_its_seats_and_is_another_in_another_round() {
        let plan = plan(40);
        let drawn = |beacon| Voters::new(beacon, &plan.members, |_| true, 16);
        let (a, b) = (drawn([1; 32]), drawn([2; 32]));
        assert_eq!((a.total(), b.total()), (16, 16));
        assert_ne!(a.seats(), b.seats());
        assert!(a.seats().is_sorted_by_key(|seat| seat.member));
    }

    #[test]
    fn proposers_take_turns() {
        let plan = plan(6);
        let voters = Voters::new(plan.beacon, &plan.members, |_| true, 64);
        let mut proposers: Vec<_> = (0..60).map(|b| voters.proposer(b).member).collect();
        assert_eq!(voters.proposer(3), voters.proposer(3));
        proposers.sort_unstable();
        proposers.dedup();
        assert_eq!(proposers, [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn quorums_are_strict() {
        let plan = plan(6);
        let voters = Voters::new(plan.beacon, &plan.members, |_| true, 64);
        assert!(!voters.is_quorum(4) && voters.is_quorum(5));
        assert!(!voters.is_majority(3) && voters.is_majority(4));
    }
}
