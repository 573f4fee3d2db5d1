// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title Who sits in a court: seats in proportion to stake, fractions by lot.
/// @dev Each owner's seats depend on nothing but the seed, its own stake and the total, so nobody draws the whole court. The
///      expected number is exactly `SEATS * stake / total`: splitting a stake gains nothing. The sum of all seats is `SEATS` on
///      average, not always.
library Sortition {
    /// @dev Seats of a court, on average. With a third of the stake hostile, 256 seats convict wrongly once in 1e16 draws.
    uint256 internal constant SEATS = 256;

    /// @dev Seats that decide: strictly more than two thirds of all.
    uint256 internal constant QUORUM = SEATS * 2 / 3 + 1;

    /// @dev Seats of `owner`, who has `weight` of `total`; `total` is not 0.
    ///      No product overflows: weights are below 2^160.
    function seats(bytes32 seed, address owner, uint256 weight, uint256 total) internal pure returns (uint256) {
        uint256 share = weight * SEATS;
        return share / total + (_lot(seed, owner) % total < share % total ? 1 : 0);
    }

    /// @dev `keccak256(abi.encode(seed, owner))` as a number; in scratch space, because courts draw it for every vote.
    function _lot(bytes32 seed, address owner) private pure returns (uint256 lot) {
        // slither-disable-next-line assembly
        assembly ("memory-safe") {
            mstore(0, seed)
            mstore(32, shr(96, shl(96, owner)))
            lot := keccak256(0, 64)
        }
    }
}
