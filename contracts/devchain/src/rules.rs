//! The rules that every block keeps: fork, gas and fees. They never change, so that costs in tests
//! and demos are the same every time.

use revm::primitives::hardfork::SpecId;

/// Fork whose rules apply.
pub const FORK: SpecId = SpecId::CANCUN;
/// Gas of a block, and most that a transaction or a call may use.
pub const BLOCK_GAS_LIMIT: u64 = 60_000_000;
/// Wei per gas that is burned.
pub const BASE_FEE: u64 = 1_000_000_000;
/// Wei per gas suggested as a tip.
pub const PRIORITY_FEE: u64 = 1_000_000_000;
