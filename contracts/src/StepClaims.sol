// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {MoveKind} from "./Moves.sol";
import {Slices} from "./Slices.sol";

/// @notice What a worker says of a step that its claim passes over, and signs: enough for others to show that it is false.
/// @param  job    What it is about.
/// @param  before Root of the state before the step.
/// @param  next   Root of the state after it.
/// @param  states Top of the tree over the states between the checkpoints around the step; zero where it is alone between them.
/// @param  runs   Top of the tree over the roots of the step's runs.
struct StepClaim {
    uint256 job;
    bytes32 before;
    bytes32 next;
    bytes32 states;
    bytes32 runs;
}

/// @notice A move asserts what the worker has not signed.
error NotSigned(MoveKind kind);

/// @title What a worker claims of a step and signs. The EIP-712 domain is added by the contract that checks.
library StepClaims {
    using Slices for bytes;

    /// @dev EIP-712 type of it.
    bytes32 internal constant TYPE =
        keccak256("StepClaim(uint256 job,bytes32 before,bytes32 next,bytes32 states,bytes32 runs)");

    /// @dev Struct hash of it.
    function hash(StepClaim calldata s) internal pure returns (bytes32) {
        return keccak256(abi.encode(TYPE, s));
    }

    /// @dev Whether only the worker makes moves of this kind.
    function isAssertion(MoveKind kind) internal pure returns (bool) {
        return kind == MoveKind.Interval || kind == MoveKind.Step || kind == MoveKind.Numbers;
    }

    /// @dev Reverts unless an assertion says what was signed. Of an interval that is the tree over its states, in which everything
    ///      else that the move has is proved.
    function check(StepClaim calldata s, MoveKind kind, bytes calldata data) internal pure {
        bool isSigned = kind == MoveKind.Interval && data.word(64) == s.states;
        if (kind == MoveKind.Step) {
            isSigned = data.word(0) == s.before && data.word(32) == s.next && data.word(64) == s.runs;
        }
        // INVARIANT: nobody speaks for the worker but in its own words.
        if (!isSigned) revert NotSigned(kind);
    }
}
