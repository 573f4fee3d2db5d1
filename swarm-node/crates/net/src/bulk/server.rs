//! Serves blobs: at most so many at once, so many for one peer, so many bytes a second.
//!
//! ```text
//! stream ─▶ places left? ─▶ hello ─▶ blob here and right? ─▶ asks, one after the other ─▶ end
//!             └─ busy        └──────── absent ─┘
//! ```
//! Every read and write has a deadline, so a peer that stalls loses its place. The outline of a
//! blob is made when it is first asked for, which also checks the content, and kept while others
//! fit.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::Stream;
use swarm_identity::PeerId;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::blob::{Blob, BlobId, Blobs};
use super::frame::{ASK_BYTES, Answer, Ask, HELLO_BYTES, Hello, Items};
use super::network::{Purpose, Reports, Traffic};
use super::outline::{Outline, PIECE_BYTES, range};
use crate::bucket::Bucket;
use crate::limits::{Behaviour, Limits};
use crate::peer_id;

/// Hashes that outlines in memory may have, in all (64 MiB).
const KEPT_HASHES: usize = 2 << 20;
/// Time between two looks whether the rate allows another piece.
const PACE: Duration = Duration::from_millis(4);

/// How a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// In order, or because the peer is gone.
    Well,
    /// The peer did something.
    Fault(Behaviour),
}

impl From<io::Error> for Ended {
    fn from(_: io::Error) -> Self {
        Self::Well
    }
}

type Whole = (Arc<dyn Blob>, Arc<Outline>);

/// What is served, and to whom.
pub(crate) struct Server<R> {
    blobs: Arc<dyn Blobs>,
    limits: Limits,
    reports: R,
    uploads: Mutex<HashMap<PeerId, usize>>,
    outlines: Mutex<VecDeque<Arc<Outline>>>,
    rate: Mutex<Bucket>,
}

impl<R: Reports> Server<R> {
    pub(crate) fn new(blobs: Arc<dyn Blobs>, limits: Limits, reports: R) -> Arc<Self> {
        Arc::new(Self {
            rate: Mutex::new(Bucket::new(limits.upload, Instant::now())),
            blobs,
            limits,
            reports,
            uploads: Mutex::default(),
            outlines: Mutex::default(),
        })
    }

    /// Serves the streams that come in, until the network ends.
    pub(crate) async fn run(
        self: Arc<Self>,
        mut incoming: mpsc::Receiver<(libp2p::PeerId, Stream)>,
    ) {
        while let Some((id, stream)) = incoming.recv().await {
            if let Ok(peer) = peer_id::from_libp2p(&id) {
                tokio::spawn(self.clone().serve(peer, stream));
            }
        }
    }

    /// Serves one stream.
    pub(crate) async fn serve(
        self: Arc<Self>,
        peer: PeerId,
        mut stream: impl AsyncRead + AsyncWrite + Unpin,
    ) {
        if !self.enter(peer) {
            let answer = stream.write_all(&[Answer::Busy as u8]);
            // The peer may be gone; it is told nothing then.
            let _ = timeout(Duration::from_secs(1), answer).await;
            return;
        }
        let ended = self.answer(peer, &mut stream).await;
        self.leave(peer);
        if let Ended::Fault(behaviour) = ended {
            self.reports.report(peer, behaviour);
        }
        let _ = timeout(Duration::from_secs(1), stream.close()).await;
    }

    fn enter(&self, peer: PeerId) -> bool {
        let mut uploads = lock(&self.uploads);
        let all: usize = uploads.values().sum();
        let own = uploads.get(&peer).copied().unwrap_or(0);
        let room = all < self.limits.uploads && own < self.limits.uploads_per_peer;
        if room {
            uploads.insert(peer, own + 1);
        }
        room
    }

    fn leave(&self, peer: PeerId) {
        let mut uploads = lock(&self.uploads);
        match uploads.get_mut(&peer) {
            Some(own) if *own > 1 => *own -= 1,
            _ => drop(uploads.remove(&peer)),
        }
    }

    async fn answer(
        self: &Arc<Self>,
        peer: PeerId,
        stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    ) -> Ended {
        match self.converse(peer, stream).await {
            Ok(()) => Ended::Well,
            Err(ended) => ended,
        }
    }

    async fn converse(
        self: &Arc<Self>,
        peer: PeerId,
        stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    ) -> Result<(), Ended> {
        let malformed = Ended::Fault(Behaviour::Malformed);
        let mut hello = [0; HELLO_BYTES];
        let read = timeout(self.limits.stream_time, stream.read_exact(&mut hello)).await;
        read.map_err(|_| Ended::Fault(Behaviour::Stalled))??;
        let Hello(id) = Hello::from_bytes(&hello).map_err(|_| malformed)?;
        let Some((blob, outline)) = self.open(id).await else {
            self.write(stream, &[Answer::Absent as u8]).await?;
            return self.flush(stream).await;
        };
        self.write(stream, &[Answer::Accepted as u8]).await?;
        loop {
            self.flush(stream).await?;
            let mut ask = [0; ASK_BYTES];
            // A peer may pause between two asks; after the deadline its place is somebody else's.
            match timeout(self.limits.stream_time, stream.read_exact(&mut ask)).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return Ok(()),
            }
            let ask = Ask::from_bytes(&ask, outline.len()).map_err(|_| malformed)?;
            match ask.items {
                Items::Hashes => {
                    let bytes = outline.to_bytes(ask.first, ask.count);
                    self.write(stream, &bytes).await?;
                }
                Items::Pieces => self.send_pieces(peer, stream, &blob, (id, ask)).await?,
            }
        }
    }

    async fn send_pieces(
        &self,
        peer: PeerId,
        stream: &mut (impl AsyncWrite + Unpin),
        blob: &Arc<dyn Blob>,
        (id, ask): (BlobId, Ask),
    ) -> Result<(), Ended> {
        let start = range(&id, ask.first).start;
        let end = range(&id, ask.first + ask.count - 1).end;
        let blob = blob.clone();
        let read = move || {
            let mut bytes = vec![0; (end - start) as usize];
            blob.read_at(start, &mut bytes).map(|()| bytes)
        };
        let bytes = tokio::task::spawn_blocking(read).await;
        let bytes = bytes.map_err(io::Error::other)??;
        for piece in bytes.chunks(PIECE_BYTES as usize) {
            self.pace(piece.len()).await;
            self.write(stream, piece).await?;
        }
        self.reports.moved(
            peer,
            Purpose::Blobs,
            Traffic {
                sent: bytes.len() as u64,
                received: 0,
            },
        );
        Ok(())
    }

    async fn write(
        &self,
        stream: &mut (impl AsyncWrite + Unpin),
        bytes: &[u8],
    ) -> Result<(), Ended> {
        let written = timeout(self.limits.stream_time, stream.write_all(bytes)).await;
        Ok(written.map_err(|_| Ended::Fault(Behaviour::Stalled))??)
    }

    async fn flush(&self, stream: &mut (impl AsyncWrite + Unpin)) -> Result<(), Ended> {
        let flushed = timeout(self.limits.stream_time, stream.flush()).await;
        Ok(flushed.map_err(|_| Ended::Fault(Behaviour::Stalled))??)
    }

    async fn pace(&self, bytes: usize) {
        while !lock(&self.rate).take(bytes as f64, Instant::now()) {
            sleep(PACE).await;
        }
    }

    async fn open(self: &Arc<Self>, id: BlobId) -> Option<Whole> {
        if id.bytes > self.limits.blob_bytes {
            return None;
        }
        let server = self.clone();
        let open = move || {
            let blob = server.blobs.open(&id)?;
            let outline = server.outline(id, &*blob)?;
            Some((blob, outline))
        };
        tokio::task::spawn_blocking(open).await.ok()?
    }

    fn outline(&self, id: BlobId, blob: &dyn Blob) -> Option<Arc<Outline>> {
        let known = lock(&self.outlines)
            .iter()
            .find(|outline| outline.id() == id)
            .cloned();
        if known.is_some() {
            return known;
        }
        // A blob that cannot be read, or is not what it is called, is not here.
        let outline = Arc::new(Outline::of(id, blob).ok()??);
        let mut kept = lock(&self.outlines);
        kept.push_back(outline.clone());
        while kept.len() > 1
            && kept.iter().map(|one| one.len() as usize).sum::<usize>() > KEPT_HASHES
        {
            kept.pop_front();
        }
        Some(outline)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
