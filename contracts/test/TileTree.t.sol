// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {
    CoordinateOutOfRange,
    DType,
    ElementOutOfRange,
    Header,
    Opening,
    RootMismatch,
    TileOutOfRange,
    TileTree,
    TooManyAxes,
    TooManyElements,
    WrongRank,
    WrongTileLength
} from "../src/TileTree.sol";
import {WrongSiblingCount} from "../src/MerkleTree.sol";
import {Test} from "./Test.sol";
import {TensorModel} from "./fixtures/TensorModel.sol";
import {TileTreeHarness} from "./harness/TileTreeHarness.sol";

/// @title Opening elements of tensors, and every way in which an opening is refused.
contract TileTreeTest is Test {
    using TensorModel for TensorModel.Tensor;

    TileTreeHarness private tree = new TileTreeHarness();

    // ---- roots

    /// The roots were computed by another program, written after the definition.
    function test_rootsAreKnown() public pure {
        _hasRoot(_shape(), DType.F32, 0x333bf521018f84e6be5b002d5e0d6b17daa23a49e561e3e3df4d98bc5ea743b8);
        _hasRoot(_shape(5), DType.F32, 0xda9ffdfa1eee944cf1c0a97154f3a72f4acca2b38bf1e3380a9f3cc75f581e56);
        _hasRoot(_shape(2, 300), DType.I32, 0xfc80d34c2be3086123f7b1b70933548c7b149331aeca2bd360c4b74aedf45453);
        _hasRoot(_shape(3, 1, 256), DType.F32, 0x978271a9e0cd1226d76e5394ea30700530e92fd495ac37ee66a91d0a872ee633);
        _hasRoot(_shape(3, 0), DType.Bool, 0x3ef1b8e6cf19ac94d25da688537051dab6a13a5b7494718fd09438bba7a0fe53);
    }

    function test_rootBindsEightAxes() public view {
        Header memory header = Header(DType.F32, new uint32[](8));
        for (uint32 axis = 0; axis < 8; ++axis) {
            header.shape[axis] = axis + 1;
        }
        header.shape[7] = 0x01020304;
        bytes32 root = tree.tensorRoot(header, bytes32(0xee * (type(uint256).max / 0xff)));
        vm.assertEq(root, 0xe8c516d9b9b0d65c6ab2656d27c7fd4ca83d555ce71a1861a04981240631a8c6);
    }

    function test_nineAxesAreRefused() public {
        Header memory header = Header(DType.F32, new uint32[](9));
        vm.expectRevert(abi.encodeWithSelector(TooManyAxes.selector, 9));
        tree.tensorRoot(header, 0);
        vm.expectRevert(abi.encodeWithSelector(TooManyAxes.selector, 9));
        tree.verifyElement(0, header, 0, _nothing());
    }

    // ---- openings

    function test_everyElementOpens() public view {
        _opensEverywhere(_shape());
        _opensEverywhere(_shape(1));
        _opensEverywhere(_shape(256));
        _opensEverywhere(_shape(257));
        _opensEverywhere(_shape(7, 3));
        _opensEverywhere(_shape(3, 300));
    }

    function testFuzz_elementOpens(uint256 rows, uint256 width, uint256 element) public view {
        TensorModel.Tensor memory tensor = _tensor(_shape(uint32(bound(rows, 1, 9)), uint32(bound(width, 1, 600))));
        _opens(tensor, tensor.root(), bound(element, 0, tensor.elements() - 1));
    }

    function testFuzz_changedByteIsRefused(uint256 width, uint256 place, uint8 change) public {
        TensorModel.Tensor memory tensor = _tensor(_shape(3, uint32(bound(width, 1, 600))));
        Opening memory opening = tensor.open(1);
        place = bound(place, 0, opening.tile.length - 1);
        opening.tile[place] ^= bytes1(uint8(bound(change, 1, 255)));
        _mismatches(tensor, tensor.header, 1, opening);
    }

    function testFuzz_changedSiblingIsRefused(uint256 tile, uint256 place, bytes32 change) public {
        TensorModel.Tensor memory tensor = _tensor(_shape(13, 7));
        tile = bound(tile, 0, 12);
        Opening memory opening = tensor.open(tile);
        place = bound(place, 0, opening.siblings.length - 1);
        vm.assume(change != 0);
        opening.siblings[place] ^= change;
        _mismatches(tensor, tensor.header, tile, opening);
    }

    function testFuzz_otherPlaceIsRefused(uint256 tile, uint256 other) public {
        TensorModel.Tensor memory tensor = _tensor(_shape(13, 7));
        (tile, other) = (bound(tile, 0, 12), bound(other, 0, 12));
        vm.assume(tile != other);
        (bytes32 root, Opening memory opening) = (tensor.root(), tensor.open(tile));
        vm.expectRevert();
        tree.verifyTile(root, tensor.header, other, opening);
    }

    function test_otherHeaderIsRefused() public {
        TensorModel.Tensor memory tensor = _tensor(_shape(4, 6));
        Opening memory opening = tensor.open(0);
        _mismatches(tensor, Header(DType.F32, tensor.header.shape), 0, opening);
        _mismatches(tensor, Header(DType.I32, _shape(2, 2, 6)), 0, opening);
        _mismatches(tensor, Header(DType.I32, _shape(4, 1, 6)), 0, opening);
    }

    // ---- malformed openings

    function test_numberOfSiblingsIsFixed() public {
        TensorModel.Tensor memory tensor = _tensor(_shape(5, 7));
        vm.assertEq(tensor.open(0).siblings.length, 3);
        // The last of five leaves moves up twice.
        Opening memory opening = tensor.open(4);
        vm.assertEq(opening.siblings.length, 1);
        tree.verifyTile(tensor.root(), tensor.header, 4, opening);
        _wrongSiblings(tensor, Opening(opening.tile, new bytes32[](0)));
        _wrongSiblings(tensor, Opening(opening.tile, new bytes32[](2)));
    }

    function test_lengthOfTileIsFixed() public {
        TensorModel.Tensor memory tensor = _tensor(_shape(2, 300));
        (Opening memory whole, Opening memory rest) = (tensor.open(0), tensor.open(1));
        vm.expectRevert(abi.encodeWithSelector(WrongTileLength.selector, 1024, 44 * 4));
        tree.verifyTile(0, tensor.header, 1, whole);
        vm.expectRevert(abi.encodeWithSelector(WrongTileLength.selector, 44 * 4, 1024));
        tree.verifyTile(0, tensor.header, 2, rest);
    }

    function test_placesEndWithTheTensor() public {
        Header memory header = Header(DType.F32, _shape(2, 300));
        vm.expectRevert(abi.encodeWithSelector(ElementOutOfRange.selector, 600, 600));
        tree.verifyElement(0, header, 600, _nothing());
        vm.expectRevert(abi.encodeWithSelector(TileOutOfRange.selector, 4, 4));
        tree.verifyTile(0, header, 4, _nothing());
    }

    function test_nothingOfAnEmptyTensorOpens() public {
        Header memory header = Header(DType.F32, _shape(3, 0));
        vm.expectRevert(abi.encodeWithSelector(ElementOutOfRange.selector, 0, 0));
        tree.verifyElement(0, header, 0, _nothing());
        vm.expectRevert(abi.encodeWithSelector(TileOutOfRange.selector, 0, 0));
        tree.verifyTile(0, header, 0, _nothing());
    }

    function test_tooManyElementsAreRefused() public {
        Header memory header = Header(DType.F32, _shape(1 << 16, 1 << 15, 2));
        vm.expectRevert(abi.encodeWithSelector(TooManyElements.selector, uint256(1) << 32));
        tree.verifyTile(0, header, 0, _nothing());
    }

    // ---- coordinates

    function testFuzz_coordinatesCountInRowMajorOrder(uint32 i, uint32 j, uint32 k) public view {
        (i, j, k) = (uint32(bound(i, 0, 3)), uint32(bound(j, 0, 4)), uint32(bound(k, 0, 5)));
        vm.assertEq(tree.flatIndex(_shape(4, 5, 6), _shape(i, j, k)), (uint256(i) * 5 + j) * 6 + k);
        vm.assertEq(tree.flatIndex(_shape(), _shape()), 0);
    }

    function test_coordinatesAreChecked() public {
        vm.expectRevert(abi.encodeWithSelector(WrongRank.selector, 1, 2));
        tree.flatIndex(_shape(4, 5), _shape(1));
        vm.expectRevert(abi.encodeWithSelector(CoordinateOutOfRange.selector, 1, 5, 5));
        tree.flatIndex(_shape(4, 5), _shape(1, 5));
    }

    // ---- words

    function _tensor(uint32[] memory shape) private pure returns (TensorModel.Tensor memory) {
        return TensorModel.build(Header(DType.I32, shape));
    }

    function _hasRoot(uint32[] memory shape, DType dtype, bytes32 root) private pure {
        vm.assertEq(TensorModel.build(Header(dtype, shape)).root(), root);
    }

    function _opensEverywhere(uint32[] memory shape) private view {
        TensorModel.Tensor memory tensor = _tensor(shape);
        bytes32 root = tensor.root();
        for (uint256 i = 0; i < tensor.elements(); ++i) {
            _opens(tensor, root, i);
        }
    }

    function _opens(TensorModel.Tensor memory tensor, bytes32 root, uint256 element) private view {
        (uint256 tile, uint32 bits) = tensor.find(element);
        vm.assertEq(tree.verifyElement(root, tensor.header, element, tensor.open(tile)), bits);
    }

    function _mismatches(TensorModel.Tensor memory tensor, Header memory header, uint256 tile, Opening memory opening)
        private
    {
        bytes32 root = tensor.root();
        vm.expectPartialRevert(RootMismatch.selector);
        tree.verifyTile(root, header, tile, opening);
    }

    function _wrongSiblings(TensorModel.Tensor memory tensor, Opening memory opening) private {
        vm.expectRevert(abi.encodeWithSelector(WrongSiblingCount.selector, opening.siblings.length));
        tree.verifyTile(0, tensor.header, 4, opening);
    }

    function _nothing() private pure returns (Opening memory) {
        return Opening("", new bytes32[](0));
    }

    function _shape() private pure returns (uint32[] memory) {
        return new uint32[](0);
    }

    function _shape(uint32 a) private pure returns (uint32[] memory shape) {
        shape = new uint32[](1);
        shape[0] = a;
    }

    function _shape(uint32 a, uint32 b) private pure returns (uint32[] memory shape) {
        shape = new uint32[](2);
        (shape[0], shape[1]) = (a, b);
    }

    function _shape(uint32 a, uint32 b, uint32 c) private pure returns (uint32[] memory shape) {
        shape = new uint32[](3);
        (shape[0], shape[1], shape[2]) = (a, b, c);
    }
}
