//! Fetches a blob from several peers at once.
//!
//! ```text
//! sources ──pieces──▶ writer (a thread): verify ─▶ disk
//!    ▲                      │
//!    └── schedule ◀── done, or: this source lies
//! ```
//! A piece is checked before it is written. A source that sends a wrong one is blamed and asked no
//! more, and what it was asked for goes to the others. What is on disk stays there if the fetch is
//! given up, and the next one goes on from it.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::stream::{FuturesUnordered, StreamExt};
use futures::{AsyncReadExt, AsyncWriteExt};
use swarm_identity::PeerId;
use thiserror::Error;
use tokio::sync::{mpsc, watch};
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use super::blob::BlobId;
use super::frame::{Answer, Ask, Hello, Items, MAX_HASHES, MAX_PIECES};
use super::network::{Network, Purpose, Traffic};
use super::outline::{HASH_BYTES, Outline, PIECE_BYTES, pieces, range};
use super::partial::{self, Partial};
use super::schedule::{Schedule, Source, Window};
use super::streams::OpenError;
use crate::limits::{Behaviour, Limits};

/// Peers that are asked at once.
const SOURCES: usize = 8;
/// How often a peer that was busy or broke off is tried.
const TRIES: u32 = 4;
/// Pause before a peer is tried again.
const PAUSE: Duration = Duration::from_secs(1);
/// Pieces that wait for the disk.
const UNWRITTEN: usize = 32;
/// Pieces for which an ask is worth a message.
const WORTH_ASKING: u32 = 4;

/// How a blob came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fetched {
    /// Bytes by peer.
    pub from: Vec<(PeerId, u64)>,
    /// Bytes that were there before.
    pub resumed: u64,
}

/// Why a blob is not fetched.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The blob is longer than this node takes.
    #[error(
        "the blob has {bytes} bytes, over the limit of {limit}; raise `blob_bytes` to fetch it"
    )]
    TooLong {
        /// Its length.
        bytes: u64,
        /// What is allowed.
        limit: u64,
    },
    /// No peer has it, or none could be asked.
    #[error("none of {0} peers serves the blob; try again with others")]
    NoSource(usize),
    /// All sources are gone; what came is kept and the next attempt goes on from it.
    #[error("{missing} bytes are missing and no source is left; try again, the rest is kept")]
    Incomplete {
        /// What is missing, in bytes.
        missing: u64,
    },
    /// The disk refuses.
    #[error("cannot write the blob: {0}; check free space and permissions")]
    Disk(#[from] io::Error),
}

/// Why a source is asked no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failed {
    /// It does not have the blob, or does not speak the protocol.
    Absent,
    /// It may work another time.
    Away,
    /// It is to blame.
    Fault(Behaviour),
}

impl From<io::Error> for Failed {
    fn from(_: io::Error) -> Self {
        Self::Away
    }
}

impl From<OpenError> for Failed {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Unsupported => Self::Absent,
            OpenError::Unreachable | OpenError::Broken => Self::Away,
        }
    }
}

/// A piece that came, unchecked.
struct Arrived {
    source: Source,
    peer: PeerId,
    piece: u32,
    bytes: Vec<u8>,
}

struct FetchState {
    schedule: Schedule,
    liars: BTreeSet<Source>,
    from: HashMap<PeerId, u64>,
}

/// What sources and writer share.
struct Shared {
    state: Mutex<FetchState>,
    /// Changes whenever a source may have something to do, or all is over.
    changed: watch::Sender<bool>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, FetchState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn drop_source(&self, source: Source) {
        self.state().schedule.dropped(source);
        self.changed.send_modify(|_| ());
    }

    /// Ends all sources.
    fn end(&self) {
        self.changed.send_replace(true);
    }
}

/// Fetches a blob into a file.
pub(crate) async fn fetch<N: Network>(
    network: N,
    limits: &Limits,
    (id, into): (BlobId, &Path),
    from: Vec<PeerId>,
) -> Result<Fetched, FetchError> {
    if id.bytes > limits.blob_bytes {
        let (bytes, limit) = (id.bytes, limits.blob_bytes);
        return Err(FetchError::TooLong { bytes, limit });
    }
    let path: PathBuf = into.into();
    let known = move || {
        Ok((
            partial::is_complete(&path, id)?,
            partial::known_outline(&path, id),
        ))
    };
    let (complete, outline) = blocking(known).await?;
    if complete {
        return Ok(Fetched {
            resumed: id.bytes,
            ..Fetched::default()
        });
    }
    let fetch = Fetch {
        network,
        id,
        time: limits.stream_time,
    };
    let outline = match outline {
        Some(outline) => outline,
        None => fetch.any_outline(&from).await?,
    };
    let path: PathBuf = into.into();
    let open = move || {
        let mut partial = Partial::open(&path, outline)?;
        let there = partial.there()?;
        Ok((partial, there))
    };
    let (partial, there) = blocking(open).await?;
    fetch.run(partial, there, from).await
}

/// One fetch.
#[derive(Clone)]
struct Fetch<N> {
    network: N,
    id: BlobId,
    time: Duration,
}

impl<N: Network> Fetch<N> {
    /// The outline from the first peer that has it.
    async fn any_outline(&self, from: &[PeerId]) -> Result<Outline, FetchError> {
        for try_ in 0..TRIES {
            let mut worth_waiting = false;
            for peer in from {
                match self.outline(*peer).await {
                    Ok(outline) => return Ok(outline),
                    Err(failed) => {
                        worth_waiting |= failed == Failed::Away;
                        self.blame(*peer, failed);
                    }
                }
            }
            if !worth_waiting || try_ + 1 == TRIES {
                break;
            }
            sleep(PAUSE).await;
        }
        Err(FetchError::NoSource(from.len()))
    }

    async fn outline(&self, peer: PeerId) -> Result<Outline, Failed> {
        let mut stream = self.connect(peer).await?;
        let total = pieces(&self.id) as u32;
        // Grows as bytes come: the length is known, but not that the peer has them.
        let mut bytes = Vec::new();
        let mut first = 0;
        while first < total {
            let count = MAX_HASHES.min(total - first);
            let ask = Ask {
                items: Items::Hashes,
                first,
                count,
            };
            self.send(&mut stream, &ask.to_bytes()).await?;
            let mut part = vec![0; count as usize * HASH_BYTES];
            self.receive(&mut stream, &mut part).await?;
            bytes.extend(part);
            first += count;
        }
        let wrong = Failed::Fault(Behaviour::WrongPiece);
        Outline::from_bytes(self.id, &bytes).ok_or(wrong)
    }

    async fn connect(&self, peer: PeerId) -> Result<N::Stream, Failed> {
        let mut stream = self.network.open(peer).await?;
        self.send(&mut stream, &Hello(self.id).to_bytes()).await?;
        let mut answer = [0];
        self.receive(&mut stream, &mut answer).await?;
        match Answer::from_byte(answer[0]) {
            Ok(Answer::Accepted) => Ok(stream),
            Ok(Answer::Absent) => Err(Failed::Absent),
            Ok(Answer::Busy) => Err(Failed::Away),
            Err(_) => Err(Failed::Fault(Behaviour::Malformed)),
        }
    }

    async fn send(
        &self,
        stream: &mut (impl futures::AsyncWrite + Unpin),
        bytes: &[u8],
    ) -> Result<(), Failed> {
        let write = async {
            stream.write_all(bytes).await?;
            stream.flush().await
        };
        let written = timeout(self.time, write).await;
        Ok(written.map_err(|_| Failed::Fault(Behaviour::Stalled))??)
    }

    async fn receive(
        &self,
        stream: &mut (impl futures::AsyncRead + Unpin),
        bytes: &mut [u8],
    ) -> Result<(), Failed> {
        let read = timeout(self.time, stream.read_exact(bytes)).await;
        Ok(read.map_err(|_| Failed::Fault(Behaviour::Stalled))??)
    }

    fn blame(&self, peer: PeerId, failed: Failed) {
        if let Failed::Fault(behaviour) = failed {
            self.network.report(peer, behaviour);
        }
    }

    async fn run(
        self,
        partial: Partial,
        there: Vec<bool>,
        from: Vec<PeerId>,
    ) -> Result<Fetched, FetchError> {
        let resumed = (0_u32..).zip(&there).filter(|(_, there)| **there);
        let resumed = resumed.map(|(piece, _)| length(&self.id, piece)).sum();
        let shared = Arc::new(Shared {
            state: Mutex::new(FetchState {
                schedule: Schedule::new(there),
                liars: BTreeSet::new(),
                from: HashMap::new(),
            }),
            changed: watch::channel(false).0,
        });
        let (arrived, pieces) = mpsc::channel(UNWRITTEN);
        let (writer, network) = (shared.clone(), self.network.clone());
        let writer = spawn_blocking(move || write(partial, pieces, &writer, &network));
        if shared.state().schedule.left() > 0 {
            self.ask_sources(&shared, arrived, from.clone()).await;
        } else {
            drop(arrived);
        }
        let partial = writer.await.map_err(io::Error::other)??;
        let (left, by) = {
            let mut state = shared.state();
            (state.schedule.left(), std::mem::take(&mut state.from))
        };
        if left > 0 {
            let missing = u64::from(left) * PIECE_BYTES;
            return Err(FetchError::Incomplete { missing });
        }
        blocking(move || partial.finish()).await?;
        let mut from: Vec<(PeerId, u64)> = by.into_iter().collect();
        from.sort_unstable();
        Ok(Fetched { from, resumed })
    }

    /// Runs sources until all pieces are there or none is left.
    async fn ask_sources(
        &self,
        shared: &Arc<Shared>,
        arrived: mpsc::Sender<Arrived>,
        from: Vec<PeerId>,
    ) {
        let mut waiting: VecDeque<(PeerId, u32)> = from.into_iter().map(|peer| (peer, 0)).collect();
        let mut running = FuturesUnordered::new();
        let mut next = 0;
        loop {
            while running.len() < SOURCES
                && let Some((peer, tries)) = waiting.pop_front()
            {
                let (source, arrived) = (next, arrived.clone());
                next += 1;
                running.push(async move {
                    if tries > 0 {
                        sleep(PAUSE).await;
                    }
                    let ended = self.source(shared, (source, peer), arrived).await;
                    (source, peer, tries, ended)
                });
            }
            let Some((source, peer, tries, ended)) = running.next().await else {
                return;
            };
            let Err(failed) = ended else {
                continue;
            };
            shared.drop_source(source);
            self.blame(peer, failed);
            if failed == Failed::Away && tries + 1 < TRIES {
                waiting.push_back((peer, tries + 1));
            }
        }
    }

    /// Asks one source until nothing is left to ask.
    async fn source(
        &self,
        shared: &Shared,
        (source, peer): (Source, PeerId),
        arrived: mpsc::Sender<Arrived>,
    ) -> Result<(), Failed> {
        let mut changed = shared.changed.subscribe();
        if *changed.borrow_and_update() {
            return Ok(());
        }
        let (mut reader, mut writer) = self.connect(peer).await?.split();
        let mut asked: VecDeque<(u32, Instant)> = VecDeque::new();
        let mut window = Window::new();
        loop {
            if *changed.borrow_and_update() || shared.state().liars.contains(&source) {
                return Ok(());
            }
            self.ask_ahead(shared, source, &mut writer, (&mut asked, &window))
                .await?;
            let Some((piece, since)) = asked.pop_front() else {
                // Everything is asked of somebody; one of them may fail.
                changed.changed().await.map_err(io::Error::other)?;
                continue;
            };
            let mut bytes = vec![0; length(&self.id, piece) as usize];
            tokio::select! {
                read = self.receive(&mut reader, &mut bytes) => read?,
                _ = changed.wait_for(|over| *over) => return Ok(()),
            }
            window.arrived(since.elapsed());
            let piece = Arrived {
                source,
                peer,
                piece,
                bytes,
            };
            if arrived.send(piece).await.is_err() {
                return Ok(());
            }
        }
    }

    async fn ask_ahead(
        &self,
        shared: &Shared,
        source: Source,
        writer: &mut (impl futures::AsyncWrite + Unpin),
        (asked, window): (&mut VecDeque<(u32, Instant)>, &Window),
    ) -> Result<(), Failed> {
        loop {
            let room = window.pieces().saturating_sub(asked.len() as u32);
            if room < WORTH_ASKING {
                return Ok(());
            }
            let taken = shared.state().schedule.take(source, room.min(MAX_PIECES));
            let Some(range) = taken else {
                return Ok(());
            };
            let ask = Ask {
                items: Items::Pieces,
                first: range.start,
                count: range.end - range.start,
            };
            self.send(writer, &ask.to_bytes()).await?;
            let now = Instant::now();
            asked.extend(range.map(|piece| (piece, now)));
        }
    }
}

/// Checks and writes pieces until no source is left; the file, for whoever finishes it.
fn write<N: Network>(
    mut partial: Partial,
    mut pieces: mpsc::Receiver<Arrived>,
    shared: &Shared,
    network: &N,
) -> io::Result<Partial> {
    let mut unreported = HashMap::new();
    while let Some(arrived) = pieces.blocking_recv() {
        let Arrived {
            source,
            peer,
            piece,
            bytes,
        } = arrived;
        let right = partial.write(piece, &bytes);
        let right = right.inspect_err(|_| shared.end())?;
        if !right {
            let first = shared.state().liars.insert(source);
            if first {
                network.report(peer, Behaviour::WrongPiece);
                shared.drop_source(source);
            }
            continue;
        }
        let left = {
            let mut state = shared.state();
            if state.schedule.done(piece) {
                *state.from.entry(peer).or_default() += bytes.len() as u64;
            }
            state.schedule.left()
        };
        *unreported.entry(peer).or_default() += bytes.len() as u64;
        if pieces.is_empty() {
            tell(network, &mut unreported);
        }
        if left == 0 {
            shared.end();
        }
    }
    tell(network, &mut unreported);
    Ok(partial)
}

/// Tells what came from whom since the last time.
fn tell<N: Network>(network: &N, unreported: &mut HashMap<PeerId, u64>) {
    for (peer, received) in unreported.drain() {
        network.report(peer, Behaviour::UsefulPiece);
        let traffic = Traffic { sent: 0, received };
        network.moved(peer, Purpose::Blobs, traffic);
    }
}

fn length(id: &BlobId, piece: u32) -> u64 {
    let range = range(id, piece);
    range.end - range.start
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    spawn_blocking(work).await.map_err(io::Error::other)?
}
