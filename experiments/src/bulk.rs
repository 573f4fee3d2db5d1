//! How fast a blob moves between two nodes over loopback, beside a raw stream of the same transport
//! in the same run; and what that does to small requests on the same connection.
//!
//! ```text
//! raw:  sender ── one stream: QUIC, or TCP with Noise and Yamux ──▶ receiver
//! blob: server ── the blob, in pieces that lead to its hash ──▶ fetcher, into a file
//!          └──── requests of 100 bytes, 20 ms apart ◀────────── the same, on the same connection
//! ```
//! Each end has a thread and a runtime of its own, as another process would. A raw stream hashes,
//! checks and writes nothing. The first time that a blob is served the server reads it once more,
//! to make its outline; that fetch is not counted.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use futures::{AsyncReadExt, AsyncWriteExt};
use serde_json::{Value, json};
use swarm_identity::{PeerId, Secret};
use swarm_net::attacker::Attacker;
use swarm_net::{Blob, BlobId, Blobs, Config, Event, Events, Handle, Multiaddr, NoBlobs};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use crate::experiment::Experiment;
use crate::machine;
use crate::samples::{Samples, rounded, shown};
use crate::table::Table;

/// See the module.
pub const EXPERIMENT: Experiment = Experiment {
    name: "bulk",
    about: "a blob over loopback against a raw stream of the same run, and requests beside it",
    run,
};

const SWARM: [u8; 32] = [9; 32];
const RAW: &str = "/raw";
const CHUNK: usize = 64 * 1024;
/// Between two requests.
const EVERY: Duration = Duration::from_millis(20);
/// Requests of an idle connection.
const IDLE: usize = 100;
/// Longest wait for a connection.
const PATIENCE: Duration = Duration::from_secs(30);

/// Moves blobs.
#[derive(Debug, Parser)]
#[command(name = "bulk")]
struct Options {
    /// Size of the blob in mebibytes.
    #[arg(long, default_value_t = 256)]
    mebibytes: usize,
    /// Times that each is measured, in turns.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
}

/// What was measured of one transport.
struct Finding {
    transport: &'static str,
    /// Seconds of the raw stream and of the blob, by round.
    raw: Samples,
    blob: Samples,
    /// Milliseconds of requests in ascending order, without and with a blob beside them.
    idle: Vec<f64>,
    busy: Vec<f64>,
}

fn run(arguments: &[String]) -> Result<Value> {
    let options = Options::try_parse_from(arguments)?;
    ensure!(
        options.mebibytes > 0 && options.rounds > 0,
        "--mebibytes and --rounds must be at least 1"
    );
    let load = machine::load();
    let bytes = options.mebibytes << 20;
    let content: Vec<u8> = (0..bytes).map(|i| (i * 31 + i / 251) as u8).collect();
    let content = Arc::new(content);
    let id = BlobId::of(&content);
    let folder = tempfile::tempdir().context("a folder for what is fetched")?;
    let mut findings = Vec::new();
    for (transport, at) in [
        ("quic", "/ip4/127.0.0.1/udp/0/quic-v1"),
        ("tcp", "/ip4/127.0.0.1/tcp/0"),
    ] {
        let blobs = Content(id, content.clone());
        let measured = measure(transport, at.parse()?, blobs, options.rounds, folder.path());
        findings.push(runtime()?.block_on(measured)?);
    }
    print!("{}", table(bytes, &findings));
    println!(
        "load before: {}",
        load.map_or("–".into(), |load| shown(load, 1))
    );
    Ok(json!({
        "experiment": "bulk", "bytes": bytes, "rounds": options.rounds, "load": load,
        "transports": findings.iter().map(|it| json_of(bytes, it)).collect::<Vec<_>>(),
    }))
}

fn runtime() -> Result<Runtime> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().context("a runtime")
}

async fn measure(
    transport: &'static str,
    at: Multiaddr,
    blobs: Content,
    rounds: usize,
    folder: &Path,
) -> Result<Finding> {
    let id = blobs.0;
    let (server, addresses) = serving(at.clone(), blobs).await?;
    let config = Config {
        bootstrap: addresses,
        ..Config::loopback(SWARM)
    };
    let (fetcher, mut events) =
        swarm_net::start(config, &Secret::random()?, Arc::new(NoBlobs)).await?;
    connected(&mut events, server).await?;
    tokio::spawn(async move { while events.next().await.is_some() {} });
    let fetch = async |name: String| {
        let begun = Instant::now();
        fetcher.fetch(id, &folder.join(name), vec![server]).await?;
        anyhow::Ok(begun.elapsed().as_secs_f64())
    };
    fetch(format!("{transport} first")).await?;
    let (mut raw, mut blob) = (Samples::default(), Samples::default());
    let (mut idle, mut busy) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        raw.push(raw_stream(at.clone(), id.bytes as usize).await?);
        let over = AtomicBool::new(true);
        idle.extend(request_times(&fetcher, server, &over, IDLE).await?);
        over.store(false, Ordering::Relaxed);
        let work = async {
            let seconds = fetch(format!("{transport} {round}")).await;
            over.store(true, Ordering::Relaxed);
            seconds
        };
        let (seconds, beside) = tokio::join!(work, request_times(&fetcher, server, &over, 1));
        blob.push(seconds?);
        busy.extend(beside?);
        std::fs::remove_file(folder.join(format!("{transport} {round}")))?;
    }
    fetcher.shutdown().await;
    idle.sort_by(f64::total_cmp);
    busy.sort_by(f64::total_cmp);
    Ok(Finding {
        transport,
        raw,
        blob,
        idle,
        busy,
    })
}

/// One blob in memory.
struct Content(BlobId, Arc<Vec<u8>>);

impl Blobs for Content {
    fn open(&self, id: &BlobId) -> Option<Arc<dyn Blob>> {
        let blob: Arc<dyn Blob> = self.1.clone();
        (*id == self.0).then_some(blob)
    }
}

/// A node elsewhere that serves blobs and answers requests; its name and where it is.
async fn serving(at: Multiaddr, blobs: Content) -> Result<(PeerId, Vec<Multiaddr>)> {
    let secret = Secret::random()?;
    let mut config = Config {
        listen: vec![at],
        ..Config::loopback(SWARM)
    };
    config.limits.requests_per_peer.per_second = 1e6;
    let started = elsewhere(async move {
        let (handle, mut events) = swarm_net::start(config, &secret, Arc::new(blobs)).await?;
        let me = handle.me();
        let address = loop {
            match events.next().await.context("the network ended")? {
                Event::Listening(address) => break address,
                _ => continue,
            }
        };
        tokio::spawn(async move {
            // The network lasts as long as a handle of it.
            let _handle = handle;
            while let Some(event) = events.next().await {
                if let Event::Request { reply, .. } = event {
                    reply.send(vec![2]);
                }
            }
        });
        anyhow::Ok((me, vec![address]))
    });
    started.await.context("the server's thread ended")?
}

async fn connected(events: &mut Events, to: PeerId) -> Result<()> {
    let there = async {
        while let Some(event) = events.next().await {
            if matches!(event, Event::Connected { peer, .. } if peer == to) {
                return true;
            }
        }
        false
    };
    let there = tokio::time::timeout(PATIENCE, there).await;
    ensure!(there == Ok(true), "the server is not reached");
    Ok(())
}

/// Runs work on a thread and a runtime of its own, which last as long as the process.
fn elsewhere<T: Send + 'static>(
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> oneshot::Receiver<Result<T>> {
    let (sender, receiver) = oneshot::channel();
    std::thread::spawn(move || {
        let done = runtime().map(|runtime| {
            runtime.block_on(async move {
                // Who no longer waits has failed already.
                let _ = sender.send(work.await);
                std::future::pending::<()>().await;
            });
        });
        drop(done);
    });
    receiver
}

/// Seconds that a raw stream takes.
async fn raw_stream(at: Multiaddr, bytes: usize) -> Result<f64> {
    let (mut receiver, at) = Attacker::listening(&Secret::random()?, RAW, at).await?;
    let name = receiver.me();
    let secret = Secret::random()?;
    let sent = elsewhere(async move {
        let sender = Attacker::connect(&secret, RAW, &at).await?;
        let mut stream = sender.open(name).await?;
        let chunk = vec![7; CHUNK];
        for _ in 0..bytes / CHUNK {
            stream.write_all(&chunk).await?;
        }
        stream.close().await?;
        Ok(sender)
    });
    let stream = receiver.incoming().await;
    let mut stream = stream.context("nobody opened a raw stream")?;
    let (begun, mut left, mut buffer) = (Instant::now(), bytes, vec![0; CHUNK]);
    while left > 0 {
        let count = stream.read(&mut buffer).await?;
        ensure!(count > 0, "the raw stream ended early");
        left -= count;
    }
    let seconds = begun.elapsed().as_secs_f64();
    sent.await.context("the sender's thread ended")??;
    Ok(seconds)
}

/// Milliseconds of small requests while some work is under way, at least so many.
async fn request_times(
    node: &Handle,
    peer: PeerId,
    over: &AtomicBool,
    least: usize,
) -> Result<Vec<f64>> {
    let mut times = Vec::new();
    while !over.load(Ordering::Relaxed) || times.len() < least {
        let begun = Instant::now();
        node.request(peer, vec![1; 100]).await?;
        times.push(begun.elapsed().as_secs_f64() * 1e3);
        tokio::time::sleep(EVERY).await;
    }
    Ok(times)
}

/// The value below which this part of sorted values lies; not a number without any.
fn quantile(sorted: &[f64], part: f64) -> f64 {
    let at = (sorted.len() as f64 * part) as usize;
    sorted.get(at).copied().unwrap_or(f64::NAN)
}

/// Megabytes a second, and the blob's rate by the raw stream's.
fn rates(bytes: usize, finding: &Finding) -> [f64; 3] {
    let rate = |samples: &Samples| bytes as f64 / 1e6 / samples.median();
    let ratio = finding.raw.ratio_to(&finding.blob);
    [rate(&finding.raw), rate(&finding.blob), ratio]
}

fn table(bytes: usize, findings: &[Finding]) -> Table {
    let mut table = Table::new([
        "transport",
        "raw MB/s",
        "blob MB/s",
        "blob by raw",
        "request p50 ms idle",
        "beside it",
        "p95 ms idle",
        "beside it",
        "p95 by idle",
    ]);
    for finding in findings {
        let [raw, blob, ratio] = rates(bytes, finding);
        let p = |part| [&finding.idle, &finding.busy].map(|times| quantile(times, part));
        let ([idle50, busy50], [idle95, busy95]) = (p(0.5), p(0.95));
        table.row(vec![
            finding.transport.to_owned(),
            shown(raw, 0),
            shown(blob, 0),
            shown(ratio, 2),
            shown(idle50, 1),
            shown(busy50, 1),
            shown(idle95, 1),
            shown(busy95, 1),
            shown(busy95 / idle95, 1),
        ]);
    }
    table
}

fn json_of(bytes: usize, finding: &Finding) -> Value {
    let [raw, blob, ratio] = rates(bytes, finding);
    let p = |times, part| rounded(quantile(times, part));
    json!({
        "transport": finding.transport,
        "raw_mb_s": rounded(raw), "blob_mb_s": rounded(blob), "blob_by_raw": rounded(ratio),
        "idle_ms": {"p50": p(&finding.idle, 0.5), "p95": p(&finding.idle, 0.95)},
        "beside_ms": {"p50": p(&finding.busy, 0.5), "p95": p(&finding.busy, 0.95)},
        "requests": [finding.idle.len(), finding.busy.len()],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_blob_is_measured_by_both_transports() {
        let result =
            run(&["bulk", "--mebibytes", "1", "--rounds", "1"].map(str::to_owned)).unwrap();
        let transports = result["transports"].as_array().unwrap();
        assert_eq!(transports.len(), 2);
        for one in transports {
            assert!(one["blob_by_raw"].as_f64().unwrap() > 0.0, "{one}");
            assert!(one["idle_ms"]["p95"].as_f64().unwrap() > 0.0, "{one}");
        }
    }
}
