//! Who treats which question: rendezvous hashing, so that a member that joins or leaves moves only
//! its own share.
//!
//! Weight of (member, question, stage) = mix(h(member) ⊕ h(question, stage)) with SHA-256 halves
//! keyed by the round's beacon; the highest weights win. Nobody can choose a key that draws
//! particular questions without knowing the beacon. Practice questions are loaded evenly: a member
//! takes no more than its fair share while another eligible one has room.

use swarm_identity::digest::{Hasher, low_u64};

use crate::config::Game;
use crate::membership::{MemberIndex, Members};
use crate::payload::Stage;
use crate::question::{Beacon, RoundQuestion};

/// The members assigned to each slot, per stage, each list ascending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    stages: [Vec<Vec<MemberIndex>>; 3],
}

impl Assignment {
    /// The assignment of a round.
    pub fn new(
        beacon: &Beacon,
        game: &Game,
        questions: &[RoundQuestion],
        members: &Members,
    ) -> Self {
        let draw = Rendezvous {
            hashes: member_hashes(beacon, members),
            beacon,
            members,
        };
        let committee = |stage, count| {
            questions
                .iter()
                .map(|q| draw.committee(q, stage, count))
                .collect()
        };
        Self {
            stages: [
                draw.share(game, questions),
                committee(Stage::Critique, game.critics),
                committee(Stage::Decide, game.deciders),
            ],
        }
    }

    /// Members assigned to a slot in a stage, ascending; empty for a slot out of range.
    pub fn members(&self, stage: Stage, slot: u16) -> &[MemberIndex] {
        let [share, critique, decide] = &self.stages;
        let slots = match stage {
            Stage::Share => share,
            Stage::Critique => critique,
            Stage::Decide => decide,
        };
        slots.get(usize::from(slot)).map_or(&[], Vec::as_slice)
    }

    /// True if the member is assigned to the slot in the stage.
    pub fn contains(&self, stage: Stage, slot: u16, member: MemberIndex) -> bool {
        self.members(stage, slot).binary_search(&member).is_ok()
    }

    /// Slots assigned to a member in a stage, ascending.
    pub fn slots(&self, stage: Stage, member: MemberIndex) -> Vec<u16> {
        let [share, ..] = &self.stages;
        (0..share.len() as u16)
            .filter(|slot| self.contains(stage, *slot, member))
            .collect()
    }
}

struct Rendezvous<'a> {
    hashes: Vec<u64>,
    beacon: &'a Beacon,
    members: &'a Members,
}

fn member_hashes(beacon: &Beacon, members: &Members) -> Vec<u64> {
    members
        .list()
        .iter()
        .map(|member| {
            let hasher = Hasher::new("rendezvous-member").bytes(beacon);
            low_u64(&hasher.bytes(&member.peer.0).finish())
        })
        .collect()
}

impl Rendezvous<'_> {
    /// Everybody who may be chosen, heaviest first; equal weights by index.
    fn ranked(
        &self,
        question: &RoundQuestion,
        stage: Stage,
        eligible: impl Fn(MemberIndex) -> bool,
    ) -> Vec<MemberIndex> {
        let hasher = Hasher::new("rendezvous-question")
            .bytes(self.beacon)
            .u64(stage as u64);
        let key = low_u64(&hasher.bytes(&question.id).finish());
        let indexed = (0..).zip(&self.hashes).filter(|(i, _)| eligible(*i));
        let mut ranked: Vec<_> = indexed.map(|(i, hash)| (!mix(key ^ hash), i)).collect();
        ranked.sort_unstable();
        ranked.into_iter().map(|(_, i)| i).collect()
    }

    /// The heaviest `count` members for a common question; nobody for a practice question.
    fn committee(&self, question: &RoundQuestion, stage: Stage, count: u16) -> Vec<MemberIndex> {
        if !question.common {
            return Vec::new();
        }
        if usize::from(count) >= self.hashes.len() {
            return self.members.indices().collect();
        }
        sorted(
            self.ranked(question, stage, |_| true)
                .into_iter()
                .take(count.into())
                .collect(),
        )
    }

    fn share(&self, game: &Game, questions: &[RoundQuestion]) -> Vec<Vec<MemberIndex>> {
        let mut capacity = Capacity::new(game, self.hashes.len());
        questions
            .iter()
            .map(|question| match question.common {
                true => self.committee(question, Stage::Share, game.common_answerers),
                false => self.practice(question, game.answerers, &mut capacity),
            })
            .collect()
    }

    /// The heaviest members of the topic with room; when too few have room, the heaviest without.
    fn practice(
        &self,
        question: &RoundQuestion,
        count: u16,
        capacity: &mut Capacity,
    ) -> Vec<MemberIndex> {
        let ranked = self.ranked(question, Stage::Share, |i| {
            self.members[i].works_on(question.topic)
        });
        let (free, full): (Vec<_>, Vec<_>) = ranked.into_iter().partition(|i| capacity.has(*i));
        let chosen: Vec<_> = free.into_iter().chain(full).take(count.into()).collect();
        for member in &chosen {
            capacity.take(*member);
        }
        sorted(chosen)
    }
}

/// How many practice questions each member can still take within its fair share.
struct Capacity(Vec<u32>);

impl Capacity {
    fn new(game: &Game, members: usize) -> Self {
        let places = u32::from(game.practice) * u32::from(game.answerers);
        Self(vec![places.div_ceil(members.max(1) as u32); members])
    }

    fn has(&self, member: MemberIndex) -> bool {
        self.0[usize::from(member)] > 0
    }

    /// Takes a question; a member without room takes it beyond its share.
    fn take(&mut self, member: MemberIndex) {
        let room = &mut self.0[usize::from(member)];
        *room = room.saturating_sub(1);
    }
}

fn sorted(mut members: Vec<MemberIndex>) -> Vec<MemberIndex> {
    members.sort_unstable();
    members
}

/// The finaliser of SplitMix64: a bijection in which every input bit reaches every output bit.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use swarm_identity::key::{NodeKey, PeerId};

    use super::*;
    use crate::membership::{Member, Roster};
    use crate::question::questions;
    use crate::sim::toy;

    fn members(count: u8, edit: impl Fn(u8, &mut Member)) -> Members {
        let mut roster = Roster::default();
        for i in 1..=count {
            let mut member = Member::new(NodeKey::from_secret(&[i; 32]).unwrap().peer());
            edit(i, &mut member);
            roster.register(member, 0).unwrap();
        }
        roster.snapshot(0)
    }

    fn game() -> Game {
        let mut game = toy::config(4).game;
        (game.topics, game.practice, game.common) = (4, 64, 12);
        (
            game.answerers,
            game.common_answerers,
            game.critics,
            game.deciders,
        ) = (1, 5, 3, 100);
        game
    }

    #[test]
    fn practice_is_loaded_evenly() {
        let members = members(8, |_, _| ());
        let assignment =
            Assignment::new(&[3; 32], &game(), &questions(&[3; 32], &game()), &members);
        for member in 0..8 {
            let practice = assignment
                .slots(Stage::Share, member)
                .into_iter()
                .filter(|slot| *slot < 64);
            assert_eq!(practice.count(), 8);
        }
    }

    #[test]
    fn specialists_answer_their_topic_only() {
        let members = members(4, |i, member| member.topics = 1 << (i - 1));
        let list = questions(&[3; 32], &game());
        let assignment = Assignment::new(&[3; 32], &game(), &list, &members);
        for (slot, question) in (0..64).zip(&list) {
            let [only] = assignment.members(Stage::Share, slot) else {
                panic!("one answerer")
            };
            assert!(members[*only].works_on(question.topic));
        }
    }

    #[test]
    fn committees_have_their_size_and_practice_has_none() {
        let members = members(8, |_, _| ());
        let assignment =
            Assignment::new(&[3; 32], &game(), &questions(&[3; 32], &game()), &members);
        let sizes = |slot| Stage::ALL.map(|stage| assignment.members(stage, slot).len());
        assert_eq!(sizes(0), [1, 0, 0]);
        assert_eq!(sizes(70), [5, 3, 8]);
        assert_eq!(sizes(999), [0, 0, 0]);
    }

    #[test]
    fn a_leaver_moves_only_its_own_places() {
        let all = members(8, |_, _| ());
        let gone: PeerId = all[3].peer;
        let rest = members(8, |_, member| {
            if member.peer == gone {
                member.topics = 0
            }
        });
        let list = questions(&[3; 32], &game());
        // Fair shares that never bind leave pure rendezvous hashing.
        let places = |members: &Members| {
            let draw = Rendezvous {
                hashes: member_hashes(&[3; 32], members),
                beacon: &[3; 32],
                members,
            };
            let mut capacity = Capacity(vec![u32::MAX; 8]);
            list.iter()
                .take(64)
                .map(|q| draw.practice(q, 2, &mut capacity))
                .collect::<Vec<_>>()
        };
        let mut moved = 0;
        for (before, after) in places(&all).into_iter().zip(places(&rest)) {
            let stayed = before
                .iter()
                .filter(|i| **i != 3)
                .all(|i| after.contains(i));
            assert!(stayed);
            moved += usize::from(before != after);
        }
        assert!(moved > 0 && moved < 64);
    }
}
