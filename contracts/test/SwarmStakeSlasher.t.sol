// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {SwarmStake} from "../src/SwarmStake.sol";
import {InsufficientStake, NotSlasher, NothingOwed, ZeroAmount} from "../src/errors.sol";
import {Timestamp} from "../src/types.sol";
import {SwarmTest} from "./fixtures/SwarmTest.sol";

/// @title What the slasher does, and that nobody else can.
contract SwarmStakeSlasherTest is SwarmTest {
    address private constant OWNER = address(0xA11CE);
    address private constant WINNER = address(0xB0B);

    function setUp() public override {
        super.setUp();
        _deposit(OWNER, 100);
    }

    function test_lockHoldsAndKeepsVoting() public {
        vm.expectEmit(address(stake));
        emit SwarmStake.Locked(OWNER, 60);
        _lock(60);
        vm.assertEq(stake.lockedOf(OWNER), 60);
        vm.assertEq(stake.stakeOf(OWNER), 100);
    }

    function test_lockBeyondTheFreePartIsRefused() public {
        _lock(60);
        vm.expectRevert(abi.encodeWithSelector(InsufficientStake.selector, 41, 40));
        _lock(41);
    }

    function test_unlockFrees() public {
        _lock(60);
        vm.expectEmit(address(stake));
        emit SwarmStake.Unlocked(OWNER, 25);
        vm.prank(SLASHER);
        stake.unlock(OWNER, 25);
        vm.assertEq(stake.lockedOf(OWNER), 35);
    }

    function test_unlockBeyondTheLockedPartIsRefused() public {
        _lock(60);
        vm.expectRevert(abi.encodeWithSelector(InsufficientStake.selector, 61, 60));
        vm.prank(SLASHER);
        stake.unlock(OWNER, 61);
    }

    function test_amountsOfZeroAreRefused() public {
        vm.startPrank(SLASHER);
        vm.expectRevert(ZeroAmount.selector);
        stake.lock(OWNER, 0);
        vm.expectRevert(ZeroAmount.selector);
        stake.unlock(OWNER, 0);
        vm.expectRevert(ZeroAmount.selector);
        stake.slash(OWNER, 0, WINNER);
    }

    function test_slashMovesMoneyAndWeight() public {
        _lock(60);
        vm.expectEmit(address(stake));
        emit SwarmStake.Slashed(OWNER, 50, WINNER);
        _slash(50, WINNER);
        vm.assertEq(stake.balanceOf(OWNER), 50);
        vm.assertEq(stake.lockedOf(OWNER), 10);
        vm.assertEq(stake.stakeOf(OWNER), 50);
        vm.assertEq(stake.owedTo(WINNER), 50);
        pass(1);
        vm.assertEq(stake.totalStakeAt(Timestamp.wrap(time() - 1)), 50);
    }

    function test_slashBeyondTheLockedPartIsRefused() public {
        _lock(60);
        vm.expectRevert(abi.encodeWithSelector(InsufficientStake.selector, 61, 60));
        _slash(61, WINNER);
    }

    function test_slashTakesTheVotingPartFirst() public {
        _requestExit(70);
        _lock(100);
        _slash(20, WINNER);
        vm.assertEq(stake.stakeOf(OWNER), 10);
        _assertExiting(70);
        _slash(50, WINNER);
        vm.assertEq(stake.stakeOf(OWNER), 0);
        _assertExiting(30);
    }

    function test_slashOfEverythingEndsTheExit() public {
        _requestExit(100);
        _lock(100);
        _slash(100, WINNER);
        (uint256 amount, Timestamp readyAt) = stake.exitOf(OWNER);
        vm.assertEq(amount, 0);
        vm.assertEq(Timestamp.unwrap(readyAt), 0);
    }

    function test_exitCannotDodgeTheSlasher() public {
        _requestExit(100);
        _lock(100);
        pass(EXIT_DELAY);
        _slash(100, WINNER);
        vm.expectRevert();
        vm.prank(OWNER);
        stake.withdraw();
        vm.assertEq(token.balanceOf(OWNER), 0);
    }

    function test_slashWithoutReceiverBurns() public {
        _lock(60);
        vm.expectEmit(address(stake));
        emit SwarmStake.Slashed(OWNER, 60, stake.BURN_ADDRESS());
        _slash(60, address(0));
        vm.assertEq(stake.owedTo(stake.BURN_ADDRESS()), 60);
        vm.assertEq(stake.owedTo(address(0)), 0);
        vm.assertEq(token.balanceOf(address(stake)), 100);
    }

    function test_collectPaysOnce() public {
        _lock(60);
        _slash(60, WINNER);
        vm.expectEmit(address(stake));
        emit SwarmStake.Collected(WINNER, 60);
        vm.prank(WINNER);
        stake.collect();
        vm.assertEq(token.balanceOf(WINNER), 60);
        vm.assertEq(stake.owedTo(WINNER), 0);
        vm.expectRevert(abi.encodeWithSelector(NothingOwed.selector, WINNER));
        vm.prank(WINNER);
        stake.collect();
    }

    function testFuzz_onlyTheSlasherMay(address caller) public {
        vm.assume(caller != SLASHER);
        _lock(10);
        _assertPowerless(stake, caller);
    }

    function testFuzz_withoutSlasherNobodyMay(address caller) public {
        SwarmStake free = new SwarmStake(IERC20(address(token)), EXIT_DELAY, address(0));
        vm.assume(caller != address(0));
        _assertPowerless(free, caller);
    }

    // ---- words

    function _assertPowerless(SwarmStake target, address caller) private {
        bytes memory refusal = abi.encodeWithSelector(NotSlasher.selector, caller);
        vm.startPrank(caller);
        vm.expectRevert(refusal);
        target.lock(OWNER, 1);
        vm.expectRevert(refusal);
        target.unlock(OWNER, 1);
        vm.expectRevert(refusal);
        target.slash(OWNER, 1, caller);
        vm.stopPrank();
    }

    function _lock(uint256 amount) private {
        vm.prank(SLASHER);
        stake.lock(OWNER, amount);
    }

    function _slash(uint256 amount, address to) private {
        vm.prank(SLASHER);
        stake.slash(OWNER, amount, to);
    }

    function _requestExit(uint256 amount) private {
        vm.prank(OWNER);
        stake.requestExit(amount);
    }

    function _assertExiting(uint256 expected) private view {
        (uint256 amount,) = stake.exitOf(OWNER);
        vm.assertEq(amount, expected);
    }
}
