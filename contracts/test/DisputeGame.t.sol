// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Clocks} from "../src/Clocks.sol";
import {
    ClockRanOut,
    ClockRuns,
    DisputeGame,
    NoGame,
    NotADescent,
    NotAPlayer,
    NotRefuted,
    OtherClaim,
    WrongPosition
} from "../src/DisputeGame.sol";
import {NotHere} from "../src/Descent.sol";
import {GameRules, WrongContext} from "../src/GameRules.sol";
import {IJobs} from "../src/IJobs.sol";
import {MoveKind} from "../src/Moves.sol";
import {Side} from "../src/Position.sol";
import {Referee} from "../src/Referee.sol";
import {Malformed} from "../src/Slices.sol";
import {NotAContract, ParameterOutOfRange} from "../src/errors.sol";
import {blockTime} from "../src/types.sol";
import {Games, Move} from "./fixtures/Games.sol";

/// @title Who may move, when, and how a game ends. The rules themselves: the tests of the Rust crate.
contract DisputeGameTest is Games {
    function setUp() public {
        _start(new GameRules(new Referee()));
    }

    // ---- a whole game

    function test_aContradictionEndsTheGame() public {
        vm.assertEq(_open(), 1);
        vm.assertEq(jobs.told(), 1);
        vm.assertEq(jobs.who(), CHALLENGER);
        _play(WORKER, _list(_reveal()));
        _play(CHALLENGER, _list(_pick()));
        _play(WORKER, _list(_step()));
        _play(CHALLENGER, _list(_contest()));
        _play(WORKER, _list(_state(), _slot()));
        vm.expectEmit(address(games));
        emit DisputeGame.Ended(1, true, false);
        _play(CHALLENGER, _list(_proveNext()));
        vm.assertEq(jobs.told(), 3);
        vm.expectRevert(abi.encodeWithSelector(NoGame.selector, 1));
        _timeLeft();
    }

    /// The challenger says in the worker's turn what the worker would: on the worker's clock.
    function test_openingsOfTheChallengerAreOnTheWorkersClock() public {
        _open();
        pass(300);
        _play(CHALLENGER, _list(_pick()));
        _stands(CLOCK - 300, CLOCK);
        _play(WORKER, _list(_step()));
        pass(10);
        _play(CHALLENGER, _list(_contest()));
        pass(100);
        _play(CHALLENGER, _list(_state(), _slot()));
        _stands(CLOCK - 400, CLOCK - 10);
        vm.assertTrue(game.clocks.turn() == Side.Challenger);
    }

    /// No number of moves, not even of none, gives anybody time.
    function test_movesGiveNoTime(uint16 first, uint16 second) public {
        (uint64 a, uint64 b) = (uint64(bound(first, 0, 499)), uint64(bound(second, 0, 499)));
        _open();
        pass(a);
        _play(CHALLENGER, new Move[](0));
        pass(b);
        _play(WORKER, new Move[](0));
        vm.assertEq(_timeLeft(), CLOCK - a - b);
        _stands(CLOCK - a - b, CLOCK);
    }

    // ---- clocks

    /// A second before the end the worker may move and nobody may end the game; at the end it is the other way round.
    function test_theLastSecond() public {
        _open();
        pass(CLOCK - 1);
        vm.assertEq(_timeLeft(), 1);
        vm.prank(STRANGER);
        vm.expectRevert(abi.encodeWithSelector(ClockRuns.selector, Side.Worker, 1));
        _timeout();
        _play(WORKER, _list(_reveal()));
        vm.assertEq(_timeLeft(), CLOCK);
        _stands(1, CLOCK);
    }

    function test_afterTheLastSecond() public {
        _open();
        pass(CLOCK);
        vm.assertEq(_timeLeft(), 0);
        _refused(WORKER, _list(_reveal()), abi.encodeWithSelector(ClockRanOut.selector, Side.Worker));
        // Nor may the other side: the game is decided.
        _refused(CHALLENGER, _list(_pick()), abi.encodeWithSelector(ClockRanOut.selector, Side.Worker));
        vm.expectEmit(address(games));
        emit DisputeGame.Ended(1, true, true);
        vm.prank(STRANGER);
        _timeout();
        vm.assertEq(jobs.told(), 3);
        vm.expectRevert(abi.encodeWithSelector(NoGame.selector, 1));
        _timeout();
    }

    /// A contradiction comes too late when the clock of its side has run out.
    function test_aContradictionThatComesTooLate() public {
        _open();
        _play(CHALLENGER, _list(_pick()));
        _play(WORKER, _list(_step()));
        _play(CHALLENGER, _list(_contest()));
        _play(WORKER, _list(_state(), _slot()));
        pass(CLOCK);
        _refused(CHALLENGER, _list(_proveNext()), abi.encodeWithSelector(ClockRanOut.selector, Side.Challenger));
        vm.expectEmit(address(games));
        emit DisputeGame.Ended(1, false, true);
        _timeout();
        vm.assertEq(jobs.told(), 2);
        vm.assertEq(jobs.who(), CHALLENGER);
    }

    // ---- who may move

    function test_strangersDoNotMove() public {
        _open();
        _refused(STRANGER, _list(_reveal()), abi.encodeWithSelector(NotAPlayer.selector, 1, STRANGER));
        Move[] memory moves = _list(_reveal());
        vm.expectRevert(abi.encodeWithSelector(NoGame.selector, 2));
        vm.prank(WORKER);
        games.play(2, game, position, "", _pack(moves));
    }

    function test_movesOutOfTurn() public {
        _open();
        _play(WORKER, _list(_reveal()));
        _refused(WORKER, _list(_reveal()), abi.encodeWithSelector(NotHere.selector, Side.Worker, MoveKind.Reveal));
        _play(CHALLENGER, _list(_pick()));
        // What was committed to nowhere is the worker's to say.
        _refused(CHALLENGER, _list(_step()), abi.encodeWithSelector(NotHere.selector, Side.Challenger, MoveKind.Step));
    }

    /// A worker that challenges itself moves as the worker alone, and its game ends by a clock.
    function test_aWorkerAgainstItself() public {
        _open(WORKER, new Move[](0));
        _refused(WORKER, _list(_pick()), abi.encodeWithSelector(NotHere.selector, Side.Worker, MoveKind.Pick));
        _play(WORKER, _list(_reveal()));
        pass(CLOCK);
        _timeout();
        vm.assertEq(jobs.told(), 2);
    }

    function test_theWrongPosition() public {
        _open();
        bytes memory before = position;
        _play(WORKER, _list(_reveal()));
        bytes memory now_ = position;
        position = before;
        _refused(CHALLENGER, _list(_pick()), _otherThan(now_));
        vm.expectRevert(_otherThan(now_));
        _timeLeft();
    }

    /// Nobody moves in, or ends, a game with other players, job or clocks than it has.
    function test_theWrongGame(uint8 which, uint256 change) public {
        _open();
        DisputeGame.Game memory right = game;
        change = bound(change, 1, type(uint160).max);
        // casting to 'uint160' is safe because `change` is bounded by its largest value
        // forge-lint: disable-next-line(unsafe-typecast)
        uint160 bits = uint160(change);
        if (which % 4 == 0) game.job ^= change;
        else if (which % 4 == 1) game.worker = address(uint160(game.worker) ^ bits);
        else if (which % 4 == 2) game.challenger = address(uint160(game.challenger) ^ bits);
        else game.clocks = Clocks.wrap(Clocks.unwrap(game.clocks) ^ change);
        bytes32 shown = keccak256(abi.encode(game, keccak256(position)));
        bytes memory wrong = abi.encodeWithSelector(WrongPosition.selector, shown, games.hashOf(1));
        _refused(WORKER, _list(_reveal()), wrong);
        jobs.refute();
        pass(CLOCK);
        vm.expectRevert(wrong);
        _timeout();
        vm.expectRevert(wrong);
        _void();
        game = right;
        _timeout();
    }

    /// A move that needs the context is refused without it, and with another.
    function test_theWrongContext() public {
        _open();
        _play(CHALLENGER, _list(_pick()));
        bytes memory right = context;
        context = "";
        _refused(WORKER, _list(_step()), abi.encodeWithSelector(WrongContext.selector, 0, keccak256(right)));
        context = bytes.concat(right);
        context[40] ^= 0x01;
        bytes32 given = keccak256(context);
        _refused(WORKER, _list(_step()), abi.encodeWithSelector(WrongContext.selector, given, keccak256(right)));
        context = right;
        _play(WORKER, _list(_step()));
    }

    function test_anotherClaimIsNotChallenged() public {
        bytes32 top = _claim().top;
        vm.expectRevert(abi.encodeWithSelector(OtherClaim.selector, top, bytes32(uint256(1))));
        games.open(JOB, bytes32(uint256(1)), "");
    }

    function test_openingWithMoves() public {
        _open(CHALLENGER, _list(_pick()));
        vm.assertTrue(game.clocks.turn() == Side.Worker);
        _play(WORKER, _list(_step()));
    }

    /// What is said in the first tree alone is said with the opening.
    function test_openingWithOtherMoves() public {
        bytes32 top = _claim().top;
        bytes memory moves = _pack(_list(_pick(), _step()));
        vm.expectRevert(NotADescent.selector);
        games.open(JOB, top, moves);
        moves = _pack(_list(_contest()));
        vm.expectRevert(NotADescent.selector);
        games.open(JOB, top, moves);
    }

    // ---- what the log says

    /// A move has neither less nor more than it says, and lists of moves end where the last of them does.
    function test_movesHaveOneForm() public {
        _open();
        bytes memory data = _reveal().data;
        _refused(WORKER, _list(Move(MoveKind.Reveal, bytes.concat(data, hex"00"))), _form(65));
        _refused(WORKER, _list(Move(MoveKind.Reveal, _cut(data, 63))), _form(63));
        _refused(CHALLENGER, _list(Move(MoveKind.Pick, "")), _form(0));
        _refused(CHALLENGER, _list(Move(MoveKind.Pick, _cut(_pick().data, 8))), _form(1));
        _refused(CHALLENGER, _list(Move(MoveKind.Pick, _cut(_pick().data, 40))), _form(9));
        _refused(CHALLENGER, _list(Move(MoveKind.Pick, _cut(_pick().data, 72))), _form(72));
        bytes memory moves = _pack(_list(_reveal()));
        _refusedPacked(WORKER, _cut(moves, 3), _form(0));
        _refusedPacked(WORKER, _cut(moves, moves.length - 1), _form(0));
        _refusedPacked(WORKER, bytes.concat(moves, hex"00"), _form(moves.length));
        moves[0] = 0x10;
        _refusedPacked(WORKER, moves, _form(0));
        _play(CHALLENGER, _list(_pick()));
        _refused(WORKER, _list(Move(MoveKind.Step, _cut(_step().data, 95))), _form(64));
        _refused(WORKER, _list(Move(MoveKind.Step, bytes.concat(_step().data, hex"00"))), _form(129));
        _play(WORKER, _list(_step()));
        _refused(CHALLENGER, _list(Move(MoveKind.ContestNext, hex"00")), _form(0));
        _play(CHALLENGER, _list(_contest()));
        _refused(WORKER, _list(Move(MoveKind.State, _cut(_state().data, 31))), _form(31));
        _refused(WORKER, _list(Move(MoveKind.State, bytes.concat(_state().data, hex"00"))), _form(33));
        _refused(WORKER, _list(_state(), Move(MoveKind.Slot, hex"00")), _form(0));
    }

    /// The log has the root of a tensor, and not the part of the plan by which the rules judged it.
    function test_proofsAreNotLogged() public {
        _open();
        _play(CHALLENGER, _list(_pick()));
        _play(WORKER, _list(_step()));
        _play(CHALLENGER, _list(_contest()));
        Move[] memory moves = _list(_state(), _slot());
        (bytes memory next,,, Side turn) = games.rules().play(position, context, Side.Worker, _pack(moves));
        Move[] memory said = _list(_state(), Move(MoveKind.Slot, bytes.concat(TENSOR)));
        Clocks clocks = game.clocks.next(blockTime(), turn, CLOCK);
        vm.expectEmit(address(games));
        emit DisputeGame.Moved(1, Side.Worker, clocks, keccak256(next), _pack(said));
        _play(WORKER, moves);
    }

    // ---- void

    function test_aGameIsVoidWhenAnotherRefutedTheJob() public {
        _open();
        vm.expectRevert(abi.encodeWithSelector(NotRefuted.selector, JOB));
        _void();
        jobs.refute();
        vm.expectEmit(address(games));
        emit DisputeGame.Voided(1);
        vm.prank(STRANGER);
        _void();
        vm.assertEq(jobs.told(), 4);
        vm.assertEq(jobs.who(), CHALLENGER);
        _refused(WORKER, _list(_reveal()), abi.encodeWithSelector(NoGame.selector, 1));
        vm.expectRevert(abi.encodeWithSelector(NoGame.selector, 1));
        _void();
    }

    // ---- calls back

    function test_nothingCallsBack() public {
        jobs.callBack(abi.encodeCall(games.open, (JOB, _claim().top, "")));
        _open();
        vm.assertFalse(jobs.cameBack());
        vm.assertEq(games.games(), 1);
        jobs.callBack(abi.encodeCall(games.timeout, (1, game, keccak256(position))));
        pass(CLOCK);
        _timeout();
        vm.assertFalse(jobs.cameBack());
    }

    // ---- deployment

    function test_parametersAreChecked() public {
        GameRules rules = games.rules();
        vm.expectRevert(abi.encodeWithSelector(NotAContract.selector, STRANGER));
        new DisputeGame(GameRules(STRANGER), jobs, CLOCK);
        vm.expectPartialRevert(ParameterOutOfRange.selector);
        new DisputeGame(rules, jobs, 59);
        vm.expectPartialRevert(ParameterOutOfRange.selector);
        new DisputeGame(rules, jobs, 90 days + 1);
        // Whoever holds jobs may be deployed later.
        new DisputeGame(rules, IJobs(STRANGER), 1 minutes);
    }

    function _refused(address who, Move[] memory moves, bytes memory with) private {
        bytes memory shown = _contextFor(moves);
        vm.expectRevert(with);
        vm.prank(who);
        games.play(1, game, position, shown, _pack(moves));
    }

    /// The same of moves that need no context.
    function _refusedPacked(address who, bytes memory moves, bytes memory with) private {
        vm.expectRevert(with);
        vm.prank(who);
        games.play(1, game, position, "", moves);
    }

    /// Whether the game has these clocks, as the fixture has them.
    function _stands(uint256 workerLeft, uint256 challengerLeft) private view {
        vm.assertEq(games.hashOf(1), keccak256(abi.encode(game, keccak256(position))));
        vm.assertEq(game.clocks.ofWorker(), workerLeft);
        vm.assertEq(game.clocks.ofChallenger(), challengerLeft);
    }

    /// The refusal of what the fixture shows, where the game stands at another position.
    function _otherThan(bytes memory right) private view returns (bytes memory) {
        bytes32 shown = keccak256(abi.encode(game, keccak256(position)));
        bytes32 kept = keccak256(abi.encode(game, keccak256(right)));
        return abi.encodeWithSelector(WrongPosition.selector, shown, kept);
    }

    function _form(uint256 place) private pure returns (bytes memory) {
        return abi.encodeWithSelector(Malformed.selector, place);
    }

    function _cut(bytes memory data, uint256 length) private pure returns (bytes memory cut) {
        cut = new bytes(length);
        for (uint256 i = 0; i < length; ++i) {
            cut[i] = data[i];
        }
    }
}
