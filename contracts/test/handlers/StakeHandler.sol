// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {SwarmStake} from "../../src/SwarmStake.sol";
import {TestToken} from "../../src/dev/TestToken.sol";
import {Timestamp} from "../../src/types.sol";
import {Test} from "../Test.sol";

/// @title Does random but possible things with a stake and keeps its own books, which the invariants compare.
contract StakeHandler is Test {
    uint256 public constant OWNERS = 4;

    SwarmStake public immutable stake;
    TestToken public immutable token;

    /// @dev Tokens given to the stake without a deposit.
    uint256 public donated;

    /// @dev Withdrawals that came before the delay of the last request, or reached locked money.
    uint256 public earlyExits;

    /// @dev Times that somebody other than the slasher locked, unlocked or slashed.
    uint256 public intrusions;

    mapping(address owner => uint256 time) private _lastRequest;

    constructor(SwarmStake stake_, TestToken token_) {
        (stake, token) = (stake_, token_);
    }

    function ownerAt(uint256 index) public pure returns (address) {
        return [address(0xA0), address(0xA1), address(0xA2), address(0xA3)][index];
    }

    // ---- owners

    function deposit(uint256 payer, uint256 owner, uint256 amount) external {
        (address from, address to) = (_owner(payer), _owner(owner));
        amount = bound(amount, 1, 1e24);
        token.mint(from, amount);
        vm.startPrank(from);
        token.approve(address(stake), amount);
        stake.deposit(to, amount);
        vm.stopPrank();
    }

    function requestExit(uint256 seed, uint256 amount) external {
        address owner = _owner(seed);
        uint256 most = stake.stakeOf(owner);
        if (most == 0) return;
        vm.prank(owner);
        stake.requestExit(bound(amount, 1, most));
        _lastRequest[owner] = time();
    }

    function cancelExit(uint256 seed) external {
        vm.prank(_owner(seed));
        try stake.cancelExit() {} catch {}
    }

    function withdraw(uint256 seed) external {
        address owner = _owner(seed);
        vm.prank(owner);
        try stake.withdraw() {
            bool early = time() < _lastRequest[owner] + stake.exitDelay();
            if (early || stake.balanceOf(owner) < stake.lockedOf(owner)) ++earlyExits;
        } catch {}
    }

    function collect(uint256 seed) external {
        vm.prank(_owner(seed));
        try stake.collect() {} catch {}
    }

    // ---- slasher

    function lock(uint256 seed, uint256 amount) external {
        address owner = _owner(seed);
        uint256 free = stake.balanceOf(owner) - stake.lockedOf(owner);
        if (free == 0 || stake.slasher() == address(0)) return;
        vm.prank(stake.slasher());
        stake.lock(owner, bound(amount, 1, free));
    }

    function unlock(uint256 seed, uint256 amount) external {
        address owner = _owner(seed);
        uint256 locked = stake.lockedOf(owner);
        if (locked == 0) return;
        vm.prank(stake.slasher());
        stake.unlock(owner, bound(amount, 1, locked));
    }

    function slash(uint256 seed, uint256 amount, uint256 receiver) external {
        address owner = _owner(seed);
        uint256 locked = stake.lockedOf(owner);
        if (locked == 0) return;
        address to = receiver % 3 == 0 ? address(0) : _owner(receiver);
        vm.prank(stake.slasher());
        stake.slash(owner, bound(amount, 1, locked), to);
    }

    // ---- others

    function intrude(address caller, uint256 seed, uint256 kind) external {
        if (caller == stake.slasher() || caller == address(0)) return;
        address owner = _owner(seed);
        bytes memory data = abi.encodeCall(stake.lock, (owner, 1));
        if (kind % 3 == 1) data = abi.encodeCall(stake.unlock, (owner, 1));
        if (kind % 3 == 2) data = abi.encodeCall(stake.slash, (owner, 1, caller));
        vm.prank(caller);
        (bool ok,) = address(stake).call(data);
        if (ok) ++intrusions;
    }

    function donate(uint256 amount) external {
        amount = bound(amount, 1, 1e24);
        token.mint(address(stake), amount);
        donated += amount;
    }

    function wait(uint64 duration) external {
        vm.warp(time() + duration % (2 * stake.exitDelay()) + 1);
    }

    // ---- sums

    function sumOfBalances() external view returns (uint256 sum) {
        for (uint256 i = 0; i < OWNERS; ++i) {
            sum += stake.balanceOf(ownerAt(i));
        }
    }

    function sumOfOwed() external view returns (uint256 sum) {
        sum = stake.owedTo(stake.BURN_ADDRESS());
        for (uint256 i = 0; i < OWNERS; ++i) {
            sum += stake.owedTo(ownerAt(i));
        }
    }

    function sumOfWeightsAt(uint64 moment) external view returns (uint256 sum) {
        for (uint256 i = 0; i < OWNERS; ++i) {
            sum += stake.stakeAt(ownerAt(i), Timestamp.wrap(moment));
        }
    }

    function _owner(uint256 seed) private pure returns (address) {
        return ownerAt(seed % OWNERS);
    }
}
