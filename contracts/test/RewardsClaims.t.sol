// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Claim} from "../src/Earnings.sol";
import {Outcome} from "../src/Outcome.sol";
import {SwarmRewards} from "../src/SwarmRewards.sol";
import {BadEarningsProof, PromiseExceeded} from "../src/errors.sol";
import {Epoch, Points, Units} from "../src/types.sol";
import {MerkleTree} from "./fixtures/MerkleTree.sol";
import {SettlementTest} from "./fixtures/Settlement.sol";

/// @title One proof pays what was earned and not yet taken.
contract RewardsClaimsTest is SettlementTest {
    function test_claimPaysWhatWasEarned() public {
        _settle(0);
        Claim[] memory claims = _claim(earned, 2);
        vm.expectEmit(address(rewards));
        emit SwarmRewards.Claimed(members[2].owner, Units.wrap(300), Units.wrap(300));
        vm.prank(STRANGER);
        rewards.claim(claims);
        vm.assertEq(token.balanceOf(members[2].owner), 300);
        vm.assertEq(Units.unwrap(rewards.taken(members[2].owner)), 300);
        vm.assertEq(Units.unwrap(rewards.totalTaken()), 300 + FEE);
    }

    function test_claimedTwicePaysOnce() public {
        _settle(0);
        Claim[] memory claims = _claims(earned);
        rewards.claim(claims);
        rewards.claim(claims);
        for (uint256 i = 0; i < COUNT; ++i) {
            vm.assertEq(token.balanceOf(members[i].owner), 100 * (i + 1));
        }
        vm.assertEq(Units.unwrap(rewards.totalTaken()), 2_100 + FEE);
        vm.assertEq(Units.unwrap(rewards.committed()), 2_100 + FEE);
    }

    /// Nothing is lost by waiting: the latest proof pays for all epochs.
    function test_oneProofPaysManyEpochs() public {
        _settle(0);
        rewards.claim(_claim(earned, 0));
        _settle(1);
        _settle(4);
        rewards.claim(_claim(earned, 0));
        rewards.claim(_claim(earned, 5));
        vm.assertEq(token.balanceOf(members[0].owner), 300);
        vm.assertEq(token.balanceOf(members[5].owner), 1_800);
    }

    /// In one call an owner that has taken all does not fail the others.
    function test_paidLeavesArePassedOver() public {
        _settle(0);
        rewards.claim(_claim(earned, 1));
        Claim[] memory claims = new Claim[](3);
        (claims[0], claims[1], claims[2]) = (_claims(earned)[1], _claims(earned)[0], _claims(earned)[1]);
        rewards.claim(claims);
        vm.assertEq(token.balanceOf(members[0].owner), 100);
        vm.assertEq(token.balanceOf(members[1].owner), 200);
    }

    function test_oldLeavesOfWhoHasTakenMoreArePassedOver() public {
        _settle(0);
        Claim[] memory old = _claim(earned, 2);
        _settle(1);
        rewards.claim(_claim(earned, 2));
        vm.recordLogs();
        rewards.claim(old);
        vm.assertEq(vm.getRecordedLogs().length, 0);
    }

    function test_wrongLeavesAreRefused() public {
        _settle(0);
        Claim[] memory claims = _claim(earned, 2);
        claims[0].earned = Units.wrap(301);
        bytes memory reason = abi.encodeWithSelector(BadEarningsProof.selector, members[2].owner);
        vm.expectRevert(reason);
        rewards.claim(claims);
        claims = _claim(earned, 2);
        claims[0].owner = STRANGER;
        vm.expectRevert(abi.encodeWithSelector(BadEarningsProof.selector, STRANGER));
        rewards.claim(claims);
        claims = _claim(earned, 2);
        claims[0].proof[0] = 0;
        vm.expectRevert(reason);
        rewards.claim(claims);
    }

    function test_nothingIsPaidBeforeTheFirstOutcome() public {
        Claim[] memory claims = new Claim[](1);
        claims[0] = Claim(STRANGER, Units.wrap(1), new bytes32[](0));
        vm.expectRevert(abi.encodeWithSelector(BadEarningsProof.selector, STRANGER));
        rewards.claim(claims);
    }

    function test_oldProofIsRefused() public {
        _settle(0);
        Claim[] memory old = _claim(earned, 2);
        _settle(1);
        vm.expectRevert(abi.encodeWithSelector(BadEarningsProof.selector, members[2].owner));
        rewards.claim(old);
    }

    /// Two thirds of the stake sign a table that holds more than its points: it takes nothing that was not promised.
    function test_noTableReachesBeyondWhatWasPromised() public {
        _toEnd(0);
        uint128[] memory table = new uint128[](COUNT);
        (table[0], table[1]) = (500_000, 100);
        Outcome memory o = Outcome(Epoch.wrap(0), Epoch.wrap(0), MerkleTree.root(_leaves(table)), Points.wrap(210), 0);
        rewards.finaliseFast(o, _votes(o, 0, COUNT));
        Claim[] memory greedy = _claim(table, 0);
        vm.expectRevert(abi.encodeWithSelector(PromiseExceeded.selector, 500_000 + FEE, 2_100 + FEE));
        rewards.claim(greedy);
        rewards.claim(_claim(table, 1));
        vm.assertEq(token.balanceOf(members[1].owner), 100);
    }

    /// The inner node of a tree cannot pass for a leaf: its preimage has another form.
    function test_innerNodeIsNoLeaf(bytes32 left, bytes32 right) public {
        vm.assume(left < right);
        _toEnd(0);
        Outcome memory o = _honest(0);
        o.root = keccak256(abi.encode(left, right));
        rewards.finaliseFast(o, _votes(o, 0, COUNT));
        Claim[] memory claims = new Claim[](1);
        claims[0] = Claim(address(uint160(uint256(left))), Units.wrap(uint128(uint256(right))), new bytes32[](0));
        if (Units.unwrap(claims[0].earned) == 0) return;
        vm.expectPartialRevert(BadEarningsProof.selector);
        rewards.claim(claims);
    }

    function test_randomTablesPayExactly(uint128[6] memory first, uint128[6] memory second, uint256 claimant) public {
        uint128[] memory points = new uint128[](COUNT);
        for (uint256 i = 0; i < COUNT; ++i) {
            points[i] = first[i] % 500;
        }
        points[0] += 1;
        _settleFast(0, points);
        rewards.claim(_claim(earned, claimant % COUNT));
        for (uint256 i = 0; i < COUNT; ++i) {
            points[i] = second[i] % 500;
        }
        points[5] += 1;
        _settleFast(1, points);
        rewards.claim(_claims(earned));
        uint256 sum = 0;
        for (uint256 i = 0; i < COUNT; ++i) {
            vm.assertEq(token.balanceOf(members[i].owner), earned[i]);
            sum += earned[i];
        }
        vm.assertEq(Units.unwrap(rewards.committed()), sum + 2 * FEE);
        vm.assertEq(Units.unwrap(rewards.totalTaken()), sum + 2 * FEE);
    }

    function _settleFast(uint64 epoch, uint128[] memory points) private {
        _toEnd(epoch);
        (Outcome memory o, uint128[] memory table) = _outcome(epoch, points);
        rewards.finaliseFast(o, _votes(o, 0, COUNT));
        earned = table;
    }
}
