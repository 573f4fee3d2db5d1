//! Seats for peers that come after the start, and peers that do not take up what they are given.

use super::phase::Phase;
use super::{Leader, LeaderOutput};
use crate::admission::{Admission, Admitted, Newcomer, Seat};
use crate::message::Body;
use crate::path::Peer;

/// Most steps, as a power of two, that a peer waits for which did not take up its stage.
const MAX_PAUSE: u32 = 10;

/// How often a peer did not take up its stage, and before which step it may try again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failed {
    times: u32,
    until: u64,
}

/// The seats of a term.
#[derive(Debug)]
pub(super) struct Seats {
    admitted: Admitted,
    /// Who was admitted and is not signed yet.
    unsigned: Option<Peer>,
    /// Before which step the last was admitted.
    last: Option<u64>,
    /// Of the list, how many were told before the step that is under way.
    told: usize,
    /// How many the holders of a step that is over have heard of.
    heard: usize,
}

impl Seats {
    pub(super) fn new(admitted: Admitted) -> Self {
        Self {
            admitted,
            unsigned: None,
            last: None,
            told: 0,
            heard: 0,
        }
    }

    pub(super) fn members(&self) -> u32 {
        self.admitted.members()
    }

    pub(super) fn of(&self, peer: Peer) -> Option<&Admission> {
        self.admitted.of(peer)
    }

    /// Who was prepared for the step has heard what was told before it: messages keep their order.
    pub(super) fn step_over(&mut self) {
        self.heard = self.told;
    }
}

impl Leader {
    /// Gives a seat to a key that has none, one a step at most.
    pub(crate) fn newcomer(&mut self, newcomer: Newcomer) -> Vec<LeaderOutput> {
        let step = self.when.step + 1;
        let seats = &self.seats;
        let free = seats.unsigned.is_none() && seats.last != Some(step);
        let known = seats.admitted.of_key(&newcomer.key).is_some();
        let open = !known && self.seat(&newcomer.key) == Seat::Wait;
        if free && open && newcomer.is_sound() {
            let peer = Peer(self.seats.members());
            self.seats.unsigned = Some(peer);
            self.seats.last = Some(step);
            self.outputs.push(LeaderOutput::Admit(Admission {
                peer,
                newcomer,
                step,
                term: self.when.term,
                signature: Vec::new(),
            }));
        }
        self.take_outputs()
    }

    /// It is signed, or another leader's and checked.
    pub(crate) fn admitted(&mut self, admission: Admission) -> Vec<LeaderOutput> {
        self.seats.unsigned = None;
        self.seats.admitted.push(admission);
        Vec::new()
    }

    /// It was not signed, or cannot be.
    pub(crate) fn not_admitted(&mut self, peer: Peer) -> Vec<LeaderOutput> {
        self.seats.unsigned.take_if(|unsigned| *unsigned == peer);
        Vec::new()
    }

    /// See [`Seat`].
    pub(crate) fn seat(&self, key: &[u8]) -> Seat {
        let known = self.seats.admitted.of_key(key);
        let is_over = self.when.step >= self.settings.steps;
        match known {
            Some(admission) => {
                let heard = self.seats.admitted.list().iter().take(self.seats.heard);
                let mut heard = heard.map(|one| one.peer);
                match heard.any(|peer| peer == admission.peer) || is_over {
                    true => Seat::Given(admission.peer),
                    false => Seat::Wait,
                }
            }
            None if is_over => Seat::Over,
            None if self.seats.admitted.is_full() => Seat::Full,
            None => Seat::Wait,
        }
    }

    /// Tells everybody, before a step, who was admitted so far.
    pub(super) fn announce_seats(&mut self) {
        self.seats.told = self.seats.admitted.list().len();
        if self.seats.told > 0 {
            let list = self.seats.admitted.list().to_vec();
            self.say_to_others(&Body::Admitted(list));
        }
    }

    /// A later leader gave these seats to others.
    pub(crate) fn withdraw(&mut self, first: Peer) -> Vec<LeaderOutput> {
        self.seats.admitted.withdraw(first);
        Vec::new()
    }

    /// What a member knows of who was admitted under an earlier leader.
    pub(super) fn others_admitted(&mut self, list: &[Admission]) {
        if !self.seats.admitted.list().starts_with(list) {
            self.outputs.push(LeaderOutput::Told(list.to_vec()));
        }
    }

    /// Who did not take up its stage waits, each time twice as many steps: it holds up the others
    /// for as long as it is waited for.
    pub(super) fn note_failure(&mut self) {
        if let Phase::Recovering(recovering) = &self.phase {
            let step = self.when.step;
            let failed = self.failed.entry(recovering.peer);
            let failed = failed.or_insert(Failed { times: 0, until: 0 });
            failed.until = step + (1 << failed.times.min(MAX_PAUSE));
            failed.times += 1;
        }
    }

    /// Whether a peer may try to take up a stage.
    pub(super) fn may_try(&self, peer: Peer) -> bool {
        let failed = self.failed.get(&peer);
        failed.is_none_or(|failed| self.when.step >= failed.until)
    }
}
