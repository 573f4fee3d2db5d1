// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Binary32, Float32} from "./Binary32.sol";
import {Order} from "./Order.sol";
import {TileTree} from "./TileTree.sol";

/// @title  Blocks of reductions, and chains over their numbers
/// @notice The order of operations is part of the result: that of `reproducible_ops::scalar::reduce`.
/// @dev    A block is a tile. The numbers of blocks are joined by chains of up to 256, level by level.
library Reductions {
    Float32 private constant ZERO = Float32.wrap(0);
    // slither-disable-next-line too-many-digits
    uint256 private constant MINUS_INFINITY = 0xff800000;
    uint256 private constant LANES = 16;
    uint256 private constant WORD = 4;

    /// @notice The block of a dot product: one ascending chain of fused products and sums from +0. It may be -0.
    /// @dev    The tiles have one length.
    function dotBlock(bytes calldata a, bytes calldata b) internal pure returns (Float32 sum) {
        unchecked {
            sum = ZERO;
            // Eight numbers at once: what lies behind the tiles is read and not used.
            for (uint256 i = 0; i < a.length; i += 8 * WORD) {
                (uint256 x, uint256 y) = (TileTree.wordsAt(a, i), TileTree.wordsAt(b, i));
                uint256 length = a.length - i;
                uint256 end = length < 8 * WORD ? 256 - 8 * length : 0;
                uint256 place = 256;
                if (end == 0) {
                    // The first sum is of one product, or of none.
                    if (!sum.isNormal()) (place, sum) = (224, _step(x, y, 224, sum));
                    // Where one step is not ordinary, others near it may not be: they are not tried.
                    if (sum.isNormal()) (place, sum) = Binary32.steps(x, y, sum, place);
                }
                while (place > end) {
                    place -= 32;
                    sum = _step(x, y, place, sum);
                }
            }
        }
    }

    /// @notice The block of a sum: lane l adds elements l, l + 16, l + 32, ... from +0, then one chain runs over the lanes.
    function sumBlock(bytes calldata x) internal pure returns (Float32 sum) {
        unchecked {
            sum = ZERO;
            for (uint256 lane = 0; lane < LANES; ++lane) {
                Float32 chain = ZERO;
                for (uint256 i = WORD * lane; i < x.length; i += WORD * LANES) {
                    chain = chain.add(_float(x, i));
                }
                sum = sum.add(chain);
            }
        }
    }

    /// @notice The largest element of a block; NaN if any is, minus infinity if there is none.
    function maxBlock(bytes calldata x) internal pure returns (uint256 largest) {
        unchecked {
            largest = MINUS_INFINITY;
            for (uint256 i = 0; i < x.length; i += WORD) {
                largest = Order.max(largest, TileTree.wordAt(x, i));
            }
        }
    }

    /// @notice One ascending chain of additions from +0.
    function addChain(uint32[] calldata numbers) internal pure returns (Float32 sum) {
        sum = ZERO;
        for (uint256 i = 0; i < numbers.length; ++i) {
            sum = sum.add(Float32.wrap(numbers[i]));
        }
    }

    /// @notice The largest number.
    function maxChain(uint32[] calldata numbers) internal pure returns (uint256 largest) {
        largest = MINUS_INFINITY;
        for (uint256 i = 0; i < numbers.length; ++i) {
            largest = Order.max(largest, numbers[i]);
        }
    }

    function _step(uint256 x, uint256 y, uint256 place, Float32 sum) private pure returns (Float32) {
        // forge-lint: disable-next-line(unsafe-typecast) a word has 32 bits
        return Float32.wrap(uint32(x >> place)).fma(Float32.wrap(uint32(y >> place)), sum);
    }

    function _float(bytes calldata words, uint256 start) private pure returns (Float32) {
        // forge-lint: disable-next-line(unsafe-typecast) a word has 32 bits
        return Float32.wrap(uint32(TileTree.wordAt(words, start)));
    }
}
