//! The messages that went through gossip lately, by name, in bounded room.

use std::collections::{HashSet, VecDeque};

use sha2::{Digest, Sha256};
use swarm_net::GossipId;

/// Messages that are remembered: several rounds of a large swarm.
const REMEMBERED: usize = 16_384;

/// Names of messages, the oldest forgotten first.
#[derive(Debug, Default)]
pub(super) struct Recent {
    known: HashSet<GossipId>,
    order: VecDeque<GossipId>,
}

impl Recent {
    /// Notes a message; true if it is new.
    pub(super) fn note(&mut self, bytes: &[u8]) -> bool {
        self.note_id(GossipId(Sha256::digest(bytes).into()))
    }

    /// Notes a message by its name; true if it is new.
    pub(super) fn note_id(&mut self, id: GossipId) -> bool {
        if !self.known.insert(id) {
            return false;
        }
        self.order.push_back(id);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_new_once_and_memory_is_bounded() {
        let mut recent = Recent::default();
        assert!(recent.note(b"one") && !recent.note(b"one"));
        for number in 0..2 * REMEMBERED as u32 {
            assert!(recent.note(&number.to_le_bytes()));
        }
        assert_eq!(
            (recent.known.len(), recent.order.len()),
            (REMEMBERED, REMEMBERED)
        );
        assert!(recent.note(b"one"));
    }
}
