// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {ExitLocked, ExitNotReady, InsufficientStake, NoExit, ZeroAmount} from "./errors.sol";
import {Timestamp} from "./types.sol";

/// @dev The money of one owner, in token units.
/// @param balance All of it.
/// @param locked The part that the slasher holds fast; may overlap with `exiting`.
/// @param exiting The part that no longer votes and may leave at `readyAt`.
/// @param readyAt When `exiting` may leave; 0 where nothing is exiting.
struct Account {
    uint128 balance;
    uint128 locked;
    uint128 exiting;
    Timestamp readyAt;
}

/// @title The rules by which the money of one owner moves: pure, in memory.
/// @dev INVARIANT: `locked <= balance` and `exiting <= balance` after every function.
library StakeAccount {
    using SafeCast for uint256;
    using StakeAccount for Account;

    /// @dev Adds `amount` to the balance.
    function credit(Account memory self, uint256 amount) internal pure {
        self.balance = SafeCast.toUint128(self.balance + amount);
    }

    /// @dev Adds `amount` to what is exiting; the wait for all of it ends at `readyAt`.
    function beginExit(Account memory self, uint256 amount, Timestamp readyAt) internal pure {
        if (amount == 0) revert ZeroAmount();
        // INVARIANT: no unit leaves twice.
        if (amount > self.weight()) revert InsufficientStake(amount, self.weight());
        self.exiting += amount.toUint128();
        self.readyAt = readyAt;
    }

    /// @dev Takes `amount` back out of what is exiting.
    function reduceExit(Account memory self, uint128 amount) internal pure {
        self.exiting -= amount;
        if (self.exiting == 0) self.readyAt = Timestamp.wrap(0);
    }

    /// @dev Removes what may leave at `time`; what is locked stays exiting.
    /// @return amount What leaves, above 0.
    function finishExit(Account memory self, address owner, Timestamp time) internal pure returns (uint128 amount) {
        if (self.exiting == 0) revert NoExit(owner);
        // INVARIANT: nothing leaves before its delay is over.
        if (time < self.readyAt) revert ExitNotReady(self.readyAt, time);
        // INVARIANT: locked money never leaves.
        amount = Math.min(self.exiting, self.free()).toUint128();
        if (amount == 0) revert ExitLocked(self.exiting, self.locked);
        self.balance -= amount;
        self.reduceExit(amount);
    }

    /// @dev Locks `amount` more.
    function lock(Account memory self, uint256 amount) internal pure {
        if (amount == 0) revert ZeroAmount();
        // INVARIANT: locked <= balance.
        if (amount > self.free()) revert InsufficientStake(amount, self.free());
        self.locked += amount.toUint128();
    }

    /// @dev Frees `amount` of what is locked.
    function unlock(Account memory self, uint256 amount) internal pure {
        if (amount == 0) revert ZeroAmount();
        if (amount > self.locked) revert InsufficientStake(amount, self.locked);
        self.locked -= amount.toUint128();
    }

    /// @dev Takes `amount` of what is locked away. The voting part goes first, then the exiting part.
    function slash(Account memory self, uint256 amount) internal pure {
        self.unlock(amount);
        self.balance -= amount.toUint128();
        // INVARIANT: exiting <= balance.
        if (self.exiting > self.balance) self.reduceExit(self.exiting - self.balance);
    }

    /// @dev What votes.
    function weight(Account memory self) internal pure returns (uint128) {
        return self.balance - self.exiting;
    }

    /// @dev What is not locked.
    function free(Account memory self) internal pure returns (uint128) {
        return self.balance - self.locked;
    }
}
