// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Snapshots, Trace} from "../src/Snapshots.sol";
import {Test} from "./Test.sol";

/// @title A trace tells what every second ended with.
contract SnapshotsTest is Test {
    using Snapshots for Trace;

    Trace private _trace;

    function test_randomHistoryIsRemembered(uint8[24] memory steps, uint160[24] memory values) public {
        uint256 begin = 1_000;
        vm.warp(begin);
        uint160[] memory model = new uint160[](24 * 8 + 2);
        uint256 filled = 0;
        for (uint256 i = 0; i < 24; ++i) {
            // Several values in one second are common: the last counts.
            uint256 now_ = time() + steps[i] % 4 * (steps[i] % 3);
            for (; begin + filled < now_; ++filled) {
                model[filled + 1] = model[filled];
            }
            vm.warp(now_);
            _trace.set(values[i]);
            model[filled] = values[i];
            vm.assertEq(_trace.current(), values[i]);
        }
        // forge-lint: disable-start(unsafe-typecast)
        for (uint256 i = 0; i <= filled; ++i) {
            vm.assertEq(_trace.valueAt(uint96(begin + i)), model[i]);
        }
        vm.assertEq(_trace.valueAt(uint96(begin - 1)), 0);
        vm.assertEq(_trace.valueAt(uint96(begin + filled + 1_000)), model[filled]);
        // forge-lint: disable-end(unsafe-typecast)
    }
}
