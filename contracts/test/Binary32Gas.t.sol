// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {Float32} from "../src/Binary32.sol";
import {Test} from "./Test.sol";
import {Binary32Bench} from "./harness/Binary32Bench.sol";

/// @title Gas of each operation of `Binary32`: on typical operands (mean and worst), and the worst of rare ones.
/// @dev   Typical: 256 cases of random normal numbers between 2^-8 and 2^8. Rare: zeros, subnormals, sums that cancel,
///        results out of range. The bounds are those that the design of disputes counts with.
contract Binary32GasTest is Test {
    Binary32Bench private bench = new Binary32Bench();

    function test_gasOfAdd() public {
        _record("add", bench.gasOfAdd, 960);
    }

    function test_gasOfMul() public {
        _record("mul", bench.gasOfMul, 850);
    }

    function test_gasOfFma() public {
        _record("fma", bench.gasOfFma, 1210);
    }

    function test_gasOfDiv() public {
        _record("div", bench.gasOfDiv, 930);
    }

    function test_gasOfSqrt() public {
        _record("sqrt", bench.gasOfSqrt, 810);
    }

    function _record(
        string memory name,
        function(Float32[3][] memory) external view returns (uint256, uint256) gasOf,
        uint256 most
    ) private {
        (uint256 total,) = gasOf(_typical());
        uint256 worst = _worst(gasOf, _typical());
        vm.assertLe(worst, most);
        _write(name, "typical mean", total / _typical().length);
        _write(name, "typical worst", worst);
        _write(name, "rare worst", _worst(gasOf, _rare()));
    }

    /// The gas of the dearest case, each measured as the mean of eight alike.
    function _worst(
        function(Float32[3][] memory) external view returns (uint256, uint256) gasOf,
        Float32[3][] memory cases
    ) private view returns (uint256 worst) {
        Float32[3][] memory alike = new Float32[3][](8);
        for (uint256 i = 0; i < cases.length; ++i) {
            for (uint256 j = 0; j < alike.length; ++j) {
                alike[j] = cases[i];
            }
            (uint256 gas,) = gasOf(alike);
            worst = Math.max(worst, gas / alike.length);
        }
    }

    function _write(string memory name, string memory what, uint256 gas) private {
        vm.snapshotValue("Binary32", string.concat(name, ", ", what), gas);
    }

    function _typical() private pure returns (Float32[3][] memory cases) {
        cases = new Float32[3][](256);
        for (uint256 i = 0; i < cases.length; ++i) {
            for (uint256 j = 0; j < 3; ++j) {
                cases[i][j] = _draw(3 * i + j);
            }
        }
    }

    /// Any sign and mantissa, an exponent from -8 to 7.
    function _draw(uint256 seed) private pure returns (Float32) {
        uint32 bits = uint32(uint256(keccak256(abi.encode(seed))));
        return Float32.wrap((bits & 0x80000000) | (119 << 23) + (bits & 0x07ffffff));
    }

    function _rare() private pure returns (Float32[3][] memory cases) {
        uint32[12] memory edges = [
            0,
            0x80000000,
            1,
            0x807fffff,
            0x00800000,
            0x80800001,
            0x3f800000,
            0xbf800001,
            0x7f7fffff,
            0xff7fffff,
            0x7f800000,
            0x7fc00000
        ];
        cases = new Float32[3][](12 ** 3);
        for (uint256 i = 0; i < cases.length; ++i) {
            cases[i] = [Float32.wrap(edges[i / 144]), Float32.wrap(edges[i / 12 % 12]), Float32.wrap(edges[i % 12])];
        }
    }
}
