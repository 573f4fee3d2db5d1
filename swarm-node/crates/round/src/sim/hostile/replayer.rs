//! Publishes what others published, again.

use std::sync::Arc;

use super::{Attacker, BURST, MEMORY, Outgoing, Strategy, remember};
use crate::clock::Window;

/// Repeats present messages at once and old ones whenever a window begins.
#[derive(Default)]
pub struct Replayer {
    memory: Vec<Arc<[u8]>>,
    repeated: usize,
}

impl Strategy for Replayer {
    fn hear(&mut self, message: &Arc<[u8]>, me: &mut Attacker) -> Vec<Outgoing> {
        remember(&mut self.memory, message, me);
        self.repeated += 1;
        if self.repeated > BURST {
            Vec::new()
        } else {
            vec![message.clone().into()]
        }
    }

    fn enter(&mut self, _: Window, me: &mut Attacker) -> Vec<Outgoing> {
        self.repeated = 0;
        (0..BURST)
            .filter_map(|_| self.memory.get(me.chance.index(MEMORY)).cloned())
            .map(Outgoing::from)
            .collect()
    }
}
