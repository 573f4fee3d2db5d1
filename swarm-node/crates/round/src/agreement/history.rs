//! The rounds that are decided, and who was present in them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use serde::{Deserialize, Serialize};
use swarm_identity::key::PeerId;

use super::minutes::Minutes;
use super::voters::Voters;
use crate::clock::Round;
use crate::config;
use crate::membership::Members;
use crate::membership::open::OpenMembers;
use crate::transcript::{RoundPlan, Transcript};

/// Epochs between being present and having a vote.
const DELAY: u64 = 2;

/// What is decided, as far as votes depend on it: the members named in each decided round's
/// minutes, for the epochs of which votes may still be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    settings: config::Agreement,
    /// Rounds below this one are all decided.
    floor: Round,
    /// Decided rounds from the floor on.
    above: BTreeSet<Round>,
    /// Who was present, by epoch.
    present: BTreeMap<u64, BTreeSet<PeerId>>,
    /// The members of an open swarm.
    open: Option<OpenMembers>,
    /// Whose hellos were counted and who is no member yet, by epoch.
    hellos: BTreeMap<u64, BTreeMap<PeerId, u64>>,
}

impl History {
    /// Nothing is decided.
    pub fn new(settings: config::Agreement, membership: &config::Membership) -> Self {
        let open = match membership {
            config::Membership::Open { founders } => Some(OpenMembers::new(founders)),
            _ => None,
        };
        Self {
            open,
            hellos: BTreeMap::new(),
            settings,
            floor: 0,
            above: BTreeSet::new(),
            present: BTreeMap::new(),
        }
    }

    /// What it holds, in entries.
    pub(crate) fn entries(&self) -> usize {
        let Self {
            settings: _,
            floor: _,
            above,
            present,
            open,
            hellos,
        } = self;
        let present = present.values().map(|peers| 1 + peers.len());
        let hellos = hellos.values().map(|peers| 1 + peers.len());
        let open = open.as_ref().map_or(0, OpenMembers::entries);
        above.len() + open + present.chain(hellos).sum::<usize>()
    }

    /// The epoch of a round.
    pub fn epoch(&self, round: Round) -> u64 {
        round / u64::from(self.settings.rounds_per_epoch)
    }

    /// True if the round is decided.
    pub fn contains(&self, round: Round) -> bool {
        round < self.floor || self.above.contains(&round)
    }

    /// The first round that is not decided.
    pub fn floor(&self) -> Round {
        self.floor
    }

    /// The members of a round of an open swarm.
    ///
    /// # Errors
    /// While the rounds that they follow from are not all decided here: the first round that is not
    /// among them.
    pub fn open_members(&self, round: Round) -> Result<Members, Round> {
        let epoch = self.epoch(round);
        let members = self.open.as_ref().and_then(|open| open.of(epoch));
        members.ok_or_else(|| self.needed_below(epoch))
    }

    /// False if the peer is known to be no member of a round of an open swarm.
    pub fn may_be_open_member(&self, peer: &PeerId, round: Round) -> bool {
        let open = self.open.as_ref();
        open.is_some_and(|open| open.may_contain(peer, self.epoch(round)))
    }

    /// The first round that is not needed to know the members of a round of an open swarm, if not
    /// all of those that are needed are decided here.
    pub fn waits_for(&self, round: Round) -> Option<Round> {
        let (epoch, open) = (self.epoch(round), self.open.as_ref()?);
        (epoch > open.latest()).then(|| self.needed_below(epoch))
    }

    fn needed_below(&self, epoch: u64) -> Round {
        epoch.saturating_sub(DELAY - 1) * u64::from(self.settings.rounds_per_epoch)
    }

    /// True if the peer must say hello to become a member.
    pub fn needs_hello(&self, peer: &PeerId) -> bool {
        let said = self.hellos.values().any(|hellos| hellos.contains_key(peer));
        let open = self.open.as_ref();
        open.is_some_and(|open| !open.contains(peer)) && !said
    }

    /// Notes a decided round.
    pub fn decided(&mut self, transcript: &Transcript, minutes: &Minutes) {
        let plan = &transcript.plan;
        let named = minutes
            .receipts
            .iter()
            .map(|(member, _)| plan.members[*member].peer);
        self.present
            .entry(self.epoch(plan.round))
            .or_default()
            .extend(named);
        let epoch = self.epoch(plan.round);
        if self.open.is_some() {
            let counted = self.hellos.entry(epoch).or_default();
            counted.extend(&transcript.hellos);
        }
        self.above.insert(plan.round);
        while self.above.remove(&self.floor) {
            self.floor += 1;
        }
        self.close_epochs();
        let oldest = self.epoch(self.floor).saturating_sub(DELAY + 1);
        self.present = self.present.split_off(&oldest);
    }

    /// Derives the members that follow from what is decided by now.
    fn close_epochs(&mut self) {
        let current = self.epoch(self.floor);
        let Some(open) = &mut self.open else { return };
        while open.latest() <= current {
            let closed = open.latest() - 1;
            let present = self.present.get(&closed).cloned().unwrap_or_default();
            let hellos = self.hellos.remove(&closed).unwrap_or_default();
            open.close(&present, &hellos);
        }
        open.forget_before(current);
    }

    /// The voters of a planned round; `None` while the rounds that they follow from are not all
    /// decided here.
    pub fn voters(&self, plan: &RoundPlan) -> Option<Voters> {
        let seats = self.settings.seats;
        let voters = |is_present: &dyn Fn(u16) -> bool| {
            Voters::new(plan.beacon, &plan.members, is_present, seats)
        };
        let Some(epoch) = self.epoch(plan.round).checked_sub(DELAY) else {
            return Some(voters(&|_| true));
        };
        let over = (epoch + 1) * u64::from(self.settings.rounds_per_epoch);
        if self.floor < over {
            return None;
        }
        let present = self.present.get(&epoch)?;
        Some(voters(&|member| {
            present.contains(&plan.members[member].peer)
        }))
    }

    /// The rounds of a range that are not decided, ascending.
    pub fn missing(&self, rounds: Range<Round>) -> impl Iterator<Item = Round> + '_ {
        let open = rounds.start.max(self.floor)..rounds.end;
        open.filter(|round| !self.above.contains(round))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agreement::testing::plan;

    fn minutes(round: Round, members: &[u16]) -> Minutes {
        Minutes {
            round,
            receipts: members.iter().map(|member| (*member, [0; 12])).collect(),
            struck: Vec::new(),
            transcript: [0; 32],
        }
    }

    fn history() -> History {
        let settings = config::Agreement {
            rounds_per_epoch: 2,
            ..config::Agreement::default()
        };
        History::new(settings, &config::Membership::default())
    }

    fn at(round: Round) -> RoundPlan {
        let mut plan = plan(4);
        plan.round = round;
        plan
    }

    fn contents(round: Round) -> Transcript {
        Transcript::new(at(round).into())
    }

    #[test]
    fn who_was_present_votes_two_epochs_later() {
        let mut history = history();
        assert_eq!(history.voters(&at(3)).unwrap().total(), 4);
        assert_eq!(history.voters(&at(4)), None);
        history.decided(&contents(1), &minutes(1, &[1]));
        assert_eq!(history.voters(&at(4)), None, "round 0 is not decided");
        history.decided(&contents(0), &minutes(0, &[2]));
        let voters = history.voters(&at(5)).unwrap();
        let seats: Vec<_> = voters.seats().iter().map(|seat| seat.member).collect();
        assert_eq!(seats, [1, 2]);
    }

    #[test]
    fn what_is_decided_takes_no_memory_for_ever() {
        let mut history = history();
        (0..1_000).for_each(|round| history.decided(&contents(round), &minutes(round, &[0, 1])));
        assert_eq!((history.floor(), history.above.len()), (1_000, 0));
        assert!(history.present.len() <= 4, "{:?}", history.present.keys());
        assert!(history.voters(&at(1_001)).is_some());
    }

    #[test]
    fn missing_rounds_are_told_oldest_first() {
        let mut history = history();
        for round in [0, 2, 5] {
            history.decided(&contents(round), &minutes(round, &[0]));
        }
        let missing = |rounds| history.missing(rounds).collect::<Vec<_>>();
        assert_eq!(missing(0..7), [1, 3, 4, 6]);
        assert_eq!(missing(2..5), [3, 4]);
        assert!(history.contains(2) && !history.contains(3));
    }
}
