//! What happens in the swarm.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use libp2p::core::ConnectedPoint;
use libp2p::core::transport::{ListenerId, PortUse};
use libp2p::swarm::{ConnectionId, SwarmEvent};
use libp2p::{Multiaddr, PeerId, gossipsub, identify, mdns, ping, upnp};

use super::Task;
use crate::behaviour::BehaviourEvent;
use crate::config::FAMILY;
use crate::event::{Event, Route, Verdict};
use crate::limits::Behaviour;
use crate::peers::Opened;
use crate::source::Source;
use crate::{address, gossip, peer_id, run_name};

impl Task {
    pub(super) fn on_swarm(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(event) => self.on_behaviour(event),
            SwarmEvent::NewListenAddr { address, .. } => self.emit(Event::Listening(address)),
            SwarmEvent::ConnectionEstablished {
                peer_id,
                connection_id,
                endpoint,
                ..
            } => self.on_opened(peer_id, connection_id, &endpoint),
            SwarmEvent::ConnectionClosed {
                peer_id,
                connection_id,
                ..
            } => self.on_closed(&peer_id, connection_id),
            SwarmEvent::OutgoingConnectionError { connection_id, .. } => {
                self.on_dial_failed(connection_id);
            }
            SwarmEvent::IncomingConnectionError { .. } => self.stats.incoming_failed += 1,
            SwarmEvent::ExternalAddrConfirmed { address } => self.on_own_address(address),
            SwarmEvent::ExternalAddrExpired { address } => self.on_own_address_lost(&address),
            SwarmEvent::ListenerClosed {
                listener_id,
                addresses,
                reason,
            } => self.on_listener_closed(listener_id, &addresses, reason),
            _ => {}
        }
    }

    fn on_behaviour(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Gossip(event) => self.on_gossip(event),
            BehaviourEvent::Requests(event) => self.on_request(event),
            BehaviourEvent::Runs(event) => self.on_run_question(event),
            BehaviourEvent::Identify(event) => self.on_identify(event),
            BehaviourEvent::Ping(event) => self.on_ping(&event),
            BehaviourEvent::Mdns(mdns::Event::Discovered(found)) => self.on_found(found),
            BehaviourEvent::Reachable(event) => self.on_reach_test(event),
            BehaviourEvent::HolePunching(event) => self.on_hole_punched(&event),
            BehaviourEvent::Upnp(event) => self.on_upnp(&event),
            _ => {}
        }
    }

    fn on_listener_closed(
        &mut self,
        listener: ListenerId,
        addresses: &[Multiaddr],
        reason: io::Result<()>,
    ) {
        let relay = self.on_relay_closed(listener);
        if let (None, Err(error)) = (relay, reason) {
            let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            self.emit(Event::Unavailable {
                what: format!("listening at {}", addresses.join(", ")),
                reason: error.to_string(),
            });
        }
    }

    fn on_opened(&mut self, id: PeerId, connection: ConnectionId, endpoint: &ConnectedPoint) {
        // The gate let it in, so it has a name.
        let Ok(name) = peer_id::from_libp2p(&id) else {
            return;
        };
        let now = Instant::now();
        if let Some(target) = self.calls.remove(&connection) {
            self.dialler.succeeded(target, id, now);
        }
        self.stats.connections += 1;
        let address = match endpoint {
            ConnectedPoint::Dialer { address, .. } => address.clone(),
            ConnectedPoint::Listener {
                local_addr,
                send_back_addr,
            } => address::remote(local_addr, send_back_addr),
        };
        let route = match address::is_relayed(&address) {
            true => Route::Relayed,
            false => Route::Direct,
        };
        let own_port = matches!(
            endpoint,
            ConnectedPoint::Dialer {
                port_use: PortUse::Reuse,
                ..
            }
        );
        let opened = Opened {
            id: connection,
            address: address.clone(),
            outgoing: endpoint.is_dialer(),
            own_port,
        };
        if self.peers.opened((id, name), opened, now) {
            self.emit(Event::Connected {
                peer: name,
                address,
                route,
            });
            self.publish_snapshot();
        }
    }

    fn on_closed(&mut self, id: &PeerId, connection: ConnectionId) {
        if let Some(peer) = self.peers.closed(id, connection) {
            self.dialler.lost(id, Instant::now());
            self.emit(Event::Disconnected { peer });
            self.publish_snapshot();
        }
    }

    fn on_dial_failed(&mut self, connection: ConnectionId) {
        self.stats.dials_failed += 1;
        if let Some(target) = self.calls.remove(&connection) {
            self.dialler.failed(target, Instant::now());
        }
    }

    fn on_gossip(&mut self, event: gossipsub::Event) {
        match event {
            gossipsub::Event::Message {
                propagation_source,
                message_id,
                message,
            } => self.on_record(propagation_source, &message_id, message.data),
            gossipsub::Event::Subscribed { .. } => self.send_outbox(),
            _ => {}
        }
    }

    fn on_record(&mut self, source: PeerId, message: &gossipsub::MessageId, bytes: Vec<u8>) {
        let now = Instant::now();
        self.stats.records_received += 1;
        self.stats.record_bytes_received += bytes.len() as u64;
        let from = self.peers.get_mut(&source).map(|peer| {
            let within = peer.take_record(bytes.len(), now);
            (peer.name, within)
        });
        let taken = match (from, gossip::from_message(message)) {
            (Some((from, true)), Some(id)) => self.offer(Event::Gossip {
                from,
                id,
                bytes: Arc::from(bytes),
            }),
            (Some((from, false)), _) => {
                self.stats.records_over_quota += 1;
                self.score(from, Behaviour::Flood);
                false
            }
            _ => false,
        };
        if !taken {
            let verdict = gossip::acceptance(Verdict::Ignore);
            let gossip = &mut self.swarm.behaviour_mut().gossip;
            gossip.report_message_validation_result(message, &source, verdict);
        }
    }

    fn on_identify(&mut self, event: identify::Event) {
        let identify::Event::Received {
            connection_id,
            peer_id: id,
            info,
        } = event
        else {
            return;
        };
        let foreign = info.protocol_version.starts_with(FAMILY)
            && info.protocol_version != self.protocols.prefix;
        if foreign {
            // A node of another swarm, found on the local network: neither has a use for the other.
            self.dialler.forget(&id);
            let _ = self.swarm.disconnect_peer_id(id);
            return;
        }
        let (program, run) = run_name::split(&info.agent_version);
        if let Some(run) = run
            && !self.is_present_run(id, run)
        {
            // Its process is a new one, and some of its connections lead to the old one.
            let _ = self.swarm.disconnect_peer_id(id);
            return;
        }
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        peer.set_agent(program);
        peer.relays = info.protocols.contains(&libp2p::relay::HOP_PROTOCOL_NAME);
        let remote = peer.address().cloned();
        self.on_observed(&id, connection_id, info.observed_addr);
        let Some(remote) = remote else { return };
        let addresses = address::worth_dialling(info.listen_addrs, &remote);
        if info.protocols.contains(&self.protocols.kademlia) {
            self.on_member(id, addresses);
        }
    }

    /// A node of this swarm told its addresses.
    fn on_member(&mut self, id: PeerId, addresses: Vec<Multiaddr>) {
        let new = {
            let kademlia = &mut self.swarm.behaviour_mut().kademlia;
            let new = kademlia
                .kbucket(id)
                .is_none_or(|bucket| !bucket.iter().any(|entry| *entry.node.key.preimage() == id));
            for address in &addresses {
                kademlia.add_address(&id, address.clone());
            }
            new
        };
        self.dialler.reached(id, addresses, Instant::now());
        if new && self.peers.called() < self.limits.wanted_peers {
            self.discover();
        }
    }

    fn on_ping(&mut self, event: &ping::Event) {
        let rtt = match &event.result {
            Ok(rtt) => Some(*rtt),
            Err(ping::Failure::Unsupported) => return,
            Err(_) => None,
        };
        if self.peers.pinged(&event.peer, event.connection, rtt) {
            self.stats.connections_dead += 1;
            self.swarm.close_connection(event.connection);
        }
    }

    fn on_found(&mut self, found: Vec<(PeerId, Multiaddr)>) {
        let found = found.into_iter();
        let found = found.map(|(peer, address)| address::with_peer(address, peer));
        self.add_addresses(Source::Mdns, found.collect());
    }

    fn on_upnp(&mut self, event: &upnp::Event) {
        let reason = match event {
            upnp::Event::GatewayNotFound => "no router here forwards ports on request",
            upnp::Event::NonRoutableGateway => "the router itself is behind another one",
            _ => return,
        };
        self.emit(Event::Unavailable {
            what: "UPnP".into(),
            reason: reason.into(),
        });
    }
}
