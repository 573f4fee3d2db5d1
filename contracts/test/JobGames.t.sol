// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Claim} from "../src/IJobs.sol";
import {JobEscrow, Spec} from "../src/JobEscrow.sol";
import {
    DeadlinePassed,
    GameUnderWay,
    GamesUnderWay,
    NoGame,
    NotGame,
    WrongJobState,
    ZeroOwner
} from "../src/errors.sol";
import {Units} from "../src/types.sol";
import {Jobs} from "./fixtures/Jobs.sol";

/// @title What games do to a job and its money. The test is the game contract.
contract JobGamesTest is Jobs {
    uint256 private _job;

    function setUp() public {
        _start();
        _job = _committed();
    }

    function test_beginTellsTheClaimAndTakesTheBond() public {
        _allow(CHALLENGER, COUNTER_BOND);
        vm.expectEmit(address(escrow));
        emit JobEscrow.GameBegun(_job, CHALLENGER, Units.wrap(COUNTER_BOND));
        (address worker, Claim memory claim) = escrow.beginGame(_job, CHALLENGER);
        (bytes32 plan,) = _plan(_counts());
        vm.assertEq(worker, WORKER);
        vm.assertEq(abi.encode(claim), abi.encode(Claim(plan, _counts(), STEPS, STRIDE, _work().top)));
        vm.assertEq(_balance(), REWARD + BOND + COUNTER_BOND);
        vm.assertEq(Units.unwrap(escrow.gameBondOf(_job, CHALLENGER)), COUNTER_BOND);
        vm.assertEq(escrow.jobOf(_job).games, 1);
    }

    function test_onlyTheGameDecides() public {
        vm.startPrank(STRANGER);
        vm.expectRevert(abi.encodeWithSelector(NotGame.selector, STRANGER));
        escrow.beginGame(_job, CHALLENGER);
        vm.expectRevert(abi.encodeWithSelector(NotGame.selector, STRANGER));
        escrow.endGame(_job, CHALLENGER, true);
        vm.expectRevert(abi.encodeWithSelector(NotGame.selector, STRANGER));
        escrow.voidGame(_job, CHALLENGER);
        vm.expectRevert(abi.encodeWithSelector(NotGame.selector, STRANGER));
        escrow.refute(_job, CHALLENGER);
    }

    function test_gamesBeginInTheWindowOnly() public {
        pass(CHALLENGE);
        _begin(_job, CHALLENGER);
        pass(1);
        vm.expectRevert(abi.encodeWithSelector(DeadlinePassed.selector, time() - 1, time()));
        escrow.beginGame(_job, RIVAL);
    }

    function test_nobodyIsAChallengerWithoutAnAddress() public {
        vm.expectRevert(abi.encodeWithSelector(ZeroOwner.selector));
        escrow.beginGame(_job, address(0));
        vm.expectRevert(abi.encodeWithSelector(ZeroOwner.selector));
        escrow.refute(_job, address(0));
    }

    function test_aChallengerHasOneGameAtATime() public {
        _begin(_job, CHALLENGER);
        _allow(CHALLENGER, COUNTER_BOND);
        vm.expectRevert(abi.encodeWithSelector(GameUnderWay.selector, _job, CHALLENGER));
        escrow.beginGame(_job, CHALLENGER);
        _begin(_job, RIVAL);
        // Who lost may try again: an address costs nothing, a game costs its bond.
        escrow.endGame(_job, CHALLENGER, false);
        escrow.beginGame(_job, CHALLENGER);
        vm.assertEq(escrow.jobOf(_job).games, 2);
    }

    function test_challengerThatLosesPaysTheWorker() public {
        _begin(_job, CHALLENGER);
        vm.expectEmit(address(escrow));
        emit JobEscrow.GameEnded(_job, CHALLENGER, false);
        escrow.endGame(_job, CHALLENGER, false);
        vm.assertEq(_owed(WORKER), COUNTER_BOND);
        vm.assertEq(_owed(CHALLENGER), 0);
        _assertState(_job, JobEscrow.State.Committed);
        vm.assertFalse(escrow.isRefuted(_job));
        pass(CHALLENGE + 1);
        escrow.finalize(_job);
        vm.assertEq(_owed(WORKER), COUNTER_BOND + REWARD + BOND);
        vm.assertEq(_balance(), _owed(WORKER));
    }

    /// Half of 3,003 to the challenger, a fifth to the payer, the rest burned; the reward goes back.
    function test_workerThatLosesIsRefuted() public {
        _begin(_job, CHALLENGER);
        vm.expectEmit(address(escrow));
        emit JobEscrow.GameEnded(_job, CHALLENGER, true);
        vm.expectEmit(address(escrow));
        emit JobEscrow.Refuted(_job, CHALLENGER);
        vm.expectEmit(address(escrow));
        emit JobEscrow.Credited(CHALLENGER, Units.wrap(COUNTER_BOND + 1_501));
        vm.expectEmit(address(escrow));
        emit JobEscrow.Credited(PAYER, Units.wrap(REWARD + 600));
        escrow.endGame(_job, CHALLENGER, true);
        vm.assertTrue(escrow.isRefuted(_job));
        vm.assertEq(_owed(CHALLENGER), COUNTER_BOND + 1_501);
        vm.assertEq(_owed(PAYER), REWARD + 600);
        vm.assertEq(_owed(FIRE), 902);
        vm.assertEq(_owed(WORKER), 0);
        vm.assertEq(_balance(), REWARD + BOND + COUNTER_BOND);
    }

    /// Games that another one has overtaken end with the bond back, however late, and decide nothing any more.
    function test_otherGamesOfARefutedJobAreVoid() public {
        _begin(_job, CHALLENGER);
        _begin(_job, RIVAL);
        escrow.endGame(_job, CHALLENGER, true);
        vm.expectRevert(abi.encodeWithSelector(WrongJobState.selector, _job, uint8(JobEscrow.State.Refuted)));
        escrow.endGame(_job, RIVAL, true);
        vm.expectRevert(abi.encodeWithSelector(WrongJobState.selector, _job, uint8(JobEscrow.State.Refuted)));
        escrow.endGame(_job, RIVAL, false);
        vm.expectRevert(abi.encodeWithSelector(NoGame.selector, _job, CHALLENGER));
        escrow.voidGame(_job, CHALLENGER);
        pass(10 * CHALLENGE);
        vm.expectEmit(address(escrow));
        emit JobEscrow.GameVoided(_job, RIVAL);
        escrow.voidGame(_job, RIVAL);
        vm.assertEq(_owed(RIVAL), COUNTER_BOND);
        vm.expectRevert(abi.encodeWithSelector(NoGame.selector, _job, RIVAL));
        escrow.voidGame(_job, RIVAL);
        vm.assertEq(escrow.jobOf(_job).games, 0);
        _assertState(_job, JobEscrow.State.Refuted);
    }

    function test_aGameEndsOnce() public {
        _begin(_job, CHALLENGER);
        escrow.endGame(_job, CHALLENGER, false);
        vm.expectRevert(abi.encodeWithSelector(NoGame.selector, _job, CHALLENGER));
        escrow.endGame(_job, CHALLENGER, false);
        vm.expectRevert(abi.encodeWithSelector(NoGame.selector, _job, STRANGER));
        escrow.endGame(_job, STRANGER, true);
    }

    function test_nothingIsFinalWhileAGameGoesOn() public {
        _begin(_job, CHALLENGER);
        _begin(_job, RIVAL);
        pass(CHALLENGE + 1);
        vm.expectRevert(abi.encodeWithSelector(GamesUnderWay.selector, _job, 2));
        escrow.finalize(_job);
        escrow.endGame(_job, CHALLENGER, false);
        vm.expectRevert(abi.encodeWithSelector(GamesUnderWay.selector, _job, 1));
        escrow.finalize(_job);
        escrow.endGame(_job, RIVAL, true);
        _assertState(_job, JobEscrow.State.Refuted);
    }

    /// A game keeps the bond of its own job: one of another is not touched.
    function test_bondsBelongToTheirJob() public {
        pass(1);
        uint256 other = _committed();
        _begin(_job, CHALLENGER);
        vm.expectRevert(abi.encodeWithSelector(NoGame.selector, other, CHALLENGER));
        escrow.endGame(other, CHALLENGER, true);
        _begin(other, CHALLENGER);
        escrow.endGame(other, CHALLENGER, true);
        vm.assertEq(Units.unwrap(escrow.gameBondOf(_job, CHALLENGER)), COUNTER_BOND);
        _assertState(_job, JobEscrow.State.Committed);
    }

    /// Worker, payer and challenger in one: what it put in comes back without the part that is burned.
    function test_challengingOneselfNeverPays() public {
        _begin(_job, WORKER);
        escrow.endGame(_job, WORKER, true);
        vm.assertEq(_owed(WORKER), COUNTER_BOND + 1_501);
        vm.assertEq(_owed(FIRE), 902);
    }

    // ---- without a game

    function test_theClaimIsToldWhileItCanBeChallenged() public {
        (bytes32 plan,) = _plan(_counts());
        pass(CHALLENGE);
        (address worker, Claim memory claim) = escrow.claimOf(_job);
        vm.assertEq(worker, WORKER);
        vm.assertEq(abi.encode(claim), abi.encode(Claim(plan, _counts(), STEPS, STRIDE, _work().top)));
        pass(1);
        vm.expectRevert(abi.encodeWithSelector(DeadlinePassed.selector, time() - 1, time()));
        escrow.claimOf(_job);
    }

    /// The same parts as after a game; nobody had staked anything that would come back.
    function test_refutationPaysAsAGameDoes() public {
        vm.expectEmit(address(escrow));
        emit JobEscrow.Refuted(_job, CHALLENGER);
        vm.expectEmit(address(escrow));
        emit JobEscrow.Credited(CHALLENGER, Units.wrap(1_501));
        vm.expectEmit(address(escrow));
        emit JobEscrow.Credited(PAYER, Units.wrap(REWARD + 600));
        vm.expectEmit(address(escrow));
        emit JobEscrow.Credited(FIRE, Units.wrap(902));
        escrow.refute(_job, CHALLENGER);
        vm.assertTrue(escrow.isRefuted(_job));
        _assertState(_job, JobEscrow.State.Refuted);
        vm.assertEq(_owed(CHALLENGER), 1_501);
        vm.assertEq(_owed(PAYER), REWARD + 600);
        vm.assertEq(_owed(FIRE), 902);
        vm.assertEq(_owed(WORKER), 0);
        vm.assertEq(_balance(), REWARD + BOND);
    }

    function test_aJobIsRefutedInTheWindowOnly() public {
        pass(CHALLENGE + 1);
        vm.expectRevert(abi.encodeWithSelector(DeadlinePassed.selector, time() - 1, time()));
        escrow.refute(_job, CHALLENGER);
        vm.warp(time() - 1);
        escrow.refute(_job, CHALLENGER);
    }

    /// A game that goes on holds up the end, but the window stays what it was.
    function test_aGameDoesNotKeepTheWindowOpen() public {
        _begin(_job, RIVAL);
        pass(CHALLENGE + 1);
        vm.expectRevert(abi.encodeWithSelector(DeadlinePassed.selector, time() - 1, time()));
        escrow.refute(_job, CHALLENGER);
        vm.expectRevert(abi.encodeWithSelector(DeadlinePassed.selector, time() - 1, time()));
        escrow.claimOf(_job);
        escrow.endGame(_job, RIVAL, true);
        _assertState(_job, JobEscrow.State.Refuted);
    }

    function test_aJobIsRefutedOnce() public {
        escrow.refute(_job, CHALLENGER);
        bytes memory over = abi.encodeWithSelector(WrongJobState.selector, _job, uint8(JobEscrow.State.Refuted));
        vm.expectRevert(over);
        escrow.refute(_job, CHALLENGER);
        vm.expectRevert(over);
        escrow.claimOf(_job);
        vm.expectRevert(over);
        escrow.beginGame(_job, RIVAL);
        pass(CHALLENGE + 1);
        vm.expectRevert(over);
        escrow.finalize(_job);
    }

    /// Every bond comes back, that of a game of the one who refuted too; whoever was about to lose its game loses nothing.
    function test_refutationVoidsTheGamesUnderWay() public {
        _begin(_job, RIVAL);
        _begin(_job, CHALLENGER);
        escrow.refute(_job, CHALLENGER);
        vm.assertEq(_owed(CHALLENGER), 1_501);
        vm.expectRevert(abi.encodeWithSelector(WrongJobState.selector, _job, uint8(JobEscrow.State.Refuted)));
        escrow.endGame(_job, RIVAL, false);
        escrow.voidGame(_job, RIVAL);
        escrow.voidGame(_job, CHALLENGER);
        vm.assertEq(_owed(RIVAL), COUNTER_BOND);
        vm.assertEq(_owed(CHALLENGER), COUNTER_BOND + 1_501);
        vm.assertEq(escrow.jobOf(_job).games, 0);
        _withdrawAs(RIVAL);
        _withdrawAs(CHALLENGER);
        _withdrawAs(PAYER);
        vm.assertEq(_balance(), 902);
        vm.assertEq(_owed(FIRE), 902);
    }

    /// No unit is lost or made, however large bond and reward are.
    function test_refutationSharesTheWholeBond(uint128 reward, uint128 bond) public {
        uint128 half = type(uint128).max / 2;
        Spec memory spec = _spec();
        reward = uint128(bound(reward, 1, half));
        bond = uint128(bound(bond, reward / 5 + 1 + LEAST_WORKER_BOND, half));
        (spec.reward, spec.workerBond) = (Units.wrap(reward), Units.wrap(bond));
        (spec.challengerBond, spec.salt) = (Units.wrap(LEAST_CHALLENGER_BOND), "large");
        uint256 job = _launch(spec);
        _allow(WORKER, bond);
        vm.prank(WORKER);
        escrow.accept(job);
        _commitSeal(job, _work());
        pass(SEAL + 1);
        _commit(job, _work());
        escrow.refute(job, CHALLENGER);
        vm.assertEq(_owed(CHALLENGER), bond / 2);
        vm.assertEq(_owed(PAYER), uint256(reward) + bond / 5);
        vm.assertEq(_owed(CHALLENGER) + _owed(PAYER) + _owed(FIRE), uint256(reward) + bond);
        vm.assertEq(_balance(), uint256(REWARD) + BOND + reward + bond);
    }

    /// Without a bond, but no cheaper: half of what the worker put in is lost, as by silence.
    function test_refutingOneselfNeverPays() public {
        escrow.refute(_job, WORKER);
        vm.assertEq(_owed(WORKER), 1_501);
        vm.assertEq(_owed(PAYER), REWARD + 600);
        vm.assertEq(_owed(FIRE), 902);
    }

    function _withdrawAs(address receiver) private {
        uint256 owed = _owed(receiver);
        vm.prank(receiver);
        escrow.withdraw();
        vm.assertEq(token.balanceOf(receiver), owed);
    }
}
