// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Float32} from "./Binary32.sol";
import {Functions} from "./Functions.sol";

/// @title  Philox4x32-10
/// @notice Random numbers as a function of a key and a counter: Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as
///         easy as 1, 2, 3", 2011. Numbers are those of `reproducible_ops::random`.
library Philox {
    uint256 private constant MASK = 0xffffffff;
    uint256 private constant ROUNDS = 10;
    /// 2^-24.
    // slither-disable-next-line too-many-digits
    Float32 private constant SCALE = Float32.wrap(0x33800000);

    /// @notice The four random words of a counter.
    function generate(uint256[4] memory counter, uint256 key0, uint256 key1) internal pure returns (uint256[4] memory) {
        unchecked {
            (uint256 a, uint256 b, uint256 c, uint256 d) = (counter[0], counter[1], counter[2], counter[3]);
            for (uint256 i = 0; i < ROUNDS; ++i) {
                (uint256 first, uint256 second) = (a * 0xd2511f53, c * 0xcd9e8d57);
                (a, b) = ((second >> 32) ^ b ^ key0, second & MASK);
                (c, d) = ((first >> 32) ^ d ^ key1, first & MASK);
                (key0, key1) = ((key0 + 0x9e3779b9) & MASK, (key1 + 0xbb67ae85) & MASK);
            }
            return [a, b, c, d];
        }
    }

    /// @notice Element `lane` of the row with this counter: a number in the open interval (0, 1).
    function uniformAt(uint256[2] memory key, uint256[3] memory counter, uint256 lane) internal pure returns (Float32) {
        uint256[4] memory words = generate([counter[0], counter[1], counter[2], lane / 4], key[0], key[1]);
        uint256 odd = (words[lane % 4] >> 9 << 1) | 1;
        return Functions.fromMagnitude(odd).mul(SCALE);
    }
}
