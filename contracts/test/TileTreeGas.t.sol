// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {DType, Header, Opening, TileTree} from "../src/TileTree.sol";
import {Test} from "./Test.sol";
import {TensorModel} from "./fixtures/TensorModel.sol";
import {TileTreeHarness} from "./harness/TileTreeHarness.sol";

/// @title Gas of opening one element of a tensor of 2^20, calldata and the call itself left out.
contract TileTreeGasTest is Test {
    /// Of a full tree only the path matters, so the siblings can be any.
    function test_gasOfElement() public {
        Header memory header = Header(DType.F32, new uint32[](2));
        (header.shape[0], header.shape[1]) = (1024, 1024);
        uint256 tile = 0xabc;
        Opening memory opening = Opening(TensorModel.bytesOf(header.shape, tile), new bytes32[](12));
        bytes32 node = sha256(bytes.concat(hex"00", opening.tile));
        for (uint256 i = 0; i < 12; ++i) {
            opening.siblings[i] = bytes32(i + 1);
            (bytes32 left, bytes32 right) = tile >> i & 1 == 0 ? (node, bytes32(i + 1)) : (bytes32(i + 1), node);
            node = sha256(bytes.concat(hex"01", left, right));
        }
        (uint256 gas,) =
            new TileTreeHarness().gasOfElement(TileTree.tensorRoot(header, node), header, tile * 256 + 77, opening);
        vm.snapshotValue("TileTree", "open an element of 2^20", gas);
    }
}
