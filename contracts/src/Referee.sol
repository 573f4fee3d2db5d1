// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Float32} from "./Binary32.sol";
import {Elementwise} from "./Elementwise.sol";
import {Indices} from "./Indices.sol";
import {Inference} from "./Inference.sol";
import {Operators} from "./Operators.sol";
import {Order} from "./Order.sol";
import {Philox} from "./Philox.sol";
import {Node, Programs} from "./Programs.sol";
import {Reductions} from "./Reductions.sol";
import {DType, ElementOutOfRange, Header, Opening, TileTree} from "./TileTree.sol";

/// @notice An operand of a node.
/// @param  root   Root of its tensor.
/// @param  header Type of its tensor.
struct Operand {
    bytes32 root;
    Header header;
}

/// @notice The element has no such block, or the row no such witness.
error PartOutOfRange(uint256 part, uint256 parts);

/// @notice More tiles are read than were opened.
error OpeningMissing(uint256 given);

/// @notice Fewer tiles are read than were opened.
error OpeningsLeftOver(uint256 given, uint256 read);

/// @notice From 1 to 256 numbers are joined.
error WrongNumberCount(uint256 given);

/// @notice The operator has no numbers that are joined.
error NothingToJoin(uint256 tag);

/// @title  The referee
/// @notice Recomputes one element of one node's result from opened tiles of the node's operands: the last step of a dispute.
/// @dev    An element is one number, except that of a long reduction: `matmul_nt`, `sum` and `reduce_max` over more than 256
///         elements have blocks, each a number of its own, and `join` makes one number of up to 256, level by level, until one
///         is left: the element. `argmax` is not recomputed but contradicted by a witness, an index of the row whose element
///         beats the claimed one.
///
///         Each read opens one whole tile, in this order:
///
///           elementwise                            the element of each operand
///           full, iota; reductions over nothing    none
///           matmul_nt, sum, reduce_max             the block's tile of each operand
///           argmax                                 the claimed index's tile, the witness's; none for an index outside
///           reshape, permute, expand, slice, ...   the one element; none in padding
///           gather_rows, take_along_last, one_hot  the id, then the element if there is one to read
///           update_rows                            `at`, then the element of `rows` or of `base`
///           philox_uniform                         the key, then the row's counter
///
///         What is malformed reverts, so that it decides nothing. The same is `verde::element`. Operands are taken as the
///         bits that they are.
contract Referee {
    /// What is asked, the operand of which a tile is read, and how many tiles were read.
    struct Question {
        Node node;
        bytes32[] roots;
        Header[] headers;
        uint256 element;
        uint256 part;
        uint256 operand;
        uint256 read;
    }

    /// Numbers that one chain joins, and elements of a block.
    uint256 private constant BLOCK = 256;
    uint256 private constant WORD = 4;
    // Bits, not amounts.
    // slither-disable-start too-many-digits

    uint256 private constant ONE = 0x3f800000;
    uint256 private constant SIGN = 0x80000000;

    // slither-disable-end too-many-digits

    /// @notice Leaf blocks of the reduction behind each element of a node; 1 where there is none.
    /// @param  node    Descriptor of the node.
    /// @param  headers Types of its operands.
    function blocks(bytes calldata node, Header[] calldata headers) external pure returns (uint256) {
        Node memory read = Programs.readNode(node);
        Header[] memory operands = headers;
        Inference.check(node, read, operands);
        return _blocks(read.tag, operands);
    }

    /// @notice The number that up to 256 consecutive numbers make on the level above.
    function join(bytes calldata node, uint32[] calldata numbers) external pure returns (uint32) {
        uint256 tag = Programs.readNode(node).tag;
        if (!Operators.isBlockwise(tag)) revert NothingToJoin(tag);
        // INVARIANT: a level has one form, so numbers are not joined in longer or empty chains.
        if (numbers.length == 0 || numbers.length > BLOCK) revert WrongNumberCount(numbers.length);
        // forge-lint: disable-next-line(unsafe-typecast) numbers have 32 bits
        if (tag == Operators.REDUCE_MAX) return uint32(Reductions.maxChain(numbers));
        return Float32.unwrap(Reductions.addChain(numbers));
    }

    /// @notice Whether the operands of a node give something else than the claimed bits.
    /// @param  node     Descriptor of the node.
    /// @param  operands Its operands, in order.
    /// @param  element  Place in row-major order of the result.
    /// @param  claimed  Bits of the element; of the block, where the element has several.
    /// @param  part     The block where the element has several, the witness for `argmax`, otherwise 0.
    /// @param  openings Tiles of the operands, in the order in which they are read, and no others.
    function contradicts(
        bytes calldata node,
        Operand[] calldata operands,
        uint256 element,
        uint32 claimed,
        uint256 part,
        Opening[] calldata openings
    ) external view returns (bool contradicted) {
        Question memory q = _question(node, operands, element, part);
        if (q.node.tag == Operators.ARGMAX) {
            contradicted = _beats(q, openings, claimed);
        } else {
            _checkPart(q, _blocks(q.node.tag, q.headers));
            contradicted = _number(q, node, openings) != claimed;
        }
        // INVARIANT: nothing is given that is not read, so that no proof has two forms.
        if (q.read != openings.length) revert OpeningsLeftOver(openings.length, q.read);
    }

    // ---- the question

    function _question(bytes calldata node, Operand[] calldata operands, uint256 element, uint256 part)
        private
        pure
        returns (Question memory q)
    {
        q.node = Programs.readNode(node);
        (q.roots, q.headers) = (new bytes32[](operands.length), new Header[](operands.length));
        for (uint256 i = 0; i < operands.length; ++i) {
            (q.roots[i], q.headers[i]) = (operands[i].root, operands[i].header);
        }
        // INVARIANT: past this check every index computed from an element of the result lies in its operand's shape.
        Inference.check(node, q.node, q.headers);
        uint256 elements = Inference.elementsOf(q.node.header.shape);
        if (element >= elements) revert ElementOutOfRange(element, elements);
        (q.element, q.part) = (element, part);
    }

    function _checkPart(Question memory q, uint256 parts) private pure {
        if (q.part >= parts) revert PartOutOfRange(q.part, parts);
    }

    function _blocks(uint256 tag, Header[] memory operands) private pure returns (uint256) {
        if (!Operators.isBlockwise(tag)) return 1;
        uint256 row = _fromEnd(operands[0].shape, 1);
        return row == 0 ? 1 : (row + BLOCK - 1) / BLOCK;
    }

    // ---- operators

    function _number(Question memory q, bytes calldata node, Opening[] calldata openings)
        private
        view
        returns (uint256)
    {
        uint256 tag = q.node.tag;
        if (Operators.isElementwise(tag)) return _elementwise(q, node, openings);
        if (tag == Operators.FULL) return Programs.word(node, q.node.attributes + 1);
        if (tag == Operators.IOTA) return _iota(q, node);
        if (tag == Operators.MATMUL_NT) return _dot(q, openings);
        if (tag == Operators.SUM || tag == Operators.REDUCE_MAX) return _reduce(q, openings);
        if (tag == Operators.GATHER_ROWS) return _gatherRows(q, openings);
        if (tag == Operators.ONE_HOT) return _oneHot(q, node, openings);
        if (tag == Operators.TAKE_ALONG_LAST) return _takeAlongLast(q, openings);
        if (tag == Operators.UPDATE_ROWS) return _updateRows(q, openings);
        if (tag == Operators.PHILOX_UNIFORM) return _philox(q, node, openings);
        (bool found, uint256 operand, uint256 index) = _source(q, node);
        return found ? _element(_from(q, operand), openings, index) : 0;
    }

    function _elementwise(Question memory q, bytes calldata node, Opening[] calldata openings)
        private
        view
        returns (uint256)
    {
        uint256 tag = q.node.tag;
        DType first = q.headers[0].dtype;
        uint256 x = _element(_from(q, 0), openings, q.element);
        if (q.headers.length == 1) {
            DType to = tag == Operators.CAST ? Programs.readDType(node, q.node.attributes) : first;
            return Elementwise.unary(tag, first, to, x);
        }
        uint256 y = _element(_from(q, 1), openings, q.element);
        if (q.headers.length == 2) return Elementwise.binary(tag, first, x, y);
        return Elementwise.select(q.headers[1].dtype, x, y, _element(_from(q, 2), openings, q.element));
    }

    function _iota(Question memory q, bytes calldata node) private pure returns (uint256) {
        uint32[] memory shape = q.node.header.shape;
        uint256 axis = Programs.word(node, q.node.attributes + WORD + WORD * shape.length);
        return Indices.coordinates(shape, q.element)[axis];
    }

    /// The element of an operand that a moved element is; none in padding.
    function _source(Question memory q, bytes calldata node)
        private
        pure
        returns (bool found, uint256 operand, uint256 index)
    {
        uint256 tag = q.node.tag;
        if (tag == Operators.RESHAPE) return (true, 0, q.element);
        uint256[] memory place = Indices.coordinates(q.node.header.shape, q.element);
        uint32[] memory source = q.headers[0].shape;
        if (tag == Operators.EXPAND) return (true, 0, Indices.expanded(source, place));
        if (tag == Operators.CONCAT) return _concatenated(q, Programs.word(node, q.node.attributes), place);
        uint32[] memory list = Programs.readAxes(node, q.node.attributes);
        if (tag == Operators.PERMUTE) return (true, 0, Indices.permuted(source, list, place));
        if (tag == Operators.SLICE) return (true, 0, Indices.sliced(source, list, place));
        // INVARIANT: every other tag has been answered, and tags beyond the table were refused.
        assert(tag == Operators.PAD);
        (found, index) = Indices.padded(source, list, place);
    }

    function _concatenated(Question memory q, uint256 axis, uint256[] memory place)
        private
        pure
        returns (bool found, uint256 operand, uint256 index)
    {
        // The operands' lengths add up to the result's, so one of them has the coordinate.
        for (; place[axis] >= q.headers[operand].shape[axis]; ++operand) {
            place[axis] -= q.headers[operand].shape[axis];
        }
        return (true, operand, Indices.flat(q.headers[operand].shape, place));
    }

    function _dot(Question memory q, Opening[] calldata openings) private view returns (uint256) {
        (uint256 rows, uint256 columns) = (_fromEnd(q.headers[0].shape, 2), _fromEnd(q.headers[1].shape, 2));
        (uint256 row, uint256 column) = (q.element / columns, q.element % columns);
        uint256 count = _tilesOfRow(q, 0);
        if (count == 0) return 0;
        // Rows and batches are meant to be whole.
        // slither-disable-next-line divide-before-multiply
        bytes calldata left = _tile(_from(q, 0), openings, row * count + q.part);
        // slither-disable-next-line divide-before-multiply
        bytes calldata right = _tile(_from(q, 1), openings, (row / rows * columns + column) * count + q.part);
        Float32 number = Reductions.dotBlock(left, right);
        // The chain above a single block is walked at once: it makes +0 of -0.
        return Float32.unwrap(count == 1 ? Float32.wrap(0).add(number) : number);
    }

    function _reduce(Question memory q, Opening[] calldata openings) private view returns (uint256) {
        uint256 count = _tilesOfRow(q, 0);
        bytes calldata tile = count == 0 ? msg.data[0:0] : _tile(_from(q, 0), openings, q.element * count + q.part);
        if (q.node.tag == Operators.REDUCE_MAX) return Reductions.maxBlock(tile);
        return Float32.unwrap(Reductions.sumBlock(tile));
    }

    /// Whether the witness beats the claimed index.
    function _beats(Question memory q, Opening[] calldata openings, uint256 claimed) private view returns (bool) {
        uint256 length = _fromEnd(q.headers[0].shape, 1);
        // An index outside the row needs no witness.
        _checkPart(q, claimed < length ? length : 1);
        if (claimed >= length) return true;
        uint256 row = q.element * length;
        uint256 standing = Order.rank(_element(_from(q, 0), openings, row + claimed));
        uint256 other = Order.rank(_element(_from(q, 0), openings, row + q.part));
        return other > standing || (other == standing && q.part < claimed);
    }

    function _gatherRows(Question memory q, Opening[] calldata openings) private view returns (uint256) {
        (uint256 rows, uint256 width) = (_fromEnd(q.headers[0].shape, 2), _fromEnd(q.headers[0].shape, 1));
        uint256 id = _element(_from(q, 1), openings, q.element / width);
        return id < rows ? _element(_from(q, 0), openings, id * width + q.element % width) : 0;
    }

    function _oneHot(Question memory q, bytes calldata node, Opening[] calldata openings)
        private
        view
        returns (uint256)
    {
        uint256 classes = Programs.word(node, q.node.attributes);
        return _element(_from(q, 0), openings, q.element / classes) == q.element % classes ? ONE : 0;
    }

    function _takeAlongLast(Question memory q, Opening[] calldata openings) private view returns (uint256) {
        (uint256 width, uint256 picks) = (_fromEnd(q.headers[0].shape, 1), _fromEnd(q.headers[1].shape, 1));
        uint256 id = _element(_from(q, 1), openings, q.element);
        // The row is meant to be whole.
        // slither-disable-next-line divide-before-multiply
        return id < width ? _element(_from(q, 0), openings, q.element / picks * width + id) : 0;
    }

    function _updateRows(Question memory q, Opening[] calldata openings) private view returns (uint256) {
        uint32[] memory base = q.headers[0].shape;
        (uint256 height, uint256 width, uint256 count) =
            (_fromEnd(base, 2), _fromEnd(base, 1), _fromEnd(q.headers[1].shape, 2));
        uint256 row = q.element / width;
        uint256 start = _element(_from(q, 2), openings, row / height);
        unchecked {
            // The start is signed: below zero it is as far below 2^256. So a row before it wraps to a huge number.
            if (start >= SIGN) start -= 2 * SIGN;
            uint256 replaced = row % height - start;
            if (replaced >= count) return _element(_from(q, 0), openings, q.element);
            // slither-disable-next-line divide-before-multiply
            return _element(_from(q, 1), openings, (row / height * count + replaced) * width + q.element % width);
        }
    }

    function _philox(Question memory q, bytes calldata node, Opening[] calldata openings)
        private
        view
        returns (uint256)
    {
        uint256 lanes = Programs.word(node, q.node.attributes);
        bytes calldata key = _tile(_from(q, 0), openings, 0);
        bytes calldata counter = _tile(_from(q, 1), openings, q.element / lanes);
        return Float32.unwrap(
            Philox.uniformAt(
                [TileTree.wordAt(key, 0), TileTree.wordAt(key, WORD)],
                [TileTree.wordAt(counter, 0), TileTree.wordAt(counter, WORD), TileTree.wordAt(counter, 2 * WORD)],
                q.element % lanes
            )
        );
    }

    // ---- reading

    /// The same question, to be read from another operand.
    ///
    /// The operand is no parameter of the functions below, for the compiler would make a copy of them for each number.
    function _from(Question memory q, uint256 operand) private pure returns (Question memory) {
        q.operand = operand;
        return q;
    }

    /// An element of the operand, from the next opening.
    function _element(Question memory q, Opening[] calldata openings, uint256 index) private view returns (uint256) {
        (uint256 tile, uint256 start) = TileTree.placeOf(q.headers[q.operand].shape, index);
        return TileTree.wordAt(_tile(q, openings, tile), start);
    }

    /// A tile of the operand, from the next opening.
    function _tile(Question memory q, Opening[] calldata openings, uint256 index)
        private
        view
        returns (bytes calldata)
    {
        if (q.read == openings.length) revert OpeningMissing(openings.length);
        Opening calldata opening = openings[q.read++];
        TileTree.verifyTile(q.roots[q.operand], q.headers[q.operand], index, opening);
        return opening.tile;
    }

    // ---- shapes

    /// Tiles of a row of an operand.
    function _tilesOfRow(Question memory q, uint256 operand) private pure returns (uint256) {
        return (_fromEnd(q.headers[operand].shape, 1) + BLOCK - 1) / BLOCK;
    }

    /// Length of an axis, counted from the last one, which is 1.
    function _fromEnd(uint32[] memory shape, uint256 back) private pure returns (uint256) {
        return shape[shape.length - back];
    }
}
