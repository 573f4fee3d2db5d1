// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Sortition} from "../src/Sortition.sol";
import {Test} from "./Test.sol";

/// @title Seats in proportion to stake, fractions by lot.
contract SortitionTest is Test {
    function test_quorumIsMoreThanTwoThirds() public pure {
        vm.assertTrue(3 * Sortition.QUORUM > 2 * Sortition.SEATS);
        vm.assertTrue(3 * (Sortition.QUORUM - 1) <= 2 * Sortition.SEATS);
    }

    function test_seatsAreTheShareOrOneMore(bytes32 seed, address owner, uint128 weight, uint160 total) public pure {
        total = uint160(bound(total, 1, type(uint160).max));
        uint256 w = bound(weight, 0, total < type(uint128).max ? total : type(uint128).max);
        uint256 floor = w * 256 / total;
        uint256 seats = Sortition.seats(seed, owner, w, total);
        vm.assertTrue(seats == floor || (seats == floor + 1 && w * 256 % total != 0));
    }

    function test_wholeStakeHasAllSeats(bytes32 seed, address owner, uint128 total) public pure {
        total = uint128(bound(total, 1, type(uint128).max));
        vm.assertEq(Sortition.seats(seed, owner, total, total), 256);
        vm.assertEq(Sortition.seats(seed, owner, 0, total), 0);
    }

    /// Over many draws a stake has the same seats whole and in a hundred parts: 10 % of the stake, 25.6 seats.
    function test_splittingGainsNothing() public pure {
        uint256 whole = 0;
        uint256 parts = 0;
        for (uint256 draw = 0; draw < 500; ++draw) {
            bytes32 seed = keccak256(abi.encode("draw", draw));
            whole += Sortition.seats(seed, address(1), 1_000_003, 10_000_030);
            for (uint160 i = 0; i < 100; ++i) {
                parts += Sortition.seats(seed, address(100 + i), 10_000, 10_000_030);
            }
        }
        // 12,800 expected; the parts' standard deviation is 22 * 4.4.
        vm.assertLe(whole, 12_800 + 50);
        vm.assertLe(12_800 - 50, whole);
        vm.assertLe(parts, 12_800 + 400);
        vm.assertLe(12_800 - 400, parts);
    }

    /// Fixed values that the other implementation has as well.
    function test_vectors() public pure {
        bytes32 seed = keccak256("seed");
        uint256 sum = 0;
        for (uint160 i = 1; i <= 5; ++i) {
            sum = sum * 1_000 + Sortition.seats(seed, address(i), 1_000 * i, 15_000);
        }
        vm.assertEq(sum, 17_034_051_069_086);
    }
}
