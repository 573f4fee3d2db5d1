// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Bounds} from "./Bounds.sol";
import {PlanCounts} from "./IJobs.sol";
import {MerkleTree} from "./MerkleTree.sol";
import {WrongPlan} from "./errors.sol";

/// @title The plan of a job: that its digest and the counts of its parts belong together.
/// @dev digest = sha256(0x05, root of the tree over: header, programs, constants, state, given, runs, next)
///      header = "plan 1", five counts of 4 bytes each, little-endian
///      The same digest is `verde::plan`.
library JobPlan {
    /// @dev Most programs.
    uint256 internal constant MAX_PROGRAMS = 256;

    /// @dev Most constants, tensors of the state, and runs, of each.
    uint256 internal constant MAX_SLOTS = 1 << 16;

    /// @dev Reverts unless there is something to do and to dispute, within the limits of a plan.
    function checkCounts(PlanCounts calldata counts) internal pure {
        Bounds.check("programs", counts.programs, 1, MAX_PROGRAMS);
        Bounds.check("constants", counts.constants, 0, MAX_SLOTS);
        Bounds.check("state", counts.state, 1, MAX_SLOTS);
        // What is given to a step is bound by no root that a contract knows, so it could not be disputed.
        Bounds.check("given", counts.given, 0, 0);
        Bounds.check("runs", counts.runs, 1, MAX_SLOTS);
    }

    /// @dev Reverts unless the plan `digest` has these parts.
    /// @param siblings Hashes beside the path of the plan's first part, from the leaf upwards.
    function checkDigest(bytes32 digest, PlanCounts calldata counts, bytes32[] calldata siblings) internal view {
        bytes32 root = MerkleTree.climb(_header(counts), 0, parts(counts), siblings);
        bytes32 opened = sha256(abi.encodePacked(uint8(5), root));
        // INVARIANT: a game reads parts of the plan at the places that its own first part fixes.
        if (opened != digest) revert WrongPlan(digest, opened);
    }

    /// @dev Parts of a plan: its header, each part counted there, and where the next state comes from.
    function parts(PlanCounts calldata counts) internal pure returns (uint256) {
        return uint256(counts.programs) + counts.constants + counts.state + counts.given + counts.runs + 2;
    }

    function _header(PlanCounts calldata counts) private pure returns (bytes32) {
        bytes20 numbers = bytes20(
            abi.encodePacked(
                _littleEndian(counts.programs),
                _littleEndian(counts.constants),
                _littleEndian(counts.state),
                _littleEndian(counts.given),
                _littleEndian(counts.runs)
            )
        );
        return sha256(abi.encodePacked(uint8(0), "plan 1", numbers));
    }

    function _littleEndian(uint32 number) private pure returns (uint32) {
        number = (number & 0x00ff00ff) << 8 | (number >> 8) & 0x00ff00ff;
        return number << 16 | number >> 16;
    }
}
