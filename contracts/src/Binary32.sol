// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

/// @notice The 32 bits of an IEEE-754 binary32 number.
type Float32 is uint32;

using Binary32 for Float32 global;

/// @title  IEEE-754 binary32 arithmetic in integers
/// @notice The correctly rounded operations (to nearest, ties to even) with subnormals, signed zeros and infinities; every
///         NaN result is 0x7fc00000. The meaning is that of `reproducible_ops::scalar`, bit for bit.
/// @dev    A magnitude is held as significand * 2^scale, counted in the smallest subnormal, 2^-149: that of a normal number
///         with exponent field e has scale e - 1. A significand may have any number of bits, so products and sums are
///         exact where it matters, and every operation rounds once:
///
///         bits --> significand, scale --> exact result, position of its leading bit --> _round --> bits
///
///         Operations have a straight path for normal operands. A function `_...Rare` adds subnormal ones, and
///         `_...Special` answers where an operand is zero, infinite or NaN. Inside, bits are `uint256` (narrower types
///         cost a mask at each step), and a negative scale wraps around, as all arithmetic here does.
library Binary32 {
    // Bits, not amounts.
    // slither-disable-start too-many-digits

    uint256 private constant SIGN = 0x80000000;
    uint256 private constant MAGNITUDE = 0x7fffffff;
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

    // Eight numbers of 32 bits in a word, and the same bits of each: a 1, an exponent field where it is lowest, the bit above that,
    // a mantissa, the bit above that, all but the sign, and the sign.
    uint256 private constant EIGHT_ONES = 0x0000000100000001000000010000000100000001000000010000000100000001;
    uint256 private constant EIGHT_EXPONENTS = 0x000000ff000000ff000000ff000000ff000000ff000000ff000000ff000000ff;
    uint256 private constant EIGHT_CARRIES = 0x0000010000000100000001000000010000000100000001000000010000000100;
    uint256 private constant EIGHT_MANTISSAS = 0x007fffff007fffff007fffff007fffff007fffff007fffff007fffff007fffff;
    uint256 private constant EIGHT_IMPLICIT = 0x0080000000800000008000000080000000800000008000000080000000800000;
    uint256 private constant EIGHT_MAGNITUDES = 0x7fffffff7fffffff7fffffff7fffffff7fffffff7fffffff7fffffff7fffffff;
    uint256 private constant EIGHT_SIGNS = 0x8000000080000000800000008000000080000000800000008000000080000000;

    // slither-disable-end too-many-digits

    /// Zero bits put below a significand before another one is aligned with it.
    uint256 private constant GUARD = 64;
    /// Added to the gap between two scales, so that it is never negative.
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
    /// @dev    In one piece, because disputes repeat it more than anything else and an inner call costs 50 gas.
    function fma(Float32 a, Float32 b, Float32 c) internal pure returns (Float32) {
        unchecked {
            (uint256 x, uint256 y, uint256 z) = (_bits(a), _bits(b), _bits(c));
            (uint256 mx, uint256 ex) = (_significand(x), _exponent(x));
            (uint256 my, uint256 ey) = (_significand(y), _exponent(y));
            (uint256 mz, uint256 ez) = (_significand(z), _exponent(z));
            if ((NORMAL >> ex) & (NORMAL >> ey) & (NORMAL >> ez) & 1 == 0) {
                if (!(_isNumber(x) && _isNumber(y) && _isNumber(z))) return _wrap(_fmaSpecial(x, y, z));
                (mx, ex) = _unpack(x);
                (my, ey) = _unpack(y);
                (mz, ez) = _unpack(z);
            }

            // The product in place of x. If it is below a quarter of c's last bit, it cannot move c.
            x ^= y;
            mx = (mx * my) << GUARD;
            uint256 scale = ex + ey - 151;
            uint256 gap = ez - 1 + LEVEL - scale;
            if (gap > LEVEL + 50) return c;

            // A c far below the product's last bit is as good as any other there: it breaks ties and does nothing else.
            mz <<= Math.max(gap, LEVEL - 32) - (LEVEL - GUARD);
            uint256 sum = mx + mz;
            if ((x ^ z) & SIGN != 0) {
                sum = mx - mz;
                if (mx < mz) (x, sum) = (z, mz - mx);
            }

            uint256 lowest = Math.max(gap, LEVEL + 24) - (LEVEL - GUARD - 20);
            uint256 window = sum >> lowest;
            if (window == 0) return _wrap(_roundAny(x & SIGN, sum, scale - GUARD));
            return _wrap(_round(x & SIGN, sum, lowest + _byte(LEADING, window), scale - GUARD));
        }
    }

    /// @notice A chain of `a * b + c` over the eight numbers of two words, from the highest on, as far as its steps are ordinary:
    ///         what it came to, and how many bits of the words are left of so many. `c` must be normal.
    /// @dev    The same steps as in `fma`, which has the others, without the choices that they need, and by hand, because a
    ///         dispute's last call is little else: what can be done to eight numbers at once is done so. Ordinary is a step if
    ///         factors and result are normal numbers, the result less than half of the largest, so that it is a normal c again,
    ///         and c's last bit at most 2^32 times below the product's; so is one with a factor of zero, which leaves c as it
    ///         is. Where a word has another factor, no step is made. The leading bit is found among the five from that of the
    ///         smaller summand's place on; a sum that lost them all is not ordinary.
    ///
    ///         Names as above: `scales` is the sum of the factors' exponent fields, which stand below the product's sign in `t`,
    ///         0 for a product of zero, which is so far below any c; bits above a number's own are those of its neighbours, and
    ///         are masked where they matter.
    // A power of two is meant, and fields of bits.
    // slither-disable-next-line incorrect-shift,too-many-digits
    function steps(uint256 x, uint256 y, Float32 c, uint256 bits) internal pure returns (uint256 left, Float32 result) {
        uint256 sum = _bits(c);
        // slither-disable-next-line assembly
        assembly ("memory-safe") {
            left := bits
            let t := and(shr(23, x), EIGHT_EXPONENTS)
            let u := and(shr(23, y), EIGHT_EXPONENTS)
            // An exponent field above 0 carries into bit 8 if 255 is added, and 255 does so if 1 is.
            let normal := and(add(t, EIGHT_EXPONENTS), add(u, EIGHT_EXPONENTS))
            let infinite := or(add(t, EIGHT_ONES), add(u, EIGHT_ONES))
            // A magnitude above 0 carries into the sign's bit if the largest is added.
            let zero :=
                not(
                    and(
                        add(and(x, EIGHT_MAGNITUDES), EIGHT_MAGNITUDES),
                        add(and(y, EIGHT_MAGNITUDES), EIGHT_MAGNITUDES)
                    )
                )
            zero := and(zero, EIGHT_SIGNS)
            if eq(and(and(or(normal, shr(23, zero)), not(infinite)), EIGHT_CARRIES), EIGHT_CARRIES) {
                t := or(and(add(t, u), not(mul(shr(31, zero), 0x1ff))), and(xor(x, y), EIGHT_SIGNS))
                x := or(and(x, EIGHT_MANTISSAS), EIGHT_IMPLICIT)
                y := or(and(y, EIGHT_MANTISSAS), EIGHT_IMPLICIT)
                for {} left {} {
                    let place := sub(left, 32)
                    let signs := shr(place, t)
                    let scales := and(signs, 0x1ff)
                    let gap := sub(add(and(shr(23, sum), 0xff), 662), scales)
                    if gt(sub(gap, 480), 82) {
                        // The product is far below c's last bit, or c far below the product's.
                        if lt(gap, 480) { break }
                        left := place
                        continue
                    }
                    let exact := shl(64, mul(and(shr(place, x), 0xffffff), and(shr(place, y), 0xffffff)))
                    let shifted := shl(sub(gap, 448), or(and(sum, 0x7fffff), 0x800000))
                    switch and(xor(signs, sum), SIGN)
                    case 0 { exact := add(exact, shifted) }
                    default {
                        switch lt(exact, shifted)
                        case 0 {
                            exact := sub(exact, shifted)
                            signs := xor(sum, SIGN)
                        }
                        default {
                            exact := sub(shifted, exact)
                            signs := sum
                        }
                    }
                    let lowest := 108
                    if gt(gap, 536) { lowest := sub(gap, 428) }
                    let window := shr(lowest, exact)
                    let dropped := sub(add(lowest, byte(window, LEADING)), 23)
                    let field := sub(add(dropped, scales), 215)
                    if or(iszero(window), gt(field, 252)) { break }
                    exact := add(exact, add(sub(shl(sub(dropped, 1), 1), 1), and(shr(dropped, exact), 1)))
                    sum := or(and(signs, SIGN), add(shl(23, field), shr(dropped, exact)))
                    left := place
                }
            }
        }
        return (left, _wrap(sum));
    }

    /// @notice Whether a number is neither zero, subnormal, infinite nor NaN.
    function isNormal(Float32 a) internal pure returns (bool) {
        return (NORMAL >> _exponent(_bits(a))) & 1 != 0;
    }

    /// @notice `a / b`; `a / 0` is infinite, `0 / 0` is NaN.
    function div(Float32 a, Float32 b) internal pure returns (Float32) {
        return _wrap(_div(_bits(a), _bits(b)));
    }

    /// @notice The square root; of -0 it is -0, below zero it is NaN.
    function sqrt(Float32 a) internal pure returns (Float32) {
        return _wrap(_sqrt(_bits(a)));
    }

    // ---- sums

    function _add(uint256 x, uint256 y) private pure returns (uint256) {
        unchecked {
            if (_magnitude(x) < _magnitude(y)) (x, y) = (y, x);
            (uint256 mx, uint256 ex) = (_significand(x), _exponent(x));
            (uint256 my, uint256 ey) = (_significand(y), _exponent(y));
            if ((NORMAL >> ex) & (NORMAL >> ey) & 1 == 0) {
                if (!(_isNumber(x) && _isNumber(y))) return _addSpecial(x, y);
                (mx, ex) = _unpack(x);
                (my, ey) = _unpack(y);
            }
            return _addOrdered(x, mx, ex, y, my, ey);
        }
    }

    /// The sum of two numbers, the one of larger magnitude first.
    ///
    /// The smaller significand loses bits only if it lies wholly below the guard bits of the larger, far from any rounding.
    function _addOrdered(uint256 x, uint256 mx, uint256 ex, uint256 y, uint256 my, uint256 ey)
        private
        pure
        returns (uint256)
    {
        unchecked {
            mx <<= GUARD;
            my = (my << GUARD) >> (ex - ey);
            uint256 sum = (x ^ y) & SIGN == 0 ? mx + my : mx - my;
            uint256 window = sum >> (GUARD + 20);
            if (window == 0) return _roundAny(x & SIGN, sum, ex - 1 - GUARD);
            return _round(x & SIGN, sum, GUARD + 20 + _byte(LEADING, window), ex - 1 - GUARD);
        }
    }

    /// The sum when an operand is zero, infinite or NaN; the one of larger magnitude comes first.
    function _addSpecial(uint256 x, uint256 y) private pure returns (uint256) {
        if (_isNan(x)) return CANONICAL_NAN;
        if (_isInfinite(x)) return _isInfinite(y) && x != y ? CANONICAL_NAN : x;
        return _isZero(x) ? x & y : x;
    }

    // ---- products

    function _mul(uint256 x, uint256 y) private pure returns (uint256) {
        unchecked {
            (uint256 ex, uint256 ey) = (_exponent(x), _exponent(y));
            if ((NORMAL >> ex) & (NORMAL >> ey) & 1 == 0) return _mulRare(x, y);
            uint256 product = _significand(x) * _significand(y);
            return _round((x ^ y) & SIGN, product, 46 + (product >> 47), ex + ey - 151);
        }
    }

    /// The product when an operand is not normal.
    function _mulRare(uint256 x, uint256 y) private pure returns (uint256) {
        unchecked {
            if (!(_isNumber(x) && _isNumber(y))) return _mulSpecial(x, y);
            (uint256 mx, uint256 ex) = _unpack(x);
            (uint256 my, uint256 ey) = _unpack(y);
            return _roundAny((x ^ y) & SIGN, mx * my, ex + ey - 151);
        }
    }

    /// The product when an operand is zero, infinite or NaN.
    function _mulSpecial(uint256 x, uint256 y) private pure returns (uint256) {
        if (_isNan(x) || _isNan(y)) return CANONICAL_NAN;
        uint256 sign = (x ^ y) & SIGN;
        bool zero = _isZero(x) || _isZero(y);
        if (_isInfinite(x) || _isInfinite(y)) return zero ? CANONICAL_NAN : sign | INFINITY;
        return sign;
    }

    /// The fused product and sum when an operand is zero, infinite or NaN.
    function _fmaSpecial(uint256 x, uint256 y, uint256 z) private pure returns (uint256) {
        if (_isNan(z)) return CANONICAL_NAN;
        if (_isNumber(x) && _isNumber(y)) return _isZero(z) ? _mul(x, y) : z;
        return _add(_mulSpecial(x, y), z);
    }

    // ---- quotients and roots

    /// A quotient differs from the middle of two floats by a multiple of 2^48 / divisor or not at all, so that the whole
    /// part has enough of it to round.
    function _div(uint256 x, uint256 y) private pure returns (uint256) {
        unchecked {
            (uint256 ex, uint256 ey) = (_exponent(x), _exponent(y));
            if ((NORMAL >> ex) & (NORMAL >> ey) & 1 == 0) return _divRare(x, y);
            uint256 quotient = _quotient(_significand(x) << 96, _significand(y));
            return _round((x ^ y) & SIGN, quotient, 95 + (quotient >> 96), ex - ey + 53);
        }
    }

    /// The quotient when an operand is not normal.
    function _divRare(uint256 x, uint256 y) private pure returns (uint256) {
        unchecked {
            if (!(_isNumber(x) && _isNumber(y))) return _divSpecial(x, y);
            (uint256 mx, uint256 ex) = _unpack(x);
            (uint256 my, uint256 ey) = _unpack(y);
            return _roundAny((x ^ y) & SIGN, _quotient(mx << 96, my), ex - ey + 53);
        }
    }

    /// The quotient when an operand is zero, infinite or NaN.
    function _divSpecial(uint256 x, uint256 y) private pure returns (uint256) {
        if (_isNan(x) || _isNan(y)) return CANONICAL_NAN;
        uint256 sign = (x ^ y) & SIGN;
        if (_isInfinite(x)) return _isInfinite(y) ? CANONICAL_NAN : sign | INFINITY;
        if (_isZero(y)) return _isZero(x) ? CANONICAL_NAN : sign | INFINITY;
        return sign;
    }

    function _sqrt(uint256 x) private pure returns (uint256) {
        unchecked {
            if ((NORMAL >> (x >> 23)) & 1 == 0) return _sqrtRare(x);
            return _root(x);
        }
    }

    /// The root of a positive normal number by Newton's method.
    ///
    /// The relative error falls from 2^-5.9 to 2^-12.8, 2^-26.6 and 2^-54; a root of 24 bits is never nearer than 2^-51
    /// to the middle of two floats and never on it.
    function _root(uint256 x) private pure returns (uint256) {
        unchecked {
            uint256 exponent = _exponent(x);
            uint256 square = _significand(x) << (98 - (exponent & 1));
            uint256 root = _byte(ROOT, (x >> 19) & 31) << 53;
            root = (root + _quotient(square, root)) >> 1;
            root = (root + _quotient(square, root)) >> 1;
            root = (root + _quotient(square, root)) >> 1;
            return (((exponent + 125) >> 1) << 23) + ((root + (1 << 36)) >> 37);
        }
    }

    /// The root when the operand is not a positive normal number.
    function _sqrtRare(uint256 x) private pure returns (uint256) {
        unchecked {
            if (_isZero(x) || x == INFINITY) return x;
            if (x > INFINITY) return CANONICAL_NAN;
            // 2^100 times a subnormal number is normal, and its root is 2^50 times the root.
            return _root(_roundAny(0, x, 100)) - (50 << 23);
        }
    }

    // ---- rounding

    /// The float nearest to significand * 2^scale smallest subnormals; `leading` is the position of the leading bit.
    ///
    /// `field` is the exponent field less one, which the leading bit of a normal result adds; a carry out of the mantissa
    /// makes the next exponent, at the top infinity. The bits below the result's last one, of which there must be at least
    /// one, are dropped: more than half of the last bit rounds up, and so does half if the last bit is odd.
    function _round(uint256 sign, uint256 significand, uint256 leading, uint256 scale) private pure returns (uint256) {
        unchecked {
            uint256 field = leading + scale - 23;
            if (field > 253) {
                if (field >> 255 == 0) return sign | INFINITY;
                field = 0;
            }
            uint256 dropped = field - scale;
            uint256 odd = (significand >> dropped) & 1;
            // forge-lint: disable-next-line(incorrect-shift) a power of two is meant
            uint256 kept = (significand + (1 << (dropped - 1)) - 1 + odd) >> dropped;
            return sign | ((field << 23) + kept);
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

    // ---- bits

    function _bits(Float32 a) private pure returns (uint256) {
        return Float32.unwrap(a);
    }

    function _wrap(uint256 x) private pure returns (Float32) {
        // forge-lint: disable-next-line(unsafe-typecast) results have 32 bits
        return Float32.wrap(uint32(x));
    }

    function _magnitude(uint256 x) private pure returns (uint256) {
        return x & MAGNITUDE;
    }

    function _exponent(uint256 x) private pure returns (uint256) {
        return (x >> 23) & 0xff;
    }

    /// The significand of a normal number.
    function _significand(uint256 x) private pure returns (uint256) {
        return (x & MANTISSA) | IMPLICIT;
    }

    /// Significand and exponent of any number; a subnormal one has the exponent of the smallest normal ones.
    function _unpack(uint256 x) private pure returns (uint256 significand, uint256 exponent) {
        exponent = _exponent(x);
        if (exponent == 0) return (x & MANTISSA, 1);
        return (_significand(x), exponent);
    }

    /// Whether `x` is neither zero nor infinite nor NaN.
    function _isNumber(uint256 x) private pure returns (bool) {
        unchecked {
            return _magnitude(x) - 1 < INFINITY - 1;
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

    /// Byte `index` of a table, counted from the left, without Solidity's check of the index, which is always below 32.
    function _byte(bytes32 table, uint256 index) private pure returns (uint256 value) {
        // slither-disable-next-line assembly
        assembly ("memory-safe") {
            value := byte(index, table)
        }
    }

    /// The quotient without Solidity's check of the divisor, which is never zero here.
    function _quotient(uint256 dividend, uint256 divisor) private pure returns (uint256 quotient) {
        // slither-disable-next-line assembly
        assembly ("memory-safe") {
            quotient := div(dividend, divisor)
        }
    }
}
