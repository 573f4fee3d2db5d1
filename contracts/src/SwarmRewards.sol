// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {Bonds} from "./Bonds.sol";
import {Bounds} from "./Bounds.sol";
import {Claim, Earnings} from "./Earnings.sol";
import {IMembers} from "./IMembers.sol";
import {Inflow} from "./Inflow.sol";
import {IVerdicts} from "./IVerdicts.sol";
import {Outcome, Outcomes} from "./Outcome.sol";
import {PackedVotes} from "./PackedVotes.sol";
import {RewardsParameters} from "./RewardsParameters.sol";
import {Schedule} from "./Schedule.sol";
import {Snapshots, Trace} from "./Snapshots.sol";
import {Sortition} from "./Sortition.sol";
import {
    BadEarningsProof,
    EpochFinal,
    EpochNotOver,
    FutureLookup,
    NoPoints,
    NotPending,
    NothingOwed,
    NothingToPay,
    OutcomePending,
    PromiseExceeded,
    ProposalClosed,
    QuorumNotReached,
    SeedNotReady,
    StakeTooSmall,
    WrongEpoch,
    WrongPhase,
    WrongSince
} from "./errors.sol";
import {Epoch, Points, Round, Timestamp, Units, blockTime, toUnits} from "./types.sol";

/// @title What epochs were worth, and who gets it.
/// @notice Anyone funds the pool. Anyone proposes, with a bond, the outcome of the epochs that are over: a root over all that
///         every owner ever earned. If nobody objects it becomes final; if somebody does, with a bond, a court drawn from the
///         stake decides. Signatures of more than two thirds of the stake make an outcome final at once. One proof against
///         the latest root pays an owner all that it has earned and not yet taken.
///
///         ```text
///                 propose                              finalise
///         None ───────────► Open ──time──► Unopposed ───────────► None, outcome final
///                            │ object
///                            ▼      draw          judge: > 2/3 of the seats
///                         Drawing ───────► Court ───────────────► None, an outcome final or the pending one refused
///                            ▲               │
///                            └──time, once───┤
///                                            └time► Undecided ──► None, the pending one refused
///                                                        refuse
///         any ── finaliseFast: > 2/3 of the stake ──────────────► None, outcome final
///         ```
/// @dev INVARIANT: `token.balanceOf(this) >= funded - totalTaken + sum of owed + bonds of the pending outcome`, equal unless
///      somebody gives tokens away. INVARIANT: `totalTaken <= committed <= funded`.
///      INVARIANT: at most one outcome is pending, and every state is left by a call that anybody can make or by time, after
///      `objectionWindow + 2 * courtWindow` at the latest. So a false proposal holds up at most that long, costs its bond, and
///      usually hastens the outcome: a court makes whatever it finds right final, not only what was proposed.
///      No owner, no proxy, no pause; every parameter is immutable. Time is block time alone. The token must not change balances
///      by itself; where it takes a fee of transfers, what arrives counts.
///
///      What is trusted: that less than two thirds of the stake (and of a court's seats) lie together, and that within every
///      objection window one honest watcher objects to what is false. A court's seed is the hash of one block: who builds that
///      block can try many hashes, which is why it should lie beyond the builders' look-ahead (`seedDelay`).
contract SwarmRewards is IVerdicts, EIP712, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;
    using Inflow for IERC20;
    using Snapshots for Trace;
    using Outcomes for Outcome;
    using Outcomes for bytes;
    using Earnings for Claim;
    using PackedVotes for bytes;

    /// @notice The states of the pending outcome, with what can be called in each. `finaliseFast` can be in all.
    enum Phase {
        /// No outcome is pending: `propose`.
        None,
        /// Somebody proposed, and the objection's deadline is not over: `object`.
        Open,
        /// Nobody objected in time: `finalise`.
        Unopposed,
        /// Somebody objected, or a court did not decide in time: `draw`.
        Drawing,
        /// A court sits: `judge`.
        Court,
        /// Two courts did not decide in time: `refuse`.
        Undecided
    }

    /// @dev One slot, so that a claim reads and writes one.
    /// @param committed What all final outcomes promised, fees included.
    /// @param taken What of it has been paid or credited.
    struct Ledger {
        Units committed;
        Units taken;
    }

    /// @dev One slot that is never empty after the first outcome, so that a bond needs none of its own.
    /// @param next First epoch that is not final.
    /// @param pending Last epoch of the pending outcome; without meaning where none is pending.
    /// @param bond What arrived of the bond of the pending outcome.
    struct Progress {
        Epoch next;
        Epoch pending;
        Units bond;
    }

    /// @param proposer Who proposed the pending outcome.
    /// @param deadline Last second in which anybody may object.
    struct Proposal {
        address proposer;
        Timestamp deadline;
    }

    /// @param objector Who objected; zero where nobody did.
    /// @param objectedAt When.
    /// @param draw Number of the court, 1 or 2.
    /// @param seatsFor Most seats that one judge has brought together for the pending outcome; below the quorum.
    /// @param seatsAgainst Most seats that one judge has brought together for another, or for its refusal; below the quorum.
    /// @param seedBlock Block whose hash draws the court.
    /// @param bond What arrived of the objector's bond.
    /// @param seed The court's seed; 0 until it is drawn.
    struct Dispute {
        address objector;
        Timestamp objectedAt;
        uint8 draw;
        uint8 seatsFor;
        uint8 seatsAgainst;
        uint64 seedBlock;
        Units bond;
        bytes32 seed;
    }

    /// @dev What one judge has brought for one outcome in one court. Each judge has its own, so that an owner is counted once
    ///      without a mark per owner, and nobody can bring votes in an order that shuts out another's.
    /// @param last The last owner counted; only higher ones still count.
    /// @param seats Seats counted.
    struct Tally {
        address last;
        uint96 seats;
    }

    /// @param hash The outcome that became final while a court sat.
    /// @param seed The court's seed.
    struct Verdict {
        bytes32 hash;
        bytes32 seed;
    }

    /// @dev What is the same for all votes of a call.
    /// @param domain The EIP-712 domain.
    /// @param text The outcome as every vote hashes it.
    /// @param snapshot The second whose votes and bindings count.
    struct Ballot {
        bytes32 domain;
        bytes text;
        uint256 snapshot;
    }

    /// @notice Bound on lengths in seconds, so that a value mistyped in milliseconds is refused.
    uint64 public constant MAX_LENGTH = 366 days;

    /// @notice Most blocks from an objection to the seed's block; the hash must be there for as many again.
    uint64 public constant MAX_SEED_DELAY = 128;

    /// @notice Where burned money is booked; nobody can collect for this address.
    address public constant BURN_ADDRESS = 0x000000000000000000000000000000000000dEaD;

    /// @inheritdoc IVerdicts
    IMembers public immutable override members;

    /// @notice The token of rewards and bonds: the one that is deposited.
    IERC20 public immutable token;

    /// @notice When round 0 begins.
    Timestamp public immutable genesis;

    /// @notice Seconds a round lasts.
    uint64 public immutable roundLength;

    /// @notice Rounds an epoch lasts.
    uint64 public immutable roundsPerEpoch;

    /// @notice Most token units a point may be worth.
    Units public immutable unitsPerPoint;

    /// @notice Most token units an outcome may pay for each epoch that it covers, fee included.
    Units public immutable epochCap;

    /// @notice Least votes that there must be when an epoch begins.
    Units public immutable minimumStake;

    /// @notice What the pool pays to who brings an outcome that becomes final.
    Units public immutable submitterFee;

    /// @notice What a proposer puts at stake.
    Units public immutable proposalBond;

    /// @notice What an objector puts at stake.
    Units public immutable objectionBond;

    /// @notice Seconds after an epoch in which its outcome may be brought.
    uint64 public immutable proposalWindow;

    /// @notice Seconds after a proposal in which anybody may object.
    uint64 public immutable objectionWindow;

    /// @notice Seconds that each of the two courts has, its draw included.
    uint64 public immutable courtWindow;

    /// @notice Blocks from an objection to the block whose hash draws the court.
    uint64 public immutable seedDelay;

    /// @notice Root over what every owner ever earned, by the latest final outcome; 0 before the first.
    bytes32 public root;

    /// @notice What `owner` has been paid of its earnings.
    mapping(address owner => Units amount) public taken;

    /// @notice Bonds and fees that wait to be collected by their receiver.
    mapping(address receiver => Units amount) public owedTo;

    Ledger private _ledger;
    Progress private _progress;
    bytes32 private _pendingHash;
    Proposal private _proposal;
    Dispute private _dispute;
    Trace private _funded;
    mapping(bytes32 seed => mapping(address judge => mapping(bytes32 hash => Tally tally))) private _tallies;
    mapping(Epoch since => mapping(Epoch epoch => Verdict verdict)) private _verdicts;

    /// @notice `amount` arrived in the pool; `total` is all that ever did.
    event Funded(address indexed from, Units amount, Units total);

    /// @notice `outcome`, which ends with `epoch` and is known as `hash`, becomes final unless somebody objects in time.
    event Proposed(
        Epoch indexed epoch, bytes32 indexed hash, Outcome outcome, address proposer, Timestamp objectionDeadline
    );

    /// @notice `objector` holds the pending outcome false; the hash of block `seedBlock` draws the court.
    event Objected(Epoch indexed epoch, bytes32 indexed hash, address objector, uint256 seedBlock);

    /// @notice The hash of block `seedBlock` draws court `draw`: the second one, or one whose block was missed.
    event SeedBlockSet(Epoch indexed epoch, bytes32 indexed hash, uint8 draw, uint256 seedBlock);

    /// @notice Court `draw` sits until `deadline`; its seats follow from `seed`.
    event Drawn(Epoch indexed epoch, bytes32 indexed hash, uint8 draw, bytes32 seed, Timestamp deadline);

    /// @notice `judge` brought votes with `seats` more seats for `outcome`, now `total`.
    event Judged(Epoch indexed epoch, bytes32 indexed outcome, address indexed judge, uint256 seats, uint256 total);

    /// @notice The pending outcome `hash` will not become final.
    event Refused(Epoch indexed epoch, bytes32 indexed hash);

    /// @notice `outcome` is final; each of its points is worth `worth`, and who brought it is credited `fee`.
    event Finalised(Epoch indexed epoch, Outcome outcome, Units worth, Units fee);

    /// @notice `receiver` can collect `amount` more: a fee, a bond or a part of one. `BURN_ADDRESS`: burned.
    event Credited(address indexed receiver, Units amount);

    /// @notice `receiver` was paid `amount` of what it was credited.
    event Collected(address indexed receiver, Units amount);

    /// @notice `owner` was paid `amount` and has now taken all of `earned`.
    event Claimed(address indexed owner, Units amount, Units earned);

    /// @notice How large the bonds must be. A token has no gas price, so the deployer computes; `g` is the dearest price of gas
    ///         to reckon with, in token units.
    ///         * *Gas.* Deciding a dispute costs who brings the votes at most 2.1 M gas (171 votes), objecting and drawing the
    ///           objector 0.2 M (`snapshots/Settlement.json`). Half of the lost bond pays the first, a quarter the second, each
    ///           1.25 times over: bond >= 2 * 1.25 * 2.1 M * g = 5.3 M * g.
    ///         * *Cap.* A false outcome that nobody objects to wins what its epochs may pay and what others have not claimed yet
    ///           (so claim often: anyone may for all). If nobody watches in one window of `n`, lying pays unless
    ///           bond >= gain / (n - 1). The constructor demands a hundredth of the cap: one window in 101.
    ///         * *Delay.* An objection without reason holds up an epoch for `2 * courtWindow` at most and costs its bond. So does
    ///           a veto by a third of the stake that will not judge; that costs the bond of the side with fewer seats.
    /// @param p See `RewardsParameters`; every bound is explained where it is checked.
    constructor(RewardsParameters memory p) EIP712("swarm-node", "2") {
        Bounds.checkContract(address(p.members));
        // A genesis mistyped in milliseconds would start the swarm in fifty thousand years. The past is fine: no stake, no votes.
        Bounds.check("genesis", Timestamp.unwrap(p.genesis), 1, block.timestamp + MAX_LENGTH);
        Bounds.check("roundLength", p.roundLength, 1, MAX_LENGTH);
        Bounds.check("roundsPerEpoch", p.roundsPerEpoch, 1, MAX_LENGTH / p.roundLength);
        _checkMoney(p);
        _checkWindows(p);
        members = p.members;
        token = p.members.token();
        genesis = p.genesis;
        roundLength = p.roundLength;
        roundsPerEpoch = p.roundsPerEpoch;
        unitsPerPoint = p.unitsPerPoint;
        epochCap = p.epochCap;
        minimumStake = p.minimumStake;
        submitterFee = p.submitterFee;
        proposalBond = p.proposalBond;
        objectionBond = p.objectionBond;
        proposalWindow = p.proposalWindow;
        objectionWindow = p.objectionWindow;
        courtWindow = p.courtWindow;
        seedDelay = p.seedDelay;
    }

    /// @notice Version of the contract and of its EIP-712 domain.
    function version() external pure returns (string memory) {
        return "2";
    }

    // ---- time

    /// @notice The round that runs at `time`; reverts before genesis.
    function roundAt(Timestamp time) external view returns (Round) {
        return _schedule().roundAt(time);
    }

    /// @notice The round that runs in this block; reverts before genesis.
    function currentRound() external view returns (Round) {
        return _schedule().roundAt(blockTime());
    }

    /// @notice The epoch that `round` belongs to.
    function epochOf(Round round) external view returns (Epoch) {
        return _schedule().epochOf(round);
    }

    /// @inheritdoc IVerdicts
    function epochStart(Epoch epoch) external view override returns (Timestamp) {
        return _schedule().epochStart(epoch);
    }

    /// @notice First second after `epoch`; from here on its outcome can be brought.
    function epochEnd(Epoch epoch) external view returns (Timestamp) {
        return _schedule().epochEnd(epoch);
    }

    /// @notice Last second in which an outcome that ends with `epoch` can be brought; later, a longer one.
    function proposalDeadline(Epoch epoch) public view returns (Timestamp) {
        return _schedule().epochEnd(epoch).later(proposalWindow);
    }

    // ---- pool

    /// @notice Takes `amount` from the caller and adds what arrives to the pool. It cannot be taken back.
    function fund(uint256 amount) external nonReentrant {
        _fund(amount);
    }

    /// @notice `fund` with the caller's permit for the token (ERC-2612) in the same call. A permit that fails is passed over.
    function fundWithPermit(uint256 amount, uint256 deadline, uint8 v, bytes32 r, bytes32 s) external nonReentrant {
        token.allow(amount, deadline, v, r, s);
        _fund(amount);
    }

    /// @notice All that ever arrived in the pool.
    function funded() external view returns (Units) {
        return toUnits(_funded.current());
    }

    /// @notice What had arrived in the pool at the end of second `timepoint`, which must have passed.
    function fundedAt(uint256 timepoint) external view returns (Units) {
        // INVARIANT: only what can no longer change is told.
        if (timepoint >= Timestamp.unwrap(blockTime())) revert FutureLookup(timepoint, uint48(block.timestamp));
        // A time that has passed fits.
        // forge-lint: disable-next-line(unsafe-typecast)
        return toUnits(_funded.valueAt(uint96(timepoint)));
    }

    /// @notice What all final outcomes promised, fees included.
    function committed() external view returns (Units) {
        return _ledger.committed;
    }

    /// @notice What of `committed` has been paid to owners or credited as fees.
    function totalTaken() external view returns (Units) {
        return _ledger.taken;
    }

    /// @notice What an outcome of the epochs up to `epoch` with `points` would pay. Nothing that anybody does changes the answer,
    ///         unless an outcome becomes final: so the root can be computed before it is proposed.
    /// @return since First epoch that the outcome must cover.
    /// @return worth Token units a point is worth; 0 where there is nothing to pay, and the points must wait for a later epoch.
    /// @return fee What who brings it is credited.
    function terms(Epoch epoch, Points points) external view returns (Epoch since, Units worth, Units fee) {
        since = _progress.next;
        if (epoch < since) revert EpochFinal(epoch, since);
        (worth, fee) = _terms(epoch, points);
    }

    // ---- outcomes

    /// @notice Proposes `outcome` with a bond, which comes back if it becomes final.
    /// @param outcome It covers all epochs that are not final yet up to one that is over, and not for longer than
    ///        `proposalWindow`.
    function propose(Outcome calldata outcome) external nonReentrant {
        // INVARIANT: one outcome is pending at a time, so that each builds on a final one.
        if (_pendingHash != 0) revert OutcomePending(_pendingHash);
        _checkEpochs(outcome);
        _checkWindow(outcome.epoch);
        _checkStake(outcome.epoch);
        _payableTerms(outcome);
        bytes32 hash = outcome.hash();
        Timestamp deadline = blockTime().later(objectionWindow);
        Units bond = toUnits(token.pull(Units.unwrap(proposalBond)));
        _pendingHash = hash;
        (_progress.pending, _progress.bond) = (outcome.epoch, bond);
        _proposal = Proposal(msg.sender, deadline);
        emit Proposed(outcome.epoch, hash, outcome, msg.sender, deadline);
    }

    /// @notice Makes the pending outcome final, which nobody objected to in time. Anyone may send it.
    /// @param outcome The pending outcome, as `Proposed` told it.
    function finalise(Outcome calldata outcome) external nonReentrant {
        _expect(Phase.Unopposed);
        bytes32 hash = outcome.hash();
        // INVARIANT: what becomes final unopposed is what could be objected to.
        if (hash != _pendingHash) revert NotPending(hash, _pendingHash);
        _conclude(outcome, hash);
    }

    /// @notice Makes `outcome` final at once, whatever is pending: more than two thirds of the stake signed it.
    /// @dev While an outcome is pending only its epochs can be decided: who proposed a false one must not escape with its bond by
    ///      carrying everybody's signatures for a later epoch. Beyond the proposal window that is possible only as long as courts
    ///      could decide, too, for later the money behind the votes may have left.
    /// @param votes Packed votes, sorted strictly ascending by owner. Bad ones and those out of order are passed over.
    function finaliseFast(Outcome calldata outcome, bytes calldata votes) external nonReentrant {
        _checkEpochs(outcome);
        _checkFastWindow(outcome.epoch);
        uint256 total = _checkStake(outcome.epoch);
        uint256 weight = _weigh(outcome, votes);
        // INVARIANT: any two quorums share more than one third of the stake. Exactly two thirds do not suffice.
        if (3 * weight <= 2 * total) revert QuorumNotReached(weight, total);
        _conclude(outcome, outcome.hash());
    }

    /// @notice Objects to the pending outcome with a bond, which comes back if the outcome is found false.
    /// @param hash The outcome that is meant: an objection that arrives late must not hit its successor.
    function object(bytes32 hash) external nonReentrant {
        if (hash != _pendingHash) revert NotPending(hash, _pendingHash);
        _expect(Phase.Open);
        Units bond = toUnits(token.pull(Units.unwrap(objectionBond)));
        Dispute storage d = _dispute;
        d.objector = msg.sender;
        d.objectedAt = blockTime();
        d.draw = 1;
        d.bond = bond;
        d.seedBlock = _seedBlock();
        emit Objected(_progress.pending, hash, msg.sender, d.seedBlock);
    }

    /// @notice Draws the court. Anyone may send it, after the seed's block. Where the block's hash is no longer known, and where
    ///         the first court did not decide in time, the call fixes a block to come, and another call draws.
    /// @dev The caller chooses nothing: the block is `seedDelay` after one of which nobody knows the hash yet.
    function draw() external nonReentrant {
        _expect(Phase.Drawing);
        Dispute storage d = _dispute;
        uint8 number = _drawNumber(d);
        if (d.draw != number) {
            (d.draw, d.seed) = (number, 0);
            return _resetSeedBlock(d);
        }
        // INVARIANT: the hash of a block that does not exist yet reads as 0 and must not pass for a missed one.
        if (block.number <= d.seedBlock) revert SeedNotReady(d.seedBlock, block.number);
        bytes32 seed = blockhash(d.seedBlock);
        if (seed == 0) return _resetSeedBlock(d);
        d.seed = seed;
        emit Drawn(_progress.pending, _pendingHash, number, seed, _courtDeadline(d, number));
    }

    /// @notice Brings votes of judges for what they hold right: any outcome of the pending one's epochs, or its refusal. When the
    ///         caller has brought more than two thirds of the seats for one, that is the verdict.
    /// @dev The caller may bring them in several calls, ascending over all of them. Votes made for `finaliseFast` do as well.
    /// @param votes Packed votes, sorted strictly ascending by owner. Bad ones and those out of order are passed over.
    function judge(Outcome calldata outcome, bytes calldata votes) external nonReentrant {
        _expect(Phase.Court);
        _checkEpochs(outcome);
        // INVARIANT: a court decides about the epochs that were proposed.
        if (outcome.epoch != _progress.pending) revert WrongEpoch(outcome.epoch, _progress.pending);
        bool refusal = outcome.isRefusalOf(_pendingHash);
        if (!refusal) _payableTerms(outcome);
        bytes32 hash = outcome.hash();
        if (_tally(outcome, hash, votes) < Sortition.QUORUM) return;
        if (refusal) _refuse(false, msg.sender);
        else _conclude(outcome, hash);
    }

    /// @notice Refuses the pending outcome, about which two courts did not decide. Anyone may send it. The side for which fewer
    ///         seats spoke loses its bond, all of it burned; where none spoke, the objector.
    /// @dev So a veto costs money, and who can only be outvoted by silence loses none.
    function refuse() external nonReentrant {
        _expect(Phase.Undecided);
        _refuse(_dispute.seatsFor >= _dispute.seatsAgainst, BURN_ADDRESS);
    }

    // ---- money out

    /// @notice Pays each owner what it has earned and not yet taken. Anyone may send it, for several owners at once. Those that
    ///         have taken all are passed over; a proof that is wrong, or old since another outcome is final, refuses the call.
    function claim(Claim[] calldata claims) external nonReentrant {
        for (uint256 i = 0; i < claims.length; ++i) {
            _claim(claims[i]);
        }
    }

    /// @notice Pays the caller its bonds and fees.
    function collect() external nonReentrant {
        Units amount = owedTo[msg.sender];
        if (Units.unwrap(amount) == 0) revert NothingOwed(msg.sender);
        owedTo[msg.sender] = Units.wrap(0);
        emit Collected(msg.sender, amount);
        token.safeTransfer(msg.sender, Units.unwrap(amount));
    }

    // ---- views

    /// @notice First epoch that is not final: the `since` of the next outcome.
    function nextEpoch() external view returns (Epoch) {
        return _progress.next;
    }

    /// @notice The state of the pending outcome.
    function phase() public view returns (Phase) {
        if (_pendingHash == 0) return Phase.None;
        Dispute storage d = _dispute;
        if (d.objector == address(0)) return blockTime() <= _proposal.deadline ? Phase.Open : Phase.Unopposed;
        if (blockTime() > _courtDeadline(d, 2)) return Phase.Undecided;
        return d.draw == _drawNumber(d) && d.seed != 0 ? Phase.Court : Phase.Drawing;
    }

    /// @notice The pending outcome: its hash and last epoch, who proposed it with what bond, and the last second in which anybody
    ///         may object. Hash 0 where none is pending.
    function pending()
        external
        view
        returns (bytes32 hash, Epoch epoch, address proposer, Units bond, Timestamp objectionDeadline)
    {
        return (_pendingHash, _progress.pending, _proposal.proposer, _progress.bond, _proposal.deadline);
    }

    /// @notice The dispute about the pending outcome: who objected with what bond, the number of the court, the block whose hash
    ///         draws it, its seed (0 until it is drawn), its last second, and the most seats that one judge has brought for the
    ///         pending outcome and against it. Zeros where nobody objected.
    function dispute()
        external
        view
        returns (
            address objector,
            Units bond,
            uint8 drawNumber,
            uint256 seedBlock,
            bytes32 seed,
            Timestamp deadline,
            uint256 seatsFor,
            uint256 seatsAgainst
        )
    {
        Dispute storage d = _dispute;
        deadline = d.objector == address(0) ? Timestamp.wrap(0) : _courtDeadline(d, d.draw);
        return (d.objector, d.bond, d.draw, d.seedBlock, d.seed, deadline, d.seatsFor, d.seatsAgainst);
    }

    /// @notice What `judge_` has brought in this court for the outcome `hash`: seats, and the last owner counted.
    function tallyOf(address judge_, bytes32 hash) external view returns (uint256 seats, address last) {
        Tally storage t = _tallies[_dispute.seed][judge_][hash];
        return (t.seats, t.last);
    }

    /// @inheritdoc IVerdicts
    function verdictOn(Epoch since, Epoch epoch) external view override returns (bytes32 hash, bytes32 seed) {
        Verdict storage v = _verdicts[since][epoch];
        return (v.hash, v.seed);
    }

    /// @inheritdoc IVerdicts
    function seatsOf(bytes32 seed, address owner, Epoch epoch) external view override returns (uint256) {
        uint256 snapshot = _snapshot(epoch);
        uint256 total = members.getPastTotalSupply(snapshot);
        return total == 0 ? 0 : Sortition.seats(seed, owner, members.getPastVotes(owner, snapshot), total);
    }

    /// @notice What `outcome` is known by in events and calls.
    function hashOutcome(Outcome calldata outcome) external pure returns (bytes32) {
        return outcome.hash();
    }

    /// @inheritdoc IVerdicts
    function voteDigest(Outcome calldata outcome, address owner) external view override returns (bytes32) {
        return _hashTypedDataV4(outcome.ballot().voteHash(owner));
    }

    // ---- inside: parameters

    function _checkMoney(RewardsParameters memory p) private pure {
        uint256 cap = Units.unwrap(p.epochCap);
        uint256 worth = Units.unwrap(p.unitsPerPoint);
        uint256 leastBond = Math.ceilDiv(cap, 100);
        Bounds.check("unitsPerPoint", worth, 1, type(uint128).max);
        // A cap below the worth of one point is a slip.
        Bounds.check("epochCap", cap, worth, type(uint128).max);
        // Without stake nobody could vote, and a court could not be drawn.
        Bounds.check("minimumStake", Units.unwrap(p.minimumStake), 1, type(uint128).max);
        // The fee leaves room for one point at least.
        Bounds.check("submitterFee", Units.unwrap(p.submitterFee), 0, cap - worth);
        // See above: lying must not pay where nobody watches in one window of a hundred.
        Bounds.check("proposalBond", Units.unwrap(p.proposalBond), leastBond, type(uint128).max);
        // A veto holds up as much as a lie.
        Bounds.check("objectionBond", Units.unwrap(p.objectionBond), leastBond, type(uint128).max);
    }

    function _checkWindows(RewardsParameters memory p) private view {
        uint64 epochLength = p.roundLength * p.roundsPerEpoch;
        // At every time some epoch can be proposed; else a false proposal could outlast every window.
        Bounds.check("proposalWindow", p.proposalWindow, epochLength, MAX_LENGTH);
        Bounds.check("objectionWindow", p.objectionWindow, 1, MAX_LENGTH);
        Bounds.check("courtWindow", p.courtWindow, 1, MAX_LENGTH);
        // The hash of the present block is known to who builds it.
        Bounds.check("seedDelay", p.seedDelay, 1, MAX_SEED_DELAY);
        // INVARIANT: money that votes is still here when its vote can count for the last time.
        uint64 longest = epochLength + p.proposalWindow + p.objectionWindow + 2 * p.courtWindow;
        Bounds.check("exitDelay", p.members.exitDelay(), longest, type(uint64).max);
    }

    // ---- inside: checks

    function _expect(Phase expected) private view {
        Phase actual = phase();
        // INVARIANT: each call belongs to one state.
        if (actual != expected) revert WrongPhase(uint8(actual));
    }

    function _checkEpochs(Outcome calldata outcome) private view {
        Epoch next = _progress.next;
        // INVARIANT: no epoch is paid twice, and none is left out.
        if (outcome.since != next) revert WrongSince(outcome.since, next);
        if (outcome.epoch < next) revert EpochFinal(outcome.epoch, next);
    }

    function _checkWindow(Epoch epoch) private view {
        Timestamp last = proposalDeadline(epoch);
        // INVARIANT: every vote is backed by money that could still be slashed.
        if (blockTime() > last) revert ProposalClosed(epoch, last, blockTime());
    }

    function _checkFastWindow(Epoch epoch) private view {
        if (_pendingHash == 0) return _checkWindow(epoch);
        // INVARIANT: a bond is lost or returned by a decision about the epochs it was put on.
        if (epoch != _progress.pending) revert WrongEpoch(epoch, _progress.pending);
        Timestamp last = _dispute.objector == address(0) ? _proposal.deadline : _courtDeadline(_dispute, 2);
        if (blockTime() > last) _checkWindow(epoch);
    }

    function _checkStake(Epoch epoch) private view returns (uint256 total) {
        _checkOver(epoch);
        total = members.getPastTotalSupply(_snapshot(epoch));
        // INVARIANT: nobody decides alone because hardly anybody has joined yet.
        if (total < Units.unwrap(minimumStake)) revert StakeTooSmall(total, Units.unwrap(minimumStake));
    }

    function _checkOver(Epoch epoch) private view {
        Timestamp end = _schedule().epochEnd(epoch);
        // INVARIANT: what an epoch was worth can be told, and what the pool held, when it is over.
        if (blockTime() < end) revert EpochNotOver(epoch, end, blockTime());
    }

    // ---- inside: money

    function _fund(uint256 amount) private {
        uint256 received = token.pull(amount);
        Units total = toUnits(_funded.current() + received);
        _funded.set(Units.unwrap(total));
        emit Funded(msg.sender, toUnits(received), total);
    }

    /// @dev Depends on nothing that can change before the next outcome is final: inflow of seconds strictly before the epoch's
    ///      end, and promises of final outcomes.
    function _terms(Epoch epoch, Points points) private view returns (Units worth, Units fee) {
        _checkOver(epoch);
        uint256 inflow = _funded.valueAt(Timestamp.unwrap(_schedule().epochEnd(epoch)) - 1);
        uint256 epochs = uint256(Epoch.unwrap(epoch)) - Epoch.unwrap(_progress.next) + 1;
        // INVARIANT: only money that is here is promised, and no quorum, however large, can promise more than the cap.
        uint256 budget = Math.min(inflow - Units.unwrap(_ledger.committed), Units.unwrap(epochCap) * epochs);
        uint256 cost = Math.min(Units.unwrap(submitterFee), budget);
        if (Points.unwrap(points) == 0) return (Units.wrap(0), toUnits(cost));
        uint256 share = (budget - cost) / Points.unwrap(points);
        return (toUnits(Math.min(Units.unwrap(unitsPerPoint), share)), toUnits(cost));
    }

    function _payableTerms(Outcome calldata outcome) private view returns (Units worth, Units fee) {
        if (Points.unwrap(outcome.points) == 0) revert NoPoints();
        (worth, fee) = _terms(outcome.epoch, outcome.points);
        // INVARIANT: points never become final for nothing; they wait for money.
        if (Units.unwrap(worth) == 0) revert NothingToPay(outcome.epoch);
    }

    function _credit(address receiver, uint256 amount) private {
        if (amount == 0) return;
        owedTo[receiver] = owedTo[receiver] + toUnits(amount);
        emit Credited(receiver, toUnits(amount));
    }

    function _claim(Claim calldata c) private {
        Units before = taken[c.owner];
        // INVARIANT: no unit of earnings pays twice.
        if (!(c.earned > before)) return;
        if (!MerkleProof.verifyCalldata(c.proof, root, c.leaf())) revert BadEarningsProof(c.owner);
        Units amount = c.earned - before;
        Units promised = _ledger.committed;
        Units total = _ledger.taken + amount;
        // INVARIANT: no root, whoever signed it, reaches beyond what was promised: bonds and the rest of the pool are safe.
        if (total > promised) revert PromiseExceeded(total, promised);
        taken[c.owner] = c.earned;
        _ledger.taken = total;
        emit Claimed(c.owner, amount, c.earned);
        token.safeTransfer(c.owner, Units.unwrap(amount));
    }

    // ---- inside: votes

    function _ballot(Outcome calldata outcome) private view returns (Ballot memory) {
        return Ballot(_domainSeparatorV4(), outcome.ballot(), _snapshot(outcome.epoch));
    }

    /// @dev Sum of the votes for `outcome`.
    function _weigh(Outcome calldata outcome, bytes calldata votes) private view returns (uint256 weight) {
        Ballot memory ballot = _ballot(outcome);
        uint256 count = votes.count();
        address last = address(0);
        for (uint256 i = 0; i < count; ++i) {
            (address owner, bytes32 r, bytes32 vs) = votes.read(i);
            // INVARIANT: strictly ascending, so that an owner counts once however many nodes it has.
            if (owner <= last) continue;
            uint256 own = _voteWeight(ballot, owner, r, vs);
            if (own == 0) continue;
            weight += own;
            // Only who was counted: a bad vote with a high owner must not shut out the rest.
            last = owner;
        }
    }

    /// @dev Adds the seats of the votes for `outcome` to the caller's tally, up to the quorum; the sum.
    function _tally(Outcome calldata outcome, bytes32 hash, bytes calldata votes) private returns (uint256 sum) {
        bytes32 seed = _dispute.seed;
        Ballot memory ballot = _ballot(outcome);
        uint256 total = members.getPastTotalSupply(ballot.snapshot);
        Tally memory t = _tallies[seed][msg.sender][hash];
        sum = t.seats;
        uint256 count = votes.count();
        for (uint256 i = 0; i < count && sum < Sortition.QUORUM; ++i) {
            (address owner, bytes32 r, bytes32 vs) = votes.read(i);
            // INVARIANT: strictly ascending over all calls of one judge, so that an owner counts once.
            if (owner <= t.last) continue;
            uint256 own = _voteWeight(ballot, owner, r, vs);
            if (own == 0) continue;
            sum += Sortition.seats(seed, owner, own, total);
            t.last = owner;
        }
        emit Judged(outcome.epoch, hash, msg.sender, sum - t.seats, sum);
        if (sum >= Sortition.QUORUM) return sum;
        // Below the quorum, so it fits.
        // forge-lint: disable-next-line(unsafe-typecast)
        _tallies[seed][msg.sender][hash] = Tally(t.last, uint96(sum));
        // forge-lint: disable-next-line(unsafe-typecast)
        _remember(hash == _pendingHash, uint8(sum));
    }

    function _remember(bool upholds, uint8 seats) private {
        Dispute storage d = _dispute;
        if (upholds && seats > d.seatsFor) d.seatsFor = seats;
        if (!upholds && seats > d.seatsAgainst) d.seatsAgainst = seats;
    }

    /// @dev Votes of `owner` when the epoch began; 0 where the signature is not by a node that it had then.
    function _voteWeight(Ballot memory ballot, address owner, bytes32 r, bytes32 vs) private view returns (uint256) {
        bytes32 digest = MessageHashUtils.toTypedDataHash(ballot.domain, ballot.text.voteHash(owner));
        // A bad signature recovers to zero, which is nobody's node.
        // slither-disable-next-line unused-return
        (address node,,) = ECDSA.tryRecover(digest, r, vs);
        // A view of an immutable contract; the sender chooses how many votes it pays for.
        // slither-disable-next-line calls-loop
        return members.getPastVotesBy(owner, node, ballot.snapshot);
    }

    // ---- inside: the end of a pending outcome

    /// @dev Makes `outcome` final, whatever was pending, and settles the bonds.
    function _conclude(Outcome calldata outcome, bytes32 hash) private {
        (Units worth, Units fee) = _payableTerms(outcome);
        uint256 reward = uint256(Points.unwrap(outcome.points)) * Units.unwrap(worth);
        bool upheld = hash == _pendingHash;
        _credit(upheld ? _proposal.proposer : msg.sender, Units.unwrap(fee));
        if (_dispute.seed != 0) _verdicts[outcome.since][outcome.epoch] = Verdict(hash, _dispute.seed);
        if (_pendingHash != 0) _settleBonds(upheld, msg.sender);
        _ledger.committed = _ledger.committed + toUnits(reward) + fee;
        _ledger.taken = _ledger.taken + fee;
        _progress.next = outcome.epoch.nextEpoch();
        root = outcome.root;
        emit Finalised(outcome.epoch, outcome, worth, fee);
    }

    function _refuse(bool upheld, address court) private {
        emit Refused(_progress.pending, _pendingHash);
        _settleBonds(upheld, court);
    }

    /// @dev Gives both bonds an owner and clears the pending outcome.
    /// @param upheld Whether the proposer was right.
    /// @param court Who brought the deciding votes; `BURN_ADDRESS`: nobody, and the loser's bond is burned whole.
    function _settleBonds(bool upheld, address court) private {
        uint256 bond = Units.unwrap(_progress.bond);
        uint256 counter = Units.unwrap(_dispute.bond);
        (address proposer, address objector) = (_proposal.proposer, _dispute.objector);
        // INVARIANT: each bond is settled once.
        _progress.bond = Units.wrap(0);
        _pendingHash = 0;
        delete _proposal;
        if (objector != address(0)) delete _dispute;
        _credit(upheld ? proposer : objector, upheld ? bond : counter);
        _forfeit(upheld ? counter : bond, upheld ? proposer : objector, court);
    }

    /// @dev INVARIANT: the parts are the whole.
    function _forfeit(uint256 bond, address winner, address court) private {
        if (court == BURN_ADDRESS) return _credit(BURN_ADDRESS, bond);
        // Where nobody objected, votes of two thirds of the stake overruled the proposal.
        uint256 forWinner = winner == address(0) ? 0 : Bonds.winnerShare(bond);
        uint256 forCourt = Bonds.courtShare(bond);
        _credit(winner, forWinner);
        _credit(court, forCourt);
        _credit(BURN_ADDRESS, bond - forWinner - forCourt);
    }

    // ---- inside: time

    function _seedBlock() private view returns (uint64) {
        return SafeCast.toUint64(block.number + seedDelay);
    }

    function _resetSeedBlock(Dispute storage d) private {
        d.seedBlock = _seedBlock();
        emit SeedBlockSet(_progress.pending, _pendingHash, d.draw, d.seedBlock);
    }

    function _schedule() private view returns (Schedule memory) {
        return Schedule(genesis, roundLength, roundsPerEpoch);
    }

    /// @dev The second whose votes and bindings count for `epoch`.
    function _snapshot(Epoch epoch) private view returns (uint256) {
        return Timestamp.unwrap(_schedule().epochStart(epoch));
    }

    /// @dev The court whose time it is.
    function _drawNumber(Dispute storage d) private view returns (uint8) {
        return blockTime() > _courtDeadline(d, 1) ? 2 : 1;
    }

    /// @dev Last second of court `number`, counted from the objection: whatever is done late, a dispute ends in time.
    function _courtDeadline(Dispute storage d, uint8 number) private view returns (Timestamp) {
        return d.objectedAt.later(number * courtWindow);
    }
}
