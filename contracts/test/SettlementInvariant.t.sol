// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Units} from "../src/types.sol";
import {Test} from "./Test.sol";
import {SettlementHandler} from "./handlers/SettlementHandler.sol";

/// @title Whatever anybody does, with a hostile majority and nobody watching: no unit is stuck, created or counted twice.
contract SettlementSafetyInvariantTest is Test {
    SettlementHandler internal handler;

    function setUp() public virtual {
        handler = new SettlementHandler(2, false);
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    function invariant_everyTokenIsBooked() external view {
        vm.assertEq(handler.balance(), handler.booked());
    }

    function invariant_takenWithinCommittedWithinFunded() external view {
        vm.assertLe(Units.unwrap(handler.contracts().totalTaken()), Units.unwrap(handler.contracts().committed()));
        vm.assertLe(Units.unwrap(handler.contracts().committed()), Units.unwrap(handler.contracts().funded()));
    }

    function invariant_claimsPayWhatOwnersTook() external view {
        vm.assertEq(handler.paid(), handler.takenByOwners());
    }

    function invariant_everyStateIsLeftByTime() external view {
        vm.assertEq(handler.stuck(), 0);
    }
}

/// @title Three honest owners of eight, above a third of the stake, and a watcher: nothing false ever becomes final, and what the
///        table says was earned is there.
contract SettlementWatchedInvariantTest is SettlementSafetyInvariantTest {
    function setUp() public virtual override {
        handler = new SettlementHandler(3, true);
    }

    function invariant_nothingFalseIsFinal() external view {
        vm.assertEq(handler.falseFinals(), 0);
    }

    function invariant_whatWasEarnedIsThere() external view {
        uint256 earned = handler.earnedByOwners();
        uint256 taken = handler.takenByOwners();
        vm.assertLe(taken, earned);
        uint256 promised =
            Units.unwrap(handler.contracts().committed()) - Units.unwrap(handler.contracts().totalTaken());
        vm.assertEq(earned - taken, promised);
        vm.assertLe(promised, handler.balance());
    }
}

/// @title Six honest owners of eight, above two thirds: whatever is pending, they end every epoch that is over, at once.
contract SettlementLivenessInvariantTest is SettlementWatchedInvariantTest {
    function setUp() public override {
        handler = new SettlementHandler(6, true);
    }

    function afterInvariant() external {
        handler.clear();
        handler.fastByHonest();
        vm.assertEq(handler.stuck(), 0);
        vm.assertTrue(handler.finals() > 0);
    }
}
