// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {TypesDoNotFit, WrongOperandCount} from "../src/Inference.sol";
import {Operators} from "../src/Operators.sol";
import {DescriptorTooLong, UnknownOperator} from "../src/Programs.sol";
import {
    NothingToJoin,
    OpeningMissing,
    OpeningsLeftOver,
    Operand,
    PartOutOfRange,
    Referee,
    WrongNumberCount
} from "../src/Referee.sol";
import {DType, ElementOutOfRange, Header, Opening, RootMismatch, TileTree} from "../src/TileTree.sol";
import {Test} from "./Test.sol";
import {Tensors} from "./fixtures/Tensors.sol";

/// @title One readable example of each operator, and of each refusal; `tests/referee` compares thousands with the engine.
contract RefereeTest is Test {
    using Tensors for Tensors.Tensor;

    uint32 private constant ONE = 0x3f800000;
    uint32 private constant TWO = 0x40000000;
    uint32 private constant THREE = 0x40400000;
    uint32 private constant SIX = 0x40c00000;
    uint32 private constant HALF = 0x3f000000;
    uint32 private constant INFINITY = 0x7f800000;
    uint32 private constant NAN = 0x7fc00000;
    uint32 private constant SIGN = 0x80000000;
    uint32 private constant MINUS_ONE = type(uint32).max;

    Referee private referee = new Referee();

    // ---- elementwise

    function test_unaryOnFloats() public view {
        _unary(Operators.NEG, DType.F32, DType.F32, ONE, ONE | SIGN);
        _unary(Operators.NEG, DType.F32, DType.F32, NAN, NAN);
        _unary(Operators.ABS, DType.F32, DType.F32, ONE | SIGN, ONE);
        _unary(Operators.SQRT, DType.F32, DType.F32, 0x40800000, TWO);
        _unary(Operators.EXP, DType.F32, DType.F32, ONE, 0x402df854);
        _unary(Operators.EXP, DType.F32, DType.F32, NAN, NAN);
        _unary(Operators.EXP, DType.F32, DType.F32, INFINITY, INFINITY);
        _unary(Operators.EXP, DType.F32, DType.F32, INFINITY | SIGN, 0);
        _unary(Operators.LOG, DType.F32, DType.F32, ONE, 0);
        _unary(Operators.LOG, DType.F32, DType.F32, HALF, 0xbf317218);
        _unary(Operators.LOG, DType.F32, DType.F32, 1, 0xc2ce8ed0);
        _unary(Operators.LOG, DType.F32, DType.F32, SIGN, INFINITY | SIGN);
        _unary(Operators.LOG, DType.F32, DType.F32, ONE | SIGN, NAN);
        _unary(Operators.LOG, DType.F32, DType.F32, NAN, NAN);
        _unary(Operators.LOG, DType.F32, DType.F32, INFINITY, INFINITY);
        _unary(Operators.TANH, DType.F32, DType.F32, SIGN, SIGN);
        _unary(Operators.TANH, DType.F32, DType.F32, INFINITY | SIGN, ONE | SIGN);
        _unary(Operators.TANH, DType.F32, DType.F32, NAN, NAN);
    }

    function test_unaryOnOthers() public view {
        _unary(Operators.NEG, DType.I32, DType.I32, 7, MINUS_ONE - 6);
        _unary(Operators.ABS, DType.I32, DType.I32, MINUS_ONE, 1);
        _unary(Operators.ABS, DType.I32, DType.I32, SIGN, SIGN);
        _unary(Operators.NOT, DType.Bool, DType.Bool, 1, 0);
    }

    function test_casts() public view {
        _unary(Operators.CAST, DType.F32, DType.I32, 0xc0200000, MINUS_ONE - 1); // -2.5
        _unary(Operators.CAST, DType.F32, DType.I32, HALF - 1, 0);
        _unary(Operators.CAST, DType.F32, DType.I32, 0x3e800000, 0);
        _unary(Operators.CAST, DType.F32, DType.I32, NAN, 0);
        _unary(Operators.CAST, DType.F32, DType.I32, INFINITY, SIGN - 1);
        _unary(Operators.CAST, DType.F32, DType.I32, INFINITY | SIGN, SIGN);
        _unary(Operators.CAST, DType.F32, DType.I32, 0x4b800001, 16_777_218);
        _unary(Operators.CAST, DType.I32, DType.F32, 16_777_217, 0x4b800000);
        _unary(Operators.CAST, DType.I32, DType.F32, MINUS_ONE, ONE | SIGN);
        _unary(Operators.CAST, DType.F32, DType.Bool, SIGN, 0);
        _unary(Operators.CAST, DType.I32, DType.Bool, 5, 1);
        _unary(Operators.CAST, DType.Bool, DType.F32, 1, ONE);
        _unary(Operators.CAST, DType.Bool, DType.I32, 0, 0);
        _unary(Operators.CAST, DType.I32, DType.I32, 9, 9);
    }

    function test_binaryOnFloats() public view {
        _binary(Operators.ADD, DType.F32, ONE, TWO, THREE);
        _binary(Operators.SUB, DType.F32, THREE, TWO, ONE);
        _binary(Operators.MUL, DType.F32, THREE, TWO, SIX);
        _binary(Operators.DIV, DType.F32, SIX, TWO, THREE);
        _binary(Operators.MAX, DType.F32, SIGN, 0, 0);
        _binary(Operators.MAX, DType.F32, NAN, INFINITY, NAN);
        _binary(Operators.MIN, DType.F32, SIGN, 0, SIGN);
        _binary(Operators.MIN, DType.F32, INFINITY, NAN, NAN);
        _binary(Operators.EQUAL, DType.F32, SIGN, 0, 1);
        _binary(Operators.EQUAL, DType.F32, NAN, NAN, 0);
        _binary(Operators.LESS, DType.F32, SIGN, 0, 0);
        _binary(Operators.LESS, DType.F32, ONE | SIGN, ONE, 1);
        _binary(Operators.LESS_EQUAL, DType.F32, SIGN, 0, 1);
        _binary(Operators.LESS_EQUAL, DType.F32, NAN, ONE, 0);
    }

    function test_binaryOnOthers() public view {
        _binary(Operators.ADD, DType.I32, MINUS_ONE, 3, 2);
        _binary(Operators.SUB, DType.I32, 1, 3, MINUS_ONE - 1);
        _binary(Operators.MUL, DType.I32, 65_537, 65_537, 131_073);
        _binary(Operators.MAX, DType.I32, MINUS_ONE, 1, 1);
        _binary(Operators.MIN, DType.I32, MINUS_ONE, 1, MINUS_ONE);
        _binary(Operators.EQUAL, DType.I32, 4, 4, 1);
        _binary(Operators.LESS, DType.I32, SIGN, 0, 1);
        _binary(Operators.LESS_EQUAL, DType.I32, 3, 3, 1);
        _binary(Operators.AND, DType.Bool, 1, 0, 0);
        _binary(Operators.OR, DType.Bool, 1, 0, 1);
    }

    function test_select() public view {
        Tensors.Tensor[] memory operands = _three(_row(DType.Bool, 1), _row(DType.F32, SIGN), _row(DType.F32, ONE));
        _is(_node(Operators.SELECT, "", 3, DType.F32, _dims(1)), operands, _places(0, 0, 0), 0, 0, SIGN);
        operands = _three(_row(DType.Bool, 0), _row(DType.Bool, 0), _row(DType.Bool, 1));
        _is(_node(Operators.SELECT, "", 3, DType.Bool, _dims(1)), operands, _places(0, 0, 0), 0, 0, 1);
    }

    // ---- without operands

    function test_constants() public view {
        Tensors.Tensor[] memory none = new Tensors.Tensor[](0);
        bytes memory shape = _list(_dims(2, 3));
        bytes memory full = bytes.concat(hex"01", _word(77), shape);
        _is(_node(Operators.FULL, full, 0, DType.I32, _dims(2, 3)), none, _places(), 5, 0, 77);
        bytes memory iota = bytes.concat(shape, _word(1));
        _is(_node(Operators.IOTA, iota, 0, DType.I32, _dims(2, 3)), none, _places(), 4, 0, 1);
    }

    // ---- reductions

    function test_dot() public view {
        Tensors.Tensor[] memory operands = _two(
            _tensor(DType.F32, _dims(2, 2), _numbers(ONE, TWO, THREE, ONE)),
            _tensor(DType.F32, _dims(1, 2), _numbers(TWO, ONE))
        );
        bytes memory node = _node(Operators.MATMUL_NT, "", 2, DType.F32, _dims(2, 1));
        // Row (3, 1) with (2, 1).
        _is(node, operands, _places(2, 0), 1, 0, 0x40e00000);
        vm.assertEq(referee.blocks(node, _headers(operands)), 1);
    }

    function test_nothingToReduce() public view {
        Tensors.Tensor[] memory empty = _one(_tensor(DType.F32, _dims(1, 0), new uint32[](0)));
        _is(_node(Operators.SUM, "", 1, DType.F32, _dims(1, 1)), empty, _places(), 0, 0, 0);
        _is(_node(Operators.REDUCE_MAX, "", 1, DType.F32, _dims(1, 1)), empty, _places(), 0, 0, INFINITY | SIGN);
        Tensors.Tensor[] memory two = _two(empty[0], empty[0]);
        _is(_node(Operators.MATMUL_NT, "", 2, DType.F32, _dims(1, 1)), two, _places(), 0, 0, 0);
    }

    function test_blocksAreJoined() public view {
        uint32[] memory ones = new uint32[](300);
        for (uint256 i = 0; i < 300; ++i) {
            ones[i] = ONE;
        }
        Tensors.Tensor[] memory operands = _one(_tensor(DType.F32, _dims(1, 300), ones));
        bytes memory node = _node(Operators.SUM, "", 1, DType.F32, _dims(1, 1));
        vm.assertEq(referee.blocks(node, _headers(operands)), 2);
        _is(node, operands, _places(0), 0, 0, 0x43800000);
        _is(node, operands, _places(299), 0, 1, 0x42300000);
        vm.assertEq(referee.join(node, _numbers(0x43800000, 0x42300000)), 0x43960000);
        vm.assertEq(referee.join(node, _numbers(SIGN)), 0);
        bytes memory largest = _node(Operators.REDUCE_MAX, "", 1, DType.F32, _dims(1, 1));
        vm.assertEq(referee.join(largest, _numbers(SIGN, ONE | SIGN)), SIGN);
        _is(largest, operands, _places(299), 0, 1, ONE);
    }

    function test_witnesses() public view {
        Tensors.Tensor[] memory row = _one(_tensor(DType.F32, _dims(1, 4), _numbers(ONE, NAN, 0xff800001, ONE)));
        vm.assertTrue(_beaten(row, 0, 3 - 1));
        vm.assertTrue(_beaten(row, 2, 1));
        vm.assertFalse(_beaten(row, 1, 2));
        vm.assertTrue(_beaten(row, 3, 0));
        vm.assertFalse(_beaten(row, 0, 3));
        vm.assertTrue(referee.contradicts(_argmax(), _operands(row), 0, 4, 0, new Opening[](0)));
    }

    // ---- movement

    function test_movement() public view {
        Tensors.Tensor[] memory x = _one(_tensor(DType.I32, _dims(2, 3), _numbers(10, 11, 12, 20, 21, 22)));
        _is(_node(Operators.RESHAPE, _list(_dims(3, 2)), 1, DType.I32, _dims(3, 2)), x, _places(4), 4, 0, 21);
        _is(_node(Operators.PERMUTE, _list(_dims(1, 0)), 1, DType.I32, _dims(3, 2)), x, _places(5), 5, 0, 22);
        bytes memory cut = bytes.concat(_list(_dims(1, 1)), _list(_dims(2, 3)));
        _is(_node(Operators.SLICE, cut, 1, DType.I32, _dims(1, 2)), x, _places(4), 0, 0, 21);
        bytes memory around = bytes.concat(_list(_dims(1, 0)), _list(_dims(0, 1)));
        bytes memory pad = _node(Operators.PAD, around, 1, DType.I32, _dims(3, 4));
        _is(pad, x, _places(), 0, 0, 0);
        _is(pad, x, _places(), 7, 0, 0);
        _is(pad, x, _places(2), 6, 0, 12);
        Tensors.Tensor[] memory two = _two(x[0], x[0]);
        bytes memory joined = _node(Operators.CONCAT, _word(0), 2, DType.I32, _dims(4, 3));
        Tensors.Tensor[] memory second = _one(x[0]);
        vm.assertFalse(referee.contradicts(joined, _operands(two), 9, 20, 0, _openings(second, _places(3))));
        Tensors.Tensor[] memory narrow = _one(_tensor(DType.I32, _dims(2, 1), _numbers(5, 6)));
        _is(_node(Operators.EXPAND, _list(_dims(2, 3)), 1, DType.I32, _dims(2, 3)), narrow, _places(1), 4, 0, 6);
    }

    // ---- by ids

    function test_rowsById() public view {
        Tensors.Tensor memory table = _tensor(DType.I32, _dims(2, 2), _numbers(1, 2, 3, 4));
        Tensors.Tensor memory ids = _tensor(DType.I32, _dims(2), _numbers(1, MINUS_ONE));
        bytes memory gather = _node(Operators.GATHER_ROWS, "", 2, DType.I32, _dims(2, 2));
        Operand[] memory operands = _operands(_two(table, ids));
        vm.assertFalse(referee.contradicts(gather, operands, 1, 4, 0, _pair(ids.openAt(0), table.openAt(3))));
        vm.assertFalse(referee.contradicts(gather, operands, 2, 0, 0, _openings(_one(ids), _places(1))));
        bytes memory take = _node(Operators.TAKE_ALONG_LAST, "", 2, DType.I32, _dims(2, 1));
        Tensors.Tensor memory picks = _tensor(DType.I32, _dims(2, 1), _numbers(2, 1));
        operands = _operands(_two(table, picks));
        vm.assertFalse(referee.contradicts(take, operands, 1, 4, 0, _pair(picks.openAt(1), table.openAt(3))));
        vm.assertFalse(referee.contradicts(take, operands, 0, 0, 0, _openings(_one(picks), _places(0))));
        bytes memory hot = _node(Operators.ONE_HOT, _word(3), 1, DType.F32, _dims(2, 3));
        _is(hot, _one(ids), _places(0), 1, 0, ONE);
        _is(hot, _one(ids), _places(1), 5, 0, 0);
    }

    function test_updatedRows() public view {
        Tensors.Tensor memory base = _tensor(DType.I32, _dims(3, 1), _numbers(1, 2, 3));
        Tensors.Tensor memory rows = _tensor(DType.I32, _dims(2, 1), _numbers(8, 9));
        Tensors.Tensor memory start = _tensor(DType.I32, new uint32[](0), _numbers(MINUS_ONE));
        bytes memory node = _node(Operators.UPDATE_ROWS, "", 3, DType.I32, _dims(3, 1));
        Operand[] memory operands = _operands(_three(base, rows, start));
        // The first row falls outside, the second is row 0.
        vm.assertFalse(referee.contradicts(node, operands, 0, 9, 0, _pair(start.openAt(0), rows.openAt(1))));
        vm.assertFalse(referee.contradicts(node, operands, 1, 2, 0, _pair(start.openAt(0), base.openAt(1))));
    }

    /// The published vector of Random123 for a key and a counter of zeros.
    function test_philox() public view {
        Tensors.Tensor memory key = _tensor(DType.I32, _dims(2), new uint32[](2));
        Tensors.Tensor memory counter = _tensor(DType.I32, _dims(1, 3), new uint32[](3));
        bytes memory node = _node(Operators.PHILOX_UNIFORM, _word(4), 2, DType.F32, _dims(1, 4));
        uint32[4] memory words = [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8];
        for (uint256 lane = 0; lane < 4; ++lane) {
            uint32 odd = words[lane] >> 9 << 1 | 1;
            // The odd number times 2^-24, written without arithmetic of floats.
            uint32 leading = 23;
            while (odd >> leading == 0) --leading;
            uint32 bits = (103 + leading) << 23 | (odd << (23 - leading) & 0x7fffff);
            _is(node, _two(key, counter), _places(0, 0), lane, 0, bits);
        }
    }

    // ---- refusals

    function test_wrongPlaces() public {
        Tensors.Tensor[] memory row = _one(_tensor(DType.F32, _dims(1, 2), _numbers(ONE, TWO)));
        (Operand[] memory operands, Opening[] memory openings) = (_operands(row), _openings(row, _places(0)));
        bytes memory node = _node(Operators.SUM, "", 1, DType.F32, _dims(1, 1));
        _refused(abi.encodeWithSelector(ElementOutOfRange.selector, 1, 1));
        referee.contradicts(node, operands, 1, 0, 0, openings);
        _refused(abi.encodeWithSelector(PartOutOfRange.selector, 1, 1));
        referee.contradicts(node, operands, 0, 0, 1, openings);
        _refused(abi.encodeWithSelector(PartOutOfRange.selector, 2, 2));
        referee.contradicts(_argmax(), operands, 0, 0, 2, openings);
        _refused(abi.encodeWithSelector(PartOutOfRange.selector, 1, 1));
        referee.contradicts(_argmax(), operands, 0, 2, 1, openings);
    }

    function test_wrongOpenings() public {
        Tensors.Tensor[] memory row = _one(_tensor(DType.F32, _dims(1, 2), _numbers(ONE, TWO)));
        (Operand[] memory operands, Opening[] memory openings) = (_operands(row), _openings(row, _places(0)));
        Opening[] memory two = _pair(openings[0], openings[0]);
        bytes memory node = _node(Operators.SUM, "", 1, DType.F32, _dims(1, 1));
        _refused(abi.encodeWithSelector(OpeningMissing.selector, 0));
        referee.contradicts(node, operands, 0, 0, 0, new Opening[](0));
        _refused(abi.encodeWithSelector(OpeningsLeftOver.selector, 2, 1));
        referee.contradicts(node, operands, 0, 0, 0, two);
        operands[0].root = 0;
        vm.expectPartialRevert(RootMismatch.selector);
        referee.contradicts(node, operands, 0, 0, 0, openings);
    }

    function test_wrongNodes() public {
        Tensors.Tensor[] memory row = _one(_tensor(DType.F32, _dims(1, 2), _numbers(ONE, TWO)));
        Operand[] memory operands = _operands(row);
        bytes memory node = _node(Operators.SUM, "", 1, DType.F32, _dims(1, 1));
        _refused(abi.encodeWithSelector(WrongOperandCount.selector, 0, 1));
        referee.contradicts(node, new Operand[](0), 0, 0, 0, new Opening[](0));
        _refused(abi.encodeWithSelector(DescriptorTooLong.selector, node.length, node.length + 1));
        referee.contradicts(bytes.concat(node, hex"00"), operands, 0, 0, 0, new Opening[](0));
        _refused(abi.encodeWithSelector(UnknownOperator.selector, 37));
        referee.contradicts(_node(37, "", 1, DType.F32, _dims(1, 1)), operands, 0, 0, 0, new Opening[](0));
        _refused(abi.encodeWithSelector(TypesDoNotFit.selector, Operators.SUM));
        referee.contradicts(_node(Operators.SUM, "", 1, DType.F32, _dims(1, 2)), operands, 0, 0, 0, new Opening[](0));
    }

    function test_wrongJoins() public {
        bytes memory node = _node(Operators.SUM, "", 1, DType.F32, _dims(1, 1));
        _refused(abi.encodeWithSelector(WrongNumberCount.selector, 0));
        referee.join(node, new uint32[](0));
        _refused(abi.encodeWithSelector(WrongNumberCount.selector, 257));
        referee.join(node, new uint32[](257));
        _refused(abi.encodeWithSelector(NothingToJoin.selector, Operators.EXP));
        referee.join(_node(Operators.EXP, "", 1, DType.F32, _dims(1, 1)), new uint32[](1));
    }

    // ---- questions

    function _unary(uint256 tag, DType from, DType to, uint32 x, uint32 expected) private view {
        bytes memory attribute = tag == Operators.CAST ? abi.encodePacked(uint8(to)) : bytes("");
        _is(_node(tag, attribute, 1, to, _dims(1)), _one(_row(from, x)), _places(0), 0, 0, expected);
    }

    function _binary(uint256 tag, DType dtype, uint32 a, uint32 b, uint32 expected) private view {
        bool compares = tag >= Operators.EQUAL && tag <= Operators.LESS_EQUAL;
        bytes memory node = _node(tag, "", 2, compares ? DType.Bool : dtype, _dims(1));
        _is(node, _two(_row(dtype, a), _row(dtype, b)), _places(0, 0), 0, 0, expected);
    }

    function _argmax() private pure returns (bytes memory) {
        return _node(Operators.ARGMAX, "", 1, DType.I32, _dims(1, 1));
    }

    function _beaten(Tensors.Tensor[] memory row, uint32 claimed, uint256 witness) private view returns (bool) {
        Opening[] memory openings = _pair(row[0].openAt(claimed), row[0].openAt(witness));
        return referee.contradicts(_argmax(), _operands(row), 0, claimed, witness, openings);
    }

    /// These bits stand and others do not; of each operand with a place the element there is opened.
    function _is(
        bytes memory node,
        Tensors.Tensor[] memory tensors,
        uint256[] memory places,
        uint256 element,
        uint256 part,
        uint32 expected
    ) private view {
        Opening[] memory openings = _openings(tensors, places);
        Operand[] memory operands = _operands(tensors);
        vm.assertFalse(referee.contradicts(node, operands, element, expected, part, openings));
        vm.assertTrue(referee.contradicts(node, operands, element, expected ^ 1, part, openings));
        vm.assertTrue(referee.contradicts(node, operands, element, expected ^ SIGN, part, openings));
    }

    function _refused(bytes memory reason) private {
        vm.expectRevert(reason);
    }

    function _openings(Tensors.Tensor[] memory tensors, uint256[] memory places)
        private
        pure
        returns (Opening[] memory openings)
    {
        openings = new Opening[](places.length);
        for (uint256 i = 0; i < places.length; ++i) {
            openings[i] = tensors[i].openAt(places[i]);
        }
    }

    function _pair(Opening memory first, Opening memory second) private pure returns (Opening[] memory openings) {
        openings = new Opening[](2);
        (openings[0], openings[1]) = (first, second);
    }

    function _operands(Tensors.Tensor[] memory tensors) private view returns (Operand[] memory operands) {
        operands = new Operand[](tensors.length);
        for (uint256 i = 0; i < tensors.length; ++i) {
            operands[i] = Operand(tensors[i].root(), tensors[i].header);
        }
    }

    function _headers(Tensors.Tensor[] memory tensors) private pure returns (Header[] memory headers) {
        headers = new Header[](tensors.length);
        for (uint256 i = 0; i < tensors.length; ++i) {
            headers[i] = tensors[i].header;
        }
    }

    // ---- tensors

    function _tensor(DType dtype, uint32[] memory shape, uint32[] memory words)
        private
        pure
        returns (Tensors.Tensor memory)
    {
        return Tensors.Tensor(Header(dtype, shape), words);
    }

    function _row(DType dtype, uint32 word) private pure returns (Tensors.Tensor memory) {
        return _tensor(dtype, _dims(1), _numbers(word));
    }

    function _one(Tensors.Tensor memory a) private pure returns (Tensors.Tensor[] memory all) {
        all = new Tensors.Tensor[](1);
        all[0] = a;
    }

    function _two(Tensors.Tensor memory a, Tensors.Tensor memory b) private pure returns (Tensors.Tensor[] memory all) {
        all = new Tensors.Tensor[](2);
        (all[0], all[1]) = (a, b);
    }

    function _three(Tensors.Tensor memory a, Tensors.Tensor memory b, Tensors.Tensor memory c)
        private
        pure
        returns (Tensors.Tensor[] memory all)
    {
        all = new Tensors.Tensor[](3);
        (all[0], all[1], all[2]) = (a, b, c);
    }

    // ---- descriptors and lists

    function _node(uint256 tag, bytes memory attributes, uint256 operands, DType dtype, uint32[] memory shape)
        private
        pure
        returns (bytes memory node)
    {
        node = abi.encodePacked(_octet(tag), attributes, _word(operands));
        for (uint256 i = 0; i < operands; ++i) {
            node = bytes.concat(node, _word(i));
        }
        return abi.encodePacked(node, uint8(dtype), _list(shape));
    }

    function _list(uint32[] memory numbers) private pure returns (bytes memory list) {
        list = _word(uint32(numbers.length));
        for (uint256 i = 0; i < numbers.length; ++i) {
            list = bytes.concat(list, _word(numbers[i]));
        }
    }

    function _octet(uint256 x) private pure returns (uint8) {
        // forge-lint: disable-next-line(unsafe-typecast) tags are small
        return uint8(x);
    }

    function _word(uint256 x) private pure returns (bytes memory) {
        // forge-lint: disable-next-line(unsafe-typecast) tests write numbers of 32 bits
        return abi.encodePacked(TileTree.swap(uint32(x)));
    }

    function _dims(uint32 a) private pure returns (uint32[] memory) {
        return _numbers(a);
    }

    function _dims(uint32 a, uint32 b) private pure returns (uint32[] memory) {
        return _numbers(a, b);
    }

    function _numbers(uint32 a) private pure returns (uint32[] memory list) {
        list = new uint32[](1);
        list[0] = a;
    }

    function _numbers(uint32 a, uint32 b) private pure returns (uint32[] memory list) {
        list = new uint32[](2);
        (list[0], list[1]) = (a, b);
    }

    function _numbers(uint32 a, uint32 b, uint32 c) private pure returns (uint32[] memory list) {
        list = new uint32[](3);
        (list[0], list[1], list[2]) = (a, b, c);
    }

    function _numbers(uint32 a, uint32 b, uint32 c, uint32 d) private pure returns (uint32[] memory list) {
        list = new uint32[](4);
        (list[0], list[1], list[2], list[3]) = (a, b, c, d);
    }

    function _numbers(uint32 a, uint32 b, uint32 c, uint32 d, uint32 e, uint32 f)
        private
        pure
        returns (uint32[] memory list)
    {
        list = new uint32[](6);
        (list[0], list[1], list[2], list[3], list[4], list[5]) = (a, b, c, d, e, f);
    }

    function _places() private pure returns (uint256[] memory) {
        return new uint256[](0);
    }

    function _places(uint256 a) private pure returns (uint256[] memory list) {
        list = new uint256[](1);
        list[0] = a;
    }

    function _places(uint256 a, uint256 b) private pure returns (uint256[] memory list) {
        list = new uint256[](2);
        (list[0], list[1]) = (a, b);
    }

    function _places(uint256 a, uint256 b, uint256 c) private pure returns (uint256[] memory list) {
        list = new uint256[](3);
        (list[0], list[1], list[2]) = (a, b, c);
    }
}
