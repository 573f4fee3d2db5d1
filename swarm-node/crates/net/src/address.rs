//! Addresses of other nodes: what is worth keeping, and what a stranger must not make this node
//! dial.
//!
//! A node tells its own addresses (identify), so they are hostile input. Kept are IP addresses with
//! a port, direct or through one relay, and only of a kind that can be reached from here: loopback
//! if the peer itself is on loopback, private networks if the peer is in one, public ones always.
//! Names are not resolved for strangers.

use std::net::IpAddr;

use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};

use crate::limits::MAX_ADDRESSES_PER_PEER;

/// From how far an IP address can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reach {
    /// This machine.
    Loopback,
    /// The local network, or a provider's.
    Private,
    /// The internet.
    Public,
}

/// The first IP address in an address.
pub(crate) fn ip(address: &Multiaddr) -> Option<IpAddr> {
    address.iter().find_map(|part| match part {
        Protocol::Ip4(ip) => Some(IpAddr::V4(ip)),
        Protocol::Ip6(ip) => Some(ip.to_canonical()),
        _ => None,
    })
}

/// From how far an IP address can be reached; `None` for those that belong to no single machine.
pub(crate) fn reach(ip: IpAddr) -> Option<Reach> {
    if ip.is_unspecified() || ip.is_multicast() {
        return None;
    }
    if ip.is_loopback() {
        return Some(Reach::Loopback);
    }
    let private = match ip {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            if a == 0 || ip.is_broadcast() || a >= 240 {
                return None;
            }
            // 100.64.0.0/10 is what providers use behind their own NAT.
            ip.is_private() || ip.is_link_local() || (a == 100 && b & 0xc0 == 64)
        }
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_unicast_link_local(),
    };
    Some(if private {
        Reach::Private
    } else {
        Reach::Public
    })
}

/// The peer at the end of an address.
pub(crate) fn peer(address: &Multiaddr) -> Option<PeerId> {
    match address.iter().last() {
        Some(Protocol::P2p(peer)) => Some(peer),
        _ => None,
    }
}

/// An address without the peer at its end.
pub(crate) fn without_peer(mut address: Multiaddr) -> Multiaddr {
    if peer(&address).is_some() {
        address.pop();
    }
    address
}

/// An address with the peer at its end.
pub(crate) fn with_peer(address: Multiaddr, peer: PeerId) -> Multiaddr {
    without_peer(address).with(Protocol::P2p(peer))
}

/// True for an address behind a relay.
pub(crate) fn is_relayed(address: &Multiaddr) -> bool {
    address.iter().any(|part| part == Protocol::P2pCircuit)
}

/// Where the peer at the other end of a connection is. A relay's circuit that comes in has no
/// remote address, and is named by the relay's.
pub(crate) fn remote(local: &Multiaddr, remote: &Multiaddr) -> Multiaddr {
    match is_relayed(local) && !is_relayed(remote) {
        true => without_peer(local.clone()),
        false => remote.clone(),
    }
}

/// Of the addresses that a peer tells, those that are worth a dial, seen from a connection to it at
/// `remote`; without the peer at their ends.
pub(crate) fn worth_dialling(told: Vec<Multiaddr>, remote: &Multiaddr) -> Vec<Multiaddr> {
    let nearest = ip(remote).and_then(reach);
    let nearest = nearest.filter(|_| !is_relayed(remote));
    let mut kept = Vec::new();
    for address in told.into_iter().map(without_peer) {
        let reachable = is_plain(&address)
            && ip(&address)
                .and_then(reach)
                .is_some_and(|reach| reach >= nearest.unwrap_or(Reach::Public));
        if reachable && !kept.contains(&address) {
            kept.push(address);
        }
        if kept.len() == MAX_ADDRESSES_PER_PEER {
            break;
        }
    }
    kept
}

/// `/ip…/tcp/…` or `/ip…/udp/…/quic-v1`, and perhaps `/p2p/…/p2p-circuit`.
pub(crate) fn is_plain(address: &Multiaddr) -> bool {
    let mut parts = address.iter();
    let is_ip = matches!(parts.next(), Some(Protocol::Ip4(_) | Protocol::Ip6(_)));
    let has_port = match parts.next() {
        Some(Protocol::Tcp(port)) => port != 0,
        Some(Protocol::Udp(port)) => port != 0 && parts.next() == Some(Protocol::QuicV1),
        _ => false,
    };
    let rest: Vec<Protocol<'_>> = parts.collect();
    let direct_or_one_relay = matches!(
        rest.as_slice(),
        [] | [Protocol::P2p(_), Protocol::P2pCircuit]
    );
    is_ip && has_port && direct_or_one_relay
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<Multiaddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn only_what_can_be_reached_from_here_is_kept() {
        let told = || {
            addresses(&[
                "/ip4/127.0.0.1/tcp/1",
                "/ip4/192.168.0.2/tcp/1",
                "/ip4/100.64.3.4/udp/1/quic-v1",
                "/ip4/8.8.8.8/tcp/1",
                "/ip6/fe80::1/tcp/1",
                "/ip6/2001:4860::1/udp/9/quic-v1",
            ])
        };
        let kept = |remote: &str| worth_dialling(told(), &remote.parse().unwrap()).len();
        assert_eq!(kept("/ip4/127.0.0.1/tcp/77"), 6);
        assert_eq!(kept("/ip4/192.168.0.2/tcp/77"), 5);
        assert_eq!(kept("/ip4/9.9.9.9/tcp/77"), 2);
        // The address of a relay says nothing about where the peer is.
        let relay = PeerId::random();
        assert_eq!(
            kept(&format!("/ip4/127.0.0.1/tcp/7/p2p/{relay}/p2p-circuit")),
            2
        );
    }

    #[test]
    fn what_strangers_must_not_make_us_dial_is_dropped() {
        let told = addresses(&[
            "/dns4/victim.example/tcp/80",
            "/ip4/8.8.8.8/tcp/0",
            "/ip4/8.8.8.8/udp/53",
            "/ip4/8.8.8.8/tcp/80/ws",
            "/ip4/0.0.0.0/tcp/5",
            "/ip4/255.255.255.255/tcp/5",
            "/ip4/224.0.0.251/tcp/5",
        ]);
        let kept = worth_dialling(told, &"/ip4/127.0.0.1/tcp/7".parse().unwrap());
        assert_eq!(kept, []);
        let many = (1..100).map(|port| format!("/ip4/8.8.8.8/tcp/{port}").parse().unwrap());
        let kept = worth_dialling(many.collect(), &"/ip4/8.8.8.8/tcp/7".parse().unwrap());
        assert_eq!(kept.len(), MAX_ADDRESSES_PER_PEER);
    }

    #[test]
    fn the_peer_at_the_end_comes_and_goes() {
        let peer = PeerId::random();
        let plain: Multiaddr = "/ip4/8.8.8.8/tcp/1".parse().unwrap();
        let full = with_peer(plain.clone(), peer);
        assert_eq!(super::peer(&full), Some(peer));
        assert_eq!(with_peer(full.clone(), peer), full);
        assert_eq!(without_peer(full), plain);
        assert_eq!(super::peer(&plain), None);
    }
}
