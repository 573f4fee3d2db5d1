// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Binary32, Float32} from "../src/Binary32.sol";
import {Test} from "./Test.sol";

/// @title Known answers and algebra of `Binary32`; `tests/math/binary32.rs` compares it with a machine's arithmetic.
contract Binary32Test is Test {
    uint32 private constant SIGN = 0x80000000;
    uint32 private constant ONE = 0x3f800000;
    uint32 private constant TWO = 0x40000000;
    uint32 private constant THREE = 0x40400000;
    uint32 private constant INFINITY = 0x7f800000;
    uint32 private constant LARGEST = 0x7f7fffff;
    uint32 private constant SMALLEST_NORMAL = 0x00800000;
    uint32 private constant NAN = 0x7fc00000;
    uint32 private constant OTHER_NAN = 0xff800001;

    // ---- known answers

    function test_smallIntegers() public pure {
        _same(_add(ONE, TWO), THREE);
        _same(_sub(ONE, TWO), ONE | SIGN);
        _same(_mul(TWO, TWO), 0x40800000);
        _same(_fma(TWO, THREE, ONE), 0x40e00000);
        _same(_div(THREE, TWO), 0x3fc00000);
        _same(_sqrt(0x40800000), TWO);
    }

    function test_tiesGoToEven() public pure {
        uint32 half = ONE - (24 << 23);
        _same(_add(ONE, half), ONE);
        _same(_add(ONE + 1, half), ONE + 2);
        _same(_add(ONE, half + 1), ONE + 1);
        _same(_fma(half, ONE, ONE + 1), ONE + 2);
        _same(_mul(3, ONE - (1 << 23)), 2);
        _same(_div(1, TWO), 0);
    }

    function test_fmaRoundsOnce() public pure {
        uint32 square = _mul(ONE + 1, ONE + 1);
        _same(_add(square, square ^ SIGN), 0);
        _same(_fma(ONE + 1, ONE + 1, square ^ SIGN), ONE - (46 << 23));
    }

    function test_inexactQuotientsAndRoots() public pure {
        _same(_div(ONE, THREE), 0x3eaaaaab);
        _same(_sqrt(TWO), 0x3fb504f3);
        _same(_sqrt(1), 0x1a3504f3);
        _same(_sqrt(LARGEST), 0x5f7fffff);
    }

    function test_edgesOfTheRange() public pure {
        _same(_add(LARGEST, LARGEST), INFINITY);
        _same(_add(LARGEST, ONE), LARGEST);
        _same(_mul(LARGEST | SIGN, TWO), INFINITY | SIGN);
        _same(_sub(SMALLEST_NORMAL, 1), SMALLEST_NORMAL - 1);
        _same(_div(SMALLEST_NORMAL, TWO), SMALLEST_NORMAL >> 1);
        _same(_mul(SMALLEST_NORMAL, SMALLEST_NORMAL | SIGN), SIGN);
        _same(_div(1, 1), ONE);
    }

    function test_signsOfZero() public pure {
        _same(_add(0, SIGN), 0);
        _same(_add(SIGN, SIGN), SIGN);
        _same(_sub(ONE, ONE), 0);
        _same(_mul(SIGN, ONE), SIGN);
        _same(_fma(SIGN, ONE, SIGN), SIGN);
        _same(_fma(SIGN, ONE, 0), 0);
        _same(_div(0, ONE | SIGN), SIGN);
        _same(_sqrt(SIGN), SIGN);
    }

    function test_infinities() public pure {
        _same(_add(INFINITY, LARGEST | SIGN), INFINITY);
        _same(_div(ONE | SIGN, 0), INFINITY | SIGN);
        _same(_div(ONE, INFINITY), 0);
        _same(_fma(LARGEST, LARGEST, INFINITY | SIGN), INFINITY | SIGN);
        _same(_sqrt(INFINITY), INFINITY);
    }

    function test_invalidOperationsAreNaN() public pure {
        _same(_sub(INFINITY, INFINITY), NAN);
        _same(_mul(0, INFINITY | SIGN), NAN);
        _same(_fma(INFINITY, ONE, INFINITY | SIGN), NAN);
        _same(_fma(0, INFINITY, NAN), NAN);
        _same(_div(0, SIGN), NAN);
        _same(_div(INFINITY, INFINITY), NAN);
        _same(_sqrt(1 | SIGN), NAN);
        _same(_sqrt(INFINITY | SIGN), NAN);
    }

    // ---- algebra

    function testFuzz_nanIsCanonical(uint32 a, uint32 b) public pure {
        _same(_add(OTHER_NAN, a), NAN);
        _same(_mul(a, OTHER_NAN), NAN);
        _same(_div(OTHER_NAN, a), NAN);
        _same(_fma(a, OTHER_NAN, b), NAN);
        _same(_fma(a, b, OTHER_NAN), NAN);
        _same(_sqrt(OTHER_NAN), NAN);
    }

    function testFuzz_sumsAndProductsCommute(uint32 a, uint32 b, uint32 c) public pure {
        _same(_add(a, b), _add(b, a));
        _same(_mul(a, b), _mul(b, a));
        _same(_fma(a, b, c), _fma(b, a, c));
    }

    function testFuzz_oneIsNeutral(uint32 a) public pure {
        _same(_mul(a, ONE), _canonical(a));
        _same(_div(a, ONE), _canonical(a));
    }

    function testFuzz_minusZeroIsNeutral(uint32 a) public pure {
        _same(_add(a, SIGN), _canonical(a));
        _same(_sub(a, 0), _canonical(a));
    }

    /// Eight steps at once, of numbers of any size and of such as follow one another in a product.
    function testFuzz_stepsAreFmas(uint256 x, uint256 y, uint32 c, bool alike, uint8 zeros) public pure {
        if (alike) {
            // Exponents from 112 to 143, the signs and mantissas as they are.
            (x, y) = (_alike(x), _alike(y));
            c = uint32(_alike(c));
        }
        // Some of the factors are zeros, with the signs that they had.
        x &= ~_ofEight(zeros & 0x5a, ~SIGN);
        y &= ~_ofEight(zeros & 0xa5, ~SIGN);
        uint256 exponent = (c >> 23) & 0xff;
        if (exponent == 0 || exponent == 255) return;
        (uint256 left, Float32 found) = Binary32.steps(x, y, Float32.wrap(c), 256);
        uint32 expected = c;
        bool areOrdinary = true;
        for (uint256 place = 256; place > 0;) {
            place -= 32;
            // The lowest word is the operand that is meant.
            // forge-lint: disable-next-line(unsafe-typecast)
            (uint32 a, uint32 b) = (uint32(x >> place), uint32(y >> place));
            if (place >= left) expected = _fma(a, b, expected);
            areOrdinary = areOrdinary && _isOrdinary(a, b);
        }
        _same(Float32.unwrap(found), expected);
        vm.assertTrue(found.isNormal());
        // What is ordinary is done so, or the gas that it saves would be lost unseen.
        if (!areOrdinary) vm.assertEq(left, 256);
    }

    /// Normal factors, or one of zero and one that is finite.
    function _isOrdinary(uint32 a, uint32 b) private pure returns (bool) {
        if (Float32.wrap(a).isNormal() && Float32.wrap(b).isNormal()) return true;
        bool isZero = a & ~SIGN == 0 || b & ~SIGN == 0;
        return isZero && a & INFINITY != INFINITY && b & INFINITY != INFINITY;
    }

    /// A value in those of eight places that are chosen, zeros elsewhere.
    function _ofEight(uint8 chosen, uint32 value) private pure returns (uint256 all) {
        for (uint256 i = 0; i < 8; ++i) {
            all = all << 32 | ((chosen >> i) & 1 == 1 ? value : 0);
        }
    }

    /// Eight numbers with exponents from 112 to 143.
    function _alike(uint256 x) private pure returns (uint256) {
        uint256 sixteens = 0x3800000038000000380000003800000038000000380000003800000038000000;
        uint256 kept = 0x8fffffff8fffffff8fffffff8fffffff8fffffff8fffffff8fffffff8fffffff;
        return (x & kept) + sixteens;
    }

    /// Of ordinary numbers no step is left.
    function test_ordinaryStepsAreAllMade() public pure {
        uint256 ones = 0x3f8000003f8000003f8000003f8000003f8000003f8000003f8000003f800000;
        (uint256 left, Float32 found) = Binary32.steps(ones, ones, Float32.wrap(ONE), 256);
        vm.assertEq(left, 0);
        _same(Float32.unwrap(found), 0x41100000);
        // A product of zero, or far below the sum, leaves it; a sum that vanishes is not ordinary.
        (left, found) = Binary32.steps(uint256(ONE) << 96, ones, Float32.wrap(ONE), 256);
        vm.assertEq(left, 0);
        _same(Float32.unwrap(found), TWO);
        (left, found) = Binary32.steps(ones, ones, Float32.wrap(0x7f000000), 256);
        vm.assertEq(left, 0);
        _same(Float32.unwrap(found), 0x7f000000);
        (left, found) = Binary32.steps(ones, ones, Float32.wrap(ONE | SIGN), 256);
        vm.assertEq(left, 256);
        _same(Float32.unwrap(found), ONE | SIGN);
    }

    function testFuzz_fmaHoldsSumAndProduct(uint32 a, uint32 b) public pure {
        _same(_fma(a, ONE, b), _add(a, b));
        uint32 product = _mul(a, b);
        _same(_fma(a, b, product & SIGN), product);
    }

    function testFuzz_signsAreSymmetric(uint32 a, uint32 b) public pure {
        _same(_mul(a ^ SIGN, b), _negative(_mul(a, b)));
        _same(_div(a, b ^ SIGN), _negative(_div(a, b)));
        uint32 sum = _add(a, b);
        if (sum != 0) _same(_add(a ^ SIGN, b ^ SIGN), _negative(sum));
    }

    function testFuzz_doubleIsTwice(uint32 a) public pure {
        _same(_add(a, a), _mul(a, TWO));
    }

    function testFuzz_differenceOfCloseNumbersIsExact(uint32 a, uint32 b) public pure {
        a = uint32(bound(a, 2, LARGEST));
        b = uint32(bound(b, a < SMALLEST_NORMAL ? 1 : a - SMALLEST_NORMAL, a));
        if (_add(b, b) >= a) _same(_add(_sub(a, b), b), a);
    }

    function testFuzz_rootOfSquareIsExact(uint32 a) public pure {
        a = ONE + (a & 0x7ff000);
        _same(_sqrt(_mul(a, a)), a);
    }

    function testFuzz_rootKeepsOrder(uint32 a, uint32 b) public pure {
        (a, b) = (uint32(bound(a, 0, INFINITY)), uint32(bound(b, 0, INFINITY)));
        vm.assertTrue(a <= b ? _sqrt(a) <= _sqrt(b) : _sqrt(a) >= _sqrt(b));
    }

    // ---- bits

    function _same(uint32 got, uint32 want) private pure {
        vm.assertEq(got, want);
    }

    function _canonical(uint32 a) private pure returns (uint32) {
        return a & ~SIGN > INFINITY ? NAN : a;
    }

    function _negative(uint32 a) private pure returns (uint32) {
        return a == NAN ? NAN : a ^ SIGN;
    }

    function _add(uint32 a, uint32 b) private pure returns (uint32) {
        return Float32.unwrap(Binary32.add(Float32.wrap(a), Float32.wrap(b)));
    }

    function _sub(uint32 a, uint32 b) private pure returns (uint32) {
        return Float32.unwrap(Binary32.sub(Float32.wrap(a), Float32.wrap(b)));
    }

    function _mul(uint32 a, uint32 b) private pure returns (uint32) {
        return Float32.unwrap(Binary32.mul(Float32.wrap(a), Float32.wrap(b)));
    }

    function _fma(uint32 a, uint32 b, uint32 c) private pure returns (uint32) {
        return Float32.unwrap(Binary32.fma(Float32.wrap(a), Float32.wrap(b), Float32.wrap(c)));
    }

    function _div(uint32 a, uint32 b) private pure returns (uint32) {
        return Float32.unwrap(Binary32.div(Float32.wrap(a), Float32.wrap(b)));
    }

    function _sqrt(uint32 a) private pure returns (uint32) {
        return Float32.unwrap(Binary32.sqrt(Float32.wrap(a)));
    }
}
