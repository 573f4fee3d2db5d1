//! Works against newcomers.

use std::collections::BTreeSet;
use std::sync::Arc;

use swarm_identity::key::PeerId;

use super::obstructing::{divided, signed};
use super::{Attacker, Outgoing, Strategy};
use crate::agreement::Receipt;
use crate::clock::Window;
use crate::codec;
use crate::envelope::Envelope;
use crate::payload::Kind;

/// Follows the protocol, but its receipts show no hellos, or show them to half of the members only.
/// It forwards nothing.
#[derive(Default)]
pub struct Excluding {
    heard: BTreeSet<PeerId>,
}

impl Strategy for Excluding {
    fn hear(&mut self, message: &Arc<[u8]>, _: &mut Attacker) -> Vec<Outgoing> {
        if let Ok(envelope) = Envelope::parse(message)
            && envelope.header.kind == Kind::Hello
        {
            self.heard.insert(envelope.header.peer);
        }
        Vec::new()
    }

    fn enter(&mut self, window: Window, _: &mut Attacker) -> Vec<Outgoing> {
        if window == Window::ShareSeal {
            self.heard.clear();
        }
        Vec::new()
    }

    fn send(&mut self, message: Arc<[u8]>, me: &mut Attacker) -> Vec<Outgoing> {
        let Ok(envelope) = Envelope::parse(&message) else {
            return vec![message.into()];
        };
        let receipt = codec::decode::<Receipt>(envelope.payload);
        let (Kind::Receipt, Ok(receipt)) = (envelope.header.kind, receipt) else {
            return vec![message.into()];
        };
        let bare = receipt.without_hellos(self.heard.len());
        match signed(&envelope, &bare, me) {
            Some(bare) if me.chance.index(2) == 0 => divided(message.clone(), bare, me),
            Some(bare) => vec![bare.into()],
            None => vec![message.clone().into()],
        }
    }
}
