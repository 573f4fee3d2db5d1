//! Requests of others and answers to own ones.

use std::time::Instant;

use libp2p::PeerId;
use libp2p::request_response::{Event, InboundRequestId, Message};
use tokio::sync::oneshot;

use super::Task;
use crate::event::{Event as NetEvent, Reply};
use crate::limits::Behaviour;
use crate::request::{Bad, Channel, RequestError, failure};

impl Task {
    pub(super) fn on_request(&mut self, event: Event<Result<Vec<u8>, Bad>, Vec<u8>>) {
        match event {
            Event::Message { peer, message, .. } => match message {
                Message::Request {
                    request_id,
                    request,
                    channel,
                } => match request {
                    Ok(bytes) => self.on_asked(peer, request_id, bytes, channel),
                    Err(bad) => self.on_bad(&peer, bad),
                },
                Message::Response {
                    request_id,
                    response,
                } => {
                    self.on_told(peer, &response);
                    self.resolve(&request_id, Ok(response));
                }
            },
            Event::OutboundFailure {
                request_id, error, ..
            } => self.resolve(&request_id, Err(failure(error))),
            // Whether the answer was late or unwanted, the peer is not to blame.
            Event::InboundFailure {
                peer, request_id, ..
            }
            | Event::ResponseSent {
                peer, request_id, ..
            } => self.no_longer_asking(&peer, &request_id),
        }
    }

    fn on_asked(&mut self, id: PeerId, request: InboundRequestId, bytes: Vec<u8>, to: Channel) {
        let now = Instant::now();
        let all = self.asking.len() < self.limits.waiting;
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        let name = peer.name;
        let quota = peer.take_request(bytes.len(), now);
        if !quota || !all || peer.waiting >= self.limits.waiting_per_peer {
            self.stats.requests_refused += 1;
            if !quota {
                self.score(name, Behaviour::Flood);
            }
            return;
        }
        let (sender, answer) = oneshot::channel();
        let offered = self.offer(NetEvent::Request {
            from: name,
            bytes,
            reply: Reply(sender),
        });
        if !offered {
            self.stats.requests_refused += 1;
            return;
        }
        self.stats.requests_received += 1;
        self.asking.insert(request, id);
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.waiting += 1;
        }
        self.answers
            .push(Box::pin(async move { (request, to, answer.await.ok()) }));
    }

    /// The daemon answered or refused.
    pub(super) fn on_answer(
        &mut self,
        request: InboundRequestId,
        to: Channel,
        answer: Option<Vec<u8>>,
    ) {
        let peer = self.asking.get(&request).copied();
        let Some(bytes) = answer else {
            return;
        };
        if let Some(peer) = peer.and_then(|id| self.peers.get_mut(&id)) {
            peer.sent += bytes.len() as u64;
        }
        // A peer that no longer waits is told by the failure that follows.
        let _ = self.swarm.behaviour_mut().requests.send_response(to, bytes);
    }

    fn on_told(&mut self, id: PeerId, bytes: &[u8]) {
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.received += bytes.len() as u64;
            let name = peer.name;
            self.score(name, Behaviour::UsefulAnswer);
        }
    }

    fn resolve(
        &mut self,
        request: &libp2p::request_response::OutboundRequestId,
        outcome: Result<Vec<u8>, RequestError>,
    ) {
        match outcome {
            Ok(_) => self.stats.requests_answered += 1,
            Err(_) => self.stats.requests_failed += 1,
        }
        if let Some(answer) = self.asked.remove(request) {
            // Whoever asked may have given up.
            let _ = answer.send(outcome);
        }
    }

    fn on_bad(&mut self, id: &PeerId, bad: Bad) {
        self.stats.requests_bad += 1;
        let behaviour = match bad {
            Bad::Oversize => Behaviour::Oversize,
            Bad::Stalled => Behaviour::Stalled,
            // It may have been cut off itself.
            Bad::Broken => Behaviour::Unhelpful,
        };
        if let Some(name) = self.peers.get(id).map(|peer| peer.name) {
            self.score(name, behaviour);
        }
    }

    fn no_longer_asking(&mut self, id: &PeerId, request: &InboundRequestId) {
        let known = self.asking.remove(request).is_some();
        if let Some(peer) = self.peers.get_mut(id).filter(|_| known) {
            peer.waiting = peer.waiting.saturating_sub(1);
        }
    }
}
