// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Claim} from "../src/Earnings.sol";
import {Outcome} from "../src/Outcome.sol";
import {SwarmRewards} from "../src/SwarmRewards.sol";
import {BadEarningsProof, NotPending, QuorumNotReached} from "../src/errors.sol";
import {Epoch, Points, Timestamp, Units} from "../src/types.sol";
import {SettlementTest} from "./fixtures/Settlement.sol";

/// @title What attackers try, and that it gains them nothing. The first six succeed on the first version
///        (`FirstVersionAttacks.t.sol`).
contract SettlementAttacksTest is SettlementTest {
    // ---- what worked on the first version

    /// Who had the node when the epoch began counts: unbinding afterwards takes no vote back and spoils nobody's call.
    function test_unbindingAfterVotingChangesNothing() public {
        _toEnd(0);
        Outcome memory o = _honest(0);
        bytes memory votes = _votes(o, 0, 5);
        _unbind(members[2]);
        rewards.finaliseFast(o, votes);
        _assertFinal(0, o.root);
    }

    /// A silent third stops the fast path only.
    function test_silentThirdStopsNothing() public {
        _toEnd(0);
        Outcome memory o = _honest(0);
        bytes memory votes = _votes(o, 0, 4);
        vm.expectRevert(abi.encodeWithSelector(QuorumNotReached.selector, 1_200, 1_800));
        rewards.finaliseFast(o, votes);
        _settle(0);
        _assertFinal(0, o.root);
        rewards.claim(_claims(earned));
    }

    /// Points above cap or pool are worth less instead of nothing.
    function test_tableAboveCapOrPoolIsPaidWithWhatThereIs() public {
        uint128[] memory points = new uint128[](COUNT);
        points[0] = CAP / RATE + 1;
        points[1] = CAP / RATE + 1;
        _toEnd(0);
        (Outcome memory o, uint128[] memory table) = _outcome(0, points);
        rewards.finaliseFast(o, _votes(o, 0, COUNT));
        earned = table;
        rewards.claim(_claims(table));
        vm.assertEq(token.balanceOf(members[0].owner), (CAP / RATE + 1) * 4);
    }

    /// Two of six sign a table that lacks a round. The other four propose the whole one; the two sign again with the next epoch,
    /// which covers everything that is still open.
    function test_incompleteTableCanBeMadeGood() public {
        _toEnd(0);
        Outcome memory whole = _honest(0);
        bytes memory four = _votes(whole, 0, 4);
        vm.expectPartialRevert(QuorumNotReached.selector);
        rewards.finaliseFast(whole, four);
        _toEnd(1);
        Outcome memory both = _honest(1);
        vm.assertEq(Epoch.unwrap(both.since), 0);
        rewards.finaliseFast(both, _votes(both, 0, COUNT));
        _assertFinal(1, both.root);
    }

    /// What was earned is the owner's, whoever has the key later; and the key no longer votes.
    function test_thiefOfARotatedKeyGetsNothing() public {
        _settle(0);
        _unbind(members[2]);
        Member memory thief = _newMember(99);
        _bind(thief.owner, thief.ownerKey, members[2].node);
        Claim[] memory claims = _claim(earned, 2);
        claims[0].owner = thief.owner;
        vm.expectRevert(abi.encodeWithSelector(BadEarningsProof.selector, thief.owner));
        rewards.claim(claims);
        rewards.claim(_claim(earned, 2));
        vm.assertEq(token.balanceOf(members[2].owner), 300);
        vm.assertEq(token.balanceOf(thief.owner), 0);
        _toEnd(2);
        Outcome memory o = _honest(2);
        bytes memory stolen = _voteBy(o, members[2].owner, members[2].node.privateKey);
        // Five owners still have a node. Three and the thief are too few, four are enough.
        bytes memory votes = bytes.concat(_votes(o, 0, 2), stolen, _vote(o, 3));
        vm.expectRevert(abi.encodeWithSelector(QuorumNotReached.selector, 900, 1_500));
        rewards.finaliseFast(o, votes);
        rewards.finaliseFast(o, bytes.concat(_votes(o, 0, 2), stolen, _votes(o, 3, 5)));
    }

    /// 867 of 1,300 equal members are two thirds. Nobody signs, and it costs as much as with six.
    function test_sizeOfTheSwarmCostsNothing() public {
        _settle(0);
        uint256 withSix = _gasToSettle(1);
        this.addVoters(1_294);
        _toEnd(2);
        uint256 withMany = _gasToSettle(3);
        vm.assertEq(stake.getPastTotalSupply(time() - 1), 1_300 * 300);
        // Lengths of checkpoints differ, and with them a step or two of a binary search.
        vm.assertLe(withMany, withSix + 5_000);
    }

    /// A call of its own, so that the memory it fills does not make later steps of the test dearer.
    function addVoters(uint256 count) external {
        for (uint256 i = 100; i < 100 + count; ++i) {
            Member memory m = _newMember(i);
            _deposit(m.owner, 300);
            _bind(m);
        }
    }

    function _gasToSettle(uint64 epoch) private returns (uint256) {
        _toEnd(epoch);
        uint256 before = gasleft();
        Outcome memory o = _settle(epoch);
        uint256 used = before - gasleft();
        _assertFinal(epoch, o.root);
        return used;
    }

    // ---- blocking

    /// A false proposal in the first second of every epoch: each is answered, every epoch ends with the right outcome, and the
    /// attacker has lost as many bonds.
    function test_falseProposalEachEpochBlocksNothing() public {
        for (uint64 epoch = 0; epoch < 5; ++epoch) {
            if (time() < GENESIS + EPOCH * (epoch + 1)) _toEnd(epoch);
            Outcome memory right = _honest(epoch);
            _propose(_false(epoch));
            pass(OBJECTION_WINDOW);
            _object(_false(epoch));
            _draw();
            _adopt(epoch);
            _judge(right, _votes(right, 0, 5));
            _assertFinal(epoch, right.root);
        }
        vm.assertEq(_owed(PROPOSER), 0);
        vm.assertEq(_owed(OBJECTOR), 5 * (COUNTER_BOND + BOND / 4));
        rewards.claim(_claims(earned));
    }

    /// Two false sides: the attacker objects to its own false proposal, so that nobody else can. The court finds what is right.
    function test_shamObjectionBlocksNothing() public {
        _toEnd(0);
        Outcome memory right = _honest(0);
        _toCourt(_false(0));
        _judge(right, _votes(right, 0, 5));
        _assertFinal(0, right.root);
    }

    /// A court whose judges withhold their votes costs its friends a bond and everybody `objectionWindow + 2 * courtWindow`.
    function test_withheldVotesCostTimeThatIsBounded() public {
        _toEnd(0);
        uint64 begin = time();
        _toCourt(_false(0));
        Outcome memory right = _honest(0);
        _judge(right, _votes(right, 0, 3));
        pass(2 * COURT_WINDOW + 1);
        rewards.refuse();
        vm.assertLe(time() - begin, OBJECTION_WINDOW + 2 * COURT_WINDOW + 1);
        vm.assertEq(_owed(FIRE), BOND);
        _settle(0);
        _assertFinal(0, right.root);
    }

    /// Whatever happens in between, at any time some epoch can be proposed.
    function test_someEpochCanAlwaysBeProposed(uint64 offset) public {
        vm.warp(GENESIS + EPOCH + offset % (20 * EPOCH));
        uint64 latest = (time() - GENESIS) / EPOCH - 1;
        _settle(latest);
        vm.assertEq(Epoch.unwrap(rewards.nextEpoch()), latest + 1);
    }

    /// Nobody knows the hash of the block at the objection, and nobody who waits until it is forgotten may choose another.
    function test_waitingForABetterSeedGivesABlockToCome() public {
        _toEnd(0);
        _propose(_false(0));
        _object(_false(0));
        for (uint256 i = 0; i < 3; ++i) {
            mine(SEED_DELAY + 300);
            rewards.draw();
            (,,, uint256 seedBlock, bytes32 seed,,,) = rewards.dispute();
            vm.assertEq(seedBlock, height() + SEED_DELAY);
            vm.assertEq(seed, 0);
        }
        _draw();
    }

    /// An objection on its way must not hit the true outcome that took the false one's place.
    function test_lateObjectionMissesTheSuccessor() public {
        _toEnd(0);
        Outcome memory right = _honest(0);
        Outcome memory wrong = _false(0);
        _propose(wrong);
        _adopt(0);
        rewards.finaliseFast(right, _votes(right, 0, 5));
        _toEnd(1);
        _propose(_honest(1));
        Outcome memory pending = _honest(1);
        _allow(OBJECTOR, COUNTER_BOND);
        vm.expectRevert(abi.encodeWithSelector(NotPending.selector, _hash(wrong), _hash(pending)));
        vm.prank(OBJECTOR);
        rewards.object(_hash(wrong));
    }

    // ---- money

    /// Money that arrives while an outcome is pending changes neither its worth nor its fee.
    function test_pendingOutcomesWorthIsFixed() public {
        _toEnd(0);
        Outcome memory o = _honest(0);
        (, Units worth, Units fee) = rewards.terms(o.epoch, o.points);
        _propose(o);
        _fund(1_000_000_000);
        pass(OBJECTION_WINDOW + 1);
        vm.expectEmit(address(rewards));
        emit SwarmRewards.Finalised(o.epoch, o, worth, fee);
        rewards.finalise(o);
    }

    /// The largest numbers that can be signed are refused or paid, never wrapped.
    function test_largestPointsDoNotOverflow() public {
        _toEnd(0);
        Outcome memory o = _honest(0);
        o.points = Points.wrap(type(uint128).max);
        bytes memory votes = _votes(o, 0, COUNT);
        vm.expectPartialRevert(bytes4(keccak256("NothingToPay(uint64)")));
        rewards.finaliseFast(o, votes);
        o.epoch = Epoch.wrap(type(uint64).max);
        vm.expectRevert();
        rewards.finaliseFast(o, votes);
    }

    /// Bonds are nobody's rewards: a root that promises the whole balance does not reach them.
    function test_bondsAreOutOfReachOfClaims() public {
        _settle(0);
        _toEnd(1);
        _toCourt(_false(1));
        rewards.claim(_claims(earned));
        uint256 left = token.balanceOf(address(rewards));
        vm.assertEq(left, 1_000_000 - 2_100 - FEE + _owed(PROPOSER) + BOND + COUNTER_BOND);
    }

    /// Stake that was asked back after the epoch began is still there in the last second in which it could vote.
    function test_votingMoneyOutlivesItsVote() public {
        uint64 start = GENESIS;
        vm.warp(start + 1);
        vm.prank(members[5].owner);
        stake.requestExit(300);
        _toEnd(0);
        Outcome memory right = _honest(0);
        Outcome memory wrong = _false(0);
        pass(PROPOSAL_WINDOW);
        _propose(wrong);
        pass(OBJECTION_WINDOW);
        _object(wrong);
        pass(2 * COURT_WINDOW);
        rewards.draw();
        _draw();
        _judge(right, _votes(right, 0, 5));
        slasher.slashLosers(wrong, _vote(wrong, 5));
        vm.assertEq(stake.balanceOf(members[5].owner), 150);
    }

    /// Points that nobody can be paid for are no outcome; who proposes one for such an epoch is refused by the court.
    function test_epochWithoutPointsCanBeRefused() public {
        _toEnd(0);
        Outcome memory made = _false(0);
        _toCourt(made);
        Outcome memory no = _refusal(made);
        _judge(no, _votes(no, 0, 5));
        vm.assertEq(_owed(OBJECTOR), COUNTER_BOND + BOND / 4);
        vm.assertEq(Timestamp.unwrap(rewards.epochStart(rewards.nextEpoch())), GENESIS);
    }

    /// A long list of bad votes costs its sender gas and nobody else anything.
    function test_longListsOfBadVotesAreTheSendersOwnCost() public {
        _toEnd(0);
        Outcome memory right = _honest(0);
        _toCourt(_false(0));
        bytes memory junk = new bytes(300 * 84);
        vm.prank(STRANGER);
        rewards.judge(right, junk);
        _judge(right, _votes(right, 0, 5));
        _assertFinal(0, right.root);
    }
}
