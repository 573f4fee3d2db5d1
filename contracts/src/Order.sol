// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title  The order of numbers
/// @notice Maxima, minima and comparisons of IEEE binary32 and of two's complement numbers, as the engine has them.
/// @dev    Numbers are their 32 bits. In a maximum or minimum -0 is below +0, and NaN beats every number; in a comparison
///         -0 equals +0, and NaN equals nothing.
library Order {
    // Bits, not amounts.
    // slither-disable-start too-many-digits

    uint256 private constant CANONICAL_NAN = 0x7fc00000;
    uint256 private constant INFINITY = 0x7f800000;
    uint256 private constant SIGN = 0x80000000;
    uint256 private constant MAGNITUDE = 0x7fffffff;
    uint256 private constant MASK = 0xffffffff;

    // slither-disable-end too-many-digits

    /// @notice Whether a float is NaN.
    function isNan(uint256 a) internal pure returns (bool) {
        return a & MAGNITUDE > INFINITY;
    }

    /// @notice A float with the one NaN in place of any.
    function canon(uint256 a) internal pure returns (uint256) {
        return isNan(a) ? CANONICAL_NAN : a;
    }

    /// @notice A float's rank: floats are in the order of their ranks, with every NaN first of all.
    function rank(uint256 a) internal pure returns (uint256) {
        if (isNan(a)) return type(uint256).max;
        return a & SIGN == 0 ? a | SIGN : a ^ MASK;
    }

    /// @notice The larger of two floats; NaN if either is.
    function max(uint256 a, uint256 b) internal pure returns (uint256) {
        return canon(rank(a) < rank(b) ? b : a);
    }

    /// @notice The smaller of two floats; NaN if either is.
    function min(uint256 a, uint256 b) internal pure returns (uint256) {
        if (isNan(a) || isNan(b)) return CANONICAL_NAN;
        return rank(a) < rank(b) ? a : b;
    }

    /// @notice Whether two floats are equal.
    function equal(uint256 a, uint256 b) internal pure returns (bool) {
        return !(isNan(a) || isNan(b)) && (a == b || (a | b) & MAGNITUDE == 0);
    }

    /// @notice Whether a float is less than another.
    function less(uint256 a, uint256 b) internal pure returns (bool) {
        return !(isNan(a) || isNan(b)) && rank(a) < rank(b) && !equal(a, b);
    }

    /// @notice Whether a two's complement number is less than another.
    function signedLess(uint256 a, uint256 b) internal pure returns (bool) {
        return a ^ SIGN < b ^ SIGN;
    }
}
