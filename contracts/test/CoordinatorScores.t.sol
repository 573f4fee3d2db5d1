// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

import {SwarmCoordinator} from "../src/SwarmCoordinator.sol";
import {
    AlreadyAccepted,
    EpochCapExceeded,
    EpochNotOver,
    NoMembers,
    NodeNotBound,
    PoolTooSmall,
    QuorumNotReached,
    SignersUnsorted,
    SubmissionClosed
} from "../src/errors.sol";
import {Epoch, Scores, Timestamp} from "../src/types.sol";
import {Vm} from "./Test.sol";
import {SwarmTest} from "./fixtures/SwarmTest.sol";

/// @title Scores are final when strictly more than two thirds of the stake at the epoch's start have signed them.
contract CoordinatorScoresTest is SwarmTest {
    uint64 private constant FIRST_END = GENESIS + EPOCH;

    function setUp() public override {
        super.setUp();
        _joinMany(4, 100);
        _fund(5_000);
    }

    function test_quorumMakesScoresFinal() public {
        Scores memory s = _scores(0, _points(4));
        bytes[] memory votes = _votes(s, 3);
        vm.warp(FIRST_END);
        vm.expectEmit(address(coordinator));
        emit SwarmCoordinator.ScoresAccepted(
            s.epoch, s.root, s.transcript, 4, 100, Timestamp.wrap(FIRST_END + CLAIM_WINDOW)
        );
        vm.prank(STRANGER);
        coordinator.submitScores(s, votes);
        (bytes32 root, uint32 count, Timestamp deadline, uint256 remaining) = coordinator.epochs(s.epoch);
        vm.assertEq(root, s.root);
        vm.assertEq(count, 4);
        vm.assertEq(Timestamp.unwrap(deadline), FIRST_END + CLAIM_WINDOW);
        vm.assertEq(remaining, 100 * RATE);
        vm.assertEq(coordinator.pool(), 5_000 - 100 * RATE);
    }

    // ---- window

    function test_runningEpochIsRefused() public {
        Scores memory s = _scores(0, _points(4));
        bytes[] memory votes = _votes(s, 4);
        vm.warp(FIRST_END - 1);
        vm.expectRevert(abi.encodeWithSelector(EpochNotOver.selector, 0, FIRST_END, FIRST_END - 1));
        coordinator.submitScores(s, votes);
    }

    function test_submissionClosesWhenStakeMayHaveLeft() public {
        Scores memory s = _scores(0, _points(4));
        bytes[] memory votes = _votes(s, 4);
        uint64 last = GENESIS + EXIT_DELAY;
        vm.warp(last + 1);
        vm.expectRevert(abi.encodeWithSelector(SubmissionClosed.selector, 0, last, last + 1));
        coordinator.submitScores(s, votes);
        vm.warp(last);
        coordinator.submitScores(s, votes);
    }

    /// Who asks to leave right after the snapshot cannot be gone while its vote counts.
    function test_votersAreStillHereAtTheDeadline() public {
        vm.warp(GENESIS + 1);
        vm.prank(members[0].owner);
        stake.requestExit(100);
        vm.warp(Timestamp.unwrap(coordinator.submissionDeadline(Epoch.wrap(0))));
        vm.expectRevert();
        vm.prank(members[0].owner);
        stake.withdraw();
    }

    function test_secondOutcomeIsRefused() public {
        _accept(0);
        Scores memory s = _scores(0, _points(3));
        bytes[] memory votes = _votes(s, 4);
        vm.expectRevert(abi.encodeWithSelector(AlreadyAccepted.selector, 0));
        coordinator.submitScores(s, votes);
    }

    // ---- quorum

    function test_exactlyTwoThirdsAreRefused() public {
        _setStakes(200, 50, 50, 0);
        _expectQuorum(1, 200, 300);
        _expectQuorumPasses(2);
    }

    function test_oneUnitAboveTwoThirdsSuffices() public {
        _setStakes(201, 50, 49, 0);
        _expectQuorumPasses(1);
    }

    function test_oneUnitBelowIsRefused() public {
        _setStakes(199, 50, 51, 0);
        _expectQuorum(1, 199, 300);
    }

    function testFuzz_quorumIsStrict(uint64 a, uint64 b) public {
        _setStakes(uint256(a) + 1, uint256(b) + 1, 0, 0);
        uint256 total = uint256(a) + b + 2;
        if (3 * (uint256(a) + 1) > 2 * total) _expectQuorumPasses(1);
        else _expectQuorum(1, uint256(a) + 1, total);
    }

    function test_noSignaturesAreRefused() public {
        _expectQuorum(0, 0, 400);
    }

    function test_withoutAnyStakeNothingPasses() public {
        _setStakes(0, 0, 0, 0);
        _expectQuorum(4, 0, 0);
    }

    function test_duplicatesAreRefused() public {
        Scores memory s = _ready();
        bytes[] memory votes = _votes(s, 3);
        votes[2] = votes[1];
        vm.expectRevert(_unsorted(1, 1));
        coordinator.submitScores(s, votes);
    }

    function test_unsortedAreRefused() public {
        Scores memory s = _ready();
        bytes[] memory votes = _votes(s, 3);
        (votes[0], votes[1]) = (votes[1], votes[0]);
        vm.expectRevert(_unsorted(1, 0));
        coordinator.submitScores(s, votes);
    }

    function test_twoNodesOfAnOwnerCountOnce() public {
        Vm.Wallet memory second = vm.createWallet(77);
        _bind(members[0].owner, members[0].ownerKey, second);
        Scores memory s = _ready();
        bytes[] memory votes = _votes(s, 2);
        votes[1] = _sign(second.privateKey, _scoresDigest(s));
        vm.expectRevert(_unsorted(0, 0));
        coordinator.submitScores(s, votes);
        votes = _votes(s, 3);
        votes[0] = _sign(second.privateKey, _scoresDigest(s));
        coordinator.submitScores(s, votes);
    }

    function test_unknownSignersAreRefused() public {
        Scores memory s = _ready();
        bytes[] memory votes = _votes(s, 4);
        votes[3] = _sign(4_711, _scoresDigest(s));
        vm.expectRevert(abi.encodeWithSelector(NodeNotBound.selector, vm.addr(4_711)));
        coordinator.submitScores(s, votes);
    }

    function test_ownersKeysDoNotVote() public {
        Scores memory s = _ready();
        bytes[] memory votes = new bytes[](1);
        votes[0] = _sign(members[0].ownerKey, _scoresDigest(s));
        vm.expectRevert(abi.encodeWithSelector(NodeNotBound.selector, members[0].owner));
        coordinator.submitScores(s, votes);
    }

    function test_unboundNodesNoLongerVote() public {
        Scores memory s = _ready();
        bytes[] memory votes = _votes(s, 4);
        vm.prank(members[2].owner);
        coordinator.unbind(members[2].node.addr);
        vm.expectRevert(abi.encodeWithSelector(NodeNotBound.selector, members[2].node.addr));
        coordinator.submitScores(s, votes);
    }

    function test_stakeAfterTheStartDoesNotCount() public {
        vm.warp(GENESIS + 1);
        _deposit(members[0].owner, 1_000_000);
        _expectQuorum(2, 200, 400);
    }

    /// Money that comes and asks to leave within the block of the snapshot weighs nothing.
    function test_flashDepositAtTheSnapshotDoesNotCount() public {
        vm.warp(GENESIS);
        _deposit(members[0].owner, 1_000_000);
        vm.prank(members[0].owner);
        stake.requestExit(1_000_000);
        _expectQuorum(2, 200, 400);
    }

    function test_stakeThatLeftBeforeTheStartDoesNotCount() public {
        vm.prank(members[0].owner);
        stake.requestExit(100);
        _expectQuorum(3, 200, 300);
    }

    // ---- replay

    function test_otherChainIsRefused() public {
        _expectForeignIsRefused(address(coordinator), block.chainid + 1);
    }

    function test_otherContractIsRefused() public {
        _expectForeignIsRefused(address(stake), block.chainid);
    }

    /// A signature for one outcome recovers to a stranger under any other outcome.
    function testFuzz_everyFieldIsSigned(uint8 field, uint32 noise) public {
        Scores memory s = _ready();
        bytes[] memory votes = _votes(s, 4);
        vm.warp(FIRST_END + EPOCH);
        noise = noise % 50 + 1;
        field = field % 5;
        if (field == 0) s.epoch = Epoch.wrap(1);
        if (field == 1) s.root = bytes32(uint256(s.root) ^ noise);
        if (field == 2) s.members += noise;
        if (field == 3) s.points += noise;
        if (field == 4) s.transcript = bytes32(uint256(s.transcript) ^ noise);
        vm.expectPartialRevert(NodeNotBound.selector);
        coordinator.submitScores(s, votes);
    }

    function test_highSignaturesAreRefused() public {
        Scores memory s = _ready();
        bytes[] memory votes = _votes(s, 3);
        votes[1] = _malleate(votes[1]);
        vm.expectPartialRevert(ECDSA.ECDSAInvalidSignatureS.selector);
        coordinator.submitScores(s, votes);
    }

    // ---- money

    function test_noMembersAreRefused() public {
        Scores memory s = _ready();
        s.members = 0;
        bytes[] memory votes = _votes(s, 4);
        vm.expectRevert(NoMembers.selector);
        coordinator.submitScores(s, votes);
    }

    function test_capIsInclusive() public {
        _fund(10 * CAP);
        uint128[] memory points = _points(1);
        points[0] = CAP / RATE + 1;
        Scores memory s = _readyWith(points);
        bytes[] memory votes = _votes(s, 4);
        vm.expectRevert(abi.encodeWithSelector(EpochCapExceeded.selector, CAP + RATE, CAP));
        coordinator.submitScores(s, votes);
        points[0] = CAP / RATE;
        s = _readyWith(points);
        coordinator.submitScores(s, _votes(s, 4));
    }

    function test_pointsNearTheTypesEndAreRefused() public {
        uint128[] memory points = _points(1);
        points[0] = type(uint128).max;
        Scores memory s = _readyWith(points);
        bytes[] memory votes = _votes(s, 4);
        vm.expectRevert(abi.encodeWithSelector(EpochCapExceeded.selector, uint256(points[0]) * RATE, CAP));
        coordinator.submitScores(s, votes);
    }

    function test_poolMustHoldTheReward() public {
        uint128[] memory points = _points(1);
        points[0] = 501;
        Scores memory s = _readyWith(points);
        bytes[] memory votes = _votes(s, 4);
        vm.expectRevert(abi.encodeWithSelector(PoolTooSmall.selector, 5_010, 5_000));
        coordinator.submitScores(s, votes);
        _fund(10);
        coordinator.submitScores(s, votes);
        vm.assertEq(coordinator.pool(), 0);
    }

    function test_epochWithoutPointsReservesNothing() public {
        Scores memory s = _readyWith(new uint128[](4));
        coordinator.submitScores(s, _votes(s, 4));
        vm.assertEq(coordinator.pool(), 5_000);
    }

    // ---- words

    function _ready() private returns (Scores memory) {
        return _readyWith(_points(4));
    }

    function _readyWith(uint128[] memory points) private returns (Scores memory) {
        vm.warp(FIRST_END);
        return _scores(0, points);
    }

    /// @dev Replaces the members by four with these stakes, the first of which signs first.
    function _setStakes(uint256 a, uint256 b, uint256 c, uint256 d) private {
        uint256[4] memory amounts = [a, b, c, d];
        for (uint256 i = 0; i < 4; ++i) {
            vm.prank(members[i].owner);
            stake.requestExit(100);
            if (amounts[i] > 0) _deposit(members[i].owner, amounts[i]);
        }
    }

    function _expectQuorum(uint256 signers, uint256 weight, uint256 total) private {
        Scores memory s = _ready();
        bytes[] memory votes = _votes(s, signers);
        vm.expectRevert(abi.encodeWithSelector(QuorumNotReached.selector, weight, total));
        coordinator.submitScores(s, votes);
    }

    function _expectQuorumPasses(uint256 signers) private {
        Scores memory s = _ready();
        coordinator.submitScores(s, _votes(s, signers));
    }

    function _expectForeignIsRefused(address verifier, uint256 chain) private {
        Scores memory s = _ready();
        bytes[] memory votes = _votes(s, 4);
        votes[0] = _sign(members[0].node.privateKey, _digest(verifier, chain, _scoresHash(s)));
        vm.expectPartialRevert(NodeNotBound.selector);
        coordinator.submitScores(s, votes);
    }

    function _unsorted(uint256 previous, uint256 next) private view returns (bytes memory) {
        return abi.encodeWithSelector(SignersUnsorted.selector, members[previous].owner, members[next].owner);
    }
}
