// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {MerkleTree, NodeOutOfRange, WrongDescendantCount, WrongSiblingCount} from "../src/MerkleTree.sol";
import {Test} from "./Test.sol";
import {HashTree} from "./fixtures/HashTree.sol";

/// @title Trees of a few leaves, written out.
contract MerkleTreeTest is Test {
    bytes32 private constant A = bytes32(uint256(1));
    bytes32 private constant B = bytes32(uint256(2));
    bytes32 private constant C = bytes32(uint256(3));

    function test_hashesAreTagged() public view {
        vm.assertEq(this.leafHash("content"), sha256("\x00content"));
        vm.assertEq(MerkleTree.leafHash(A), sha256(abi.encodePacked(uint8(0), A)));
        vm.assertEq(this.join(_list(A, B), 1), sha256(abi.encodePacked(uint8(1), A, B)));
    }

    function test_oddNodeMovesUp() public view {
        bytes32 root = HashTree.node(HashTree.node(A, B), C);
        vm.assertEq(this.join(_list(A, B, C), 2), root);
        vm.assertEq(this.climb(C, 2, 3, _list(HashTree.node(A, B))), root);
        vm.assertEq(this.climb(B, 1, 3, _list(A, C)), root);
    }

    function test_joinOfOneIsItself() public view {
        vm.assertEq(this.join(_list(A), 0), A);
        vm.assertEq(this.join(_list(A), 4), A);
    }

    function test_everyLeafOfSeventeenClimbsToTheJoin() public view {
        bytes32[] memory leaves = new bytes32[](17);
        for (uint256 i = 0; i < 17; ++i) {
            leaves[i] = bytes32(i + 1);
        }
        bytes32 root = this.join(leaves, 5);
        bytes32[] memory siblings = _list(leaves[1], HashTree.node(leaves[2], leaves[3]));
        bytes32[] memory half = new bytes32[](4);
        for (uint256 i = 0; i < 4; ++i) {
            half[i] = leaves[4 + i];
        }
        bytes32 fours = this.join(half, 2);
        bytes32[] memory eight = new bytes32[](8);
        for (uint256 i = 0; i < 8; ++i) {
            eight[i] = leaves[8 + i];
        }
        bytes32[] memory path = new bytes32[](5);
        (path[0], path[1], path[2], path[3], path[4]) =
        (siblings[0], siblings[1], fours, this.join(eight, 3), leaves[16]);
        vm.assertEq(this.climb(leaves[0], 0, 17, path), root);
    }

    function test_countsAreFixed() public {
        vm.expectRevert(abi.encodeWithSelector(NodeOutOfRange.selector, 3, 3));
        this.climb(A, 3, 3, _list(B));
        vm.expectRevert(abi.encodeWithSelector(WrongSiblingCount.selector, 1));
        this.climb(A, 0, 3, _list(B));
        vm.expectRevert(abi.encodeWithSelector(WrongSiblingCount.selector, 2));
        this.climb(C, 2, 3, _list(A, B));
        vm.expectRevert(abi.encodeWithSelector(WrongDescendantCount.selector, 0, 4));
        this.join(new bytes32[](0), 4);
        vm.expectRevert(abi.encodeWithSelector(WrongDescendantCount.selector, 3, 1));
        this.join(_list(A, B, C), 1);
    }

    // ---- the library takes calldata

    function leafHash(bytes calldata content) external view returns (bytes32) {
        return MerkleTree.leafHash(content);
    }

    function climb(bytes32 leaf, uint256 index, uint256 count, bytes32[] calldata siblings)
        external
        view
        returns (bytes32)
    {
        return MerkleTree.climb(leaf, index, count, siblings);
    }

    function join(bytes32[] calldata nodes, uint256 levels) external view returns (bytes32) {
        return MerkleTree.join(nodes, levels);
    }

    function _list(bytes32 a) private pure returns (bytes32[] memory list) {
        list = new bytes32[](1);
        list[0] = a;
    }

    function _list(bytes32 a, bytes32 b) private pure returns (bytes32[] memory list) {
        list = new bytes32[](2);
        (list[0], list[1]) = (a, b);
    }

    function _list(bytes32 a, bytes32 b, bytes32 c) private pure returns (bytes32[] memory list) {
        list = new bytes32[](3);
        (list[0], list[1], list[2]) = (a, b, c);
    }
}
