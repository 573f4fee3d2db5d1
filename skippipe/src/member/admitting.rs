//! Members that came after the start, as one member knows of them.

use super::{Member, Output};
use crate::admission::{Admission, Seat};
use crate::event::Event;
use crate::path::Peer;

impl Member {
    /// The same member, which knows who was admitted before it began. Each must have been checked.
    #[must_use]
    pub fn with_admitted(mut self, admissions: Vec<Admission>) -> Self {
        for admission in admissions {
            self.admitted.push(admission);
        }
        self
    }

    /// Who became a member after the start, as far as this member knows.
    pub fn admitted(&self) -> &[Admission] {
        self.admitted.list()
    }

    /// What a key that asks for a seat is answered; none of the keys of the start.
    pub fn seat(&self, key: &[u8]) -> Seat {
        match &self.leader {
            Some(leader) => leader.seat(key),
            None => Seat::Elsewhere(self.when.term.leader),
        }
    }

    /// A seat that this leader signed, or that was checked. A seat that a later leader gave to
    /// another key was never heard of by that leader, so nobody has taken part from it: it is
    /// withdrawn, with those after it.
    pub(super) fn give_seat(&mut self, admission: Admission) {
        if self.is_replaced(&admission) {
            self.withdraw(admission.peer);
        }
        if !self.admitted.push(admission.clone()) {
            return self.led(|leader, _| leader.not_admitted(admission.peer));
        }
        self.led(|leader, _| leader.admitted(admission.clone()));
        self.event(Event::Admitted(admission));
        self.check_next();
    }

    /// It was not signed, or what was told cannot be.
    pub(super) fn not_admitted(&mut self, peer: Peer) {
        self.unchecked.clear();
        self.led(|leader, _| leader.not_admitted(peer));
    }

    /// A leader says who was admitted.
    pub(super) fn told_admitted(&mut self, from: Peer, list: Vec<Admission>) {
        let other = |told: &Admission| {
            let known = self.admitted.of(told.peer);
            known.is_some_and(|known| known.is_other(told)) && !self.is_replaced(told)
        };
        if list.iter().any(other) {
            return self.fault(from, "gave a seat of another peer away");
        }
        self.check_admitted(list);
    }

    /// Has those checked that are new, one after the other.
    pub(super) fn check_admitted(&mut self, list: Vec<Admission>) {
        self.unchecked = list;
        self.unchecked.truncate(self.settings.most_peers as usize);
        self.check_next();
    }

    fn check_next(&mut self) {
        let mut list = self.unchecked.iter();
        let new = |told: &&Admission| self.admitted.fits(told) || self.is_replaced(told);
        let new = list.find(new).cloned();
        self.outputs.extend(new.map(Output::CheckAdmission));
    }

    /// Whether a later leader gave a number that is known to another key.
    fn is_replaced(&self, told: &Admission) -> bool {
        let known = self.admitted.of(told.peer);
        known.is_some_and(|known| known.is_other(told) && known.term < told.term)
    }

    fn withdraw(&mut self, first: Peer) {
        if first <= self.me {
            let why = "another peer has this one's seat; join from another folder";
            return self.event(Event::Stuck(why));
        }
        self.admitted.withdraw(first);
        self.led(|leader, _| leader.withdraw(first));
        self.event(Event::Withdrawn(first));
    }
}
