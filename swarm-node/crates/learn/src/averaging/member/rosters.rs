//! Who takes part: rosters made by the lowest replica that is not lost, and those made by others.

use skippipe::content::Digest;

use super::{Event, MAX_AHEAD, Member, Output};
use crate::averaging::message::Body;
use crate::averaging::transcript::{Listed, Replica, Roster};

/// A roster begins so many rounds after the one in which it is made, so that others hear of it
/// before.
const AHEAD: u64 = 2;

impl Member {
    /// The roster of a round: the newest that has begun. Older ones are forgotten.
    pub(super) fn roster_of(&mut self, round: u64) -> Roster {
        let begun = self.rosters.values().rev();
        let mut begun = begun.filter(|(roster, _)| roster.from <= round);
        let roster = begun.next().map(|(roster, _)| roster.clone());
        let Some(roster) = roster else {
            return self.round.roster.clone();
        };
        self.rosters.retain(|number, _| *number >= roster.number);
        roster
    }

    /// Makes a roster where this member is the one to do so, and others live than the newest has.
    pub(super) fn look_at_roster(&mut self) {
        let living = (0..self.settings.replicas).map(Replica);
        let living: Vec<Replica> = living.filter(|one| !self.lost.contains(one)).collect();
        let newest = self.rosters.values().next_back().map(|(roster, _)| roster);
        let Some(newest) = newest else { return };
        let number = self.least_number.max(newest.number.saturating_add(1));
        // Others go by a roster that this member may have to overrule, as it lists who lives by
        // now.
        let is_overtaken = self.least_number > newest.number.saturating_add(1);
        let is_right = newest.replicas == living && !is_overtaken;
        let is_mine_to_make = living.first() == Some(&self.me) && number > newest.number;
        if is_right || !is_mine_to_make || self.proposed.is_some() {
            self.outdated = None;
            return;
        }
        // A link that is down for a moment is no reason to leave somebody out.
        let since = *self.outdated.get_or_insert(self.now);
        if self.now < since + self.settings.patience {
            return;
        }
        let roster = Roster {
            number,
            from: self.round.number + AHEAD,
            replicas: living,
        };
        let listed = Listed {
            roster,
            by: self.me,
            signature: Vec::new(),
        };
        let statement = listed.statement(self.settings.job);
        self.outputs.push(Output::Sign(statement));
        self.proposed = Some(listed);
        self.outdated = None;
    }

    /// Whether a signature is of the roster that this member makes; then everybody is told.
    pub(super) fn roster_signed(&mut self, statement: Digest, signature: &[u8]) -> bool {
        let job = self.settings.job;
        let asked = |one: &mut Listed| one.statement(job).digest() == statement;
        let Some(mut listed) = self.proposed.take_if(asked) else {
            return false;
        };
        self.least_number = listed.roster.number.saturating_add(1);
        if signature.is_empty() {
            // Another roster of this number was signed before a restart: the next has another
            // number.
            return true;
        }
        listed.signature = signature.to_vec();
        for replica in (0..self.settings.replicas).map(Replica) {
            if replica != self.me && !self.lost.contains(&replica) {
                self.send(replica, Body::Roster(Box::new(listed.clone())));
            }
        }
        let roster = listed.roster.clone();
        self.rosters.insert(roster.number, (roster, Some(listed)));
        true
    }

    /// A roster came: it is taken if it is newer, and of the lowest that this member does not know
    /// to be lost, or of one below it.
    pub(super) fn listed(&mut self, from: Replica, listed: Listed) {
        let Listed { roster, by, .. } = &listed;
        let newest = self.rosters.values().next_back();
        let newer = newest.is_none_or(|(known, told)| {
            // Of two that were made at once, everybody takes the one of the lower replica.
            let wins = told.as_ref().is_some_and(|told| *by < told.by);
            roster.number > known.number || (roster.number == known.number && wins)
        });
        if !newer {
            return;
        }
        let is_sound = roster.is_sound(self.settings.replicas)
            && roster.from <= self.round.number.saturating_add(MAX_AHEAD);
        if !is_sound {
            return self.fault(from, "sent a roster that cannot be");
        }
        let lower = (0..by.0).map(Replica);
        let mut lower = lower.filter(|one| !self.lost.contains(one));
        match lower.next() {
            None => {}
            // It was made while this member could not be reached; the next one is this member's to
            // make.
            Some(lowest) if lowest == self.me => {
                if roster.number <= self.least_number.saturating_add(MAX_OVERTAKEN) {
                    self.least_number = self.least_number.max(roster.number.saturating_add(1));
                }
                return;
            }
            Some(_) => {
                return self.event(Event::Fault {
                    replica: from,
                    what: format!("sent a roster by {by}, below which there are others"),
                });
            }
        }
        self.rosters
            .insert(roster.number, (roster.clone(), Some(listed)));
        if self.rosters.len() > MAX_ROSTERS {
            // The oldest but the one that is in use; nobody needs those between.
            let between = self.rosters.keys().nth(1).copied();
            between.map(|number| self.rosters.remove(&number));
        }
    }

    /// Tells somebody who goes by an older roster.
    pub(super) fn tell_roster(&mut self, to: Replica) {
        let newest = self.rosters.values().next_back();
        if let Some(listed) = newest.and_then(|(_, listed)| listed.clone()) {
            self.send(to, Body::Roster(Box::new(listed)));
        }
    }
}

/// Rosters that are kept: the one in use, and those that have not begun.
const MAX_ROSTERS: usize = 8;
/// By how much the number of a roster may be ahead that others made while this member was away.
const MAX_OVERTAKEN: u32 = 1024;
