//! A member's own messages of one round, on their way to the signature.
//!
//! ```text
//! ask ──► waiting ──signed──────────► the node's own log ─► published, or Withheld(Rejected)
//!            │
//!            ├──────refused─────────► Withheld(Refused)
//!            ├──────window closes───► Withheld(Late)
//!            └──────signed too late──► Withheld(OutOfReach)
//! ```
//! A place is asked for once in a round, whatever became of it: the node never has two digests for
//! one place. What waits no more is deaf to further answers.

use std::collections::BTreeMap;

use swarm_identity::Place;

use crate::envelope::UnsignedEnvelope;

/// The messages by place; `None` for one that waits no more.
#[derive(Default)]
pub(crate) struct Outbox(BTreeMap<Place, Option<UnsignedEnvelope>>);

impl Outbox {
    /// Places asked for so far.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True if the place was asked for.
    pub fn contains(&self, place: &Place) -> bool {
        self.0.contains_key(place)
    }

    /// Lets a message wait for its signature. Its place must not have been asked for before.
    pub fn ask(&mut self, message: UnsignedEnvelope) {
        let before = self.0.insert(message.header().place(), Some(message));
        assert!(before.is_none(), "invariant: a place is asked for once");
    }

    /// The message that waits for the signature of a place, if one does. It waits no more.
    pub fn take(&mut self, place: &Place) -> Option<UnsignedEnvelope> {
        self.0.get_mut(place)?.take()
    }

    /// The messages that wait for their signatures.
    pub fn waiting(&self) -> impl Iterator<Item = &UnsignedEnvelope> {
        self.0.values().flatten()
    }

    /// The places still waiting when their window closes. They wait no more.
    pub fn close(&mut self) -> Vec<Place> {
        self.0
            .values_mut()
            .filter_map(Option::take)
            .map(|message| message.header().place())
            .collect()
    }
}
