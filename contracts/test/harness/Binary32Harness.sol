// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Binary32, Float32} from "../../src/Binary32.sol";

/// @title  Many operations of `Binary32` in one call
/// @notice For differential tests. Operands and results are 32-bit words, big-endian and without padding; the operands of
///         a case follow one another, and the answer has one result per case, in order.
contract Binary32Harness {
    function add(bytes calldata operands) external pure returns (bytes memory) {
        return _binary(operands, Binary32.add);
    }

    function sub(bytes calldata operands) external pure returns (bytes memory) {
        return _binary(operands, Binary32.sub);
    }

    function mul(bytes calldata operands) external pure returns (bytes memory) {
        return _binary(operands, Binary32.mul);
    }

    function div(bytes calldata operands) external pure returns (bytes memory) {
        return _binary(operands, Binary32.div);
    }

    function sqrt(bytes calldata operands) external pure returns (bytes memory results) {
        results = new bytes(operands.length);
        for (uint256 i = 0; i < operands.length; i += 4) {
            _put(results, i, Binary32.sqrt(_word(operands, i)));
        }
    }

    function fma(bytes calldata operands) external pure returns (bytes memory results) {
        results = new bytes(operands.length / 3);
        for (uint256 i = 0; i < results.length; i += 4) {
            uint256 start = 3 * i;
            _put(
                results, i, Binary32.fma(_word(operands, start), _word(operands, start + 4), _word(operands, start + 8))
            );
        }
    }

    /// By the first of eight steps at once, where it is ordinary; the others multiply zeros.
    function steps(bytes calldata operands) external pure returns (bytes memory results) {
        results = new bytes(operands.length / 3);
        for (uint256 i = 0; i < results.length; i += 4) {
            uint256 start = 3 * i;
            (Float32 x, Float32 y) = (_word(operands, start), _word(operands, start + 4));
            Float32 sum = _word(operands, start + 8);
            uint256 left = 256;
            if (sum.isNormal()) {
                (left, sum) =
                    Binary32.steps(uint256(Float32.unwrap(x)) << 224, uint256(Float32.unwrap(y)) << 224, sum, left);
            }
            if (left != 0) sum = x.fma(y, sum);
            _put(results, i, sum);
        }
    }

    function _binary(bytes calldata operands, function(Float32, Float32) internal pure returns (Float32) operation)
        private
        pure
        returns (bytes memory results)
    {
        results = new bytes(operands.length / 2);
        for (uint256 i = 0; i < results.length; i += 4) {
            _put(results, i, operation(_word(operands, 2 * i), _word(operands, 2 * i + 4)));
        }
    }

    function _word(bytes calldata words, uint256 start) private pure returns (Float32) {
        return Float32.wrap(uint32(bytes4(words[start:start + 4])));
    }

    /// Sets four zero bytes: the lowest of the 32 that end with them, so that nothing behind the array is touched.
    function _put(bytes memory words, uint256 start, Float32 value) private pure {
        assembly ("memory-safe") {
            let place := add(add(words, 4), start)
            mstore(place, or(mload(place), value))
        }
    }
}
