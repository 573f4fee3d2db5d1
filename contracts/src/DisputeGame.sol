// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

import {Bounds} from "./Bounds.sol";
import {Clocks, ClockWords} from "./Clocks.sol";
import {Descent} from "./Descent.sol";
import {GameRules} from "./GameRules.sol";
import {Claim, IJobs} from "./IJobs.sol";
import {MoveKind, Moves} from "./Moves.sol";
import {Position, Positions, Side} from "./Position.sol";
import {StepClaim, StepClaims} from "./StepClaims.sol";
import {blockTime} from "./types.sol";

/// @notice There is no such game, or it is over.
error NoGame(uint256 game);

/// @notice Only the two sides of a game move in it.
error NotAPlayer(uint256 game, address caller);

/// @notice What is shown is not how the game stands; both are hashes of all that is shown.
error WrongPosition(bytes32 given, bytes32 expected);

/// @notice The clock of the side whose turn it is has run out; anyone may end the game now.
error ClockRanOut(Side turn);

/// @notice The side whose turn it is still has time.
error ClockRuns(Side turn, uint256 left);

/// @notice The worker claims something else.
error OtherClaim(bytes32 claimed, bytes32 expected);

/// @notice A game begins with moves down the tree of checkpoints, and no others.
error NotADescent();

/// @notice The job was not refuted, so its games go on.
error NotRefuted(uint256 job);

/// @notice What is claimed of a step is signed by somebody else than the job's worker.
error NotOfWorker(uint256 job, address signer, address worker);

/// @notice The moves show nothing that is wrong.
error NothingRefuted(uint256 job);

/// @notice A refutation was not announced in an earlier block, or a hash was announced before.
error WrongAnnouncement(bytes32 hash, uint256 announcedIn);

/// @title  Dispute games
/// @notice Games between the worker of a job and whoever challenges its result; any number at a time, each of two sides.
/// @dev    The rules are `GameRules`; here are clocks, and who may move. A game keeps one word: the hash of who plays about what,
///         of the clocks and of the position. The log tells these, and who calls shows them again.
///
///           open --> moves of both sides --> a contradiction: the worker lost
///                          |
///                          +--> the clock of the side whose turn it is ran out: that side lost
///                          +--> another game refuted the job: void
///
///         Each side has `clock` seconds for all of its moves together. Openings that the challenger makes in the worker's turn
///         are on the worker's clock. Money is the job contract's affair; each game ends there exactly once.
///
///         *Without a game.* A worker that was asked about a step signs what it claims of it. What only it can say in a game it has
///         then said, so whoever can show that that is false does so in one call, with all moves of both sides, and stakes nothing.
///         The call is announced a block before by the hash of all that it shows, so nobody who sees it can be first with it.
///         (The worker can: one that lied may be its own challenger, as in games, and then loses half of its bond all the same.)
contract DisputeGame is EIP712, ReentrancyGuardTransient {
    using StepClaims for StepClaim;

    /// @param  job        What it is about.
    /// @param  worker     Who claims.
    /// @param  challenger Who doubts.
    /// @param  clocks     Whose turn it is, since when, and the time of both.
    struct Game {
        uint256 job;
        address worker;
        address challenger;
        Clocks clocks;
    }

    /// @notice The rules.
    GameRules public immutable rules;
    /// @notice Who holds jobs and money.
    IJobs public immutable jobs;
    /// @notice Seconds that each side has for all of its moves.
    uint32 public immutable clock;

    /// Number of the next game, from 1. The word is never zero, so that the first game costs what the others do.
    uint256 private _next = 1;

    /// Hash of each game and its position; zero where there is none, or none any more.
    mapping(uint256 game => bytes32) private _games;

    /// The block in which a refutation was announced, by its hash; zero where none was.
    mapping(bytes32 announcement => uint256) private _announced;

    /// @notice A game began; `position` is the hash of `start` after the moves, if any, which are told as in `Moved`.
    event Opened(
        uint256 indexed game,
        uint256 indexed job,
        address indexed challenger,
        address worker,
        Clocks clocks,
        bytes32 position,
        bytes moves
    );

    /// @notice A side moved. `position` is the hash of where the game stands then, `moves` are what `Moves.said` leaves of them:
    ///         what the other side knows anyway is not told.
    event Moved(uint256 indexed game, Side side, Clocks clocks, bytes32 position, bytes moves);

    /// @notice A game is over.
    /// @param  workerLost  Who lost.
    /// @param  byClock     Whether that side ran out of time, and not into a contradiction.
    event Ended(uint256 indexed game, bool workerLost, bool byClock);

    /// @notice A game ended without a decision, because another one refuted the job.
    event Voided(uint256 indexed game);

    /// @param rules_ The rules.
    /// @param jobs_  Who holds jobs and money; it may be deployed later than this contract.
    /// @param clock_ Seconds that each side has for all of its moves, a minute at least and ninety days at most.
    constructor(GameRules rules_, IJobs jobs_, uint32 clock_) EIP712("swarm-node", "2") {
        Bounds.checkContract(address(rules_));
        Bounds.check("clock", clock_, 1 minutes, 90 days);
        (rules, jobs, clock) = (rules_, jobs_, clock_);
    }

    /// @notice Opens a game about a job's result, and makes the first moves. Takes the job's bond for challengers.
    /// @param  moves One behind another: `Moves`.
    /// @param  top What the caller found the worker to claim; another claim, after a reorganisation, is not challenged.
    /// @dev The number of a game is not known before its job is: what is written after the call nobody can reach during it.
    // slither-disable-next-line reentrancy-benign
    function open(uint256 job, bytes32 top, bytes calldata moves) external nonReentrant returns (uint256 game) {
        (address worker, Claim memory claim) = jobs.beginGame(job, msg.sender);
        if (claim.top != top) revert OtherClaim(claim.top, top);
        game = _next++;
        (bytes32 position, Side turn) = _start(claim, moves);
        Game memory g = Game(job, worker, msg.sender, ClockWords.begin(blockTime(), turn, clock, clock));
        _games[game] = _hash(g, position);
        emit Opened(game, job, msg.sender, worker, g.clocks, position, Moves.said(moves));
    }

    /// @notice Makes moves, one after another.
    /// @param  g        The game as it stands.
    /// @param  position Where it stands: `Positions.write`.
    /// @param  context  The position's context, ABI-encoded; may be left out where no move needs it.
    /// @param  moves    One behind another: `Moves`.
    function play(uint256 game, Game memory g, bytes calldata position, bytes calldata context, bytes calldata moves)
        external
        nonReentrant
    {
        _checkGame(game, g, keccak256(position));
        Side side = _side(game, g);
        Clocks clocks = g.clocks;
        uint32 left = clocks.left(blockTime());
        // INVARIANT: who has no time left has lost, whatever it would show.
        if (left == 0) revert ClockRanOut(clocks.turn());
        (bytes32 stands, bool won, Side turn) = _make(position, context, side, moves);
        if (won) return _end(game, g, true, false);
        g.clocks = clocks.next(blockTime(), turn, left);
        _games[game] = _hash(g, stands);
        emit Moved(game, side, g.clocks, stands, Moves.said(moves));
    }

    /// @notice Ends a game whose side to move has run out of time. Anyone may.
    /// @param  g        The game as it stands.
    /// @param  position Hash of where it stands.
    function timeout(uint256 game, Game calldata g, bytes32 position) external nonReentrant {
        uint256 left = timeLeft(game, g, position);
        if (left > 0) revert ClockRuns(g.clocks.turn(), left);
        _end(game, g, g.clocks.turn() == Side.Worker, true);
    }

    /// @notice Ends a game about a job that another game refuted. Anyone may.
    /// @param  g        The game as it stands.
    /// @param  position Hash of where it stands.
    function voidGame(uint256 game, Game calldata g, bytes32 position) external nonReentrant {
        _checkGame(game, g, position);
        if (!jobs.isRefuted(g.job)) revert NotRefuted(g.job);
        delete _games[game];
        emit Voided(game);
        jobs.voidGame(g.job, g.challenger);
    }

    /// @notice Announces a refutation: `announcementOf`. It says nothing to who does not know what is shown.
    function announce(bytes32 hash) external {
        // INVARIANT: an announcement never becomes younger.
        if (_announced[hash] != 0) revert WrongAnnouncement(hash, _announced[hash]);
        _announced[hash] = block.number;
    }

    /// @notice Refutes a job by what its worker signed of a step; the caller is the challenger that was right. It was announced in
    ///         an earlier block.
    /// @param  signature Of that, by the job's worker.
    /// @param  moves     The whole game from its first move to the contradiction, one behind another: `Moves`. What only the worker
    ///                   asserts must be what was signed.
    /// @param  salt      Of the announcement.
    function refute(StepClaim calldata step, bytes calldata signature, bytes calldata moves, bytes32 salt)
        external
        nonReentrant
    {
        _useAnnouncement(announcementOf(msg.sender, step, moves, salt));
        (address worker, Claim memory claim) = jobs.claimOf(step.job);
        address signer = ECDSA.recoverCalldata(stepClaimHash(step), signature);
        // INVARIANT: a worker answers for what it signed, and for nothing else.
        if (signer != worker) revert NotOfWorker(step.job, signer, worker);
        if (!_refutes(claim, step, moves)) revert NothingRefuted(step.job);
        jobs.refute(step.job, msg.sender);
    }

    /// @notice The block in which a refutation was announced; zero where it was not, or was carried out.
    function announcedIn(bytes32 hash) external view returns (uint256) {
        return _announced[hash];
    }

    /// @notice Games so far; they are numbered from 1.
    function games() external view returns (uint256) {
        return _next - 1;
    }

    /// @notice Where a game about a claim begins: its whole history is in doubt, and the worker has to move.
    /// @return position As `Positions.write` has it.
    /// @return context  ABI-encoded.
    function start(Claim calldata claim) external pure returns (bytes memory position, bytes memory context) {
        Position memory p;
        (p, context) = Positions.start(claim);
        position = Positions.write(p);
    }

    /// @notice Hash of a game that is under way, with its position; zero for others.
    function hashOf(uint256 game) external view returns (bytes32) {
        return _games[game];
    }

    /// @notice What a worker signs of a step (EIP-712).
    function stepClaimHash(StepClaim calldata step) public view returns (bytes32) {
        return _hashTypedDataV4(step.hash());
    }

    /// @notice What is announced before a refutation by `challenger`.
    function announcementOf(address challenger, StepClaim calldata step, bytes calldata moves, bytes32 salt)
        public
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(challenger, step.hash(), keccak256(moves), salt));
    }

    /// @notice Seconds that the side to move has left.
    /// @param  g        The game as it stands.
    /// @param  position Hash of where it stands.
    function timeLeft(uint256 game, Game memory g, bytes32 position) public view returns (uint256) {
        _checkGame(game, g, position);
        return g.clocks.left(blockTime());
    }

    /// Where a game stands after the challenger's first moves, and whose turn it is. Only the worker leads out of the first tree.
    function _start(Claim memory claim, bytes calldata moves) private view returns (bytes32, Side turn) {
        // The context is for who calls: its hash is in the position.
        // slither-disable-next-line unused-return
        (Position memory p,) = Positions.start(claim);
        if (moves.length > 0) {
            if (!Descent.areAll(moves)) revert NotADescent();
            turn = Descent.play(p, Side.Challenger, moves);
        }
        return (keccak256(Positions.write(p)), turn);
    }

    /// Where moves lead, whether they end the game, and whose turn it is then.
    function _make(bytes calldata position, bytes calldata context, Side side, bytes calldata moves)
        private
        view
        returns (bytes32, bool, Side)
    {
        if (Descent.areAll(moves)) {
            // What the rules would do with these moves, without asking them.
            Position memory p = Positions.read(position);
            Side then = Descent.play(p, side, moves);
            return (keccak256(Positions.write(p)), false, then);
        }
        // slither-disable-next-line unused-return
        (bytes memory next,, bool won, Side turn) = rules.play(position, context, side, moves);
        return (keccak256(next), won, turn);
    }

    function _useAnnouncement(bytes32 hash) private {
        uint256 announced = _announced[hash];
        // INVARIANT: whoever saw a refutation before it is in a block cannot have announced it.
        if (announced == 0 || announced >= block.number) revert WrongAnnouncement(hash, announced);
        delete _announced[hash];
    }

    /// Whether the moves of a whole game, of which the worker's assertions are what it signed, end in a contradiction.
    function _refutes(Claim memory claim, StepClaim calldata step, bytes calldata moves)
        private
        view
        returns (bool won)
    {
        for (uint256 place = 0; place < moves.length;) {
            (MoveKind kind, bytes calldata data, uint256 next) = Moves.read(moves, place);
            if (StepClaims.isAssertion(kind)) step.check(kind, data);
            place = next;
        }
        (Position memory p, bytes memory context) = Positions.start(claim);
        // slither-disable-next-line unused-return
        (,, won,) = rules.play(Positions.write(p), context, Side.Both, moves);
    }

    function _end(uint256 game, Game memory g, bool workerLost, bool byClock) private {
        // INVARIANT: a game ends once.
        delete _games[game];
        emit Ended(game, workerLost, byClock);
        jobs.endGame(g.job, g.challenger, workerLost);
    }

    /// Reverts unless the game stands so.
    function _checkGame(uint256 game, Game memory g, bytes32 position) private view {
        (bytes32 kept, bytes32 shown) = (_games[game], _hash(g, position));
        if (kept == 0) revert NoGame(game);
        // INVARIANT: whoever shows something else moves in no game.
        if (shown != kept) revert WrongPosition(shown, kept);
    }

    function _hash(Game memory g, bytes32 position) private pure returns (bytes32) {
        return keccak256(abi.encode(g, position));
    }

    function _side(uint256 game, Game memory g) private view returns (Side) {
        if (msg.sender == g.worker) return Side.Worker;
        if (msg.sender == g.challenger) return Side.Challenger;
        revert NotAPlayer(game, msg.sender);
    }
}
