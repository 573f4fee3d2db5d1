//! Divides the members: some see a message in time, others late or never.

use std::sync::Arc;

use super::{Attacker, Outgoing, Strategy};

/// Follows the protocol, but chooses who gets its messages when. It forwards nothing.
pub struct Dividing {
    at_the_edge: bool,
    to_half: bool,
}

impl Dividing {
    /// Publishes so late that about half of the members get a message before its window ends.
    pub fn at_the_edge() -> Self {
        Self {
            at_the_edge: true,
            to_half: false,
        }
    }

    /// Publishes each message to another random half of the members.
    pub fn to_half() -> Self {
        Self {
            at_the_edge: false,
            to_half: true,
        }
    }

    /// Publishes to half of the members, half of whom get it in time.
    pub fn to_half_at_the_edge() -> Self {
        Self {
            at_the_edge: true,
            to_half: true,
        }
    }
}

impl Strategy for Dividing {
    fn send(&mut self, message: Arc<[u8]>, me: &mut Attacker) -> Vec<Outgoing> {
        let wait = match self.at_the_edge {
            true => me.until_edge(&message),
            false => 0,
        };
        let outgoing = Outgoing::from(message).after(wait);
        vec![match self.to_half {
            true => outgoing.only(me.half_of_others()),
            false => outgoing,
        }]
    }
}
