//! What the daemon asks for.

use std::sync::Arc;

use libp2p::gossipsub::PublishError;
use swarm_identity::PeerId;

use super::Task;
use crate::bulk::network::{Purpose, Traffic};
use crate::bulk::streams::{OpenError, Opened};
use crate::event::{GossipId, Verdict};
use crate::handle::{Answer, Command};
use crate::limits::Behaviour;
use crate::request::RequestError;
use crate::{gossip, peer_id};

impl Task {
    pub(super) fn on_command(&mut self, command: Command) {
        match command {
            Command::Publish(bytes) => self.publish(bytes),
            Command::Judge(id, from, verdict) => self.judge(id, from, verdict),
            Command::Request(peer, bytes, answer) => self.ask(peer, bytes, answer),
            Command::Report(peer, behaviour) => self.score(peer, behaviour),
            Command::Offer(source, addresses) => self.add_addresses(source, addresses),
            Command::Open(peer, purpose, opened) => self.open(peer, purpose, opened),
            Command::Moved(peer, purpose, traffic) => self.moved(peer, purpose, traffic),
            // The loop ends before it comes here.
            Command::Shutdown(done) => drop(done.send(())),
        }
    }

    fn open(&mut self, peer: PeerId, purpose: Purpose, opened: Opened) {
        let parts = self.swarm.behaviour_mut();
        let streams = match purpose {
            Purpose::Blobs => &mut parts.blobs,
            Purpose::Channels => &mut parts.channels,
        };
        match peer_id::to_libp2p(peer) {
            Ok(id) => streams.open(id, opened),
            Err(_) => drop(opened.send(Err(OpenError::Unreachable))),
        }
    }

    fn moved(&mut self, peer: PeerId, purpose: Purpose, traffic: Traffic) {
        let stats = &mut self.stats;
        let (sent, received) = match purpose {
            Purpose::Blobs => (&mut stats.blob_bytes_sent, &mut stats.blob_bytes_received),
            Purpose::Channels => (
                &mut stats.channel_bytes_sent,
                &mut stats.channel_bytes_received,
            ),
        };
        *sent += traffic.sent;
        *received += traffic.received;
        let peer = peer_id::to_libp2p(peer)
            .ok()
            .and_then(|id| self.peers.get_mut(&id));
        if let Some(peer) = peer {
            peer.sent += traffic.sent;
            peer.received += traffic.received;
        }
    }

    fn publish(&mut self, bytes: Arc<[u8]>) {
        let lost = self.outbox.push(bytes);
        self.stats.records_unsent += u64::from(lost);
        self.send_outbox();
    }

    /// Publishes what waits, until nobody takes any more.
    pub(super) fn send_outbox(&mut self) {
        while let Some(bytes) = self.outbox.pop() {
            let gossip = &mut self.swarm.behaviour_mut().gossip;
            match gossip.publish(self.topic.hash(), bytes.to_vec()) {
                Ok(_) => self.stats.records_published += 1,
                // It is on its way already, from here or from elsewhere.
                Err(PublishError::Duplicate) => {}
                Err(PublishError::NoPeersSubscribedToTopic) => {
                    return self.outbox.put_back(bytes);
                }
                Err(_) => self.stats.records_unsent += 1,
            }
        }
    }

    fn judge(&mut self, id: GossipId, from: PeerId, verdict: Verdict) {
        let Ok(source) = peer_id::to_libp2p(from) else {
            return;
        };
        let parts = self.swarm.behaviour_mut();
        let pending = parts.gossip.report_message_validation_result(
            &gossip::to_message(id),
            &source,
            gossip::acceptance(verdict),
        );
        self.stats.verdicts_late += u64::from(!pending);
        match verdict {
            Verdict::Accept => {
                self.stats.records_accepted += 1;
                self.score(from, Behaviour::UsefulRecord);
            }
            Verdict::Ignore => self.stats.records_ignored += 1,
            Verdict::Reject => {
                self.stats.records_rejected += 1;
                self.score(from, Behaviour::InvalidRecord);
            }
        }
    }

    fn ask(&mut self, peer: PeerId, bytes: Vec<u8>, answer: Answer) {
        let Ok(id) = peer_id::to_libp2p(peer) else {
            return drop(answer.send(Err(RequestError::Unreachable)));
        };
        self.asked.retain(|_, answer| !answer.is_closed());
        if self.asked.len() >= self.limits.waiting {
            return drop(answer.send(Err(RequestError::Busy)));
        }
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.sent += bytes.len() as u64;
        }
        let request = self
            .swarm
            .behaviour_mut()
            .requests
            .send_request(&id, Ok(bytes));
        self.asked.insert(request, answer);
    }
}
