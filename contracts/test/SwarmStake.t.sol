// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {SwarmStake} from "../src/SwarmStake.sol";
import {
    ExitLocked,
    ExitNotReady,
    InsufficientStake,
    NoExit,
    NotAContract,
    NotYetPast,
    ParameterOutOfRange,
    ZeroAmount,
    ZeroOwner
} from "../src/errors.sol";
import {Timestamp} from "../src/types.sol";
import {SwarmTest} from "./fixtures/SwarmTest.sol";

/// @title What owners do: deposit, leave, and weigh.
contract SwarmStakeTest is SwarmTest {
    address private constant OWNER = address(0xA11CE);

    // ---- deployment

    function test_parametersAreTold() public view {
        vm.assertEq(address(stake.token()), address(token));
        vm.assertEq(stake.exitDelay(), EXIT_DELAY);
        vm.assertEq(stake.slasher(), SLASHER);
    }

    function test_tokenWithoutCodeIsRefused() public {
        vm.expectRevert(abi.encodeWithSelector(NotAContract.selector, STRANGER));
        new SwarmStake(IERC20(STRANGER), EXIT_DELAY, SLASHER);
    }

    function test_exitDelayBoundsAreInclusive() public {
        uint64 most = stake.MAX_EXIT_DELAY();
        new SwarmStake(IERC20(address(token)), 1, SLASHER);
        new SwarmStake(IERC20(address(token)), most, SLASHER);
        _expectBadDelay(0, most);
        new SwarmStake(IERC20(address(token)), 0, SLASHER);
        _expectBadDelay(most + 1, most);
        new SwarmStake(IERC20(address(token)), most + 1, SLASHER);
    }

    function _expectBadDelay(uint256 value, uint256 most) private {
        vm.expectRevert(abi.encodeWithSelector(ParameterOutOfRange.selector, "exitDelay", value, 1, most));
    }

    // ---- deposit

    function test_depositCreditsOwnerAndTakesFromSender() public {
        token.mint(STRANGER, 100);
        vm.startPrank(STRANGER);
        token.approve(address(stake), 100);
        vm.expectEmit(address(stake));
        emit SwarmStake.Deposited(OWNER, 60);
        stake.deposit(OWNER, 60);
        vm.stopPrank();
        vm.assertEq(stake.balanceOf(OWNER), 60);
        vm.assertEq(stake.stakeOf(OWNER), 60);
        vm.assertEq(stake.balanceOf(STRANGER), 0);
        vm.assertEq(token.balanceOf(STRANGER), 40);
        vm.assertEq(token.balanceOf(address(stake)), 60);
    }

    function test_depositForNobodyIsRefused() public {
        vm.expectRevert(ZeroOwner.selector);
        stake.deposit(address(0), 1);
    }

    function test_depositOfZeroIsRefused() public {
        vm.expectRevert(ZeroAmount.selector);
        stake.deposit(OWNER, 0);
    }

    function test_depositWithoutAllowanceIsRefused() public {
        token.mint(address(this), 10);
        vm.expectRevert();
        stake.deposit(OWNER, 10);
    }

    function test_depositDoesNotTouchAnExit() public {
        _deposit(OWNER, 100);
        _requestExit(OWNER, 40);
        (, Timestamp before) = stake.exitOf(OWNER);
        pass(10);
        _deposit(OWNER, 5);
        (uint256 amount, Timestamp readyAt) = stake.exitOf(OWNER);
        vm.assertEq(amount, 40);
        vm.assertEq(Timestamp.unwrap(readyAt), Timestamp.unwrap(before));
        vm.assertEq(stake.stakeOf(OWNER), 65);
    }

    // ---- exit

    function test_requestExitTakesWeightAtOnceAndMoneyLater() public {
        _deposit(OWNER, 100);
        vm.expectEmit(address(stake));
        emit SwarmStake.ExitRequested(OWNER, 30, Timestamp.wrap(GENESIS - 1_000 + EXIT_DELAY));
        _requestExit(OWNER, 30);
        vm.assertEq(stake.stakeOf(OWNER), 70);
        vm.assertEq(stake.balanceOf(OWNER), 100);
        _assertExit(OWNER, 30, GENESIS - 1_000 + EXIT_DELAY);
    }

    function test_secondRequestAddsAndRestartsTheWait() public {
        _deposit(OWNER, 100);
        _requestExit(OWNER, 30);
        pass(EXIT_DELAY - 1);
        _requestExit(OWNER, 20);
        _assertExit(OWNER, 50, time() + EXIT_DELAY);
        pass(1);
        vm.expectPartialRevert(ExitNotReady.selector);
        _withdraw(OWNER);
    }

    function test_requestOfZeroIsRefused() public {
        _deposit(OWNER, 1);
        vm.expectRevert(ZeroAmount.selector);
        _requestExit(OWNER, 0);
    }

    function test_requestBeyondTheVotingPartIsRefused() public {
        _deposit(OWNER, 100);
        _requestExit(OWNER, 60);
        vm.expectRevert(abi.encodeWithSelector(InsufficientStake.selector, 41, 40));
        _requestExit(OWNER, 41);
    }

    function test_cancelExitGivesWeightBack() public {
        _deposit(OWNER, 100);
        _requestExit(OWNER, 30);
        vm.expectEmit(address(stake));
        emit SwarmStake.ExitCancelled(OWNER, 30);
        vm.prank(OWNER);
        stake.cancelExit();
        vm.assertEq(stake.stakeOf(OWNER), 100);
        _assertExit(OWNER, 0, 0);
    }

    function test_cancelWithoutExitIsRefused() public {
        vm.expectRevert(abi.encodeWithSelector(NoExit.selector, OWNER));
        vm.prank(OWNER);
        stake.cancelExit();
    }

    function test_withdrawPaysExactlyAtTheEndOfTheWait() public {
        _deposit(OWNER, 100);
        _requestExit(OWNER, 30);
        uint64 readyAt = time() + EXIT_DELAY;
        vm.warp(readyAt - 1);
        vm.expectRevert(abi.encodeWithSelector(ExitNotReady.selector, readyAt, readyAt - 1));
        _withdraw(OWNER);
        vm.warp(readyAt);
        vm.expectEmit(address(stake));
        emit SwarmStake.Withdrawn(OWNER, 30);
        _withdraw(OWNER);
        vm.assertEq(token.balanceOf(OWNER), 30);
        vm.assertEq(stake.balanceOf(OWNER), 70);
        _assertExit(OWNER, 0, 0);
    }

    function test_withdrawTwiceIsRefused() public {
        _deposit(OWNER, 100);
        _requestExit(OWNER, 30);
        pass(EXIT_DELAY);
        _withdraw(OWNER);
        vm.expectRevert(abi.encodeWithSelector(NoExit.selector, OWNER));
        _withdraw(OWNER);
    }

    function test_cancelledExitWaitsAnew() public {
        _deposit(OWNER, 100);
        _requestExit(OWNER, 100);
        pass(EXIT_DELAY);
        vm.prank(OWNER);
        stake.cancelExit();
        _requestExit(OWNER, 100);
        vm.expectPartialRevert(ExitNotReady.selector);
        _withdraw(OWNER);
    }

    function test_lockedMoneyStaysAndTheRestLeaves() public {
        _deposit(OWNER, 100);
        _requestExit(OWNER, 100);
        vm.prank(SLASHER);
        stake.lock(OWNER, 80);
        pass(EXIT_DELAY);
        _withdraw(OWNER);
        vm.assertEq(token.balanceOf(OWNER), 20);
        (uint256 exiting,) = stake.exitOf(OWNER);
        vm.assertEq(exiting, 80);
        vm.expectRevert(abi.encodeWithSelector(ExitLocked.selector, 80, 80));
        _withdraw(OWNER);
        vm.prank(SLASHER);
        stake.unlock(OWNER, 80);
        _withdraw(OWNER);
        vm.assertEq(token.balanceOf(OWNER), 100);
    }

    // ---- snapshots

    function test_snapshotsTellThePast() public {
        uint64 start = time();
        _deposit(OWNER, 100);
        vm.warp(start + 10);
        _deposit(STRANGER, 50);
        _requestExit(OWNER, 30);
        vm.warp(start + 20);
        _assertWeight(OWNER, start - 1, 0, 0);
        _assertWeight(OWNER, start, 100, 100);
        _assertWeight(OWNER, start + 9, 100, 100);
        _assertWeight(OWNER, start + 10, 70, 120);
        _assertWeight(STRANGER, start + 19, 50, 120);
    }

    function test_presentAndFutureAreNotTold() public {
        uint64 today = time();
        vm.expectRevert(abi.encodeWithSelector(NotYetPast.selector, today, today));
        stake.stakeAt(OWNER, Timestamp.wrap(today));
        vm.expectRevert(abi.encodeWithSelector(NotYetPast.selector, today + 1, today));
        stake.totalStakeAt(Timestamp.wrap(today + 1));
    }

    /// Borrowed money that comes and asks to leave within a block weighs nothing at that block, and cannot leave.
    function test_flashDepositNeverWeighs() public {
        _deposit(OWNER, 1_000_000);
        _requestExit(OWNER, 1_000_000);
        vm.expectPartialRevert(ExitNotReady.selector);
        _withdraw(OWNER);
        pass(1);
        _assertWeight(OWNER, time() - 1, 0, 0);
    }

    function testFuzz_depositAndFullExitReturnEverything(uint128 amount, uint128 part) public {
        amount = uint128(bound(amount, 1, type(uint128).max));
        part = uint128(bound(part, 1, amount));
        _deposit(OWNER, amount);
        _requestExit(OWNER, part);
        vm.assertEq(stake.stakeOf(OWNER), amount - part);
        pass(EXIT_DELAY);
        _withdraw(OWNER);
        vm.assertEq(token.balanceOf(OWNER), part);
        vm.assertEq(token.balanceOf(address(stake)), amount - part);
    }

    function test_moreThanAnAccountHoldsIsRefused() public {
        _deposit(OWNER, type(uint128).max);
        token.mint(address(this), 1);
        token.approve(address(stake), 1);
        vm.expectRevert();
        stake.deposit(OWNER, 1);
    }

    // ---- words

    function _requestExit(address owner, uint256 amount) private {
        vm.prank(owner);
        stake.requestExit(amount);
    }

    function _withdraw(address owner) private {
        vm.prank(owner);
        stake.withdraw();
    }

    function _assertExit(address owner, uint256 amount, uint64 readyAt) private view {
        (uint256 actual, Timestamp ready) = stake.exitOf(owner);
        vm.assertEq(actual, amount);
        vm.assertEq(Timestamp.unwrap(ready), readyAt);
    }

    function _assertWeight(address owner, uint64 moment, uint256 weight, uint256 total) private view {
        vm.assertEq(stake.stakeAt(owner, Timestamp.wrap(moment)), weight);
        vm.assertEq(stake.totalStakeAt(Timestamp.wrap(moment)), total);
    }
}
