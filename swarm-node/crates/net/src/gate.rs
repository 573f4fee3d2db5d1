//! Who is let in: keys of the right type, and not too many connections from one address.
//!
//! ```text
//! incoming ─▶ address over its count or rate? ─▶ refused before the handshake
//!          ─▶ key is not secp256k1?           ─▶ refused after it
//! ```
//! Names cost nothing on this network, addresses do: a crowd of made-up names from one machine gets
//! [`Limits::per_address`] places. An IPv6 network (/64) counts as one address. The table holds
//! addresses with open connections and those whose rate has not recovered, which the rate itself
//! bounds; beyond [`MAX_ADDRESSES`], addresses that are not known are refused.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{IpAddr, Ipv6Addr};
use std::task::{Context, Poll};
use std::time::Instant;

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent,
    THandlerOutEvent, ToSwarm, dummy,
};
use libp2p::{Multiaddr, PeerId};
use thiserror::Error;

use crate::address;
use crate::bucket::Bucket;
use crate::limits::Limits;
use crate::peer_id;

/// Addresses that are remembered at once.
const MAX_ADDRESSES: usize = 4096;

/// Why a connection is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum Refused {
    #[error("{0} has as many connections as one address may have")]
    Many(IpAddr),
    #[error("{0} opens connections faster than one address may")]
    Fast(IpAddr),
    #[error("connections from more addresses than the node can count")]
    Crowd,
}

#[derive(Debug)]
struct Place {
    open: u32,
    rate: Bucket,
}

/// Connections by address.
#[derive(Debug)]
struct Table {
    limits: Limits,
    places: HashMap<IpAddr, Place>,
    counted: HashMap<ConnectionId, IpAddr>,
}

impl Table {
    fn new(limits: Limits) -> Self {
        Self {
            limits,
            places: HashMap::new(),
            counted: HashMap::new(),
        }
    }

    /// Counts a connection that comes in, or refuses it.
    fn enter(&mut self, id: ConnectionId, from: IpAddr, now: Instant) -> Result<(), Refused> {
        if from.is_loopback() && !self.limits.limit_loopback {
            return Ok(());
        }
        let network = network(from);
        if self.places.len() >= MAX_ADDRESSES && !self.places.contains_key(&network) {
            self.tidy(now);
            if self.places.len() >= MAX_ADDRESSES {
                return Err(Refused::Crowd);
            }
        }
        let rate = self.limits.new_per_address;
        let place = self.places.entry(network).or_insert_with(|| Place {
            open: 0,
            rate: Bucket::new(rate, now),
        });
        if place.open >= self.limits.per_address {
            return Err(Refused::Many(from));
        }
        if !place.rate.take(1.0, now) {
            return Err(Refused::Fast(from));
        }
        place.open += 1;
        self.counted.insert(id, network);
        Ok(())
    }

    fn leave(&mut self, id: ConnectionId) {
        let place = self
            .counted
            .remove(&id)
            .and_then(|network| self.places.get_mut(&network));
        if let Some(place) = place {
            place.open -= 1;
        }
    }

    fn tidy(&mut self, now: Instant) {
        self.places
            .retain(|_, place| place.open > 0 || !place.rate.is_full(now));
    }
}

/// What counts as one address.
fn network(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

/// The gate as a part of the swarm.
#[derive(Debug)]
pub(crate) struct Behaviour(Table);

impl Behaviour {
    pub(crate) fn new(limits: Limits) -> Self {
        Self(Table::new(limits))
    }

    /// Forgets addresses that nothing is counted for.
    pub(crate) fn tidy(&mut self, now: Instant) {
        self.0.tidy(now);
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        id: ConnectionId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        // What comes through a relay has no address of its own; the relay limits it.
        match address::ip(remote).filter(|_| !address::is_relayed(remote)) {
            Some(ip) => {
                let entered = self.0.enter(id, ip, Instant::now());
                entered.map_err(ConnectionDenied::new)
            }
            None => Ok(()),
        }
    }

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        admit(&peer)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        admit(&peer)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionClosed(closed) => self.0.leave(closed.connection_id),
            FromSwarm::ListenFailure(failed) => self.0.leave(failed.connection_id),
            _ => {}
        }
    }

    fn on_connection_handler_event(
        &mut self,
        _: PeerId,
        _: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Infallible, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

fn admit(peer: &PeerId) -> Result<dummy::ConnectionHandler, ConnectionDenied> {
    peer_id::from_libp2p(peer)
        .map(|_| dummy::ConnectionHandler)
        .map_err(ConnectionDenied::new)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::limits::Rate;

    fn table() -> Table {
        Table::new(Limits {
            per_address: 3,
            new_per_address: Rate {
                per_second: 1.0,
                burst: 5.0,
            },
            ..Limits::default()
        })
    }

    fn id(number: usize) -> ConnectionId {
        ConnectionId::new_unchecked(number)
    }

    #[test]
    fn one_address_gets_its_places_and_its_rate() {
        let (mut table, now) = (table(), Instant::now());
        let [a, b] = [[8, 8, 8, 8], [9, 9, 9, 9]].map(IpAddr::from);
        for number in 0..3 {
            table.enter(id(number), a, now).unwrap();
        }
        assert_eq!(table.enter(id(3), a, now), Err(Refused::Many(a)));
        table.enter(id(4), b, now).unwrap();
        for number in 10..12 {
            table.leave(id(number - 10));
            table.enter(id(number), a, now).unwrap();
        }
        table.leave(id(2));
        assert_eq!(table.enter(id(13), a, now), Err(Refused::Fast(a)));
        table
            .enter(id(14), a, now + Duration::from_secs(1))
            .unwrap();
    }

    #[test]
    fn a_network_of_ipv6_is_one_address_and_loopback_is_free() {
        let (mut table, now) = (table(), Instant::now());
        for host in 1..4_u16 {
            let ip = Ipv6Addr::new(0x2001, 1, 1, 1, 0, 0, 0, host).into();
            table.enter(id(host.into()), ip, now).unwrap();
        }
        let same = Ipv6Addr::new(0x2001, 1, 1, 1, 9, 9, 9, 9).into();
        assert!(table.enter(id(9), same, now).is_err());
        for number in 0..100 {
            let loopback = IpAddr::from([127, 0, 0, 1]);
            table.enter(id(100 + number), loopback, now).unwrap();
        }
    }

    #[test]
    fn the_table_is_bounded_and_recovers() {
        let (mut table, now) = (table(), Instant::now());
        for number in 0..2 * MAX_ADDRESSES {
            let ip = IpAddr::from((number as u32 + (8 << 24)).to_be_bytes());
            if table.enter(id(number), ip, now).is_ok() {
                table.leave(id(number));
            }
        }
        assert_eq!(table.places.len(), MAX_ADDRESSES);
        table.tidy(now + Duration::from_secs(5));
        assert_eq!((table.places.len(), table.counted.len()), (0, 0));
    }
}
