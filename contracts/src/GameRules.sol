// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {Claim} from "./IJobs.sol";
import {MerkleTree} from "./MerkleTree.sol";
import {
    Ask,
    Interval,
    Move,
    MoveKind,
    Moves,
    Numbers,
    OperandProof,
    Pick,
    Prove,
    ProveInput,
    ProveNext,
    Reveal,
    Run,
    Slot,
    SourceProof,
    Step,
    Tile,
    Value
} from "./Moves.sol";
import {Plans, Source, SourceKind} from "./Plans.sol";
import {Branch, Cursor, NumberContext, Position, Positions, Side, Stage, StepContext} from "./Position.sol";
import {Counts, Node, Programs} from "./Programs.sol";
import {Operand, Referee} from "./Referee.sol";
import {Header, Opening, TileTree} from "./TileTree.sol";

/// @notice The position takes other moves, or moves of the other side.
error NotHere(Side side, MoveKind kind);

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
    OperandCount,
    Operand
}

/// @notice What is shown is not what was committed to.
error Mismatch(Shown what);

/// @notice What cannot be picked: a node that was not shown, or the state that everything begins with.
error CannotPick(uint256 height, uint256 index);

/// @notice What is said to be wrong is what it should be.
error NothingWrong();

/// @title  The rules of the dispute game
/// @notice Which moves a position takes, and where they lead: a pure function, `verde::game::Rules::apply` once more.
/// @dev    From a claim about a whole job down to one element:
///
///             worker                                challenger
///           Reveal <------------------------------ Pick a checkpoint
///           Interval (states between) -----------> Pick a step
///           Step (runs) --------------------------> Pick a run, or ContestNext -> State, Slot -> ProveNext, won
///           Run (its values) ---------------------> Pick a value
///           Value (its tiles) --------------------> Pick a tile; of an input: ProveInput, won
///           Tile (its elements) ------------------> Prove an element, won; of a long reduction: Ask
///           Numbers (blocks, or sums of them) ----> PickNumber, or Prove a block, won
///
///         Moves are taken as their offsets lead: whoever keeps a log of them checks their form first (`Moves.check`).
///         What is malformed reverts, and decides nothing. Only a contradiction ends a game here; a side that has no move loses
///         by its clock, which is not part of the rules.
contract GameRules {
    /// Levels that one `Reveal` shows.
    uint256 private constant LEVELS = 4;
    /// Numbers that make one of the level above.
    uint256 private constant FAN = 256;
    uint256 private constant WORD = 4;

    /// @notice Who recomputes an element.
    Referee public immutable referee;

    /// @param referee_ Who recomputes an element.
    constructor(Referee referee_) {
        referee = referee_;
    }

    /// @notice Where a game about a claim begins: its whole history is in doubt.
    function start(Claim calldata claim) external pure returns (bytes memory) {
        // A position begins with nothing in it.
        // slither-disable-next-line uninitialized-local
        Position memory p;
        p.claim = claim;
        _descend(p, Branch.History, Positions.checkpoints(claim), claim.top);
        return abi.encode(p);
    }

    /// @notice Makes moves of one side, one after another.
    /// @param  position Where the game stands, ABI-encoded.
    /// @param  moves    ABI-encoded `Move[]`.
    /// @return next     Where it stands then, ABI-encoded.
    /// @return won      Whether the last move was a contradiction. None may follow it.
    /// @return turn     Who has to move.
    function play(bytes calldata position, Side side, Move[] calldata moves)
        external
        view
        returns (bytes memory next, bool won, Side turn)
    {
        Position memory p = abi.decode(position, (Position));
        for (uint256 i = 0; i < moves.length; ++i) {
            if (won) revert NotHere(side, moves[i].kind);
            won = _apply(p, side, moves[i]);
        }
        return (abi.encode(p), won, Positions.turn(p.stage));
    }

    function _apply(Position memory p, Side side, Move calldata move) private view returns (bool won) {
        MoveKind kind = move.kind;
        if (!_may(p, side, move)) revert NotHere(side, kind);
        if (kind == MoveKind.Pick) {
            _pick(p, Moves.pick(move.data));
        } else if (p.stage == Stage.Picked) {
            _open(p, move);
        } else if (p.stage == Stage.NextState) {
            _openState(p, Moves.word(move.data));
        } else if (p.stage == Stage.Number) {
            _showNumbers(p, Moves.numbers(move.data));
        } else if (kind == MoveKind.ContestNext) {
            p.stage = Stage.NextState;
        } else if (kind == MoveKind.ProveNext) {
            won = _proveNext(p, Moves.proveNext(move.data));
        } else if (kind == MoveKind.ProveInput) {
            won = _proveInput(p, Moves.proveInput(move.data));
        } else if (kind == MoveKind.Ask) {
            _ask(p, Moves.ask(move.data));
        } else if (kind == MoveKind.PickNumber) {
            _pickNumber(p, uint256(Moves.word(move.data)));
        } else {
            won = _prove(p, Moves.prove(move.data));
        }
    }

    /// Whether the position takes a move of this kind from this side. Leaves of trees say more.
    function _may(Position memory p, Side side, Move calldata move) private pure returns (bool) {
        MoveKind kind = move.kind;
        Stage stage = p.stage;
        if (side == Side.Worker) return Positions.turn(stage) == Side.Worker && _answers(p, kind);
        if (kind == MoveKind.Pick) {
            return stage == Stage.Shown || (stage == Stage.Picked && Moves.pick(move.data).height < p.cursor.height);
        }
        if (kind == MoveKind.ContestNext) return stage == Stage.Shown && p.cursor.branch == Branch.Runs;
        if (kind == MoveKind.ProveNext) return stage == Stage.Slot;
        if (kind == MoveKind.ProveInput) return stage == Stage.Input;
        if (kind == MoveKind.Ask) return stage == Stage.Tile;
        if (kind == MoveKind.PickNumber) return stage == Stage.Numbers && p.number.level > 1;
        if (kind == MoveKind.Prove) return stage == Stage.Tile || (stage == Stage.Numbers && p.number.level == 1);
        // The challenger makes openings of the worker where it knows the data.
        bool asserts = kind == MoveKind.Interval || kind == MoveKind.Step || kind == MoveKind.Numbers;
        return !asserts && Positions.turn(stage) == Side.Worker && _answers(p, kind);
    }

    /// Whether a move of the worker answers what is in doubt.
    function _answers(Position memory p, MoveKind kind) private pure returns (bool) {
        if (p.stage == Stage.NextState) return kind == MoveKind.State;
        if (p.stage == Stage.Number) return kind == MoveKind.Numbers;
        Cursor memory cursor = p.cursor;
        if (cursor.height > 0) return kind == MoveKind.Reveal;
        if (cursor.branch == Branch.History) {
            bool isOneStep = Positions.stepsBefore(p.claim, cursor.first) == 1;
            return kind == (isOneStep ? MoveKind.Step : MoveKind.Interval);
        }
        if (cursor.branch == Branch.Interval) return kind == MoveKind.Step;
        if (cursor.branch == Branch.Runs) return kind == MoveKind.Run;
        if (cursor.branch == Branch.State) return kind == MoveKind.Slot;
        if (cursor.branch == Branch.Values) return kind == MoveKind.Value;
        return kind == MoveKind.Tile;
    }

    // ---- down a tree

    /// Begins with a tree: its top is in doubt. Where there is nothing below, nobody can be asked for it, so the challenger
    /// moves: it has lost, unless the worker claims a top that a tree without leaves does not have. Of a single run it also
    /// moves first, for it has a choice, which the worker would otherwise pass over: the run, or the state after it.
    function _descend(Position memory p, Branch branch, uint256 leaves, bytes32 top) private pure {
        // INVARIANT: no worker gets away with the top of a tree of which nothing can be opened.
        if (leaves == 0) _require(top == MerkleTree.EMPTY, Shown.Nodes);
        bool choose = leaves == 0 || (leaves == 1 && branch == Branch.Runs);
        p.stage = choose ? Stage.Shown : Stage.Picked;
        p.cursor.branch = branch;
        // forge-lint: disable-start(unsafe-typecast) counts have 32 bits, and states 33
        p.cursor.leaves = uint64(leaves);
        p.cursor.height = uint8(MerkleTree.heightOf(leaves));
        // forge-lint: disable-end(unsafe-typecast)
        p.cursor.first = 0;
        p.cursor.nodes = new bytes32[](1);
        p.cursor.nodes[0] = top;
    }

    function _pick(Position memory p, Pick calldata pick) private view {
        Cursor memory cursor = p.cursor;
        (uint256 height, uint256 index) = (pick.height, pick.index);
        if (height > cursor.height) revert CannotPick(height, index);
        uint256 levels = cursor.height - height;
        uint256 shown = index >> levels;
        // INVARIANT: past this guard the node is below one that was shown.
        if (shown < cursor.first || shown - cursor.first >= cursor.nodes.length) revert CannotPick(height, index);
        uint256 width = MerkleTree.widthAt(cursor.leaves, height);
        // What is below a node is a tree of its own, whose leaves are the level's.
        uint256 first = shown << levels;
        uint256 count = Math.min(width - Math.min(first, width), 2 ** levels);
        bytes32 found = MerkleTree.climb(pick.node, index - first, count, pick.siblings);
        _require(found == cursor.nodes[shown - cursor.first], Shown.Node);
        // The first state of a history is the job's, and that of an interval stands above.
        bool areStates = cursor.branch == Branch.History || cursor.branch == Branch.Interval;
        if (areStates && height == 0 && index == 0) revert CannotPick(height, index);
        p.stage = Stage.Picked;
        // forge-lint: disable-start(unsafe-typecast) at most what stood there, and below the width
        cursor.height = uint8(height);
        cursor.first = uint64(index);
        // forge-lint: disable-end(unsafe-typecast)
        cursor.nodes = new bytes32[](1);
        cursor.nodes[0] = pick.node;
    }

    function _open(Position memory p, Move calldata move) private view {
        MoveKind kind = move.kind;
        if (kind == MoveKind.Reveal) _reveal(p, Moves.reveal(move.data));
        else if (kind == MoveKind.Interval) _openInterval(p, Moves.interval(move.data));
        else if (kind == MoveKind.Step) _openStep(p, Moves.step(move.data));
        else if (kind == MoveKind.Run) _openRun(p, Moves.run(move.data));
        else if (kind == MoveKind.Slot) _openSlot(p, Moves.slot(move.data));
        else if (kind == MoveKind.Value) _openValue(p, Moves.value(move.data));
        else _openTile(p, Moves.tile(move.data));
    }

    function _reveal(Position memory p, Reveal calldata move) private view {
        Cursor memory cursor = p.cursor;
        uint256 levels = Math.min(cursor.height, LEVELS);
        uint256 height = cursor.height - levels;
        uint256 first = uint256(cursor.first) << levels;
        uint256 count = MerkleTree.widthAt(cursor.leaves, height) - first;
        count = Math.min(count, 2 ** levels);
        _require(move.nodes.length == count, Shown.NodeCount);
        _require(MerkleTree.join(move.nodes, levels) == cursor.nodes[0], Shown.Nodes);
        p.stage = Stage.Shown;
        // forge-lint: disable-start(unsafe-typecast) less than what stood there, and below the width
        cursor.height = uint8(height);
        cursor.first = uint64(first);
        // forge-lint: disable-end(unsafe-typecast)
        cursor.nodes = move.nodes;
    }

    // ---- states and steps

    function _openInterval(Position memory p, Interval calldata move) private view {
        _checkStates(p, p.claim.top, move.before, move.beforePath, move.next);
        uint256 checkpoint = p.cursor.first;
        uint256 count = Positions.stepsBefore(p.claim, checkpoint) + 1;
        bytes32 first = MerkleTree.climb(MerkleTree.leafHash(move.before), 0, count, move.firstPath);
        _require(first == move.states, Shown.FirstState);
        bytes32 last = MerkleTree.climb(MerkleTree.leafHash(move.next), count - 1, count, move.lastPath);
        _require(last == move.states, Shown.LastState);
        // forge-lint: disable-next-line(unsafe-typecast) a number of 64 bits
        p.checkpoint = uint64(checkpoint);
        p.states = move.states;
        _descend(p, Branch.Interval, count, move.states);
    }

    /// The state in doubt must be `next`, and the one before it in its tree `before`.
    function _checkStates(Position memory p, bytes32 top, bytes32 before, bytes32[] calldata beforePath, bytes32 next)
        private
        view
    {
        Cursor memory cursor = p.cursor;
        _require(MerkleTree.leafHash(next) == cursor.nodes[0], Shown.StateAfter);
        if (cursor.first == 0) revert CannotPick(0, 0);
        bytes32 leaf = MerkleTree.leafHash(before);
        bytes32 found = MerkleTree.climb(leaf, cursor.first - 1, cursor.leaves, beforePath);
        _require(found == top, Shown.StateBefore);
    }

    function _openStep(Position memory p, Step calldata move) private view {
        bool ofHistory = p.cursor.branch == Branch.History;
        bytes32 top = ofHistory ? p.claim.top : p.states;
        _checkStates(p, top, move.before, move.beforePath, move.next);
        uint256 first = ofHistory ? Positions.stepOf(p.claim, p.cursor.first) : p.cursor.first;
        if (!ofHistory) first += Positions.stepOf(p.claim, p.checkpoint - 1);
        // forge-lint: disable-next-line(unsafe-typecast) below the steps of the claim
        p.step = StepContext(uint64(first - 1), move.before, move.next, move.runs);
        _descend(p, Branch.Runs, p.claim.counts.runs, move.runs);
    }

    function _openState(Position memory p, bytes32 tensors) private pure {
        _require(_stateRoot(p.claim.counts.state, tensors) == p.step.next, Shown.State);
        _descend(p, Branch.State, p.claim.counts.state, tensors);
    }

    function _openSlot(Position memory p, Slot calldata move) private view {
        uint256 slot = p.cursor.first;
        _require(Plans.stateLeaf(p.claim, slot, move.root, move.slot) == p.cursor.nodes[0], Shown.Tensor);
        p.stage = Stage.Slot;
        // forge-lint: disable-next-line(unsafe-typecast) below the number of tensors
        p.value.id = uint32(slot);
        p.value.tensor = move.root;
    }

    // ---- runs and values

    function _openRun(Position memory p, Run calldata move) private view {
        uint256 run = p.cursor.first;
        (bytes32 program, Counts memory counts) = Plans.programOfRun(p.claim, run, move.program);
        _require(_runLeaf(program, counts, move.values) == p.cursor.nodes[0], Shown.Run);
        // forge-lint: disable-next-line(unsafe-typecast) below the number of runs
        p.run.number = uint32(run);
        (p.run.program, p.run.counts, p.run.values) = (program, counts, move.values);
        _descend(p, Branch.Values, counts.inputs + counts.nodes, move.values);
    }

    function _openValue(Position memory p, Value calldata move) private view {
        uint256 id = p.cursor.first;
        Counts memory counts = p.run.counts;
        // The header comes first, then inputs and nodes as their values are numbered.
        Plans.descriptor(p.run.program, counts, 1 + id, move.descriptor);
        Header memory header;
        bool isInput = id < counts.inputs;
        if (isInput) {
            // Name and role bind nothing here.
            // slither-disable-next-line unused-return
            (, header,) = Programs.readInput(move.descriptor.content);
        } else {
            Node memory node = Programs.readNode(move.descriptor.content);
            header = node.header;
            p.value.node = move.descriptor.content;
            p.value.operands = node.operands;
        }
        p.value.tensor = TileTree.tensorRoot(header, move.tiles);
        _require(MerkleTree.leafHash(p.value.tensor) == p.cursor.nodes[0], Shown.Value);
        // forge-lint: disable-next-line(unsafe-typecast) below the number of values
        p.value.id = uint32(id);
        if (isInput) {
            p.stage = Stage.Input;
            return;
        }
        (uint256 tiles, uint256 width) = TileTree.tiling(header);
        // forge-lint: disable-next-line(unsafe-typecast) a length of an axis
        p.value.width = uint32(width);
        _descend(p, Branch.Tiles, tiles, move.tiles);
    }

    function _openTile(Position memory p, Tile calldata move) private view {
        // slither-disable-next-line unused-return
        (, uint256 length) = TileTree.elementsOfTile(p.value.width, p.cursor.first);
        _require(move.elements.length == WORD * length, Shown.TileLength);
        _require(MerkleTree.leafHash(move.elements) == p.cursor.nodes[0], Shown.Tile);
        p.stage = Stage.Tile;
        p.words = move.elements;
    }

    // ---- what the plan binds

    function _proveNext(Position memory p, ProveNext calldata move) private view returns (bool) {
        Source memory source = Plans.nextSource(p.claim, p.value.id, move.next);
        if (_sourceRoot(p, source, move.source) == p.value.tensor) revert NothingWrong();
        return true;
    }

    function _proveInput(Position memory p, ProveInput calldata move) private view returns (bool) {
        Source memory source = Plans.runSource(p.claim, p.run.number, p.value.id, move.run);
        if (_sourceRoot(p, source, move.source) == p.value.tensor) revert NothingWrong();
        return true;
    }

    /// The root of the tensor that a source is, as proved.
    function _sourceRoot(Position memory p, Source memory source, SourceProof calldata proof)
        private
        view
        returns (bytes32)
    {
        if (source.kind == SourceKind.Constant) return Plans.constantRoot(p.claim, source.first, proof.part);
        if (source.kind == SourceKind.State) {
            uint256 count = p.claim.counts.state;
            bytes32 leaf = Plans.stateLeaf(p.claim, source.first, proof.root, proof.part);
            bytes32 tensors = MerkleTree.climb(leaf, source.first, count, proof.siblings);
            _require(_stateRoot(count, tensors) == p.step.before, Shown.StateBefore);
            return proof.root;
        }
        // What is given to a step is bound by no root; no job has any.
        if (source.kind == SourceKind.Given) revert Mismatch(Shown.Source);
        return _outputRoot(p, source, proof);
    }

    function _outputRoot(Position memory p, Source memory source, SourceProof calldata proof)
        private
        view
        returns (bytes32)
    {
        (bytes32 program, Counts memory counts) = Plans.programOfRun(p.claim, source.first, proof.program);
        bytes32 leaf = _runLeaf(program, counts, proof.values);
        bytes32 runs = MerkleTree.climb(leaf, source.first, p.claim.counts.runs, proof.runPath);
        _require(runs == p.step.runs, Shown.EarlierRun);
        uint256 values = counts.inputs + counts.nodes;
        Plans.descriptor(program, counts, 1 + values + source.second, proof.part);
        // An output's name binds nothing here.
        // slither-disable-next-line unused-return
        (, uint256 id) = Programs.readOutput(proof.part.content);
        bytes32 top = MerkleTree.climb(MerkleTree.leafHash(proof.root), id, values, proof.siblings);
        _require(top == proof.values, Shown.Output);
        return proof.root;
    }

    // ---- elements

    // The referee is a contract without state, asked at most twice for a move; whoever makes many moves pays for them.
    // slither-disable-start calls-loop

    function _ask(Position memory p, Ask calldata move) private view {
        uint256 blocks = referee.blocks(p.value.node, _headers(_operands(p, move.operands)));
        if (blocks < 2) revert NotHere(Side.Challenger, MoveKind.Ask);
        NumberContext memory number = p.number;
        // forge-lint: disable-start(unsafe-typecast) numbers of elements have 31 bits
        number.element = uint64(_element(p, move.offset));
        number.blocks = uint64(blocks);
        // forge-lint: disable-end(unsafe-typecast)
        number.level = 0;
        for (uint256 count = blocks; count > 1; count = (count + FAN - 1) / FAN) {
            ++number.level;
        }
        number.index = 0;
        number.claimed = _tileWord(p.words, move.offset);
        p.stage = Stage.Number;
    }

    function _showNumbers(Position memory p, Numbers calldata move) private view {
        NumberContext memory above = p.number;
        uint256 count = above.blocks;
        for (uint256 level = 1; level < above.level; ++level) {
            count = (count + FAN - 1) / FAN;
        }
        count -= above.index * FAN;
        count = Math.min(count, FAN);
        _require(move.numbers.length == WORD * count, Shown.NumberCount);
        uint32[] memory numbers = new uint32[](count);
        for (uint256 i = 0; i < count; ++i) {
            numbers[i] = uint32(bytes4(move.numbers[WORD * i:]));
        }
        _require(referee.join(p.value.node, numbers) == above.claimed, Shown.Numbers);
        p.stage = Stage.Numbers;
        p.words = move.numbers;
    }

    function _pickNumber(Position memory p, uint256 offset) private pure {
        NumberContext memory number = p.number;
        number.claimed = _word(p.words, offset);
        --number.level;
        // forge-lint: disable-next-line(unsafe-typecast) below the number of blocks
        number.index = uint64(number.index * FAN + offset);
        p.stage = Stage.Number;
    }

    function _prove(Position memory p, Prove calldata move) private view returns (bool) {
        Operand[] memory operands = _operands(p, move.operands);
        (uint256 element, uint256 part, uint32 claimed) = (0, move.witness, 0);
        if (p.stage == Stage.Tile) {
            if (referee.blocks(p.value.node, _headers(operands)) > 1) revert NotHere(Side.Challenger, MoveKind.Prove);
            (element, claimed) = (_element(p, move.offset), _tileWord(p.words, move.offset));
        } else {
            if (move.witness != 0) revert CannotPick(0, move.witness);
            (element, claimed) = (p.number.element, _word(p.words, move.offset));
            part = p.number.index * FAN + move.offset;
        }
        if (!referee.contradicts(p.value.node, operands, element, claimed, part, move.openings)) revert NothingWrong();
        return true;
    }

    // slither-disable-end calls-loop

    /// The operands of the node in doubt, each proved to be a value of its run.
    ///
    /// The type of an operand is the one that its root binds, not the one that the program gives it, which would take another
    /// descriptor for each. An honest worker's roots bind the program's types, so a challenger gains nothing by that. A worker
    /// that committed to a value of another type has lost already: whoever picks that value asks for an opening that takes the
    /// program's type and cannot be made. And it is the value that a challenger picks, for it comes before what is made of it.
    function _operands(Position memory p, OperandProof[] calldata proofs)
        private
        view
        returns (Operand[] memory operands)
    {
        uint32[] memory ids = p.value.operands;
        _require(proofs.length == ids.length, Shown.OperandCount);
        operands = new Operand[](ids.length);
        uint256 values = p.run.counts.inputs + p.run.counts.nodes;
        for (uint256 i = 0; i < ids.length; ++i) {
            OperandProof calldata proof = proofs[i];
            operands[i] = Operand(TileTree.tensorRoot(proof.header, proof.tiles), proof.header);
            bytes32 leaf = MerkleTree.leafHash(operands[i].root);
            _require(MerkleTree.climb(leaf, ids[i], values, proof.siblings) == p.run.values, Shown.Operand);
        }
    }

    function _headers(Operand[] memory operands) private pure returns (Header[] memory headers) {
        headers = new Header[](operands.length);
        for (uint256 i = 0; i < operands.length; ++i) {
            headers[i] = operands[i].header;
        }
    }

    /// Place in row-major order of an element of the tile shown.
    function _element(Position memory p, uint256 offset) private pure returns (uint256) {
        // slither-disable-next-line unused-return
        (uint256 first,) = TileTree.elementsOfTile(p.value.width, p.cursor.first);
        return first + offset;
    }

    function _tileWord(bytes memory elements, uint256 offset) private pure returns (uint32) {
        return TileTree.swap(_word(elements, offset));
    }

    /// A word of four bytes.
    function _word(bytes memory words, uint256 offset) private pure returns (uint32 word) {
        if (offset >= words.length / WORD) revert CannotPick(0, offset);
        // slither-disable-next-line assembly
        assembly ("memory-safe") {
            word := shr(224, mload(add(add(words, 32), mul(4, offset))))
        }
    }

    function _require(bool holds, Shown what) private pure {
        if (!holds) revert Mismatch(what);
    }

    // ---- hashes

    function _stateRoot(uint256 count, bytes32 tensors) private pure returns (bytes32) {
        // forge-lint: disable-next-line(unsafe-typecast) a count of 32 bits
        return sha256(abi.encodePacked(uint8(3), TileTree.swap(uint32(count)), tensors));
    }

    function _runLeaf(bytes32 program, Counts memory counts, bytes32 values) private view returns (bytes32) {
        // forge-lint: disable-next-line(unsafe-typecast) a program has at most 2^20 values
        uint32 count = TileTree.swap(uint32(counts.inputs + counts.nodes));
        return MerkleTree.leafHash(sha256(abi.encodePacked(uint8(4), program, count, values)));
    }
}
