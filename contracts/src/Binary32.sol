// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

/// @notice The 32 bits of an IEEE-754 binary32 number.
type Float32 is uint32;

using Binary32 for Float32 global;

/// @title  IEEE-754 binary32 arithmetic in integers
/// @notice The correctly rounded operations (to nearest, ties to even) with subnormals, signed zeros and infinities; every
///         NaN result is 0x7fc00000. The meaning is that of `reproducible_ops::scalar`, bit for bit.
/// @dev    A finite magnitude is held as significand * 2^scale, counted in the smallest subnormal, 2^-149. A significand
///         may have any number of bits, so products, aligned sums and long quotients are exact where it matters, and each
///         operation rounds once:
///
///         bits --> significand, scale --> exact result and the position of its leading bit --> _round --> bits
///
///         Each operation has a straight path for normal operands and leaves the others to a function `_...Special`.
///         Inside, bits are `uint256`: narrower types would cost a mask at every step.
library Binary32 {
    uint256 private constant SIGN = 0x80000000;
    uint256 private constant INFINITY = 0x7f800000;
    uint256 private constant IMPLICIT = 0x00800000;
    uint256 private constant MANTISSA = 0x007fffff;
    uint256 private constant CANONICAL_NAN = 0x7fc00000;

    /// Bit e is set if e is the exponent field of normal numbers, 1 to 254.
    uint256 private constant NORMAL = (1 << 255) - 2;
    /// Byte i is the position of the leading bit of i.
    bytes32 private constant LEADING = 0x0000010102020202030303030303030304040404040404040404040404040404;
    /// Byte i is 128 times the square root of the numbers in [1, 4) whose last exponent bit and first four mantissa bits
    /// are i, with a relative error below 2^-5.9.
    bytes32 private constant ROOT = 0xb8bdc3c8cdd2d7dbe0e4e9edf2f6fafe82868a8d9194989b9ea2a5a8abaeb1b4;

    /// Zero bits put below a significand before another one is aligned with it.
    uint256 private constant GUARD = 64;
    /// The `gap` of a product and an addend of equal scale; never so small that a gap falls below zero.
    uint256 private constant LEVEL = 512;

    /// @notice `a + b`.
    function add(Float32 a, Float32 b) internal pure returns (Float32) {
        return _wrap(_add(_bits(a), _bits(b)));
    }

    /// @notice `a - b`.
    function sub(Float32 a, Float32 b) internal pure returns (Float32) {
        return _wrap(_add(_bits(a), _bits(b) ^ SIGN));
    }

    /// @notice `a * b`.
    function mul(Float32 a, Float32 b) internal pure returns (Float32) {
        return _wrap(_mul(_bits(a), _bits(b)));
    }

    /// @notice `a * b + c`, rounded once.
    function fma(Float32 a, Float32 b, Float32 c) internal pure returns (Float32) {
        return _wrap(_fma(_bits(a), _bits(b), _bits(c)));
    }

    /// @notice `a / b`; `a / 0` is infinite, `0 / 0` is NaN.
    function div(Float32 a, Float32 b) internal pure returns (Float32) {
        return _wrap(_div(_bits(a), _bits(b)));
    }

    /// @notice The square root; of -0 it is -0, below zero it is NaN.
    function sqrt(Float32 a) internal pure returns (Float32) {
        return _wrap(_sqrt(_bits(a)));
    }

    // ------------------------------------------------------------------ sums

    function _add(uint256 x, uint256 y) private pure returns (uint256) {
        unchecked {
            if (_magnitude(x) < _magnitude(y)) (x, y) = (y, x);
            (uint256 ex, uint256 ey) = (_exponent(x), _exponent(y));
            if ((NORMAL >> ex) & (NORMAL >> ey) & 1 == 0) return _addSpecial(x, y);
            return _addOrdered(x, _significand(x), ex - 1, y, _significand(y), ey - 1);
        }
    }

    /// The sum of two finite numbers, the one of larger magnitude first.
    ///
    /// The smaller significand loses bits only if it lies wholly below the guard bits of the larger, far from any rounding.
    function _addOrdered(uint256 x, uint256 mx, uint256 scale, uint256 y, uint256 my, uint256 scaleY)
        private
        pure
        returns (uint256)
    {
        unchecked {
            mx <<= GUARD;
            my = (my << GUARD) >> (scale - scaleY);
            uint256 sum = (x ^ y) & SIGN == 0 ? mx + my : mx - my;
            return _roundWithin(x & SIGN, sum, GUARD + 20, scale - GUARD);
        }
    }

    /// The sum when an operand is not normal; the one of larger magnitude comes first.
    function _addSpecial(uint256 x, uint256 y) private pure returns (uint256) {
        unchecked {
            if (_isNan(x)) return CANONICAL_NAN;
            if (_isInfinite(x)) return _isInfinite(y) && x != y ? CANONICAL_NAN : x;
            if (_isZero(y)) return _isZero(x) ? x & y : x;
            (uint256 mx, uint256 scaleX) = _unpack(x);
            (uint256 my, uint256 scaleY) = _unpack(y);
            return _addOrdered(x, mx, scaleX, y, my, scaleY);
        }
    }

    // -------------------------------------------------------------- products

    function _mul(uint256 x, uint256 y) private pure returns (uint256) {
        unchecked {
            (uint256 ex, uint256 ey) = (_exponent(x), _exponent(y));
            if ((NORMAL >> ex) & (NORMAL >> ey) & 1 == 0) return _mulSpecial(x, y);
            uint256 product = _significand(x) * _significand(y);
            return _round((x ^ y) & SIGN, product, 46 + (product >> 47), ex + ey - 151);
        }
    }

    /// The product when an operand is not normal.
    function _mulSpecial(uint256 x, uint256 y) private pure returns (uint256) {
        unchecked {
            if (_isNan(x) || _isNan(y)) return CANONICAL_NAN;
            uint256 sign = (x ^ y) & SIGN;
            bool zero = _isZero(x) || _isZero(y);
            if (_isInfinite(x) || _isInfinite(y)) return zero ? CANONICAL_NAN : sign | INFINITY;
            if (zero) return sign;
            (uint256 product, uint256 scale) = _product(x, y);
            return _roundAny(sign, product, scale);
        }
    }

    /// The exact product of two finite numbers.
    function _product(uint256 x, uint256 y) private pure returns (uint256, uint256) {
        unchecked {
            (uint256 mx, uint256 scaleX) = _unpack(x);
            (uint256 my, uint256 scaleY) = _unpack(y);
            return (mx * my, scaleX + scaleY - 149);
        }
    }

    function _fma(uint256 x, uint256 y, uint256 z) private pure returns (uint256) {
        unchecked {
            (uint256 ex, uint256 ey, uint256 ez) = (_exponent(x), _exponent(y), _exponent(z));
            if ((NORMAL >> ex) & (NORMAL >> ey) & (NORMAL >> ez) & 1 == 0) return _fmaSpecial(x, y, z);
            uint256 product = _significand(x) * _significand(y);
            return _addProduct(x ^ y, product, ex + ey - 151, z, _significand(z), ez - 1);
        }
    }

    /// The sum of an exact product (only the sign of `x` counts) and a finite `z`, neither of them zero.
    ///
    /// A product below a quarter of z's last bit cannot move it. A z far below the product's last bit is as good as any
    /// other there: it breaks ties and nothing else, so its distance is bounded. In between the sum is exact.
    function _addProduct(uint256 x, uint256 product, uint256 scale, uint256 z, uint256 mz, uint256 scaleZ)
        private
        pure
        returns (uint256)
    {
        unchecked {
            uint256 gap = scaleZ + LEVEL - scale;
            if (gap > LEVEL + 50) return z;
            product <<= GUARD;
            mz <<= Math.max(gap, LEVEL - 32) - (LEVEL - GUARD);
            uint256 sum = product + mz;
            if ((x ^ z) & SIGN != 0) {
                sum = product - mz;
                if (product < mz) (x, sum) = (z, mz - product);
            }
            uint256 lowest = Math.max(gap, LEVEL + 24) - (LEVEL - GUARD - 20);
            return _roundWithin(x & SIGN, sum, lowest, scale - GUARD);
        }
    }

    /// The fused product and sum when an operand is not normal.
    function _fmaSpecial(uint256 x, uint256 y, uint256 z) private pure returns (uint256) {
        unchecked {
            if (_isNan(x) || _isNan(y) || _isNan(z)) return CANONICAL_NAN;
            if (_isInfinite(x) || _isInfinite(y) || _isZero(x) || _isZero(y)) {
                uint256 exact = _mulSpecial(x, y);
                return _add(exact, z);
            }
            if (_isInfinite(z)) return z;
            (uint256 product, uint256 scale) = _product(x, y);
            if (_isZero(z)) return _roundAny((x ^ y) & SIGN, product, scale);
            (uint256 mz, uint256 scaleZ) = _unpack(z);
            return _addProduct(x ^ y, product, scale, z, mz, scaleZ);
        }
    }

    // ------------------------------------------------------ quotients, roots

    /// A quotient differs from the middle of two floats by a multiple of 2^48 / divisor or not at all, so that the whole
    /// part has enough of it to round.
    function _div(uint256 x, uint256 y) private pure returns (uint256) {
        unchecked {
            (uint256 ex, uint256 ey) = (_exponent(x), _exponent(y));
            if ((NORMAL >> ex) & (NORMAL >> ey) & 1 == 0) return _divSpecial(x, y);
            uint256 quotient = _quotient(_significand(x) << 96, _significand(y));
            return _round((x ^ y) & SIGN, quotient, 95 + (quotient >> 96), ex - ey + 53);
        }
    }

    /// The quotient when an operand is not normal.
    function _divSpecial(uint256 x, uint256 y) private pure returns (uint256) {
        unchecked {
            if (_isNan(x) || _isNan(y)) return CANONICAL_NAN;
            uint256 sign = (x ^ y) & SIGN;
            if (_isInfinite(x)) return _isInfinite(y) ? CANONICAL_NAN : sign | INFINITY;
            if (_isZero(x)) return _isZero(y) ? CANONICAL_NAN : sign;
            if (_isInfinite(y)) return sign;
            if (_isZero(y)) return sign | INFINITY;
            (uint256 mx, uint256 scaleX) = _unpack(x);
            (uint256 my, uint256 scaleY) = _unpack(y);
            return _roundAny(sign, _quotient(mx << 96, my), scaleX - scaleY + 53);
        }
    }

    function _sqrt(uint256 x) private pure returns (uint256) {
        unchecked {
            if ((NORMAL >> (x >> 23)) & 1 == 0) return _sqrtSpecial(x);
            return _root(x, _significand(x), _exponent(x));
        }
    }

    /// The root of a normal number by Newton's method; `x` holds at least the last exponent bit and the mantissa.
    ///
    /// The relative error falls from 2^-5.9 to 2^-12.8, 2^-26.6 and 2^-54; a root of 24 bits is never nearer than 2^-51
    /// to the middle of two floats and never on it.
    function _root(uint256 x, uint256 m, uint256 exponent) private pure returns (uint256) {
        unchecked {
            m <<= 98 - (exponent & 1);
            uint256 root = _byte(ROOT, (x >> 19) & 31) << 53;
            root = (root + _quotient(m, root)) >> 1;
            root = (root + _quotient(m, root)) >> 1;
            root = (root + _quotient(m, root)) >> 1;
            return (((exponent + 125) >> 1) << 23) + ((root + (1 << 36)) >> 37);
        }
    }

    /// The root when the operand is not a positive normal number.
    function _sqrtSpecial(uint256 x) private pure returns (uint256) {
        unchecked {
            if (_isZero(x) || x == INFINITY) return x;
            if (x > INFINITY) return CANONICAL_NAN;
            // 2^100 times a subnormal number is normal, and its root is 2^50 times the root.
            uint256 scaled = _roundAny(0, x, 100);
            return _root(scaled, _significand(scaled), _exponent(scaled)) - (50 << 23);
        }
    }

    // -------------------------------------------------------------- rounding

    /// The float nearest to significand * 2^scale smallest subnormals; `leading` is the position of the leading bit.
    ///
    /// `field` becomes the exponent field less one: the leading bit of a normal result adds the one, and a carry out of
    /// the mantissa is the next exponent, at the top infinity. Bits below the last one of the result are dropped; there
    /// must be at least one.
    function _round(uint256 sign, uint256 significand, uint256 leading, uint256 scale) private pure returns (uint256) {
        unchecked {
            uint256 field = leading + scale - 23;
            if (field > 253) {
                if (field >> 255 == 0) return sign | INFINITY;
                field = 0;
            }
            uint256 dropped = field - scale;
            uint256 odd = (significand >> dropped) & 1;
            uint256 kept = (significand + (1 << (dropped - 1)) - 1 + odd) >> dropped;
            return sign | ((field << 23) + kept);
        }
    }

    /// Rounds a significand of which it is known that it is less than 2^(lowest + 5), and likely that it is at least
    /// 2^lowest: its leading bit is then found by one look into a table.
    function _roundWithin(uint256 sign, uint256 significand, uint256 lowest, uint256 scale)
        private
        pure
        returns (uint256)
    {
        unchecked {
            uint256 window = significand >> lowest;
            if (window == 0) return _roundAny(sign, significand, scale);
            return _round(sign, significand, lowest + _byte(LEADING, window), scale);
        }
    }

    /// Rounds any significand below 2^224; zero, the difference of equal numbers, is +0.
    function _roundAny(uint256 sign, uint256 significand, uint256 scale) private pure returns (uint256) {
        unchecked {
            if (significand == 0) return 0;
            significand <<= 32;
            return _round(sign, significand, Math.log2(significand), scale - 32);
        }
    }

    // ------------------------------------------------------------------ bits

    function _bits(Float32 a) private pure returns (uint256) {
        return Float32.unwrap(a);
    }

    function _wrap(uint256 x) private pure returns (Float32) {
        // forge-lint: disable-next-line(unsafe-typecast) results have 32 bits
        return Float32.wrap(uint32(x));
    }

    function _magnitude(uint256 x) private pure returns (uint256) {
        return x & ~SIGN;
    }

    function _exponent(uint256 x) private pure returns (uint256) {
        return (x >> 23) & 0xff;
    }

    /// The significand of a normal number; its scale is the exponent field less one.
    function _significand(uint256 x) private pure returns (uint256) {
        return (x & MANTISSA) | IMPLICIT;
    }

    /// Significand and scale of any finite number.
    function _unpack(uint256 x) private pure returns (uint256 significand, uint256 scale) {
        unchecked {
            uint256 exponent = _exponent(x);
            if (exponent == 0) return (x & MANTISSA, 0);
            return (_significand(x), exponent - 1);
        }
    }

    function _isNan(uint256 x) private pure returns (bool) {
        return _magnitude(x) > INFINITY;
    }

    function _isInfinite(uint256 x) private pure returns (bool) {
        return _magnitude(x) == INFINITY;
    }

    function _isZero(uint256 x) private pure returns (bool) {
        return _magnitude(x) == 0;
    }

    /// Byte `index` of a table, counted from the left.
    function _byte(bytes32 table, uint256 index) private pure returns (uint256 value) {
        assembly ("memory-safe") {
            value := byte(index, table)
        }
    }

    /// The quotient without Solidity's check of the divisor, which is never zero here.
    function _quotient(uint256 dividend, uint256 divisor) private pure returns (uint256 quotient) {
        assembly ("memory-safe") {
            quotient := div(dividend, divisor)
        }
    }
}
