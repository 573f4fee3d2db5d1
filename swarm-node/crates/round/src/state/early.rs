//! Messages that arrived a little before their window: neighbours' clocks run ahead.

use std::collections::HashMap;
use std::sync::Arc;

use crate::allowance::{EARLY_BYTES, EARLY_PER_LINK, Link};
use crate::clock::Position;

/// Messages of the window that comes next, bounded per link and in bytes.
#[derive(Default)]
pub(super) struct EarlyMessages {
    /// That window.
    window: Option<Position>,
    held: Vec<(Link, Arc<[u8]>)>,
    per_link: HashMap<Link, u32>,
    bytes: usize,
}

impl EarlyMessages {
    /// Keeps a message of a window, or returns false if there is no room. Those of another window
    /// are forgotten: it never came.
    pub fn hold(&mut self, window: Position, link: Link, bytes: &Arc<[u8]>) -> bool {
        if self.window != Some(window) {
            *self = Self {
                window: Some(window),
                ..Self::default()
            };
        }
        let count = self.per_link.entry(link).or_insert(0);
        if *count >= EARLY_PER_LINK || self.bytes + bytes.len() > EARLY_BYTES {
            return false;
        }
        *count += 1;
        self.bytes += bytes.len();
        self.held.push((link, bytes.clone()));
        true
    }

    /// The messages in the order of their arrival; none are held afterwards.
    pub fn release(&mut self) -> Vec<(Link, Arc<[u8]>)> {
        std::mem::take(self).held
    }
}
