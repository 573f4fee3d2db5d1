// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {MerkleTree} from "./MerkleTree.sol";

/// @notice Type of a tensor's elements, four bytes each; the number is the type's tag in an encoded program.
enum DType {
    F32,
    I32,
    Bool
}

/// @notice What a tensor root binds beside the elements.
/// @param  dtype Type of the elements.
/// @param  shape Lengths of the axes, outermost first; none for a scalar.
struct Header {
    DType dtype;
    uint32[] shape;
}

/// @notice One tile of a tensor, and what proves it.
/// @param  tile     Bytes of its elements, each little-endian.
/// @param  siblings Hashes beside the path from its leaf up to the root of the tree.
struct Opening {
    bytes tile;
    bytes32[] siblings;
}

/// @notice The shape has more axes than `MAX_RANK`.
error TooManyAxes(uint256 rank);

/// @notice The shape has more elements than `MAX_ELEMENTS`.
error TooManyElements(uint256 elements);

/// @notice There are not as many coordinates as axes.
error WrongRank(uint256 coordinates, uint256 rank);

/// @notice A coordinate is not below the length of its axis.
error CoordinateOutOfRange(uint256 axis, uint256 coordinate, uint256 length);

/// @notice The tensor has no such element.
error ElementOutOfRange(uint256 index, uint256 elements);

/// @notice The tensor has no such tile.
error TileOutOfRange(uint256 index, uint256 tiles);

/// @notice The tile's length does not follow from the shape and its place. Both in bytes.
error WrongTileLength(uint256 given, uint256 expected);

/// @notice Header, tile and siblings lead to another root.
error RootMismatch(bytes32 found, bytes32 expected);

/// @title  SHA-256 trees over the tiles of a tensor
/// @notice Opens single elements of a tensor of which only the root is known.
/// @dev    A row is what the last axis runs over; a scalar is one row of one element. A row is cut into tiles of 256
///         elements, the last one shorter; no tile crosses the end of a row. Tiles are numbered through all rows in order.
///
///           leaf = hash of a leaf whose content is the tile: its elements, each little-endian
///           root = sha256(0x02, dtype, rank, length of each axis in 4 bytes little-endian, root of the tree)
///
///         The tree is that of `MerkleTree`. The tree of no tile, of a tensor with an axis of length zero, is 32 zero bytes:
///         nothing of it can be opened.
///
///         What is malformed reverts, so that it decides nothing.
library TileTree {
    /// @notice Elements of a tile that is not cut off by the end of its row.
    uint256 internal constant TILE = 256;
    /// @notice Most axes of a tensor.
    uint256 internal constant MAX_RANK = 8;
    /// @notice Most elements of a tensor, as in a program; it bounds the height of a tree by 31.
    uint256 internal constant MAX_ELEMENTS = 1 << 31;

    uint256 private constant WORD = 4;
    /// Address of the SHA-256 precompile.
    uint256 private constant SHA256 = 2;
    // Bits, not amounts.
    // slither-disable-start too-many-digits
    uint256 private constant EVEN_BYTES = 0x00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff;
    uint256 private constant EVEN_PAIRS = 0x0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff;

    // slither-disable-end too-many-digits

    /// @notice Root of a tensor whose tiles have the given tree.
    function tensorRoot(Header memory header, bytes32 treeRoot) internal view returns (bytes32 root) {
        (uint256 dtype, uint256 rank, uint256 lengths) = (uint256(header.dtype), header.shape.length, 0);
        if (rank > MAX_RANK) revert TooManyAxes(rank);
        for (uint256 axis = 0; axis < rank; ++axis) {
            lengths |= uint256(swap(header.shape[axis])) << (224 - 32 * axis);
        }
        // What lies behind the allocated memory, as in `MerkleTree`.
        // slither-disable-next-line assembly
        assembly ("memory-safe") {
            let preimage := mload(0x40)
            mstore8(preimage, 2)
            mstore8(add(preimage, 1), dtype)
            mstore8(add(preimage, 2), rank)
            mstore(add(preimage, 3), lengths)
            let end := add(preimage, add(3, shl(2, rank)))
            mstore(end, treeRoot)
            if iszero(staticcall(gas(), SHA256, preimage, sub(add(end, 32), preimage), 0, 32)) {
                revert(0, 0)
            }
            root := mload(0)
        }
    }

    /// @notice Bits of an element of the tensor with this root. Reverts unless the opening is that of the element's tile.
    /// @param  index Place in row-major order.
    function verifyElement(bytes32 root, Header memory header, uint256 index, Opening calldata opening)
        internal
        view
        returns (uint32)
    {
        (uint256 tile, uint256 start) = placeOf(header.shape, index);
        verifyTile(root, header, tile, opening);
        // forge-lint: disable-next-line(unsafe-typecast) a word has 32 bits
        return uint32(wordAt(opening.tile, start));
    }

    /// @notice The tile that holds an element, and the first of the element's bytes there.
    function placeOf(uint32[] memory shape, uint256 index) internal pure returns (uint256 tile, uint256 start) {
        (uint256 rows, uint256 width) = _extent(shape);
        // INVARIANT: past this guard a row has at least one element.
        if (index >= rows * width) revert ElementOutOfRange(index, rows * width);
        (uint256 row, uint256 column) = (index / width, index % width);
        // The row is meant to be whole.
        // slither-disable-next-line divide-before-multiply
        return (row * _tilesOfRow(width) + column / TILE, WORD * (column % TILE));
    }

    /// @notice Reverts unless the opening is that of tile `index` of the tensor with this root.
    function verifyTile(bytes32 root, Header memory header, uint256 index, Opening calldata opening) internal view {
        (uint256 rows, uint256 width) = _extent(header.shape);
        _verify(root, header, index, rows, width, opening.tile, opening.siblings);
    }

    /// @notice Place in row-major order of the element with these coordinates, outermost first.
    function flatIndex(uint32[] memory shape, uint32[] memory coordinates) internal pure returns (uint256 index) {
        _extent(shape);
        if (coordinates.length != shape.length) revert WrongRank(coordinates.length, shape.length);
        for (uint256 axis = 0; axis < shape.length; ++axis) {
            (uint256 coordinate, uint256 length) = (coordinates[axis], shape[axis]);
            if (coordinate >= length) revert CoordinateOutOfRange(axis, coordinate, length);
            index = index * length + coordinate;
        }
    }

    function _verify(
        bytes32 root,
        Header memory header,
        uint256 index,
        uint256 rows,
        uint256 width,
        bytes calldata tile,
        bytes32[] calldata siblings
    ) private view {
        uint256 tiles = rows * _tilesOfRow(width);
        if (index >= tiles) revert TileOutOfRange(index, tiles);
        // INVARIANT: a tile has the length that its place gives it, so that no bytes have two meanings.
        uint256 length = WORD * Math.min(TILE, width - index % _tilesOfRow(width) * TILE);
        if (tile.length != length) revert WrongTileLength(tile.length, length);
        bytes32 found = tensorRoot(header, MerkleTree.climb(MerkleTree.leafHash(tile), index, tiles, siblings));
        if (found != root) revert RootMismatch(found, root);
    }

    // ---- geometry

    /// @notice Tiles of a tensor, and elements of each of its rows.
    function tiling(Header memory header) internal pure returns (uint256 tiles, uint256 width) {
        uint256 rows;
        (rows, width) = _extent(header.shape);
        tiles = rows * _tilesOfRow(width);
    }

    /// @notice The first element of a tile, in row-major order, and how many it has. Of a row with no element there is none.
    function elementsOfTile(uint256 width, uint256 index) internal pure returns (uint256 first, uint256 length) {
        uint256 ofRow = _tilesOfRow(width);
        uint256 column = index % ofRow * TILE;
        // The row is meant to be whole.
        // slither-disable-next-line divide-before-multiply
        return (index / ofRow * width + column, Math.min(TILE, width - column));
    }

    /// Rows, and elements of each.
    function _extent(uint32[] memory shape) private pure returns (uint256 rows, uint256 width) {
        if (shape.length > MAX_RANK) revert TooManyAxes(shape.length);
        (rows, width) = (1, 1);
        for (uint256 axis = 0; axis < shape.length; ++axis) {
            (rows, width) = (rows * width, shape[axis]);
        }
        if (rows * width > MAX_ELEMENTS) revert TooManyElements(rows * width);
    }

    function _tilesOfRow(uint256 width) private pure returns (uint256) {
        return Math.ceilDiv(width, TILE);
    }

    /// @notice The number in the four bytes from `start` on, which the caller knows to be there.
    function wordAt(bytes calldata tile, uint256 start) internal pure returns (uint256 word) {
        // Blocks of reductions read every word of a tile: a slice with its checks would cost several times as much.
        // slither-disable-next-line assembly
        assembly ("memory-safe") {
            word := shr(224, calldataload(add(tile.offset, start)))
        }
        return word >> 24 | (word >> 8 & 0xff00) | (word & 0xff00) << 8 | (word & 0xff) << 24;
    }

    /// @notice The eight numbers in the 32 bytes from `start` on, the first of them highest. What is not there is anything.
    function wordsAt(bytes calldata tile, uint256 start) internal pure returns (uint256 words) {
        // slither-disable-next-line assembly
        assembly ("memory-safe") {
            words := calldataload(add(tile.offset, start))
        }
        words = (words & EVEN_BYTES) << 8 | (words >> 8) & EVEN_BYTES;
        return (words & EVEN_PAIRS) << 16 | (words >> 16) & EVEN_PAIRS;
    }

    /// @notice The four bytes in the opposite order.
    function swap(uint32 x) internal pure returns (uint32) {
        return x >> 24 | (x >> 8 & 0xff00) | (x & 0xff00) << 8 | x << 24;
    }
}
