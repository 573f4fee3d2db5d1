// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {SwarmStake} from "../src/SwarmStake.sol";
import {Timestamp} from "../src/types.sol";
import {SwarmTest} from "./fixtures/SwarmTest.sol";
import {StakeHandler} from "./handlers/StakeHandler.sol";

/// @title What holds for a stake after anything that owners, slasher and strangers may do.
contract SwarmStakeInvariantTest is SwarmTest {
    StakeHandler internal handler;

    function setUp() public override {
        super.setUp();
        handler = new StakeHandler(_newStake(), token);
    }

    function _newStake() internal virtual returns (SwarmStake) {
        return stake;
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    function invariant_everyTokenIsBooked() external view {
        uint256 booked = handler.sumOfBalances() + handler.sumOfOwed() + handler.donated();
        vm.assertEq(token.balanceOf(address(handler.stake())), booked);
    }

    function invariant_totalIsTheSumOfWeights() external {
        pass(1);
        uint64 moment = time() - 1;
        vm.assertEq(handler.stake().totalStakeAt(Timestamp.wrap(moment)), handler.sumOfWeightsAt(moment));
    }

    function invariant_snapshotsEndAtThePresentWeight() external {
        pass(1);
        for (uint256 i = 0; i < handler.OWNERS(); ++i) {
            address owner = handler.ownerAt(i);
            uint256 weight = handler.stake().stakeAt(owner, Timestamp.wrap(time() - 1));
            vm.assertEq(weight, handler.stake().stakeOf(owner));
        }
    }

    function invariant_partsFitIntoTheBalance() external view {
        for (uint256 i = 0; i < handler.OWNERS(); ++i) {
            _assertParts(handler.ownerAt(i));
        }
    }

    function invariant_exitsWaitAndLocksHold() external view {
        vm.assertEq(handler.earlyExits(), 0);
    }

    function invariant_onlyTheSlasherLocksAndSlashes() external view {
        vm.assertEq(handler.intrusions(), 0);
    }

    function _assertParts(address owner) private view {
        uint256 balance = handler.stake().balanceOf(owner);
        (uint256 exiting, Timestamp readyAt) = handler.stake().exitOf(owner);
        vm.assertLe(handler.stake().lockedOf(owner), balance);
        vm.assertLe(exiting, balance);
        vm.assertEq(exiting == 0, Timestamp.unwrap(readyAt) == 0);
    }
}

/// @title The same without a slasher: nothing is ever locked or owed.
contract UnslashableStakeInvariantTest is SwarmStakeInvariantTest {
    function _newStake() internal override returns (SwarmStake) {
        return new SwarmStake(IERC20(address(token)), EXIT_DELAY, address(0));
    }

    function invariant_nothingIsLockedOrOwed() external view {
        vm.assertEq(handler.sumOfOwed(), 0);
        for (uint256 i = 0; i < handler.OWNERS(); ++i) {
            vm.assertEq(handler.stake().lockedOf(handler.ownerAt(i)), 0);
        }
    }
}
