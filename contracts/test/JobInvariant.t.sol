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

    /// What the handler does leads to every state, so that the invariants are about something.
    function test_everyStateIsReached() external {
        for (uint256 i = 0; i < 6; ++i) {
            handler.launch(i, 1 << 20, 1);
        }
        handler.cancel(0);
        for (uint256 i = 0; i < 3; ++i) {
            handler.hasten(0, i);
        }
        handler.begin(0, 1);
        handler.begin(0, 2);
        handler.end(0, 1, 0);
        handler.void(0, 2);
        handler.begin(0, 1);
        handler.refute(0, 2);
        handler.accept(0, 3);
        handler.commitSeal(0);
        handler.accept(0, 3);
        handler.clear();
        handler.checkEnds();
        for (uint256 state = 1; state < 9; ++state) {
            vm.assertTrue(handler.reached(state) > 0);
        }
        vm.assertEq(handler.balance(), handler.burned());
    }

    /// Time alone, and the ends of games, bring every job to its end; what is left is burned or was given away.
    function afterInvariant() external {
        handler.clear();
        handler.checkEnds();
        handler.checkLedger();
        vm.assertEq(handler.balance(), handler.burned() + handler.donated());
    }
}
