// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {SwarmCoordinator} from "../src/SwarmCoordinator.sol";
import {
    AlreadyAccepted,
    BadProof,
    ClaimClosed,
    ClaimOpen,
    IndexOutOfRange,
    NodeNotBound,
    NotAccepted,
    NothingToReclaim,
    RewardExceeded,
    ZeroAmount
} from "../src/errors.sol";
import {Claim, Epoch, Parameters, Scores} from "../src/types.sol";
import {Vm} from "./Test.sol";
import {SwarmTest} from "./fixtures/SwarmTest.sol";
import {MerkleTree} from "./fixtures/MerkleTree.sol";

/// @title Money comes in by anyone, and goes out once per leaf, to the owner of the node, in time.
contract CoordinatorClaimsTest is SwarmTest {
    uint64 private constant LAST = GENESIS + EPOCH + CLAIM_WINDOW;

    function setUp() public override {
        super.setUp();
        _joinMany(5, 100);
        _fund(5_000);
    }

    // ---- pool

    function test_fundByAnyone() public {
        token.mint(STRANGER, 70);
        vm.startPrank(STRANGER);
        token.approve(address(coordinator), 70);
        vm.expectEmit(address(coordinator));
        emit SwarmCoordinator.Funded(STRANGER, 70);
        coordinator.fund(70);
        vm.assertEq(coordinator.pool(), 5_070);
        vm.assertEq(token.balanceOf(address(coordinator)), 5_070);
    }

    function test_fundOfZeroIsRefused() public {
        vm.expectRevert(ZeroAmount.selector);
        coordinator.fund(0);
    }

    // ---- claims

    function test_claimByAnyonePaysTheOwner() public {
        uint128[] memory points = _accept(0);
        vm.expectEmit(address(coordinator));
        emit SwarmCoordinator.Claimed(Epoch.wrap(0), members[2].node.addr, members[2].owner, 2, 30 * RATE);
        vm.prank(STRANGER);
        coordinator.claim(_one(_claim(0, points, 2)));
        vm.assertEq(token.balanceOf(members[2].owner), 30 * RATE);
        vm.assertTrue(coordinator.isClaimed(Epoch.wrap(0), 2));
        vm.assertFalse(coordinator.isClaimed(Epoch.wrap(0), 1));
        vm.assertFalse(coordinator.isClaimed(Epoch.wrap(1), 2));
        _assertRemaining(0, 120 * RATE);
    }

    function test_allLeavesExhaustTheReward() public {
        uint128[] memory points = _accept(0);
        coordinator.claim(_claims(0, points));
        _assertPaidOnce(points);
    }

    function test_claimsOfSeveralEpochsAtOnce() public {
        uint128[] memory points = _accept(0);
        _accept(1);
        Claim[] memory claims = new Claim[](2);
        (claims[0], claims[1]) = (_claim(0, points, 3), _claim(1, points, 3));
        coordinator.claim(claims);
        vm.assertEq(token.balanceOf(members[3].owner), 80 * RATE);
    }

    function test_noClaimsDoNothing() public {
        coordinator.claim(new Claim[](0));
    }

    // ---- leaves that are passed over

    function test_paidLeavesDoNothing() public {
        uint128[] memory points = _accept(0);
        Claim[] memory claims = _claims(0, points);
        coordinator.claim(claims);
        _assertPaidOnce(points);
        vm.recordLogs();
        coordinator.claim(claims);
        vm.assertEq(vm.getRecordedLogs().length, 0);
        _assertPaidOnce(points);
    }

    function test_sameLeafTwiceInOneCallPaysOnce() public {
        uint128[] memory points = _accept(0);
        Claim[] memory claims = new Claim[](2);
        (claims[0], claims[1]) = (_claim(0, points, 2), _claim(0, points, 2));
        vm.recordLogs();
        coordinator.claim(claims);
        vm.assertEq(_claimedEvents(), 1);
        vm.assertEq(token.balanceOf(members[2].owner), 30 * RATE);
        _assertRemaining(0, 120 * RATE);
    }

    /// Whoever pays some leaves of a batch ahead of it, whichever they are, cannot make it fail.
    function testFuzz_paidLeavesDoNotFailTheOthers(uint8 ahead) public {
        uint128[] memory points = _accept(0);
        Claim[] memory claims = _claims(0, points);
        uint256 left = 5;
        for (uint256 i = 0; i < 5; ++i) {
            if (ahead >> i & 1 == 0) continue;
            vm.prank(STRANGER);
            coordinator.claim(_one(claims[i]));
            --left;
        }
        vm.recordLogs();
        coordinator.claim(claims);
        vm.assertEq(_claimedEvents(), left);
        _assertPaidOnce(points);
    }

    /// An owner that lets its node go ahead of a batch cannot make it fail. The leaf stays unpaid, and can be paid later.
    function test_unboundNodeDoesNotFailTheOthers() public {
        uint128[] memory points = _accept(0);
        Claim[] memory claims = _claims(0, points);
        vm.prank(members[2].owner);
        coordinator.unbind(members[2].node.addr);
        vm.recordLogs();
        coordinator.claim(claims);
        vm.assertEq(_claimedEvents(), 4);
        vm.assertFalse(coordinator.isClaimed(Epoch.wrap(0), 2));
        _assertRemaining(0, 30 * RATE);
        _bind(members[2]);
        coordinator.claim(claims);
        _assertPaidOnce(points);
    }

    /// Paid leaves hide no unbound node, for they pay nothing.
    function test_unboundNodeAmongPaidLeavesIsRefused() public {
        uint128[] memory points = _accept(0);
        Claim[] memory claims = new Claim[](2);
        (claims[0], claims[1]) = (_claim(0, points, 2), _claim(0, points, 3));
        coordinator.claim(_one(claims[1]));
        vm.prank(members[2].owner);
        coordinator.unbind(members[2].node.addr);
        vm.expectRevert(abi.encodeWithSelector(NodeNotBound.selector, members[2].node.addr));
        coordinator.claim(claims);
    }

    // ---- claims that refuse all of a call

    function test_badProofRefusesTheOthers() public {
        uint128[] memory points = _accept(0);
        Claim[] memory claims = _claims(0, points);
        claims[4].points += 1;
        vm.expectRevert(abi.encodeWithSelector(BadProof.selector, 0, 4));
        coordinator.claim(claims);
        for (uint256 i = 0; i < 5; ++i) {
            vm.assertEq(token.balanceOf(members[i].owner), 0);
        }
        _assertRemaining(0, 150 * RATE);
    }

    function test_badProofOfPaidLeafIsRefused() public {
        uint128[] memory points = _accept(0);
        Claim[] memory claims = _claims(0, points);
        coordinator.claim(_one(claims[4]));
        claims[4].points += 1;
        vm.expectRevert(abi.encodeWithSelector(BadProof.selector, 0, 4));
        coordinator.claim(claims);
    }

    function test_epochWithoutScoresIsRefused() public {
        Claim[] memory claims = _one(_claim(0, _points(5), 2));
        vm.expectRevert(abi.encodeWithSelector(NotAccepted.selector, 0));
        coordinator.claim(claims);
    }

    function test_lastSecondOfTheWindow() public {
        uint128[] memory points = _accept(0);
        Claim[] memory claims = _one(_claim(0, points, 2));
        vm.warp(LAST + 1);
        vm.expectRevert(abi.encodeWithSelector(ClaimClosed.selector, 0, LAST, LAST + 1));
        coordinator.claim(claims);
        vm.warp(LAST);
        coordinator.claim(claims);
    }

    function test_indexBeyondTheMembersIsRefused() public {
        uint128[] memory points = _points(5);
        Scores memory s = _scores(0, points);
        s.members = 4;
        vm.warp(GENESIS + EPOCH);
        coordinator.submitScores(s, _votes(s, 5));
        Claim[] memory claims = _one(_claim(0, points, 4));
        vm.expectRevert(abi.encodeWithSelector(IndexOutOfRange.selector, 4, 4));
        coordinator.claim(claims);
    }

    function test_unboundNodeIsRefusedUntilItIsBoundAgain() public {
        uint128[] memory points = _accept(0);
        Claim[] memory claims = _one(_claim(0, points, 2));
        vm.prank(members[2].owner);
        coordinator.unbind(members[2].node.addr);
        vm.expectRevert(abi.encodeWithSelector(NodeNotBound.selector, members[2].node.addr));
        coordinator.claim(claims);
        Member memory heir = _newMember(99);
        _bind(heir.owner, heir.ownerKey, members[2].node);
        coordinator.claim(claims);
        vm.assertEq(token.balanceOf(heir.owner), 30 * RATE);
    }

    function testFuzz_everyFieldIsProved(uint8 field, uint32 noise) public {
        uint128[] memory points = _accept(0);
        _accept(1);
        Claim memory c = _claim(0, points, 2);
        field = field % 5;
        if (field == 0) c.epoch = Epoch.wrap(1);
        if (field == 1) c.index = (c.index + 1 + noise % 4) % 5;
        if (field == 2) c.node = members[(3 + noise % 4) % 5].node.addr;
        if (field == 3) c.points += 1 + uint128(noise);
        if (field == 4) c.proof[noise % c.proof.length] ^= bytes32(uint256(noise) + 1);
        vm.expectRevert(abi.encodeWithSelector(BadProof.selector, c.epoch, c.index));
        coordinator.claim(_one(c));
    }

    /// An inner node of the tree, given as a leaf with a shorter proof, is not a leaf.
    function test_shortenedProofIsRefused() public {
        uint128[] memory points = _accept(0);
        Claim memory c = _claim(0, points, 2);
        bytes32[] memory shorter = new bytes32[](c.proof.length - 1);
        for (uint256 i = 0; i < shorter.length; ++i) {
            shorter[i] = c.proof[i + 1];
        }
        c.proof = shorter;
        vm.expectRevert(abi.encodeWithSelector(BadProof.selector, 0, 2));
        coordinator.claim(_one(c));
    }

    function testFuzz_everyLeafOfEveryTreeCanBeClaimed(uint256 count, uint256 index) public {
        count = bound(count, 1, 33);
        index = bound(index, 0, count - 1);
        for (uint256 i = 5; i < count; ++i) {
            members.push(_newMember(i));
        }
        Scores memory s = _scores(0, _equal(count));
        vm.warp(GENESIS + EPOCH);
        coordinator.submitScores(s, _votes(s, 5));
        if (index >= 5) _bind(members[index]);
        coordinator.claim(_one(_claim(0, _equal(count), index)));
        vm.assertEq(token.balanceOf(members[index].owner), 7 * RATE);
    }

    /// A quorum that signs fewer points than its leaves hold cannot reach into other money.
    function test_leavesBeyondTheSignedPointsAreRefused() public {
        uint128[] memory points = _points(5);
        Scores memory s = _scores(0, points);
        s.points = 45;
        vm.warp(GENESIS + EPOCH);
        coordinator.submitScores(s, _votes(s, 5));
        coordinator.claim(_one(_claim(0, points, 3)));
        Claim[] memory claims = _one(_claim(0, points, 0));
        vm.expectRevert(abi.encodeWithSelector(RewardExceeded.selector, 10 * RATE, 5 * RATE));
        coordinator.claim(claims);
    }

    // ---- reclaim

    function test_restReturnsToThePoolAfterTheWindow() public {
        uint128[] memory points = _accept(0);
        coordinator.claim(_one(_claim(0, points, 2)));
        vm.warp(LAST);
        vm.expectRevert(abi.encodeWithSelector(ClaimOpen.selector, 0, LAST, LAST));
        coordinator.reclaim(Epoch.wrap(0));
        vm.warp(LAST + 1);
        vm.expectEmit(address(coordinator));
        emit SwarmCoordinator.Reclaimed(Epoch.wrap(0), 120 * RATE);
        vm.prank(STRANGER);
        coordinator.reclaim(Epoch.wrap(0));
        vm.assertEq(coordinator.pool(), 5_000 - 30 * RATE);
        _assertRemaining(0, 0);
    }

    function test_secondReclaimIsRefused() public {
        _accept(0);
        vm.warp(LAST + 1);
        coordinator.reclaim(Epoch.wrap(0));
        vm.expectRevert(abi.encodeWithSelector(NothingToReclaim.selector, 0));
        coordinator.reclaim(Epoch.wrap(0));
    }

    function test_reclaimWithoutScoresIsRefused() public {
        vm.expectRevert(abi.encodeWithSelector(NotAccepted.selector, 3));
        coordinator.reclaim(Epoch.wrap(3));
    }

    // ---- words

    function _equal(uint256 count) private pure returns (uint128[] memory points) {
        points = new uint128[](count);
        for (uint256 i = 0; i < count; ++i) {
            points[i] = 7;
        }
    }

    /// @dev Counts the events since `vm.recordLogs` that tell of a payment.
    function _claimedEvents() private returns (uint256 count) {
        Vm.Log[] memory logs = vm.getRecordedLogs();
        for (uint256 i = 0; i < logs.length; ++i) {
            if (logs[i].topics[0] == SwarmCoordinator.Claimed.selector) ++count;
        }
    }

    /// @dev Every leaf of epoch 0 was paid, none twice.
    function _assertPaidOnce(uint128[] memory points) private view {
        for (uint256 i = 0; i < points.length; ++i) {
            vm.assertEq(token.balanceOf(members[i].owner), points[i] * RATE);
        }
        _assertRemaining(0, 0);
        vm.assertEq(token.balanceOf(address(coordinator)), coordinator.pool());
    }

    function _assertRemaining(uint64 epoch, uint256 expected) private view {
        (,,, uint256 remaining) = coordinator.epochs(Epoch.wrap(epoch));
        vm.assertEq(remaining, expected);
    }
}

/// @title Where the window for claims ends before the one for submissions.
contract CoordinatorShortWindowTest is SwarmTest {
    function _parameters() internal view override returns (Parameters memory p) {
        p = super._parameters();
        p.claimWindow = 1;
    }

    function test_reclaimedEpochStaysDecided() public {
        _joinMany(4, 100);
        _fund(5_000);
        Scores memory s = _scores(0, _accept(0));
        pass(2);
        coordinator.reclaim(Epoch.wrap(0));
        bytes[] memory votes = _votes(s, 4);
        vm.expectRevert(abi.encodeWithSelector(AlreadyAccepted.selector, 0));
        coordinator.submitScores(s, votes);
    }
}
