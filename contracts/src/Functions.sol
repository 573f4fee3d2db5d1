// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Binary32, Float32} from "./Binary32.sol";

/// @title  exp, log and tanh
/// @notice The fixed programs of `reproducible_ops::scalar`, operation by operation: equal bits, not only close ones.
/// @dev    Coefficients are bits, for the bits are the definition. Cases that the programs leave to a selection at their end
///         are answered at the start.
library Functions {
    // Bits, not amounts.
    // slither-disable-start too-many-digits

    uint256 private constant SIGN = 0x80000000;
    uint256 private constant MAGNITUDE = 0x7fffffff;
    uint256 private constant INFINITY = 0x7f800000;
    Float32 private constant NAN = Float32.wrap(0x7fc00000);
    Float32 private constant ZERO = Float32.wrap(0);
    Float32 private constant ONE = Float32.wrap(0x3f800000);
    Float32 private constant TWO = Float32.wrap(0x40000000);
    Float32 private constant TWO_TO_23 = Float32.wrap(0x4b000000);
    Float32 private constant TWO_TO_16 = Float32.wrap(0x47800000);
    /// 1.5 * 2^23: added to a small number it leaves the nearest integer in the low bits.
    Float32 private constant ROUNDER = Float32.wrap(0x4b400000);
    Float32 private constant LOG2_E = Float32.wrap(0x3fb8aa3b);
    Float32 private constant LN2_HIGH = Float32.wrap(0x3f317218);
    Float32 private constant LN2_LOW = Float32.wrap(0xb102e308);
    Float32 private constant MINUS_LN2_HIGH = Float32.wrap(0xbf317218);
    Float32 private constant MINUS_LN2_LOW = Float32.wrap(0x3102e308);
    /// The root of one half.
    int256 private constant ROOT_HALF = 0x3f3504f3;
    /// From 89 on exp is infinite, and below -104 it is zero.
    uint256 private constant EXP_HIGHEST = 0x42b20000;
    uint256 private constant EXP_LOWEST = 0x42d00000;
    /// 0.55, up to where tanh is a polynomial.
    uint256 private constant TANH_MIDDLE = 0x3f0ccccd;

    /// Coefficients for `_polynomial`: of exp of the remainder, whose last two are 1; of (log(1 + f) - f) / f^2, whose last
    /// is -1/2; of (tanh(x) / x - 1) / x^2 in x^2.
    Float32 private constant EXP_FIRST = Float32.wrap(0x3ab52899);
    uint256 private constant EXP_OTHERS = 0x3c091cbd_3d2aac56_3e2aaa49_3efffffe_3f800000_3f800000_00000000_00000000;
    Float32 private constant LOG_FIRST = Float32.wrap(0xbd9c6488);
    uint256 private constant LOG_OTHERS = 0x3e02af4c_be06c125_3e116c99_be2a3945_3e4cd00e_be800113_3eaaaaaa_bf000000;
    Float32 private constant TANH_FIRST = Float32.wrap(0xbbccab2f);
    uint256 private constant TANH_OTHERS = 0x3cac763c_bd5c8f90_3e088678_beaaaaa5_00000000_00000000_00000000_00000000;

    // slither-disable-end too-many-digits

    /// @notice e to the power of `x`.
    function exp(Float32 x) internal pure returns (Float32) {
        uint256 magnitude = Float32.unwrap(x) & MAGNITUDE;
        if (magnitude > INFINITY) return NAN;
        if (Float32.unwrap(x) & SIGN != 0) {
            if (magnitude > EXP_LOWEST) return ZERO;
        } else if (magnitude > EXP_HIGHEST) {
            // forge-lint: disable-next-line(unsafe-typecast) a constant of 32 bits
            x = Float32.wrap(uint32(EXP_HIGHEST));
        }
        Float32 shifted = _linear(LOG2_E, x, ROUNDER);
        Float32 n = shifted.sub(ROUNDER);
        Float32 r = _linear(MINUS_LN2_LOW, n, _linear(MINUS_LN2_HIGH, n, x));
        Float32 p = _polynomial(EXP_FIRST, EXP_OTHERS, 6, r);
        unchecked {
            // -151 <= n <= 129, so that each half is the exponent of a normal number.
            int256 exponent = int256(uint256(Float32.unwrap(shifted))) - int256(uint256(Float32.unwrap(ROUNDER)));
            int256 half = exponent >> 1;
            return p.mul(_powerOfTwo(half)).mul(_powerOfTwo(exponent - half));
        }
    }

    /// @notice The natural logarithm; -infinity at zero, NaN below.
    function log(Float32 x) internal pure returns (Float32) {
        uint256 bits = Float32.unwrap(x);
        uint256 magnitude = bits & MAGNITUDE;
        if (magnitude > INFINITY) return NAN;
        // forge-lint: disable-next-line(unsafe-typecast) constants of 32 bits
        if (magnitude == 0) return Float32.wrap(uint32(SIGN | INFINITY));
        if (bits & SIGN != 0) return NAN;
        if (magnitude == INFINITY) return x;
        (Float32 e, Float32 f) = _splitMantissa(x);
        Float32 h = _polynomial(LOG_FIRST, LOG_OTHERS, 8, f);
        Float32 small = f.mul(f).fma(h, e.mul(LN2_LOW));
        return _linear(LN2_HIGH, e, f.add(small));
    }

    /// @notice The hyperbolic tangent.
    function tanh(Float32 x) internal pure returns (Float32) {
        uint256 bits = Float32.unwrap(x);
        uint256 magnitude = bits & MAGNITUDE;
        if (magnitude > INFINITY) return NAN;
        // forge-lint: disable-next-line(unsafe-typecast) fewer than 32 bits
        Float32 a = Float32.wrap(uint32(magnitude));
        Float32 result;
        if (magnitude < TANH_MIDDLE) {
            Float32 z = a.mul(a);
            result = a.mul(z).fma(_polynomial(TANH_FIRST, TANH_OTHERS, 4, z), a);
        } else {
            result = ONE.sub(TWO.div(exp(a.add(a)).add(ONE)));
        }
        // forge-lint: disable-next-line(unsafe-typecast) 32 bits
        return Float32.wrap(uint32(Float32.unwrap(result) | bits & SIGN));
    }

    /// @notice The float nearest to an integer of at most 32 bits, ties to even.
    /// @dev    Both halves are exact, so that only their sum rounds.
    function fromMagnitude(uint256 integer) internal pure returns (Float32) {
        return _fromHalf(integer >> 16).mul(TWO_TO_16).add(_fromHalf(integer & 0xffff));
    }

    /// An integer below 2^23 as a float: it is the mantissa of 2^23 and itself.
    function _fromHalf(uint256 integer) private pure returns (Float32) {
        // forge-lint: disable-next-line(unsafe-typecast) 23 bits below the exponent
        return Float32.wrap(uint32(Float32.unwrap(TWO_TO_23) | integer)).sub(TWO_TO_23);
    }

    /// 2^n for -126 <= n <= 127.
    function _powerOfTwo(int256 n) private pure returns (Float32) {
        unchecked {
            // forge-lint: disable-next-line(unsafe-typecast) the sum is an exponent field, 1 to 254
            return Float32.wrap(uint32(uint256(n + 127) << 23));
        }
    }

    /// Of a positive number e and f with x = 2^e * (1 + f) and 1 + f between the roots of one half and of two.
    function _splitMantissa(Float32 x) private pure returns (Float32 e, Float32 f) {
        int256 offset = 0;
        // slither-disable-next-line too-many-digits
        if (Float32.unwrap(x) < 0x00800000) (x, offset) = (x.mul(TWO_TO_23), 23);
        unchecked {
            int256 bits = int256(uint256(Float32.unwrap(x)));
            int256 exponent = (bits - ROOT_HALF) >> 23;
            // forge-lint: disable-next-line(unsafe-typecast) a number between one half and two
            f = Float32.wrap(uint32(uint256(bits - (exponent << 23)))).sub(ONE);
            exponent -= offset;
            // forge-lint: disable-next-line(unsafe-typecast) below 2^8
            e = _fromHalf(uint256(exponent < 0 ? -exponent : exponent));
            if (exponent < 0) e = ZERO.sub(e);
        }
    }

    /// `slope * x + offset`, rounded once.
    function _linear(Float32 slope, Float32 x, Float32 offset) private pure returns (Float32) {
        return _polynomial(slope, uint256(Float32.unwrap(offset)) << 224, 1, x);
    }

    /// The polynomial with these coefficients, the highest first: one by itself, the others 32 bits each from the left of a
    /// word.
    ///
    /// One loop, and all constants come here, for the compiler would make a copy of `fma` for each that it is called with.
    function _polynomial(Float32 first, uint256 others, uint256 count, Float32 x) private pure returns (Float32 p) {
        unchecked {
            p = first;
            for (uint256 i = 0; i < count; ++i) {
                // forge-lint: disable-next-line(unsafe-typecast) 32 bits are left
                p = p.fma(x, Float32.wrap(uint32(others >> 224)));
                others <<= 32;
            }
        }
    }
}
