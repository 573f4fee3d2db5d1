//! Who meets whom in a round: a seeded permutation of the replicas that take part.
//!
//! ```text
//! job, round ─▶ Philox ─▶ permutation of the roster ─┬─▶ pairs of neighbours, the last alone where odd
//!                                                   └─▶ one group, led by the first
//! ```
//! Whoever has the roster computes the same groups. The first of a group leads its exchange; which
//! one that is changes from round to round, so that no replica carries more bytes than others for
//! long, and none that is slow or gone holds up more than its turns.

use reproducible_ops::random::{Stream, key_from};
use skippipe::content::Digest;

use super::transcript::{Replica, Roster};

const DOMAIN: &str = "averaging/groups";

/// Replicas that meet in a round; the first leads. Without any, the replica is not in the roster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group(Vec<Replica>);

impl Group {
    /// The group of a replica.
    pub fn of(job: &Digest, round: u64, roster: &Roster, paired: bool, me: Replica) -> Self {
        let order = permutation(job, round, roster);
        let size = if paired { 2 } else { order.len().max(1) };
        let found = order.chunks(size).find(|group| group.contains(&me));
        Self(found.map(<[Replica]>::to_vec).unwrap_or_default())
    }

    /// Its members, the leader first.
    pub fn members(&self) -> &[Replica] {
        &self.0
    }

    /// Who leads; nobody where the replica is not in the roster.
    pub fn leader(&self) -> Option<Replica> {
        self.0.first().copied()
    }

    /// Everybody but one.
    pub fn others(&self, me: Replica) -> impl Iterator<Item = Replica> + '_ {
        self.0.iter().copied().filter(move |other| *other != me)
    }

    /// Whether a replica is in it.
    pub fn contains(&self, replica: Replica) -> bool {
        self.0.contains(&replica)
    }
}

/// The roster in the order of a round.
pub fn permutation(job: &Digest, round: u64, roster: &Roster) -> Vec<Replica> {
    let key = key_from(DOMAIN, &job.0, &[0; 32]);
    let mut order = roster.replicas.clone();
    Stream::new(key, (round >> 32) as u32, round as u32).shuffle(&mut order);
    order
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    const JOB: Digest = Digest([3; 32]);

    fn groups(roster: &Roster, round: u64, paired: bool) -> BTreeSet<Vec<Replica>> {
        let replicas = roster.replicas.iter();
        let groups = replicas.map(|me| Group::of(&JOB, round, roster, paired, *me));
        groups.map(|group| group.members().to_vec()).collect()
    }

    #[test]
    fn everybody_is_in_one_group_and_only_the_odd_one_alone() {
        for count in 1..12 {
            let roster = Roster::initial(count);
            for round in 0..20 {
                let pairs = groups(&roster, round, true);
                let members: Vec<Replica> = pairs.iter().flatten().copied().collect();
                assert_eq!(members.len(), count as usize);
                assert_eq!(BTreeSet::from_iter(members).len(), count as usize);
                let alone = pairs.iter().filter(|group| group.len() == 1).count();
                assert_eq!(alone, count as usize % 2);
                assert_eq!(groups(&roster, round, false).len(), 1);
            }
        }
    }

    #[test]
    fn who_is_not_in_the_roster_has_no_group() {
        let mut roster = Roster::initial(4);
        roster.replicas.remove(2);
        let group = Group::of(&JOB, 0, &roster, true, Replica(2));
        assert_eq!((group.leader(), group.members().len()), (None, 0));
    }

    #[test]
    fn every_pair_meets_equally_often_and_everybody_leads() {
        let roster = Roster::initial(6);
        let (mut met, mut led) = (BTreeMap::new(), BTreeMap::new());
        for round in 0..3000 {
            for mut pair in groups(&roster, round, true) {
                *led.entry(pair[0]).or_insert(0_i32) += 1;
                pair.sort();
                *met.entry(pair).or_insert(0_i32) += 1;
            }
        }
        // 600 of 3000 each, with a deviation of 22; 1500 each, with one of 27.
        assert_eq!((met.len(), led.len()), (15, 6));
        assert!(
            met.values().all(|times| (times - 600).abs() < 110),
            "{met:?}"
        );
        assert!(
            led.values().all(|times| (times - 1500).abs() < 135),
            "{led:?}"
        );
    }

    #[test]
    fn job_and_round_decide() {
        let roster = Roster::initial(9);
        let order = permutation(&JOB, 7, &roster);
        assert_eq!(order, permutation(&JOB, 7, &roster));
        assert_ne!(order, permutation(&JOB, 8, &roster));
        assert_ne!(order, permutation(&JOB, 7 + (1 << 32), &roster));
        assert_ne!(order, permutation(&Digest([4; 32]), 7, &roster));
    }
}
