// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title What becomes of the bond of a worker that lied or was late.
/// @dev Half is the challenger's, or comes back to a worker that was late; a fifth is the payer's; the rest is burned. So a worker
///      that refutes itself still loses half, and being late costs it exactly that: no lie is cheaper than silence, and who
///      cannot be done in time has no reason to commit to something made up.
library JobBonds {
    /// @dev Part for whoever showed the lie, or for a worker that did not lie.
    function half(uint256 bond) internal pure returns (uint256) {
        return bond / 2;
    }

    /// @dev Part for the payer, who has waited for nothing.
    function payerShare(uint256 bond) internal pure returns (uint256) {
        return bond / 5;
    }
}
