//! Who leads when the leader is gone.
//!
//! The first peer of stage 0 that a member can reach asks everybody where they are, in a higher
//! term. A step that anybody has moved by is everybody's: its commit is handed on, and all who said
//! that they were prepared move, too. A step that nobody has moved by begins anew.

use super::Member;
use crate::event::Event;
use crate::leader::Leader;
use crate::message::{Body, Term, When};
use crate::path::Stage;

impl Member {
    /// Takes the lead in a term of its own.
    pub(super) fn lead(&mut self) {
        let term = Term {
            number: self.when.term.number.saturating_add(1),
            leader: self.me,
        };
        self.heard = self.now;
        let when = When {
            step: self.next,
            term,
        };
        self.event(Event::Leads);
        let reduction = self
            .reduction
            .as_ref()
            .filter(|reduction| reduction.prepared);
        let prepared = reduction.map(|reduction| reduction.record.clone());
        let mut leader = Leader::new(
            self.settings.clone(),
            self.me,
            when,
            prepared,
            self.lost.clone(),
            self.admitted.clone(),
        );
        let outputs = leader.ask(self.now);
        self.leader = Some(leader);
        self.led(|_, _| outputs);
    }

    /// Takes over if the leader is lost or silent and this member is the next in line; later, if
    /// those before it do not.
    pub(super) fn watch_leader(&mut self) {
        let leader = self.when.term.leader;
        if self.leader.is_some() || self.stage() != Some(Stage::FIRST) {
            return;
        }
        let line = self.roster.of(Stage::FIRST).iter();
        let mut line = line.filter(|peer| **peer != leader && !self.lost.contains(peer));
        let place = line.position(|&peer| peer == self.me);
        // One that led, and began anew, is last in line.
        let place = place.map_or(self.roster.of(Stage::FIRST).len(), |place| place);
        let longest = self.settings.step_time + self.settings.phase_time * 4;
        let silent_for = self.now.saturating_sub(self.heard);
        let gone = self.lost.contains(&leader) && place == 0;
        if gone || silent_for > longest * (place as u32 + 1) {
            self.lead();
        }
    }

    pub(super) fn asked(&mut self, when: When) {
        self.when.term = when.term;
        self.active = false;
        self.adoption = None;
        if when.term.leader != self.me {
            self.leader = None;
        }
        let committed = self
            .reduction
            .as_ref()
            .is_some_and(|reduction| reduction.is_committed());
        if committed {
            self.asked_meanwhile = true;
        } else {
            self.answer();
        }
    }

    /// Who asked while the stage moved is answered when it has.
    pub(super) fn answer_who_asked(&mut self) {
        if std::mem::take(&mut self.asked_meanwhile) {
            self.answer();
        }
    }

    fn answer(&mut self) {
        let standing = self.standing();
        self.send(self.when.term.leader, Body::Standing(standing));
    }
}
