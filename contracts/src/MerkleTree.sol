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
        bool lacks = false;
        uint256 left;
        // slither-disable-next-line assembly
        assembly ("memory-safe") {
            let preimage := mload(0x40)
            mstore8(preimage, 1)
            node := leaf
            let next := siblings.offset
            let end := add(next, shl(5, siblings.length))
            for {} gt(count, 1) {} {
                // Even, and the last one: it has no neighbour.
                if xor(or(index, 1), count) {
                    if eq(next, end) {
                        lacks := 1
                        break
                    }
                    // The node is left of its sibling where its index is even.
                    let right := shl(5, and(index, 1))
                    mstore(add(preimage, add(1, right)), node)
                    mstore(add(preimage, sub(33, right)), calldataload(next))
                    if iszero(staticcall(gas(), SHA256, preimage, 65, 0, 32)) { revert(0, 0) }
                    node := mload(0)
                    next := add(next, 32)
                }
                index := shr(1, index)
                count := shr(1, add(count, 1))
            }
            left := sub(end, next)
        }
        // INVARIANT: no sibling lacks or is left over, so that no proof has two forms.
        if (lacks || left != 0) revert WrongSiblingCount(siblings.length);
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
    function join(bytes32[] calldata nodes, uint256 levels) internal view returns (bytes32 top) {
        uint256 count = nodes.length;
        // INVARIANT: past this guard the nodes have a root, at most `levels` above them.
        if (count == 0 || (count - 1) >> levels != 0) revert WrongDescendantCount(count, levels);
        // slither-disable-next-line assembly
        assembly ("memory-safe") {
            // Behind the allocated memory: a preimage, and each level in the place of the one before.
            let preimage := mload(0x40)
            mstore8(preimage, 1)
            let level := add(preimage, 96)
            calldatacopy(level, nodes.offset, shl(5, count))
            for {} gt(count, 1) {} {
                let to := level
                let end := add(level, shl(6, shr(1, count)))
                for { let from := level } lt(from, end) { from := add(from, 64) } {
                    mcopy(add(preimage, 1), from, 64)
                    if iszero(staticcall(gas(), SHA256, preimage, 65, to, 32)) { revert(0, 0) }
                    to := add(to, 32)
                }
                // An odd one at the end moves up as it is.
                if and(count, 1) { mstore(to, mload(end)) }
                count := shr(1, add(count, 1))
            }
            top := mload(level)
        }
    }
}
