// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Part, ProgramOfRun} from "./Plans.sol";
import {Malformed, Slices} from "./Slices.sol";
import {Opening} from "./TileTree.sol";

/// @notice What a move does. *Openings* show what is below a hash that stands already: they are right or refused, and the
///         challenger may make them too. *Assertions* say what was committed to nowhere; only the worker makes them.
enum MoveKind {
    Reveal,
    Interval,
    Step,
    Run,
    Value,
    Tile,
    State,
    Slot,
    Numbers,
    Pick,
    ContestNext,
    ProveNext,
    ProveInput,
    Ask,
    PickNumber,
    Prove
}

/// @notice Which tensor a source of the plan is.
/// @param  root     Root of the tensor.
/// @param  siblings Hashes beside its path: in the tree of the state before, or in that of the run's values.
/// @param  part     Its part of the plan: the state's, or the constant's. Of an output: its descriptor.
/// @param  program  Of an output: the run's program.
/// @param  values   Of an output: top of the tree over the run's values.
/// @param  runPath  Of an output: hashes beside the run's path.
struct SourceProof {
    bytes32 root;
    bytes32[] siblings;
    Part part;
    ProgramOfRun program;
    bytes32 values;
    bytes32[] runPath;
}

/// @notice A tensor of the next state is not what the plan binds it to.
struct ProveNext {
    Part next;
    SourceProof source;
}

/// @notice An input of a run is not what the plan binds it to.
struct ProveInput {
    Part run;
    SourceProof source;
}

/// @title  Reading moves
/// @notice Moves as a call has them, one behind another: a byte for the kind, three for the length of the data, the data.
/// @dev    Where `proof` stands, the data end with an ABI-encoded struct, without the offset that would lead to it. What else they
///         are, in this order (numbers begin with their highest byte; a hash has 32 bytes):
///
///           Reveal        the nodes, all on one level, as many as the position says
///           Interval      before, next, states; in a byte each, how many hashes stand beside the paths of `before` in the tree of
///                         checkpoints and of the first of the states in theirs; these hashes, then those beside the last's path
///           Step          before, next, the top of the tree over the runs; hashes beside the path of `before`
///           Run           top of the tree over its values; proof `ProgramOfRun`
///           Value         top of the tree over its tiles; proof `Part`, the descriptor of its input or node
///           Tile          its elements, each little-endian
///           State         top of the tree over its tensors
///           Slot          root of the tensor; proof `Part` of the plan
///           Numbers       the numbers, four bytes each
///           Pick          the node's height in a byte and its index in eight, its hash; hashes beside its path up to the one that was
///                         in doubt
///           ContestNext   nothing
///           ProveNext     proof `ProveNext`
///           ProveInput    proof `ProveInput`
///           Ask           the element's place in the tile in four bytes; the node's operands
///           PickNumber    which one, in four bytes
///           Prove         the element's place in the tile, or which number, and a witness (of an argmax: the index of the row that
///                         beats the claimed one; otherwise 0), four bytes each; the node's operands; proof `Opening[]`: the
///                         tiles read, in the order of reading
///
///         An operand is the tag of its elements' type and how many axes it has, in a byte each, the lengths of the axes in four
///         bytes each, the top of the tree over its tiles; in a byte, how many hashes stand beside its path among the values of
///         its run, and these.
///
///         A log has no proofs: `said` is what is left of a move without them. What a log has is read by the rules as far as the
///         data go and no further, so whoever reads the log alone reads what they read. Proofs are read wherever their offsets
///         lead, which decides nothing wrongly, for nothing that is read is trusted.
library Moves {
    using Slices for bytes;

    /// Bytes before the data of a move.
    uint256 private constant HEAD = 4;

    // Offset and length of the data are two words of one variable.
    // slither-disable-start write-after-write
    /// @notice The move at a place among moves, and where the next one is.
    function read(bytes calldata moves, uint256 place)
        internal
        pure
        returns (MoveKind kind, bytes calldata data, uint256 next)
    {
        unchecked {
            uint256 head = moves.number(place, HEAD);
            next = place + HEAD + (head & 0xffffff);
            // INVARIANT: past this guard the data lie within the moves.
            if (next > moves.length || head >> 24 > uint256(type(MoveKind).max)) revert Malformed(place);
            kind = MoveKind(head >> 24);
            // slither-disable-next-line assembly
            assembly ("memory-safe") {
                data.offset := add(moves.offset, add(place, HEAD))
                data.length := and(head, 0xffffff)
            }
        }
    }

    // slither-disable-end write-after-write

    /// @notice What a log says of moves that lead on: the moves without their proofs.
    function said(bytes calldata moves) internal pure returns (bytes memory log) {
        unchecked {
            log = new bytes(moves.length);
            uint256 length = 0;
            for (uint256 place = 0; place < moves.length;) {
                (MoveKind kind, bytes calldata data, uint256 next) = read(moves, place);
                uint256 kept = data.length;
                // A word and its proof. The rules have read the word, so it is there.
                if (kind == MoveKind.Run || kind == MoveKind.Value || kind == MoveKind.Slot) kept = 32;
                // slither-disable-next-line assembly
                assembly ("memory-safe") {
                    let to := add(add(log, 32), length)
                    calldatacopy(to, add(moves.offset, place), add(HEAD, kept))
                    // The length, behind the kind.
                    mstore8(add(to, 1), shr(16, kept))
                    mstore8(add(to, 2), shr(8, kept))
                    mstore8(add(to, 3), kept)
                }
                (length, place) = (length + HEAD + kept, next);
            }
            // slither-disable-next-line assembly
            assembly ("memory-safe") {
                mstore(log, length)
            }
        }
    }

    /// @notice `ContestNext`: reverts if there is more than nothing.
    function nothing(bytes calldata data) internal pure {
        if (data.length != 0) revert Malformed(0);
    }

    /// @notice The data of a move that is one hash.
    function hash(bytes calldata data) internal pure returns (bytes32) {
        if (data.length != 32) revert Malformed(data.length);
        return data.word(0);
    }

    /// @notice The data of a move that is one number.
    function number(bytes calldata data) internal pure returns (uint256) {
        if (data.length != 4) revert Malformed(data.length);
        return data.number(0, 4);
    }

    // Solidity has no other word for a struct that lies in bytes of the calldata.
    // slither-disable-start assembly

    function run(bytes calldata data) internal pure returns (bytes32 values, ProgramOfRun calldata proof) {
        values = data.word(0);
        assembly ("memory-safe") {
            proof := add(data.offset, 32)
        }
    }

    /// @notice A hash and the part of a plan or a program that proves it: `Value` and `Slot`.
    function part(bytes calldata data) internal pure returns (bytes32 root, Part calldata proof) {
        root = data.word(0);
        assembly ("memory-safe") {
            proof := add(data.offset, 32)
        }
    }

    function proveNext(bytes calldata data) internal pure returns (ProveNext calldata proof) {
        assembly ("memory-safe") {
            proof := data.offset
        }
    }

    function proveInput(bytes calldata data) internal pure returns (ProveInput calldata proof) {
        assembly ("memory-safe") {
            proof := data.offset
        }
    }

    /// @notice The openings at the end of a `Prove`: a list, which says its length first.
    function openings(bytes calldata data, uint256 place) internal pure returns (Opening[] calldata list) {
        uint256 length = data.number(place, 32);
        // INVARIANT: past this guard no offset in the list overflows.
        if (length > data.length) revert Malformed(place);
        assembly ("memory-safe") {
            list.offset := add(add(data.offset, place), 32)
            list.length := length
        }
    }
    // slither-disable-end assembly
}
