//! Publishes properly signed, useless messages.

use super::{Attacker, Outgoing, Strategy};
use crate::clock::Window;
use crate::payload::Kind;

/// Messages of one flood.
pub const FLOOD: u16 = 48;

/// Fills the reveal window with reveals for questions that it is not assigned to.
pub struct Flooder;

impl Strategy for Flooder {
    fn enter(&mut self, window: Window, me: &mut Attacker) -> Vec<Outgoing> {
        if window != Window::ShareReveal {
            return Vec::new();
        }
        let payload = me.noise(64);
        (0..FLOOD)
            .filter_map(|slot| me.sign(Kind::ShareReveal, slot, &payload))
            .map(Outgoing::from)
            .collect()
    }
}
