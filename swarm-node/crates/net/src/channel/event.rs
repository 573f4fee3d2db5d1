//! What happens on a job's channels, until it is taken.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use swarm_identity::PeerId;
use tokio::sync::{Notify, OwnedSemaphorePermit};

/// What happened on a job's channels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChannelEvent {
    /// A member that was down can be reached again; what was queued when it went down is lost.
    Up(PeerId),
    /// A member cannot be reached, or takes nothing; see the [module](crate::channel).
    Down(PeerId),
    /// A frame.
    Frame {
        /// The member that sent it.
        from: PeerId,
        /// Its content, at most [`ChannelLimits::frame_bytes`](crate::ChannelLimits::frame_bytes).
        bytes: Vec<u8>,
        /// From its first byte here to its last.
        took: Duration,
    },
}

/// A frame that waits, and the room that it takes.
pub(crate) struct Waiting {
    pub(crate) from: PeerId,
    pub(crate) bytes: Vec<u8>,
    pub(crate) took: Duration,
    pub(crate) room: OwnedSemaphorePermit,
}

/// Members that went down or up and of which that was not told yet; at most two of each.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    untold: Mutex<VecDeque<ChannelEvent>>,
    added: Notify,
}

impl Changes {
    /// A member went down. An `Up` that was not told is none: whoever takes the events knows, or
    /// learns, that it was down before.
    pub(crate) fn down(&self, peer: PeerId) {
        let (mut untold, up) = (self.untold(), ChannelEvent::Up(peer));
        match untold.iter().position(|event| *event == up) {
            Some(place) => drop(untold.remove(place)),
            None => untold.push_back(ChannelEvent::Down(peer)),
        }
        drop(untold);
        self.added.notify_one();
    }

    /// A member that was down is up.
    pub(crate) fn up(&self, peer: PeerId) {
        self.untold().push_back(ChannelEvent::Up(peer));
        self.added.notify_one();
    }

    /// The next change; nothing is lost if the future is dropped.
    pub(crate) async fn next(&self) -> ChannelEvent {
        loop {
            if let Some(event) = self.pop() {
                return event;
            }
            self.added.notified().await;
        }
    }

    pub(crate) fn pop(&self) -> Option<ChannelEvent> {
        self.untold().pop_front()
    }

    fn untold(&self) -> MutexGuard<'_, VecDeque<ChannelEvent>> {
        self.untold.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_that_comes_and_goes_takes_no_more_than_two_places() {
        let changes = Changes::default();
        let [flaky, other] = [2, 3].map(|byte| PeerId([byte; 33]));
        changes.down(flaky);
        changes.down(other);
        for _ in 0..100 {
            changes.up(flaky);
            changes.down(flaky);
        }
        changes.up(flaky);
        let told: Vec<_> = std::iter::from_fn(|| changes.pop()).collect();
        let expected = [
            ChannelEvent::Down(flaky),
            ChannelEvent::Down(other),
            ChannelEvent::Up(flaky),
        ];
        assert_eq!(told, expected);
        changes.down(flaky);
        assert_eq!(changes.pop(), Some(ChannelEvent::Down(flaky)));
        changes.up(flaky);
        changes.down(flaky);
        assert_eq!(changes.pop(), None, "down is known");
    }
}
