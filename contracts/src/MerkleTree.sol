// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

/// @notice The level has no such node.
error NodeOutOfRange(uint256 index, uint256 count);

/// @notice The path to the root has more or fewer siblings than were given.
error WrongSiblingCount(uint256 given);

/// @notice A node has from 1 to 2^levels descendants so many levels below it.
error WrongDescendantCount(uint256 given, uint256 levels);

/// @title  Binary SHA-256 trees
/// @notice Hashes leaves and nodes, climbs from a leaf to the root, and joins the descendants of a node.
/// @dev    leaf = sha256(0x00, content), node = sha256(0x01, left, right)
///
///         A level is made of the one below by pairing neighbours from the left; an odd one at the end moves up as it is.
///         So the number of leaves and a leaf's index fix the path and its siblings. The tree of one leaf is that leaf, and
///         the tree of none is 32 zero bytes, of which nothing can be opened. The same trees are `verde::tree`.
library MerkleTree {
    /// @notice The root of a tree without leaves.
    bytes32 internal constant EMPTY = 0;

    /// Address of the SHA-256 precompile.
    uint256 private constant SHA256 = 2;

    /// @notice Hash of a leaf's content.
    /// @dev    Assembly, here and below, because Solidity would allocate memory for each preimage: these use what lies
    ///         behind the allocated memory and leave it free.
    function leafHash(bytes calldata content) internal view returns (bytes32 digest) {
        // slither-disable-next-line assembly
        assembly ("memory-safe") {
            let preimage := mload(0x40)
            mstore8(preimage, 0)
            calldatacopy(add(preimage, 1), content.offset, content.length)
            if iszero(staticcall(gas(), SHA256, preimage, add(content.length, 1), 0, 32)) { revert(0, 0) }
            digest := mload(0)
        }
    }

    /// @notice Hash of a leaf whose content is one word, such as another tree's root.
    function leafHash(bytes32 content) internal view returns (bytes32 digest) {
        // slither-disable-next-line assembly
        assembly ("memory-safe") {
            mstore8(0, 0)
            mstore(1, content)
            if iszero(staticcall(gas(), SHA256, 0, 33, 0, 32)) { revert(0, 0) }
            digest := mload(0)
        }
    }

    /// @notice Hash of two neighbours.
    function nodeHash(bytes32 left, bytes32 right) internal view returns (bytes32 digest) {
        // slither-disable-next-line assembly
        assembly ("memory-safe") {
            let preimage := mload(0x40)
            mstore8(preimage, 1)
            mstore(add(preimage, 1), left)
            mstore(add(preimage, 33), right)
            if iszero(staticcall(gas(), SHA256, preimage, 65, 0, 32)) { revert(0, 0) }
            digest := mload(0)
        }
    }

    /// @notice The root of a tree of `count` leaves of which this one has the given index.
    /// @dev    A wrong leaf or sibling leads to another root. Nodes of any level can be climbed from alike.
    /// @param  siblings Hashes beside the path, from the leaf upwards.
    function climb(bytes32 leaf, uint256 index, uint256 count, bytes32[] calldata siblings)
        internal
        view
        returns (bytes32 node)
    {
        // INVARIANT: past this guard the index stays below the count on every level.
        if (index >= count) revert NodeOutOfRange(index, count);
        unchecked {
            node = leaf;
            uint256 used = 0;
            for (; count > 1; (index, count) = (index >> 1, (count + 1) >> 1)) {
                // Even, and the last one: it has no neighbour.
                if (index | 1 == count) continue;
                if (used == siblings.length) revert WrongSiblingCount(used);
                bytes32 sibling = siblings[used++];
                node = index & 1 == 0 ? nodeHash(node, sibling) : nodeHash(sibling, node);
            }
            // INVARIANT: no sibling is left over, so that no proof has two forms.
            if (used != siblings.length) revert WrongSiblingCount(siblings.length);
        }
    }

    /// @notice Levels of the root of a tree above its leaves.
    function heightOf(uint256 leaves) internal pure returns (uint256) {
        return Math.log2(leaves, Math.Rounding.Ceil);
    }

    /// @notice Nodes of the level `height` above the leaves.
    function widthAt(uint256 leaves, uint256 height) internal pure returns (uint256) {
        // Each level has half as many, rounded up; so has a number of them together.
        // forge-lint: disable-next-line(incorrect-shift) a power of two is meant
        return (leaves + (1 << height) - 1) >> height;
    }

    /// @notice The node of which these are all descendants `levels` below it, in order.
    function join(bytes32[] calldata nodes, uint256 levels) internal view returns (bytes32) {
        uint256 count = nodes.length;
        // INVARIANT: past this guard the nodes have a root, at most `levels` above them.
        if (count == 0 || (count - 1) >> levels != 0) revert WrongDescendantCount(count, levels);
        bytes32[] memory level = nodes;
        for (; count > 1; count = (count + 1) >> 1) {
            for (uint256 i = 0; i < count; i += 2) {
                level[i >> 1] = i + 1 < count ? nodeHash(level[i], level[i + 1]) : level[i];
            }
        }
        return level[0];
    }
}
