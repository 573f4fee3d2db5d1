//! The stream to one member: opened when it is wanted, kept, and opened again when it breaks.
//!
//! ```text
//! wanted ─▶ open ─▶ accepted: up ─▶ write what is queued ─▶ broke ─┐
//!            ▲ ▲         └ nothing taken for `stall`: down         │
//!            │ └─ pause, twice as long each time ─┐                │
//!            │       `patience` over: down        │                │
//!            └────────────────────────────────────┴────────────────┘
//! ```
//! A stream breaks, too, when its receiver gives no sign of life for `silence`: a process that is
//! killed, or a machine that is gone, says goodbye to nobody, and its connection seems to be there
//! for long.
//!
//! Patience begins with each break, pauses begin anew only once a stream has held for `patience`:
//! one that breaks each time it is opened is not opened all the time, and its member is down in the
//! end. A member that is connected anew is tried at once.

use std::future::pending;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures::io::{ReadHalf, WriteHalf};
use futures::{AsyncReadExt, AsyncWriteExt};
use libp2p::Stream;
use swarm_identity::PeerId;
use tokio::time::{Instant, sleep, timeout};

use super::frame::{self, Answer, Hello, PULSE, RUN_BYTES, STEP_BYTES};
use super::job::{Job, Member};
use super::tally::Tally;
use crate::bulk::network::Purpose;
use crate::handle::{Handle, Snapshot};
use crate::limits::{CHANNEL_OPEN_TIME, CHANNEL_PAUSE_FIRST, CHANNEL_PAUSE_LONGEST};

/// Keeps a stream to a member until the job is over.
pub(crate) async fn run(handle: Handle, job: Arc<Job>, peer: PeerId) {
    let Some(member) = job.member(&peer) else {
        return;
    };
    let outgoing = Outgoing {
        handle,
        job: &job,
        peer,
        member: &member,
    };
    tokio::select! {
        () = outgoing.keep() => {}
        () = job.over() => {}
    }
}

/// What the next attempt to open a stream waits for.
#[derive(Default)]
struct Pause {
    time: Duration,
    /// When the connection began over which a stream was tried last.
    tried: Option<SystemTime>,
}

struct Outgoing<'a> {
    handle: Handle,
    job: &'a Job,
    peer: PeerId,
    member: &'a Member,
}

impl Outgoing<'_> {
    async fn keep(&self) {
        self.member.queue.wanted().await;
        let mut pause = Pause::default();
        loop {
            let stream = self.open(&mut pause).await;
            self.up();
            let opened = Instant::now();
            // How it broke makes no difference.
            let _ = self.carry(stream).await;
            self.member.queue.broke();
            if opened.elapsed() >= self.job.limits.patience {
                pause.time = Duration::ZERO;
            }
        }
    }

    /// Tries until there is a stream; says so when that takes too long.
    async fn open(&self, pause: &mut Pause) -> Stream {
        let mut tries = pin!(async {
            loop {
                self.wait(pause).await;
                if let Ok(Some(stream)) = timeout(CHANNEL_OPEN_TIME, self.attempt()).await {
                    return stream;
                }
            }
        });
        tokio::select! {
            biased;
            stream = &mut tries => return stream,
            () = sleep(self.job.limits.patience) => self.down(),
        }
        tries.await
    }

    /// Waits before the next attempt: a pause that grows, or until the member is connected anew.
    async fn wait(&self, pause: &mut Pause) {
        pause.time = tokio::select! {
            () = sleep(pause.time) => 2 * pause.time,
            () = self.connected_anew(pause.tried) => CHANNEL_PAUSE_FIRST,
        };
        pause.time = pause.time.clamp(CHANNEL_PAUSE_FIRST, CHANNEL_PAUSE_LONGEST);
        pause.tried = self.handle.connected_since(&self.peer);
    }

    /// Waits until the member is connected otherwise than by a connection that began then.
    async fn connected_anew(&self, tried: Option<SystemTime>) {
        let mut snapshot = self.handle.snapshot.clone();
        let is_new = |snapshot: &Snapshot| {
            let since = snapshot.connected_since(&self.peer);
            since.is_some() && since != tried
        };
        if snapshot.wait_for(is_new).await.is_err() {
            // The network has ended; whoever waits learns that elsewhere.
            pending().await
        }
    }

    async fn attempt(&self) -> Option<Stream> {
        let opened = self.handle.open_for(self.peer, Purpose::Channels).await;
        let mut stream = opened.ok()?;
        let hello = Hello {
            job: self.job.id,
            run: self.job.run,
        };
        stream.write_all(&hello.to_bytes()).await.ok()?;
        stream.flush().await.ok()?;
        let mut answer = [0];
        stream.read_exact(&mut answer).await.ok()?;
        if Answer::from_byte(answer[0]) != Ok(Answer::Accepted) {
            return None;
        }
        let mut run = [0; RUN_BYTES];
        stream.read_exact(&mut run).await.ok()?;
        self.job.met(self.peer, u64::from_le_bytes(run));
        Some(stream)
    }

    /// Uses a stream until it breaks.
    async fn carry(&self, stream: Stream) -> io::Result<()> {
        let (mut pulses, mut stream) = stream.split();
        tokio::select! {
            broke = self.write_queued(&mut stream) => broke,
            broke = self.hear(&mut pulses) => broke,
            () = self.member.renewed.notified() => Ok(()),
        }
    }

    async fn write_queued(&self, stream: &mut WriteHalf<Stream>) -> io::Result<()> {
        let queue = &self.member.queue;
        let mut tally = Tally::new(self.handle.clone(), self.peer);
        loop {
            if let Some(frame) = queue.take() {
                // The header goes with the first bytes: alone it would be a packet of its own.
                let (first, rest) = frame.split_at(frame.len().min(STEP_BYTES));
                self.write(stream, &[&frame::header(&frame), first].concat())
                    .await?;
                self.write(stream, rest).await?;
                queue.written();
                tally.sent(frame.len());
                continue;
            }
            self.patiently(stream.flush()).await?;
            queue.changed().await;
        }
    }

    /// Hears the member's signs of life until the stream ends, none comes, or something else does.
    async fn hear(&self, pulses: &mut ReadHalf<Stream>) -> io::Result<()> {
        let mut byte = [0];
        loop {
            let read = timeout(self.job.limits.silence, pulses.read(&mut byte)).await;
            let came = read.map_err(|_| io::ErrorKind::TimedOut)??;
            if came == 0 || byte != [PULSE] {
                return Ok(());
            }
        }
    }

    async fn write(&self, stream: &mut WriteHalf<Stream>, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let step = &rest[..rest.len().min(STEP_BYTES)];
            let written = self.patiently(stream.write(step)).await?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            rest = &rest[written..];
        }
        Ok(())
    }

    /// Waits for the stream, however long it takes; says so while it takes too long.
    async fn patiently<T>(&self, step: impl Future<Output = io::Result<T>>) -> io::Result<T> {
        let mut step = pin!(step);
        if let Ok(done) = timeout(self.job.limits.stall, &mut step).await {
            return done;
        }
        self.down();
        let done = step.await?;
        self.up();
        Ok(done)
    }

    fn down(&self) {
        if self.member.queue.down() {
            self.job.changes.down(self.peer);
        }
    }

    fn up(&self) {
        if self.member.queue.up() {
            self.job.changes.up(self.peer);
        }
    }
}
