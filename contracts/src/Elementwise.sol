// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Float32} from "./Binary32.sol";
import {Functions} from "./Functions.sol";
import {Operators} from "./Operators.sol";
import {Order} from "./Order.sol";
import {DType} from "./TileTree.sol";

/// @title  Elementwise operators
/// @notice What each makes of one element of each operand.
/// @dev    An element is its 32 bits: of a float, of a two's complement number, or of a bool, of which any but zero is true.
library Elementwise {
    // Bits, not amounts.
    // slither-disable-start too-many-digits

    uint256 private constant SIGN = 0x80000000;
    uint256 private constant MAGNITUDE = 0x7fffffff;
    uint256 private constant INFINITY = 0x7f800000;
    uint256 private constant IMPLICIT = 0x00800000;
    uint256 private constant MANTISSA = 0x007fffff;
    uint256 private constant MASK = 0xffffffff;
    uint256 private constant ONE = 0x3f800000;

    // slither-disable-end too-many-digits

    /// @notice An operator of one operand of type `from`; `to` is the type that a cast gives.
    function unary(uint256 tag, DType from, DType to, uint256 x) internal pure returns (uint256) {
        if (tag == Operators.NOT) return x == 0 ? 1 : 0;
        if (tag == Operators.CAST) return cast(from, to, x);
        if (tag == Operators.NEG) return from == DType.F32 ? Order.canon(x ^ SIGN) : negated(x);
        if (tag == Operators.ABS) {
            if (from == DType.F32) return Order.canon(x & MAGNITUDE);
            return x & SIGN == 0 ? x : negated(x);
        }
        if (tag == Operators.SQRT) return _bits(_float(x).sqrt());
        if (tag == Operators.EXP) return _bits(Functions.exp(_float(x)));
        if (tag == Operators.LOG) return _bits(Functions.log(_float(x)));
        assert(tag == Operators.TANH);
        return _bits(Functions.tanh(_float(x)));
    }

    /// @notice An operator of two operands of one type.
    function binary(uint256 tag, DType dtype, uint256 a, uint256 b) internal pure returns (uint256) {
        if (tag == Operators.AND) return _word(a != 0 && b != 0);
        if (tag == Operators.OR) return _word(a != 0 || b != 0);
        return dtype == DType.F32 ? _onFloats(tag, a, b) : _onIntegers(tag, a, b);
    }

    /// @notice `a` where the condition holds, else `b`.
    function select(DType dtype, uint256 condition, uint256 a, uint256 b) internal pure returns (uint256) {
        uint256 chosen = condition != 0 ? a : b;
        return dtype == DType.Bool ? _word(chosen != 0) : chosen;
    }

    /// @notice The conversion of an element to another type.
    function cast(DType from, DType to, uint256 x) internal pure returns (uint256) {
        if (from == DType.Bool) return x == 0 ? 0 : to == DType.F32 ? ONE : 1;
        if (from == to) return x;
        if (to == DType.Bool) return _word(from == DType.F32 ? x & MAGNITUDE != 0 : x != 0);
        return to == DType.F32 ? _toFloat(x) : _toInteger(x);
    }

    /// @notice The negative of a two's complement number; the lowest one stays.
    function negated(uint256 x) internal pure returns (uint256) {
        unchecked {
            return (0 - x) & MASK;
        }
    }

    function _onFloats(uint256 tag, uint256 a, uint256 b) private pure returns (uint256) {
        if (tag == Operators.ADD) return _bits(_float(a).add(_float(b)));
        if (tag == Operators.SUB) return _bits(_float(a).sub(_float(b)));
        if (tag == Operators.MUL) return _bits(_float(a).mul(_float(b)));
        if (tag == Operators.DIV) return _bits(_float(a).div(_float(b)));
        if (tag == Operators.MAX) return Order.max(a, b);
        if (tag == Operators.MIN) return Order.min(a, b);
        if (tag == Operators.EQUAL) return _word(Order.equal(a, b));
        if (tag == Operators.LESS) return _word(Order.less(a, b));
        assert(tag == Operators.LESS_EQUAL);
        return _word(Order.less(a, b) || Order.equal(a, b));
    }

    function _onIntegers(uint256 tag, uint256 a, uint256 b) private pure returns (uint256) {
        unchecked {
            if (tag == Operators.ADD) return (a + b) & MASK;
            if (tag == Operators.SUB) return (a - b) & MASK;
            if (tag == Operators.MUL) return (a * b) & MASK;
            if (tag == Operators.MAX) return Order.signedLess(a, b) ? b : a;
            if (tag == Operators.MIN) return Order.signedLess(a, b) ? a : b;
            if (tag == Operators.EQUAL) return _word(a == b);
            if (tag == Operators.LESS) return _word(Order.signedLess(a, b));
            assert(tag == Operators.LESS_EQUAL);
            return _word(!Order.signedLess(b, a));
        }
    }

    /// The nearest float, ties to even.
    function _toFloat(uint256 x) private pure returns (uint256) {
        if (x & SIGN == 0) return _bits(Functions.fromMagnitude(x));
        return _bits(Functions.fromMagnitude(negated(x))) | SIGN;
    }

    /// The nearest two's complement number, ties to even; the nearest end where it does not fit, and 0 for NaN.
    function _toInteger(uint256 x) private pure returns (uint256) {
        unchecked {
            uint256 magnitude = x & MAGNITUDE;
            if (magnitude > INFINITY) return 0;
            uint256 exponent = magnitude >> 23;
            // From 2^31 on.
            if (exponent > 157) return x & SIGN == 0 ? SIGN - 1 : SIGN;
            // Below one half, and one half itself is a tie.
            if (exponent < 126) return 0;
            uint256 integer = (magnitude & MANTISSA) | IMPLICIT;
            if (exponent > 149) {
                integer <<= exponent - 150;
            } else {
                uint256 dropped = 150 - exponent;
                uint256 odd = (integer >> dropped) & 1;
                // forge-lint: disable-next-line(incorrect-shift) a power of two is meant
                integer = (integer + (1 << (dropped - 1)) - 1 + odd) >> dropped;
            }
            return x & SIGN == 0 ? integer : negated(integer);
        }
    }

    function _float(uint256 x) private pure returns (Float32) {
        // forge-lint: disable-next-line(unsafe-typecast) elements have 32 bits
        return Float32.wrap(uint32(x));
    }

    function _bits(Float32 x) private pure returns (uint256) {
        return Float32.unwrap(x);
    }

    function _word(bool x) private pure returns (uint256) {
        return x ? 1 : 0;
    }
}
