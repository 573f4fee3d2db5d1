//! Who takes part: peers that were members before a round began, and nobody else.
//!
//! [`Roster`] collects registrations with the round from which they count; [`open`] derives members
//! from what is decided; [`Members`] is the frozen, sorted snapshot of one round. Members are
//! addressed by their index in the snapshot, so every node of the round uses the same small
//! numbers.

pub mod hello;
pub mod open;

use std::collections::{BTreeMap, HashMap};
use std::ops::Index;

use serde::{Deserialize, Serialize};
use swarm_identity::key::{KeyError, PeerId, PublicKey};

use crate::clock::Round;
use crate::config::MAX_SEATS;

/// Most members of a round; bounds every per-member table.
pub const MAX_MEMBERS: usize = MAX_SEATS as usize;

/// Most epochs whose stakes are kept.
pub const MAX_STAKES: usize = 128;

/// Index of a member in its round's snapshot. It comes from [`Members::find`], never from a peer.
pub type MemberIndex = u16;

/// A registered peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Identity, at the same time the key that signs its messages.
    pub peer: PeerId,
    /// Stake in the settlement's smallest unit; 1 where there is no stake.
    pub stake: u64,
    /// Topics on which the member answers practice questions: bit t for topic t.
    pub topics: u64,
}

impl Member {
    /// A member without particular stake that works on all topics.
    pub fn new(peer: PeerId) -> Self {
        Self {
            peer,
            stake: 1,
            topics: u64::MAX,
        }
    }

    /// True if the member works on the topic.
    pub fn works_on(&self, topic: u16) -> bool {
        self.topics
            .checked_shr(topic.into())
            .is_some_and(|bits| bits & 1 == 1)
    }
}

/// Why a registration was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// The peer's key is not valid.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The roster is full.
    #[error("the roster holds {MAX_MEMBERS} members already; wait until one leaves")]
    Full,
    /// The sum of all stakes would not fit 64 bits.
    #[error("the stakes of all members sum up to more than 64 bits; give them in a larger unit")]
    Stake,
    /// The swarm's configuration says who its members are.
    #[error("this swarm takes no such registrations; see `membership` in its configuration")]
    Closed,
    /// Too many epochs are open.
    #[error("stakes for more than {MAX_STAKES} epochs; decide rounds first")]
    Epochs,
    /// The stakes of an epoch are known already.
    #[error("the stakes of epoch {0} are known already")]
    Snapshot(u64),
    /// A registered peer keeps its entry until it leaves.
    #[error("peer {0} is registered already")]
    Known(PeerId),
}

/// All registrations, each with the first round in which it counts.
#[derive(Clone, Debug, Default)]
pub struct Roster {
    entries: BTreeMap<PeerId, (Round, Member, PublicKey)>,
}

impl Roster {
    /// Registers a member from round `from` on.
    ///
    /// # Errors
    /// A bad key, a full roster, too large a stake, or a peer that is registered already.
    pub fn register(&mut self, member: Member, from: Round) -> Result<(), RegisterError> {
        if self.entries.contains_key(&member.peer) {
            return Err(RegisterError::Known(member.peer));
        }
        if self.entries.len() >= MAX_MEMBERS {
            return Err(RegisterError::Full);
        }
        let stakes = self.entries.values().map(|(_, member, _)| member.stake);
        if stakes.sum::<u64>().checked_add(member.stake).is_none() {
            return Err(RegisterError::Stake);
        }
        let key = PublicKey::try_from(member.peer)?;
        self.entries.insert(member.peer, (from, member, key));
        Ok(())
    }

    /// All registrations, each with the first round in which it counts, by peer.
    pub fn entries(&self) -> impl Iterator<Item = (Round, Member)> + '_ {
        self.entries
            .values()
            .map(|(from, member, _)| (*from, *member))
    }

    /// True if the peer is a member of a round.
    pub fn contains(&self, peer: &PeerId, round: Round) -> bool {
        let entry = self.entries.get(peer);
        entry.is_some_and(|(from, ..)| *from <= round)
    }

    /// The members of a round.
    pub fn snapshot(&self, round: Round) -> Members {
        let present = self.entries.values().filter(|(from, ..)| *from <= round);
        let (list, keys): (Vec<_>, Vec<_>) = present
            .map(|(_, member, key)| (*member, key.clone()))
            .unzip();
        Members::new(list, keys)
    }
}

/// The members of one round, sorted by peer.
#[derive(Clone, Debug)]
pub struct Members {
    list: Vec<Member>,
    keys: Vec<PublicKey>,
    index: HashMap<PeerId, MemberIndex>,
}

impl Members {
    fn new(list: Vec<Member>, keys: Vec<PublicKey>) -> Self {
        let index = (0..)
            .zip(&list)
            .map(|(i, member)| (member.peer, i))
            .collect();
        Self { list, keys, index }
    }

    /// The members in order.
    pub fn list(&self) -> &[Member] {
        &self.list
    }

    /// Number of members.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// True if nobody is registered.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The index of a peer.
    pub fn find(&self, peer: &PeerId) -> Option<MemberIndex> {
        self.index.get(peer).copied()
    }

    /// The indices of all members.
    pub fn indices(&self) -> impl Iterator<Item = MemberIndex> + use<> {
        // A roster holds fewer than 2^16 members.
        0..self.list.len() as MemberIndex
    }

    /// A member's key.
    pub fn key(&self, index: MemberIndex) -> &PublicKey {
        &self.keys[usize::from(index)]
    }

    /// Sum of all stakes, which a roster keeps within 64 bits.
    pub fn total_stake(&self) -> u64 {
        self.list.iter().map(|member| member.stake).sum()
    }
}

impl Index<MemberIndex> for Members {
    type Output = Member;

    fn index(&self, index: MemberIndex) -> &Member {
        &self.list[usize::from(index)]
    }
}

#[cfg(test)]
mod tests {
    use swarm_identity::key::NodeKey;

    use super::*;

    fn member(secret: u8) -> Member {
        Member::new(NodeKey::from_secret(&[secret; 32]).unwrap().peer())
    }

    #[test]
    fn a_snapshot_holds_those_registered_before_the_round() {
        let mut roster = Roster::default();
        for (secret, from) in [(1, 0), (2, 3), (3, 4)] {
            roster.register(member(secret), from).unwrap();
        }
        let members = roster.snapshot(3);
        assert_eq!(members.len(), 2);
        assert!(members.find(&member(3).peer).is_none());
        for (i, entry) in members.list().iter().enumerate() {
            assert_eq!(members.find(&entry.peer), Some(i as u16));
        }
        assert!(members.list().is_sorted_by_key(|member| member.peer));
    }

    #[test]
    fn a_peer_registers_once() {
        let mut roster = Roster::default();
        roster.register(member(1), 0).unwrap();
        assert_eq!(
            roster.register(member(1), 9),
            Err(RegisterError::Known(member(1).peer))
        );
        // SEC1's compact form of the same key.
        let mut compact = member(1);
        compact.peer.0[0] = 5;
        assert_eq!(
            roster.register(compact, 0),
            Err(RegisterError::Key(KeyError::Point(compact.peer)))
        );
    }

    #[test]
    fn stakes_that_no_sum_can_hold_are_refused() {
        let mut roster = Roster::default();
        let rich = Member {
            stake: u64::MAX,
            ..member(1)
        };
        roster.register(rich, 0).unwrap();
        assert_eq!(roster.register(member(2), 0), Err(RegisterError::Stake));
        assert_eq!(roster.snapshot(0).total_stake(), u64::MAX);
    }

    #[test]
    fn topics_are_bits() {
        let mut entry = member(1);
        entry.topics = 0b101;
        assert_eq!(
            [0, 1, 2, 63, 64, 999].map(|t| entry.works_on(t)),
            [true, false, true, false, false, false]
        );
    }
}
