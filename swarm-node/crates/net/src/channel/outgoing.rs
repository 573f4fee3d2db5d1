//! The stream to one member: opened when it is wanted, kept, and opened again when it breaks.
//!
//! ```text
//! wanted ─▶ open ─▶ accepted: up ─▶ write what is queued ─▶ broke ─┐
//!            ▲ ▲         └ nothing taken for `stall`: down         │
//!            │ └─ pause, twice as long each time ─┐                │
//!            │       `patience` over: down        │                │
//!            └────────────────────────────────────┴────────────────┘
//! ```
//! Patience begins with each break, pauses begin anew only once a stream has held for `patience`: one
//! that breaks each time it is opened is not opened all the time, and its member is down in the end.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{AsyncReadExt, AsyncWriteExt};
use libp2p::Stream;
use swarm_identity::PeerId;
use tokio::time::{Instant, sleep, timeout};

use super::frame::{self, Answer, Hello, STEP_BYTES};
use super::job::{Job, Member};
use super::tally::Tally;
use crate::bulk::network::Purpose;
use crate::handle::Handle;
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
        member,
    };
    tokio::select! {
        () = outgoing.keep() => {}
        () = job.over() => {}
    }
}

/// How long the next attempt to open a stream waits.
#[derive(Default)]
struct Pause(Duration);

impl Pause {
    async fn wait(&mut self) {
        sleep(self.0).await;
        self.0 = (2 * self.0).clamp(CHANNEL_PAUSE_FIRST, CHANNEL_PAUSE_LONGEST);
    }
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
            let mut stream = self.open(&mut pause).await;
            self.up();
            let opened = Instant::now();
            // How it broke makes no difference.
            let _ = self.carry(&mut stream).await;
            self.member.queue.broke();
            if opened.elapsed() >= self.job.limits.patience {
                pause = Pause::default();
            }
        }
    }

    /// Tries until there is a stream; says so when that takes too long.
    async fn open(&self, pause: &mut Pause) -> Stream {
        let mut tries = pin!(async {
            loop {
                pause.wait().await;
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

    async fn attempt(&self) -> Option<Stream> {
        let opened = self.handle.open_for(self.peer, Purpose::Channels).await;
        let mut stream = opened.ok()?;
        let hello = Hello(self.job.id).to_bytes();
        stream.write_all(&hello).await.ok()?;
        stream.flush().await.ok()?;
        let mut answer = [0];
        stream.read_exact(&mut answer).await.ok()?;
        (Answer::from_byte(answer[0]) == Ok(Answer::Accepted)).then_some(stream)
    }

    /// Writes what is queued until the stream breaks.
    async fn carry(&self, stream: &mut Stream) -> io::Result<()> {
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
            let mut unexpected = [0];
            tokio::select! {
                // The end of the stream, or a byte that does not belong there.
                _ = stream.read(&mut unexpected) => return Ok(()),
                () = queue.changed() => {}
            }
        }
    }

    async fn write(&self, stream: &mut Stream, bytes: &[u8]) -> io::Result<()> {
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
