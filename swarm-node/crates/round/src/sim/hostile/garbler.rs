//! Publishes noise, damaged messages and forgeries.

use std::sync::Arc;

use super::{Attacker, BURST, MEMORY, Outgoing, Strategy, remember};
use crate::clock::Window;
use crate::envelope::{HEADER_BYTES, MAX_ENVELOPE};

/// Forgeries per window; over a round more than the bad signatures that a link is allowed.
const FORGERIES: usize = 16;

/// Damages what it heard in every way a byte string can be damaged.
#[derive(Default)]
pub struct Garbler {
    memory: Vec<Arc<[u8]>>,
    heard: usize,
}

impl Strategy for Garbler {
    fn hear(&mut self, message: &Arc<[u8]>, me: &mut Attacker) -> Vec<Outgoing> {
        remember(&mut self.memory, message, me);
        self.heard += 1;
        // The forgery names the real author while the window is open.
        if self.heard > FORGERIES {
            Vec::new()
        } else {
            vec![forged(message, me).into()]
        }
    }

    fn enter(&mut self, _: Window, me: &mut Attacker) -> Vec<Outgoing> {
        self.heard = 0;
        let damaged = (0..BURST).filter_map(|_| {
            let message = self.memory.get(me.chance.index(MEMORY)).cloned()?;
            Some(damage(&message, me))
        });
        let mut out: Vec<Arc<[u8]>> = damaged.collect();
        out.extend([
            me.noise(300).into(),
            me.noise(3).into(),
            vec![0; MAX_ENVELOPE + 1].into(),
        ]);
        out.into_iter().map(Outgoing::from).collect()
    }
}

/// Another payload under the author's header and signature.
fn forged(message: &Arc<[u8]>, me: &mut Attacker) -> Arc<[u8]> {
    let mut bytes = message.to_vec();
    if let Some(byte) = bytes.get_mut(HEADER_BYTES) {
        *byte ^= 1 + (me.chance.next_u32() as u8 & 0x7f);
    }
    bytes.into()
}

fn damage(message: &Arc<[u8]>, me: &mut Attacker) -> Arc<[u8]> {
    let mut bytes = message.to_vec();
    let place = me.chance.index(bytes.len());
    match me.chance.index(3) {
        0 => bytes.truncate(place),
        1 => bytes.extend(me.noise(5)),
        _ => bytes
            .iter_mut()
            .skip(place)
            .take(1)
            .for_each(|byte| *byte ^= 0x80),
    }
    bytes.into()
}
