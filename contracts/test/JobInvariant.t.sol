// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Test} from "./Test.sol";
import {JobHandler} from "./handlers/JobHandler.sol";

/// @title Whatever payers, workers, challengers and the game do: no unit is stuck, created, counted twice or nobody's.
contract JobInvariantTest is Test {
    JobHandler internal handler;

    function setUp() public {
        handler = new JobHandler();
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    function invariant_everyTokenIsBooked() external view {
        vm.assertEq(handler.balance(), handler.booked());
    }

    function invariant_everybodyIsOwedWhatTheRulesGive() external view {
        handler.checkLedger();
    }

    function invariant_gamesAreCountedAndHaveABond() external view {
        handler.checkGames();
    }

    function invariant_whatIsOverStaysOver() external view {
        handler.checkEnds();
        vm.assertEq(handler.revived(), 0);
    }

    /// Time alone, and the ends of games, bring every job to its end; what is left is burned or was given away.
    function afterInvariant() external {
        handler.clear();
        handler.checkEnds();
        handler.checkLedger();
        vm.assertEq(handler.balance(), handler.burned() + handler.donated());
    }
}
