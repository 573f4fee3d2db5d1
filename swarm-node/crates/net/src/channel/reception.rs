//! Incoming channels: whose they are, whether they are let in, and reading them.
//!
//! ```text
//! stream ─▶ places left? ─▶ hello ─▶ job here? ─▶ a member? ─▶ ends its stream before, reads this one
//!             └─ closed        │       └─ unknown job └─ no member: reported
//!                              └─ none in time, malformed: reported
//! frame ─▶ room among those that wait? ─▶ ChannelEvents      no room: nothing is read
//! ```

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::Stream;
use swarm_identity::PeerId;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::event::Waiting;
use super::frame::{self, Answer, HELLO_BYTES, Hello, PULSE, ReadError};
use super::job::Job;
use super::registry::Registry;
use super::tally::Tally;
use crate::bulk::network::Reports;
use crate::limits::{
    Behaviour, CHANNEL_HELLO_TIME, CHANNEL_HELLOS_OF_STRANGERS, CHANNEL_HELLOS_PER_PEER,
    CHANNEL_PULSE,
};
use crate::peer_id;

/// Lets channels in.
pub(crate) struct Reception<R> {
    jobs: Arc<Registry>,
    reports: R,
    /// Streams whose hello has not come, by peer.
    greeting: Mutex<HashMap<PeerId, usize>>,
}

impl<R: Reports> Reception<R> {
    pub(crate) fn new(jobs: Arc<Registry>, reports: R) -> Arc<Self> {
        Arc::new(Self {
            jobs,
            reports,
            greeting: Mutex::default(),
        })
    }

    /// Takes the streams that come in, until the network ends.
    pub(crate) async fn run(
        self: Arc<Self>,
        mut incoming: mpsc::Receiver<(libp2p::PeerId, Stream)>,
    ) {
        while let Some((id, stream)) = incoming.recv().await {
            if let Ok(peer) = peer_id::from_libp2p(&id) {
                tokio::spawn(self.clone().receive(peer, stream));
            }
        }
    }

    /// Takes one stream. Without a place for it, it is closed, and the sender tries again.
    pub(crate) async fn receive<S>(self: Arc<Self>, peer: PeerId, mut stream: S)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        if !self.enter(peer) {
            return;
        }
        let hello = self.hello(peer, &mut stream).await;
        self.leave(peer);
        let Some(Hello { job, run }) = hello else {
            return;
        };
        let Some(job) = self.jobs.get(&job) else {
            return refuse(stream, Answer::UnknownJob).await;
        };
        if job.member(&peer).is_none() {
            self.reports.report(peer, Behaviour::NoMember);
            return refuse(stream, Answer::NoMember).await;
        }
        admit(job, (peer, run), stream, self.reports.clone()).await;
    }

    async fn hello(&self, peer: PeerId, stream: &mut (impl AsyncRead + Unpin)) -> Option<Hello> {
        let mut bytes = [0; HELLO_BYTES];
        let behaviour = match timeout(CHANNEL_HELLO_TIME, stream.read_exact(&mut bytes)).await {
            Ok(Ok(())) => match Hello::from_bytes(&bytes) {
                Ok(hello) => return Some(hello),
                Err(_) => Behaviour::Malformed,
            },
            // It hung up, which it may.
            Ok(Err(_)) => return None,
            Err(_) => Behaviour::Stalled,
        };
        self.reports.report(peer, behaviour);
        None
    }

    /// Takes a place for a stream without a hello. Members do not compete with strangers.
    fn enter(&self, peer: PeerId) -> bool {
        let is_member = self.jobs.has_member(&peer);
        let mut greeting = self.greeting();
        let all: usize = greeting.values().sum();
        let own = greeting.get(&peer).copied().unwrap_or(0);
        let room =
            own < CHANNEL_HELLOS_PER_PEER && (is_member || all < CHANNEL_HELLOS_OF_STRANGERS);
        if room {
            greeting.insert(peer, own + 1);
        }
        room
    }

    fn leave(&self, peer: PeerId) {
        let mut greeting = self.greeting();
        match greeting.get_mut(&peer) {
            Some(own) if *own > 1 => *own -= 1,
            _ => drop(greeting.remove(&peer)),
        }
    }

    fn greeting(&self) -> MutexGuard<'_, HashMap<PeerId, usize>> {
        self.greeting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn refuse(mut stream: impl AsyncWrite + Unpin, answer: Answer) {
    let refusal = async {
        stream.write_all(&[answer as u8]).await?;
        stream.close().await
    };
    // The peer may be gone; it is told nothing then.
    let _ = timeout(Duration::from_secs(1), refusal).await;
}

/// Ends the member's stream before this one, so that no frame of that comes after one of this, and
/// reads.
async fn admit<S, R>(job: Arc<Job>, (peer, run): (PeerId, u64), stream: S, reports: R)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    R: Reports,
{
    let Some(member) = job.member(&peer) else {
        return;
    };
    let mut reader = member.reader.lock().await;
    if let Some(before) = reader.take() {
        before.abort();
        // It was ended, or ended by itself.
        let _ = before.await;
    }
    job.met(peer, run);
    let job = job.clone();
    *reader = Some(tokio::spawn(async move {
        tokio::select! {
            () = attend(&job, peer, stream, reports) => {}
            () = job.over() => {}
        }
    }));
}

/// Reads a member's stream to its end.
async fn attend<S, R>(job: &Job, peer: PeerId, mut stream: S, reports: R)
where
    S: AsyncRead + AsyncWrite + Unpin,
    R: Reports,
{
    let mut tally = Tally::new(reports.clone(), peer);
    match frames(job, peer, &mut stream, &mut tally).await {
        ReadError::Oversize { .. } => reports.report(peer, Behaviour::Oversize),
        ReadError::Stalled => reports.report(peer, Behaviour::Stalled),
        ReadError::Broken(_) => {}
    }
    drop(stream);
    if let Some(member) = job.member(&peer) {
        // Is it still there?
        member.queue.want();
    }
}

/// Lets a stream in and hands on its frames; why there are no more.
async fn frames<R: Reports>(
    job: &Job,
    from: PeerId,
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    tally: &mut Tally<R>,
) -> ReadError {
    let accept = async {
        stream.write_all(&[Answer::Accepted as u8]).await?;
        stream.write_all(&job.run.to_le_bytes()).await?;
        stream.flush().await
    };
    match timeout(job.limits.stall, accept).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return error.into(),
        Err(_) => return ReadError::Stalled,
    }
    let (mut reading, mut writing) = stream.split();
    tokio::select! {
        error = taken(job, from, &mut reading, tally) => error,
        error = pulses(&mut writing) => error.into(),
    }
}

/// Says that this node is there, until that cannot be said any more.
async fn pulses(stream: &mut (impl AsyncWrite + Unpin)) -> io::Error {
    loop {
        sleep(CHANNEL_PULSE).await;
        let pulse = async {
            stream.write_all(&[PULSE]).await?;
            stream.flush().await
        };
        if let Err(error) = pulse.await {
            return error;
        }
    }
}

/// Takes frames; why there are no more.
async fn taken<R: Reports>(
    job: &Job,
    from: PeerId,
    stream: &mut (impl AsyncRead + Unpin),
    tally: &mut Tally<R>,
) -> ReadError {
    loop {
        let (bytes, took) = match frame::read(stream, &job.limits).await {
            Ok(frame) => frame,
            Err(error) => return error,
        };
        tally.received(bytes.len());
        // A frame waits for all the room there is, if it is longer. Its length is below 2³².
        let needed = (bytes.len() as u32).min(job.limits.waiting_bytes);
        let Ok(room) = job.room.clone().acquire_many_owned(needed).await else {
            return ReadError::Stalled;
        };
        let waiting = Waiting {
            from,
            bytes,
            took,
            room,
        };
        if job.frames.send(waiting).await.is_err() {
            // Nobody takes events any more.
            job.over().await;
        }
    }
}
