use std::cell::Cell;
use std::collections::HashMap;
use std::net::Ipv4Addr;

use libp2p::PeerId;
use proptest::prelude::*;

use super::*;
use crate::testing::dns::{Answer, DnsServer};
use crate::testing::secret;

/// The peer id of the node with this secret.
fn peer(byte: u8) -> PeerId {
    let key = swarm_identity::NodeKey::from(&secret(byte));
    peer_id::to_libp2p(key.peer()).unwrap()
}

/// Records in memory.
#[derive(Default)]
struct Zone {
    texts: HashMap<String, Vec<String>>,
    ips: HashMap<String, Vec<IpAddr>>,
    lookups: Cell<usize>,
}

impl Zone {
    fn texts(mut self, name: &str, addresses: impl IntoIterator<Item = String>) -> Self {
        let texts = addresses
            .into_iter()
            .map(|address| format!("dnsaddr={address}"));
        self.texts
            .insert(format!("_dnsaddr.{name}"), texts.collect());
        self
    }

    fn ip(mut self, name: &str, ip: &str) -> Self {
        let ips = self.ips.entry(name.into()).or_default();
        ips.push(ip.parse().unwrap());
        self
    }
}

impl Records for Zone {
    async fn texts(&self, name: &str) -> Result<Vec<String>, LookupError> {
        self.lookups.set(self.lookups.get() + 1);
        let found = self.texts.get(name).cloned();
        found.ok_or(LookupError::Server("no record".into()))
    }

    async fn addresses(&self, name: &str, family: Family) -> Result<Vec<IpAddr>, LookupError> {
        self.lookups.set(self.lookups.get() + 1);
        let found = self.ips.get(name).cloned();
        let mut found = found.ok_or(LookupError::Server("no record".into()))?;
        found.retain(|ip| match family {
            Family::V4 => ip.is_ipv4(),
            Family::V6 => ip.is_ipv6(),
            Family::Both => true,
        });
        Ok(found)
    }
}

fn expanded(zone: &Zone, name: &str) -> Result<Vec<String>, LookupError> {
    let found = futures::executor::block_on(expand(zone, name.parse().unwrap()));
    Ok(found?.iter().map(ToString::to_string).collect())
}

#[test]
fn a_name_stands_for_its_records_and_what_they_lead_to() {
    let (a, b, c) = (peer(1), peer(2), peer(3));
    let zone = Zone::default()
        .texts(
            "swarm.example",
            [
                format!("/ip4/192.0.2.1/udp/4001/quic-v1/p2p/{a}"),
                format!("/dns4/host.example/tcp/4001/p2p/{b}"),
                format!("/dnsaddr/more.example/p2p/{c}"),
            ],
        )
        .texts(
            "more.example",
            [
                format!("/ip4/192.0.2.9/tcp/9/p2p/{b}"),
                format!("/ip6/2001:db8::3/tcp/3/p2p/{c}"),
            ],
        )
        .ip("host.example", "192.0.2.2")
        .ip("host.example", "2001:db8::2");
    assert_eq!(
        expanded(&zone, "/dnsaddr/swarm.example").unwrap(),
        [
            format!("/ip4/192.0.2.1/udp/4001/quic-v1/p2p/{a}"),
            format!("/ip4/192.0.2.2/tcp/4001/p2p/{b}"),
            format!("/ip6/2001:db8::3/tcp/3/p2p/{c}"),
        ]
    );
    // Where a peer is asked for, nobody else counts.
    assert_eq!(
        expanded(&zone, &format!("/dnsaddr/swarm.example/p2p/{b}")).unwrap(),
        [format!("/ip4/192.0.2.2/tcp/4001/p2p/{b}")]
    );
    let stranger = format!("/dnsaddr/swarm.example/p2p/{}", peer(9));
    assert_eq!(expanded(&zone, &stranger), Err(LookupError::Nothing));
    // The operator's own address may leave open who answers.
    assert_eq!(
        expanded(&zone, "/dns/host.example/tcp/7").unwrap(),
        ["/ip4/192.0.2.2/tcp/7", "/ip6/2001:db8::2/tcp/7"]
    );
    assert_eq!(
        expanded(&zone, "/dns6/host.example/udp/7/quic-v1").unwrap(),
        ["/ip6/2001:db8::2/udp/7/quic-v1"]
    );
}

#[test]
fn records_that_are_no_address_of_a_peer_are_left_out_one_by_one() {
    let good = format!("/ip4/192.0.2.1/tcp/1/p2p/{}", peer(1));
    let junk = [
        "rubbish".to_owned(),
        "/ip4/192.0.2.1/tcp/1".to_owned(),
        format!("/ip4/192.0.2.1/tcp/0/p2p/{}", peer(1)),
        format!("/ip4/0.0.0.0/tcp/1/p2p/{}", peer(1)),
        format!("/ip4/224.0.0.1/tcp/1/p2p/{}", peer(1)),
        format!("/ip4/192.0.2.1/tcp/80/ws/p2p/{}", peer(1)),
        // The name of a key that is not of this project's kind.
        format!("/ip4/192.0.2.1/tcp/1/p2p/{}", PeerId::random()),
        "/dns4/missing.example/tcp/1".to_owned(),
        String::new(),
    ];
    let mut zone = Zone::default().texts("x", junk.clone());
    assert!(expanded(&zone, "/dnsaddr/x").is_err());
    zone = zone.texts("x", junk.into_iter().chain([good.clone(), good.clone()]));
    zone.texts
        .get_mut("_dnsaddr.x")
        .unwrap()
        .push("v=spf1 -all".into());
    assert_eq!(expanded(&zone, "/dnsaddr/x").unwrap(), [good]);
}

#[test]
fn circles_and_floods_of_records_end() {
    let p = peer(1);
    let zone = Zone::default()
        .texts(
            "a",
            [format!("/dnsaddr/b/p2p/{p}"), format!("/dnsaddr/a/p2p/{p}")],
        )
        .texts("b", [format!("/dnsaddr/a/p2p/{p}")]);
    assert_eq!(expanded(&zone, "/dnsaddr/a"), Err(LookupError::Nothing));
    let bound = (1 << MAX_NAME_DEPTH).min(MAX_LOOKUPS);
    assert!(zone.lookups.get() <= bound, "{:?}", zone.lookups);

    let circles = (0..1000).map(|_| format!("/dnsaddr/wide/p2p/{p}"));
    let zone = Zone::default().texts("wide", circles);
    assert_eq!(expanded(&zone, "/dnsaddr/wide"), Err(LookupError::Nothing));
    assert_eq!(zone.lookups.get(), MAX_LOOKUPS);

    let many = (1..1000).map(|port| format!("/ip4/192.0.2.1/tcp/{port}/p2p/{p}"));
    let zone = Zone::default().texts("many", many);
    assert_eq!(
        expanded(&zone, "/dnsaddr/many").unwrap().len(),
        MAX_NAME_ADDRESSES
    );
}

proptest! {
    #[test]
    fn no_record_breaks_a_lookup(texts: Vec<String>, tails in proptest::collection::vec("[!-~]{0,60}", 0..20)) {
        let tails = tails.iter().map(|tail| format!("dnsaddr=/{tail}"));
        let mut zone = Zone::default();
        zone.texts.insert("_dnsaddr.x".into(), texts.into_iter().chain(tails).collect());
        for address in expanded(&zone, "/dnsaddr/x").unwrap_or_default() {
            let address: Multiaddr = address.parse().unwrap();
            prop_assert!(address::peer(&address).is_some(), "{address}");
        }
    }
}

#[tokio::test]
async fn a_server_on_the_wire_is_asked_by_udp_and_tcp() {
    let address = format!("/ip4/192.0.2.1/tcp/1/p2p/{}", peer(1));
    // Longer than one string of a record, and in all longer than a datagram.
    let padding = "x".repeat(300);
    let server = DnsServer::start(move |name, kind| match (name, kind) {
        ("_dnsaddr.swarm.test", 16) => {
            let junk = (0..30).map(|_| Answer::Text(padding.clone()));
            let good = Answer::Text(format!("dnsaddr={address}"));
            Some(junk.chain([good]).collect())
        }
        ("host.test", 1) => Some(vec![Answer::A(Ipv4Addr::new(192, 0, 2, 2))]),
        _ => None,
    })
    .await;
    let at = Some(server.address);
    let found = look_up("/dnsaddr/swarm.test".parse().unwrap(), at)
        .await
        .unwrap();
    assert_eq!(found.len(), 1);
    let found = look_up("/dns4/host.test/tcp/5".parse().unwrap(), at).await;
    assert_eq!(found, Ok(vec!["/ip4/192.0.2.2/tcp/5".parse().unwrap()]));
    let missing = look_up("/dns4/missing.test/tcp/5".parse().unwrap(), at).await;
    assert!(
        matches!(missing, Err(LookupError::Server(_))),
        "{missing:?}"
    );
}

#[tokio::test]
async fn a_server_that_lies_or_is_dead_is_an_error() {
    // Answers of another kind than asked for, and no DNS at all.
    let wrong = DnsServer::start(|_, kind| {
        Some(match kind {
            16 => vec![Answer::A(Ipv4Addr::new(192, 0, 2, 2))],
            _ => vec![Answer::Text("dnsaddr=/ip4/192.0.2.1/tcp/1".into())],
        })
    })
    .await;
    let nonsense = DnsServer::start(|_, _| Some(vec![Answer::Nonsense])).await;
    let dead = {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.local_addr().unwrap()
    };
    let names = [
        "/dnsaddr/a.test",
        "/dns4/a.test/tcp/1",
        "/dns6/a.test/tcp/1",
        "/dns/a.test/tcp/1",
    ];
    let servers = [wrong.address, nonsense.address, dead];
    let asked = servers.into_iter().flat_map(|server| {
        let look_up = move |name: &str| look_up(name.parse().unwrap(), Some(server));
        names.map(look_up)
    });
    for found in futures::future::join_all(asked).await {
        assert!(found.is_err(), "{found:?}");
    }
}
