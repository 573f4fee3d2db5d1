// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Claim, Scores} from "./types.sol";

/// @title The hashes of what is signed or proved. The EIP-712 domain is added by the contract that checks.
library Statements {
    /// @dev EIP-712 type of the consent of an owner and a node to belong together.
    bytes32 internal constant BINDING_TYPE =
        keccak256("Binding(address owner,address node,uint256 nonce,uint256 expiry)");

    /// @dev EIP-712 type of the outcome of an epoch.
    bytes32 internal constant SCORES_TYPE =
        keccak256("EpochScores(uint64 epoch,bytes32 root,uint32 members,uint128 points,bytes32 transcript)");

    /// @dev Struct hash of a binding.
    function hashBinding(address owner, address node, uint256 nonce, uint256 expiry) internal pure returns (bytes32) {
        return keccak256(abi.encode(BINDING_TYPE, owner, node, nonce, expiry));
    }

    /// @dev Struct hash of an epoch's scores.
    function hashScores(Scores calldata s) internal pure returns (bytes32) {
        return keccak256(abi.encode(SCORES_TYPE, s.epoch, s.root, s.members, s.points, s.transcript));
    }

    /// @dev Merkle leaf of a claim; hashed twice so that an inner node of the tree can never pass for a leaf.
    function hashLeaf(Claim calldata c) internal pure returns (bytes32) {
        return keccak256(bytes.concat(keccak256(abi.encode(c.epoch, c.index, c.node, c.points))));
    }
}
