// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Epoch, Points} from "./types.sol";

/// @notice What epochs were worth and to whom: what members sign, and what becomes final.
/// @param since First epoch that it covers: the one after the last final epoch.
/// @param epoch Last epoch that it covers.
/// @param root Merkle root over all owners and what each ever earned, this outcome included.
/// @param points Sum of the points of these epochs, above 0.
/// @param certificates SHA-256 over the decided rounds that the table was computed from.
struct Outcome {
    Epoch since;
    Epoch epoch;
    bytes32 root;
    Points points;
    bytes32 certificates;
}

/// @title The hashes of outcomes, and the vote against one.
/// @dev A vote signs the EIP-712 struct `Outcome` with the voting owner in it. A *refusal* is a vote that a proposal is false or
///      was shown without evidence, whatever is right: an outcome without root and points whose `certificates` are the hash of
///      the refused one. It is needed where nothing right can be proposed at all, as when no point was earned.
library Outcomes {
    /// @dev EIP-712 type of a vote.
    bytes32 internal constant VOTE_TYPE =
        keccak256("Outcome(address owner,uint64 since,uint64 epoch,bytes32 root,uint128 points,bytes32 certificates)");

    /// @dev What an outcome is known by here: the hash of its five words.
    function hash(Outcome memory self) internal pure returns (bytes32) {
        return keccak256(abi.encode(self));
    }

    /// @dev What every vote for this hashes, with room for the owner: so that a list of votes encodes the outcome once.
    function ballot(Outcome memory self) internal pure returns (bytes memory) {
        return abi.encode(VOTE_TYPE, address(0), self.since, self.epoch, self.root, self.points, self.certificates);
    }

    /// @dev Struct hash of the vote of `owner`; writes the owner into the ballot.
    function voteHash(bytes memory ballot_, address owner) internal pure returns (bytes32 hash_) {
        // slither-disable-next-line assembly
        assembly ("memory-safe") {
            mstore(add(ballot_, 64), shr(96, shl(96, owner)))
            hash_ := keccak256(add(ballot_, 32), mload(ballot_))
        }
    }

    /// @dev Whether a vote for this is a vote against the outcome with hash `refused`.
    function isRefusalOf(Outcome memory self, bytes32 refused) internal pure returns (bool) {
        return self.root == 0 && Points.unwrap(self.points) == 0 && self.certificates == refused;
    }
}
