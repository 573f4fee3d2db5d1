// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {MerkleTree} from "./MerkleTree.sol";
import {WrongCheckpoint} from "./errors.sol";

/// @title The states of a job at its checkpoints, by the top of the tree over their roots.
/// @dev leaf = sha256(0x00, root of the state). The same trees are `verde::history`.
library JobHistory {
    /// @dev Checkpoints, the initial state among them. `stride` is above 0.
    function checkpoints(uint64 steps, uint32 stride) internal pure returns (uint256) {
        return (uint256(steps) + stride - 1) / stride + 1;
    }

    /// @dev Reverts unless `state` is the one at a checkpoint.
    /// @param top Top of the tree.
    /// @param state Root of the state.
    /// @param checkpoint Number of the checkpoint.
    /// @param count Number of all checkpoints.
    /// @param siblings Hashes beside the checkpoint's path, from the leaf upwards.
    function check(bytes32 top, bytes32 state, uint256 checkpoint, uint256 count, bytes32[] calldata siblings)
        internal
        view
    {
        bytes32 opened = MerkleTree.climb(MerkleTree.leafHash(state), checkpoint, count, siblings);
        if (opened != top) revert WrongCheckpoint(checkpoint, top, opened);
    }
}
