// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Outcome} from "../src/Outcome.sol";
import {SwarmRewards} from "../src/SwarmRewards.sol";
import {EpochFinal, NoPoints, NotPending, SeedNotReady, WrongEpoch, WrongPhase, WrongSince} from "../src/errors.sol";
import {Epoch, Points, Timestamp, Units} from "../src/types.sol";
import {SettlementTest} from "./fixtures/Settlement.sol";

/// @title Objections, draws, verdicts, and whom the bonds belong to afterwards. Six owners with 42 or 43 seats each: five decide.
contract RewardsCourtTest is SettlementTest {
    Outcome private _right;
    Outcome private _wrong;

    function setUp() public override {
        super.setUp();
        _toEnd(0);
        _right = _honest(0);
        _wrong = _false(0);
    }

    // ---- objecting

    function test_objectTakesTheBond() public {
        _propose(_wrong);
        _allow(OBJECTOR, COUNTER_BOND);
        vm.expectEmit(address(rewards));
        emit SwarmRewards.Objected(Epoch.wrap(0), _hash(_wrong), OBJECTOR, height() + SEED_DELAY);
        vm.prank(OBJECTOR);
        rewards.object(_hash(_wrong));
        (address objector, Units bond, uint8 number, uint256 seedBlock, bytes32 seed, Timestamp deadline,,) =
            rewards.dispute();
        vm.assertEq(objector, OBJECTOR);
        vm.assertEq(Units.unwrap(bond), COUNTER_BOND);
        vm.assertEq(number, 1);
        vm.assertEq(seedBlock, height() + SEED_DELAY);
        vm.assertEq(seed, 0);
        vm.assertEq(Timestamp.unwrap(deadline), time() + COURT_WINDOW);
        vm.assertEq(token.balanceOf(OBJECTOR), 0);
        _assertPhase(SwarmRewards.Phase.Drawing);
    }

    function test_objectionEndsWithItsWindow() public {
        _propose(_wrong);
        pass(OBJECTION_WINDOW + 1);
        _allow(OBJECTOR, COUNTER_BOND);
        vm.expectRevert(abi.encodeWithSelector(WrongPhase.selector, SwarmRewards.Phase.Unopposed));
        vm.prank(OBJECTOR);
        rewards.object(_hash(_wrong));
        vm.warp(time() - 1);
        _object(_wrong);
    }

    function test_objectionHitsOnlyWhatItNames() public {
        _propose(_right);
        _allow(OBJECTOR, COUNTER_BOND);
        vm.expectRevert(abi.encodeWithSelector(NotPending.selector, _hash(_wrong), _hash(_right)));
        vm.prank(OBJECTOR);
        rewards.object(_hash(_wrong));
    }

    function test_nobodyObjectsToNothingOrTwice() public {
        vm.expectRevert(abi.encodeWithSelector(WrongPhase.selector, SwarmRewards.Phase.None));
        rewards.object(0);
        _propose(_wrong);
        _object(_wrong);
        vm.expectRevert(abi.encodeWithSelector(WrongPhase.selector, SwarmRewards.Phase.Drawing));
        rewards.object(_hash(_wrong));
    }

    function test_disputedOutcomeIsNotFinalised() public {
        _propose(_wrong);
        _object(_wrong);
        pass(OBJECTION_WINDOW + 1);
        vm.expectPartialRevert(WrongPhase.selector);
        rewards.finalise(_wrong);
    }

    // ---- drawing

    function test_drawTakesTheHashOfTheFixedBlock() public {
        _propose(_wrong);
        _object(_wrong);
        uint256 seedBlock = height() + SEED_DELAY;
        for (uint256 i = 0; i <= SEED_DELAY; ++i) {
            vm.expectRevert(abi.encodeWithSelector(SeedNotReady.selector, seedBlock, height()));
            rewards.draw();
            mine(1);
        }
        mine(50);
        vm.expectEmit(address(rewards));
        emit SwarmRewards.Drawn(
            Epoch.wrap(0), _hash(_wrong), 1, blockhash(seedBlock), Timestamp.wrap(time() + COURT_WINDOW)
        );
        rewards.draw();
        _assertPhase(SwarmRewards.Phase.Court);
        (,,,, bytes32 seed,,,) = rewards.dispute();
        vm.assertTrue(seed != 0 && seed == blockhash(seedBlock));
    }

    function test_drawnCourtIsNotDrawnAgain() public {
        _toCourt(_wrong);
        vm.expectRevert(abi.encodeWithSelector(WrongPhase.selector, SwarmRewards.Phase.Court));
        rewards.draw();
    }

    function test_missedBlockIsReplacedByOneToCome() public {
        _propose(_wrong);
        _object(_wrong);
        mine(SEED_DELAY + 257);
        vm.expectEmit(address(rewards));
        emit SwarmRewards.SeedBlockSet(Epoch.wrap(0), _hash(_wrong), 1, height() + SEED_DELAY);
        rewards.draw();
        _assertPhase(SwarmRewards.Phase.Drawing);
        vm.expectRevert(abi.encodeWithSelector(SeedNotReady.selector, height() + SEED_DELAY, height()));
        rewards.draw();
        _draw();
        _assertPhase(SwarmRewards.Phase.Court);
    }

    function test_lastKnownHashStillDraws() public {
        _propose(_wrong);
        _object(_wrong);
        mine(SEED_DELAY + 256);
        rewards.draw();
        _assertPhase(SwarmRewards.Phase.Court);
    }

    function test_secondCourtHasItsOwnSeed() public {
        _toCourt(_wrong);
        (,,,, bytes32 first,,,) = rewards.dispute();
        pass(COURT_WINDOW);
        _assertPhase(SwarmRewards.Phase.Court);
        pass(1);
        _assertPhase(SwarmRewards.Phase.Drawing);
        vm.expectEmit(address(rewards));
        emit SwarmRewards.SeedBlockSet(Epoch.wrap(0), _hash(_wrong), 2, height() + SEED_DELAY);
        rewards.draw();
        _assertPhase(SwarmRewards.Phase.Drawing);
        _draw();
        (,, uint8 number,, bytes32 second, Timestamp deadline,,) = rewards.dispute();
        vm.assertEq(number, 2);
        vm.assertTrue(first != second);
        vm.assertEq(Timestamp.unwrap(deadline), time() + COURT_WINDOW - 1);
        _assertPhase(SwarmRewards.Phase.Court);
    }

    /// Nobody drew the first court: the second has its time all the same, and then the dispute ends.
    function test_undrawnDisputeEndsByTime() public {
        _propose(_wrong);
        _object(_wrong);
        pass(2 * COURT_WINDOW);
        rewards.draw();
        _draw();
        _assertPhase(SwarmRewards.Phase.Court);
        pass(1);
        _assertPhase(SwarmRewards.Phase.Undecided);
        vm.expectRevert(abi.encodeWithSelector(WrongPhase.selector, SwarmRewards.Phase.Undecided));
        rewards.draw();
        rewards.refuse();
        _assertPhase(SwarmRewards.Phase.None);
    }

    // ---- judging

    function test_courtMakesWhatIsRightFinal() public {
        _toCourt(_wrong);
        vm.expectEmit(address(rewards));
        emit SwarmRewards.Finalised(Epoch.wrap(0), _right, Units.wrap(RATE), Units.wrap(FEE));
        _judge(_right, _votes(_right, 0, 5));
        _assertFinal(0, _right.root);
        vm.assertEq(_owed(PROPOSER), 0);
        vm.assertEq(_owed(OBJECTOR), COUNTER_BOND + BOND / 4);
        vm.assertEq(_owed(JUDGE), BOND / 2 + FEE);
        vm.assertEq(_owed(FIRE), BOND / 4);
    }

    function test_courtUpholdsWhatIsRight() public {
        _toCourt(_right);
        _judge(_right, _votes(_right, 1, 6));
        _assertFinal(0, _right.root);
        vm.assertEq(_owed(PROPOSER), BOND + FEE + COUNTER_BOND / 4);
        vm.assertEq(_owed(OBJECTOR), 0);
        vm.assertEq(_owed(JUDGE), COUNTER_BOND / 2);
        vm.assertEq(_owed(FIRE), COUNTER_BOND / 4);
    }

    function test_courtRefuses() public {
        _toCourt(_wrong);
        Outcome memory no = _refusal(_wrong);
        bytes memory votes = _votes(no, 0, 5);
        vm.expectEmit(address(rewards));
        emit SwarmRewards.Refused(Epoch.wrap(0), _hash(_wrong));
        _judge(no, votes);
        _assertPhase(SwarmRewards.Phase.None);
        vm.assertEq(Epoch.unwrap(rewards.nextEpoch()), 0);
        vm.assertEq(Units.unwrap(rewards.committed()), 0);
        vm.assertEq(_owed(OBJECTOR), COUNTER_BOND + BOND / 4);
        vm.assertEq(_owed(JUDGE), BOND / 2);
        vm.assertEq(_owed(FIRE), BOND / 4);
        _propose(_right);
    }

    /// A refusal of something else says nothing about what is pending.
    function test_refusalOfAnotherOutcomeDoesNotCount() public {
        _toCourt(_wrong);
        Outcome memory no = _refusal(_right);
        bytes memory votes = _votes(no, 0, COUNT);
        vm.expectRevert(NoPoints.selector);
        _judge(no, votes);
        no = _refusal(_wrong);
        no.root = bytes32(uint256(1));
        votes = _votes(no, 0, COUNT);
        vm.expectRevert(NoPoints.selector);
        _judge(no, votes);
    }

    function test_exactlyTheQuorumDecides() public {
        _toCourt(_wrong);
        (,,,, bytes32 seed,,,) = rewards.dispute();
        uint256 four = 0;
        for (uint256 i = 0; i < 4; ++i) {
            four += rewards.seatsOf(seed, members[i].owner, Epoch.wrap(0));
        }
        _judge(_right, _votes(_right, 0, 4));
        if (four >= 171) return _assertFinal(0, _right.root);
        (uint256 seats, address last) = rewards.tallyOf(JUDGE, _hash(_right));
        vm.assertEq(seats, four);
        vm.assertEq(last, members[3].owner);
        _assertPhase(SwarmRewards.Phase.Court);
    }

    /// Whatever the seed: four owners have 168 to 172 seats, and the court decides if and only if they are 171 or more.
    function test_quorumUnderRandomSeeds(bytes32 seed) public {
        vm.assume(seed != 0);
        _propose(_wrong);
        _object(_wrong);
        mine(SEED_DELAY + 1);
        vm.setBlockhash(height() - 1, seed);
        rewards.draw();
        uint256 four = 0;
        for (uint256 i = 0; i < 4; ++i) {
            uint256 own = _seats(seed, members[i].owner, 300, 1_800);
            vm.assertEq(own, rewards.seatsOf(seed, members[i].owner, Epoch.wrap(0)));
            four += own;
        }
        _judge(_right, _votes(_right, 0, 4));
        vm.assertEq(Epoch.unwrap(rewards.nextEpoch()) == 1, four >= 171);
    }

    /// @dev The formula of the specification, written out once more.
    function _seats(bytes32 seed, address owner, uint256 s, uint256 total) private pure returns (uint256) {
        uint256 lot = uint256(keccak256(abi.encodePacked(seed, bytes12(0), owner))) % total;
        return s * 256 / total + (lot < (s * 256) % total ? 1 : 0);
    }

    function test_votesComeInSeveralCalls() public {
        _toCourt(_wrong);
        for (uint256 i = 0; i < 4; ++i) {
            vm.expectEmit(true, true, true, false, address(rewards));
            emit SwarmRewards.Judged(Epoch.wrap(0), _hash(_right), JUDGE, 0, 0);
            _judge(_right, _vote(_right, i));
            if (rewards.phase() == SwarmRewards.Phase.None) return _assertFinal(0, _right.root);
            // Again: passed over.
            _judge(_right, _votes(_right, 0, i + 1));
        }
        (uint256 seats,) = rewards.tallyOf(JUDGE, _hash(_right));
        vm.assertTrue(seats >= 168 && seats <= 172);
        if (seats < 171) _judge(_right, _votes(_right, 0, 5));
        _assertFinal(0, _right.root);
    }

    /// Whoever brings the highest owner first shuts out nobody: each judge has its own tally.
    function test_judgesDoNotDisturbEachOther() public {
        _toCourt(_wrong);
        vm.prank(STRANGER);
        rewards.judge(_right, _vote(_right, 5));
        _judge(_right, _votes(_right, 0, 5));
        _assertFinal(0, _right.root);
    }

    function test_badVotesDoNotCount() public {
        _toCourt(_wrong);
        bytes memory stolen = _voteBy(_right, members[1].owner, members[0].node.privateKey);
        bytes memory high = abi.encodePacked(address(type(uint160).max), keccak256("r"), keccak256("s"));
        _judge(_right, bytes.concat(high, stolen, new bytes(84), _votes(_wrong, 0, 6), hex"ff"));
        (uint256 seats, address last) = rewards.tallyOf(JUDGE, _hash(_right));
        vm.assertEq(seats, 0);
        vm.assertEq(last, address(0));
        _judge(_right, _votes(_right, 0, 5));
        _assertFinal(0, _right.root);
    }

    function test_talliesOfOutcomesAreApart() public {
        _toCourt(_wrong);
        _judge(_right, _votes(_right, 0, 3));
        _judge(_wrong, _votes(_wrong, 3, 6));
        _assertPhase(SwarmRewards.Phase.Court);
        (,,,,,, uint256 seatsFor, uint256 seatsAgainst) = rewards.dispute();
        vm.assertTrue(seatsFor >= 126 && seatsFor <= 129);
        vm.assertTrue(seatsAgainst >= 126 && seatsAgainst <= 129);
    }

    function test_votesOfTheFirstCourtDoNotCountInTheSecond() public {
        _toCourt(_wrong);
        _judge(_right, _votes(_right, 0, 3));
        _toSecondCourt();
        (uint256 seats,) = rewards.tallyOf(JUDGE, _hash(_right));
        vm.assertEq(seats, 0);
        _judge(_right, _votes(_right, 3, 6));
        _assertPhase(SwarmRewards.Phase.Court);
        _judge(_right, _votes(_right, 0, 2));
        _assertPhase(SwarmRewards.Phase.Court);
    }

    function test_secondCourtDecidesToo() public {
        _toCourt(_wrong);
        _toSecondCourt();
        _judge(_right, _votes(_right, 0, 5));
        _assertFinal(0, _right.root);
    }

    function test_courtDecidesAboutThePendingEpochsOnly() public {
        _toEnd(1);
        Outcome memory later = _honest(1);
        _toCourt(_wrong);
        bytes memory votes = _votes(later, 0, COUNT);
        vm.expectRevert(abi.encodeWithSelector(WrongEpoch.selector, 1, 0));
        _judge(later, votes);
        later = _right;
        later.since = Epoch.wrap(1);
        vm.expectRevert(abi.encodeWithSelector(WrongSince.selector, 1, 0));
        _judge(later, votes);
    }

    function test_judgingNeedsACourt() public {
        bytes memory votes = _votes(_right, 0, COUNT);
        vm.expectRevert(abi.encodeWithSelector(WrongPhase.selector, SwarmRewards.Phase.None));
        rewards.judge(_right, votes);
        _propose(_wrong);
        vm.expectRevert(abi.encodeWithSelector(WrongPhase.selector, SwarmRewards.Phase.Open));
        rewards.judge(_right, votes);
        _object(_wrong);
        vm.expectRevert(abi.encodeWithSelector(WrongPhase.selector, SwarmRewards.Phase.Drawing));
        rewards.judge(_right, votes);
        _draw();
        pass(COURT_WINDOW + 1);
        vm.expectRevert(abi.encodeWithSelector(WrongPhase.selector, SwarmRewards.Phase.Drawing));
        rewards.judge(_right, votes);
        pass(COURT_WINDOW);
        vm.expectRevert(abi.encodeWithSelector(WrongPhase.selector, SwarmRewards.Phase.Undecided));
        rewards.judge(_right, votes);
    }

    function test_courtCannotMakeOutcomesFinalThatPayNothing() public {
        _toCourt(_wrong);
        Outcome memory o = _right;
        o.points = Points.wrap(type(uint128).max);
        bytes memory votes = _votes(o, 0, COUNT);
        vm.expectPartialRevert(bytes4(keccak256("NothingToPay(uint64)")));
        _judge(o, votes);
    }

    // ---- no verdict

    function test_silenceBurnsTheObjectorsBond() public {
        _toCourt(_right);
        pass(2 * COURT_WINDOW);
        vm.expectRevert(abi.encodeWithSelector(WrongPhase.selector, SwarmRewards.Phase.Drawing));
        rewards.refuse();
        pass(1);
        vm.expectEmit(address(rewards));
        emit SwarmRewards.Refused(Epoch.wrap(0), _hash(_right));
        vm.prank(STRANGER);
        rewards.refuse();
        _assertPhase(SwarmRewards.Phase.None);
        vm.assertEq(Epoch.unwrap(rewards.nextEpoch()), 0);
        vm.assertEq(_owed(PROPOSER), BOND);
        vm.assertEq(_owed(OBJECTOR), 0);
        vm.assertEq(_owed(STRANGER), 0);
        vm.assertEq(_owed(FIRE), COUNTER_BOND);
    }

    /// A third that stays silent keeps the court from deciding, but the false proposer pays, not who objected.
    function test_vetoOfAFalseProposersFriendsBurnsItsBond() public {
        _toCourt(_wrong);
        _judge(_right, _votes(_right, 0, 3));
        _judge(_wrong, _votes(_wrong, 4, 6));
        pass(2 * COURT_WINDOW + 1);
        rewards.refuse();
        vm.assertEq(_owed(PROPOSER), 0);
        vm.assertEq(_owed(OBJECTOR), COUNTER_BOND);
        vm.assertEq(_owed(FIRE), BOND);
    }

    function test_seatsOfEitherCourtCount() public {
        _toCourt(_wrong);
        _judge(_refusal(_wrong), _votes(_refusal(_wrong), 0, 2));
        _toSecondCourt();
        _judge(_wrong, _vote(_wrong, 5));
        pass(COURT_WINDOW);
        rewards.refuse();
        vm.assertEq(_owed(OBJECTOR), COUNTER_BOND);
    }

    /// Several judges' tallies are not added: one owner would count as often as somebody brings it.
    function test_oneOwnerBroughtByManyCountsOnce() public {
        _toCourt(_wrong);
        for (uint160 i = 1; i <= 5; ++i) {
            vm.prank(address(i));
            rewards.judge(_wrong, _vote(_wrong, 5));
        }
        _judge(_right, _votes(_right, 0, 2));
        pass(2 * COURT_WINDOW + 1);
        rewards.refuse();
        vm.assertEq(_owed(OBJECTOR), COUNTER_BOND);
    }

    // ---- the fast path during a dispute

    function test_fastPathEndsADispute() public {
        _propose(_wrong);
        _object(_wrong);
        vm.prank(JUDGE);
        rewards.finaliseFast(_right, _votes(_right, 0, 5));
        _assertFinal(0, _right.root);
        vm.assertEq(_owed(OBJECTOR), COUNTER_BOND + BOND / 4);
        vm.assertEq(_owed(JUDGE), BOND / 2 + FEE);
        (bytes32 hash, bytes32 seed) = rewards.verdictOn(Epoch.wrap(0), Epoch.wrap(0));
        vm.assertEq(hash, 0);
        vm.assertEq(seed, 0);
        (address objector,,,,, Timestamp deadline,,) = rewards.dispute();
        vm.assertEq(objector, address(0));
        vm.assertEq(Timestamp.unwrap(deadline), 0);
    }

    function test_fastPathCanUpholdToo() public {
        _toCourt(_right);
        vm.prank(JUDGE);
        rewards.finaliseFast(_right, _votes(_right, 0, 5));
        vm.assertEq(_owed(PROPOSER), BOND + FEE + COUNTER_BOND / 4);
        vm.assertEq(_owed(JUDGE), COUNTER_BOND / 2);
        (bytes32 hash,) = rewards.verdictOn(Epoch.wrap(0), Epoch.wrap(0));
        vm.assertEq(hash, _hash(_right));
    }

    function test_verdictIsRemembered() public {
        _toCourt(_wrong);
        (,,,, bytes32 drawn,,,) = rewards.dispute();
        _judge(_right, _votes(_right, 0, 5));
        (bytes32 hash, bytes32 seed) = rewards.verdictOn(Epoch.wrap(0), Epoch.wrap(0));
        vm.assertEq(hash, _hash(_right));
        vm.assertEq(seed, drawn);
    }

    // ---- money

    function test_collectPaysOnce() public {
        _toCourt(_wrong);
        _judge(_right, _votes(_right, 0, 5));
        vm.expectEmit(address(rewards));
        emit SwarmRewards.Collected(OBJECTOR, Units.wrap(COUNTER_BOND + BOND / 4));
        vm.startPrank(OBJECTOR);
        rewards.collect();
        vm.assertEq(token.balanceOf(OBJECTOR), COUNTER_BOND + BOND / 4);
        vm.expectPartialRevert(bytes4(keccak256("NothingOwed(address)")));
        rewards.collect();
    }

    /// Proposer, objector and judge in one: a quarter is lost.
    function test_disputingWithOneselfLoses() public {
        address self = address(0x5E1F);
        _allow(self, BOND + COUNTER_BOND);
        vm.startPrank(self);
        rewards.propose(_wrong);
        rewards.object(_hash(_wrong));
        mine(SEED_DELAY + 1);
        rewards.draw();
        rewards.judge(_right, _votes(_right, 0, 5));
        vm.assertEq(_owed(self), BOND + COUNTER_BOND - BOND / 4 + FEE);
    }

    function test_epochsBeforeTheFirstOpenOneAreRefused() public {
        _settle(0);
        _toEnd(1);
        _toCourt(_false(1));
        Outcome memory o = _honest(1);
        o.epoch = Epoch.wrap(0);
        vm.expectRevert(abi.encodeWithSelector(EpochFinal.selector, 0, 1));
        _judge(o, "");
    }
}
