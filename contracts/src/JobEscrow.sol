// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {Bounds} from "./Bounds.sol";
import {Claim, IJobs, PlanCounts} from "./IJobs.sol";
import {Inflow} from "./Inflow.sol";
import {JobBonds} from "./JobBonds.sol";
import {JobHistory} from "./JobHistory.sol";
import {JobParameters} from "./JobParameters.sol";
import {JobPlan} from "./JobPlan.sol";
import {
    BadSeal,
    DeadlineNotPassed,
    DeadlinePassed,
    GameUnderWay,
    GamesUnderWay,
    JobExists,
    NoGame,
    NotGame,
    NotPayer,
    NotWorker,
    NothingOwed,
    WrongJobState,
    WrongSeal,
    ZeroOwner
} from "./errors.sol";
import {Timestamp, Units, blockTime, toUnits} from "./types.sol";

/// @notice What a payer wants to have done, and for how much.
/// @param plan Digest of the plan of a step.
/// @param counts Its parts.
/// @param initialState Root of the state that the job begins with.
/// @param steps Steps.
/// @param stride Steps between checkpoints.
/// @param reward What the worker gets.
/// @param workerBond What the worker puts at stake.
/// @param challengerBond What each challenger puts at stake.
/// @param worker Who may accept the job; zero: anyone.
/// @param acceptBy Last second in which it can be accepted; within `MAX_LENGTH` from the launch.
/// @param salt Anything; two jobs of a payer that are alike otherwise need two.
struct Spec {
    bytes32 plan;
    PlanCounts counts;
    bytes32 initialState;
    uint64 steps;
    uint32 stride;
    Units reward;
    Units workerBond;
    Units challengerBond;
    address worker;
    Timestamp acceptBy;
    bytes32 salt;
}

/// @title Jobs of training, and all money about them.
/// @notice A payer launches a job and pays its reward in. A worker accepts it with a bond, does it, and commits to the states that
///         it came through. If nobody refutes the claim in a game that begins within the challenge window, the worker is paid and
///         the job's last state is final.
///
///         ```text
///            launch        accept           commitSeal         commit             finalize
///         None ───► Open ─────────► Assigned ─────────► Sealed ───────► Committed ───────► Finalized
///                    │ │               │ late              │ late            │
///             cancel │ └──expire──► Expired ◄────expire────┘                 │ endGame: the worker lost; refute
///                    ▼                                                       ▼
///                Cancelled                                                Refuted ◄─┐ voidGame: the other games
///                                                                            └──────┘
///         ```
/// @dev INVARIANT: `token.balanceOf(this) >= sum of owed + rewards and bonds of jobs that are not over + bonds of games under way`,
///      equal unless somebody gives tokens away; `BURN_ADDRESS` is owed what is burned.
///      INVARIANT: every state but the last ones is left by a call that anybody can make after a deadline. While games are under
///      way a job waits for them: that they end is up to the clocks of the game contract, which is trusted with that and with who
///      is right, and with nothing else. It reaches no more money than the bonds of one job and the reward of it.
///      No owner, no proxy, no pause; every parameter is immutable. Time is block time alone. The token must not change balances
///      by itself; where it takes a fee of transfers, what arrives counts.
///
///      *What is not decided here.* Whether a plan does what its payer meant, whether all that it names can be had, and whether
///      the worker hands the last state over: a worker should look before it accepts, a payer can recompute. Nobody is paid for
///      finding a claim right; what moves a verifier is half the bond of a liar, or an interest of its own.
///
///      *Seals.* The worker first shows but a hash of its claim. Verifiers seal what they found until `sealWindow` after it, and
///      what was sealed is opened later, so no verifier can have copied it. (From the worker it can have been told: agreement is
///      worth as much as the verifier.)
contract JobEscrow is IJobs, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;
    using Inflow for IERC20;

    /// @notice The states of a job, with what can be called in each.
    enum State {
        /// Never launched: `launch`.
        None,
        /// Waits for a worker: `accept`, `cancel`; later `expire`.
        Open,
        /// Is being done: `seal`, `commitSeal`; later `expire`.
        Assigned,
        /// The worker is done: `seal`, then `commit`; later `expire`.
        Sealed,
        /// The worker claims something: `beginGame`, `endGame`, `refute`, `reveal`; later `finalize`.
        Committed,
        /// The claim was not refuted. Over.
        Finalized,
        /// The claim was refuted: `voidGame`. Over.
        Refuted,
        /// Nobody accepted the job, or the worker was late. Over.
        Expired,
        /// The payer took the job back. Over.
        Cancelled
    }

    /// @param payer Who launched the job.
    /// @param steps Steps.
    /// @param stride Steps between checkpoints.
    /// @param worker Who accepted it; before, who may, or zero.
    /// @param deadline The last second of what its state waits for.
    /// @param state Its state.
    /// @param games Games under way.
    /// @param counts Parts of the plan.
    /// @param plan Digest of the plan.
    /// @param initialState Root of the state that it begins with.
    /// @param finalState Root of the state that it ends with, as claimed; final where the job is finalized.
    /// @param commitment Top of the tree over the states at checkpoints; while the job is sealed, the worker's seal of that.
    /// @param reward What arrived of the reward.
    /// @param workerBond What arrived of the worker's bond; before, what it must be.
    /// @param challengerBond What a challenger's bond must be.
    struct Job {
        address payer;
        uint64 steps;
        uint32 stride;
        address worker;
        Timestamp deadline;
        State state;
        uint24 games;
        PlanCounts counts;
        bytes32 plan;
        bytes32 initialState;
        bytes32 finalState;
        bytes32 commitment;
        Units reward;
        Units workerBond;
        Units challengerBond;
    }

    /// @notice Bound on windows in seconds, so that a value mistyped in milliseconds is refused.
    uint64 public constant MAX_LENGTH = 366 days;

    /// @notice Most steps of a job.
    uint64 public constant MAX_STEPS = 1 << 32;

    /// @notice Where burned money is booked; nobody can withdraw for this address.
    address public constant BURN_ADDRESS = 0x000000000000000000000000000000000000dEaD;

    /// @dev Basis points of the whole.
    uint256 private constant WHOLE = 10_000;

    /// @notice The token of rewards and bonds.
    IERC20 public immutable token;

    /// @notice The dispute game.
    address public immutable game;

    /// @notice Seconds from the acceptance of a job to the last one in which its worker can seal a claim.
    uint64 public immutable workWindow;

    /// @notice Seconds after the worker's seal in which verifiers can still seal.
    uint64 public immutable sealWindow;

    /// @notice Seconds after that in which the worker must commit.
    uint64 public immutable revealWindow;

    /// @notice Seconds after the commitment in which games can begin.
    uint64 public immutable challengeWindow;

    /// @notice Least bond of a worker.
    Units public immutable leastWorkerBond;

    /// @notice Least bond of a challenger.
    Units public immutable leastChallengerBond;

    /// @notice Least bond of a worker, in basis points of the reward.
    uint32 public immutable bondShare;

    /// @notice Money that waits to be withdrawn by its receiver.
    mapping(address receiver => Units amount) public owedTo;

    /// @notice The bond of `challenger`'s game about `job`; 0 where none is under way.
    mapping(uint256 job => mapping(address challenger => Units bond)) public gameBondOf;

    /// @notice What `verifier` has sealed about `job` and not revealed.
    mapping(uint256 job => mapping(address verifier => bytes32 hash)) public sealOf;

    mapping(uint256 job => Job) private _jobs;

    /// @notice `payer` launched `job`; `reward` arrived.
    event Launched(uint256 indexed job, address indexed payer, Spec spec, Units reward);

    /// @notice The payer took `job` back.
    event Cancelled(uint256 indexed job);

    /// @notice `worker` does `job`, for which `bond` arrived, and must seal its claim by `deadline`.
    event Accepted(uint256 indexed job, address indexed worker, Units bond, Timestamp deadline);

    /// @notice The worker sealed its claim. Verifiers can seal theirs until `sealDeadline`; the worker must commit after that, by
    ///         `deadline`.
    event ClaimSealed(uint256 indexed job, bytes32 hash, Timestamp sealDeadline, Timestamp deadline);

    /// @notice `verifier` sealed what it found.
    event Sealed(uint256 indexed job, address indexed verifier, bytes32 hash);

    /// @notice The worker claims that `job` ends with `finalState`; games can begin until `deadline`.
    event Committed(uint256 indexed job, bytes32 top, bytes32 finalState, Timestamp deadline);

    /// @notice `verifier` had found `top`, before it could know the worker's.
    event Revealed(uint256 indexed job, address indexed verifier, bytes32 top, bool agrees);

    /// @notice A game about `job` began; `bond` arrived.
    event GameBegun(uint256 indexed job, address indexed challenger, Units bond);

    /// @notice `challenger`'s game about `job` is decided.
    event GameEnded(uint256 indexed job, address indexed challenger, bool workerLost);

    /// @notice `challenger`'s game about `job` has nothing left to decide.
    event GameVoided(uint256 indexed job, address indexed challenger);

    /// @notice `challenger` showed that the claim about `job` is false.
    event Refuted(uint256 indexed job, address indexed challenger);

    /// @notice `job` ended with `finalState`.
    event Finalized(uint256 indexed job, bytes32 finalState);

    /// @notice Nobody accepted `job` in time, or its worker was late.
    event Expired(uint256 indexed job);

    /// @notice `receiver` can withdraw `amount` more. `BURN_ADDRESS`: burned.
    event Credited(address indexed receiver, Units amount);

    /// @notice `receiver` was paid `amount`.
    event Withdrawn(address indexed receiver, Units amount);

    modifier onlyGame() {
        // INVARIANT: nobody else decides who is right.
        if (msg.sender != game) revert NotGame(msg.sender);
        _;
    }

    /// @notice How large the bonds must be. A token has no gas price, so the deployer computes; `g` is the dearest price of gas
    ///         to reckon with, in token units.
    ///         * *Gas.* Half of a worker's bond pays a challenger that is right for its moves, a challenger's bond a worker that is
    ///           right, each 1.25 times over: with `m` the gas of the dearest side of the longest game,
    ///           leastChallengerBond >= 1.25 * m * g and leastWorkerBond >= 2 * 1.25 * m * g.
    ///         * *Value.* A liar that nobody watches gains the reward; one that is caught loses half of its bond at least, for it
    ///           may be its own challenger. If one job in `n` is not watched, lying pays unless bond >= 2 * reward / (n - 1):
    ///           that is what `bondShare` is for. The constructor demands a fiftieth of the reward: one job in 101.
    ///         * *Delay.* A challenger that is wrong holds up a worker's money for as long as its game lasts, and its bond pays
    ///           for that. It has no floor by value: a bond that is too dear keeps those away who are right.
    /// @param p See `JobParameters`; every bound is explained where it is checked.
    constructor(JobParameters memory p) {
        Bounds.checkContract(address(p.token));
        // Without a game every lie would become final. It need not exist yet; no job is launched before it does.
        Bounds.check("game", uint160(p.game), 1, type(uint160).max);
        _checkWindows(p);
        _checkMoney(p);
        token = p.token;
        game = p.game;
        workWindow = p.workWindow;
        sealWindow = p.sealWindow;
        revealWindow = p.revealWindow;
        challengeWindow = p.challengeWindow;
        leastWorkerBond = p.leastWorkerBond;
        leastChallengerBond = p.leastChallengerBond;
        bondShare = p.bondShare;
    }

    /// @notice Version of the contract.
    function version() external pure returns (string memory) {
        return "1";
    }

    // ---- payer

    /// @notice Launches a job and takes its reward from the caller.
    /// @param spec The job.
    /// @param siblings Hashes beside the path of the plan's first part to the root of its parts, from the leaf upwards.
    /// @return job What the job is known by: `idOf(caller, spec)`.
    function launch(Spec calldata spec, bytes32[] calldata siblings) external nonReentrant returns (uint256 job) {
        // INVARIANT: no money comes in while there is nobody to judge.
        Bounds.checkContract(game);
        _checkSpec(spec);
        JobPlan.checkDigest(spec.plan, spec.counts, siblings);
        job = idOf(msg.sender, spec);
        Job storage j = _jobs[job];
        // INVARIANT: a job is launched once; what is over stays over.
        if (j.state != State.None) revert JobExists(job);
        Units reward = toUnits(token.pull(Units.unwrap(spec.reward)));
        (j.payer, j.steps, j.stride) = (msg.sender, spec.steps, spec.stride);
        (j.worker, j.deadline, j.state) = (spec.worker, spec.acceptBy, State.Open);
        (j.counts, j.plan, j.initialState) = (spec.counts, spec.plan, spec.initialState);
        (j.reward, j.workerBond, j.challengerBond) = (reward, spec.workerBond, spec.challengerBond);
        emit Launched(job, msg.sender, spec, reward);
    }

    /// @notice Takes a job back that nobody has accepted. Its payer only.
    function cancel(uint256 job) external nonReentrant {
        Job storage j = _inState(job, State.Open);
        if (msg.sender != j.payer) revert NotPayer(job, msg.sender);
        j.state = State.Cancelled;
        emit Cancelled(job);
        _credit(j.payer, Units.unwrap(j.reward));
    }

    // ---- worker

    /// @notice Accepts a job and takes the worker's bond from the caller. Look first: whether the plan is one, and whether all
    ///         that it names can be had.
    function accept(uint256 job) external nonReentrant {
        Job storage j = _inState(job, State.Open);
        if (j.worker != address(0) && msg.sender != j.worker) revert NotWorker(job, msg.sender);
        _notAfter(j.deadline);
        Units bond = toUnits(token.pull(Units.unwrap(j.workerBond)));
        (j.worker, j.workerBond) = (msg.sender, bond);
        (j.deadline, j.state) = (blockTime().later(workWindow), State.Assigned);
        emit Accepted(job, msg.sender, bond, j.deadline);
    }

    /// @notice Seals the claim of a job that is done. Its worker only.
    /// @param hash keccak256(top, the worker's address, salt), packed.
    function commitSeal(uint256 job, bytes32 hash) external nonReentrant {
        Job storage j = _ofWorker(job, State.Assigned);
        _notAfter(j.deadline);
        if (hash == 0) revert BadSeal(job, msg.sender);
        Timestamp sealDeadline = blockTime().later(sealWindow);
        (j.commitment, j.state) = (hash, State.Sealed);
        j.deadline = sealDeadline.later(revealWindow);
        emit ClaimSealed(job, hash, sealDeadline, j.deadline);
    }

    /// @notice Commits to what was sealed, when verifiers have sealed what they found. Its worker only.
    /// @param top Top of the tree over the roots of the states at all checkpoints: `ceil(steps / stride) + 1` of them.
    /// @param finalState Root of the last one.
    /// @param salt Of the seal.
    /// @param first Siblings of the first checkpoint, which must be the job's initial state.
    /// @param last Siblings of the last one.
    function commit(
        uint256 job,
        bytes32 top,
        bytes32 finalState,
        bytes32 salt,
        bytes32[] calldata first,
        bytes32[] calldata last
    ) external nonReentrant {
        Job storage j = _ofWorker(job, State.Sealed);
        // INVARIANT: the claim is shown when nobody can seal any more.
        _after(_sealDeadline(j));
        _notAfter(j.deadline);
        if (_sealHash(top, salt) != j.commitment) revert WrongSeal(job, msg.sender);
        uint256 count = JobHistory.checkpoints(j.steps, j.stride);
        // INVARIANT: a claim begins with the payer's state and ends with the one that is told, so that a game need only look at
        // what lies between.
        JobHistory.check(top, j.initialState, 0, count, first);
        JobHistory.check(top, finalState, count - 1, count, last);
        (j.commitment, j.finalState) = (top, finalState);
        (j.deadline, j.state) = (blockTime().later(challengeWindow), State.Committed);
        emit Committed(job, top, finalState, j.deadline);
    }

    // ---- anyone

    /// @notice Pays the worker of a job whose claim nobody refuted, when no game can begin and none is under way.
    function finalize(uint256 job) external nonReentrant {
        Job storage j = _inState(job, State.Committed);
        _after(j.deadline);
        // INVARIANT: nothing is final while somebody may still show that it is false.
        if (j.games != 0) revert GamesUnderWay(job, j.games);
        j.state = State.Finalized;
        emit Finalized(job, j.finalState);
        _credit(j.worker, Units.unwrap(j.reward) + Units.unwrap(j.workerBond));
    }

    /// @notice Ends a job that nobody accepted in time, or whose worker was late. The reward goes back to the payer; of the
    ///         worker's bond half comes back, a fifth is the payer's, the rest is burned.
    function expire(uint256 job) external nonReentrant {
        Job storage j = _jobs[job];
        State state = j.state;
        bool waits = state == State.Open || state == State.Assigned || state == State.Sealed;
        if (!waits) revert WrongJobState(job, uint8(state));
        _after(j.deadline);
        j.state = State.Expired;
        emit Expired(job);
        if (state == State.Open) _credit(j.payer, Units.unwrap(j.reward));
        else _shareOut(j, j.worker, 0);
    }

    /// @notice Pays the caller all that it is owed.
    function withdraw() external nonReentrant {
        Units amount = owedTo[msg.sender];
        if (Units.unwrap(amount) == 0) revert NothingOwed(msg.sender);
        owedTo[msg.sender] = Units.wrap(0);
        emit Withdrawn(msg.sender, amount);
        token.safeTransfer(msg.sender, Units.unwrap(amount));
    }

    // ---- verifiers

    /// @notice Seals what the caller found a job's claim to be: as long as the worker has not sealed, and `sealWindow` longer.
    /// @param hash keccak256(top, the caller's address, salt), packed.
    function seal(uint256 job, bytes32 hash) external nonReentrant {
        Job storage j = _jobs[job];
        State state = j.state;
        if (state != State.Assigned && state != State.Sealed) revert WrongJobState(job, uint8(state));
        // INVARIANT: whoever seals cannot know more of the claim than its hash.
        if (state == State.Sealed) _notAfter(_sealDeadline(j));
        if (hash == 0 || sealOf[job][msg.sender] != 0) revert BadSeal(job, msg.sender);
        sealOf[job][msg.sender] = hash;
        emit Sealed(job, msg.sender, hash);
    }

    /// @notice Tells what the caller had sealed, while the worker's claim can be challenged. It decides nothing: that it differs is
    ///         a reason to begin a game.
    function reveal(uint256 job, bytes32 top, bytes32 salt) external nonReentrant {
        Job storage j = _inState(job, State.Committed);
        if (_sealHash(top, salt) != sealOf[job][msg.sender]) revert WrongSeal(job, msg.sender);
        delete sealOf[job][msg.sender];
        emit Revealed(job, msg.sender, top, top == j.commitment);
    }

    // ---- the dispute game

    /// @inheritdoc IJobs
    /// @dev A challenger has one game about a job at a time, and may begin another after it lost one: addresses cost nothing, so
    ///      refusing would only hit who crashed and lost by its clock. Each game pays the worker for it.
    function beginGame(uint256 job, address challenger)
        external
        override
        onlyGame
        nonReentrant
        returns (address worker, Claim memory claim)
    {
        Job storage j = _challengeable(job);
        // INVARIANT: no bond belongs to the zero address, whatever the token lets it do.
        if (challenger == address(0)) revert ZeroOwner();
        // INVARIANT: a bond is returned or lost by its own game.
        if (Units.unwrap(gameBondOf[job][challenger]) != 0) revert GameUnderWay(job, challenger);
        Units bond = toUnits(token.pullFrom(challenger, Units.unwrap(j.challengerBond)));
        gameBondOf[job][challenger] = bond;
        ++j.games;
        emit GameBegun(job, challenger, bond);
        return (j.worker, _claim(j));
    }

    /// @inheritdoc IJobs
    function endGame(uint256 job, address challenger, bool workerLost) external override onlyGame nonReentrant {
        Job storage j = _inState(job, State.Committed);
        Units bond = _closeGame(j, job, challenger);
        emit GameEnded(job, challenger, workerLost);
        if (!workerLost) return _credit(j.worker, Units.unwrap(bond));
        _refute(j, job, challenger, Units.unwrap(bond));
    }

    /// @inheritdoc IJobs
    function refute(uint256 job, address challenger) external override onlyGame nonReentrant {
        // INVARIANT: no share of a bond belongs to the zero address.
        if (challenger == address(0)) revert ZeroOwner();
        _refute(_challengeable(job), job, challenger, 0);
    }

    /// @inheritdoc IJobs
    function voidGame(uint256 job, address challenger) external override onlyGame nonReentrant {
        Job storage j = _inState(job, State.Refuted);
        Units bond = _closeGame(j, job, challenger);
        emit GameVoided(job, challenger);
        _credit(challenger, Units.unwrap(bond));
    }

    // ---- views

    /// @inheritdoc IJobs
    function claimOf(uint256 job) external view override returns (address worker, Claim memory claim) {
        Job storage j = _challengeable(job);
        return (j.worker, _claim(j));
    }

    /// @inheritdoc IJobs
    function isRefuted(uint256 job) external view override returns (bool) {
        return _jobs[job].state == State.Refuted;
    }

    /// @notice All about a job; its state is `None` where there is none.
    function jobOf(uint256 job) external view returns (Job memory) {
        return _jobs[job];
    }

    /// @notice The state of a job.
    function stateOf(uint256 job) external view returns (State) {
        return _jobs[job].state;
    }

    /// @notice Root of the state that a finalized job ended with; reverts for any other.
    function resultOf(uint256 job) external view returns (bytes32) {
        return _inState(job, State.Finalized).finalState;
    }

    /// @notice What the job of `payer` with this `spec` is known by.
    /// @dev A hash, so that no reorganisation can put another job behind a number that a worker or a challenger means.
    function idOf(address payer, Spec calldata spec) public pure returns (uint256) {
        return uint256(keccak256(abi.encode(payer, spec)));
    }

    // ---- inside: parameters and specifications

    function _checkWindows(JobParameters memory p) private pure {
        Bounds.check("workWindow", p.workWindow, 1, MAX_LENGTH);
        Bounds.check("sealWindow", p.sealWindow, 1, MAX_LENGTH);
        Bounds.check("revealWindow", p.revealWindow, 1, MAX_LENGTH);
        // Whoever begins to recompute when the claim appears, and is as fast as the worker must be, is done in time.
        Bounds.check("challengeWindow", p.challengeWindow, p.workWindow, MAX_LENGTH);
    }

    function _checkMoney(JobParameters memory p) private pure {
        uint256 challenger = Units.unwrap(p.leastChallengerBond);
        Bounds.check("leastChallengerBond", challenger, 1, type(uint128).max / 2);
        // See `_checkSpec`: else no bond of a challenger would do.
        Bounds.check("leastWorkerBond", Units.unwrap(p.leastWorkerBond), 2 * challenger, type(uint128).max);
        // See above: lying must not pay where one job in 101 is not watched. Ten rewards are a slip.
        Bounds.check("bondShare", p.bondShare, WHOLE / 50, 10 * WHOLE);
    }

    function _checkSpec(Spec calldata spec) private view {
        JobPlan.checkCounts(spec.counts);
        Bounds.check("steps", spec.steps, 1, MAX_STEPS);
        Bounds.check("stride", spec.stride, 1, type(uint32).max);
        // INVARIANT: time ends every state before long, even where the payer has lost its key.
        Bounds.check("acceptBy", Timestamp.unwrap(spec.acceptBy), block.timestamp, block.timestamp + MAX_LENGTH);
        uint256 value = Math.ceilDiv(Units.unwrap(spec.reward) * uint256(bondShare), WHOLE);
        uint256 bond = Units.unwrap(spec.workerBond);
        Bounds.check("workerBond", bond, Math.max(Units.unwrap(leastWorkerBond), value), type(uint128).max);
        // INVARIANT: who doubts never stakes more than it can win, so no payer can price its watchers out.
        uint256 counter = Units.unwrap(spec.challengerBond);
        Bounds.check("challengerBond", counter, Units.unwrap(leastChallengerBond), JobBonds.half(bond));
    }

    // ---- inside: states and deadlines

    function _inState(uint256 job, State expected) private view returns (Job storage j) {
        j = _jobs[job];
        // INVARIANT: each call belongs to one state, and the last ones are never left.
        if (j.state != expected) revert WrongJobState(job, uint8(j.state));
    }

    function _challengeable(uint256 job) private view returns (Job storage j) {
        j = _inState(job, State.Committed);
        // INVARIANT: games that go on hold up the end, but nothing lets more of them begin.
        _notAfter(j.deadline);
    }

    function _claim(Job storage j) private view returns (Claim memory) {
        return Claim(j.plan, j.counts, j.steps, j.stride, j.commitment);
    }

    function _ofWorker(uint256 job, State expected) private view returns (Job storage j) {
        j = _inState(job, expected);
        if (msg.sender != j.worker) revert NotWorker(job, msg.sender);
    }

    /// @dev The deadline itself still counts.
    function _notAfter(Timestamp deadline) private view {
        if (blockTime() > deadline) revert DeadlinePassed(deadline, blockTime());
    }

    function _after(Timestamp deadline) private view {
        // INVARIANT: with `_notAfter`: at every second either those may act for whom the deadline is, or the others.
        if (blockTime() <= deadline) revert DeadlineNotPassed(deadline, blockTime());
    }

    /// @dev Of a sealed job: last second in which verifiers can seal.
    function _sealDeadline(Job storage j) private view returns (Timestamp) {
        return Timestamp.wrap(Timestamp.unwrap(j.deadline) - revealWindow);
    }

    function _sealHash(bytes32 top, bytes32 salt) private view returns (bytes32) {
        // INVARIANT: the address is sealed in, so that a seal is worth nothing to anybody else.
        return keccak256(abi.encodePacked(top, msg.sender, salt));
    }

    // ---- inside: money

    function _credit(address receiver, uint256 amount) private {
        if (amount == 0) return;
        owedTo[receiver] = owedTo[receiver] + toUnits(amount);
        emit Credited(receiver, toUnits(amount));
    }

    /// @dev Gives the worker's bond away (see `JobBonds`), the reward back to the payer, and the receiver of the first half of the
    ///      bond what it has coming back besides: to each all at once.
    function _shareOut(Job storage j, address receiver, uint256 back) private {
        uint256 bond = Units.unwrap(j.workerBond);
        (uint256 half, uint256 share) = (JobBonds.half(bond), JobBonds.payerShare(bond));
        _credit(receiver, back + half);
        _credit(j.payer, Units.unwrap(j.reward) + share);
        // INVARIANT: the three parts are the whole bond.
        _credit(BURN_ADDRESS, bond - half - share);
    }

    /// @dev `back` comes back to the challenger.
    function _refute(Job storage j, uint256 job, address challenger, uint256 back) private {
        j.state = State.Refuted;
        emit Refuted(job, challenger);
        _shareOut(j, challenger, back);
    }

    function _closeGame(Job storage j, uint256 job, address challenger) private returns (Units bond) {
        bond = gameBondOf[job][challenger];
        // INVARIANT: a game ends once.
        if (Units.unwrap(bond) == 0) revert NoGame(job, challenger);
        gameBondOf[job][challenger] = Units.wrap(0);
        --j.games;
    }
}
