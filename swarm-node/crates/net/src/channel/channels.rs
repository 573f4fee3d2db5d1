//! The channels of one job: starting, sending, ending.

use std::sync::Arc;

use swarm_identity::PeerId;
use thiserror::Error;
use tokio::sync::{mpsc, watch};

use super::event::{Changes, ChannelEvent, Waiting};
use super::frame::JobId;
use super::job::Job;
use super::outgoing;
use super::queue::Refused;
use super::registry::{Registry, Taken};
use crate::handle::{Handle, Snapshot};
use crate::limits::{ChannelLimits, MAX_CHANNEL_JOBS, MAX_CHANNEL_MEMBERS};

/// Why a job has no channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StartError {
    /// The job has channels already.
    #[error("this job has channels already; end them first")]
    Running,
    /// Too many jobs have channels.
    #[error("{MAX_CHANNEL_JOBS} jobs have channels, and no more may; end one first")]
    Jobs,
    /// There are too many members.
    #[error("{0} members, over the limit of {MAX_CHANNEL_MEMBERS}; split the job")]
    Members(usize),
}

/// Why a frame is not queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SendError {
    /// Whoever it is for is this node, or no member.
    #[error(
        "peer {0} is no other member of the job; send to one of those that it was started with"
    )]
    NoMember(PeerId),
    /// It is longer than a frame may be.
    #[error(
        "a frame of {bytes} bytes is over the limit of {limit}; split it, or raise `frame_bytes`"
    )]
    TooLong {
        /// Its length.
        bytes: usize,
        /// What is allowed.
        limit: u32,
    },
    /// Too much waits for the member. It is slow, and no event tells when it has taken some: wait
    /// for what it says, or try again later.
    #[error("the queue of peer {0} is full; wait for its answers")]
    Full(PeerId),
    /// The member is down.
    #[error("peer {0} is down; wait until it is up")]
    Down(PeerId),
}

/// The channels of one job. They end when this is dropped: frames that still wait for members are
/// dropped, streams are closed.
///
/// The [module](crate::channel) says what is promised.
///
/// ```no_run
/// use swarm_net::{ChannelEvent, ChannelLimits, Channels, Handle};
/// # use swarm_identity::PeerId;
/// # async fn run(handle: Handle, job: [u8; 32], members: Vec<PeerId>)
/// # -> Result<(), Box<dyn std::error::Error>> {
/// let next = members[1];
/// let limits = ChannelLimits::default();
/// let (channels, mut events) = Channels::start(handle, job, members, limits)?;
/// channels.send(next, b"activation"[..].into())?;
/// while let Some(event) = events.next().await {
///     match event {
///         ChannelEvent::Frame { from, bytes, .. } => println!("{from}: {} bytes", bytes.len()),
///         ChannelEvent::Down(peer) => println!("{peer} is gone; somebody else must do its work"),
///         ChannelEvent::Up(peer) => println!("{peer} is back"),
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Channels {
    handle: Handle,
    job: Arc<Job>,
    jobs: Arc<Registry>,
}

impl Channels {
    /// Starts the channels of a job on the current tokio runtime. This node may be among the
    /// members. Nothing is opened until something is sent.
    ///
    /// # Errors
    /// Every [`StartError`].
    ///
    /// # Panics
    /// Outside a tokio runtime with time enabled.
    pub fn start(
        handle: Handle,
        job: JobId,
        members: Vec<PeerId>,
        limits: ChannelLimits,
    ) -> Result<(Self, ChannelEvents), StartError> {
        if members.len() > MAX_CHANNEL_MEMBERS {
            return Err(StartError::Members(members.len()));
        }
        let me = handle.me();
        let others = members.into_iter().filter(|peer| *peer != me);
        let (job, frames) = Job::new(job, others, limits);
        let job = Arc::new(job);
        let jobs = handle.jobs.clone();
        jobs.add(job.clone()).map_err(|taken| match taken {
            Taken::Twice => StartError::Running,
            Taken::Many => StartError::Jobs,
        })?;
        for peer in job.peers() {
            tokio::spawn(outgoing::run(handle.clone(), job.clone(), peer));
        }
        let events = ChannelEvents {
            changes: job.changes.clone(),
            frames,
            network: handle.snapshot.clone(),
        };
        Ok((Self { handle, job, jobs }, events))
    }

    /// Adds a member, which may send from here on. Nothing happens if it is one.
    ///
    /// # Errors
    /// [`StartError::Members`].
    ///
    /// # Panics
    /// Outside a tokio runtime with time enabled.
    pub fn add(&self, peer: PeerId) -> Result<(), StartError> {
        if peer == self.handle.me() || self.job.member(&peer).is_some() {
            return Ok(());
        }
        // This node is a member, too.
        if !self.job.add(peer, MAX_CHANNEL_MEMBERS - 1) {
            return Err(StartError::Members(MAX_CHANNEL_MEMBERS + 1));
        }
        let (handle, job) = (self.handle.clone(), self.job.clone());
        tokio::spawn(outgoing::run(handle, job, peer));
        Ok(())
    }

    /// Queues a frame for a member. Never blocks.
    ///
    /// # Errors
    /// Every [`SendError`]; the frame is not sent then.
    pub fn send(&self, to: PeerId, frame: Arc<[u8]>) -> Result<(), SendError> {
        let limit = self.job.limits.frame_bytes;
        let bytes = frame.len();
        let member = self.job.member(&to).ok_or(SendError::NoMember(to))?;
        if bytes > limit as usize {
            return Err(SendError::TooLong { bytes, limit });
        }
        member.queue.push(frame).map_err(|refused| match refused {
            Refused::Full => SendError::Full(to),
            Refused::Down => SendError::Down(to),
        })
    }

    /// Bytes that wait for a member, with those of the frame that is being written; 0 for who is
    /// none.
    pub fn waiting(&self, to: &PeerId) -> usize {
        let member = self.job.member(to);
        member.map_or(0, |member| member.queue.waiting())
    }
}

impl Drop for Channels {
    fn drop(&mut self) {
        self.jobs.remove(&self.job.id);
        self.job.end();
    }
}

/// The events of a job's channels. Frames are in the order of their sender. Who is up or down comes
/// ahead of frames that wait, so that it is known at once.
#[derive(Debug)]
pub struct ChannelEvents {
    changes: Arc<Changes>,
    frames: mpsc::Receiver<Waiting>,
    /// Closed when the network ends.
    network: watch::Receiver<Snapshot>,
}

impl ChannelEvents {
    /// The next event; `None` once the job's [`Channels`] are dropped and all frames taken, or the
    /// network is shut down. Nothing is lost if the future is dropped.
    pub async fn next(&mut self) -> Option<ChannelEvent> {
        tokio::select! {
            biased;
            change = self.changes.next() => Some(change),
            waiting = self.frames.recv() => waiting.map(taken),
            () = ended(&mut self.network) => None,
        }
    }

    /// The next event if one is there.
    pub fn try_next(&mut self) -> Option<ChannelEvent> {
        let change = self.changes.pop();
        change.or_else(|| self.frames.try_recv().ok().map(taken))
    }
}

/// A frame that leaves the queue, whose room others may have.
fn taken(waiting: Waiting) -> ChannelEvent {
    let Waiting {
        from,
        bytes,
        took,
        room,
    } = waiting;
    drop(room);
    ChannelEvent::Frame { from, bytes, took }
}

async fn ended(network: &mut watch::Receiver<Snapshot>) {
    while network.changed().await.is_ok() {}
}
