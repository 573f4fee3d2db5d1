//! The chain and the account, as the writer sees them at one moment.

use alloy::primitives::U256;

use crate::client::Block;

/// What one look at the chain shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// The newest block.
    pub head: Block,
    /// The suggested tip, in wei per gas.
    pub tip: u128,
    /// The account's next nonce.
    pub nonce: u64,
    /// Wei that it holds.
    pub balance: U256,
}
