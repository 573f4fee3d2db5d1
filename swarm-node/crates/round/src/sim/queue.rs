//! What happens when: a queue of events on virtual time.
//!
//! Events of one moment come out in the order in which they were put in. Times are whole
//! milliseconds, so few differ: a list per moment costs less than a heap of all events.

use std::collections::{BTreeMap, VecDeque};

use crate::clock::Millis;

/// Lists kept for moments to come, so that they are not allocated anew.
const SPARE_LISTS: usize = 64;

/// Events by time.
pub(super) struct EventQueue<E> {
    moments: BTreeMap<Millis, VecDeque<E>>,
    spare: Vec<VecDeque<E>>,
}

impl<E> EventQueue<E> {
    pub fn new() -> Self {
        Self {
            moments: BTreeMap::new(),
            spare: Vec::new(),
        }
    }

    /// Puts an event behind all others of its moment.
    pub fn push(&mut self, at: Millis, event: E) {
        let spare = &mut self.spare;
        let moment = self.moments.entry(at);
        moment
            .or_insert_with(|| spare.pop().unwrap_or_default())
            .push_back(event);
    }

    /// The time of the first event.
    pub fn next_time(&self) -> Option<Millis> {
        self.moments.keys().next().copied()
    }

    /// Takes the first event if it happens at `now`.
    pub fn pop(&mut self, now: Millis) -> Option<E> {
        let mut first = self.moments.first_entry()?;
        if *first.key() != now {
            return None;
        }
        let event = first.get_mut().pop_front();
        if first.get().is_empty() {
            let empty = first.remove();
            if self.spare.len() < SPARE_LISTS {
                self.spare.push(empty);
            }
        }
        event
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_by_time_and_then_as_they_were_put_in() {
        let mut queue = EventQueue::new();
        for (at, event) in [(7, 'c'), (3, 'a'), (7, 'd'), (3, 'b')] {
            queue.push(at, event);
        }
        assert_eq!((queue.next_time(), queue.pop(7)), (Some(3), None));
        assert_eq!(
            (queue.pop(3), queue.pop(3), queue.pop(3)),
            (Some('a'), Some('b'), None)
        );
        // What happens at once comes behind what happens anyway.
        queue.push(7, 'e');
        let rest: String = std::iter::from_fn(|| queue.pop(7)).collect();
        assert_eq!((rest.as_str(), queue.next_time()), ("cde", None));
    }
}
