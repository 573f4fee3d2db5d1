// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Operators} from "./Operators.sol";
import {Order} from "./Order.sol";
import {Node, Programs} from "./Programs.sol";
import {DType, Header, TileTree, TooManyAxes, TooManyElements} from "./TileTree.sol";

/// @notice There are not as many headers as the node has operands.
error WrongOperandCount(uint256 given, uint256 expected);

/// @notice The operator does not take these operands, or does not give this result.
error TypesDoNotFit(uint256 tag);

/// @title  Types of a node
/// @notice Whether a node's type follows from its operator and its operands: the rules of `program::infer` of
///         `reproducible_ops`. Past the check no index of an operand leaves its shape.
/// @dev    Lengths have 32 bits, so that no sum of a few overflows; differences stand behind what makes them positive.
library Inference {
    uint256 private constant F32 = 1;
    uint256 private constant I32 = 2;
    uint256 private constant BOOL = 4;

    /// @notice Reverts unless the operands and the result fit the node.
    function check(bytes calldata descriptor, Node memory node, Header[] memory operands) internal pure {
        if (operands.length != node.operands.length) revert WrongOperandCount(operands.length, node.operands.length);
        elementsOf(node.header.shape);
        for (uint256 i = 0; i < operands.length; ++i) {
            elementsOf(operands[i].shape);
        }
        if (!_fits(descriptor, node, operands)) revert TypesDoNotFit(node.tag);
    }

    /// @notice Elements of a tensor of this shape. Reverts if a program can have no such tensor; an axis counts even beside
    ///         one of length zero.
    function elementsOf(uint32[] memory shape) internal pure returns (uint256 elements) {
        if (shape.length > TileTree.MAX_RANK) revert TooManyAxes(shape.length);
        elements = 1;
        unchecked {
            // At most eight factors of 32 bits.
            for (uint256 axis = 0; axis < shape.length; ++axis) {
                if (shape[axis] > TileTree.MAX_ELEMENTS) revert TooManyElements(shape[axis]);
                elements *= shape[axis];
            }
        }
        if (elements > TileTree.MAX_ELEMENTS) revert TooManyElements(elements);
    }

    function _fits(bytes calldata descriptor, Node memory node, Header[] memory operands) private pure returns (bool) {
        uint256 tag = node.tag;
        Header memory result = node.header;
        if (tag == Operators.CONCAT) {
            return operands.length > 0 && _concat(Programs.word(descriptor, node.attributes), result, operands);
        }
        if (operands.length != _arity(tag)) return false;
        if (tag <= Operators.IOTA) return _constant(descriptor, node);
        Header memory first = operands[0];
        if (Operators.isElementwise(tag)) return _elementwise(descriptor, node, operands);
        if (tag == Operators.MATMUL_NT) return _matmul(result, first, operands[1]);
        if (tag <= Operators.ARGMAX) return _reduction(tag, result, first);
        if (tag <= Operators.EXPAND) return _rearranged(descriptor, node, first);
        if (tag <= Operators.PAD) return _cut(descriptor, node, first);
        if (tag == Operators.GATHER_ROWS) return _gather(result, first, operands[1]);
        if (tag == Operators.ONE_HOT) return _oneHot(Programs.word(descriptor, node.attributes), result, first);
        if (tag == Operators.TAKE_ALONG_LAST) return _take(result, first, operands[1]);
        if (tag == Operators.UPDATE_ROWS) return _update(result, operands);
        return _philox(Programs.word(descriptor, node.attributes), result, first, operands[1]);
    }

    /// Operands of every operator but `concat`.
    function _arity(uint256 tag) private pure returns (uint256) {
        if (tag <= Operators.IOTA) return 0;
        if (tag <= Operators.CAST) return 1;
        if (tag <= Operators.LESS_EQUAL) return 2;
        if (tag == Operators.SELECT || tag == Operators.UPDATE_ROWS) return 3;
        if (tag == Operators.MATMUL_NT || tag == Operators.GATHER_ROWS) return 2;
        if (tag == Operators.TAKE_ALONG_LAST || tag == Operators.PHILOX_UNIFORM) return 2;
        return 1;
    }

    // ---- elementwise

    function _elementwise(bytes calldata descriptor, Node memory node, Header[] memory operands)
        private
        pure
        returns (bool)
    {
        Header memory result = node.header;
        Header memory last = operands[operands.length - 1];
        for (uint256 i = 0; i < operands.length; ++i) {
            if (!_sameShape(result, operands[i])) return false;
        }
        if (node.tag == Operators.SELECT) {
            return operands[0].dtype == DType.Bool && operands[1].dtype == last.dtype && result.dtype == last.dtype;
        }
        if (operands[0].dtype != last.dtype || !_isOf(last, _allowed(node.tag))) return false;
        if (node.tag == Operators.CAST) return result.dtype == Programs.readDType(descriptor, node.attributes);
        bool compares = node.tag >= Operators.EQUAL && node.tag <= Operators.LESS_EQUAL;
        return result.dtype == (compares ? DType.Bool : last.dtype);
    }

    /// Element types that an elementwise operator takes.
    function _allowed(uint256 tag) private pure returns (uint256) {
        if (tag == Operators.CAST) return F32 | I32 | BOOL;
        if (tag == Operators.NOT || tag == Operators.AND || tag == Operators.OR) return BOOL;
        if (tag >= Operators.SQRT && tag <= Operators.TANH || tag == Operators.DIV) return F32;
        return F32 | I32;
    }

    // ---- without operands

    function _constant(bytes calldata descriptor, Node memory node) private pure returns (bool) {
        unchecked {
            Header memory result = node.header;
            if (node.tag == Operators.FULL) {
                uint256 bits = Programs.word(descriptor, node.attributes + 1);
                if (result.dtype == DType.F32 && bits != Order.canon(bits)) return false;
                if (result.dtype == DType.Bool && bits > 1) return false;
                return result.dtype == Programs.readDType(descriptor, node.attributes)
                    && _isList(result.shape, descriptor, node.attributes + 5);
            }
            uint256 axis = Programs.word(descriptor, node.attributes + 4 + 4 * result.shape.length);
            return result.dtype == DType.I32 && _isList(result.shape, descriptor, node.attributes)
                && axis < result.shape.length;
        }
    }

    // ---- reductions

    function _matmul(Header memory result, Header memory a, Header memory b) private pure returns (bool) {
        unchecked {
            uint256 rank = a.shape.length;
            if (!_isOf(a, F32) || !_isOf(b, F32) || !_isOf(result, F32)) return false;
            if (rank < 2 || b.shape.length != rank || result.shape.length != rank) return false;
            return _agree(a.shape, b.shape, rank - 2) && a.shape[rank - 1] == b.shape[rank - 1]
                && _agree(a.shape, result.shape, rank - 1) && result.shape[rank - 1] == b.shape[rank - 2];
        }
    }

    function _reduction(uint256 tag, Header memory result, Header memory x) private pure returns (bool) {
        unchecked {
            uint256 rank = x.shape.length;
            if (!_isOf(x, F32) || rank == 0 || result.shape.length != rank) return false;
            if (tag == Operators.ARGMAX && x.shape[rank - 1] == 0) return false;
            return _isOf(result, tag == Operators.ARGMAX ? I32 : F32) && _agree(x.shape, result.shape, rank - 1)
                && result.shape[rank - 1] == 1;
        }
    }

    // ---- movement

    /// Of reshape, permute and expand.
    function _rearranged(bytes calldata descriptor, Node memory node, Header memory x) private pure returns (bool) {
        uint32[] memory list = Programs.readAxes(descriptor, node.attributes);
        uint32[] memory shape = node.header.shape;
        if (node.header.dtype != x.dtype || shape.length != list.length) return false;
        if (node.tag == Operators.PERMUTE) return x.shape.length == list.length && _permutes(list, x.shape, shape);
        if (!_agree(list, shape, shape.length)) return false;
        if (node.tag == Operators.RESHAPE) return elementsOf(shape) == elementsOf(x.shape);
        if (x.shape.length != shape.length) return false;
        for (uint256 axis = 0; axis < shape.length; ++axis) {
            if (x.shape[axis] != shape[axis] && x.shape[axis] != 1) return false;
        }
        return true;
    }

    function _permutes(uint32[] memory axes, uint32[] memory from, uint32[] memory to) private pure returns (bool) {
        uint256 seen = 0;
        for (uint256 i = 0; i < axes.length; ++i) {
            uint256 axis = axes[i];
            if (axis >= from.length || seen >> axis & 1 == 1 || from[axis] != to[i]) return false;
            // forge-lint: disable-next-line(incorrect-shift) a power of two is meant
            seen |= 1 << axis;
        }
        return true;
    }

    /// Of slice and pad, whose attributes are two lists.
    function _cut(bytes calldata descriptor, Node memory node, Header memory x) private pure returns (bool) {
        unchecked {
            uint32[] memory one = Programs.readAxes(descriptor, node.attributes);
            uint32[] memory two = Programs.readAxes(descriptor, node.attributes + 4 + 4 * one.length);
            uint32[] memory shape = node.header.shape;
            uint256 rank = x.shape.length;
            if (node.header.dtype != x.dtype || shape.length != rank || one.length != rank || two.length != rank) {
                return false;
            }
            for (uint256 axis = 0; axis < rank; ++axis) {
                (uint256 length, uint256 first, uint256 second) = (x.shape[axis], one[axis], two[axis]);
                if (node.tag == Operators.PAD) {
                    if (shape[axis] != length + first + second) return false;
                } else if (first > second || second > length || shape[axis] != second - first) {
                    return false;
                }
            }
            return true;
        }
    }

    function _concat(uint256 axis, Header memory result, Header[] memory operands) private pure returns (bool) {
        unchecked {
            uint256 rank = result.shape.length;
            if (axis >= rank) return false;
            uint256 length = 0;
            for (uint256 i = 0; i < operands.length; ++i) {
                Header memory operand = operands[i];
                if (operand.dtype != result.dtype || operand.shape.length != rank) return false;
                length += operand.shape[axis];
                for (uint256 other = 0; other < rank; ++other) {
                    if (other != axis && operand.shape[other] != result.shape[other]) return false;
                }
            }
            return length == result.shape[axis];
        }
    }

    // ---- by ids

    function _gather(Header memory result, Header memory table, Header memory ids) private pure returns (bool) {
        if (!_isOf(ids, I32) || table.shape.length != 2) return false;
        return result.dtype == table.dtype && _extends(result.shape, ids.shape, table.shape[1]);
    }

    function _oneHot(uint256 classes, Header memory result, Header memory ids) private pure returns (bool) {
        return _isOf(ids, I32) && _isOf(result, F32) && _extends(result.shape, ids.shape, classes);
    }

    function _take(Header memory result, Header memory x, Header memory ids) private pure returns (bool) {
        unchecked {
            uint256 rank = x.shape.length;
            if (!_isOf(ids, I32) || rank == 0 || ids.shape.length != rank) return false;
            return result.dtype == x.dtype && _agree(x.shape, ids.shape, rank - 1) && _sameShape(result, ids);
        }
    }

    function _update(Header memory result, Header[] memory operands) private pure returns (bool) {
        unchecked {
            (Header memory base, Header memory rows, Header memory start) = (operands[0], operands[1], operands[2]);
            uint256 rank = base.shape.length;
            if (!_isOf(start, I32) || base.dtype != rows.dtype || base.dtype != result.dtype) return false;
            if (rank < 2 || rows.shape.length != rank || start.shape.length != rank - 2) return false;
            return _sameShape(result, base) && _agree(base.shape, rows.shape, rank - 2)
                && base.shape[rank - 1] == rows.shape[rank - 1] && _agree(base.shape, start.shape, rank - 2);
        }
    }

    function _philox(uint256 lanes, Header memory result, Header memory key, Header memory counter)
        private
        pure
        returns (bool)
    {
        if (!_isOf(key, I32) || !_isOf(counter, I32) || !_isOf(result, F32)) return false;
        if (key.shape.length != 1 || counter.shape.length != 2 || result.shape.length != 2) return false;
        return
            key.shape[0] == 2 && counter.shape[1] == 3 && result.shape[0] == counter.shape[0]
                && result.shape[1] == lanes;
    }

    // ---- words

    function _isOf(Header memory header, uint256 allowed) private pure returns (bool) {
        return allowed >> uint256(header.dtype) & 1 == 1;
    }

    function _sameShape(Header memory a, Header memory b) private pure returns (bool) {
        return a.shape.length == b.shape.length && _agree(a.shape, b.shape, a.shape.length);
    }

    /// Whether two shapes, each of at least so many axes, agree in the first ones.
    function _agree(uint32[] memory a, uint32[] memory b, uint256 axes) private pure returns (bool) {
        for (uint256 axis = 0; axis < axes; ++axis) {
            if (a[axis] != b[axis]) return false;
        }
        return true;
    }

    /// Whether a shape is another one with an axis of this length behind.
    function _extends(uint32[] memory shape, uint32[] memory outer, uint256 last) private pure returns (bool) {
        unchecked {
            uint256 rank = outer.length;
            return shape.length == rank + 1 && _agree(shape, outer, rank) && shape[rank] == last;
        }
    }

    function _isList(uint32[] memory shape, bytes calldata descriptor, uint256 offset) private pure returns (bool) {
        uint32[] memory list = Programs.readAxes(descriptor, offset);
        return list.length == shape.length && _agree(list, shape, shape.length);
    }
}
