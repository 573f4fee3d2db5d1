// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Units} from "./types.sol";

/// @notice One leaf of the table of earnings with its proof.
/// @param owner Who earned.
/// @param earned What it ever earned.
/// @param proof Siblings from the leaf to the root.
struct Claim {
    address owner;
    Units earned;
    bytes32[] proof;
}

/// @title The leaves of the table of earnings.
library Earnings {
    /// @dev Merkle leaf of a claim; hashed twice so that an inner node of the tree can never pass for a leaf.
    function leaf(Claim calldata self) internal pure returns (bytes32) {
        return keccak256(bytes.concat(keccak256(abi.encode(self.owner, self.earned))));
    }
}
