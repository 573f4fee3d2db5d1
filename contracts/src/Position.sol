// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Claim} from "./IJobs.sol";
import {MerkleTree} from "./MerkleTree.sol";
import {Counts} from "./Programs.sol";
import {Malformed, Slices} from "./Slices.sol";

/// @notice The two sides of a game, and who makes the moves of both.
enum Side {
    Worker,
    Challenger,
    Both
}

/// @notice Where a game stands: what was said last.
/// @dev    In `Picked`, `NextState` and `Number` the worker has to move, in the others the challenger.
enum Stage {
    Picked,
    Shown,
    NextState,
    Slot,
    Input,
    Tile,
    Number,
    Numbers
}

/// @notice The tree that a game descends.
enum Branch {
    History,
    Interval,
    Runs,
    State,
    Values,
    Tiles
}

/// @notice What a move shows.
enum Shown {
    Node,
    NodeCount,
    Nodes,
    FirstState,
    LastState,
    StateAfter,
    StateBefore,
    State,
    Tensor,
    Run,
    Value,
    TileLength,
    Tile,
    Source,
    EarlierRun,
    Output,
    NumberCount,
    Numbers,
    Operand
}

/// @notice What is shown is not what was committed to.
error Mismatch(Shown what);

/// @notice The tree in doubt, and the node of it that is, or that those shown last stand below.
/// @param  branch Which tree.
/// @param  leaves Its leaves.
/// @param  height Levels of the node above them.
/// @param  index  Its number from the left.
/// @param  node   Its hash.
struct Cursor {
    Branch branch;
    uint64 leaves;
    uint8 height;
    uint64 index;
    bytes32 node;
}

/// @notice The step in doubt.
/// @param  number Its number, from 0.
/// @param  before Root of the state before.
/// @param  next   Root of the state after.
/// @param  runs   Top of the tree over the roots of its runs.
struct StepContext {
    uint64 number;
    bytes32 before;
    bytes32 next;
    bytes32 runs;
}

/// @notice The run in doubt.
/// @param  number  Its number in the plan.
/// @param  program Digest of its program.
/// @param  counts  What the program has.
/// @param  values  Top of the tree over its values.
struct RunContext {
    uint32 number;
    bytes32 program;
    Counts counts;
    bytes32 values;
}

/// @notice The value in doubt, or the tensor of the next state.
/// @param  id       Its number among the values of the run, or the state's tensors.
/// @param  tensor   Root of its tensor.
/// @param  node     Descriptor of the node that makes it; empty for an input.
/// @param  operands Ids of the node's operands.
/// @param  width    Elements of a row of the tensor.
struct ValueContext {
    uint32 id;
    uint32 width;
    bytes32 tensor;
    bytes node;
    uint32[] operands;
}

/// @notice The reduction in doubt.
/// @param  element Place of the element in row-major order.
/// @param  blocks  Leaf blocks of it.
/// @param  level   Levels of the number above those of leaf blocks.
/// @param  index   Number among those of its level.
/// @param  claimed Its bits.
struct NumberContext {
    uint64 element;
    uint64 blocks;
    uint8 level;
    uint64 index;
    uint32 claimed;
}

/// @notice Where a game stands. A game keeps the hash of `Positions.write`; who moves shows the position again.
/// @param  context Hash of the context, ABI-encoded. `Reveal`, `Pick` and `ContestNext` are judged without it.
struct Position {
    Stage stage;
    Cursor cursor;
    bytes32 context;
}

/// @notice What was said of the levels above the tree in doubt, and of what stands below it.
/// @param  checkpoint Of an interval: the later checkpoint.
/// @param  states     Of an interval: top of the tree over its states.
/// @param  words      Elements of the tile shown, little-endian, or numbers shown, big-endian.
struct Context {
    Claim claim;
    uint64 checkpoint;
    bytes32 states;
    StepContext step;
    RunContext run;
    ValueContext value;
    NumberContext number;
    bytes words;
}

/// @notice A position in memory.
/// @param  isKnown Whether the context was shown, too; otherwise `context` is empty.
/// @param  hash    Of the context as it was when the moves began.
struct Place {
    Stage stage;
    Cursor cursor;
    bool isKnown;
    bytes32 hash;
    Context context;
}

/// @title  Positions
/// @notice What follows from a position alone.
library Positions {
    using Slices for bytes;

    /// Bytes of a position.
    uint256 private constant LENGTH = 83;

    /// @notice Where a game about a claim begins: its whole history is in doubt, and the worker has to move.
    function start(Claim memory claim) internal pure returns (Position memory, bytes memory context) {
        // A context begins with nothing in it.
        // slither-disable-next-line uninitialized-local
        Context memory known;
        known.claim = claim;
        context = abi.encode(known);
        uint64 leaves = checkpoints(claim);
        // forge-lint: disable-next-line(unsafe-typecast) a tree of 2^33 leaves has 33 levels
        Cursor memory cursor = Cursor(Branch.History, leaves, uint8(MerkleTree.heightOf(leaves)), 0, claim.top);
        return (Position(Stage.Picked, cursor, keccak256(context)), context);
    }

    /// @notice A position as a call has it: its members and those of the cursor one behind another, as wide as they are.
    function write(Position memory p) internal pure returns (bytes memory) {
        Cursor memory c = p.cursor;
        return abi.encodePacked(p.stage, c.branch, c.leaves, c.height, c.index, c.node, p.context);
    }

    /// @notice The position that was written so.
    function read(bytes calldata position) internal pure returns (Position memory) {
        if (position.length != LENGTH) revert Malformed(position.length);
        // All numbers stand in one word: from the highest byte on 1, 1, 8, 1 and 8 of them, and 13 of the node.
        uint256 word = uint256(position.word(0));
        // forge-lint: disable-start(unsafe-typecast) as wide as they were written
        Cursor memory cursor = Cursor(
            Branch(uint8(word >> 240)), uint64(word >> 176), uint8(word >> 168), uint64(word >> 104), position.word(19)
        );
        return Position(Stage(word >> 248), cursor, position.word(51));
        // forge-lint: disable-end(unsafe-typecast)
    }

    /// @notice Who has to move.
    function turn(Stage stage) internal pure returns (Side) {
        if (stage == Stage.Picked || stage == Stage.NextState || stage == Stage.Number) return Side.Worker;
        return Side.Challenger;
    }

    /// @notice Checkpoints of a claim, the initial state among them.
    function checkpoints(Claim memory claim) internal pure returns (uint64) {
        return (claim.steps + claim.stride - 1) / claim.stride + 1;
    }

    /// @notice The step after which a checkpoint stands.
    function stepOf(Claim memory claim, uint256 checkpoint) internal pure returns (uint256) {
        uint256 step = checkpoint * claim.stride;
        return step < claim.steps ? step : claim.steps;
    }

    /// @notice Steps between the checkpoint before this one and it.
    function stepsBefore(Claim memory claim, uint256 checkpoint) internal pure returns (uint256) {
        return stepOf(claim, checkpoint) - stepOf(claim, checkpoint == 0 ? 0 : checkpoint - 1);
    }
}
