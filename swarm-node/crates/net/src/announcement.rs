//! Addresses of a node as they stand on a chain: text, separated by spaces, without the peer.
//!
//! ```text
//! /ip4/203.0.113.5/udp/4001/quic-v1 /ip4/203.0.113.5/tcp/4001
//! ```
//! Anybody who pays for it can write there, so what is read is hostile input: of it only addresses
//! count that can be called from anywhere ([`Scope::Internet`]), and the node's key comes from the
//! chain, which knows whose it is.

use libp2p::Multiaddr;
use swarm_identity::PeerId;

use crate::address::{self, Reach};
use crate::limits::{MAX_ADDRESSES_PER_PEER, MAX_ANNOUNCEMENT_BYTES};
use crate::peer_id;

/// Which addresses count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Those on the internet: what strangers write must not make a node call machines of the
    /// network that it is in.
    Internet,
    /// All, for a chain that is made for development and whose nodes are on one machine.
    Everywhere,
}

impl Scope {
    fn has(self, address: &Multiaddr) -> bool {
        match address::ip(address).and_then(address::reach) {
            Some(Reach::Public) => true,
            Some(Reach::Loopback | Reach::Private) => self == Self::Everywhere,
            None => false,
        }
    }
}

/// The addresses of a node in what its owner wrote, with the peer at their ends; what is none is
/// left out. At most [`MAX_ADDRESSES_PER_PEER`].
pub fn parse(bytes: &[u8], peer: PeerId, scope: Scope) -> Vec<Multiaddr> {
    let (Ok(text), Ok(peer)) = (std::str::from_utf8(bytes), peer_id::to_libp2p(peer)) else {
        return Vec::new();
    };
    if text.len() > MAX_ANNOUNCEMENT_BYTES {
        return Vec::new();
    }
    let mut kept = Vec::new();
    let told = text
        .split_ascii_whitespace()
        .filter_map(|it| it.parse().ok());
    for address in told.filter(|address| address::is_plain(address) && scope.has(address)) {
        let address = address::with_peer(address, peer);
        if kept.len() < MAX_ADDRESSES_PER_PEER && !kept.contains(&address) {
            kept.push(address);
        }
    }
    kept
}

/// What a node writes of its addresses: those of this scope that can be called without a relay, in
/// order, as many as fit.
pub fn to_text(addresses: &[Multiaddr], scope: Scope) -> String {
    let mut texts: Vec<String> = addresses
        .iter()
        .map(|address| address::without_peer(address.clone()))
        .filter(|address| {
            address::is_plain(address) && !address::is_relayed(address) && scope.has(address)
        })
        .map(|address| address.to_string())
        .collect();
    texts.sort_unstable();
    texts.dedup();
    texts.truncate(MAX_ADDRESSES_PER_PEER);
    while texts.iter().map(|text| text.len() + 1).sum::<usize>() > MAX_ANNOUNCEMENT_BYTES {
        texts.pop();
    }
    texts.join(" ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::secret;

    fn peer() -> PeerId {
        swarm_identity::NodeKey::from(&secret(7)).peer()
    }

    #[test]
    fn what_was_written_is_read_and_junk_is_left_out_one_by_one() {
        let own: Vec<Multiaddr> = [
            "/ip4/8.8.8.8/udp/4001/quic-v1",
            "/ip6/2001:4860::1/tcp/4001",
        ]
        .map(|text| text.parse().unwrap())
        .into();
        let text = to_text(&own, Scope::Internet);
        let id = peer_id::to_libp2p(peer()).unwrap();
        let full = own.iter().map(|it| address::with_peer(it.clone(), id));
        let full: Vec<Multiaddr> = full.collect();
        assert_eq!(parse(text.as_bytes(), peer(), Scope::Internet), full);
        let junk = "rubbish /ip4/8.8.8.8/tcp/0 /dns4/victim.example/tcp/80 /ip4/127.0.0.1/tcp/1 \
                    /ip4/192.168.0.1/tcp/1 /ip4/224.0.0.1/tcp/1";
        let both = format!("{junk} {text}\n{text}");
        assert_eq!(parse(both.as_bytes(), peer(), Scope::Internet), full);
        assert_eq!(parse(both.as_bytes(), peer(), Scope::Everywhere).len(), 4);
        // An address with somebody else's key is one of this node's, or nobody's.
        let stranger = format!("/ip4/8.8.8.8/tcp/1/p2p/{}", libp2p::PeerId::random());
        assert_eq!(parse(stranger.as_bytes(), peer(), Scope::Internet), []);
        assert_eq!(parse(&[0xff; 9], peer(), Scope::Internet), []);
        assert_eq!(
            parse(b"/ip4/8.8.8.8/tcp/1", PeerId([9; 33]), Scope::Internet),
            []
        );
    }

    #[test]
    fn both_directions_are_bounded() {
        let many: Vec<Multiaddr> = (1..100)
            .map(|port| format!("/ip4/8.8.8.8/tcp/{port}").parse().unwrap())
            .collect();
        let text = to_text(&many, Scope::Internet);
        assert!(text.len() <= MAX_ANNOUNCEMENT_BYTES);
        let read = parse(text.as_bytes(), peer(), Scope::Internet);
        assert_eq!(read.len(), MAX_ADDRESSES_PER_PEER);
        let long = format!("/ip4/8.8.8.8/tcp/1{}", " ".repeat(MAX_ANNOUNCEMENT_BYTES));
        assert_eq!(parse(long.as_bytes(), peer(), Scope::Internet), []);
        let circuit = format!(
            "/ip4/8.8.8.8/tcp/1/p2p/{}/p2p-circuit",
            libp2p::PeerId::random()
        );
        assert_eq!(to_text(&[circuit.parse().unwrap()], Scope::Internet), "");
    }

    proptest! {
        #[test]
        fn whatever_is_read_can_be_written_and_read_again(text in "[ -~]{0,200}") {
            let read = parse(text.as_bytes(), peer(), Scope::Everywhere);
            let plain = to_text(&read, Scope::Everywhere);
            let again = parse(plain.as_bytes(), peer(), Scope::Everywhere);
            for address in &again {
                prop_assert!(read.contains(address));
            }
        }
    }
}
