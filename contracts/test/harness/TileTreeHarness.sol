// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Header, Opening, TileTree} from "../../src/TileTree.sol";

/// @title The functions of `TileTree`, to be called from outside.
contract TileTreeHarness {
    function tensorRoot(Header calldata header, bytes32 treeRoot) external view returns (bytes32) {
        return TileTree.tensorRoot(header, treeRoot);
    }

    function flatIndex(uint32[] calldata shape, uint32[] calldata coordinates) external pure returns (uint256) {
        return TileTree.flatIndex(shape, coordinates);
    }

    function verifyTile(bytes32 root, Header calldata header, uint256 index, Opening calldata opening) external view {
        TileTree.verifyTile(root, header, index, opening);
    }

    function verifyElement(bytes32 root, Header calldata header, uint256 index, Opening calldata opening)
        external
        view
        returns (uint32)
    {
        return TileTree.verifyElement(root, header, index, opening);
    }

    /// @return Gas of opening the element when its header is in memory and the opening in the calldata.
    function gasOfElement(bytes32 root, Header memory header, uint256 index, Opening calldata opening)
        external
        view
        returns (uint256, uint32)
    {
        uint256 start = gasleft();
        uint32 bits = TileTree.verifyElement(root, header, index, opening);
        return (start - gasleft(), bits);
    }
}
