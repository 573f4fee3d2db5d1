//! The commands that change a chain. Nothing in them is left open (a transaction's time is part of
//! its command), so the same commands in the same order make the same chain.

use serde::{Deserialize, Serialize};

use super::clock::Clock;

/// Blocks mined by one command.
pub const MAX_MINED: u64 = 10_000;

/// One change of a chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Mines a transaction into a block of its own.
    Send {
        /// The signed transaction (EIP-2718).
        raw: Vec<u8>,
        /// Time of the block in Unix seconds.
        timestamp: u64,
    },
    /// Mines empty blocks.
    Mine {
        /// How many, at most [`MAX_MINED`].
        count: u64,
        /// Their time in Unix seconds.
        timestamp: u64,
    },
    /// Sets the clock.
    Clock(Clock),
}
