//! Takes others' words: their seals for its own, then their reveals.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::super::super::clock::Window;
use super::super::super::envelope::Envelope;
use super::super::super::payload::Kind;
use super::super::super::question::Question;
use super::super::super::work::{Task, Work};
use super::{Attacker, BURST, Strategy};

/// Signs copies of the first messages that it hears in each window, one per place: two would be
/// equivocation, which is another's trade.
#[derive(Default)]
pub struct Copier {
    copied: BTreeSet<(Kind, u16)>,
}

impl Strategy for Copier {
    fn work(&mut self, _: Work, _: &Task, _: &dyn Fn(&Question) -> String) -> Option<Work> {
        None
    }

    fn hear(&mut self, message: &Arc<[u8]>, me: &mut Attacker) -> Vec<Arc<[u8]>> {
        let Ok(envelope) = Envelope::parse(message) else {
            return Vec::new();
        };
        let (kind, slot) = (envelope.header.kind, envelope.header.slot);
        let room = kind != Kind::Attest && self.copied.len() < BURST;
        if !room || !self.copied.insert((kind, slot)) {
            return Vec::new();
        }
        me.sign(kind, slot, envelope.payload).into_iter().collect()
    }

    fn enter(&mut self, _: Window, _: &mut Attacker) -> Vec<Arc<[u8]>> {
        self.copied.clear();
        Vec::new()
    }
}
