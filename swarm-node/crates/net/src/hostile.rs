//! Peers that mean harm, over real connections: what they can make a node do.

use std::time::Duration;

use futures::{AsyncReadExt, AsyncWriteExt};
use libp2p::identity::Keypair;
use libp2p::swarm::{SwarmEvent, dummy};
use libp2p::{Swarm, futures::StreamExt};
use tokio::time::timeout;

use crate::attacker::{Attacker, GOSSIP, subscriptions};
use crate::config::Protocols;
use crate::event::Verdict;
use crate::limits::{Behaviour, Limits, Rate};
use crate::testing::{Node, PATIENCE, SWARM, attacker, config, secret};
use crate::transport;

fn requests() -> String {
    Protocols::new(&SWARM).requests.to_string()
}

fn limited(limits: Limits) -> crate::Config {
    crate::Config {
        limits,
        ..config(&[])
    }
}

/// A node still does its work: a record of an honest neighbour comes through.
async fn still_works(victim: &mut Node, honest: &Node) {
    honest.publish("honest").await;
    loop {
        let (from, id, bytes) = victim.record().await;
        victim.handle.judge(id, from, Verdict::Accept);
        if &*bytes == b"honest" {
            return;
        }
    }
}

#[tokio::test]
async fn oversized_requests_are_cut_unread_and_their_sender_is_banned() {
    let mut victim = Node::start(1, config(&[])).await;
    let attacker = attacker(2, &requests(), &victim.addresses[0]).await;
    for _ in 0..20 {
        let Ok(mut stream) = attacker.open(victim.me()).await else {
            break;
        };
        // The victim may hang up at any moment, which is what is tested.
        let _ = stream.write_all(&u32::MAX.to_be_bytes()).await;
        let _ = stream.flush().await;
        let _ = stream.read(&mut [0]).await;
    }
    let banned = victim.banned().await;
    assert_eq!(banned, (attacker.me(), Behaviour::Oversize));
    victim.disconnected(attacker.me()).await;
    assert_eq!(victim.handle.stats().requests_received, 0);
}

#[tokio::test]
async fn a_ban_outlives_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let settings = || crate::Config {
        bans: Some(folder.path().join("bans")),
        ..config(&[])
    };
    let mut victim = Node::start(1, settings()).await;
    let attacker = Node::start(2, config(&victim.addresses[..1])).await;
    attacker.has_peers(1).await;
    for _ in 0..20 {
        victim.handle.report(attacker.me(), Behaviour::Malformed);
    }
    victim.banned().await;
    victim.handle.shutdown().await;
    let victim = Node::start(1, settings()).await;
    victim.counted(|stats| stats.banned == 1).await;
    let again = Attacker::connect(&secret(2), &requests(), &victim.addresses[1]).await;
    victim.counted(|stats| stats.incoming_failed > 0).await;
    assert_eq!(victim.handle.stats().peers, 0);
    drop(again);
}

#[tokio::test]
async fn slow_requests_end_at_the_deadline_and_hold_nobody_up() {
    let mut victim = limited(Limits {
        request_time: Duration::from_secs(1),
        ..Limits::default()
    });
    victim.listen.truncate(1);
    let mut victim = Node::start(1, victim).await;
    let honest = Node::start(3, config(&victim.addresses)).await;
    honest.has_peers(1).await;
    let attacker = attacker(2, &requests(), &victim.addresses[0]).await;
    let mut held = Vec::new();
    for _ in 0..16 {
        let mut stream = attacker.open(victim.me()).await.unwrap();
        stream.write_all(&[0, 0]).await.unwrap();
        stream.flush().await.unwrap();
        held.push(stream);
    }
    let (answer, ()) = tokio::join!(honest.handle.request(victim.me(), vec![1]), async {
        assert!(victim.asked().await.2.send(vec![2]));
    });
    assert_eq!(answer, Ok(vec![2]));
    victim.counted(|stats| stats.requests_bad >= 16).await;
    let mut rest = Vec::new();
    let closed = timeout(PATIENCE, held[0].read_to_end(&mut rest)).await;
    assert!(closed.is_ok(), "the stream is still open");
}

#[tokio::test]
async fn a_flood_of_requests_is_refused_and_banned() {
    let mut victim = Node::start(
        1,
        limited(Limits {
            requests_per_peer: Rate {
                per_second: 0.1,
                burst: 5.0,
            },
            ..Limits::default()
        }),
    )
    .await;
    let flooder = Node::start(2, config(&victim.addresses[..1])).await;
    flooder.has_peers(1).await;
    for _ in 0..100 {
        let asked = flooder.handle.request(victim.me(), vec![7]);
        let _ = timeout(Duration::from_millis(200), asked).await;
        if victim.handle.stats().bans > 0 {
            break;
        }
        while victim.events.try_next().is_some() {}
    }
    victim.counted(|stats| stats.bans == 1).await;
    assert_eq!(victim.handle.stats().requests_received, 5);
}

#[tokio::test]
async fn a_flood_of_records_is_dropped_at_the_quota() {
    let mut victim = Node::start(
        1,
        limited(Limits {
            records_per_peer: Rate {
                per_second: 0.1,
                burst: 20.0,
            },
            ..Limits::default()
        }),
    )
    .await;
    let flooder = Node::start(2, config(&victim.addresses[..1])).await;
    flooder.has_peers(1).await;
    for number in 0..200 {
        flooder.publish(&format!("noise {number}")).await;
    }
    let banned = victim.banned().await;
    assert_eq!(banned, (flooder.me(), Behaviour::Flood));
    let stats = victim.handle.stats();
    assert!(stats.records_over_quota >= 50, "{stats:?}");
    assert_eq!(stats.records_received - stats.records_over_quota, 20);
}

#[tokio::test]
async fn broken_gossip_frames_and_subscription_storms_change_nothing() {
    let mut victim = Node::start(1, config(&[])).await;
    let honest = Node::start(3, config(&victim.addresses)).await;
    honest.has_peers(1).await;
    let attacker = attacker(2, GOSSIP, &victim.addresses[0]).await;
    let huge = [0xff, 0xff, 0xff, 0xff, 0x0f];
    let rubbish = [5, 0xff, 0xff, 0xff, 0xff, 0xff];
    for bytes in [&huge[..], &rubbish, &subscriptions(2000), &subscriptions(5)] {
        let mut stream = attacker.open(victim.me()).await.unwrap();
        let _ = stream.write_all(bytes).await;
        let _ = stream.flush().await;
    }
    still_works(&mut victim, &honest).await;
}

#[tokio::test]
async fn a_storm_from_one_address_gets_its_places_and_no_more() {
    let victim = Node::start(
        1,
        limited(Limits {
            per_address: 4,
            limit_loopback: true,
            ..Limits::default()
        }),
    )
    .await;
    let mut storm = Vec::new();
    for byte in 0..30 {
        storm.push(Attacker::connect(&secret(100 + byte), GOSSIP, &victim.addresses[1]).await);
    }
    victim.counted(|stats| stats.incoming_failed >= 26).await;
    assert!(victim.handle.stats().peers <= 4);
    // The victim's own calls are not held up by it.
    let honest = Node::start(3, config(&[])).await;
    victim.offered(&honest.addresses[0]).await;
    honest.has_peers(1).await;
}

#[tokio::test]
async fn sybils_that_fill_all_places_do_not_cut_a_new_node_off() {
    let honest = Node::start(3, config(&[])).await;
    let mut victim = limited(Limits {
        incoming: 8,
        wanted_peers: 4,
        ..Limits::default()
    });
    victim.listen.retain(|at| at.to_string().contains("/tcp"));
    let mut victim = Node::start(1, victim).await;
    let mut sybils = Vec::new();
    for byte in 0..30 {
        sybils.push(Attacker::connect(&secret(100 + byte), GOSSIP, &victim.addresses[0]).await);
    }
    victim.has_peers(8).await;
    assert_eq!(victim.handle.stats().peers, 8);
    victim.offered(&honest.addresses[0]).await;
    victim.connected(honest.me()).await;
    assert_eq!(victim.handle.stats().peers, 9, "it waited for places");
    still_works(&mut victim, &honest).await;
}

#[tokio::test]
async fn keys_of_other_types_are_not_let_in() {
    let victim = Node::start(1, config(&[])).await;
    for address in victim.addresses.clone() {
        let key = Keypair::generate_ed25519();
        let mut stranger = Swarm::new(
            transport::build(&key, &Limits::default())
                .unwrap()
                .connections,
            dummy::Behaviour,
            key.public().to_peer_id(),
            libp2p::swarm::Config::with_tokio_executor().with_idle_connection_timeout(PATIENCE),
        );
        stranger.dial(address).unwrap();
        let ended = timeout(PATIENCE, async {
            loop {
                match stranger.select_next_some().await {
                    SwarmEvent::ConnectionClosed { .. }
                    | SwarmEvent::OutgoingConnectionError { .. } => return,
                    _ => {}
                }
            }
        });
        ended.await.expect("it was let in");
    }
    assert_eq!(victim.handle.stats().connections, 0);
}
