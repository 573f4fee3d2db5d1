// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title Votes side by side in one byte string: 84 bytes each, `owner(20) | r(32) | vs(32)`, the signature as in ERC-2098.
/// @dev What is left over behind the last whole vote is not read.
library PackedVotes {
    /// @dev Bytes of a vote.
    uint256 internal constant LENGTH = 84;

    /// @dev Number of whole votes.
    function count(bytes calldata self) internal pure returns (uint256) {
        return self.length / LENGTH;
    }

    /// @dev Vote `index`, below `count`.
    function read(bytes calldata self, uint256 index) internal pure returns (address owner, bytes32 r, bytes32 vs) {
        // Slices would check their bounds three times per vote; `index < count` has checked them all.
        // slither-disable-next-line assembly
        assembly ("memory-safe") {
            let vote := add(self.offset, mul(index, 84))
            owner := shr(96, calldataload(vote))
            r := calldataload(add(vote, 20))
            vs := calldataload(add(vote, 52))
        }
    }
}
