//! Which way a microbatch goes on when the planned one is closed: to a replica, else past the
//! stage.

use std::time::Duration;

use super::Member;
use super::visits::Progress;
use crate::event::{Event, Why};
use crate::message::{Body, Forward, Passed, Version};
use crate::path::{Hop, Microbatch, Peer};

/// Most times that a hop is tried.
const MAX_TRIES: u32 = 16;
/// A peer that was late so often is passed by, even where it has no replica.
const PATIENCE: u32 = 2;

impl Member {
    /// Another peer of a stage: the one with least trouble, spread by microbatch.
    fn replica(&self, hop: Hop, microbatch: Microbatch) -> Option<Peer> {
        let trouble = |peer: &Peer| self.trouble.get(peer).copied().unwrap_or(0);
        let others = self.roster.of(hop.stage).iter().copied();
        let others = others.filter(|&peer| peer != hop.peer && !self.lost.contains(&peer));
        let others: Vec<Peer> = others.collect();
        let least = others.iter().map(trouble).min()?;
        let calm: Vec<Peer> = others
            .into_iter()
            .filter(|peer| trouble(peer) == least)
            .collect();
        Some(calm[microbatch.index() % calm.len()])
    }

    /// The hops to come with a hop replaced by a replica, or without it.
    fn without(&mut self, ahead: &mut Vec<Hop>, hop: Hop, microbatch: Microbatch, why: Why) {
        let to = self.replica(hop, microbatch);
        if let Some(place) = ahead.iter().position(|&other| other == hop) {
            match to {
                Some(peer) => ahead[place].peer = peer,
                None => {
                    ahead.remove(place);
                }
            }
        }
        self.event(Event::Rerouted {
            microbatch,
            from: hop,
            to,
            why,
        });
    }

    /// The hops to come, the first of which can be reached as far as this member knows.
    pub(super) fn passable(&mut self, mut ahead: Vec<Hop>, microbatch: Microbatch) -> Vec<Hop> {
        while let Some(&hop) = ahead.first() {
            if !self.lost.contains(&hop.peer) {
                break;
            }
            self.without(&mut ahead, hop, microbatch, Why::Lost);
        }
        ahead
    }

    /// How long a gradient may take: there and back through the hops to come, and the loss.
    pub(super) fn patience(&self, hops: usize) -> Duration {
        self.settings.hop_time * (hops as u32 + 1)
    }

    /// Sends the output of a visit on, or once more.
    pub(super) fn send_on(&mut self, microbatch: Microbatch) {
        let me = self.me;
        let hop = self.hop();
        let patience = |hops| self.settings.hop_time * (hops as u32 + 1);
        let Some(visit) = self.visits.passing.get_mut(&microbatch) else {
            return;
        };
        let target = visit.target(me);
        let hops = visit.ahead.len();
        let Progress::Away(away) = &mut visit.progress else {
            return;
        };
        away.until = self.now + patience(hops);
        away.busy = false;
        let mut behind = visit.behind.clone();
        behind.push(Passed {
            hop,
            output: away.output.digest(),
        });
        let forward = Forward {
            microbatch,
            version: away.version.clone(),
            behind,
            ahead: visit.ahead.clone(),
            content: away.output.clone(),
        };
        self.send(target, Body::Forward(forward));
    }

    /// Looks for another way for a visit whose gradient does not come.
    pub(super) fn reroute(&mut self, microbatch: Microbatch, why: Why) {
        let Some(visit) = self.visits.passing.get(&microbatch) else {
            return;
        };
        let (Some(_), Some(&hop)) = (visit.away(), visit.ahead.first()) else {
            // Back at its source, which computes the loss or is lost with the microbatch.
            return self.wait_on(microbatch);
        };
        let alone = self.replica(hop, microbatch).is_none();
        let count = self.trouble.entry(hop.peer).or_default();
        *count += 1;
        if why == Why::Late && alone && *count <= PATIENCE {
            return self.send_on(microbatch);
        }
        if visit.tries >= MAX_TRIES {
            return self.wait_on(microbatch);
        }
        let mut ahead = visit.ahead.clone();
        self.without(&mut ahead, hop, microbatch, why);
        self.send_along(microbatch, ahead);
    }

    /// Sends a visit's output along other hops than before.
    pub(super) fn send_along(&mut self, microbatch: Microbatch, ahead: Vec<Hop>) {
        let ahead = self.passable(ahead, microbatch);
        let Some(visit) = self.visits.passing.get_mut(&microbatch) else {
            return;
        };
        visit.ahead = ahead;
        if let Progress::Away(away) = &mut visit.progress {
            away.version = visit.version.then(visit.tries);
            away.refusals = 0;
            visit.tries += 1;
        }
        self.send_on(microbatch);
    }

    /// Nothing to do but wait longer.
    fn wait_on(&mut self, microbatch: Microbatch) {
        let until = self.now + self.patience(1);
        let visit = self.visits.passing.get_mut(&microbatch);
        if let Some(Progress::Away(away)) = visit.map(|visit| &mut visit.progress) {
            away.until = until;
        }
    }

    /// Microbatches that a lost peer has.
    pub(super) fn reroute_lost(&mut self, peer: Peer) {
        let me = self.me;
        let waits = self.visits.passing.iter().filter(|(_, visit)| {
            visit.away().is_some() && !visit.ahead.is_empty() && visit.target(me) == peer
        });
        let waits: Vec<Microbatch> = waits.map(|(&microbatch, _)| microbatch).collect();
        for microbatch in waits {
            self.reroute(microbatch, Why::Lost);
        }
        self.visits.waiting.retain(|_, waiting| *waiting != peer);
        self.visits.arrived.retain(|(from, _)| *from != peer);
    }

    /// Microbatches whose gradients should be here.
    pub(super) fn look_for_late(&mut self) {
        let late = self
            .visits
            .passing
            .iter()
            .filter_map(|(&microbatch, visit)| {
                let away = visit.away()?;
                (away.until < self.now)
                    .then_some((microbatch, away.busy && away.refusals < MAX_TRIES))
            });
        for (microbatch, wait) in late.collect::<Vec<_>>() {
            if wait {
                self.send_on(microbatch);
            } else {
                self.reroute(microbatch, Why::Late);
            }
        }
    }

    /// A member refused what another made of a microbatch of this source. Which of the two is at
    /// fault cannot be told: the sender is passed by, and if it is this source, the other.
    pub(super) fn refused(
        &mut self,
        from: Peer,
        microbatch: Microbatch,
        version: &Version,
        sender: Peer,
    ) {
        let avoided = if sender == self.me { from } else { sender };
        if avoided.0 >= self.admitted.members() {
            return self.fault(from, "refused what nobody sent");
        }
        *self.trouble.entry(avoided).or_default() += PATIENCE;
        let Some(visit) = self.visits.passing.get(&microbatch) else {
            return;
        };
        let Some(away) = visit.away() else { return };
        let mut ahead = visit.ahead.clone();
        let hop = ahead.iter().copied().find(|hop| hop.peer == avoided);
        let current = visit.from.is_none() && version.follows(&away.version);
        let Some(hop) = hop.filter(|_| current && visit.tries < MAX_TRIES) else {
            return;
        };
        self.without(&mut ahead, hop, microbatch, Why::Refused);
        self.send_along(microbatch, ahead);
    }
}
