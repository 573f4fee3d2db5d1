//! Messages that arrived a little before their window: neighbours' clocks run ahead.
//!
//! They are handed on before their window opens, so their signatures are checked when they come:
//! what nobody signed is neither held nor handed on.

use std::collections::HashMap;
use std::sync::Arc;

use swarm_identity::key::PeerId;

use crate::allowance::{Allowance, EARLY_BYTES, EARLY_PER_LINK, Link};
use crate::clock::Position;
use crate::rejection::Rejection;

/// Messages of the window that comes next, bounded per link and in bytes.
#[derive(Default)]
pub(super) struct EarlyMessages {
    /// That window.
    window: Option<Position>,
    held: Vec<(Link, Arc<[u8]>)>,
    per_link: HashMap<Link, u32>,
    bytes: usize,
    /// Bad signatures by link.
    allowance: Allowance,
}

impl EarlyMessages {
    /// Keeps a message of a window. Those of another window are forgotten: it never came.
    ///
    /// # Errors
    /// [`Rejection::Early`] if there is no room, [`Rejection::Rate`] if the link's allowance is
    /// used up, [`Rejection::Signature`].
    pub fn hold(
        &mut self,
        window: Position,
        (link, author): (Link, PeerId),
        bytes: &Arc<[u8]>,
        is_signed: impl FnOnce() -> bool,
    ) -> Result<(), Rejection> {
        if self.window != Some(window) {
            *self = Self {
                window: Some(window),
                ..Self::default()
            };
        }
        let count = self.per_link.get(&link).copied().unwrap_or(0);
        if count >= EARLY_PER_LINK || self.bytes + bytes.len() > EARLY_BYTES {
            return Err(Rejection::Early);
        }
        self.allowance.verified(link, author, is_signed)?;
        self.per_link.insert(link, count + 1);
        self.bytes += bytes.len();
        self.held.push((link, bytes.clone()));
        Ok(())
    }

    /// What it holds, in entries.
    pub fn entries(&self) -> usize {
        let Self {
            window: _,
            held,
            per_link,
            bytes: _,
            allowance,
        } = self;
        held.len() + per_link.len() + allowance.entries()
    }

    /// The messages in the order of their arrival; none are held afterwards.
    pub fn release(&mut self) -> Vec<(Link, Arc<[u8]>)> {
        std::mem::take(self).held
    }
}
