// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IVerdicts} from "../src/IVerdicts.sol";
import {Outcome} from "../src/Outcome.sol";
import {SwarmSlasher} from "../src/SwarmSlasher.sol";
import {
    AlreadySlashed,
    BadVote,
    EvidenceTooOld,
    NoContradiction,
    NoVerdictAgainst,
    NotAContract,
    NothingToSlash,
    ParameterOutOfRange
} from "../src/errors.sol";
import {Epoch, Timestamp} from "../src/types.sol";
import {SettlementTest} from "./fixtures/Settlement.sol";

/// @title What a lie costs.
contract SlasherTest is SettlementTest {
    Outcome private _right;
    Outcome private _wrong;

    function setUp() public override {
        super.setUp();
        _toEnd(0);
        _right = _honest(0);
        _wrong = _false(0);
    }

    function test_deployment() public {
        vm.assertEq(address(slasher.rewards()), address(rewards));
        vm.assertEq(address(slasher.members()), address(stake));
        vm.assertEq(slasher.slashFraction(), SLASH);
        vm.expectRevert(abi.encodeWithSelector(NotAContract.selector, STRANGER));
        this.create(IVerdicts(STRANGER), 1);
        vm.expectPartialRevert(ParameterOutOfRange.selector);
        this.create(IVerdicts(address(rewards)), 0);
        vm.expectPartialRevert(ParameterOutOfRange.selector);
        this.create(IVerdicts(address(rewards)), 10_001);
        this.create(IVerdicts(address(rewards)), 10_000);
    }

    // ---- contradictions

    function test_contradictionCostsAPart() public {
        vm.expectEmit(address(slasher));
        emit SwarmSlasher.Penalised(members[2].owner, Epoch.wrap(0), 150, STRANGER);
        _contradict(_right, _vote(_right, 2), _wrong, _vote(_wrong, 2));
        vm.assertEq(stake.balanceOf(members[2].owner), 150);
        vm.assertEq(stake.owedTo(STRANGER), 75);
        vm.assertEq(stake.owedTo(FIRE), 75);
        vm.assertEq(stake.lockedOf(members[2].owner), 0);
        vm.assertTrue(slasher.isSlashed(members[2].owner, Epoch.wrap(0)));
    }

    function test_ownerPaysOnceForAnEpoch() public {
        _contradict(_right, _vote(_right, 2), _wrong, _vote(_wrong, 2));
        bytes memory a = _vote(_right, 2);
        bytes memory b = _vote(_wrong, 2);
        vm.expectRevert(abi.encodeWithSelector(AlreadySlashed.selector, members[2].owner, 0));
        slasher.slashContradiction(_right, a, _wrong, b);
    }

    function test_consistentVotesContradictNothing() public {
        Outcome memory later = _right;
        later.epoch = Epoch.wrap(1);
        Outcome memory shorter = _wrong;
        shorter.since = Epoch.wrap(1);
        _expectNoContradiction(_right, _right, 2, 2);
        _expectNoContradiction(_right, later, 2, 2);
        _expectNoContradiction(_right, shorter, 2, 2);
        _expectNoContradiction(_right, _wrong, 2, 3);
        _expectNoContradiction(_right, _refusal(_right), 2, 2);
        _expectNoContradiction(_refusal(_wrong), _right, 2, 2);
    }

    function test_votesOfOthersProveNothing() public {
        bytes memory good = _vote(_right, 2);
        bytes memory forged = _voteBy(_wrong, members[2].owner, members[3].node.privateKey);
        vm.expectRevert(abi.encodeWithSelector(BadVote.selector, members[2].owner));
        slasher.slashContradiction(_right, good, _wrong, forged);
        vm.expectRevert(abi.encodeWithSelector(BadVote.selector, members[2].owner));
        slasher.slashContradiction(_wrong, forged, _right, good);
        vm.expectRevert(abi.encodeWithSelector(BadVote.selector, address(0)));
        slasher.slashContradiction(_right, bytes.concat(good, hex"00"), _wrong, forged);
        vm.expectRevert(abi.encodeWithSelector(BadVote.selector, address(0)));
        slasher.slashContradiction(_right, good, _wrong, "");
    }

    /// The thief of a key that was rotated long ago can no longer sign its former owner's deposit away.
    function test_evidenceGrowsOld() public {
        bytes memory a = _vote(_right, 2);
        bytes memory b = _vote(_wrong, 2);
        uint64 last = GENESIS + EXIT_DELAY;
        vm.assertEq(Timestamp.unwrap(slasher.evidenceDeadline(Epoch.wrap(0))), last);
        vm.warp(last + 1);
        vm.expectRevert(abi.encodeWithSelector(EvidenceTooOld.selector, 0, last, last + 1));
        slasher.slashContradiction(_right, a, _wrong, b);
        vm.warp(last);
        slasher.slashContradiction(_right, a, _wrong, b);
    }

    /// A key that came later cannot speak for the epoch before.
    function test_keyBoundLaterProvesNothing() public {
        Member memory fresh = _newMember(99);
        _bind(members[2].owner, members[2].ownerKey, fresh.node);
        bytes memory a = _vote(_right, 2);
        bytes memory b = _voteBy(_wrong, members[2].owner, fresh.node.privateKey);
        vm.expectRevert(abi.encodeWithSelector(BadVote.selector, members[2].owner));
        slasher.slashContradiction(_right, a, _wrong, b);
    }

    function test_moneyOnItsWayOutIsTakenToo() public {
        vm.prank(members[2].owner);
        stake.requestExit(300);
        _contradict(_right, _vote(_right, 2), _wrong, _vote(_wrong, 2));
        vm.assertEq(stake.balanceOf(members[2].owner), 150);
    }

    /// What has left cannot be taken; the exit delay is there so that evidence comes first.
    function test_emptyAccountHasNothingToLose() public {
        bytes memory a = _vote(_right, 2);
        bytes memory b = _vote(_wrong, 2);
        vm.warp(GENESIS + EXIT_DELAY);
        Member memory m = members[2];
        _takeAll(m.owner);
        vm.expectRevert(abi.encodeWithSelector(NothingToSlash.selector, m.owner));
        slasher.slashContradiction(_right, a, _wrong, b);
    }

    /// @dev As if another judgement had come first.
    function _takeAll(address owner) private {
        vm.startPrank(address(slasher));
        stake.lock(owner, 300);
        stake.slash(owner, 300, address(0));
        vm.stopPrank();
    }

    // ---- losers

    function test_losersOfACourtPay() public {
        _toCourt(_wrong);
        _judge(_right, _votes(_right, 0, 5));
        bytes memory votes = bytes.concat(_vote(_wrong, 5), _vote(_wrong, 5));
        vm.prank(STRANGER);
        slasher.slashLosers(_wrong, votes);
        vm.assertEq(stake.balanceOf(members[5].owner), 150);
        vm.assertEq(stake.owedTo(STRANGER), 75);
        slasher.slashLosers(_wrong, votes);
        vm.assertEq(stake.balanceOf(members[5].owner), 150);
    }

    function test_badVotesAreNoEvidence() public {
        _toCourt(_wrong);
        _judge(_right, _votes(_right, 0, 5));
        bytes memory forged = _voteBy(_wrong, members[5].owner, members[4].node.privateKey);
        slasher.slashLosers(_wrong, bytes.concat(forged, _votes(_right, 0, 5), hex"00"));
        for (uint256 i = 0; i < COUNT; ++i) {
            vm.assertEq(stake.balanceOf(members[i].owner), 300);
        }
    }

    function test_onlyWhoNamedAWrongOutcomePays() public {
        bytes memory reason = abi.encodeWithSelector(NoVerdictAgainst.selector, 0, _hash(_wrong));
        vm.expectRevert(reason);
        slasher.slashLosers(_wrong, "");
        _toCourt(_wrong);
        vm.expectRevert(reason);
        slasher.slashLosers(_wrong, "");
        _judge(_right, _votes(_right, 0, 5));
        vm.expectRevert(abi.encodeWithSelector(NoVerdictAgainst.selector, 0, _hash(_right)));
        slasher.slashLosers(_right, "");
        Outcome memory no = _refusal(_wrong);
        vm.expectRevert(abi.encodeWithSelector(NoVerdictAgainst.selector, 0, _hash(no)));
        slasher.slashLosers(no, "");
    }

    function test_verdictGrowsOldToo() public {
        _toCourt(_wrong);
        _judge(_right, _votes(_right, 0, 5));
        bytes memory vote = _vote(_wrong, 5);
        vm.warp(GENESIS + EXIT_DELAY + 1);
        vm.expectPartialRevert(EvidenceTooOld.selector);
        slasher.slashLosers(_wrong, vote);
    }

    /// Outside the court a wrong vote that contradicts nothing costs nothing.
    function test_onlySeatedOwnersPay() public {
        vm.warp(GENESIS - 10);
        // With less than 2 there would be nothing to take: half of 1 is 0.
        Member memory dwarf = _join(77, 3);
        vm.warp(GENESIS + EPOCH);
        _right = _honest(0);
        _wrong = _false(0);
        _propose(_wrong);
        _object(_wrong);
        mine(SEED_DELAY + 1);
        // 3 × 256 of 1,803 is the dwarf's chance for its only seat; a seed without it.
        bytes32 seed = bytes32(uint256(1));
        while (rewards.seatsOf(seed, dwarf.owner, Epoch.wrap(0)) != 0) seed = keccak256(abi.encode(seed));
        vm.setBlockhash(height() - 1, seed);
        rewards.draw();
        _judge(_right, _votes(_right, 0, 7));
        bytes memory vote = _voteBy(_wrong, dwarf.owner, dwarf.node.privateKey);
        slasher.slashLosers(_wrong, vote);
        vm.assertEq(stake.balanceOf(dwarf.owner), 3);
    }

    function test_smallestPartIsBurnedWhole() public {
        // Half of 3 votes is 1 unit: nothing for the reporter.
        vm.warp(GENESIS - 10);
        Member memory dwarf = _join(77, 3);
        vm.warp(GENESIS + EPOCH);
        _right = _honest(0);
        _wrong = _false(0);
        bytes memory a = _voteBy(_right, dwarf.owner, dwarf.node.privateKey);
        bytes memory b = _voteBy(_wrong, dwarf.owner, dwarf.node.privateKey);
        _contradict(_right, a, _wrong, b);
        vm.assertEq(stake.balanceOf(dwarf.owner), 2);
        vm.assertEq(stake.owedTo(STRANGER), 0);
        vm.assertEq(stake.owedTo(FIRE), 1);
    }

    // ---- words

    /// @dev A call, because an expectation of a revert passes over what `new` alone does.
    function create(IVerdicts rewards_, uint16 fraction) external {
        new SwarmSlasher(rewards_, fraction);
    }

    function _contradict(Outcome memory a, bytes memory voteA, Outcome memory b, bytes memory voteB) private {
        vm.prank(STRANGER);
        slasher.slashContradiction(a, voteA, b, voteB);
    }

    function _expectNoContradiction(Outcome memory a, Outcome memory b, uint256 first, uint256 second) private {
        bytes memory voteA = _vote(a, first);
        bytes memory voteB = _vote(b, second);
        vm.expectRevert(NoContradiction.selector);
        slasher.slashContradiction(a, voteA, b, voteB);
    }
}
