// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {EpochCapExceeded, NodeNotBound, PoolTooSmall, QuorumNotReached, SubmissionClosed} from "../src/errors.sol";
import {Epoch, Scores} from "../src/types.sol";
import {SwarmTest} from "./fixtures/SwarmTest.sol";

/// @title Attacks that succeed on the first version; `SettlementAttacks.t.sol` has each once more, where it fails.
/// @dev   To be removed with the first version.
contract FirstVersionAttacksTest is SwarmTest {
    function setUp() public override {
        super.setUp();
        _joinMany(6, 300);
        _fund(5_000);
    }

    /// One member votes, unbinds its node, and everybody's submission with its vote in it is void.
    function test_unbindingAfterVotingBlocksTheSubmission() public {
        Scores memory s = _scores(0, _points(6));
        bytes[] memory votes = _votes(s, 5);
        vm.warp(GENESIS + EPOCH);
        vm.prank(members[2].owner);
        coordinator.unbind(members[2].node.addr);
        vm.expectRevert(abi.encodeWithSelector(NodeNotBound.selector, members[2].node.addr));
        coordinator.submitScores(s, votes);
    }

    /// A third of the stake stays silent: the epoch is void for ever.
    function test_silentThirdVoidsTheEpoch() public {
        Scores memory s = _scores(0, _points(6));
        bytes[] memory votes = _votes(s, 4);
        vm.warp(GENESIS + EPOCH);
        vm.expectRevert(abi.encodeWithSelector(QuorumNotReached.selector, 1_200, 1_800));
        coordinator.submitScores(s, votes);
        vm.warp(GENESIS + EXIT_DELAY + 1);
        bytes[] memory all = _votes(s, 6);
        vm.expectPartialRevert(SubmissionClosed.selector);
        coordinator.submitScores(s, all);
    }

    /// A point above the cap, or above the pool, and nobody is paid.
    function test_tableAboveCapOrPoolPaysNobody() public {
        vm.warp(GENESIS + EPOCH);
        uint128[] memory points = new uint128[](6);
        points[0] = CAP / RATE + 1;
        Scores memory s = _scores(0, points);
        bytes[] memory votes = _votes(s, 6);
        vm.expectRevert(abi.encodeWithSelector(EpochCapExceeded.selector, CAP + RATE, CAP));
        coordinator.submitScores(s, votes);
        points[0] = 501;
        s = _scores(0, points);
        votes = _votes(s, 6);
        vm.expectRevert(abi.encodeWithSelector(PoolTooSmall.selector, 5_010, 5_000));
        coordinator.submitScores(s, votes);
    }

    /// Two of six sign a table that lacks a round: neither table has a quorum, and no later epoch makes up for it.
    function test_incompleteTableVoidsTheEpoch() public {
        vm.warp(GENESIS + EPOCH);
        Scores memory whole = _scores(0, _points(6));
        bytes[] memory votes = _votes(whole, 4);
        vm.expectRevert(abi.encodeWithSelector(QuorumNotReached.selector, 1_200, 1_800));
        coordinator.submitScores(whole, votes);
        _accept(1);
        (bytes32 root,,,) = coordinator.epochs(Epoch.wrap(0));
        vm.assertEq(root, 0);
    }

    /// An owner gives up a key that was stolen; the thief binds it and claims what it had earned.
    function test_thiefOfARotatedKeyIsPaid() public {
        uint128[] memory points = _accept(0);
        vm.prank(members[2].owner);
        coordinator.unbind(members[2].node.addr);
        Member memory thief = _newMember(99);
        _bind(thief.owner, thief.ownerKey, members[2].node);
        coordinator.claim(_one(_claim(0, points, 2)));
        vm.assertEq(token.balanceOf(thief.owner), 30 * RATE);
    }

    /// 867 of 1,300 equal members are two thirds; their signatures exceed the 128 KiB that nodes pass on in a transaction.
    function test_signaturesOfALargeSwarmFitNoTransaction() public view {
        bytes[] memory signatures = new bytes[](867);
        for (uint256 i = 0; i < 867; ++i) {
            signatures[i] = new bytes(65);
        }
        Scores memory s = _scores(0, _points(6));
        vm.assertTrue(abi.encodeCall(coordinator.submitScores, (s, signatures)).length > 128 * 1024);
    }
}
