//! One job: its members, what waits for them and what came from them. All parts of it share this.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use swarm_identity::PeerId;
use tokio::sync::{Mutex, Notify, Semaphore, mpsc, watch};
use tokio::task::JoinHandle;

use super::event::{Changes, Waiting};
use super::frame::JobId;
use super::queue::Queue;
use crate::limits::ChannelLimits;
use crate::run_name;

/// Another member.
#[derive(Debug)]
pub(crate) struct Member {
    /// What waits for it.
    pub(crate) queue: Queue,
    /// Who reads its stream. A new stream ends the reader of the one before.
    pub(crate) reader: Mutex<Option<JoinHandle<()>>>,
    /// Its run that was met last; 0 before the first.
    run: AtomicU64,
    /// Told when it turns out to have begun anew.
    pub(crate) renewed: Notify,
}

impl Member {
    fn new(limits: &ChannelLimits) -> Self {
        Self {
            queue: Queue::new(limits),
            reader: Mutex::default(),
            run: AtomicU64::new(0),
            renewed: Notify::new(),
        }
    }
}

/// A job while it lasts.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) id: JobId,
    pub(crate) limits: ChannelLimits,
    /// This node's run.
    pub(crate) run: u64,
    /// Members are added, and never taken out.
    members: RwLock<BTreeMap<PeerId, Arc<Member>>>,
    pub(crate) changes: Arc<Changes>,
    pub(crate) frames: mpsc::Sender<Waiting>,
    /// Bytes that frames which wait may still have.
    pub(crate) room: Arc<Semaphore>,
    over: watch::Sender<bool>,
}

impl Job {
    /// A job, and where its frames come out.
    pub(crate) fn new(
        id: JobId,
        members: impl IntoIterator<Item = PeerId>,
        limits: ChannelLimits,
    ) -> (Self, mpsc::Receiver<Waiting>) {
        let (frames, taken) = mpsc::channel(limits.waiting_frames.max(1));
        let member = |peer| (peer, Arc::new(Member::new(&limits)));
        let job = Self {
            id,
            members: RwLock::new(members.into_iter().map(member).collect()),
            changes: Arc::default(),
            frames,
            room: Arc::new(Semaphore::new(limits.waiting_bytes as usize)),
            over: watch::channel(false).0,
            limits,
            run: run_name::number(),
        };
        (job, taken)
    }

    /// A member that is not this node.
    pub(crate) fn member(&self, peer: &PeerId) -> Option<Arc<Member>> {
        let members = self.members.read();
        let members = members.unwrap_or_else(PoisonError::into_inner);
        members.get(peer).cloned()
    }

    /// Adds a member, if there are fewer than `most`; false if it is one or there is no room.
    pub(crate) fn add(&self, peer: PeerId, most: usize) -> bool {
        let members = self.members.write();
        let mut members = members.unwrap_or_else(PoisonError::into_inner);
        let is_new = members.len() < most && !members.contains_key(&peer);
        if is_new {
            members.insert(peer, Arc::new(Member::new(&self.limits)));
        }
        is_new
    }

    /// The other members.
    pub(crate) fn peers(&self) -> Vec<PeerId> {
        let members = self.members.read();
        let members = members.unwrap_or_else(PoisonError::into_inner);
        members.keys().copied().collect()
    }

    /// A member's run was met. If it is another one than before, the member was down, whether that
    /// was noticed or not, and is told so. What waits for it stays: some of it may be for the new
    /// run already.
    pub(crate) fn met(&self, peer: PeerId, run: u64) {
        let Some(member) = self.member(&peer) else {
            return;
        };
        let before = member.run.swap(run, Ordering::SeqCst);
        if before == 0 || before == run {
            return;
        }
        if !member.queue.is_down() {
            self.changes.down(peer);
            self.changes.up(peer);
        }
        // A stream to the run before leads nowhere.
        member.renewed.notify_waiters();
        member.queue.want();
    }

    /// Ends all that runs for the job.
    pub(crate) fn end(&self) {
        self.over.send_replace(true);
    }

    /// Waits for the end.
    pub(crate) async fn over(&self) {
        let mut over = self.over.subscribe();
        // The sender is a part of the job, so it is there while the job is.
        let _ = over.wait_for(|over| *over).await;
    }
}
