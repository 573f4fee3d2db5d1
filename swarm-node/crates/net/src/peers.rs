//! The peers that are connected, what is known of them and what they may still send; a pure table.

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime};

use libp2p::Multiaddr;
use libp2p::swarm::ConnectionId;
use swarm_identity::PeerId;

use crate::address;
use crate::bucket::Bucket;
use crate::event::Route;
use crate::limits::{Limits, MAX_AGENT_BYTES, PING_FAILURES};

/// What is shown of a connected peer.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PeerInfo {
    /// Who.
    pub peer: PeerId,
    /// Where it is, by the connection that is used first.
    pub address: Multiaddr,
    /// By which way.
    pub route: Route,
    /// Name and version of its program, as it says; empty until it does.
    pub agent: String,
    /// Time for a message there and back.
    pub rtt: Option<Duration>,
    /// Its score; see [`crate::limits`].
    pub score: f64,
    /// Since when it is connected.
    pub since: SystemTime,
    /// Bytes of records, requests, answers, blobs and frames that it sent.
    pub received: u64,
    /// Bytes of requests, answers, blobs and frames that were sent to it.
    pub sent: u64,
}

/// A connection that was opened.
#[derive(Clone, Debug)]
pub(crate) struct Opened {
    pub(crate) id: ConnectionId,
    /// Where the peer is.
    pub(crate) address: Multiaddr,
    /// Whether this node called.
    pub(crate) outgoing: bool,
    /// Whether it leaves from a port that this node listens on.
    pub(crate) own_port: bool,
}

#[derive(Debug)]
struct Link {
    opened: Opened,
    missed: u32,
}

impl Link {
    fn route(&self) -> Route {
        if address::is_relayed(&self.opened.address) {
            Route::Relayed
        } else {
            Route::Direct
        }
    }
}

/// One connected peer.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) name: PeerId,
    links: Vec<Link>,
    agent: String,
    rtt: Option<Duration>,
    since: SystemTime,
    pub(crate) received: u64,
    pub(crate) sent: u64,
    records: Bucket,
    record_bytes: Bucket,
    requests: Bucket,
    pub(crate) waiting: usize,
    /// It speaks the relay protocol for others.
    pub(crate) relays: bool,
}

impl Peer {
    /// The first direct connection, or the first one.
    fn best(&self) -> Option<&Link> {
        let direct = self.links.iter().find(|link| link.route() == Route::Direct);
        direct.or(self.links.first())
    }

    pub(crate) fn route(&self) -> Route {
        self.best().map_or(Route::Relayed, Link::route)
    }

    /// The remote address of the best connection.
    pub(crate) fn address(&self) -> Option<&Multiaddr> {
        self.best().map(|link| &link.opened.address)
    }

    /// True if a connection shows its peer the address at which others may reach this node: it is
    /// direct and leaves from a port that this node listens on.
    pub(crate) fn sees_listener(&self, connection: ConnectionId) -> bool {
        let mut links = self.links.iter();
        links.any(|link| {
            let Opened { id, own_port, .. } = link.opened;
            id == connection && own_port && link.route() == Route::Direct
        })
    }

    /// True if the peer called this node directly, and no other connection can have opened the way.
    pub(crate) fn called_first(&self, connection: ConnectionId) -> bool {
        match self.links.as_slice() {
            [link] => {
                let Opened { id, outgoing, .. } = link.opened;
                id == connection && !outgoing && link.route() == Route::Direct
            }
            _ => false,
        }
    }

    /// Takes a record from the peer's quota.
    pub(crate) fn take_record(&mut self, bytes: usize, now: Instant) -> bool {
        self.received += bytes as u64;
        self.records.take(1.0, now) && self.record_bytes.take(bytes as f64, now)
    }

    /// Takes a request from the peer's quota.
    pub(crate) fn take_request(&mut self, bytes: usize, now: Instant) -> bool {
        self.received += bytes as u64;
        self.requests.take(1.0, now)
    }

    /// Notes what the peer's program calls itself.
    pub(crate) fn set_agent(&mut self, program: &str) {
        self.agent = printable(program);
    }

    /// How many connections there are.
    pub(crate) fn connections(&self) -> usize {
        self.links.len()
    }
}

/// The visible ASCII of a stranger's text, cut.
fn printable(text: &str) -> String {
    text.chars()
        .filter(|char| char.is_ascii_graphic() || *char == ' ')
        .take(MAX_AGENT_BYTES)
        .collect()
}

/// All connected peers, by libp2p's peer id.
#[derive(Debug)]
pub(crate) struct Peers {
    limits: Limits,
    peers: HashMap<libp2p::PeerId, Peer>,
}

impl Peers {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            peers: HashMap::new(),
        }
    }

    /// Notes a connection; true if it is the first one with the peer.
    pub(crate) fn opened(
        &mut self,
        (id, name): (libp2p::PeerId, PeerId),
        connection: Opened,
        now: Instant,
    ) -> bool {
        let limits = &self.limits;
        let peer = self.peers.entry(id).or_insert_with(|| Peer {
            name,
            links: Vec::new(),
            agent: String::new(),
            rtt: None,
            since: SystemTime::now(),
            received: 0,
            sent: 0,
            records: Bucket::new(limits.records_per_peer, now),
            record_bytes: Bucket::new(limits.record_bytes_per_peer, now),
            requests: Bucket::new(limits.requests_per_peer, now),
            waiting: 0,
            relays: false,
        });
        peer.links.push(Link {
            opened: connection,
            missed: 0,
        });
        peer.links.len() == 1
    }

    /// Notes that a connection is gone; the peer's name if it was the last one.
    pub(crate) fn closed(
        &mut self,
        id: &libp2p::PeerId,
        connection: ConnectionId,
    ) -> Option<PeerId> {
        let peer = self.peers.get_mut(id)?;
        peer.links.retain(|link| link.opened.id != connection);
        if !peer.links.is_empty() {
            return None;
        }
        self.peers.remove(id).map(|peer| peer.name)
    }

    /// Notes a ping; true if the connection is dead and must be closed.
    pub(crate) fn pinged(
        &mut self,
        id: &libp2p::PeerId,
        connection: ConnectionId,
        rtt: Option<Duration>,
    ) -> bool {
        let Some(peer) = self.peers.get_mut(id) else {
            return false;
        };
        peer.rtt = rtt.or(peer.rtt);
        let link = peer
            .links
            .iter_mut()
            .find(|link| link.opened.id == connection);
        link.is_some_and(|link| {
            link.missed = rtt.map_or(link.missed + 1, |_| 0);
            link.missed >= PING_FAILURES
        })
    }

    pub(crate) fn get(&self, id: &libp2p::PeerId) -> Option<&Peer> {
        self.peers.get(id)
    }

    pub(crate) fn get_mut(&mut self, id: &libp2p::PeerId) -> Option<&mut Peer> {
        self.peers.get_mut(id)
    }

    pub(crate) fn contains(&self, id: &libp2p::PeerId) -> bool {
        self.peers.contains_key(id)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&libp2p::PeerId, &Peer)> {
        self.peers.iter()
    }

    pub(crate) fn len(&self) -> usize {
        self.peers.len()
    }

    /// Peers that this node called. Strangers cannot raise this number, so it tells whether further
    /// ones are worth a call.
    pub(crate) fn called(&self) -> usize {
        let called = |peer: &&Peer| peer.links.iter().any(|link| link.opened.outgoing);
        self.peers.values().filter(called).count()
    }

    pub(crate) fn relayed(&self) -> usize {
        let relayed = |peer: &&Peer| peer.route() == Route::Relayed;
        self.peers.values().filter(relayed).count()
    }

    /// What is shown of all peers, by name.
    pub(crate) fn infos(&self, score: impl Fn(&PeerId) -> f64) -> Vec<PeerInfo> {
        let mut infos: Vec<PeerInfo> = self
            .peers
            .values()
            .filter_map(|peer| {
                Some(PeerInfo {
                    peer: peer.name,
                    address: peer.address()?.clone(),
                    route: peer.route(),
                    agent: peer.agent.clone(),
                    rtt: peer.rtt,
                    score: score(&peer.name),
                    since: peer.since,
                    received: peer.received,
                    sent: peer.sent,
                })
            })
            .collect();
        infos.sort_by_key(|info| info.peer);
        infos
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(peers: &mut Peers, id: libp2p::PeerId, link: usize, address: &str) -> bool {
        let link = Opened {
            id: ConnectionId::new_unchecked(link),
            address: address.parse().unwrap(),
            outgoing: link % 2 == 1,
            own_port: link % 4 == 1,
        };
        peers.opened((id, PeerId([2; 33])), link, Instant::now())
    }

    #[test]
    fn a_peer_is_there_from_its_first_to_its_last_connection() {
        let (mut peers, id) = (Peers::new(Limits::default()), libp2p::PeerId::random());
        let relayed = format!("/ip4/8.8.8.8/tcp/1/p2p/{id}/p2p-circuit");
        assert!(opened(&mut peers, id, 1, &relayed));
        assert_eq!(peers.relayed(), 1);
        assert!(!opened(&mut peers, id, 2, "/ip4/8.8.8.8/tcp/1"));
        assert_eq!(peers.get(&id).unwrap().route(), Route::Direct);
        let [first, second] = [1, 2].map(ConnectionId::new_unchecked);
        assert_eq!(peers.called(), 1);
        assert_eq!(peers.closed(&id, first), None);
        assert_eq!(peers.called(), 0);
        assert_eq!(peers.closed(&id, second), Some(PeerId([2; 33])));
        assert_eq!((peers.len(), peers.closed(&id, second)), (0, None));
    }

    #[test]
    fn what_a_connection_shows_of_this_node_depends_on_who_opened_it() {
        let (mut peers, id) = (Peers::new(Limits::default()), libp2p::PeerId::random());
        let [out, inward, other] = [1, 2, 3].map(ConnectionId::new_unchecked);
        opened(&mut peers, id, 2, "/ip4/8.8.8.8/tcp/1");
        let peer = peers.get(&id).unwrap();
        assert!(peer.called_first(inward) && !peer.called_first(out));
        opened(&mut peers, id, 1, "/ip4/8.8.8.8/tcp/1");
        opened(&mut peers, id, 3, "/ip4/8.8.8.8/tcp/1");
        let peer = peers.get(&id).unwrap();
        assert!(
            !peer.called_first(inward),
            "another may have opened the way"
        );
        let sees = [out, inward, other].map(|link| peer.sees_listener(link));
        assert_eq!(sees, [true, false, false]);
        let relayed = format!("/ip4/8.8.8.8/tcp/1/p2p/{id}/p2p-circuit");
        opened(&mut peers, id, 5, &relayed);
        let peer = peers.get(&id).unwrap();
        assert!(!peer.sees_listener(ConnectionId::new_unchecked(5)));
    }

    #[test]
    fn a_connection_is_dead_after_pings_in_a_row() {
        let (mut peers, id) = (Peers::new(Limits::default()), libp2p::PeerId::random());
        opened(&mut peers, id, 1, "/ip4/8.8.8.8/tcp/1");
        let link = ConnectionId::new_unchecked(1);
        let pings = [None, None, Some(Duration::from_millis(3)), None, None, None];
        let dead: Vec<bool> = pings.map(|rtt| peers.pinged(&id, link, rtt)).into();
        assert_eq!(dead, [false, false, false, false, false, true]);
        assert_eq!(peers.infos(|_| 1.5)[0].rtt, pings[2]);
    }

    #[test]
    fn quotas_are_each_peers_own_and_texts_are_cut() {
        let (mut peers, now) = (Peers::new(Limits::default()), Instant::now());
        let ids = [libp2p::PeerId::random(), libp2p::PeerId::random()];
        let first = ids.map(|id| opened(&mut peers, id, 1, "/ip4/8.8.8.8/tcp/1"));
        assert_eq!(first, [true, true]);
        let first = peers.get_mut(&ids[0]).unwrap();
        let burst = Limits::default().requests_per_peer.burst as usize;
        let taken = (0..2 * burst)
            .filter(|_| first.take_request(1, now))
            .count();
        assert_eq!(taken, burst);
        first.set_agent(&format!("evil\u{1b}[31m\n{}", "x".repeat(1000)));
        assert!(peers.get_mut(&ids[1]).unwrap().take_request(1, now));
        let agents: Vec<usize> = peers
            .infos(|_| 0.0)
            .iter()
            .map(|info| info.agent.len())
            .collect();
        assert!(agents.contains(&MAX_AGENT_BYTES));
        assert!(printable("a\u{1b}[0m\n").eq("a[0m"));
    }
}
