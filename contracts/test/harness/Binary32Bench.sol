// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Binary32, Float32} from "../../src/Binary32.sol";
import {Binary32Harness} from "./Binary32Harness.sol";

/// @title  Gas of the operations of `Binary32`
/// @notice Each function runs a loop over its cases that folds the operands and the result of each into one word, and the
///         same loop over the operands alone. The difference is the gas of the operations: code, internal call, and
///         bringing the operands to the top of the stack.
/// @dev    The harness that it extends calls each operation too: the only call of a function would be inlined.
///         Every function returns the gas of all its cases together, and the folded word, so that nothing is optimised away.
contract Binary32Bench is Binary32Harness {
    /// @notice Gas of sums.
    function gasOfAdd(Float32[3][] memory cases) external view returns (uint256 gas, uint256 folded) {
        gas = gasleft();
        for (uint256 i = 0; i < cases.length; ++i) {
            Float32[3] memory x = cases[i];
            folded ^= _fold(x) ^ Float32.unwrap(Binary32.add(x[0], x[1]));
        }
        return _lessEmptyLoop(gas - gasleft(), folded, cases);
    }

    /// @notice Gas of products.
    function gasOfMul(Float32[3][] memory cases) external view returns (uint256 gas, uint256 folded) {
        gas = gasleft();
        for (uint256 i = 0; i < cases.length; ++i) {
            Float32[3] memory x = cases[i];
            folded ^= _fold(x) ^ Float32.unwrap(Binary32.mul(x[0], x[1]));
        }
        return _lessEmptyLoop(gas - gasleft(), folded, cases);
    }

    /// @notice Gas of fused products and sums.
    function gasOfFma(Float32[3][] memory cases) external view returns (uint256 gas, uint256 folded) {
        gas = gasleft();
        for (uint256 i = 0; i < cases.length; ++i) {
            Float32[3] memory x = cases[i];
            folded ^= _fold(x) ^ Float32.unwrap(Binary32.fma(x[0], x[1], x[2]));
        }
        return _lessEmptyLoop(gas - gasleft(), folded, cases);
    }

    /// @notice Gas of quotients.
    function gasOfDiv(Float32[3][] memory cases) external view returns (uint256 gas, uint256 folded) {
        gas = gasleft();
        for (uint256 i = 0; i < cases.length; ++i) {
            Float32[3] memory x = cases[i];
            folded ^= _fold(x) ^ Float32.unwrap(Binary32.div(x[0], x[1]));
        }
        return _lessEmptyLoop(gas - gasleft(), folded, cases);
    }

    /// @notice Gas of roots.
    function gasOfSqrt(Float32[3][] memory cases) external view returns (uint256 gas, uint256 folded) {
        gas = gasleft();
        for (uint256 i = 0; i < cases.length; ++i) {
            Float32[3] memory x = cases[i];
            folded ^= _fold(x) ^ Float32.unwrap(Binary32.sqrt(x[0]));
        }
        return _lessEmptyLoop(gas - gasleft(), folded, cases);
    }

    function _lessEmptyLoop(uint256 full, uint256 folded, Float32[3][] memory cases)
        private
        view
        returns (uint256, uint256)
    {
        uint256 start = gasleft();
        for (uint256 i = 0; i < cases.length; ++i) {
            folded ^= _fold(cases[i]);
        }
        return (full - (start - gasleft()), folded);
    }

    function _fold(Float32[3] memory x) private pure returns (uint256) {
        return Float32.unwrap(x[0]) ^ Float32.unwrap(x[1]) ^ Float32.unwrap(x[2]);
    }
}
