//! What waits for one member: bounded in frames and bytes, and empty while the member is down.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::limits::ChannelLimits;

/// Why a frame is not queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// There is no room.
    Full,
    /// The member is down.
    Down,
}

#[derive(Debug, Default)]
struct State {
    frames: VecDeque<Arc<[u8]>>,
    /// The frame that is being written, which counts until that is done.
    writing: Option<Arc<[u8]>>,
    /// Of all of them.
    bytes: usize,
    is_down: bool,
    /// A stream is wanted although nothing waits.
    is_wanted: bool,
}

/// Frames for one member.
#[derive(Debug)]
pub(crate) struct Queue {
    most_frames: usize,
    most_bytes: usize,
    state: Mutex<State>,
    changed: Notify,
}

impl Queue {
    pub(crate) fn new(limits: &ChannelLimits) -> Self {
        Self {
            most_frames: limits.queue_frames,
            most_bytes: limits.queue_bytes,
            state: Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// Adds a frame at the end. A queue that is empty takes any.
    pub(crate) fn push(&self, frame: Arc<[u8]>) -> Result<(), Refused> {
        let mut state = self.state();
        if state.is_down {
            return Err(Refused::Down);
        }
        let waiting = state.frames.len() + usize::from(state.writing.is_some());
        let bytes = state.bytes.saturating_add(frame.len());
        if waiting > 0 && (waiting >= self.most_frames || bytes > self.most_bytes) {
            return Err(Refused::Full);
        }
        state.bytes = bytes;
        state.frames.push_back(frame);
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    /// Bytes of all frames that are not written.
    pub(crate) fn waiting(&self) -> usize {
        self.state().bytes
    }

    /// The next frame, which is to be written.
    pub(crate) fn take(&self) -> Option<Arc<[u8]>> {
        let mut state = self.state();
        state.writing = state.frames.pop_front();
        state.writing.clone()
    }

    /// The frame that was taken is written.
    pub(crate) fn written(&self) {
        let mut state = self.state();
        if let Some(frame) = state.writing.take() {
            state.bytes -= frame.len();
        }
    }

    /// The stream broke: the frame that was being written is the next one again, unless the member
    /// is down, which drops it.
    pub(crate) fn broke(&self) {
        let mut state = self.state();
        if let Some(frame) = state.writing.take() {
            match state.is_down {
                true => state.bytes -= frame.len(),
                false => state.frames.push_front(frame),
            }
        }
    }

    /// The member is down: what waits is dropped, but for a frame that is being written. True if it
    /// was up.
    pub(crate) fn down(&self) -> bool {
        let mut state = self.state();
        state.frames.clear();
        state.bytes = state.writing.as_ref().map_or(0, |frame| frame.len());
        !std::mem::replace(&mut state.is_down, true)
    }

    /// Whether the member is down.
    pub(crate) fn is_down(&self) -> bool {
        self.state().is_down
    }

    /// The member is up. True if it was down.
    pub(crate) fn up(&self) -> bool {
        std::mem::take(&mut self.state().is_down)
    }

    /// Asks for a stream even if nothing waits.
    pub(crate) fn want(&self) {
        self.state().is_wanted = true;
        self.changed.notify_one();
    }

    /// Waits until a stream is wanted.
    pub(crate) async fn wanted(&self) {
        while !self.is_wanted() {
            self.changed.notified().await;
        }
    }

    fn is_wanted(&self) -> bool {
        let state = self.state();
        state.is_wanted || !state.frames.is_empty()
    }

    /// Waits until a frame may have come.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(queue_frames: usize, queue_bytes: usize) -> Queue {
        Queue::new(&ChannelLimits {
            queue_frames,
            queue_bytes,
            ..ChannelLimits::default()
        })
    }

    fn frame(byte: u8, length: usize) -> Arc<[u8]> {
        vec![byte; length].into()
    }

    #[test]
    fn it_is_bounded_in_frames_and_bytes_and_takes_one_frame_of_any_length() {
        let queue = queue(3, 10);
        assert_eq!(queue.push(frame(1, 99)), Ok(()));
        assert_eq!(queue.push(frame(2, 0)), Err(Refused::Full));
        assert_eq!(queue.take(), Some(frame(1, 99)));
        assert_eq!(queue.push(frame(2, 0)), Err(Refused::Full), "not written");
        queue.written();
        assert_eq!(queue.push(frame(2, 5)), Ok(()));
        assert_eq!(queue.push(frame(3, 6)), Err(Refused::Full));
        assert_eq!(queue.push(frame(3, 5)), Ok(()));
        assert_eq!(queue.push(frame(4, 0)), Ok(()));
        assert_eq!(queue.push(frame(5, 0)), Err(Refused::Full));
    }

    #[test]
    fn a_frame_that_was_written_in_part_is_the_next_one_again() {
        let queue = queue(9, 99);
        for byte in [1, 2] {
            queue.push(frame(byte, 1)).unwrap();
        }
        queue.take();
        queue.broke();
        let rest: Vec<_> = std::iter::from_fn(|| queue.take().inspect(|_| queue.written()))
            .map(|frame| frame[0])
            .collect();
        assert_eq!(rest, [1, 2]);
        queue.broke();
        assert_eq!((queue.take(), queue.state().bytes), (None, 0));
    }

    #[test]
    fn nothing_waits_for_a_member_that_is_down() {
        let queue = queue(9, 10);
        for byte in [1, 2] {
            queue.push(frame(byte, 5)).unwrap();
        }
        queue.take();
        assert!(queue.down() && !queue.down());
        assert_eq!(queue.push(frame(3, 1)), Err(Refused::Down));
        queue.broke();
        assert!(queue.up() && !queue.up());
        assert_eq!(queue.take(), None);
        assert_eq!(queue.push(frame(3, 10)), Ok(()));
    }
}
