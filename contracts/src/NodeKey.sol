// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title The secp256k1 public key of a node: its address here, and the bytes its peer id derives from.
/// @dev That a point lies on the curve is not checked: only a real key can sign for the address of one.
library NodeKey {
    /// @dev The Ethereum address of the key.
    function toAddress(bytes32 x, bytes32 y) internal pure returns (address) {
        return address(uint160(uint256(keccak256(abi.encode(x, y)))));
    }

    /// @dev The 33 bytes of the compressed form (SEC 1, 2.3.3): the parity of `y`, then `x`.
    function compress(bytes32 x, bytes32 y) internal pure returns (bytes memory) {
        bytes1 prefix = uint256(y) % 2 == 0 ? bytes1(0x02) : bytes1(0x03);
        return bytes.concat(prefix, x);
    }
}
