// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

/// @dev Seconds since 1970, as `block.timestamp` counts them. Its own type because rounds, epochs and times would otherwise
///      all be `uint64` and could be exchanged unseen.
type Timestamp is uint64;

/// @dev Number of a round, from 0 at genesis.
type Round is uint64;

/// @dev Number of an epoch, from 0 at genesis; `roundsPerEpoch` rounds each.
type Epoch is uint64;

using {isBefore as <, isAtMost as <=, isAfter as >, later} for Timestamp global;

/// @dev Whether `a` is strictly earlier than `b`.
function isBefore(Timestamp a, Timestamp b) pure returns (bool) {
    return Timestamp.unwrap(a) < Timestamp.unwrap(b);
}

/// @dev Whether `a` is not later than `b`.
function isAtMost(Timestamp a, Timestamp b) pure returns (bool) {
    return Timestamp.unwrap(a) <= Timestamp.unwrap(b);
}

/// @dev Whether `a` is strictly later than `b`.
function isAfter(Timestamp a, Timestamp b) pure returns (bool) {
    return Timestamp.unwrap(a) > Timestamp.unwrap(b);
}

/// @dev The time `delay` seconds after `t`. Reverts where the sum leaves 64 bits.
function later(Timestamp t, uint64 delay) pure returns (Timestamp) {
    return Timestamp.wrap(SafeCast.toUint64(uint256(Timestamp.unwrap(t)) + delay));
}

/// @dev The time of the block.
function blockTime() view returns (Timestamp) {
    return Timestamp.wrap(SafeCast.toUint64(block.timestamp));
}

using {sameEpoch as ==, otherEpoch as !=, earlierEpoch as <, nextEpoch} for Epoch global;

/// @dev Whether `a` and `b` are one epoch.
function sameEpoch(Epoch a, Epoch b) pure returns (bool) {
    return Epoch.unwrap(a) == Epoch.unwrap(b);
}

/// @dev Whether `a` and `b` are two epochs.
function otherEpoch(Epoch a, Epoch b) pure returns (bool) {
    return Epoch.unwrap(a) != Epoch.unwrap(b);
}

/// @dev Whether `a` comes strictly before `b`.
function earlierEpoch(Epoch a, Epoch b) pure returns (bool) {
    return Epoch.unwrap(a) < Epoch.unwrap(b);
}

/// @dev The epoch after `epoch`.
function nextEpoch(Epoch epoch) pure returns (Epoch) {
    return Epoch.wrap(Epoch.unwrap(epoch) + 1);
}

/// @dev What members earn in a round; becomes money at a worth that each outcome fixes.
type Points is uint128;

/// @dev Money in the smallest unit of the token.
type Units is uint128;

using {addUnits as +, subUnits as -, moreUnits as >} for Units global;

/// @dev The sum; reverts where it leaves 128 bits.
function addUnits(Units a, Units b) pure returns (Units) {
    return Units.wrap(Units.unwrap(a) + Units.unwrap(b));
}

/// @dev The difference; reverts where it is negative.
function subUnits(Units a, Units b) pure returns (Units) {
    return Units.wrap(Units.unwrap(a) - Units.unwrap(b));
}

/// @dev Whether `a` is strictly more than `b`.
function moreUnits(Units a, Units b) pure returns (bool) {
    return Units.unwrap(a) > Units.unwrap(b);
}

/// @dev `amount` as `Units`; reverts where it leaves 128 bits.
function toUnits(uint256 amount) pure returns (Units) {
    return Units.wrap(SafeCast.toUint128(amount));
}
