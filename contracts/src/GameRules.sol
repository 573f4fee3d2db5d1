// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {CannotPick, Descent, NotHere} from "./Descent.sol";
import {MerkleTree} from "./MerkleTree.sol";
import {MoveKind, Moves, ProveInput, ProveNext, SourceProof} from "./Moves.sol";
import {Operators} from "./Operators.sol";
import {Part, Plans, ProgramOfRun, Source, SourceKind} from "./Plans.sol";
import {
    Branch,
    Context,
    Cursor,
    Mismatch,
    NumberContext,
    Place,
    Position,
    Positions,
    Shown,
    Side,
    Stage,
    StepContext
} from "./Position.sol";
import {Counts, Node, Programs} from "./Programs.sol";
import {Operand, Referee} from "./Referee.sol";
import {Malformed, Slices} from "./Slices.sol";
import {DType, Header, TileTree} from "./TileTree.sol";

/// @notice The context shown is not that of the position, or the moves need one and none was shown.
error WrongContext(bytes32 given, bytes32 expected);

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
///         What is malformed reverts, and decides nothing. Only a contradiction ends a game here; a side that has no move loses
///         by its clock, which is not part of the rules.
contract GameRules {
    using Slices for bytes;

    /// Numbers that make one of the level above.
    uint256 private constant FAN = 256;
    uint256 private constant WORD = 4;

    /// @notice Who recomputes an element.
    Referee public immutable referee;

    /// @param referee_ Who recomputes an element.
    constructor(Referee referee_) {
        referee = referee_;
    }

    /// @notice Makes moves of one side, one after another.
    /// @param  position Where the game stands, as `Positions.write` has it.
    /// @param  context  The context of the position, ABI-encoded. Nothing, where no move needs it.
    /// @param  side     Who makes them. For both sides only somebody speaks who has checked what the worker asserts.
    /// @param  moves    One behind another: `Moves`.
    /// @return next     Where it stands then, written as before.
    /// @return contextThen The context then, ABI-encoded; nothing where none was shown.
    /// @return won      Whether the last move was a contradiction. None may follow it.
    /// @return turn     Who has to move.
    function play(bytes calldata position, bytes calldata context, Side side, bytes calldata moves)
        external
        view
        returns (bytes memory next, bytes memory contextThen, bool won, Side turn)
    {
        // Nothing here is declared without a value, for the compiler would fill it with zeros first.
        Position memory read = Positions.read(position);
        bool isKnown = context.length > 0;
        // INVARIANT: moves are judged by what was said in this game.
        if (isKnown && keccak256(context) != read.context) revert WrongContext(keccak256(context), read.context);
        Context memory known = isKnown ? abi.decode(context, (Context)) : _nothing();
        Place memory p = Place(read.stage, read.cursor, isKnown, read.context, known);
        for (uint256 place = 0; place < moves.length;) {
            (MoveKind kind, bytes calldata data, uint256 then) = Moves.read(moves, place);
            if (won) revert NotHere(side, kind);
            won = _apply(p, side, kind, data);
            place = then;
        }
        (next, contextThen) = _write(p);
        turn = Positions.turn(p.stage);
    }

    /// The context of a position of which it was not shown.
    function _nothing() private pure returns (Context memory) {}

    function _write(Place memory p) private pure returns (bytes memory position, bytes memory context) {
        if (p.isKnown) {
            context = abi.encode(p.context);
            p.hash = keccak256(context);
        }
        return (Positions.write(Position(p.stage, p.cursor, p.hash)), context);
    }

    function _apply(Place memory p, Side side, MoveKind kind, bytes calldata data) private view returns (bool won) {
        if (Descent.isOne(kind)) {
            p.stage = Descent.make(p.stage, p.cursor, side, kind, data);
            return false;
        }
        // INVARIANT: past this guard nothing is read of a context that was not shown.
        if (!p.isKnown && kind != MoveKind.ContestNext) revert WrongContext(0, p.hash);
        if (!_may(p, side, kind)) revert NotHere(side, kind);
        if (p.stage == Stage.Picked) {
            _open(p, kind, data);
        } else if (p.stage == Stage.NextState) {
            _openState(p, Moves.hash(data));
        } else if (p.stage == Stage.Number) {
            _showNumbers(p, data);
        } else if (kind == MoveKind.ContestNext) {
            Moves.nothing(data);
            p.stage = Stage.NextState;
        } else if (kind == MoveKind.ProveNext) {
            won = _proveNext(p, Moves.proveNext(data));
        } else if (kind == MoveKind.ProveInput) {
            won = _proveInput(p, Moves.proveInput(data));
        } else if (kind == MoveKind.Ask) {
            _ask(p, data);
        } else if (kind == MoveKind.PickNumber) {
            _pickNumber(p, Moves.number(data));
        } else {
            won = _prove(p, data);
        }
    }

    /// Whether the position takes a move of this kind from this side, of those that `Descent` does not make.
    function _may(Place memory p, Side side, MoveKind kind) private pure returns (bool) {
        Stage stage = p.stage;
        if (side == Side.Worker) return Positions.turn(stage) == Side.Worker && _answers(p, kind);
        if (kind == MoveKind.ContestNext) return stage == Stage.Shown && p.cursor.branch == Branch.Runs;
        if (kind == MoveKind.ProveNext) return stage == Stage.Slot;
        if (kind == MoveKind.ProveInput) return stage == Stage.Input;
        if (kind == MoveKind.Ask) return stage == Stage.Tile;
        if (kind == MoveKind.PickNumber) return stage == Stage.Numbers && p.context.number.level > 1;
        if (kind == MoveKind.Prove) {
            return stage == Stage.Tile || (stage == Stage.Numbers && p.context.number.level == 1);
        }
        // The challenger makes openings of the worker where it knows the data.
        bool asserts = kind == MoveKind.Interval || kind == MoveKind.Step || kind == MoveKind.Numbers;
        return (!asserts || side == Side.Both) && Positions.turn(stage) == Side.Worker && _answers(p, kind);
    }

    /// Whether a move of the worker answers what is in doubt.
    function _answers(Place memory p, MoveKind kind) private pure returns (bool) {
        if (p.stage == Stage.NextState) return kind == MoveKind.State;
        if (p.stage == Stage.Number) return kind == MoveKind.Numbers;
        Cursor memory cursor = p.cursor;
        if (cursor.height > 0) return false;
        if (cursor.branch == Branch.History) {
            bool isOneStep = Positions.stepsBefore(p.context.claim, cursor.index) == 1;
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
    function _descend(Place memory p, Branch branch, uint256 leaves, bytes32 top) private pure {
        // INVARIANT: no worker gets away with the top of a tree of which nothing can be opened.
        if (leaves == 0) _require(top == MerkleTree.EMPTY, Shown.Nodes);
        bool choose = leaves == 0 || (leaves == 1 && branch == Branch.Runs);
        p.stage = choose ? Stage.Shown : Stage.Picked;
        p.cursor.branch = branch;
        // forge-lint: disable-start(unsafe-typecast) counts have 32 bits, and states 33
        p.cursor.leaves = uint64(leaves);
        p.cursor.height = uint8(MerkleTree.heightOf(leaves));
        // forge-lint: disable-end(unsafe-typecast)
        (p.cursor.index, p.cursor.node) = (0, top);
    }

    function _open(Place memory p, MoveKind kind, bytes calldata data) private view {
        if (kind == MoveKind.Interval) return _openInterval(p, data);
        if (kind == MoveKind.Step) return _openStep(p, data);
        if (kind == MoveKind.Tile) return _openTile(p, data);
        if (kind == MoveKind.Run) {
            (bytes32 values, ProgramOfRun calldata program) = Moves.run(data);
            return _openRun(p, values, program);
        }
        (bytes32 root, Part calldata part) = Moves.part(data);
        if (kind == MoveKind.Slot) _openSlot(p, root, part);
        else _openValue(p, root, part);
    }

    // ---- states and steps

    function _openInterval(Place memory p, bytes calldata move) private view {
        (bytes32 before, bytes32 next, bytes32 states) = (move.word(0), move.word(32), move.word(64));
        uint256 counts = move.number(96, 2);
        uint256 place = 98 + 32 * (counts >> 8);
        _checkStates(p, p.context.claim.top, before, move.words(98, counts >> 8), next);
        uint256 checkpoint = p.cursor.index;
        uint256 count = Positions.stepsBefore(p.context.claim, checkpoint) + 1;
        bytes32 first = MerkleTree.climb(MerkleTree.leafHash(before), 0, count, move.words(place, counts & 0xff));
        _require(first == states, Shown.FirstState);
        bytes32[] calldata lastPath = move.rest(place + 32 * (counts & 0xff));
        bytes32 last = MerkleTree.climb(MerkleTree.leafHash(next), count - 1, count, lastPath);
        _require(last == states, Shown.LastState);
        // forge-lint: disable-next-line(unsafe-typecast) a number of 64 bits
        p.context.checkpoint = uint64(checkpoint);
        p.context.states = states;
        _descend(p, Branch.Interval, count, states);
    }

    /// The state in doubt must be `next`, and the one before it in its tree `before`.
    function _checkStates(Place memory p, bytes32 top, bytes32 before, bytes32[] calldata beforePath, bytes32 next)
        private
        view
    {
        Cursor memory cursor = p.cursor;
        _require(MerkleTree.leafHash(next) == cursor.node, Shown.StateAfter);
        if (cursor.index == 0) revert CannotPick(0, 0);
        bytes32 leaf = MerkleTree.leafHash(before);
        bytes32 found = MerkleTree.climb(leaf, cursor.index - 1, cursor.leaves, beforePath);
        _require(found == top, Shown.StateBefore);
    }

    function _openStep(Place memory p, bytes calldata move) private view {
        (bytes32 before, bytes32 next, bytes32 runs) = (move.word(0), move.word(32), move.word(64));
        bool ofHistory = p.cursor.branch == Branch.History;
        bytes32 top = ofHistory ? p.context.claim.top : p.context.states;
        _checkStates(p, top, before, move.rest(96), next);
        uint256 first = ofHistory ? Positions.stepOf(p.context.claim, p.cursor.index) : p.cursor.index;
        if (!ofHistory) first += Positions.stepOf(p.context.claim, p.context.checkpoint - 1);
        // forge-lint: disable-next-line(unsafe-typecast) below the steps of the claim
        p.context.step = StepContext(uint64(first - 1), before, next, runs);
        _descend(p, Branch.Runs, p.context.claim.counts.runs, runs);
    }

    function _openState(Place memory p, bytes32 tensors) private pure {
        _require(_stateRoot(p.context.claim.counts.state, tensors) == p.context.step.next, Shown.State);
        _descend(p, Branch.State, p.context.claim.counts.state, tensors);
    }

    function _openSlot(Place memory p, bytes32 root, Part calldata part) private view {
        uint256 slot = p.cursor.index;
        _require(Plans.stateLeaf(p.context.claim, slot, root, part) == p.cursor.node, Shown.Tensor);
        p.stage = Stage.Slot;
        // forge-lint: disable-next-line(unsafe-typecast) below the number of tensors
        p.context.value.id = uint32(slot);
        p.context.value.tensor = root;
    }

    // ---- runs and values

    function _openRun(Place memory p, bytes32 values, ProgramOfRun calldata proof) private view {
        uint256 run = p.cursor.index;
        (bytes32 program, Counts memory counts) = Plans.programOfRun(p.context.claim, run, proof);
        _require(_runLeaf(program, counts, values) == p.cursor.node, Shown.Run);
        // forge-lint: disable-next-line(unsafe-typecast) below the number of runs
        p.context.run.number = uint32(run);
        (p.context.run.program, p.context.run.counts, p.context.run.values) = (program, counts, values);
        _descend(p, Branch.Values, counts.inputs + counts.nodes, values);
    }

    function _openValue(Place memory p, bytes32 top, Part calldata descriptor) private view {
        uint256 id = p.cursor.index;
        Counts memory counts = p.context.run.counts;
        // The header comes first, then inputs and nodes as their values are numbered.
        Plans.descriptor(p.context.run.program, counts, 1 + id, descriptor);
        Header memory header;
        bool isInput = id < counts.inputs;
        if (isInput) {
            // Name and role bind nothing here.
            // slither-disable-next-line unused-return
            (, header,) = Programs.readInput(descriptor.content);
        } else {
            Node memory node = Programs.readNode(descriptor.content);
            header = node.header;
            p.context.value.node = descriptor.content;
            p.context.value.operands = node.operands;
        }
        p.context.value.tensor = TileTree.tensorRoot(header, top);
        _require(MerkleTree.leafHash(p.context.value.tensor) == p.cursor.node, Shown.Value);
        // forge-lint: disable-next-line(unsafe-typecast) below the number of values
        p.context.value.id = uint32(id);
        if (isInput) {
            p.stage = Stage.Input;
            return;
        }
        (uint256 tiles, uint256 width) = TileTree.tiling(header);
        // forge-lint: disable-next-line(unsafe-typecast) a length of an axis
        p.context.value.width = uint32(width);
        _descend(p, Branch.Tiles, tiles, top);
    }

    function _openTile(Place memory p, bytes calldata elements) private view {
        // slither-disable-next-line unused-return
        (, uint256 length) = TileTree.elementsOfTile(p.context.value.width, p.cursor.index);
        _require(elements.length == WORD * length, Shown.TileLength);
        _require(MerkleTree.leafHash(elements) == p.cursor.node, Shown.Tile);
        p.stage = Stage.Tile;
        p.context.words = elements;
    }

    // ---- what the plan binds

    function _proveNext(Place memory p, ProveNext calldata move) private view returns (bool) {
        Source memory source = Plans.nextSource(p.context.claim, p.context.value.id, move.next);
        if (_sourceRoot(p, source, move.source) == p.context.value.tensor) revert NothingWrong();
        return true;
    }

    function _proveInput(Place memory p, ProveInput calldata move) private view returns (bool) {
        Source memory source = Plans.runSource(p.context.claim, p.context.run.number, p.context.value.id, move.run);
        if (_sourceRoot(p, source, move.source) == p.context.value.tensor) revert NothingWrong();
        return true;
    }

    /// The root of the tensor that a source is, as proved.
    function _sourceRoot(Place memory p, Source memory source, SourceProof calldata proof)
        private
        view
        returns (bytes32)
    {
        if (source.kind == SourceKind.Constant) {
            return Plans.constantRoot(p.context.claim, source.first, proof.part);
        }
        if (source.kind == SourceKind.State) {
            uint256 count = p.context.claim.counts.state;
            bytes32 leaf = Plans.stateLeaf(p.context.claim, source.first, proof.root, proof.part);
            bytes32 tensors = MerkleTree.climb(leaf, source.first, count, proof.siblings);
            _require(_stateRoot(count, tensors) == p.context.step.before, Shown.StateBefore);
            return proof.root;
        }
        // What is given to a step is bound by no root; no job has any.
        if (source.kind == SourceKind.Given) revert Mismatch(Shown.Source);
        return _outputRoot(p, source, proof);
    }

    function _outputRoot(Place memory p, Source memory source, SourceProof calldata proof)
        private
        view
        returns (bytes32)
    {
        (bytes32 program, Counts memory counts) = Plans.programOfRun(p.context.claim, source.first, proof.program);
        bytes32 leaf = _runLeaf(program, counts, proof.values);
        bytes32 runs = MerkleTree.climb(leaf, source.first, p.context.claim.counts.runs, proof.runPath);
        _require(runs == p.context.step.runs, Shown.EarlierRun);
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

    function _ask(Place memory p, bytes calldata move) private view {
        uint256 offset = move.number(0, 4);
        (Operand[] memory operands, uint256 end) = _operands(p, move, 4);
        if (end != move.length) revert Malformed(end);
        uint256 blocks = referee.blocks(p.context.value.node, _headers(operands));
        if (blocks < 2) revert NotHere(Side.Challenger, MoveKind.Ask);
        NumberContext memory number = p.context.number;
        // forge-lint: disable-start(unsafe-typecast) numbers of elements have 31 bits
        number.element = uint64(_element(p, offset));
        number.blocks = uint64(blocks);
        // forge-lint: disable-end(unsafe-typecast)
        number.level = 0;
        for (uint256 count = blocks; count > 1; count = (count + FAN - 1) / FAN) {
            ++number.level;
        }
        number.index = 0;
        number.claimed = _tileWord(p.context.words, offset);
        p.stage = Stage.Number;
    }

    function _showNumbers(Place memory p, bytes calldata shown) private view {
        NumberContext memory above = p.context.number;
        uint256 count = above.blocks;
        for (uint256 level = 1; level < above.level; ++level) {
            count = (count + FAN - 1) / FAN;
        }
        count -= above.index * FAN;
        count = Math.min(count, FAN);
        _require(shown.length == WORD * count, Shown.NumberCount);
        uint32[] memory numbers = new uint32[](count);
        for (uint256 i = 0; i < count; ++i) {
            numbers[i] = uint32(bytes4(shown[WORD * i:]));
        }
        _require(referee.join(p.context.value.node, numbers) == above.claimed, Shown.Numbers);
        p.stage = Stage.Numbers;
        p.context.words = shown;
    }

    function _pickNumber(Place memory p, uint256 offset) private pure {
        NumberContext memory number = p.context.number;
        number.claimed = _word(p.context.words, offset);
        --number.level;
        // forge-lint: disable-next-line(unsafe-typecast) below the number of blocks
        number.index = uint64(number.index * FAN + offset);
        p.stage = Stage.Number;
    }

    function _prove(Place memory p, bytes calldata move) private view returns (bool) {
        (uint256 offset, uint256 part) = (move.number(0, 4), move.number(4, 4));
        (Operand[] memory operands, uint256 end) = _operands(p, move, 8);
        (uint256 element, uint32 claimed) = (0, 0);
        if (p.stage == Stage.Tile) {
            if (_isLong(p.context.value.node, operands)) revert NotHere(Side.Challenger, MoveKind.Prove);
            (element, claimed) = (_element(p, offset), _tileWord(p.context.words, offset));
        } else {
            if (part != 0) revert CannotPick(0, part);
            (element, claimed) = (p.context.number.element, _word(p.context.words, offset));
            part = p.context.number.index * FAN + offset;
        }
        if (!referee.contradicts(p.context.value.node, operands, element, claimed, part, Moves.openings(move, end))) {
            revert NothingWrong();
        }
        return true;
    }

    // slither-disable-end calls-loop

    /// The operands of the node in doubt, each proved to be a value of its run.
    ///
    /// The type of an operand is the one that its root binds, not the one that the program gives it, which would take another
    /// descriptor for each. An honest worker's roots bind the program's types, so a challenger gains nothing by that. A worker
    /// that committed to a value of another type has lost already: whoever picks that value asks for an opening that takes the
    /// program's type and cannot be made. And it is the value that a challenger picks, for it comes before what is made of it.
    function _operands(Place memory p, bytes calldata move, uint256 place)
        private
        view
        returns (Operand[] memory operands, uint256 end)
    {
        uint32[] memory ids = p.context.value.operands;
        operands = new Operand[](ids.length);
        uint256 values = p.context.run.counts.inputs + p.context.run.counts.nodes;
        for (uint256 i = 0; i < ids.length; ++i) {
            Operand memory operand = operands[i];
            (operand.header, place) = _header(move, place);
            operand.root = TileTree.tensorRoot(operand.header, move.word(place));
            uint256 count = move.number(place + 32, 1);
            bytes32[] calldata siblings = move.words(place + 33, count);
            bytes32 top = MerkleTree.climb(MerkleTree.leafHash(operand.root), ids[i], values, siblings);
            _require(top == p.context.run.values, Shown.Operand);
            place += 33 + 32 * count;
        }
        return (operands, place);
    }

    /// The type of a tensor as a move has it, and where that ends.
    function _header(bytes calldata move, uint256 place) private pure returns (Header memory header, uint256 end) {
        uint256 tags = move.number(place, 2);
        header.dtype = DType(tags >> 8);
        header.shape = new uint32[](tags & 0xff);
        end = place + 2;
        for (uint256 axis = 0; axis < header.shape.length; ++axis) {
            // forge-lint: disable-next-line(unsafe-typecast) four bytes
            header.shape[axis] = uint32(move.number(end, 4));
            end += 4;
        }
    }

    /// Whether an element of the node has several blocks. The referee checks that node and operands fit together.
    function _isLong(bytes memory node, Operand[] memory operands) private pure returns (bool) {
        // INVARIANT: a position has the descriptor of a node, whose first byte is the operator.
        if (!Operators.isBlockwise(uint8(node[0])) || operands.length == 0) return false;
        uint32[] memory shape = operands[0].header.shape;
        return shape.length > 0 && shape[shape.length - 1] > TileTree.TILE;
    }

    function _headers(Operand[] memory operands) private pure returns (Header[] memory headers) {
        headers = new Header[](operands.length);
        for (uint256 i = 0; i < operands.length; ++i) {
            headers[i] = operands[i].header;
        }
    }

    /// Place in row-major order of an element of the tile shown.
    function _element(Place memory p, uint256 offset) private pure returns (uint256) {
        // slither-disable-next-line unused-return
        (uint256 first,) = TileTree.elementsOfTile(p.context.value.width, p.cursor.index);
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
