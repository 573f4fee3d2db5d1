// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {BitMaps} from "@openzeppelin/contracts/utils/structs/BitMaps.sol";

import {Bounds} from "./Bounds.sol";
import {IStakeSnapshots} from "./IStakeSnapshots.sol";
import {Inflow} from "./Inflow.sol";
import {NodeKey} from "./NodeKey.sol";
import {Schedule} from "./Schedule.sol";
import {Statements} from "./Statements.sol";
import {
    AlreadyAccepted,
    BadNodeSignature,
    BadOwnerSignature,
    BadProof,
    BindingExpired,
    ClaimClosed,
    ClaimOpen,
    EpochCapExceeded,
    EpochNotOver,
    IndexOutOfRange,
    NoMembers,
    NodeAlreadyBound,
    NodeNotBound,
    NotAccepted,
    NotNodeOwner,
    NothingToReclaim,
    PoolTooSmall,
    QuorumNotReached,
    RewardExceeded,
    SignersUnsorted,
    SubmissionClosed
} from "./errors.sol";
import {Claim, Epoch, Parameters, Round, Scores, Timestamp, blockTime} from "./types.sol";

/// @title Who belongs to the swarm, what an epoch was worth, and who gets it.
/// @notice Owners bind node keys. Anyone funds the pool. When an epoch is over, node keys sign its scores; scores signed by
///         strictly more than two thirds of the stake at the epoch's start reserve a reward, which is then claimed leaf by
///         leaf. What is not claimed in time returns to the pool.
/// @dev INVARIANT: `token.balanceOf(this) >= pool + sum of remaining`, equal unless somebody gives tokens away.
///      No owner, no upgrade; every parameter is immutable. Only the stake decides, and time is block time alone.
contract SwarmCoordinator is EIP712, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;
    using Inflow for IERC20;
    using SafeCast for uint256;
    using BitMaps for BitMaps.BitMap;
    using Statements for Scores;
    using Statements for Claim;

    /// @dev What an accepted epoch still has to pay. Accepted if and only if `deadline` is not 0.
    struct Reward {
        bytes32 root;
        uint32 members;
        Timestamp deadline;
        uint128 remaining;
    }

    /// @notice Bound on lengths in seconds, so that a value mistyped in milliseconds is refused.
    uint64 public constant MAX_LENGTH = 366 days;

    /// @notice Where voting weight comes from.
    IStakeSnapshots public immutable stake;

    /// @notice The token of the rewards: the one that is staked.
    IERC20 public immutable token;

    /// @notice When round 0 begins.
    Timestamp public immutable genesis;

    /// @notice Seconds a round lasts.
    uint64 public immutable roundLength;

    /// @notice Rounds an epoch lasts.
    uint64 public immutable roundsPerEpoch;

    /// @notice Token units one point is worth.
    uint128 public immutable unitsPerPoint;

    /// @notice Most token units one epoch may pay.
    uint128 public immutable epochCap;

    /// @notice Seconds from the acceptance of an epoch's scores to its last claim.
    uint64 public immutable claimWindow;

    uint64 private immutable _exitDelay;

    /// @notice The owner that `node` is bound to; zero where none.
    mapping(address node => address owner) public ownerOf;

    /// @notice The nonce that the next binding of `owner` must carry.
    mapping(address owner => uint256 nonce) public nonces;

    /// @notice Money not reserved for any epoch, in token units.
    uint256 public pool;

    mapping(Epoch epoch => Reward reward) private _rewards;
    mapping(Epoch epoch => BitMaps.BitMap indices) private _claimed;

    /// @notice `node` belongs to `owner`. `publicKey` is the node's compressed key, from which its peer id derives.
    event Bound(address indexed owner, address indexed node, bytes publicKey);

    /// @notice `node` no longer belongs to `owner`.
    event Unbound(address indexed owner, address indexed node);

    /// @notice `amount` arrived in the pool.
    event Funded(address indexed from, uint256 amount);

    /// @notice The scores of `epoch` are final and can be claimed until `deadline`.
    event ScoresAccepted(
        Epoch indexed epoch, bytes32 root, bytes32 transcript, uint32 members, uint128 points, Timestamp deadline
    );

    /// @notice Leaf `index` of `epoch`, earned by `node`, paid `amount` to `owner`.
    event Claimed(Epoch indexed epoch, address indexed node, address indexed owner, uint32 index, uint256 amount);

    /// @notice `amount` of `epoch` was not claimed in time and is in the pool again.
    event Reclaimed(Epoch indexed epoch, uint256 amount);

    /// @param p See `Parameters`; every bound is explained where it is checked.
    constructor(Parameters memory p) EIP712("swarm-node", "1") {
        Bounds.checkContract(address(p.stake));
        // A genesis mistyped in milliseconds would start the swarm in fifty thousand years. The past is fine: no stake, no votes.
        Bounds.check("genesis", Timestamp.unwrap(p.genesis), 1, block.timestamp + MAX_LENGTH);
        Bounds.check("roundLength", p.roundLength, 1, MAX_LENGTH);
        Bounds.check("roundsPerEpoch", p.roundsPerEpoch, 1, MAX_LENGTH / p.roundLength);
        uint64 exitDelay_ = p.stake.exitDelay();
        // Money that votes must still be here when its vote is counted: one epoch to work, and one at least to submit.
        Bounds.check("exitDelay", exitDelay_, 2 * p.roundLength * p.roundsPerEpoch, type(uint64).max);
        Bounds.check("unitsPerPoint", p.unitsPerPoint, 1, type(uint128).max);
        // A cap below the worth of one point would pay nobody.
        Bounds.check("epochCap", p.epochCap, p.unitsPerPoint, type(uint128).max);
        Bounds.check("claimWindow", p.claimWindow, 1, MAX_LENGTH);
        stake = p.stake;
        token = p.stake.token();
        genesis = p.genesis;
        roundLength = p.roundLength;
        roundsPerEpoch = p.roundsPerEpoch;
        unitsPerPoint = p.unitsPerPoint;
        epochCap = p.epochCap;
        claimWindow = p.claimWindow;
        _exitDelay = exitDelay_;
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

    /// @notice First second of `epoch`; the stake of this moment votes on it.
    function epochStart(Epoch epoch) external view returns (Timestamp) {
        return _schedule().epochStart(epoch);
    }

    /// @notice First second after `epoch`; from here on its scores can be submitted.
    function epochEnd(Epoch epoch) external view returns (Timestamp) {
        return _schedule().epochEnd(epoch);
    }

    /// @notice Last second in which scores of `epoch` are accepted: later, money that votes on it may have left.
    function submissionDeadline(Epoch epoch) public view returns (Timestamp) {
        return _schedule().epochStart(epoch).later(_exitDelay);
    }

    // ---- nodes

    /// @notice Makes the node with public key (`x`, `y`) belong to `owner`. Anyone may send it; both must have signed
    ///         `Binding(owner, node, nonce, expiry)` with `nonce = nonces(owner)`.
    /// @param owner Who will own the node: a key, or a contract that answers ERC-1271.
    /// @param x First coordinate of the node's public key.
    /// @param y Second coordinate of the node's public key.
    /// @param expiry Last second in which the binding is accepted.
    /// @param ownerSignature The owner's consent.
    /// @param nodeSignature The node's consent: 65 bytes.
    function bind(
        address owner,
        bytes32 x,
        bytes32 y,
        uint256 expiry,
        bytes calldata ownerSignature,
        bytes calldata nodeSignature
    ) external {
        address node = NodeKey.toAddress(x, y);
        uint256 time = Timestamp.unwrap(blockTime());
        if (time > expiry) revert BindingExpired(expiry, time);
        // INVARIANT: a node has one owner, and only that owner lets it go.
        if (ownerOf[node] != address(0)) revert NodeAlreadyBound(node, ownerOf[node]);
        _checkConsent(owner, node, expiry, ownerSignature, nodeSignature);
        ownerOf[node] = owner;
        emit Bound(owner, node, NodeKey.compress(x, y));
    }

    /// @notice Lets the caller's `node` go. Rewards that it has earned and not claimed wait for its next owner.
    function unbind(address node) external {
        address owner = ownerOf[node];
        if (owner != msg.sender) revert NotNodeOwner(node, owner, msg.sender);
        delete ownerOf[node];
        emit Unbound(owner, node);
    }

    // ---- money in

    /// @notice Takes `amount` from the caller and adds what arrives to the pool. It cannot be taken back.
    function fund(uint256 amount) external nonReentrant {
        uint256 received = token.pull(amount);
        pool += received;
        emit Funded(msg.sender, received);
    }

    // ---- scores

    /// @notice Makes the scores of an epoch final. Anyone may send them.
    /// @param scores The outcome of an epoch that is over.
    /// @param signatures Signatures by node keys over `EpochScores`, 65 bytes each, sorted strictly ascending by the owner of
    ///        the node; together strictly more than two thirds of the stake at the epoch's start.
    function submitScores(Scores calldata scores, bytes[] calldata signatures) external nonReentrant {
        _checkSubmission(scores);
        _checkQuorum(scores, signatures);
        uint128 reward = _reserve(scores.points);
        Timestamp deadline = blockTime().later(claimWindow);
        _rewards[scores.epoch] = Reward(scores.root, scores.members, deadline, reward);
        emit ScoresAccepted(scores.epoch, scores.root, scores.transcript, scores.members, scores.points, deadline);
    }

    // ---- claims

    /// @notice Pays every leaf that has not been paid to the owner of its node. Anyone may send it.
    ///         Passed over are leaves that have been paid, and leaves of nodes that are bound to nobody: others can bring
    ///         that about before the call is included, and a stale leaf shall not fail the rest. `Claimed` tells what was
    ///         paid. Any other bad claim refuses all of them, and so does an unbound node if nothing at all is paid.
    function claim(Claim[] calldata claims) external nonReentrant {
        bool paid = false;
        address unbound = address(0);
        for (uint256 i = 0; i < claims.length; ++i) {
            Claim calldata c = claims[i];
            _checkClaim(c);
            // INVARIANT: a leaf pays once.
            if (_claimed[c.epoch].get(c.index)) continue;
            address owner = ownerOf[c.node];
            if (owner == address(0)) {
                unbound = c.node;
                continue;
            }
            _pay(c, owner);
            paid = true;
        }
        // Nothing would be undone, and who claims for an unbound node alone learns why it got nothing.
        if (!paid && unbound != address(0)) revert NodeNotBound(unbound);
    }

    /// @notice Returns what was not claimed in time to the pool. Anyone may send it.
    function reclaim(Epoch epoch) external nonReentrant {
        Reward storage reward = _rewards[epoch];
        if (Timestamp.unwrap(reward.deadline) == 0) revert NotAccepted(epoch);
        // INVARIANT: nothing is taken from claimants while they may still claim.
        if (blockTime() <= reward.deadline) revert ClaimOpen(epoch, reward.deadline, blockTime());
        uint128 amount = reward.remaining;
        if (amount == 0) revert NothingToReclaim(epoch);
        reward.remaining = 0;
        pool += amount;
        emit Reclaimed(epoch, amount);
    }

    /// @notice An accepted epoch: its root, its number of leaves, its last second for claims, and what it still has to pay
    ///         in token units. All 0 where no scores were accepted.
    function epochs(Epoch epoch)
        external
        view
        returns (bytes32 root, uint32 members, Timestamp deadline, uint256 remaining)
    {
        Reward storage reward = _rewards[epoch];
        return (reward.root, reward.members, reward.deadline, reward.remaining);
    }

    /// @notice Whether leaf `index` of `epoch` has been paid.
    function isClaimed(Epoch epoch, uint32 index) external view returns (bool) {
        return _claimed[epoch].get(index);
    }

    // ---- inside

    function _schedule() private view returns (Schedule memory) {
        return Schedule(genesis, roundLength, roundsPerEpoch);
    }

    function _checkConsent(
        address owner,
        address node,
        uint256 expiry,
        bytes calldata ownerSignature,
        bytes calldata nodeSignature
    ) private {
        // INVARIANT: a consent is good for one binding, on this chain, with this contract.
        uint256 nonce = nonces[owner]++;
        bytes32 digest = _hashTypedDataV4(Statements.hashBinding(owner, node, nonce, expiry));
        address signer = ECDSA.recoverCalldata(digest, nodeSignature);
        if (signer != node) revert BadNodeSignature(node, signer);
        bool consents = SignatureChecker.isValidSignatureNowCalldata(owner, digest, ownerSignature);
        if (!consents) revert BadOwnerSignature(owner, nonce);
    }

    function _checkSubmission(Scores calldata scores) private view {
        Timestamp time = blockTime();
        Timestamp end = _schedule().epochEnd(scores.epoch);
        if (time < end) revert EpochNotOver(scores.epoch, end, time);
        // INVARIANT: every vote is backed by money that could still be slashed.
        Timestamp last = submissionDeadline(scores.epoch);
        if (time > last) revert SubmissionClosed(scores.epoch, last, time);
        // INVARIANT: an epoch has one outcome.
        if (Timestamp.unwrap(_rewards[scores.epoch].deadline) != 0) revert AlreadyAccepted(scores.epoch);
        if (scores.members == 0) revert NoMembers();
    }

    function _checkQuorum(Scores calldata scores, bytes[] calldata signatures) private view {
        Timestamp snapshot = _schedule().epochStart(scores.epoch);
        uint256 weight = _weigh(_hashTypedDataV4(scores.hashScores()), signatures, snapshot);
        uint256 total = stake.totalStakeAt(snapshot);
        // INVARIANT: any two quorums share more than one third of the stake. Exactly two thirds do not suffice.
        if (3 * weight <= 2 * total) revert QuorumNotReached(weight, total);
    }

    /// @dev Sum of the stakes of the owners whose nodes signed `digest`.
    function _weigh(bytes32 digest, bytes[] calldata signatures, Timestamp snapshot)
        private
        view
        returns (uint256 weight)
    {
        address previous = address(0);
        for (uint256 i = 0; i < signatures.length; ++i) {
            address owner = _boundOwner(ECDSA.recoverCalldata(digest, signatures[i]));
            // INVARIANT: strictly ascending, so that an owner counts once however many nodes it has.
            if (owner <= previous) revert SignersUnsorted(previous, owner);
            // A view of an immutable contract; the sender chooses how many signatures it pays for.
            // slither-disable-next-line calls-loop
            weight += stake.stakeAt(owner, snapshot);
            previous = owner;
        }
    }

    /// @dev Moves what `points` are worth out of the pool.
    function _reserve(uint128 points) private returns (uint128) {
        uint256 reward = uint256(points) * unitsPerPoint;
        // INVARIANT: no quorum, however large, can pay out more than the cap per epoch.
        if (reward > epochCap) revert EpochCapExceeded(reward, epochCap);
        // INVARIANT: only money that is here is promised.
        if (reward > pool) revert PoolTooSmall(reward, pool);
        pool -= reward;
        return reward.toUint128();
    }

    /// @dev Pays a leaf that was checked and has not been paid.
    function _pay(Claim calldata c, address owner) private {
        Reward storage reward = _rewards[c.epoch];
        uint256 amount = uint256(c.points) * unitsPerPoint;
        // INVARIANT: an epoch pays at most what it reserved, even where its leaves sum to more than its points.
        if (amount > reward.remaining) revert RewardExceeded(amount, reward.remaining);
        reward.remaining -= amount.toUint128();
        _claimed[c.epoch].set(c.index);
        emit Claimed(c.epoch, c.node, owner, c.index, amount);
        token.safeTransfer(owner, amount);
    }

    /// @dev Whether the leaf has been paid makes no difference here: a bad claim is refused before and after.
    function _checkClaim(Claim calldata c) private view {
        Reward storage reward = _rewards[c.epoch];
        if (Timestamp.unwrap(reward.deadline) == 0) revert NotAccepted(c.epoch);
        if (blockTime() > reward.deadline) revert ClaimClosed(c.epoch, reward.deadline, blockTime());
        if (c.index >= reward.members) revert IndexOutOfRange(c.index, reward.members);
        if (!MerkleProof.verifyCalldata(c.proof, reward.root, c.hashLeaf())) revert BadProof(c.epoch, c.index);
    }

    function _boundOwner(address node) private view returns (address owner) {
        owner = ownerOf[node];
        if (owner == address(0)) revert NodeNotBound(node);
    }
}
