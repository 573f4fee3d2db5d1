//! Tests of this node's addresses, and relays while nobody reaches it.

use std::time::Instant;

use libp2p::core::transport::ListenerId;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId, autonat, dcutr, kad};

use super::Task;
use crate::address::{self, Reach};
use crate::event::{Event, Reachability, Route};

impl Task {
    pub(super) fn on_reach_test(&mut self, event: autonat::v2::client::Event) {
        if event.result.is_err() {
            self.reach
                .failed(event.tested_addr, event.server, Instant::now());
            self.tell_reach();
        }
    }

    pub(super) fn on_own_address(&mut self, address: Multiaddr) {
        self.reach.confirmed(address);
        self.tell_reach();
    }

    pub(super) fn on_own_address_lost(&mut self, address: &Multiaddr) {
        self.reach.expired(address);
        self.tell_reach();
    }

    pub(super) fn on_hole_punched(&mut self, event: &dcutr::Event) {
        match event.result {
            Ok(_) => self.stats.holes_punched += 1,
            Err(_) => self.stats.holes_failed += 1,
        }
    }

    /// A peer told at which address it sees this node, by one of its connections.
    pub(super) fn on_observed(
        &mut self,
        peer: &PeerId,
        connection: ConnectionId,
        observed: Multiaddr,
    ) {
        let Some(peer) = self.peers.get(peer) else {
            return;
        };
        let observed = address::without_peer(observed);
        if peer.sees_listener(connection) && address::is_plain(&observed) {
            self.swarm.behaviour_mut().reachable.observe(observed);
            return;
        }
        // Tests can be asked only of peers that this node called, and a bootstrap calls nobody. But
        // whoever calls it has reached it. What the peer tells only picks one of the addresses of
        // this machine's own, so it can say little that is false.
        let is_own = self.swarm.listeners().any(|own| *own == observed);
        let is_public = address::ip(&observed).and_then(address::reach) == Some(Reach::Public);
        if peer.called_first(connection) && is_own && is_public {
            self.swarm.add_external_address(observed.clone());
            self.on_own_address(observed);
        }
    }

    /// Tells the daemon if it is known better whether others reach this node, and acts by it.
    pub(super) fn tell_reach(&mut self) {
        let state = self.reach.state(Instant::now());
        if self.reach_told.as_ref() == Some(&state) {
            return;
        }
        // Who cannot be reached answers nobody's queries. Whom a relay leads to is in the tables of
        // others by that address, or no two nodes behind routers would find each other.
        let mode = match &state {
            Reachability::Private { relays } if relays.is_empty() => kad::Mode::Client,
            Reachability::Unknown | Reachability::Private { .. } | Reachability::Public { .. } => {
                kad::Mode::Server
            }
        };
        self.swarm.behaviour_mut().kademlia.set_mode(Some(mode));
        self.reach_told = Some(state.clone());
        self.emit(Event::Reachability(state));
        self.seek_relays();
    }

    /// Asks connected relays for a place while this node needs one.
    pub(super) fn seek_relays(&mut self) {
        let peers = &self.peers;
        let relays = peers
            .iter()
            .filter(|(_, peer)| peer.relays && peer.route() == Route::Direct)
            .map(|(id, _)| *id);
        for relay in self.reach.wanted(relays, Instant::now()) {
            let address = self.peers.get(&relay).and_then(|peer| peer.address());
            let Some(address) = address.cloned() else {
                continue;
            };
            let circuit = address::with_peer(address, relay).with(Protocol::P2pCircuit);
            match self.swarm.listen_on(circuit) {
                Ok(listener) => _ = self.relays.insert(listener, relay),
                Err(_) => self.reach.refused(&relay),
            }
        }
    }

    pub(super) fn on_relay_closed(&mut self, listener: ListenerId) -> Option<PeerId> {
        let relay = self.relays.remove(&listener)?;
        self.reach.refused(&relay);
        Some(relay)
    }
}
