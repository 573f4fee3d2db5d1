//! Copies others' messages: their seals, then their reveals.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Attacker, BURST, Outgoing, Strategy};
use crate::clock::Window;
use crate::envelope::Envelope;
use crate::payload::Kind;
use crate::question::RoundQuestion;
use crate::work::{StageTask, Work};

/// Signs copies of the first messages that it hears in each window, one per place: two would be
/// equivocation, which is another's trade.
#[derive(Default)]
pub struct Copier {
    copied: BTreeSet<(Kind, u16)>,
}

impl Strategy for Copier {
    fn work(
        &mut self,
        _: Work,
        _: &StageTask,
        _: &dyn Fn(&RoundQuestion) -> String,
    ) -> Option<Work> {
        None
    }

    fn hear(&mut self, message: &Arc<[u8]>, me: &mut Attacker) -> Vec<Outgoing> {
        let Ok(envelope) = Envelope::parse(message) else {
            return Vec::new();
        };
        let (kind, slot) = (envelope.header.kind, envelope.header.slot);
        let room = kind != Kind::Attest && self.copied.len() < BURST;
        if !room || !self.copied.insert((kind, slot)) {
            return Vec::new();
        }
        let copy = me.sign(kind, slot, envelope.payload);
        copy.map(Outgoing::from).into_iter().collect()
    }

    fn enter(&mut self, _: Window, _: &mut Attacker) -> Vec<Outgoing> {
        self.copied.clear();
        Vec::new()
    }
}
