// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Claim, Epoch, Parameters, Scores, Timestamp} from "../../src/types.sol";
import {Swarm} from "../fixtures/Swarm.sol";

/// @title Does random but possible things with a coordinator and keeps its own books, which the invariants compare.
contract CoordinatorHandler is Swarm {
    uint256 private constant MEMBERS = 4;

    /// @dev Tokens given to the coordinator without funding it.
    uint256 public donated;

    /// @dev Calls that paid anything but each leaf of a bound node that had not been paid, once.
    uint256 public wrongPayments;

    /// @dev Epochs with accepted scores, in the order of acceptance.
    uint64[] public accepted;

    /// @dev What was signed for an epoch, and what it has paid, in token units.
    mapping(uint64 epoch => uint256 amount) public promised;
    mapping(uint64 epoch => uint256 amount) public paid;

    mapping(uint64 epoch => uint128[] points) private _points_;
    mapping(uint64 epoch => mapping(uint256 index => bool)) private _wasPaid;

    constructor() {
        _start();
        _joinMany(MEMBERS, 100);
        vm.warp(GENESIS);
    }

    /// @dev A short window, so that epochs end within a run.
    function _parameters() internal view override returns (Parameters memory p) {
        p = super._parameters();
        p.claimWindow = EPOCH;
    }

    // ---- money in

    function fund(uint256 amount) external {
        _fund(bound(amount, 1, 2 * CAP));
    }

    function donate(uint256 amount) external {
        amount = bound(amount, 1, CAP);
        token.mint(address(coordinator), amount);
        donated += amount;
    }

    // ---- scores

    /// @dev Signs fewer points than the leaves hold where `short` is odd, as a dishonest quorum might.
    function submit(uint64 age, uint128[MEMBERS] memory shares, uint256 short) external {
        uint64 current = (time() - GENESIS) / EPOCH;
        if (current == 0) return;
        uint64 epoch = current - 1 - age % (current < 3 ? current : 3);
        uint128[] memory points = _pointsOf(shares);
        Scores memory s = _scores(epoch, points);
        if (short % 2 == 1) s.points /= 2;
        try coordinator.submitScores(s, _votesOfBound(s)) {
            _remember(epoch, s, points);
        } catch {}
    }

    /// @dev Two leaves at once: the same, paid already, or of nodes that are bound to nobody, as it happens.
    function claim(uint256 which, uint256 first, uint256 second) external {
        if (accepted.length == 0) return;
        uint64 epoch = accepted[which % accepted.length];
        (first, second) = (first % MEMBERS, second % MEMBERS);
        Claim[] memory claims = new Claim[](2);
        (claims[0], claims[1]) = (_claim(epoch, _points_[epoch], first), _claim(epoch, _points_[epoch], second));
        uint256 before = token.balanceOf(address(coordinator));
        try coordinator.claim(claims) {
            uint256 amount = before - token.balanceOf(address(coordinator));
            if (amount != _settle(epoch, first) + _settle(epoch, second)) ++wrongPayments;
            paid[epoch] += amount;
        } catch {}
    }

    function reclaim(uint64 which) external {
        if (accepted.length == 0) return;
        try coordinator.reclaim(Epoch.wrap(accepted[which % accepted.length])) {} catch {}
    }

    // ---- owners

    function toggleBinding(uint256 which) external {
        Member memory m = members[which % MEMBERS];
        if (coordinator.ownerOf(m.node.addr) == address(0)) return _bind(m);
        vm.prank(m.owner);
        coordinator.unbind(m.node.addr);
    }

    function changeStake(uint256 which, uint256 amount) external {
        address owner = members[which % MEMBERS].owner;
        if (amount % 2 == 0) return _deposit(owner, bound(amount, 1, 1e24));
        uint256 most = stake.stakeOf(owner);
        if (most == 0) return;
        vm.prank(owner);
        stake.requestExit(bound(amount, 1, most));
    }

    function wait(uint64 duration) external {
        pass(duration % EPOCH + 1);
    }

    // ---- sums

    function acceptedCount() external view returns (uint256) {
        return accepted.length;
    }

    function balance() external view returns (uint256) {
        return token.balanceOf(address(coordinator));
    }

    function booked() external view returns (uint256 sum) {
        sum = coordinator.pool() + donated;
        for (uint256 i = 0; i < accepted.length; ++i) {
            (,,, uint256 remaining) = coordinator.epochs(Epoch.wrap(accepted[i]));
            sum += remaining;
        }
    }

    /// @dev The votes that all members together could cast on `epoch`, and the total they are measured by.
    function votesOn(uint64 epoch) external view returns (uint256 votes, uint256 total) {
        Timestamp start = coordinator.epochStart(Epoch.wrap(epoch));
        for (uint256 i = 0; i < MEMBERS; ++i) {
            votes += stake.stakeAt(members[i].owner, start);
        }
        total = stake.totalStakeAt(start);
    }

    /// @dev What a claim of the leaf pays; books it as paid.
    function _settle(uint64 epoch, uint256 index) private returns (uint256) {
        bool bound_ = coordinator.ownerOf(members[index].node.addr) != address(0);
        if (_wasPaid[epoch][index] || !bound_) return 0;
        _wasPaid[epoch][index] = true;
        return uint256(_points_[epoch][index]) * RATE;
    }

    function _votesOfBound(Scores memory s) private view returns (bytes[] memory votes) {
        uint256 count = 0;
        bytes[] memory all = _votes(s, MEMBERS);
        for (uint256 i = 0; i < MEMBERS; ++i) {
            if (coordinator.ownerOf(members[i].node.addr) != address(0)) all[count++] = all[i];
        }
        votes = new bytes[](count);
        for (uint256 i = 0; i < count; ++i) {
            votes[i] = all[i];
        }
    }

    function _pointsOf(uint128[MEMBERS] memory shares) private pure returns (uint128[] memory points) {
        points = new uint128[](MEMBERS);
        for (uint256 i = 0; i < MEMBERS; ++i) {
            points[i] = shares[i] % 300;
        }
    }

    function _remember(uint64 epoch, Scores memory s, uint128[] memory points) private {
        accepted.push(epoch);
        promised[epoch] = uint256(s.points) * RATE;
        _points_[epoch] = points;
    }
}
