//! Who is a member of an open swarm: a function of its decided rounds.
//!
//! ```text
//! epoch      e                         e + 1      e + 2
//! hello ─► counted by the minutes ─────────────► member ── named in no minutes for three
//!            of one of its rounds                          whole epochs ─► out; hello again
//! ```
//! The members of an epoch follow from the rounds up to the end of the epoch before the last, as
//! its voters do. So nobody begins a round whose members it could take for others: it waits until
//! it knows those rounds.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use swarm_identity::key::{PeerId, PublicKey};

use super::{MAX_MEMBERS, Member, Members};
use crate::config::NamedMember;

/// Whole epochs without a word after which a member is none any more.
pub const QUIET_EPOCHS: u64 = 3;

/// What is known of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Standing {
    topics: u64,
    /// The first epoch in which it may have been silent: it was heard in the one before, or no
    /// member yet.
    quiet_from: u64,
}

type Table = BTreeMap<PeerId, Standing>;

/// The members by epoch, as far as rounds of these epochs may be undecided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenMembers {
    tables: BTreeMap<u64, Table>,
    latest: u64,
}

impl OpenMembers {
    /// The members of the first two epochs: those who founded the swarm.
    pub fn new(founders: &[NamedMember]) -> Self {
        let standing = |founder: &NamedMember| Standing {
            topics: founder.topics,
            quiet_from: 0,
        };
        let table: Table = founders
            .iter()
            .map(|founder| (founder.peer, standing(founder)))
            .collect();
        Self {
            tables: [(0, table.clone()), (1, table)].into(),
            latest: 1,
        }
    }

    /// What they hold, in entries.
    pub(crate) fn entries(&self) -> usize {
        let Self { tables, latest: _ } = self;
        tables.values().map(|table| 1 + table.len()).sum()
    }

    /// The last epoch whose members are known.
    pub fn latest(&self) -> u64 {
        self.latest
    }

    /// The members of an epoch, if they are known and not forgotten.
    pub fn of(&self, epoch: u64) -> Option<Members> {
        let table = self.tables.get(&epoch)?;
        let mut members: (Vec<Member>, Vec<PublicKey>) = Default::default();
        for (peer, standing) in table {
            // A key that is none is not taken in, and founders were checked.
            if let Ok(key) = PublicKey::try_from(*peer) {
                members.0.push(Member {
                    topics: standing.topics,
                    ..Member::new(*peer)
                });
                members.1.push(key);
            }
        }
        Some(Members::new(members.0, members.1))
    }

    /// False if the members of an epoch are known and the peer is not among them.
    pub fn may_contain(&self, peer: &PeerId, epoch: u64) -> bool {
        let table = self.tables.get(&epoch);
        table.is_none_or(|table| table.contains_key(peer))
    }

    /// True if the peer is a member of the last epoch whose members are known.
    pub fn contains(&self, peer: &PeerId) -> bool {
        self.last().contains_key(peer)
    }

    /// The members of the last epoch whose members are known.
    #[expect(clippy::expect_used, reason = "the latest epoch is never forgotten")]
    fn last(&self) -> &Table {
        let latest = self.tables.get(&self.latest);
        latest.expect("invariant: the members of the latest epoch are known")
    }

    /// All rounds of the epoch before the latest are decided: who was present in them, and whose
    /// hellos were counted. The members of one more epoch are known then.
    pub fn close(&mut self, present: &BTreeSet<PeerId>, hellos: &BTreeMap<PeerId, u64>) {
        let (closed, next) = (self.latest - 1, self.latest + 1);
        let mut table = self.last().clone();
        for (peer, standing) in &mut table {
            if present.contains(peer) {
                standing.quiet_from = closed + 1;
            }
        }
        let speaks = |_: &PeerId, standing: &mut Standing| {
            (closed + 1).saturating_sub(standing.quiet_from) < QUIET_EPOCHS
        };
        let mut left = table.clone();
        left.retain(speaks);
        // A swarm without members would never have any again.
        if !left.is_empty() {
            table = left;
        }
        for (peer, topics) in hellos {
            if table.len() < MAX_MEMBERS && PublicKey::try_from(*peer).is_ok() {
                table.entry(*peer).or_insert(Standing {
                    topics: *topics,
                    quiet_from: next,
                });
            }
        }
        self.tables.insert(next, table);
        self.latest = next;
    }

    /// Forgets the members of epochs below this one, all of whose rounds are decided.
    pub fn forget_before(&mut self, epoch: u64) {
        self.tables = self.tables.split_off(&epoch.min(self.latest));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use swarm_identity::NodeKey;

    use super::*;

    fn peer(number: u8) -> PeerId {
        NodeKey::from_secret(&[number + 1; 32]).unwrap().peer()
    }

    fn peers(numbers: &[u8]) -> BTreeSet<PeerId> {
        numbers.iter().map(|number| peer(*number)).collect()
    }

    fn close(members: &mut OpenMembers, present: &[u8], hellos: &[u8]) {
        let hellos = hellos.iter().map(|number| (peer(*number), 5)).collect();
        members.close(&peers(present), &hellos);
    }

    fn of(members: &OpenMembers, epoch: u64) -> BTreeSet<PeerId> {
        let list = members.of(epoch).unwrap();
        list.list().iter().map(|member| member.peer).collect()
    }

    #[test]
    fn who_says_hello_is_a_member_two_epochs_later() {
        let mut members = OpenMembers::new(&[peer(0).into()]);
        close(&mut members, &[0], &[1]);
        assert_eq!(
            (of(&members, 1), of(&members, 2)),
            (peers(&[0]), peers(&[0, 1]))
        );
        let list = members.of(2).unwrap();
        let index = list.find(&peer(1)).unwrap();
        assert_eq!((list[index].topics, list[index].stake), (5, 1));
        assert!(members.contains(&peer(1)) && !members.contains(&peer(2)));
        assert!(members.of(3).is_none());
    }

    #[test]
    fn the_silent_drop_out_after_three_epochs_and_come_back() {
        let mut members = OpenMembers::new(&[peer(0).into(), peer(1).into()]);
        close(&mut members, &[0], &[2]);
        close(&mut members, &[0, 1], &[]);
        // Member 2 came in epoch 2 and is silent in 2, 3 and 4; member 1 in 2, 3 and 4, too.
        for epoch in 4..=5 {
            close(&mut members, &[0], &[]);
            assert_eq!(of(&members, epoch), peers(&[0, 1, 2]));
        }
        close(&mut members, &[0], &[]);
        assert_eq!(of(&members, 6), peers(&[0]));
        close(&mut members, &[0], &[1]);
        assert_eq!(of(&members, 7), peers(&[0, 1]));
    }

    #[test]
    fn the_last_members_stay() {
        let mut members = OpenMembers::new(&[peer(0).into(), peer(1).into()]);
        for _ in 0..9 {
            close(&mut members, &[], &[]);
        }
        assert_eq!(of(&members, members.latest()), peers(&[0, 1]));
    }

    proptest! {
        /// Whoever is heard stays, nobody comes in without a hello, and the table is bounded.
        #[test]
        fn only_words_change_who_is_a_member(
            epochs in prop::collection::vec((any::<u8>(), any::<u8>()), 1..20),
        ) {
            let of_bits = |bits: u8| (0..8).filter(|bit| bits >> bit & 1 == 1).collect::<Vec<u8>>();
            let mut members = OpenMembers::new(&[peer(0).into()]);
            for (present, hellos) in epochs {
                let before = of(&members, members.latest());
                close(&mut members, &of_bits(present), &of_bits(hellos));
                members.forget_before(members.latest() - 1);
                let after = of(&members, members.latest());
                let (present, hellos) = (peers(&of_bits(present)), peers(&of_bits(hellos)));
                prop_assert!(before.intersection(&present).all(|peer| after.contains(peer)));
                prop_assert!(after.iter().all(|p| before.contains(p) || hellos.contains(p)));
                prop_assert!(hellos.is_subset(&after) && members.tables.len() <= 3);
            }
        }
    }
}
