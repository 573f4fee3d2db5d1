//! Bounds the addresses that peers make this node test.
//!
//! Every peer tells, as often as it likes, at which address it sees this node, and each new one
//! becomes a candidate that AutoNAT keeps for ever and has tested by other peers. So only
//! [`MAX_CANDIDATES`](crate::limits::MAX_CANDIDATES) different ones get through in each period; a
//! node has a handful.
//!
//! Candidates are named by identify, which takes an observed port that the node does not listen on
//! for one of a single connection and puts the node's own port in its place. Behind a router that
//! translates ports that is an address where nobody is, and no hole can be punched. So what is seen
//! of a connection that leaves from the listening port is named here as it is
//! ([`Behaviour::observe`]).

use std::collections::{HashSet, VecDeque};
use std::task::{Context, Poll};
use std::time::Instant;

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent,
    THandlerOutEvent, ToSwarm,
};
use libp2p::{Multiaddr, PeerId, autonat};

use crate::address;
use crate::limits::{CANDIDATE_PERIOD, MAX_CANDIDATES};

type Client = autonat::v2::client::Behaviour;

/// The addresses that got through in this period.
#[derive(Debug)]
struct Quota {
    seen: HashSet<Multiaddr>,
    since: Instant,
}

impl Quota {
    fn new(now: Instant) -> Self {
        Self {
            seen: HashSet::new(),
            since: now,
        }
    }

    fn admits(&mut self, address: &Multiaddr, now: Instant) -> bool {
        if now.saturating_duration_since(self.since) >= CANDIDATE_PERIOD {
            *self = Self::new(now);
        }
        if self.seen.contains(address) {
            return true;
        }
        let room = self.seen.len() < MAX_CANDIDATES;
        if room {
            self.seen.insert(address.clone());
        }
        room
    }
}

/// AutoNAT's client behind a quota of candidates.
pub(crate) struct Behaviour {
    client: Client,
    quota: Quota,
    observed: VecDeque<Multiaddr>,
}

impl Behaviour {
    /// A peer sees this node at an address, by a connection that leaves from its listening port.
    pub(crate) fn observe(&mut self, address: Multiaddr) {
        if self.observed.len() < MAX_CANDIDATES {
            self.observed.push_back(address);
        }
    }
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            client: Client::default(),
            quota: Quota::new(Instant::now()),
            observed: VecDeque::new(),
        }
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = THandler<Client>;
    type ToSwarm = autonat::v2::client::Event;

    fn handle_established_inbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.client
            .handle_established_inbound_connection(id, peer, local, remote)
    }

    fn handle_established_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        remote: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.client
            .handle_established_outbound_connection(id, peer, remote, role, port)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        // A place at a relay is confirmed by the relay; a test would only count it twice.
        if let FromSwarm::NewExternalAddrCandidate(candidate) = &event
            && (address::is_relayed(candidate.addr)
                || !self.quota.admits(candidate.addr, Instant::now()))
        {
            return;
        }
        self.client.on_swarm_event(event);
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        id: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        self.client.on_connection_handler_event(peer, id, event);
    }

    fn poll(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        match self.observed.pop_front() {
            Some(address) => Poll::Ready(ToSwarm::NewExternalAddrCandidate(address)),
            None => self.client.poll(context),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_are_bounded_in_each_period() {
        let start = Instant::now();
        let mut quota = Quota::new(start);
        let at = |port: usize| format!("/ip4/8.8.8.8/tcp/{port}").parse().unwrap();
        let admitted = (0..500).filter(|port| quota.admits(&at(*port), start));
        assert_eq!(admitted.count(), MAX_CANDIDATES);
        assert!(quota.admits(&at(0), start), "a known one");
        assert!(quota.admits(&at(499), start + CANDIDATE_PERIOD));
        assert_eq!(quota.seen.len(), 1);
    }
}
