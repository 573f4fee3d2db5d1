//! Says one thing and another.

use std::sync::Arc;

use super::{Attacker, Outgoing, Strategy};
use crate::envelope::Envelope;

/// Signs a second version of each of its messages, with the last byte of the payload changed.
pub struct Equivocator;

impl Strategy for Equivocator {
    fn send(&mut self, message: Arc<[u8]>, me: &mut Attacker) -> Vec<Outgoing> {
        let twin = Envelope::parse(&message).ok().and_then(|envelope| {
            let mut payload = envelope.payload.to_vec();
            *payload.last_mut()? ^= 1;
            me.sign(envelope.header.kind, envelope.header.slot, &payload)
        });
        let versions = [Some(message), twin].into_iter().flatten();
        versions.map(Outgoing::from).collect()
    }
}
