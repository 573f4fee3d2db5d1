// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {JobEscrow, Spec} from "../../src/JobEscrow.sol";
import {Units} from "../../src/types.sol";
import {Jobs} from "../fixtures/Jobs.sol";

/// @title Does random but possible things with jobs, as payers, workers, challengers and the game, and keeps its own books of whom
///        the rules give what, which the invariants compare.
contract JobHandler is Jobs {
    uint256 private constant ACTORS = 5;
    uint256 private constant MOST_JOBS = 24;

    /// @dev Every job that was ever launched.
    uint256[] public jobs;

    /// @dev Tokens given away.
    uint256 public donated;

    /// @dev What each receiver was ever given, by this contract's own count, and what it has withdrawn.
    mapping(address receiver => uint256 amount) public given;
    mapping(address receiver => uint256 amount) public withdrawn;

    /// @dev What a job was when it was first seen to be over; 0 before.
    mapping(uint256 job => bytes32 digest) private _last;

    /// @dev Times that something happened to a job which was over.
    uint256 public revived;

    /// @dev How many jobs came to each state.
    uint256[9] public reached;

    /// @dev The test that made this.
    address private immutable _test;

    constructor() {
        _test = msg.sender;
        _start();
    }

    // ---- payers

    function launch(uint256 who, uint256 amounts, uint256 length) external {
        if (jobs.length == MOST_JOBS) return;
        Spec memory spec = _spec();
        spec.salt = bytes32(jobs.length);
        spec.reward = Units.wrap(uint128(bound(amounts, 1, 20_000)));
        uint128 least = uint128(bound((Units.unwrap(spec.reward) + 4) / 5, LEAST_WORKER_BOND, 20_000));
        spec.workerBond = Units.wrap(uint128(bound(amounts >> 64, least, 30_000)));
        spec.challengerBond = Units.wrap(uint128(bound(amounts >> 128, 100, Units.unwrap(spec.workerBond) / 2)));
        (spec.steps, spec.stride) = (uint64(bound(length, 1, 30)), uint32(bound(length >> 64, 1, 9)));
        if (length % 4 == 0) spec.worker = actor(length >> 8);
        (, bytes32[] memory siblings) = _plan(spec.counts);
        _allow(actor(who), Units.unwrap(spec.reward));
        vm.prank(actor(who));
        jobs.push(escrow.launch(spec, siblings));
        ++reached[uint256(JobEscrow.State.Open)];
    }

    function cancel(uint256 which) external {
        (uint256 job, JobEscrow.Job memory j) = _find(which, JobEscrow.State.Open);
        if (job == 0) return;
        vm.prank(j.payer);
        escrow.cancel(job);
        _give(j.payer, Units.unwrap(j.reward));
        _note(job, JobEscrow.State.Cancelled);
    }

    // ---- workers

    function accept(uint256 which, uint256 who) external {
        (uint256 job, JobEscrow.Job memory j) = _find(which, JobEscrow.State.Open);
        if (job == 0) return;
        address worker = j.worker == address(0) ? actor(who) : j.worker;
        _allow(worker, Units.unwrap(j.workerBond));
        vm.prank(worker);
        try escrow.accept(job) {
            _note(job, JobEscrow.State.Assigned);
        } catch {}
    }

    function commitSeal(uint256 which) external {
        (uint256 job, JobEscrow.Job memory j) = _find(which, JobEscrow.State.Assigned);
        if (job == 0) return;
        Work memory w = _workOf(j);
        vm.prank(j.worker);
        try escrow.commitSeal(job, _sealHash(w.top, j.worker, w.salt)) {
            _note(job, JobEscrow.State.Sealed);
        } catch {}
    }

    /// @dev Waits for the verifiers' time to be over where `patience` is even.
    function commit(uint256 which, uint256 patience) external {
        (uint256 job, JobEscrow.Job memory j) = _find(which, JobEscrow.State.Sealed);
        if (job == 0) return;
        if (patience % 2 == 0) pass(SEAL + 1);
        Work memory w = _workOf(j);
        vm.prank(j.worker);
        try escrow.commit(job, w.top, w.finalState, w.salt, w.first, w.last) {
            _note(job, JobEscrow.State.Committed);
        } catch {}
    }

    /// @dev A job is done at once, so that games are not rare.
    function hasten(uint256 which, uint256 who) external {
        this.accept(which, who);
        this.commitSeal(which);
        this.commit(which, 0);
    }

    // ---- anyone

    function seal(uint256 which, uint256 who, bytes32 top) external {
        (uint256 job,) = _find(which, which % 2 == 0 ? JobEscrow.State.Assigned : JobEscrow.State.Sealed);
        if (job == 0) return;
        vm.prank(actor(who));
        try escrow.seal(job, _sealHash(top, actor(who), "salt")) {} catch {}
    }

    function finalize(uint256 which) external {
        (uint256 job,) = _find(which, JobEscrow.State.Committed);
        if (job != 0) _finalize(job);
    }

    function expire(uint256 which, uint256 state) external {
        (uint256 job,) = _find(which, JobEscrow.State(1 + state % 3));
        if (job != 0) _expire(job);
    }

    function withdraw(uint256 who) external {
        _withdraw(actor(who));
    }

    function donate(uint256 amount) external {
        amount = bound(amount, 1, 1_000);
        token.mint(address(escrow), amount);
        donated += amount;
    }

    function wait(uint64 duration) external {
        pass(duration % 600 + 1);
    }

    // ---- the game

    function begin(uint256 which, uint256 who) external {
        (uint256 job, JobEscrow.Job memory j) = _find(which, JobEscrow.State.Committed);
        if (job == 0) return;
        _allow(actor(who), Units.unwrap(j.challengerBond));
        try escrow.beginGame(job, actor(who)) {} catch {}
    }

    function end(uint256 which, uint256 who, uint256 outcome) external {
        (uint256 job,) = _find(which, JobEscrow.State.Committed);
        if (job != 0) _end(job, _player(job, who), outcome % 3 == 0);
    }

    function void(uint256 which, uint256 who) external {
        (uint256 job,) = _find(which, JobEscrow.State.Refuted);
        if (job != 0) _void(job, _player(job, who));
    }

    function refute(uint256 which, uint256 who) external {
        (uint256 job, JobEscrow.Job memory j) = _find(which, JobEscrow.State.Committed);
        if (job == 0) return;
        bool isInTime = time() <= _deadline(j);
        try escrow.refute(job, actor(who)) {
            vm.assertTrue(isInTime);
            _give(j.payer, Units.unwrap(j.reward));
            _share(j, actor(who));
            _note(job, JobEscrow.State.Refuted);
        } catch {
            vm.assertFalse(isInTime);
        }
    }

    /// @dev Anything, to any job, by anyone: nothing but what the rules allow may come of it.
    function meddle(uint256 which, uint256 who, uint256 call) external {
        if (jobs.length == 0) return;
        uint256 job = jobs[which % jobs.length];
        JobEscrow.Job memory before = escrow.jobOf(job);
        bytes[9] memory calls = [
            abi.encodeCall(escrow.cancel, (job)),
            abi.encodeCall(escrow.commitSeal, (job, "seal")),
            abi.encodeCall(escrow.commit, (job, "top", "end", "salt", new bytes32[](0), new bytes32[](0))),
            abi.encodeCall(escrow.beginGame, (job, actor(who))),
            abi.encodeCall(escrow.endGame, (job, actor(who), true)),
            abi.encodeCall(escrow.endGame, (job, actor(who), false)),
            abi.encodeCall(escrow.voidGame, (job, actor(who))),
            abi.encodeCall(escrow.refute, (job, actor(who))),
            abi.encodeCall(escrow.reveal, (job, "top", "salt"))
        ];
        vm.prank(STRANGER);
        (bool ok,) = address(escrow).call(calls[call % 9]);
        vm.assertFalse(ok);
        vm.assertEq(abi.encode(escrow.jobOf(job)), abi.encode(before));
    }

    // ---- the way out

    /// @dev From anywhere: games end, time passes, and calls that anybody can make end every job and empty the contract. For the
    ///      end of a run only.
    function clear() external {
        if (msg.sender != _test) return;
        for (uint256 i = 0; i < jobs.length; ++i) {
            for (uint256 k = 0; k < ACTORS; ++k) {
                if (escrow.stateOf(jobs[i]) == JobEscrow.State.Refuted) _void(jobs[i], actor(k));
                else _end(jobs[i], actor(k), (i + k) % 5 == 0);
            }
        }
        pass(WORK + SEAL + REVEAL + CHALLENGE);
        for (uint256 i = 0; i < jobs.length; ++i) {
            if (escrow.stateOf(jobs[i]) == JobEscrow.State.Committed) _finalize(jobs[i]);
            else if (!isOver(jobs[i])) _expire(jobs[i]);
            vm.assertTrue(isOver(jobs[i]));
            vm.assertEq(escrow.jobOf(jobs[i]).games, 0);
        }
        for (uint256 k = 0; k < ACTORS; ++k) {
            _withdraw(actor(k));
        }
    }

    // ---- sums

    function balance() external view returns (uint256) {
        return _balance();
    }

    /// @dev What the contract must hold: by states of jobs, games and the ledger.
    function booked() external view returns (uint256 sum) {
        sum = donated + _owed(FIRE);
        for (uint256 k = 0; k < ACTORS; ++k) {
            sum += _owed(actor(k));
        }
        for (uint256 i = 0; i < jobs.length; ++i) {
            JobEscrow.Job memory j = escrow.jobOf(jobs[i]);
            if (!isOver(jobs[i])) sum += Units.unwrap(j.reward);
            if (!isOver(jobs[i]) && j.state != JobEscrow.State.Open) sum += Units.unwrap(j.workerBond);
            for (uint256 k = 0; k < ACTORS; ++k) {
                sum += Units.unwrap(escrow.gameBondOf(jobs[i], actor(k)));
            }
        }
    }

    function burned() external view returns (uint256) {
        return _owed(FIRE);
    }

    /// @dev Whether the ledger of every receiver is what the rules gave it, less what it withdrew.
    function checkLedger() external view {
        for (uint256 k = 0; k < ACTORS; ++k) {
            vm.assertEq(_owed(actor(k)), given[actor(k)] - withdrawn[actor(k)]);
        }
        vm.assertEq(_owed(FIRE), given[FIRE]);
        vm.assertEq(_owed(address(0)), 0);
    }

    function checkGames() external view {
        for (uint256 i = 0; i < jobs.length; ++i) {
            uint256 games = 0;
            for (uint256 k = 0; k < ACTORS; ++k) {
                if (Units.unwrap(escrow.gameBondOf(jobs[i], actor(k))) != 0) ++games;
            }
            vm.assertEq(escrow.jobOf(jobs[i]).games, games);
            vm.assertEq(Units.unwrap(escrow.gameBondOf(jobs[i], address(0))), 0);
        }
    }

    /// @dev What is over is as it was when it was first over.
    function checkEnds() external view {
        for (uint256 i = 0; i < jobs.length; ++i) {
            vm.assertEq(isOver(jobs[i]), _last[jobs[i]] != 0);
            if (isOver(jobs[i])) vm.assertEq(_digest(jobs[i]), _last[jobs[i]]);
        }
    }

    function isOver(uint256 job) public view returns (bool) {
        return escrow.stateOf(job) >= JobEscrow.State.Finalized;
    }

    function actor(uint256 number) public pure returns (address) {
        // Small.
        // forge-lint: disable-next-line(unsafe-typecast)
        return address(uint160(0xAC70 + number % ACTORS));
    }

    // ---- words

    function _finalize(uint256 job) private {
        JobEscrow.Job memory j = escrow.jobOf(job);
        bool due = time() > _deadline(j) && j.games == 0;
        try escrow.finalize(job) {
            vm.assertTrue(due);
            _give(j.worker, Units.unwrap(j.reward));
            _give(j.worker, Units.unwrap(j.workerBond));
            _note(job, JobEscrow.State.Finalized);
        } catch {
            vm.assertFalse(due);
        }
    }

    function _expire(uint256 job) private {
        JobEscrow.Job memory j = escrow.jobOf(job);
        bool due = time() > _deadline(j);
        try escrow.expire(job) {
            vm.assertTrue(due);
            _give(j.payer, Units.unwrap(j.reward));
            if (j.state != JobEscrow.State.Open) _share(j, j.worker);
            _note(job, JobEscrow.State.Expired);
        } catch {
            vm.assertFalse(due);
        }
    }

    function _end(uint256 job, address challenger, bool workerLost) private {
        JobEscrow.Job memory j = escrow.jobOf(job);
        uint256 bond = Units.unwrap(escrow.gameBondOf(job, challenger));
        if (bond == 0) return;
        escrow.endGame(job, challenger, workerLost);
        _give(workerLost ? challenger : j.worker, bond);
        if (!workerLost) return;
        _give(j.payer, Units.unwrap(j.reward));
        _share(j, challenger);
        _note(job, JobEscrow.State.Refuted);
    }

    function _void(uint256 job, address challenger) private {
        uint256 bond = Units.unwrap(escrow.gameBondOf(job, challenger));
        if (bond == 0) return;
        escrow.voidGame(job, challenger);
        _give(challenger, bond);
    }

    function _withdraw(address receiver) private {
        uint256 owed = _owed(receiver);
        if (owed == 0) return;
        uint256 before = token.balanceOf(receiver);
        vm.prank(receiver);
        escrow.withdraw();
        vm.assertEq(token.balanceOf(receiver), before + owed);
        withdrawn[receiver] += owed;
    }

    function _share(JobEscrow.Job memory j, address receiver) private {
        uint256 bond = Units.unwrap(j.workerBond);
        _give(receiver, bond * 50 / 100);
        _give(j.payer, bond * 20 / 100);
        _give(FIRE, bond - bond * 50 / 100 - bond * 20 / 100);
    }

    function _give(address receiver, uint256 amount) private {
        given[receiver] += amount;
    }

    function _note(uint256 job, JobEscrow.State state) private {
        vm.assertEq(uint256(escrow.stateOf(job)), uint256(state));
        if (_last[job] != 0) ++revived;
        if (isOver(job)) _last[job] = _digest(job);
        ++reached[uint256(state)];
    }

    /// @dev All of a job but its games, which may still be voided.
    function _digest(uint256 job) private view returns (bytes32) {
        JobEscrow.Job memory j = escrow.jobOf(job);
        j.games = 0;
        return keccak256(abi.encode(j));
    }

    function _deadline(JobEscrow.Job memory j) private pure returns (uint64) {
        return uint64(abi.decode(abi.encode(j.deadline), (uint64)));
    }

    function _workOf(JobEscrow.Job memory j) private pure returns (Work memory) {
        uint256 count = 1 + (j.steps + j.stride - 1) / j.stride;
        return _work(j.initialState, count, "honest");
    }

    /// @dev A job in this state, the next after number `which`; 0 where there is none.
    function _find(uint256 which, JobEscrow.State state)
        private
        view
        returns (uint256 job, JobEscrow.Job memory found)
    {
        for (uint256 i = 0; i < jobs.length; ++i) {
            job = jobs[addmod(which, i, jobs.length)];
            found = escrow.jobOf(job);
            if (found.state == state) return (job, found);
        }
        return (0, found);
    }

    /// @dev Somebody with a game about the job, if anybody has one.
    function _player(uint256 job, uint256 who) private view returns (address player) {
        for (uint256 k = 0; k < ACTORS; ++k) {
            player = actor(addmod(who, k, ACTORS));
            if (Units.unwrap(escrow.gameBondOf(job, player)) != 0) return player;
        }
    }
}
