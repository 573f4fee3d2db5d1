// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title The consent of an owner and a node to belong together. The EIP-712 domain is added by the contract that checks.
library Binding {
    /// @dev EIP-712 type of the consent.
    bytes32 internal constant TYPE = keccak256("Binding(address owner,address node,uint256 nonce,uint256 expiry)");

    /// @dev Struct hash of a consent.
    function hash(address owner, address node, uint256 nonce, uint256 expiry) internal pure returns (bytes32) {
        return keccak256(abi.encode(TYPE, owner, node, nonce, expiry));
    }
}
