//! Publishes properly signed, useless messages.

use std::sync::Arc;

use super::super::super::clock::Window;
use super::super::super::gate::FAULTS_PER_LINK;
use super::super::super::payload::Kind;
use super::{Attacker, Strategy};

/// More messages in one window than a link is allowed faults.
pub struct Flooder;

impl Strategy for Flooder {
    fn enter(&mut self, window: Window, me: &mut Attacker) -> Vec<Arc<[u8]>> {
        if window != Window::ShareReveal {
            return Vec::new();
        }
        let payload = me.noise(64);
        let slots = 0..(FAULTS_PER_LINK as u16 + 16);
        slots.filter_map(|slot| me.sign(Kind::ShareReveal, slot, &payload)).collect()
    }
}
