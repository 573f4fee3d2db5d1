//! How a member that was restarted finds the round that the others are in.
//!
//! ```text
//! round again ─▶ returning ── others are no further ─────────────▶ the next round
//!                    │
//!                    └─ they are: until more than half of those that are reached begin a round
//!                                                                 ─▶ that round
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Body, Member};
use crate::averaging::member::round::Phase;
use crate::averaging::transcript::{Replica, RosterId};

/// What a member that comes back knows of the others.
#[derive(Clone, Debug, Default)]
pub(super) struct Return {
    /// Rounds that others said they are in.
    heard: BTreeMap<Replica, u64>,
    /// When it asked last.
    asked: Duration,
    /// The round that it waits for others to begin.
    awaited: Option<u64>,
}

impl Member {
    /// The round that ended last.
    pub(super) fn last_ended(&self) -> Option<u64> {
        match self.round.phase {
            Phase::Returning { .. } => Some(self.round.number),
            _ => self.round.number.checked_sub(1),
        }
    }

    fn reached(&self) -> impl Iterator<Item = Replica> + '_ {
        let others = (0..self.settings.replicas).map(Replica);
        others.filter(|other| *other != self.me && !self.lost.contains(other))
    }

    /// Asks everybody, where this member comes back.
    pub(super) fn ask_around(&mut self) {
        let Some(back) = &mut self.back else { return };
        back.asked = self.now;
        let others: Vec<Replica> = self.reached().collect();
        for other in others {
            self.send(other, Body::Where);
        }
    }

    /// Somebody comes back, and asks.
    pub(super) fn asked_where(&mut self, from: Replica, roster: RosterId) {
        self.send(from, Body::At);
        let newest = self.rosters.keys().next_back();
        if newest.is_some_and(|newest| *newest > roster.number) {
            self.tell_roster(from);
        }
    }

    /// Somebody answers.
    pub(super) fn heard_of(&mut self, from: Replica, round: u64) {
        let Some(back) = &mut self.back else { return };
        let known = back.heard.entry(from).or_default();
        *known = round.min(self.settings.rounds).max(*known);
        self.look_for_others();
    }

    /// The round that was done again is over.
    pub(super) fn return_after(&mut self) {
        self.round.phase = Phase::Returning { since: self.now };
        // What they said before may be long ago.
        self.back = Some(Return::default());
        self.ask_around();
        self.look_for_others();
    }

    /// Whether it is known by now which round to begin.
    pub(super) fn look_for_others(&mut self) {
        let Phase::Returning { since } = self.round.phase else {
            return;
        };
        let Some(back) = &self.back else { return };
        let next = self.round.number + 1;
        let heard = self.reached().map(|other| back.heard.get(&other).copied());
        let heard: Vec<Option<u64>> = heard.collect();
        let is_late = self.now > since + self.settings.patience;
        let is_told = is_late || heard.iter().all(Option::is_some);
        let mut rounds: Vec<u64> = heard.into_iter().flatten().collect();
        // More than half of those that answered are there, so that one that lies leads nobody
        // astray.
        rounds.sort_by_key(|round| std::cmp::Reverse(*round));
        let theirs = rounds.get(rounds.len() / 2).copied().unwrap_or(0);
        let begins = match back.awaited {
            Some(_) if rounds.is_empty() => Some(next),
            Some(awaited) if theirs >= awaited => Some(theirs),
            None if is_told && theirs <= next => Some(next),
            None if is_told && theirs >= self.settings.rounds => Some(theirs),
            _ => None,
        };
        if let Some(round) = begins {
            self.back = None;
            return self.begin(round);
        }
        if let Some(back) = self.back.as_mut().filter(|_| is_told) {
            back.awaited.get_or_insert(theirs + 1);
        }
        let is_due = self
            .back
            .as_ref()
            .is_some_and(|back| self.now >= back.asked + self.settings.again);
        if is_due {
            self.ask_around();
        }
    }
}
