// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title What becomes of a lost bond.
/// @dev A quarter goes to the side that was right, half to whoever brought the deciding votes, the rest is burned. So who is
///      proposer, objector and court at once still loses a quarter, and disputing with oneself never pays.
library Bonds {
    /// @dev Part of a lost bond for the other side.
    function winnerShare(uint256 bond) internal pure returns (uint256) {
        return bond / 4;
    }

    /// @dev Part of a lost bond for who brought the deciding votes.
    function courtShare(uint256 bond) internal pure returns (uint256) {
        return bond / 2;
    }
}
