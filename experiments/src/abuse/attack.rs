//! The attacks: what each does to the victim until its time is over.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::ValueEnum;
use futures::AsyncWriteExt;
use reproducible_ops::random::Stream;
use swarm_identity::NodeKey;
use swarm_identity::digest::Digest32;
use swarm_net::attacker::{Attacker, GOSSIP, blobs, requests, subscriptions};
use swarm_node::api::Client;
use swarm_node::node::query::Query;
use swarm_node::node::status::Status;
use swarm_node::node::time::wall_clock;
use swarm_round::clock::{Clock, Window};
use swarm_round::codec;
use swarm_round::envelope::{Header, UnsignedEnvelope};
use swarm_round::payload::{Kind, STAGE_SLOT, Seals};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::attackers::{Hostile, next_key};
use super::victim::Target;

/// Attackers at a time, of attacks by many.
const CROWD: u64 = 30;
/// Crowds whose connections are held, of those that storm: more than a node lets in.
const HELD_CROWDS: usize = 6;
/// Streams or connections that one attacker holds half open.
const HELD: usize = 200;

/// An attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Attack {
    /// Nothing: what the rest is compared with.
    Calm,
    /// Frames that announce more bytes than allowed, of requests and of gossip.
    Oversize,
    /// Records that nobody signed, as fast as they go.
    RecordFlood,
    /// Signed records of strangers for the next window, as fast as they go.
    StrangerFlood,
    /// Requests, well formed and not, as fast as they go.
    RequestFlood,
    /// Requests, blobs and frames that never end, and heads of the local API that do not either.
    SlowLoris,
    /// Records of members, broken, cut and sent again.
    Replay,
    /// A member that signs two messages for each place.
    Equivocation,
    /// Connections that come and go, and subscriptions to thousands of topics.
    ConnectionStorm,
    /// Thirty sybils around a node that joins the swarm.
    Eclipse,
}

impl Attack {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Calm,
        Self::Oversize,
        Self::RecordFlood,
        Self::StrangerFlood,
        Self::RequestFlood,
        Self::SlowLoris,
        Self::Replay,
        Self::Equivocation,
        Self::ConnectionStorm,
        Self::Eclipse,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Calm => "calm",
            Self::Oversize => "oversize",
            Self::RecordFlood => "record flood",
            Self::StrangerFlood => "stranger flood",
            Self::RequestFlood => "request flood",
            Self::SlowLoris => "slow loris",
            Self::Replay => "replay",
            Self::Equivocation => "equivocation",
            Self::ConnectionStorm => "connection storm",
            Self::Eclipse => "eclipse",
        }
    }

    /// Attacks for a time; says in a few words what was done.
    ///
    /// # Errors
    /// The attackers cannot be set up.
    pub async fn wage(self, target: &Target, lasts: Duration) -> Result<String> {
        let end = Instant::now() + lasts;
        match self {
            Self::Calm => {
                sleep(lasts).await;
                Ok("nothing".into())
            }
            Self::Oversize => oversize(target, end).await,
            Self::RecordFlood => record_flood(target, end).await,
            Self::StrangerFlood => stranger_flood(target, end).await,
            Self::RequestFlood => request_flood(target, end).await,
            Self::SlowLoris => slow_loris(target, end).await,
            Self::Replay => replay(target, end).await,
            Self::Equivocation => equivocation(target, end).await,
            Self::ConnectionStorm => connection_storm(target, end).await,
            Self::Eclipse => eclipse(target, end).await,
        }
    }
}

fn swarm(target: &Target) -> Digest32 {
    target.config.swarm_id()
}

/// Whoever is shut out comes again with another key.
async fn oversize(target: &Target, end: Instant) -> Result<String> {
    let protocol = requests(&swarm(target));
    let (mut keys, mut frames) = (0_u64, 0_u64);
    while Instant::now() < end {
        keys += 1;
        let (protocol, address) = match keys % 2 {
            0 => (GOSSIP, &target.quic),
            _ => (protocol.as_str(), &target.tcp),
        };
        let Ok(attacker) = Attacker::connect(&next_key()?, protocol, address).await else {
            sleep(Duration::from_millis(100)).await;
            continue;
        };
        for _ in 0..50 {
            let opened = timeout(Duration::from_secs(2), attacker.open(target.peer)).await;
            let Ok(Ok(mut stream)) = opened else { break };
            // The victim may hang up at any moment, which is what is tested.
            let _ = stream
                .write_all(&[0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0])
                .await;
            let _ = stream.flush().await;
            frames += 1;
            sleep(Duration::from_millis(20)).await;
        }
    }
    Ok(format!("{frames} frames by {keys} keys"))
}

async fn record_flood(target: &Target, end: Instant) -> Result<String> {
    let mut random = Stream::from_seed("abuse-records", 1);
    let (mut keys, mut sent) = (0_u64, 0_u64);
    while Instant::now() < end {
        keys += 1;
        let hostile = Hostile::start(&next_key()?, target).await?;
        while hostile.is_connected() && Instant::now() < end {
            let length = 1 << (6 + random.index(10));
            let bytes: Vec<u8> = (0..length).map(|_| random.next_u32() as u8).collect();
            sent += u64::from(hostile.publish(bytes).await);
        }
        hostile.end().await;
    }
    Ok(format!("{sent} records by {keys} keys"))
}

/// Strangers sign what they say, so nobody is to blame for handing it on.
async fn stranger_flood(target: &Target, end: Instant) -> Result<String> {
    let clock = Clock::new(&target.config);
    let (mut keys, mut sent) = (0_u64, 0_u64);
    while Instant::now() < end {
        keys += 1;
        let secret = next_key()?;
        let node = NodeKey::from(&secret);
        let hostile = Hostile::start(&secret, target).await?;
        while hostile.is_connected() && Instant::now() < end {
            let Some(here) = clock.at(wall_clock()) else {
                continue;
            };
            let next = here.next();
            let kind = Kind::CONTENT
                .into_iter()
                .find(|kind| kind.window() == next.window);
            let header = Header {
                swarm: swarm(target),
                round: next.round,
                kind: kind.unwrap_or(Kind::Receipt),
                slot: STAGE_SLOT,
                peer: node.peer(),
                sequence: sent,
            };
            let envelope = UnsignedEnvelope::new(header, &[7; 30_000])?;
            let signature = node.sign(&envelope.digest()).context("no signature")?;
            sent += u64::from(hostile.publish(envelope.signed(&signature)).await);
        }
        hostile.end().await;
    }
    Ok(format!("{sent} records by {keys} keys"))
}

async fn request_flood(target: &Target, end: Instant) -> Result<String> {
    let time = Query::Time.to_bytes()?;
    let (mut keys, mut sent) = (0_u64, 0_u64);
    while Instant::now() < end {
        keys += 1;
        // Every other one sends nonsense.
        let bytes = match keys % 2 {
            0 => time.clone(),
            _ => vec![0xee; 60_000],
        };
        let hostile = Hostile::start(&next_key()?, target).await?;
        while hostile.is_connected() && Instant::now() < end {
            let asked = (0..32).map(|_| hostile.ask(bytes.clone()));
            sent += 32;
            let all = futures::future::join_all(asked);
            // Whoever waits for refused answers is slow.
            let _ = timeout(Duration::from_millis(300), all).await;
        }
        hostile.end().await;
    }
    Ok(format!("{sent} requests by {keys} keys"))
}

async fn slow_loris(target: &Target, end: Instant) -> Result<String> {
    let swarm = swarm(target);
    let mut held = Vec::new();
    let mut silent = Vec::new();
    let protocols = [requests(&swarm), blobs(&swarm), GOSSIP.to_owned()];
    for protocol in &protocols {
        let attacker = Attacker::connect(&next_key()?, protocol, &target.tcp).await?;
        for _ in 0..HELD {
            let opened = timeout(Duration::from_secs(2), attacker.open(target.peer)).await;
            let Ok(Ok(stream)) = opened else { break };
            held.push(stream);
        }
        silent.push(attacker);
    }
    let mut sockets = Vec::new();
    for address in [target.api, socket(target)?] {
        for _ in 0..HELD {
            let connected = TcpStream::connect(address);
            if let Ok(Ok(socket)) = timeout(Duration::from_secs(1), connected).await {
                sockets.push(socket);
            }
        }
    }
    let mut bytes = 0_u64;
    while Instant::now() < end {
        // A byte a second in each.
        for stream in &mut held {
            let written = timeout(Duration::from_millis(20), stream.write_all(&[0x20]));
            bytes += u64::from(matches!(written.await, Ok(Ok(()))));
            let _ = timeout(Duration::from_millis(20), stream.flush()).await;
        }
        for socket in &sockets {
            bytes += u64::from(socket.try_write(b"G").is_ok());
        }
        sleep(Duration::from_secs(1)).await;
    }
    let (streams, sockets) = (held.len(), sockets.len());
    Ok(format!(
        "{streams} streams and {sockets} sockets, {bytes} bytes"
    ))
}

/// Where the victim listens by TCP.
fn socket(target: &Target) -> Result<std::net::SocketAddr> {
    let text = target.tcp.to_string();
    let port = text.split('/').nth(4).context("a TCP address")?;
    Ok(([127, 0, 0, 1], port.parse()?).into())
}

async fn replay(target: &Target, end: Instant) -> Result<String> {
    let mut random = Stream::from_seed("abuse-replay", 1);
    let (mut keys, mut sent) = (0_u64, 0_u64);
    let mut heard: Vec<Arc<[u8]>> = Vec::new();
    while Instant::now() < end {
        keys += 1;
        let hostile = Hostile::start(&next_key()?, target).await?;
        while hostile.is_connected() && Instant::now() < end {
            heard.extend(hostile.heard());
            let Some(record) = heard.get(random.index(heard.len().max(1))) else {
                sleep(Duration::from_millis(50)).await;
                continue;
            };
            let mut bytes = record.to_vec();
            match random.index(3) {
                0 => bytes.truncate(random.index(bytes.len())),
                1 => {
                    let at = random.index(bytes.len());
                    bytes[at] ^= 1 << random.index(8);
                }
                _ => {
                    let again = heard.iter().rev().take(60).cloned().collect::<Vec<_>>();
                    for query in Query::again(&again) {
                        let asked = hostile.ask(query.to_bytes()?);
                        let _ = timeout(Duration::from_millis(200), asked).await;
                        sent += 1;
                    }
                }
            }
            sent += u64::from(hostile.publish(bytes).await);
            sleep(Duration::from_millis(5)).await;
        }
        hostile.end().await;
    }
    Ok(format!("{sent} messages by {keys} keys"))
}

async fn equivocation(target: &Target, end: Instant) -> Result<String> {
    let clock = Clock::new(&target.config);
    let node = NodeKey::from(&target.member);
    let hostile = Hostile::start(&target.member, target).await?;
    let (mut said, mut pairs) = (None, 0);
    while Instant::now() < end {
        sleep(Duration::from_millis(50)).await;
        let Some(here) = clock.at(wall_clock()).filter(|_| hostile.is_connected()) else {
            continue;
        };
        let seals = Kind::CONTENT
            .into_iter()
            .find(|kind| kind.seals().is_some() && kind.window() == here.window);
        let Some(kind) = seals.filter(|_| said != Some(here) && here.window != Window::Settle)
        else {
            continue;
        };
        said = Some(here);
        for seals in [Vec::new(), vec![(0, [1; 32])]] {
            let header = Header {
                swarm: swarm(target),
                round: here.round,
                kind,
                slot: STAGE_SLOT,
                peer: node.peer(),
                sequence: 0,
            };
            let envelope = UnsignedEnvelope::new(header, &codec::encode(&Seals { seals })?)?;
            let signature = node.sign(&envelope.digest()).context("no signature")?;
            hostile.publish(envelope.signed(&signature)).await;
        }
        pairs += 1;
    }
    hostile.end().await;
    Ok(format!("{pairs} pairs by one member"))
}

async fn connection_storm(target: &Target, end: Instant) -> Result<String> {
    let (mut keys, mut let_in) = (0_u64, 0_u64);
    let mut held = std::collections::VecDeque::new();
    while Instant::now() < end {
        let mut crowd = Vec::new();
        for _ in 0..CROWD {
            keys += 1;
            let address = if keys % 2 == 0 {
                &target.tcp
            } else {
                &target.quic
            };
            let secret = next_key()?;
            let connect = Attacker::connect(&secret, GOSSIP, address);
            if let Ok(Ok(attacker)) = timeout(Duration::from_secs(2), connect).await {
                crowd.push(attacker);
            }
            if Instant::now() >= end {
                break;
            }
        }
        let_in += crowd.len() as u64;
        for attacker in &crowd {
            let opened = timeout(Duration::from_secs(1), attacker.open(target.peer)).await;
            if let Ok(Ok(mut stream)) = opened {
                let _ = stream.write_all(&subscriptions(2_000)).await;
                let _ = stream.flush().await;
            }
        }
        held.push_back(crowd);
        if held.len() > HELD_CROWDS {
            held.pop_front();
        }
    }
    Ok(format!("{let_in} handshakes with {keys} keys"))
}

/// A node joins while sybils fill its places; it knows one honest address.
async fn eclipse(target: &Target, end: Instant) -> Result<String> {
    let folder = tempfile::Builder::new()
        .prefix("new-")
        .tempdir_in(&target.folder)?;
    let port = std::net::UdpSocket::bind("127.0.0.1:0")?
        .local_addr()?
        .port();
    let listen = format!("/ip4/127.0.0.1/udp/{port}/quic-v1,/ip4/127.0.0.1/tcp/{port}");
    let home = folder.path().join("home");
    let swarm_file = target.folder.join("node-0/swarm.toml");
    let mut child = Command::new(&target.program)
        .args(["up", "--role", "observer", "--home"])
        .arg(&home)
        .arg("--swarm")
        .arg(&swarm_file)
        .args(["--listen", &listen, "--peer", &target.quic.to_string()])
        .args(["--set", "net.mdns=false", "--set", "net.upnp=false"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("a new node")?;
    let begun = Instant::now();
    let new_node = format!("/ip4/127.0.0.1/tcp/{port}").parse()?;
    let mut sybils = Vec::new();
    let mut joined = None;
    let api = home.join("api.json");
    while Instant::now() < end {
        if (sybils.len() as u64) < CROWD {
            let secret = next_key()?;
            sybils.push(Hostile::around(&secret, target, &new_node).await?);
        } else {
            sleep(Duration::from_millis(300)).await;
        }
        let api = api.clone();
        let status = tokio::task::spawn_blocking(move || {
            Client::open(&api).and_then(|client| client.get::<Status>("/api/status"))
        });
        if let Ok(Ok(status)) = status.await
            && joined.is_none()
            && status.last.is_some()
        {
            joined = Some((begun.elapsed(), status.peers.len(), status.floor));
        }
    }
    let _ = child.kill();
    let _ = child.wait();
    for sybil in sybils {
        sybil.end().await;
    }
    Ok(match joined {
        None => "the new node learned of no round".into(),
        Some((after, peers, floor)) => format!(
            "the new node had decided rounds up to {floor} after {:.1} s, with {peers} peers",
            after.as_secs_f64()
        ),
    })
}
