use std::collections::BTreeSet;
use std::time::Duration;

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::config::Config;
use crate::event::{Event, Reachability, Route, Verdict};
use crate::handle::Snapshot;
use crate::limits::{Behaviour, Limits, MAX_REQUEST_BYTES};
use crate::peer_id;
use crate::request::RequestError;
use crate::source::Source;
use crate::testing::dns::{Answer, DnsServer};
use crate::testing::{Node, PATIENCE, config, secret};

#[tokio::test]
async fn a_record_goes_on_only_after_it_was_judged() {
    for transport in ["quic-v1", "tcp"] {
        let mut middle = Node::by(1, transport, &[]).await;
        let first = Node::by(2, transport, &middle.addresses).await;
        // It may have one connection, so that the record must come through the middle.
        let mut config = config(&middle.addresses);
        config.limits = Limits {
            incoming: 0,
            outgoing: 1,
            ..Limits::default()
        };
        let mut last = Node::start(3, config).await;
        last.connected(middle.me()).await;
        first.has_peers(1).await;
        first.publish("unjudged").await;
        let (from, unjudged, bytes) = middle.record().await;
        assert_eq!((from, &*bytes), (first.me(), &b"unjudged"[..]));
        first.publish("good").await;
        let (from, good, _) = middle.record().await;
        middle.handle.judge(good, from, Verdict::Accept);
        let (from, _, bytes) = last.record().await;
        assert_eq!((from, &*bytes), (middle.me(), &b"good"[..]));
        middle.handle.judge(unjudged, first.me(), Verdict::Accept);
        assert_eq!(&*last.record().await.2, b"unjudged");
    }
}

#[tokio::test]
async fn peers_find_each_other_through_one_and_go_on_without_it() {
    let bootstrap = Node::start(1, config(&[])).await;
    let mut nodes = Vec::new();
    for byte in 2..6 {
        nodes.push(Node::start(byte, config(&bootstrap.addresses[..1])).await);
    }
    for node in &nodes {
        node.has_peers(4).await;
    }
    let gone = bootstrap.me();
    bootstrap.handle.shutdown().await;
    for node in &mut nodes {
        node.disconnected(gone).await;
    }
    nodes[0].publish("still here").await;
    let mut seen = BTreeSet::new();
    for node in &mut nodes[1..] {
        let (from, id, bytes) = node.record().await;
        assert_eq!(&*bytes, b"still here");
        node.handle.judge(id, from, Verdict::Accept);
        seen.insert(node.me());
    }
    assert_eq!(seen.len(), 3);
}

#[tokio::test]
async fn a_dead_bootstrap_is_not_fatal_and_is_tried_again() {
    let dead: Multiaddr = format!("/ip4/127.0.0.1/tcp/{}", free_port())
        .parse()
        .unwrap();
    let mut early = Node::start(1, config(std::slice::from_ref(&dead))).await;
    let mut snapshot = early.handle.snapshot.clone();
    let failed = snapshot.wait_for(|snapshot| snapshot.stats.dials_failed >= 1);
    timeout(PATIENCE, failed).await.unwrap().unwrap();
    early.publish("kept until somebody comes").await;
    let late = Config {
        listen: vec![dead],
        ..config(&[])
    };
    let mut late = Node::start(2, late).await;
    early.connected(late.me()).await;
    assert_eq!(&*late.record().await.2, b"kept until somebody comes");
}

#[tokio::test]
async fn requests_are_answered_refused_or_end_in_time() {
    let mut config_of_server = config(&[]);
    config_of_server.limits.request_time = Duration::from_secs(2);
    let mut server = Node::start(1, config_of_server).await;
    let mut config_of_client = config(&server.addresses[..1]);
    config_of_client.limits.request_time = Duration::from_secs(2);
    let mut client = Node::start(2, config_of_client).await;
    client.connected(server.me()).await;
    let (handle, peer) = (client.handle.clone(), server.me());
    let ask = async |bytes: Vec<u8>| handle.request(peer, bytes).await;

    let (answer, ()) = tokio::join!(ask(b"ping".to_vec()), async {
        let (from, bytes, reply) = server.asked().await;
        assert_eq!((from, &*bytes), (client.me(), &b"ping"[..]));
        assert!(reply.send(vec![7; 200_000]));
    });
    assert_eq!(answer, Ok(vec![7; 200_000]));

    let (answer, ()) = tokio::join!(ask(vec![1]), async { drop(server.asked().await) });
    assert_eq!(answer, Err(RequestError::Refused));

    let (answer, _unanswered) = tokio::join!(ask(vec![2]), server.asked());
    assert!(matches!(
        answer,
        Err(RequestError::Timeout | RequestError::Refused)
    ));

    let long = vec![0; MAX_REQUEST_BYTES + 1];
    let length = long.len();
    assert_eq!(ask(long).await, Err(RequestError::TooLong(length)));
    let nobody = swarm_identity::NodeKey::from(&secret(77)).peer();
    let answer = handle.request(nobody, vec![1]).await;
    assert_eq!(answer, Err(RequestError::Unreachable));
}

#[tokio::test]
async fn known_addresses_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let cached = |bootstrap: &[Multiaddr]| Config {
        peer_cache: Some(folder.path().join("peers")),
        ..config(bootstrap)
    };
    let stays = Node::start(1, config(&[])).await;
    let mut first = Node::start(2, cached(&stays.addresses)).await;
    first.connected(stays.me()).await;
    // Its addresses are told by identify, which discovery waits for.
    let (handle, peer) = (first.handle.clone(), stays.me());
    let told = async {
        while !handle.peers().iter().any(|info| !info.agent.is_empty()) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, told).await.unwrap();
    first.handle.shutdown().await;
    let mut again = Node::start(2, cached(&[])).await;
    again.connected(peer).await;
}

#[tokio::test]
async fn a_killed_process_that_comes_back_is_heard_at_once() {
    let stays = Node::start(1, config(&[])).await;
    let killed = Stopped::start(2, config(&stays.addresses));
    // Its agent is known, so the next run is told from it.
    stays
        .seen(|snapshot| snapshot.peers.iter().any(|info| !info.agent.is_empty()))
        .await;
    let _killed = killed.stop();
    let mut back = Node::start(2, config(&stays.addresses)).await;
    let heard = async {
        for number in 0.. {
            stays.publish(&format!("after the kill {number}")).await;
            let wait = Duration::from_millis(500);
            if timeout(wait, back.record()).await.is_ok() {
                return;
            }
        }
    };
    timeout(PATIENCE, heard).await.unwrap();
    // Not because the pings into the old connections failed at last.
    assert_eq!(stays.handle.stats().connections_dead, 0);
}

/// A node that can stop as a killed process does: its connections stay open, and nobody answers.
struct Stopped {
    stop: oneshot::Sender<()>,
    end: std::sync::mpsc::Sender<()>,
}

impl Stopped {
    /// Starts it in a runtime of its own, which only runs while its thread drives it.
    fn start(byte: u8, config: Config) -> Self {
        let (stop, stopped) = oneshot::channel();
        let (end, ended) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = runtime.enable_all().build().unwrap();
            let _node = runtime.block_on(async {
                let node = Node::start(byte, config).await;
                let _ = stopped.await;
                node
            });
            let _ = ended.recv();
        });
        Self { stop, end }
    }

    /// Its connections close when the returned sender is dropped.
    fn stop(self) -> std::sync::mpsc::Sender<()> {
        self.stop.send(()).expect("it runs");
        self.end
    }
}

#[tokio::test]
async fn who_sends_wrong_records_is_banned() {
    let mut victim = Node::start(1, config(&[])).await;
    let offender = Node::start(2, config(&victim.addresses[..1])).await;
    offender.has_peers(1).await;
    for number in 0..6 {
        offender.publish(&format!("wrong {number}")).await;
        let (from, id, _) = victim.record().await;
        victim.handle.judge(id, from, Verdict::Reject);
    }
    let banned = victim.banned().await;
    assert_eq!(banned, (offender.me(), Behaviour::InvalidRecord));
    victim.disconnected(offender.me()).await;
    assert_eq!(victim.handle.stats().banned, 1);
}

#[tokio::test]
async fn swarms_do_not_mix() {
    let mut one = Node::start(1, config(&[])).await;
    let other = Config {
        bootstrap: one.addresses.clone(),
        ..Config::loopback([8; 32])
    };
    let other = Node::start(2, other).await;
    one.connected(other.me()).await;
    one.disconnected(other.me()).await;
}

/// A port that nobody has, for addresses that must be known before a node starts.
fn free_port() -> u16 {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    taken.local_addr().unwrap().port()
}

#[tokio::test]
async fn a_node_behind_a_relay_can_be_called() {
    let at: Multiaddr = format!("/ip4/127.0.0.1/tcp/{}", free_port())
        .parse()
        .unwrap();
    let relay = Config {
        listen: vec![at.clone()],
        external: vec![at.clone()],
        relay_server: true,
        ..config(&[])
    };
    let relay = Node::start(1, relay).await;
    let name = peer_id::to_libp2p(relay.me()).unwrap();
    let place: Multiaddr = format!("{at}/p2p/{name}/p2p-circuit").parse().unwrap();
    let hidden = Config {
        listen: vec![place.clone()],
        ..config(&[])
    };
    let mut hidden = Node::start(2, hidden).await;
    let own = peer_id::to_libp2p(hidden.me()).unwrap();
    let caller = Config {
        listen: Vec::new(),
        hole_punching: false,
        ..config(&[])
    };
    let caller = Node::start(3, caller).await;
    caller
        .handle
        .offer(
            Source::Peers,
            vec![format!("{place}/p2p/{own}").parse().unwrap()],
        )
        .await;
    let caller_name = caller.me();
    let route = hidden
        .wait(move |event| match event {
            Event::Connected { peer, route, .. } if peer == caller_name => Some(route),
            _ => None,
        })
        .await;
    assert_eq!(route, Route::Relayed);
    let (answer, ()) = tokio::join!(caller.handle.request(hidden.me(), vec![1]), async {
        assert!(hidden.asked().await.2.send(vec![2]))
    });
    assert_eq!(answer, Ok(vec![2]));
    assert_eq!(caller.handle.stats().relayed_peers, 1);
}

#[tokio::test]
async fn a_node_that_others_reach_learns_so() {
    let other = Node::start(1, config(&[])).await;
    let mut node = Node::start(2, config(&other.addresses)).await;
    let address = node
        .wait(|event| match event {
            Event::Reachability(Reachability::Public { address }) => Some(address),
            _ => None,
        })
        .await;
    let address = crate::address::without_peer(address);
    assert!(node.addresses.contains(&address), "{address}");
}

/// What a source has given: known and reached.
fn given(snapshot: &Snapshot, source: Source) -> Option<(usize, usize)> {
    let mut sources = snapshot.sources.iter();
    let info = sources.find(|info| info.source == source)?;
    Some((info.known, info.reached))
}

#[tokio::test]
async fn peers_are_found_by_a_name_and_a_lying_server_is_not_fatal() {
    let here = Node::start(1, config(&[])).await;
    let (me, at) = (
        peer_id::to_libp2p(here.me()).unwrap(),
        here.addresses.clone(),
    );
    let stranger = libp2p::PeerId::random();
    let server = DnsServer::start(move |name, _| match name {
        "_dnsaddr.swarm.test" => Some(vec![
            Answer::Text("dnsaddr=rubbish".into()),
            Answer::Text(format!("dnsaddr=/ip4/127.0.0.1/tcp/9/p2p/{stranger}")),
            Answer::Text(format!("dnsaddr={}/p2p/{me}", at[0])),
        ]),
        "_dnsaddr.lies.test" => Some(vec![Answer::Text(format!("dnsaddr={}/p2p/{me}", at[0]))]),
        "_dnsaddr.broken.test" => Some(vec![Answer::Nonsense]),
        _ => None,
    })
    .await;
    let names = [
        "/dnsaddr/swarm.test".into(),
        format!("/dnsaddr/lies.test/p2p/{stranger}"),
        "/dnsaddr/broken.test".into(),
        "/dns4/missing.test/tcp/1".into(),
    ];
    let mut node = Node::start(
        2,
        Config {
            resolver: Some(server.address),
            ..config(&names.map(|name: String| name.parse().unwrap()))
        },
    )
    .await;
    node.connected(here.me()).await;
    node.has_peers(1).await;
    // The peer behind the name, and nobody that a record makes up.
    node.seen(|snapshot| {
        snapshot.unanswered.len() == 3 && given(snapshot, Source::Dns) == Some((1, 1))
    })
    .await;
    let snapshot = node.handle.snapshot.borrow().clone();
    assert_eq!(given(&snapshot, Source::Flag), None);
    assert_eq!(given(&snapshot, Source::Mdns), None, "it is off");
}

#[tokio::test]
async fn every_source_says_what_it_gave() {
    let here = Node::start(1, config(&[])).await;
    let me = peer_id::to_libp2p(here.me()).unwrap();
    let dead: Multiaddr = "/ip4/127.0.0.1/tcp/9".parse().unwrap();
    let mut node = Node::start(
        2,
        Config {
            swarm_file: vec![dead.clone()],
            ..config(&here.addresses[..1])
        },
    )
    .await;
    node.handle.offer(Source::Chain, Vec::new()).await;
    node.seen(|snapshot| given(snapshot, Source::Chain) == Some((0, 0)))
        .await;
    let again = here.addresses[0].clone().with(Protocol::P2p(me));
    // What strangers say is not looked up.
    let name = "/dns4/victim.test/tcp/80".parse().unwrap();
    node.handle.offer(Source::Chain, vec![again, name]).await;
    let said = node.wait(|event| match event {
        Event::Given { source, peers } => Some((source, peers)),
        _ => None,
    });
    assert_eq!(said.await, (Source::Chain, 1));
    node.seen(|snapshot| {
        given(snapshot, Source::Chain) == Some((1, 1))
            && given(snapshot, Source::Flag) == Some((1, 1))
            && given(snapshot, Source::File) == Some((1, 0))
            && snapshot.unanswered == [dead.clone()]
    })
    .await;
    assert_eq!(given(&node.handle.snapshot.borrow(), Source::Dns), None);
}

/// Two processes with one key and a neighbour of both: each learns of the other, and one of them
/// that it must end.
#[tokio::test]
async fn two_processes_with_one_key_learn_of_each_other_through_a_neighbour() {
    let middle = Node::start(1, config(&[])).await;
    let mut first = Node::start(2, config(&middle.addresses)).await;
    first.connected(middle.me()).await;
    let mut second = Node::start(2, config(&middle.addresses)).await;
    let told = |event| match event {
        Event::DuplicateIdentity { is_newcomer } => Some(is_newcomer),
        _ => None,
    };
    let ends = [first.wait(told).await, second.wait(told).await];
    assert_eq!(ends.iter().filter(|ends| **ends).count(), 1, "{ends:?}");
}
