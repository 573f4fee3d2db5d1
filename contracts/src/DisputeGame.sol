// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

import {Bounds} from "./Bounds.sol";
import {GameRules} from "./GameRules.sol";
import {Claim, IJobs} from "./IJobs.sol";
import {Move, Moves} from "./Moves.sol";
import {Side} from "./Position.sol";
import {blockTime, Timestamp} from "./types.sol";

/// @notice There is no such game, or it is over.
error NoGame(uint256 game);

/// @notice Only the two sides of a game move in it.
error NotAPlayer(uint256 game, address caller);

/// @notice The position shown is not where the game stands.
error WrongPosition(bytes32 given, bytes32 expected);

/// @notice The clock of the side whose turn it is has run out; anyone may end the game now.
error ClockRanOut(Side turn);

/// @notice The side whose turn it is still has time.
error ClockRuns(Side turn, uint256 left);

/// @notice The worker claims something else.
error OtherClaim(bytes32 claimed, bytes32 expected);

/// @notice The job was not refuted, so its games go on.
error NotRefuted(uint256 job);

/// @title  Dispute games
/// @notice Games between the worker of a job and whoever challenges its result; any number at a time, each of two sides.
/// @dev    The rules are `GameRules`; here are clocks, and who may move. A game keeps the hash of its position, and who moves
///         shows the position again, so a move costs calldata and one word of storage.
///
///           open --> moves of both sides --> a contradiction: the worker lost
///                          |
///                          +--> the clock of the side whose turn it is ran out: that side lost
///                          +--> another game refuted the job: void
///
///         Each side has `clock` seconds for all of its moves together. Openings that the challenger makes in the worker's turn
///         are on the worker's clock. Money is the job contract's affair; each game ends there exactly once.
contract DisputeGame is ReentrancyGuardTransient {
    /// @param  challenger      Who doubts; zero where there is no game, or none any more.
    /// @param  since           When the turn began.
    /// @param  turn            Whose turn it is.
    /// @param  worker          Who claims.
    /// @param  workerLeft      Seconds of the worker's clock when the turn began.
    /// @param  challengerLeft  Seconds of the challenger's.
    /// @param  job             What it is about.
    /// @param  position        Hash of where it stands.
    struct Game {
        address challenger;
        Timestamp since;
        Side turn;
        address worker;
        uint32 workerLeft;
        uint32 challengerLeft;
        uint256 job;
        bytes32 position;
    }

    /// @notice The rules.
    GameRules public immutable rules;
    /// @notice Who holds jobs and money.
    IJobs public immutable jobs;
    /// @notice Seconds that each side has for all of its moves.
    uint32 public immutable clock;

    /// @notice Games so far; they are numbered from 1.
    uint256 public games;

    mapping(uint256 game => Game) private _games;

    /// @notice A game began; the position is that of `GameRules.start` after the moves, if any.
    event Opened(uint256 indexed game, uint256 indexed job, address indexed challenger, address worker, Move[] moves);

    /// @notice A side moved. `position` is the hash of where the game stands then.
    event Moved(uint256 indexed game, Side side, bytes32 position, Move[] moves);

    /// @notice A game is over.
    /// @param  workerLost  Who lost.
    /// @param  byClock     Whether that side ran out of time, and not into a contradiction.
    event Ended(uint256 indexed game, bool workerLost, bool byClock);

    /// @notice A game ended without a decision, because another one refuted the job.
    event Voided(uint256 indexed game);

    /// @param rules_ The rules.
    /// @param jobs_  Who holds jobs and money; it may be deployed later than this contract.
    /// @param clock_ Seconds that each side has for all of its moves, a minute at least and ninety days at most.
    constructor(GameRules rules_, IJobs jobs_, uint32 clock_) {
        Bounds.checkContract(address(rules_));
        Bounds.check("clock", clock_, 1 minutes, 90 days);
        (rules, jobs, clock) = (rules_, jobs_, clock_);
    }

    /// @notice Opens a game about a job's result, and makes the first moves. Takes the job's bond for challengers.
    /// @param  top What the caller found the worker to claim; another claim, after a reorganisation, is not challenged.
    /// @dev The number of a game is not known before its job is: what is written after the call nobody can reach during it.
    // slither-disable-next-line reentrancy-benign
    function open(uint256 job, bytes32 top, Move[] calldata moves) external nonReentrant returns (uint256 game) {
        _checkForms(moves);
        (address worker, Claim memory claim) = jobs.beginGame(job, msg.sender);
        if (claim.top != top) revert OtherClaim(claim.top, top);
        game = ++games;
        bytes memory position = rules.start(claim);
        (bytes memory next, bool won, Side turn) = rules.play(position, Side.Challenger, moves);
        // INVARIANT: nothing was asserted yet that could contradict anything.
        assert(!won);
        Game storage g = _games[game];
        (g.challenger, g.since, g.turn, g.worker) = (msg.sender, blockTime(), turn, worker);
        (g.workerLeft, g.challengerLeft, g.job, g.position) = (clock, clock, job, keccak256(next));
        emit Opened(game, job, msg.sender, worker, moves);
    }

    /// @notice Makes moves, one after another.
    /// @param  position Where the game stands, ABI-encoded.
    function play(uint256 game, bytes calldata position, Move[] calldata moves) external nonReentrant {
        Game storage g = _game(game);
        Side side = _side(game, g);
        // INVARIANT: whoever shows another position moves in no game.
        bytes32 shown = keccak256(position);
        if (shown != g.position) revert WrongPosition(shown, g.position);
        _stopClock(g);
        _checkForms(moves);
        (bytes memory next, bool won, Side turn) = rules.play(position, side, moves);
        if (won) {
            emit Moved(game, side, 0, new Move[](0));
            _end(game, g, true, false);
            return;
        }
        (g.turn, g.since, g.position) = (turn, blockTime(), keccak256(next));
        emit Moved(game, side, g.position, moves);
    }

    /// @notice Ends a game whose side to move has run out of time. Anyone may.
    function timeout(uint256 game) external nonReentrant {
        Game storage g = _game(game);
        uint256 left = timeLeft(game);
        if (left > 0) revert ClockRuns(g.turn, left);
        _end(game, g, g.turn == Side.Worker, true);
    }

    /// @notice Ends a game about a job that another game refuted. Anyone may.
    function voidGame(uint256 game) external nonReentrant {
        Game storage g = _game(game);
        (uint256 job, address challenger) = (g.job, g.challenger);
        if (!jobs.isRefuted(job)) revert NotRefuted(job);
        delete _games[game];
        emit Voided(game);
        jobs.voidGame(job, challenger);
    }

    /// @notice A game that is under way; all zero for others.
    function gameOf(uint256 game) external view returns (Game memory) {
        return _games[game];
    }

    /// @notice Seconds that the side to move has left.
    function timeLeft(uint256 game) public view returns (uint256) {
        Game storage g = _game(game);
        uint256 left = g.turn == Side.Worker ? g.workerLeft : g.challengerLeft;
        uint256 spent = Timestamp.unwrap(blockTime()) - Timestamp.unwrap(g.since);
        return spent < left ? left - spent : 0;
    }

    function _stopClock(Game storage g) private {
        uint256 left = g.turn == Side.Worker ? g.workerLeft : g.challengerLeft;
        uint256 spent = Timestamp.unwrap(blockTime()) - Timestamp.unwrap(g.since);
        // INVARIANT: who has no time left has lost, whatever it would show.
        if (spent >= left) revert ClockRanOut(g.turn);
        // forge-lint: disable-start(unsafe-typecast) less than what was left
        if (g.turn == Side.Worker) g.workerLeft = uint32(left - spent);
        else g.challengerLeft = uint32(left - spent);
        // forge-lint: disable-end(unsafe-typecast)
    }

    /// Reverts unless everybody can read from the log what these moves say.
    function _checkForms(Move[] calldata moves) private pure {
        for (uint256 i = 0; i < moves.length; ++i) {
            Moves.check(moves[i].kind, moves[i].data);
        }
    }

    function _end(uint256 game, Game storage g, bool workerLost, bool byClock) private {
        (uint256 job, address challenger) = (g.job, g.challenger);
        // INVARIANT: a game ends once.
        delete _games[game];
        emit Ended(game, workerLost, byClock);
        jobs.endGame(job, challenger, workerLost);
    }

    function _game(uint256 game) private view returns (Game storage g) {
        g = _games[game];
        if (g.challenger == address(0)) revert NoGame(game);
    }

    function _side(uint256 game, Game storage g) private view returns (Side) {
        if (msg.sender == g.worker) return Side.Worker;
        if (msg.sender == g.challenger) return Side.Challenger;
        revert NotAPlayer(game, msg.sender);
    }
}
