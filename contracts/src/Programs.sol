// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Operators} from "./Operators.sol";
import {DType, Header, TileTree} from "./TileTree.sol";

/// @notice The first descriptor of a program.
/// @param  inputs  Number of inputs, whose values are numbered first.
/// @param  nodes   Number of nodes, each with one value.
/// @param  outputs Number of outputs.
struct Counts {
    uint256 inputs;
    uint256 nodes;
    uint256 outputs;
}

/// @notice One operation of a program.
/// @param  tag        The operator, of `Operators`.
/// @param  attributes Where the attributes lie in the descriptor; they end where `operands` are counted.
/// @param  operands   Ids of the values that it reads.
/// @param  header     Type of the result.
struct Node {
    uint256 tag;
    uint256 attributes;
    uint32[] operands;
    Header header;
}

/// @notice A descriptor ends early; `offset` is where the bytes were expected.
error DescriptorTooShort(uint256 offset, uint256 expected, uint256 length);

/// @notice A descriptor goes on after its end.
error DescriptorTooLong(uint256 end, uint256 length);

/// @notice The program keeps to another arithmetic.
error UnknownProfile();

/// @notice There is no such element type.
error UnknownDType(uint256 tag);

/// @notice There is no such operator.
error UnknownOperator(uint256 tag);

/// @notice There is no such role of an input.
error UnknownRole(uint256 tag);

/// @notice A name, a list or a number of operands is longer than a program may have it.
error LongerThanAllowed(uint256 length, uint256 limit);

/// @title  Descriptors of a program
/// @notice Reads the header, an input, a node or an output of a program from its canonical bytes.
/// @dev    Of a descriptor everything is checked that it tells by itself, so that each has one form. That its operands are
///         values before it, and that types follow from one another, is the whole program's validity, which nobody but
///         whoever accepts a program checks. A name's bytes are not checked to be UTF-8. Layout: `program::encode` of
///         `reproducible_ops`; integers are little-endian, and counts take four bytes.
library Programs {
    /// @notice Most bytes of a name.
    uint256 internal constant MAX_NAME_BYTES = 256;
    /// @notice Most operands of a node.
    uint256 internal constant MAX_OPERANDS = 1 << 12;

    /// The arithmetic, as the header holds it: the length of its name, then the name, "ro1".
    // slither-disable-next-line too-many-digits
    bytes7 private constant PROFILE = 0x03000000726f31;

    /// @notice Reads the header.
    function readCounts(bytes calldata descriptor) internal pure returns (Counts memory counts) {
        if (bytes7(_slice(descriptor, 0, 7)) != PROFILE) revert UnknownProfile();
        counts = Counts(word(descriptor, 7), word(descriptor, 11), word(descriptor, 15));
        _ends(descriptor, 19);
    }

    /// @notice Reads an input: its name, its type, and its role (0 parameter, 1 state, 2 data, 3 constant).
    function readInput(bytes calldata descriptor)
        internal
        pure
        returns (bytes calldata name, Header memory header, uint256 role)
    {
        uint256 offset;
        (name, offset) = _readName(descriptor);
        (header, offset) = _readHeader(descriptor, offset);
        role = octet(descriptor, offset);
        if (role > 3) revert UnknownRole(role);
        _ends(descriptor, offset + 1);
    }

    /// @notice Reads a node.
    function readNode(bytes calldata descriptor) internal pure returns (Node memory node) {
        node.tag = octet(descriptor, 0);
        node.attributes = 1;
        uint256 offset = _skipAttributes(descriptor, node.tag);
        (node.operands, offset) = _readList(descriptor, offset, MAX_OPERANDS);
        (node.header, offset) = _readHeader(descriptor, offset);
        _ends(descriptor, offset);
    }

    /// @notice Reads an output: its name, and the id of its value.
    function readOutput(bytes calldata descriptor) internal pure returns (bytes calldata name, uint256 value) {
        uint256 offset;
        (name, offset) = _readName(descriptor);
        value = word(descriptor, offset);
        _ends(descriptor, offset + 4);
    }

    // ---- parts of a descriptor

    /// @notice The byte at a place.
    function octet(bytes calldata descriptor, uint256 offset) internal pure returns (uint256) {
        return uint8(bytes1(_slice(descriptor, offset, 1)));
    }

    /// @notice The number in the four bytes at a place.
    function word(bytes calldata descriptor, uint256 offset) internal pure returns (uint256) {
        return TileTree.swap(uint32(bytes4(_slice(descriptor, offset, 4))));
    }

    /// @notice The counted numbers at a place, at most one for each axis.
    function readAxes(bytes calldata descriptor, uint256 offset) internal pure returns (uint32[] memory axes) {
        (axes, offset) = _readList(descriptor, offset, TileTree.MAX_RANK);
    }

    /// The counted numbers at a place, and where they end.
    function _readList(bytes calldata descriptor, uint256 offset, uint256 limit)
        private
        pure
        returns (uint32[] memory list, uint256 end)
    {
        uint256 length = word(descriptor, offset);
        // INVARIANT: past this guard memory is bounded, and the place does not overflow.
        if (length > limit) revert LongerThanAllowed(length, limit);
        list = new uint32[](length);
        end = offset + 4;
        for (uint256 i = 0; i < length; ++i) {
            // forge-lint: disable-next-line(unsafe-typecast) four bytes
            list[i] = uint32(word(descriptor, end));
            end += 4;
        }
    }

    /// @notice The element type at a place.
    function readDType(bytes calldata descriptor, uint256 offset) internal pure returns (DType) {
        uint256 tag = octet(descriptor, offset);
        if (tag > uint256(type(DType).max)) revert UnknownDType(tag);
        return DType(tag);
    }

    function _readHeader(bytes calldata descriptor, uint256 offset)
        private
        pure
        returns (Header memory header, uint256 end)
    {
        header.dtype = readDType(descriptor, offset);
        (header.shape, end) = _readList(descriptor, offset + 1, TileTree.MAX_RANK);
    }

    function _readName(bytes calldata descriptor) private pure returns (bytes calldata name, uint256 end) {
        uint256 length = word(descriptor, 0);
        if (length > MAX_NAME_BYTES) revert LongerThanAllowed(length, MAX_NAME_BYTES);
        return (_slice(descriptor, 4, length), 4 + length);
    }

    /// Where the attributes end; they are checked as far as the bytes tell.
    function _skipAttributes(bytes calldata descriptor, uint256 tag) private pure returns (uint256 end) {
        if (tag > Operators.PHILOX_UNIFORM) revert UnknownOperator(tag);
        end = 1;
        if (tag == Operators.FULL) {
            readDType(descriptor, end);
            return _skipList(descriptor, end + 5);
        }
        if (tag == Operators.CAST) {
            readDType(descriptor, end);
            return end + 1;
        }
        if (tag == Operators.IOTA) return _skipList(descriptor, end) + 4;
        if (tag == Operators.SLICE || tag == Operators.PAD) return _skipList(descriptor, _skipList(descriptor, end));
        if (tag == Operators.RESHAPE || tag == Operators.PERMUTE || tag == Operators.EXPAND) {
            return _skipList(descriptor, end);
        }
        if (tag == Operators.CONCAT || tag == Operators.ONE_HOT || tag == Operators.PHILOX_UNIFORM) return end + 4;
    }

    function _skipList(bytes calldata descriptor, uint256 offset) private pure returns (uint256) {
        uint256 length = word(descriptor, offset);
        if (length > TileTree.MAX_RANK) revert LongerThanAllowed(length, TileTree.MAX_RANK);
        return offset + 4 + 4 * length;
    }

    function _slice(bytes calldata descriptor, uint256 offset, uint256 length) private pure returns (bytes calldata) {
        // INVARIANT: nothing behind the descriptor is read, and `offset + length` is far from overflow.
        if (offset + length > descriptor.length) revert DescriptorTooShort(offset, length, descriptor.length);
        return descriptor[offset:offset + length];
    }

    function _ends(bytes calldata descriptor, uint256 end) private pure {
        if (end != descriptor.length) revert DescriptorTooLong(end, descriptor.length);
    }
}
