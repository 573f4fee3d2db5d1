// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Canonical, NotCanonical} from "./Canonical.sol";
import {Part, ProgramOfRun} from "./Plans.sol";
import {Header, Opening} from "./TileTree.sol";

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

/// @notice A move: its kind, and one of the structs below, ABI-encoded (`ContestNext` has none).
struct Move {
    MoveKind kind;
    bytes data;
}

/// @notice Opening: the nodes up to six levels below the one in doubt, all on one level.
struct Reveal {
    bytes32[] nodes;
}

/// @notice Assertion at a checkpoint: the states since the checkpoint before.
/// @param  before     Root of the state at the checkpoint before.
/// @param  beforePath Hashes beside its path.
/// @param  next       Root of the state in doubt.
/// @param  states     Top of the tree over the states from one to the other.
/// @param  firstPath  Hashes beside the path of the first of them.
/// @param  lastPath   Hashes beside the path of the last.
struct Interval {
    bytes32 before;
    bytes32[] beforePath;
    bytes32 next;
    bytes32 states;
    bytes32[] firstPath;
    bytes32[] lastPath;
}

/// @notice Assertion at a state: the runs of the step that led to it.
/// @param  before     Root of the state before.
/// @param  beforePath Hashes beside its path.
/// @param  next       Root of the state in doubt.
/// @param  runs       Top of the tree over the roots of the runs.
struct Step {
    bytes32 before;
    bytes32[] beforePath;
    bytes32 next;
    bytes32 runs;
}

/// @notice Opening of a run: the top of the tree over its values.
struct Run {
    bytes32 values;
    ProgramOfRun program;
}

/// @notice Opening of a value: the top of the tree over its tiles, and the descriptor of its input or node.
struct Value {
    bytes32 tiles;
    Part descriptor;
}

/// @notice Opening of a tile: the bytes of its elements, each little-endian.
struct Tile {
    bytes elements;
}

/// @notice Opening of the state after a step: the top of the tree over its tensors.
struct State {
    bytes32 tensors;
}

/// @notice Opening of a tensor of that state: its root, and its part of the plan.
struct Slot {
    bytes32 root;
    Part slot;
}

/// @notice Assertion: the numbers that one of a reduction is made of, each of four bytes, big-endian.
struct Numbers {
    bytes numbers;
}

/// @notice The challenger doubts a node below the one in doubt: one of those shown, or below one.
/// @param  height   Levels above the leaves.
/// @param  index    Number from the left.
/// @param  node     Its hash.
/// @param  siblings Hashes beside its path up to the one that was in doubt.
struct Pick {
    uint256 height;
    uint256 index;
    bytes32 node;
    bytes32[] siblings;
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

/// @notice An operand of a node.
/// @param  header   Type of its tensor.
/// @param  tiles    Top of the tree over its tiles.
/// @param  siblings Hashes beside its path among the values of the run.
struct OperandProof {
    Header header;
    bytes32 tiles;
    bytes32[] siblings;
}

/// @notice The challenger doubts an element of a long reduction.
/// @param  offset   Its place in the tile.
/// @param  operands The operands of the node, which say how long the reduction is.
struct Ask {
    uint256 offset;
    OperandProof[] operands;
}

/// @notice The challenger doubts one of the numbers shown, which is made of others.
struct PickNumber {
    uint256 offset;
}

/// @notice An element, or a leaf block of one, is not what its operands make.
/// @param  offset   In a tile: the element's place. Among numbers: which one.
/// @param  witness  Of an argmax: the index of the row that beats the claimed one; otherwise 0.
/// @param  operands The operands of the node, in order.
/// @param  openings The tiles read, in the order of reading.
struct Prove {
    uint256 offset;
    uint256 witness;
    OperandProof[] operands;
    Opening[] openings;
}

/// @title  Reading a move
/// @notice Each function takes the data of a move as one of the structs above, where it lies in the calldata.
/// @dev    They go where the offsets in the data lead, which is anywhere in the calldata. That decides nothing wrongly, for nothing
///         that is read is trusted. But a side could make a move that its opponent cannot read from the log, and win by the clock.
///         So a contract that logs moves lets `check` stand before the rules: past it the data are the one encoding of their
///         struct, and whoever reads them alone reads what the rules read.
library Moves {
    /// @notice Reverts unless the data are the one encoding of a move of this kind.
    function check(MoveKind kind, bytes calldata data) internal pure {
        uint256 words = _words(kind);
        if (words == 2) Canonical.check(data, _form(kind));
        else if (data.length != 32 * words) revert NotCanonical(data.length);
    }

    /// Words of the data; 2 for a struct.
    function _words(MoveKind kind) private pure returns (uint256) {
        if (kind == MoveKind.ContestNext) return 0;
        return kind == MoveKind.State || kind == MoveKind.PickNumber ? 1 : 2;
    }

    /// The form of a move's struct, as `Canonical` takes it: a `Part` is 03020201, a `ProgramOfRun` 0303 and three of them.
    function _form(MoveKind kind) private pure returns (bytes32) {
        if (kind == MoveKind.Reveal) return hex"0101";
        if (kind == MoveKind.Interval) return hex"06000100000101";
        if (kind == MoveKind.Step) return hex"0400010000";
        if (kind == MoveKind.Run) return hex"02000303030202010302020103020201";
        if (kind == MoveKind.Value || kind == MoveKind.Slot) return hex"020003020201";
        if (kind == MoveKind.Tile || kind == MoveKind.Numbers) return hex"0102";
        if (kind == MoveKind.Pick) return hex"0400000001";
        if (kind == MoveKind.Ask) return hex"0200040703030200010001";
        if (kind == MoveKind.Prove) return hex"0400000407030302000100010403020201";
        // A source's proof: 0306, a word, words, a part, a run's program, a word, words.
        return hex"0203020201030600010302020103030302020103020201030202010001";
    }

    // Solidity has no other word for a struct that lies in bytes of the calldata.
    // slither-disable-start assembly

    function reveal(bytes calldata data) internal pure returns (Reveal calldata move) {
        uint256 place = _struct(data);
        assembly ("memory-safe") {
            move := place
        }
    }

    function interval(bytes calldata data) internal pure returns (Interval calldata move) {
        uint256 place = _struct(data);
        assembly ("memory-safe") {
            move := place
        }
    }

    function step(bytes calldata data) internal pure returns (Step calldata move) {
        uint256 place = _struct(data);
        assembly ("memory-safe") {
            move := place
        }
    }

    function run(bytes calldata data) internal pure returns (Run calldata move) {
        uint256 place = _struct(data);
        assembly ("memory-safe") {
            move := place
        }
    }

    function value(bytes calldata data) internal pure returns (Value calldata move) {
        uint256 place = _struct(data);
        assembly ("memory-safe") {
            move := place
        }
    }

    function tile(bytes calldata data) internal pure returns (Tile calldata move) {
        uint256 place = _struct(data);
        assembly ("memory-safe") {
            move := place
        }
    }

    function slot(bytes calldata data) internal pure returns (Slot calldata move) {
        uint256 place = _struct(data);
        assembly ("memory-safe") {
            move := place
        }
    }

    function numbers(bytes calldata data) internal pure returns (Numbers calldata move) {
        uint256 place = _struct(data);
        assembly ("memory-safe") {
            move := place
        }
    }

    function pick(bytes calldata data) internal pure returns (Pick calldata move) {
        uint256 place = _struct(data);
        assembly ("memory-safe") {
            move := place
        }
    }

    function proveNext(bytes calldata data) internal pure returns (ProveNext calldata move) {
        uint256 place = _struct(data);
        assembly ("memory-safe") {
            move := place
        }
    }

    function proveInput(bytes calldata data) internal pure returns (ProveInput calldata move) {
        uint256 place = _struct(data);
        assembly ("memory-safe") {
            move := place
        }
    }

    function ask(bytes calldata data) internal pure returns (Ask calldata move) {
        uint256 place = _struct(data);
        assembly ("memory-safe") {
            move := place
        }
    }

    function prove(bytes calldata data) internal pure returns (Prove calldata move) {
        uint256 place = _struct(data);
        assembly ("memory-safe") {
            move := place
        }
    }

    /// @notice The data of a move that is one word.
    function word(bytes calldata data) internal pure returns (bytes32) {
        // forge-lint: disable-next-line(unsafe-typecast) a word
        return bytes32(data);
    }

    /// Where the struct lies: behind its offset.
    function _struct(bytes calldata data) private pure returns (uint256 place) {
        assembly ("memory-safe") {
            place := add(data.offset, 32)
        }
    }
    // slither-disable-end assembly
}
