// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {MerkleTree} from "./MerkleTree.sol";
import {MoveKind, Moves} from "./Moves.sol";
import {Branch, Cursor, Mismatch, Position, Side, Shown, Stage} from "./Position.sol";
import {Slices} from "./Slices.sol";

/// @notice The position takes other moves, or moves of the other side.
error NotHere(Side side, MoveKind kind);

/// @notice What cannot be picked: a node that is not below the one in doubt, or the state that everything begins with.
error CannotPick(uint256 height, uint256 index);

/// @title  Down a tree
/// @notice `Reveal` and `Pick`, which the position alone judges: most moves of a long game are these.
/// @dev    `GameRules` takes them so, among other moves, and `DisputeGame` where a call has no others, for half the price.
library Descent {
    using Slices for bytes;

    /// Most levels that one `Reveal` shows.
    uint256 private constant LEVELS = 6;

    /// @notice Whether these are moves of this kind only. Of none nobody asks.
    function areAll(bytes calldata moves) internal pure returns (bool) {
        for (uint256 place = 0; place < moves.length;) {
            MoveKind kind;
            // slither-disable-next-line unused-return
            (kind,, place) = Moves.read(moves, place);
            if (!isOne(kind)) return false;
        }
        return moves.length > 0;
    }

    /// @notice Whether a move is of this kind.
    function isOne(MoveKind kind) internal pure returns (bool) {
        return kind == MoveKind.Reveal || kind == MoveKind.Pick;
    }

    /// @notice Makes moves of this kind, one after another; returns whose turn it is then.
    function play(Position memory p, Side side, bytes calldata moves) internal view returns (Side) {
        for (uint256 place = 0; place < moves.length;) {
            (MoveKind kind, bytes calldata data, uint256 next) = Moves.read(moves, place);
            p.stage = make(p.stage, p.cursor, side, kind, data);
            place = next;
        }
        return p.stage == Stage.Shown ? Side.Challenger : Side.Worker;
    }

    /// @notice Makes a move of this kind: moves the cursor, and returns the stage that follows.
    function make(Stage stage, Cursor memory cursor, Side side, MoveKind kind, bytes calldata data)
        internal
        view
        returns (Stage)
    {
        if (kind == MoveKind.Reveal) {
            // The challenger makes openings of the worker where it knows the data.
            if (stage != Stage.Picked || cursor.height == 0) revert NotHere(side, kind);
            _reveal(cursor, data.rest(0));
            return Stage.Shown;
        }
        uint256 height = data.number(0, 1);
        // INVARIANT: each pick leads down, but that of the one node of a tree that begins with what is shown.
        bool leadsDown = height < cursor.height || (stage == Stage.Shown && cursor.height == 0);
        bool isHere = leadsDown && (stage == Stage.Shown || stage == Stage.Picked);
        if (side == Side.Worker || !isHere) revert NotHere(side, kind);
        _pick(cursor, height, data);
        return Stage.Picked;
    }

    /// The nodes shown are in the log. The cursor keeps the one that they stand below: a pick brings the path to it.
    function _reveal(Cursor memory cursor, bytes32[] calldata nodes) private view {
        uint256 levels = _levelsBelow(cursor.height);
        uint256 first = uint256(cursor.index) << levels;
        uint256 count = MerkleTree.widthAt(cursor.leaves, cursor.height - levels) - first;
        if (nodes.length != Math.min(count, 2 ** levels)) revert Mismatch(Shown.NodeCount);
        if (MerkleTree.join(nodes, levels) != cursor.node) revert Mismatch(Shown.Nodes);
    }

    function _pick(Cursor memory cursor, uint256 height, bytes calldata data) private view {
        (uint256 index, bytes32 node) = (data.number(1, 8), data.word(9));
        if (height > cursor.height) revert CannotPick(height, index);
        uint256 levels = cursor.height - height;
        // INVARIANT: past this guard the node is below the one in doubt.
        if (index >> levels != cursor.index) revert CannotPick(height, index);
        uint256 width = MerkleTree.widthAt(cursor.leaves, height);
        // What is below a node is a tree of its own, whose leaves are the level's.
        uint256 first = uint256(cursor.index) << levels;
        uint256 count = Math.min(width - Math.min(first, width), 2 ** levels);
        bytes32 found = MerkleTree.climb(node, index - first, count, data.rest(41));
        if (found != cursor.node) revert Mismatch(Shown.Node);
        // The first state of a history is the job's, and that of an interval stands above.
        bool areStates = cursor.branch == Branch.History || cursor.branch == Branch.Interval;
        if (areStates && height == 0 && index == 0) revert CannotPick(height, index);
        // forge-lint: disable-start(unsafe-typecast) at most what stood there, and below the width
        cursor.height = uint8(height);
        cursor.index = uint64(index);
        // forge-lint: disable-end(unsafe-typecast)
        cursor.node = node;
    }

    /// Levels that a `Reveal` below a node shows: as few as bring the game to the leaves with as few of them.
    function _levelsBelow(uint256 height) private pure returns (uint256) {
        return Math.ceilDiv(height, Math.ceilDiv(height, LEVELS));
    }
}
