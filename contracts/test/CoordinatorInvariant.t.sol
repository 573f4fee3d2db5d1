// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Test} from "./Test.sol";
import {CoordinatorHandler} from "./handlers/CoordinatorHandler.sol";

/// @title What holds for a coordinator after anything that members and strangers may do.
contract CoordinatorInvariantTest is Test {
    CoordinatorHandler private _handler;

    function setUp() public {
        _handler = new CoordinatorHandler();
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(_handler);
    }

    function invariant_everyTokenIsBooked() external view {
        vm.assertEq(_handler.balance(), _handler.booked());
    }

    function invariant_everyLeafPaysOnce() external view {
        vm.assertEq(_handler.wrongPayments(), 0);
    }

    function invariant_noEpochPaysMoreThanWasSigned() external view {
        for (uint256 i = 0; i < _handler.acceptedCount(); ++i) {
            uint64 epoch = _handler.accepted(i);
            vm.assertLe(_handler.paid(epoch), _handler.promised(epoch));
        }
    }

    function invariant_everyEpochHasOneOutcome() external view {
        for (uint256 i = 1; i < _handler.acceptedCount(); ++i) {
            for (uint256 j = 0; j < i; ++j) {
                vm.assertTrue(_handler.accepted(i) != _handler.accepted(j));
            }
        }
    }

    function invariant_votesNeverExceedTheTotal() external view {
        for (uint256 i = 0; i < _handler.acceptedCount(); ++i) {
            (uint256 votes, uint256 total) = _handler.votesOn(_handler.accepted(i));
            vm.assertLe(votes, total);
        }
    }
}
