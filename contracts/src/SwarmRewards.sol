// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

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
contract SwarmRewards is IVerdicts, EIP712, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;
    using Inflow for IERC20;
    using Snapshots for Trace;
    using Outcomes for Outcome;
    using Earnings for Claim;
    using PackedVotes for bytes;

    /// @notice The states of the pending outcome. Each is left by a call that anybody can make, or by time.
    enum Phase {
        /// No outcome is pending: `propose`, `finaliseFast`.
        None,
        /// Somebody proposed: `object`, until the objection's deadline.
        Open,
        /// Nobody objected: `finalise`.
        Unopposed,
        /// Somebody objected: `draw`, until the court's deadline.
        Drawing,
        /// A court sits: `judge`, until its deadline.
        Court,
        /// Two courts did not decide: `refuse`.
        Undecided
    }

    struct Ledger {
        Units committed;
        Units bond;
    }

    struct Progress {
        Epoch since;
        Epoch pending;
        Units taken;
    }

    struct Proposal {
        address proposer;
        Timestamp deadline;
    }

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

    struct Tally {
        address last;
        uint96 seats;
    }

    struct Verdict {
        bytes32 hash;
        bytes32 seed;
    }

    uint64 public constant MAX_LENGTH = 366 days;
    address public constant BURN_ADDRESS = 0x000000000000000000000000000000000000dEaD;

    IMembers public immutable override members;
    IERC20 public immutable token;
    Timestamp public immutable genesis;
    uint64 public immutable roundLength;
    uint64 public immutable roundsPerEpoch;
    Units public immutable unitsPerPoint;
    Units public immutable epochCap;
    Units public immutable minimumStake;
    Units public immutable submitterFee;
    Units public immutable proposalBond;
    Units public immutable objectionBond;
    uint64 public immutable proposalWindow;
    uint64 public immutable objectionWindow;
    uint64 public immutable courtWindow;
    uint64 public immutable seedDelay;

    bytes32 public root;
    mapping(address owner => Units amount) public taken;
    mapping(address receiver => Units amount) public owedTo;

    Ledger private _ledger;
    Progress private _progress;
    bytes32 private _pendingHash;
    Proposal private _proposal;
    Dispute private _dispute;
    Trace private _funded;
    mapping(bytes32 seed => mapping(address judge => mapping(bytes32 hash => Tally))) private _tallies;
    mapping(Epoch since => mapping(Epoch epoch => Verdict)) private _verdicts;

    /// @notice `amount` arrived in the pool; `total` is all that ever did.
    event Funded(address indexed from, Units amount, Units total);
    event Proposed(
        Epoch indexed epoch, bytes32 indexed hash, Outcome outcome, address proposer, Timestamp objectionDeadline
    );
    event Objected(Epoch indexed epoch, bytes32 indexed hash, address objector, uint256 seedBlock);
    event SeedBlockSet(Epoch indexed epoch, bytes32 indexed hash, uint8 draw, uint256 seedBlock);
    event Drawn(Epoch indexed epoch, bytes32 indexed hash, uint8 draw, bytes32 seed, Timestamp deadline);
    event Judged(Epoch indexed epoch, bytes32 indexed outcome, address indexed judge, uint256 seats, uint256 total);
    event Refused(Epoch indexed epoch, bytes32 indexed hash);
    event Finalised(Epoch indexed epoch, Outcome outcome, Units worth, Units fee);
    event Credited(address indexed receiver, Units amount);
    event Collected(address indexed receiver, Units amount);
    event Claimed(address indexed owner, Units amount, Units earned);

    constructor(RewardsParameters memory p) EIP712("swarm-node", "2") {
        Bounds.checkContract(address(p.members));
        Bounds.check("genesis", Timestamp.unwrap(p.genesis), 1, block.timestamp + MAX_LENGTH);
        Bounds.check("roundLength", p.roundLength, 1, MAX_LENGTH);
        Bounds.check("roundsPerEpoch", p.roundsPerEpoch, 1, MAX_LENGTH / p.roundLength);
        uint64 epochLength = p.roundLength * p.roundsPerEpoch;
        uint256 cap = Units.unwrap(p.epochCap);
        Bounds.check("unitsPerPoint", Units.unwrap(p.unitsPerPoint), 1, type(uint128).max);
        Bounds.check("epochCap", cap, Units.unwrap(p.unitsPerPoint), type(uint128).max);
        Bounds.check("minimumStake", Units.unwrap(p.minimumStake), 1, type(uint128).max);
        Bounds.check("submitterFee", Units.unwrap(p.submitterFee), 0, cap - Units.unwrap(p.unitsPerPoint));
        Bounds.check("proposalBond", Units.unwrap(p.proposalBond), Math.ceilDiv(cap, 100), type(uint128).max);
        Bounds.check("objectionBond", Units.unwrap(p.objectionBond), Math.ceilDiv(cap, 100), type(uint128).max);
        Bounds.check("proposalWindow", p.proposalWindow, epochLength, MAX_LENGTH);
        Bounds.check("objectionWindow", p.objectionWindow, 1, MAX_LENGTH);
        Bounds.check("courtWindow", p.courtWindow, 1, MAX_LENGTH);
        Bounds.check("seedDelay", p.seedDelay, 1, 128);
        uint64 exitDelay = p.members.exitDelay();
        uint64 longest = epochLength + p.proposalWindow + p.objectionWindow + 2 * p.courtWindow;
        Bounds.check("exitDelay", exitDelay, longest, type(uint64).max);
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

    function version() external pure returns (string memory) {
        return "2";
    }

    // ---- time

    function roundAt(Timestamp time) external view returns (Round) {
        return _schedule().roundAt(time);
    }

    function currentRound() external view returns (Round) {
        return _schedule().roundAt(blockTime());
    }

    function epochOf(Round round) external view returns (Epoch) {
        return _schedule().epochOf(round);
    }

    function epochStart(Epoch epoch) external view override returns (Timestamp) {
        return _schedule().epochStart(epoch);
    }

    function epochEnd(Epoch epoch) external view returns (Timestamp) {
        return _schedule().epochEnd(epoch);
    }

    function proposalDeadline(Epoch epoch) public view returns (Timestamp) {
        return _schedule().epochEnd(epoch).later(proposalWindow);
    }

    // ---- pool

    function fund(uint256 amount) external nonReentrant {
        _fund(amount);
    }

    function fundWithPermit(uint256 amount, uint256 deadline, uint8 v, bytes32 r, bytes32 s) external nonReentrant {
        token.allow(amount, deadline, v, r, s);
        _fund(amount);
    }

    function funded() external view returns (Units) {
        return toUnits(_funded.current());
    }

    function fundedAt(uint256 timepoint) external view returns (Units) {
        if (timepoint >= block.timestamp) revert FutureLookup(timepoint, uint48(block.timestamp));
        return toUnits(_funded.valueAt(uint96(timepoint)));
    }

    function committed() external view returns (Units) {
        return _ledger.committed;
    }

    function totalTaken() external view returns (Units) {
        return _progress.taken;
    }

    function terms(Epoch epoch, Points points) external view returns (Epoch since, Units worth, Units fee) {
        since = _progress.since;
        if (Epoch.unwrap(epoch) < Epoch.unwrap(since)) revert EpochFinal(epoch, since);
        (worth, fee) = _terms(epoch, points);
    }

    // ---- outcomes

    function propose(Outcome calldata outcome) external nonReentrant {
        if (_pendingHash != 0) revert OutcomePending(_pendingHash);
        _checkEpochs(outcome);
        _checkStake(outcome.epoch);
        _checkWindow(outcome.epoch);
        _payableTerms(outcome);
        bytes32 hash = outcome.hash();
        Timestamp deadline = blockTime().later(objectionWindow);
        _ledger.bond = toUnits(token.pull(Units.unwrap(proposalBond)));
        _pendingHash = hash;
        _progress.pending = outcome.epoch;
        _proposal = Proposal(msg.sender, deadline);
        emit Proposed(outcome.epoch, hash, outcome, msg.sender, deadline);
    }

    function finalise(Outcome calldata outcome) external nonReentrant {
        _expect(Phase.Unopposed);
        bytes32 hash = outcome.hash();
        if (hash != _pendingHash) revert NotPending(hash, _pendingHash);
        _conclude(outcome, hash);
    }

    function finaliseFast(Outcome calldata outcome, bytes calldata votes) external nonReentrant {
        _checkEpochs(outcome);
        _checkFastWindow(outcome.epoch);
        uint256 total = _checkStake(outcome.epoch);
        uint256 weight = _weigh(outcome, votes);
        if (3 * weight <= 2 * total) revert QuorumNotReached(weight, total);
        _conclude(outcome, outcome.hash());
    }

    function object(bytes32 hash) external nonReentrant {
        if (hash != _pendingHash) revert NotPending(hash, _pendingHash);
        _expect(Phase.Open);
        Dispute storage d = _dispute;
        d.bond = toUnits(token.pull(Units.unwrap(objectionBond)));
        d.objector = msg.sender;
        d.objectedAt = blockTime();
        d.draw = 1;
        d.seedBlock = uint64(block.number) + seedDelay;
        emit Objected(_progress.pending, hash, msg.sender, d.seedBlock);
    }

    function draw() external nonReentrant {
        _expect(Phase.Drawing);
        Dispute storage d = _dispute;
        uint8 number = _drawNumber(d);
        if (d.draw != number) {
            d.draw = number;
            d.seed = 0;
            return _setSeedBlock(d);
        }
        if (block.number <= d.seedBlock) revert SeedNotReady(d.seedBlock, block.number);
        bytes32 seed = blockhash(d.seedBlock);
        if (seed == 0) return _setSeedBlock(d);
        d.seed = seed;
        emit Drawn(_progress.pending, _pendingHash, number, seed, _courtDeadline(d, number));
    }

    function judge(Outcome calldata outcome, bytes calldata votes) external nonReentrant {
        _expect(Phase.Court);
        _checkEpochs(outcome);
        if (Epoch.unwrap(outcome.epoch) != Epoch.unwrap(_progress.pending)) {
            revert WrongEpoch(outcome.epoch, _progress.pending);
        }
        bool refusal = outcome.isRefusalOf(_pendingHash);
        if (!refusal) _payableTerms(outcome);
        bytes32 hash = outcome.hash();
        uint256 total = _tally(outcome, hash, votes);
        if (total < Sortition.QUORUM) return;
        if (refusal) _refuse(false, msg.sender);
        else _conclude(outcome, hash);
    }

    function refuse() external nonReentrant {
        _expect(Phase.Undecided);
        _refuse(_dispute.seatsFor >= _dispute.seatsAgainst, BURN_ADDRESS);
    }

    // ---- money out

    function claim(Claim[] calldata claims) external nonReentrant {
        for (uint256 i = 0; i < claims.length; ++i) {
            _claim(claims[i]);
        }
    }

    function collect() external nonReentrant {
        Units amount = owedTo[msg.sender];
        if (Units.unwrap(amount) == 0) revert NothingOwed(msg.sender);
        owedTo[msg.sender] = Units.wrap(0);
        emit Collected(msg.sender, amount);
        token.safeTransfer(msg.sender, Units.unwrap(amount));
    }

    // ---- views

    function nextEpoch() external view returns (Epoch) {
        return _progress.since;
    }

    function phase() public view returns (Phase) {
        if (_pendingHash == 0) return Phase.None;
        Dispute storage d = _dispute;
        if (d.objector == address(0)) return blockTime() <= _proposal.deadline ? Phase.Open : Phase.Unopposed;
        uint8 number = _drawNumber(d);
        if (blockTime() > _courtDeadline(d, 2)) return Phase.Undecided;
        return d.draw == number && d.seed != 0 ? Phase.Court : Phase.Drawing;
    }

    function pending()
        external
        view
        returns (bytes32 hash, Epoch epoch, address proposer, Units bond, Timestamp objectionDeadline)
    {
        return (_pendingHash, _progress.pending, _proposal.proposer, _ledger.bond, _proposal.deadline);
    }

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
        Dispute memory d = _dispute;
        deadline = d.objector == address(0) ? Timestamp.wrap(0) : _courtDeadline(_dispute, d.draw);
        return (d.objector, d.bond, d.draw, d.seedBlock, d.seed, deadline, d.seatsFor, d.seatsAgainst);
    }

    function tallyOf(address judge_, bytes32 hash) external view returns (uint256 seats, address last) {
        Tally storage t = _tallies[_dispute.seed][judge_][hash];
        return (t.seats, t.last);
    }

    function verdictOn(Epoch since, Epoch epoch) external view override returns (bytes32 hash, bytes32 seed) {
        Verdict storage v = _verdicts[since][epoch];
        return (v.hash, v.seed);
    }

    function seatsOf(bytes32 seed, address owner, Epoch epoch) external view override returns (uint256) {
        uint256 snapshot = _snapshot(epoch);
        uint256 total = members.getPastTotalSupply(snapshot);
        return total == 0 ? 0 : Sortition.seats(seed, owner, members.getPastVotes(owner, snapshot), total);
    }

    function hashOutcome(Outcome calldata outcome) external pure returns (bytes32) {
        return outcome.hash();
    }

    function voteDigest(Outcome calldata outcome, address owner) external view override returns (bytes32) {
        return _hashTypedDataV4(outcome.voteHash(owner));
    }

    // ---- inside: checks

    function _expect(Phase expected) private view {
        Phase actual = phase();
        if (actual != expected) revert WrongPhase(uint8(actual));
    }

    function _checkEpochs(Outcome calldata outcome) private view {
        Epoch expected = _progress.since;
        if (Epoch.unwrap(outcome.since) != Epoch.unwrap(expected)) revert WrongSince(outcome.since, expected);
        if (Epoch.unwrap(outcome.epoch) < Epoch.unwrap(expected)) revert EpochFinal(outcome.epoch, expected);
    }

    function _checkWindow(Epoch epoch) private view {
        Timestamp last = proposalDeadline(epoch);
        if (blockTime() > last) revert ProposalClosed(epoch, last, blockTime());
    }

    function _checkFastWindow(Epoch epoch) private view {
        if (_pendingHash == 0) return _checkWindow(epoch);
        if (Epoch.unwrap(epoch) != Epoch.unwrap(_progress.pending)) revert WrongEpoch(epoch, _progress.pending);
        Timestamp last = _dispute.objector == address(0) ? _proposal.deadline : _courtDeadline(_dispute, 2);
        if (blockTime() > last) _checkWindow(epoch);
    }

    function _checkStake(Epoch epoch) private view returns (uint256 total) {
        _checkOver(epoch);
        total = members.getPastTotalSupply(_snapshot(epoch));
        if (total < Units.unwrap(minimumStake)) revert StakeTooSmall(total, Units.unwrap(minimumStake));
    }

    function _checkOver(Epoch epoch) private view {
        Timestamp end = _schedule().epochEnd(epoch);
        if (blockTime() < end) revert EpochNotOver(epoch, end, blockTime());
    }

    // ---- inside: money

    function _fund(uint256 amount) private {
        uint256 received = token.pull(amount);
        uint256 total = _funded.current() + received;
        _funded.set(Units.unwrap(toUnits(total)));
        emit Funded(msg.sender, toUnits(received), toUnits(total));
    }

    function _terms(Epoch epoch, Points points) private view returns (Units worth, Units fee) {
        _checkOver(epoch);
        uint256 inflow = _funded.valueAt(Timestamp.unwrap(_schedule().epochEnd(epoch)) - 1);
        uint256 promised = Units.unwrap(_ledger.committed);
        uint256 epochs = uint256(Epoch.unwrap(epoch)) - Epoch.unwrap(_progress.since) + 1;
        uint256 budget = Math.min(Math.saturatingSub(inflow, promised), Units.unwrap(epochCap) * epochs);
        uint256 fee_ = Math.min(Units.unwrap(submitterFee), budget);
        uint256 worth_ = Points.unwrap(points) == 0 ? 0 : (budget - fee_) / Points.unwrap(points);
        return (toUnits(Math.min(Units.unwrap(unitsPerPoint), worth_)), toUnits(fee_));
    }

    function _payableTerms(Outcome calldata outcome) private view returns (Units worth, Units fee) {
        if (Points.unwrap(outcome.points) == 0) revert NoPoints();
        (worth, fee) = _terms(outcome.epoch, outcome.points);
        if (Units.unwrap(worth) == 0) revert NothingToPay(outcome.epoch);
    }

    function _credit(address receiver, uint256 amount) private {
        if (amount == 0) return;
        owedTo[receiver] = owedTo[receiver] + toUnits(amount);
        emit Credited(receiver, toUnits(amount));
    }

    function _claim(Claim calldata c) private {
        Units before = taken[c.owner];
        if (!(c.earned > before)) return;
        if (!MerkleProof.verifyCalldata(c.proof, root, c.leaf())) revert BadEarningsProof(c.owner);
        Units amount = c.earned - before;
        Units total = _progress.taken + amount;
        if (total > _ledger.committed) revert PromiseExceeded(total, _ledger.committed);
        taken[c.owner] = c.earned;
        _progress.taken = total;
        emit Claimed(c.owner, amount, c.earned);
        token.safeTransfer(c.owner, Units.unwrap(amount));
    }

    // ---- inside: votes

    function _weigh(Outcome calldata outcome, bytes calldata votes) private view returns (uint256 weight) {
        address last = address(0);
        for (uint256 i = 0; i < votes.count(); ++i) {
            (address owner, bytes32 r, bytes32 vs) = votes.read(i);
            if (owner <= last) continue;
            uint256 own = _voteWeight(outcome, owner, r, vs);
            if (own == 0) continue;
            weight += own;
            last = owner;
        }
    }

    function _tally(Outcome calldata outcome, bytes32 hash, bytes calldata votes) private returns (uint256 sum) {
        bytes32 seed = _dispute.seed;
        Tally memory t = _tallies[seed][msg.sender][hash];
        uint256 total = members.getPastTotalSupply(_snapshot(outcome.epoch));
        uint256 added = 0;
        for (uint256 i = 0; i < votes.count() && t.seats + added < Sortition.QUORUM; ++i) {
            (address owner, bytes32 r, bytes32 vs) = votes.read(i);
            if (owner <= t.last) continue;
            uint256 own = _voteWeight(outcome, owner, r, vs);
            if (own == 0) continue;
            added += Sortition.seats(seed, owner, own, total);
            t.last = owner;
        }
        sum = t.seats + added;
        t.seats = uint96(sum);
        _tallies[seed][msg.sender][hash] = t;
        if (sum < Sortition.QUORUM) _remember(hash == _pendingHash, uint8(sum));
        emit Judged(outcome.epoch, hash, msg.sender, added, sum);
    }

    function _remember(bool upholds, uint8 seats) private {
        Dispute storage d = _dispute;
        if (upholds && seats > d.seatsFor) d.seatsFor = seats;
        if (!upholds && seats > d.seatsAgainst) d.seatsAgainst = seats;
    }

    function _voteWeight(Outcome calldata outcome, address owner, bytes32 r, bytes32 vs)
        private
        view
        returns (uint256)
    {
        bytes32 digest = _hashTypedDataV4(outcome.voteHash(owner));
        (address node,,) = ECDSA.tryRecover(digest, r, vs);
        return node == address(0) ? 0 : members.getPastVotesBy(owner, node, _snapshot(outcome.epoch));
    }

    // ---- inside: the end of a pending outcome

    function _conclude(Outcome calldata outcome, bytes32 hash) private {
        (Units worth, Units fee) = _payableTerms(outcome);
        uint256 reward = uint256(Points.unwrap(outcome.points)) * Units.unwrap(worth);
        bool upheld = hash == _pendingHash;
        _credit(upheld ? _proposal.proposer : msg.sender, Units.unwrap(fee));
        if (_dispute.seed != 0) _verdicts[outcome.since][outcome.epoch] = Verdict(hash, _dispute.seed);
        if (_pendingHash != 0) _settleBonds(upheld, msg.sender);
        _ledger.committed = _ledger.committed + toUnits(reward) + fee;
        _progress.taken = _progress.taken + fee;
        _progress.since = Epoch.wrap(Epoch.unwrap(outcome.epoch) + 1);
        root = outcome.root;
        emit Finalised(outcome.epoch, outcome, worth, fee);
    }

    function _refuse(bool upheld, address court) private {
        emit Refused(_progress.pending, _pendingHash);
        _settleBonds(upheld, court);
    }

    function _settleBonds(bool upheld, address court) private {
        uint256 bond = Units.unwrap(_ledger.bond);
        uint256 counter = Units.unwrap(_dispute.bond);
        (address proposer, address objector) = (_proposal.proposer, _dispute.objector);
        _ledger.bond = Units.wrap(0);
        _pendingHash = 0;
        delete _proposal;
        if (objector != address(0)) delete _dispute;
        if (upheld) {
            _credit(proposer, bond);
            _forfeit(counter, proposer, court);
        } else {
            _credit(objector, counter);
            _forfeit(bond, objector, court);
        }
    }

    function _forfeit(uint256 bond, address winner, address court) private {
        if (court == BURN_ADDRESS) return _credit(BURN_ADDRESS, bond);
        uint256 forWinner = winner == address(0) ? 0 : Bonds.winnerShare(bond);
        uint256 forCourt = Bonds.courtShare(bond);
        _credit(winner, forWinner);
        _credit(court, forCourt);
        _credit(BURN_ADDRESS, bond - forWinner - forCourt);
    }

    function _setSeedBlock(Dispute storage d) private {
        d.seedBlock = uint64(block.number) + seedDelay;
        emit SeedBlockSet(_progress.pending, _pendingHash, d.draw, d.seedBlock);
    }

    // ---- inside: time

    function _schedule() private view returns (Schedule memory) {
        return Schedule(genesis, roundLength, roundsPerEpoch);
    }

    function _snapshot(Epoch epoch) private view returns (uint256) {
        return Timestamp.unwrap(_schedule().epochStart(epoch));
    }

    function _drawNumber(Dispute storage d) private view returns (uint8) {
        return blockTime() > _courtDeadline(d, 1) ? 2 : 1;
    }

    function _courtDeadline(Dispute storage d, uint8 number) private view returns (Timestamp) {
        return d.objectedAt.later(number * courtWindow);
    }
}
