//! Messages on their way from peer to peer.

use std::rc::Rc;

use super::{EventKind, Simulation};
use crate::allowance::Link;
use crate::clock::Millis;
use crate::sim::gossip::{Delivery, Message};
use crate::sim::hostile::{Outgoing, Recipients};
use crate::state::{Input, Output};

impl Simulation {
    /// Draws the mesh of the present round.
    pub(super) fn enter_mesh(&mut self, now: Millis) {
        let round = self.clock.at(now).map_or(0, |position| position.round);
        self.mesh.enter(round);
    }

    /// Gives a peer a message, unless it got it sooner or is down.
    pub(super) fn arrive(&mut self, index: usize, via: usize, message: Rc<Message>, now: Millis) {
        let via = Link(self.report.peers[via]);
        let peer = &mut self.peers[index];
        if peer.core.is_none() || !message.is_due(index, now) {
            return;
        }
        self.report.deliveries += 1;
        self.report.delivered_bytes += message.bytes.len() as u64;
        self.report.agreement.got(&message.bytes);
        let input = Input::Envelope(via, message.bytes.clone());
        if !self.mesh.is_empty() {
            peer.inbox.put(Delivery { via, message });
        }
        self.take(index, input, true, now);
    }

    /// Sends what a strategy wants sent, now or later.
    pub(super) fn publish_all(&mut self, from: usize, sends: Vec<Outgoing>, now: Millis) {
        for send in sends {
            match send.after_ms {
                0 => self.publish(from, send, now),
                wait => self.schedule(now + wait, from, EventKind::Send(Box::new(send))),
            }
        }
    }

    /// Sends a message over the direct links.
    pub(super) fn publish(&mut self, from: usize, send: Outgoing, now: Millis) {
        if self.peers[from].core.is_none() {
            return;
        }
        let peers = self.peers.len();
        let forwarding = if self.mesh.is_empty() { 0 } else { peers };
        let message = Rc::new(Message::new(send.message, from, now, forwarding));
        match send.to {
            Recipients::Everyone => (0..peers).for_each(|to| self.send(from, to, &message, now)),
            Recipients::Only(some) => {
                some.into_iter()
                    .filter(|to| *to < peers)
                    .for_each(|to| self.send(from, to, &message, now));
            }
        }
    }

    /// Sends a message over one link, unless the receiver gets it sooner from somebody else.
    fn send(&mut self, from: usize, to: usize, message: &Rc<Message>, now: Millis) {
        if from == to || !message.comes_after(to, now + self.network.shortest_ms(from, to)) {
            return;
        }
        let arrival = self.network.arrival(from, to, message.id, now);
        if let Some(at) = arrival.filter(|at| message.expect(to, *at)) {
            self.schedule(at, to, EventKind::Arrival(from as u32, message.clone()));
        }
    }

    /// Hands on what the core accepted, after it was asked.
    pub(super) fn forward_accepted(
        &mut self,
        from: usize,
        is_new: bool,
        accepted: u64,
        outputs: &[Output],
        now: Millis,
    ) {
        if self.mesh.is_empty() {
            return;
        }
        let peer = &mut self.peers[from];
        let messages = peer.inbox.judged(is_new, accepted, outputs);
        if !peer.forwards() {
            return;
        }
        for message in messages {
            for place in 0..self.mesh.degree() {
                let to = self.mesh.neighbour(from, place);
                self.send(from, to, &message, now);
            }
        }
    }
}
