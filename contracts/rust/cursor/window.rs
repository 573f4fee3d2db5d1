//! The blocks that a cursor remembers, to see when they leave the chain.

use std::collections::VecDeque;

use alloy::primitives::B256;
use serde::{Deserialize, Serialize};

/// Blocks that are remembered.
pub const WINDOW: usize = 64;

/// Numbers and hashes, ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Window(VecDeque<(u64, B256)>);

impl Window {
    /// Remembers a block above all others, and forgets the oldest if there are too many.
    pub fn remember(&mut self, number: u64, hash: B256) {
        self.forget_above(number.saturating_sub(1));
        self.0.push_back((number, hash));
        while self.0.len() > WINDOW {
            self.0.pop_front();
        }
    }

    /// Forgets the blocks above a number.
    pub fn forget_above(&mut self, number: u64) {
        self.0.retain(|(at, _)| *at <= number);
    }

    /// All blocks, from the newest.
    pub fn newest_first(&self) -> impl Iterator<Item = (u64, B256)> {
        self.0.iter().rev().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_kept() {
        let mut window = Window::default();
        (0..100).for_each(|number| window.remember(number, B256::ZERO));
        assert_eq!(window.newest_first().count(), WINDOW);
        assert_eq!(window.newest_first().next().unwrap().0, 99);
        window.forget_above(90);
        assert_eq!(window.newest_first().next().unwrap().0, 90);
    }
}
