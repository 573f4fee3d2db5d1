//! Blobs between running nodes.

use std::time::Duration;

use futures::{AsyncReadExt, AsyncWriteExt};
use swarm_identity::NodeKey;
use tokio::time::timeout;

use super::blob::BlobId;
use super::fetch::FetchError;
use super::frame::{Answer, HELLO_BYTES, Hello};
use super::outline::{Outline, PIECE_BYTES};
use crate::attacker::Attacker;
use crate::config::Protocols;
use crate::limits::{Behaviour, Limits, Rate};
use crate::testing::{Memory, Node, PATIENCE, SWARM, attacker, config, secret};

fn content(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|i| (i * 31 + i / 251) as u8).collect()
}

async fn patient<T>(work: impl Future<Output = T>) -> T {
    timeout(PATIENCE, work).await.expect("it takes for ever")
}

#[tokio::test]
async fn a_blob_comes_from_two_sources_by_either_transport() {
    let bytes = content(16 << 20);
    let id = BlobId::of(&bytes);
    let folder = tempfile::tempdir().unwrap();
    for transport in ["quic-v1", "tcp"] {
        let mut nodes = Vec::new();
        for byte in [1, 2] {
            let mut config = config(&[]);
            config
                .listen
                .retain(|at| at.to_string().contains(transport));
            let blobs = Memory::default().with(id, bytes.clone());
            nodes.push(Node::serving(byte, config, blobs).await);
        }
        let bootstrap = nodes.iter().flat_map(|node| node.addresses.clone());
        let fetcher = Node::start(3, config(&bootstrap.collect::<Vec<_>>())).await;
        fetcher.has_peers(2).await;
        let from: Vec<_> = nodes.iter().map(Node::me).collect();
        let into = folder.path().join(transport);
        let fetched = patient(fetcher.handle.fetch(id, &into, from.clone()))
            .await
            .unwrap();
        assert_eq!(std::fs::read(&into).unwrap(), bytes);
        let by: Vec<_> = fetched.from.iter().map(|(peer, _)| *peer).collect();
        assert_eq!(by.len(), 2, "{fetched:?}");
        let all: u64 = fetched.from.iter().map(|(_, bytes)| bytes).sum();
        assert_eq!((all, fetched.resumed), (id.bytes, 0));
        let again = patient(fetcher.handle.fetch(id, &into, from))
            .await
            .unwrap();
        assert_eq!(again.resumed, id.bytes);
    }
}

/// Serves the right outline and wrong pieces.
async fn lie(mut attacker: Attacker, outline: Outline) {
    loop {
        let mut stream = attacker.incoming().await.unwrap();
        let outline = outline.clone();
        tokio::spawn(async move {
            let mut hello = [0; HELLO_BYTES];
            stream.read_exact(&mut hello).await?;
            assert!(Hello::from_bytes(&hello).is_ok());
            stream.write_all(&[Answer::Accepted as u8]).await?;
            stream.flush().await?;
            loop {
                let mut ask = [0; super::frame::ASK_BYTES];
                stream.read_exact(&mut ask).await?;
                let ask = super::frame::Ask::from_bytes(&ask, outline.len()).unwrap();
                let bytes = match ask.items {
                    super::frame::Items::Hashes => outline.to_bytes(ask.first, ask.count),
                    super::frame::Items::Pieces => {
                        vec![6; ask.count as usize * PIECE_BYTES as usize]
                    }
                };
                stream.write_all(&bytes).await?;
                stream.flush().await?;
            }
            #[expect(unreachable_code, reason = "names the type of the block's errors")]
            std::io::Result::Ok(())
        });
    }
}

#[tokio::test]
async fn a_source_that_lies_is_blamed_and_the_blob_comes_from_the_other() {
    let bytes = content(16 << 20);
    let id = BlobId::of(&bytes);
    let outline = Outline::of(id, &bytes).unwrap().unwrap();
    let blobs = Memory::default().with(id, bytes.clone());
    // The honest source is slow, so that the liar is asked for something.
    let mut slow = config(&[]);
    slow.limits.upload = Rate {
        per_second: 16e6,
        burst: 1e6,
    };
    let honest = Node::serving(1, slow, blobs).await;
    let mut fetcher = Node::start(3, config(&honest.addresses[..1])).await;
    let protocol = Protocols::new(&SWARM).blobs.to_string();
    let liar = attacker(2, &protocol, &fetcher.addresses[0]).await;
    let liar_name = liar.me();
    tokio::spawn(lie(liar, outline));
    fetcher.has_peers(2).await;
    let folder = tempfile::tempdir().unwrap();
    let into = folder.path().join("blob");
    let from = vec![liar_name, honest.me()];
    let fetched = patient(fetcher.handle.fetch(id, &into, from))
        .await
        .unwrap();
    assert_eq!(std::fs::read(&into).unwrap(), bytes);
    assert_eq!(fetched.from, [(honest.me(), id.bytes)]);
    fetcher.counted(|stats| stats.pieces_wrong >= 1).await;
    let peers = fetcher.handle.peers();
    let score = peers
        .iter()
        .find(|info| info.peer == liar_name)
        .unwrap()
        .score;
    assert!(score < Behaviour::WrongPiece.points() / 2.0, "{score}");
    // Twice more and it is out.
    for _ in 0..2 {
        fetcher.handle.report(liar_name, Behaviour::WrongPiece);
    }
    assert_eq!(fetcher.banned().await.0, liar_name);
}

#[tokio::test]
async fn a_fetch_that_was_given_up_goes_on_from_what_it_has() {
    let bytes = content(8 << 20);
    let id = BlobId::of(&bytes);
    let mut slow = config(&[]);
    slow.limits.upload = Rate {
        per_second: 4e6,
        burst: 2e6,
    };
    let source = Node::serving(1, slow, Memory::default().with(id, bytes.clone())).await;
    let fetcher = Node::start(2, config(&source.addresses[..1])).await;
    fetcher.has_peers(1).await;
    let folder = tempfile::tempdir().unwrap();
    let into = folder.path().join("blob");
    let (handle, from) = (fetcher.handle.clone(), vec![source.me()]);
    let first = handle.fetch(id, &into, from.clone());
    tokio::select! {
        fetched = first => panic!("it is too fast to be given up: {fetched:?}"),
        () = fetcher.counted(|stats| stats.blob_bytes_received > 1 << 20) => {}
    }
    assert!(!into.exists());
    let fetched = patient(handle.fetch(id, &into, from)).await.unwrap();
    assert!(fetched.resumed > 1 << 20, "{fetched:?}");
    assert_eq!(fetched.from[0].1 + fetched.resumed, id.bytes);
    assert_eq!(std::fs::read(&into).unwrap(), bytes);
}

/// How the process that is killed is told where to fetch from, and into which file.
const FETCH: &str = "SWARM_NET_TEST_FETCH";
const KILLED_BYTES: usize = 24 << 20;

#[tokio::test]
#[ignore = "the process that the next test kills"]
async fn fetches_until_it_is_killed() {
    let Ok(task) = std::env::var(FETCH) else {
        return;
    };
    let (address, into) = task.split_once(' ').unwrap();
    let fetcher = Node::start(2, config(&[address.parse().unwrap()])).await;
    fetcher.has_peers(1).await;
    let id = BlobId::of(&content(KILLED_BYTES));
    let source = NodeKey::from(&secret(1)).peer();
    let fetched = fetcher.handle.fetch(id, into.as_ref(), vec![source]).await;
    panic!("it is too fast to be killed: {fetched:?}");
}

#[tokio::test]
async fn a_fetch_whose_process_is_killed_goes_on_from_what_it_has() {
    let bytes = content(KILLED_BYTES);
    let id = BlobId::of(&bytes);
    let mut slow = config(&[]);
    slow.limits.upload = Rate {
        per_second: 4e6,
        burst: 2e6,
    };
    let source = Node::serving(1, slow, Memory::default().with(id, bytes.clone())).await;
    let folder = tempfile::tempdir().unwrap();
    let into = folder.path().join("blob");
    let task = format!("{} {}", source.addresses[0], into.display());
    let child = "bulk::tests::fetches_until_it_is_killed";
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", child])
        .env(FETCH, task)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    source
        .counted(|stats| stats.blob_bytes_sent > KILLED_BYTES as u64 / 2)
        .await;
    // SIGKILL, where there is one.
    child.kill().unwrap();
    assert!(!child.wait().unwrap().success());
    assert!(!into.exists());
    let fetcher = Node::start(3, config(&source.addresses[..1])).await;
    fetcher.has_peers(1).await;
    let fetched = patient(fetcher.handle.fetch(id, &into, vec![source.me()])).await;
    let fetched = fetched.unwrap();
    assert!(fetched.resumed > KILLED_BYTES as u64 / 8, "{fetched:?}");
    assert_eq!(fetched.from[0].1 + fetched.resumed, id.bytes);
    assert_eq!(std::fs::read(&into).unwrap(), bytes);
}

#[tokio::test]
async fn what_nobody_has_is_not_fetched() {
    let bytes = content(1000);
    let id = BlobId::of(&bytes);
    // It serves something else under the name.
    let wrong = Memory::default().with(id, vec![3; 2000]);
    let source = Node::serving(1, config(&[]), wrong).await;
    let fetcher = Node::start(2, config(&source.addresses[..1])).await;
    fetcher.has_peers(1).await;
    let folder = tempfile::tempdir().unwrap();
    let into = folder.path().join("blob");
    let refused = patient(fetcher.handle.fetch(id, &into, vec![source.me()])).await;
    assert!(
        matches!(refused, Err(FetchError::NoSource(1))),
        "{refused:?}"
    );
    let long = BlobId {
        bytes: u64::MAX,
        ..id
    };
    let refused = patient(fetcher.handle.fetch(long, &into, vec![source.me()])).await;
    assert!(matches!(refused, Err(FetchError::TooLong { .. })));
}

#[tokio::test]
async fn streams_that_stall_lose_their_places() {
    let bytes = content(100_000);
    let id = BlobId::of(&bytes);
    let mut config = config(&[]);
    config.limits = Limits {
        uploads: 4,
        uploads_per_peer: 4,
        stream_time: Duration::from_secs(1),
        ..Limits::default()
    };
    let server = Node::serving(1, config, Memory::default().with(id, bytes.clone())).await;
    let protocol = Protocols::new(&SWARM).blobs.to_string();
    let attacker = attacker(2, &protocol, &server.addresses[0]).await;
    let mut held = Vec::new();
    for _ in 0..8 {
        let mut stream = attacker.open(server.me()).await.unwrap();
        // Those beyond the places are closed at once.
        let _ = stream.write_all(&[1, 2, 3]).await;
        let _ = stream.flush().await;
        held.push(stream);
    }
    let fetcher = Node::start(3, crate::testing::config(&server.addresses[..1])).await;
    fetcher.has_peers(1).await;
    let folder = tempfile::tempdir().unwrap();
    let into = folder.path().join("blob");
    patient(fetcher.handle.fetch(id, &into, vec![server.me()]))
        .await
        .unwrap();
    assert_eq!(std::fs::read(&into).unwrap(), bytes);
}
