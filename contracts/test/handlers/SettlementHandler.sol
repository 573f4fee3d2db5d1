// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Outcome} from "../../src/Outcome.sol";
import {SwarmRewards} from "../../src/SwarmRewards.sol";
import {Epoch, Timestamp, Units} from "../../src/types.sol";
import {Settlement} from "../fixtures/Settlement.sol";

/// @title Does random but possible things with a swarm of eight equal owners, of whom the last few are hostile, and keeps its own
///        books, which the invariants compare.
contract SettlementHandler is Settlement {
    uint256 private constant COUNT = 8;
    address private constant ATTACKER = address(0xBAD);
    address private constant WATCHER = address(0x600D);

    /// @dev How many owners, the first ones, are honest.
    uint256 public immutable honest;

    /// @dev Whether a watcher answers every false proposal in time.
    bool public immutable watched;

    /// @dev Tokens given away without funding.
    uint256 public donated;

    /// @dev Outcomes that became final although nobody honest found them right.
    uint256 public falseFinals;

    /// @dev Times that honest owners could not make an epoch final that was over.
    uint256 public stuck;

    /// @dev Outcomes that became final.
    uint256 public finals;

    /// @dev All that claims and fees took, by this contract's own count.
    uint256 public paid;

    /// @dev What is pending, as proposed, and what is right instead.
    Outcome private _pending;
    Outcome private _answer;

    constructor(uint256 honest_, bool watched_) {
        (honest, watched) = (honest_, watched_);
        _start();
        _joinMany(COUNT, 300);
        _fund(50_000);
        vm.warp(GENESIS);
    }

    // ---- money in and out

    function fund(uint256 amount) external {
        _fund(bound(amount, 1, 2 * CAP));
    }

    function donate(uint256 amount) external {
        amount = bound(amount, 1, CAP);
        token.mint(address(rewards), amount);
        donated += amount;
    }

    function claim(uint256 which) external {
        if (rewards.root() == 0 || falseFinals > 0) return;
        uint256 before = token.balanceOf(address(rewards));
        rewards.claim(which % 3 == 0 ? _claims(earned) : _claim(earned, which % COUNT));
        paid += before - token.balanceOf(address(rewards));
    }

    function collect(uint256 which) external {
        address[5] memory receivers = [ATTACKER, WATCHER, PROPOSER, JUDGE, address(this)];
        vm.prank(receivers[which % 5]);
        try rewards.collect() {} catch {}
    }

    // ---- proposals

    /// @dev By an attacker where `kind` is odd.
    function propose(uint256 kind, uint64 back) external {
        (bool over, uint64 epoch) = _epoch(back);
        if (!over || rewards.phase() != SwarmRewards.Phase.None) return;
        (_answer, _pending) = (_honest(epoch), kind % 2 == 0 ? _honest(epoch) : _false(epoch));
        address proposer = kind % 2 == 0 ? PROPOSER : ATTACKER;
        _allow(proposer, BOND);
        vm.prank(proposer);
        try rewards.propose(_pending) {} catch {}
    }

    function objectByAttacker() external {
        _objectAs(ATTACKER);
    }

    function objectByWatcher() external {
        if (_isFalse()) _objectAs(WATCHER);
    }

    function draw(uint256 blocks) external {
        mine(blocks % 400);
        try rewards.draw() {} catch {}
        _watch();
    }

    /// @dev Hostile owners vote for what is pending if it is false, else for something false or against it.
    function judgeByAttacker(uint256 kind) external {
        if (rewards.phase() != SwarmRewards.Phase.Court) return;
        Outcome memory o = _isFalse() ? _pending : kind % 2 == 0 ? _refusal(_pending) : _answer;
        if (!_isFalse() && kind % 2 == 1) o.root = keccak256("mine");
        bytes memory votes = _votes(o, honest, COUNT);
        vm.prank(ATTACKER);
        rewards.judge(o, votes);
        _note(o);
    }

    function judgeByHonest(uint256 absent) external {
        if (rewards.phase() != SwarmRewards.Phase.Court) return;
        bytes memory votes = _votes(_answer, 0, honest - absent % 2);
        _adoptFor(_answer);
        vm.prank(JUDGE);
        rewards.judge(_answer, votes);
        _note(_answer);
    }

    function finalise() external {
        if (rewards.phase() != SwarmRewards.Phase.Unopposed) return;
        if (!_isFalse()) _adoptFor(_pending);
        rewards.finalise(_pending);
        _note(_pending);
    }

    function refuse() external {
        try rewards.refuse() {} catch {}
    }

    function fastByAttacker(uint64 back) external {
        (bool over, uint64 epoch) = _epoch(back);
        if (!over) return;
        Outcome memory o = _false(epoch);
        bytes memory votes = _votes(o, honest, COUNT);
        vm.prank(ATTACKER);
        try rewards.finaliseFast(o, votes) {
            _note(o);
        } catch {}
    }

    /// @dev What honest owners can do at any time, without waiting: the pending epochs first, then all that is over.
    function fastByHonest() external {
        if (3 * honest <= 2 * COUNT || falseFinals > 0) return;
        if (_overdue()) return;
        if (rewards.phase() != SwarmRewards.Phase.None) _fast(_answer);
        (bool over, uint64 epoch) = _epoch(0);
        if (over) _fast(_honest(epoch));
    }

    // ---- time and members

    function wait(uint64 duration) external {
        _watch();
        pass(duration % (2 * COURT_WINDOW) + 1);
        mine(duration % 30 + 1);
    }

    /// @dev From any state: time alone, and calls that anybody can make, clear it.
    function clear() external {
        _watch();
        pass(OBJECTION_WINDOW + 1);
        if (rewards.phase() == SwarmRewards.Phase.Unopposed) {
            if (!_isFalse()) _adoptFor(_pending);
            rewards.finalise(_pending);
            _note(_pending);
        }
        pass(2 * COURT_WINDOW + 1);
        if (rewards.phase() == SwarmRewards.Phase.Undecided) rewards.refuse();
        if (rewards.phase() != SwarmRewards.Phase.None) ++stuck;
    }

    function toggleNode(uint256 which) external {
        Member memory m = members[honest + which % (COUNT - honest)];
        if (stake.ownerOf(m.node.addr) == address(0)) _bind(m);
        else _unbind(m);
    }

    // ---- sums

    function booked() external view returns (uint256 sum) {
        sum = Units.unwrap(rewards.funded()) - Units.unwrap(rewards.totalTaken()) + donated;
        (,,, Units bond,) = rewards.pending();
        (, Units counter,,,,,,) = rewards.dispute();
        sum += Units.unwrap(bond) + Units.unwrap(counter);
        address[6] memory receivers = [ATTACKER, WATCHER, PROPOSER, JUDGE, address(this), FIRE];
        for (uint256 i = 0; i < 6; ++i) {
            sum += _owed(receivers[i]);
        }
    }

    function balance() external view returns (uint256) {
        return token.balanceOf(address(rewards));
    }

    function takenByOwners() external view returns (uint256 sum) {
        for (uint256 i = 0; i < COUNT; ++i) {
            sum += Units.unwrap(rewards.taken(members[i].owner));
        }
    }

    function earnedByOwners() external view returns (uint256 sum) {
        for (uint256 i = 0; i < COUNT; ++i) {
            sum += earned[i];
        }
    }

    function contracts() external view returns (SwarmRewards) {
        return rewards;
    }

    // ---- words

    function _isFalse() private view returns (bool) {
        return _hash(_pending) != _hash(_answer);
    }

    /// @dev The watcher objects to what is false, draws, and brings the honest votes, as soon as it can.
    function _watch() private {
        if (!watched) return;
        SwarmRewards.Phase phase = rewards.phase();
        if (phase == SwarmRewards.Phase.Open && _isFalse()) _objectAs(WATCHER);
        if (rewards.phase() == SwarmRewards.Phase.Drawing) {
            mine(SEED_DELAY + 1);
            rewards.draw();
        }
    }

    function _objectAs(address objector) private {
        if (rewards.phase() != SwarmRewards.Phase.Open) return;
        _allow(objector, COUNTER_BOND);
        vm.prank(objector);
        rewards.object(_hash(_pending));
    }

    function _fast(Outcome memory o) private {
        _adoptFor(o);
        try rewards.finaliseFast(o, _votes(o, 0, honest)) {
            _note(o);
        } catch {
            ++stuck;
        }
    }

    /// @dev Whether what is pending is past the time in which votes may still decide it.
    function _overdue() private view returns (bool) {
        SwarmRewards.Phase phase = rewards.phase();
        return phase == SwarmRewards.Phase.Unopposed || phase == SwarmRewards.Phase.Undecided;
    }

    mapping(bytes32 root => uint128[] table) private _tables;

    /// @dev Keeps the honest table behind `o`, to be adopted when it is final.
    function _adoptFor(Outcome memory o) private {
        (Outcome memory right, uint128[] memory table) = _outcome(Epoch.unwrap(o.epoch), _points(COUNT));
        if (right.root == o.root) _tables[o.root] = table;
    }

    /// @dev If `o` has just become final, books it.
    function _note(Outcome memory o) private {
        if (rewards.root() != o.root || Epoch.unwrap(rewards.nextEpoch()) != Epoch.unwrap(o.epoch) + 1) return;
        ++finals;
        if (_tables[o.root].length == 0) ++falseFinals;
        else earned = _tables[o.root];
    }

    /// @dev One of the last two epochs that are over and not final.
    function _epoch(uint64 back) private view returns (bool over, uint64 epoch) {
        uint64 next = Epoch.unwrap(rewards.nextEpoch());
        uint64 current = (time() - GENESIS) / EPOCH;
        if (current <= next) return (false, 0);
        epoch = current - 1;
        if (back % 2 == 1 && epoch > next) --epoch;
        Timestamp last = rewards.proposalDeadline(Epoch.wrap(epoch));
        over = time() <= Timestamp.unwrap(last);
    }
}
