// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IERC5805} from "@openzeppelin/contracts/interfaces/IERC5805.sol";
import {IERC6372} from "@openzeppelin/contracts/interfaces/IERC6372.sol";
import {IVotes} from "@openzeppelin/contracts/governance/utils/IVotes.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";

import {Binding} from "./Binding.sol";
import {Bounds} from "./Bounds.sol";
import {IMembers} from "./IMembers.sol";
import {Inflow} from "./Inflow.sol";
import {NodeKey} from "./NodeKey.sol";
import {Snapshots, Trace} from "./Snapshots.sol";
import {Account, StakeAccount} from "./StakeAccount.sol";
import {
    BadNodeSignature,
    BadOwnerSignature,
    BadSlasher,
    BindingExpired,
    FutureLookup,
    InsufficientStake,
    NoDelegation,
    NoExit,
    NodeAlreadyBound,
    NotNodeOwner,
    NotSlasher,
    NothingOwed,
    ZeroOwner
} from "./errors.sol";
import {Timestamp, blockTime} from "./types.sol";

/// @title Who belongs to the swarm and how much each weighs: deposits that vote, and node keys that speak for them.
/// @notice Owners deposit a token and bind node keys. A deposit votes while its owner has a node; it leaves by asking, waiting
///         and withdrawing. Up to four contracts named at deployment may hold deposits fast and take them away. What anybody
///         weighed and whose a node was is remembered for ever.
/// @dev INVARIANT: `token.balanceOf(this) >= sum of balances + sum of owed`, equal unless somebody gives tokens away.
///      INVARIANT: at every time the total of votes is the sum of the votes of all owners.
///      The token must not change balances by itself (no rebasing). Every payment out is pulled by its receiver.
///      No owner, no proxy, no pause.
contract SwarmMembers is IMembers, EIP712, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;
    using Inflow for IERC20;
    using StakeAccount for Account;
    using Snapshots for Trace;

    /// @dev What ties an owner to its nodes, in one slot.
    /// @param nonce What its next binding must carry.
    /// @param nodes How many nodes it has.
    struct Membership {
        uint128 nonce;
        uint128 nodes;
    }

    /// @notice Longest exit delay: a delay mistyped in milliseconds would hold money for centuries.
    uint64 public constant MAX_EXIT_DELAY = 366 days;

    /// @notice Most slashers: each is code that every depositor must trust.
    uint256 public constant MAX_SLASHERS = 4;

    /// @notice Longest announcement of addresses, in bytes.
    uint256 public constant MAX_ANNOUNCEMENT = 1_024;

    /// @notice Where slashed money without a receiver is booked; nobody can collect for this address.
    address public constant BURN_ADDRESS = 0x000000000000000000000000000000000000dEaD;

    /// @inheritdoc IMembers
    IERC20 public immutable override token;

    /// @inheritdoc IMembers
    uint64 public immutable override exitDelay;

    /// @notice Whether `account` may lock and slash.
    mapping(address account => bool) public isSlasher;

    /// @notice Money that waits to be collected by its receiver, in token units.
    mapping(address receiver => uint256 amount) public owedTo;

    /// @notice What `slasher` holds fast of `owner`; nobody else can free or take it.
    mapping(address slasher => mapping(address owner => uint256 amount)) public lockedBy;

    address[] private _slashers;
    mapping(address owner => Membership membership) private _memberships;
    mapping(address owner => Account account) private _accounts;
    mapping(address owner => Trace votes) private _votes;
    mapping(address node => Trace owner) private _owners;
    Trace private _totalVotes;

    /// @notice `amount` arrived for `owner`.
    event Deposited(address indexed owner, uint256 amount);

    /// @notice `owner` asked for `amount` more; all of its exit is ready at `readyAt`.
    event ExitRequested(address indexed owner, uint256 amount, Timestamp readyAt);

    /// @notice `owner` keeps `amount` deposited after all.
    event ExitCancelled(address indexed owner, uint256 amount);

    /// @notice `amount` was paid to `owner`.
    event Withdrawn(address indexed owner, uint256 amount);

    /// @notice `slasher` holds `amount` more of `owner` fast.
    event Locked(address indexed slasher, address indexed owner, uint256 amount);

    /// @notice `slasher` let `amount` of `owner` go.
    event Unlocked(address indexed slasher, address indexed owner, uint256 amount);

    /// @notice `owner` lost `amount` to `slasher`'s judgement; it is now owed to `to`.
    event Slashed(address indexed slasher, address indexed owner, uint256 amount, address indexed to);

    /// @notice `amount` that was owed was paid to `receiver`.
    event Collected(address indexed receiver, uint256 amount);

    /// @notice `node` belongs to `owner`. `publicKey` is the node's compressed key, from which its peer id derives.
    event Bound(address indexed owner, address indexed node, bytes publicKey);

    /// @notice `node` no longer belongs to `owner`.
    event Unbound(address indexed owner, address indexed node);

    /// @notice `owner` says that its `node`, whose compressed key is `publicKey`, is to be found at `addresses`.
    event Announced(address indexed owner, address indexed node, bytes publicKey, bytes addresses);

    modifier onlySlasher() {
        // INVARIANT: where there are no slashers nobody passes.
        if (!isSlasher[msg.sender]) revert NotSlasher(msg.sender);
        _;
    }

    /// @param token_ The token that is deposited.
    /// @param exitDelay_ Seconds between asking for money back and getting it, 1 to `MAX_EXIT_DELAY`.
    /// @param slashers_ Who may lock and slash, `MAX_SLASHERS` at most; none: nobody, for ever. They need not exist yet.
    constructor(IERC20 token_, uint64 exitDelay_, address[] memory slashers_) EIP712("swarm-node", "2") {
        // A token without code would accept every transfer.
        Bounds.checkContract(address(token_));
        // Without a delay borrowed money could vote and leave in one transaction.
        Bounds.check("exitDelay", exitDelay_, 1, MAX_EXIT_DELAY);
        Bounds.check("slashers", slashers_.length, 0, MAX_SLASHERS);
        for (uint256 i = 0; i < slashers_.length; ++i) {
            // A zero or a repetition is a slip of whoever predicted the addresses.
            if (slashers_[i] == address(0) || isSlasher[slashers_[i]]) revert BadSlasher(slashers_[i]);
            isSlasher[slashers_[i]] = true;
        }
        token = token_;
        exitDelay = exitDelay_;
        _slashers = slashers_;
    }

    /// @notice Version of the contract and of its EIP-712 domain.
    function version() external pure returns (string memory) {
        return "2";
    }

    // ---- deposits

    /// @notice Takes `amount` from the caller and credits `owner` with what arrives.
    function deposit(address owner, uint256 amount) external nonReentrant {
        _deposit(owner, amount);
    }

    /// @notice `deposit` with the caller's permit for the token (ERC-2612) in the same call. A permit that fails is passed over:
    ///         whoever sent it first has only given the allowance sooner.
    // The guard keeps the token from calling back.
    // slither-disable-next-line reentrancy-benign
    function depositWithPermit(address owner, uint256 amount, uint256 deadline, uint8 v, bytes32 r, bytes32 s)
        external
        nonReentrant
    {
        token.allow(amount, deadline, v, r, s);
        _deposit(owner, amount);
    }

    /// @notice Stops `amount` of the caller's deposit from voting and starts the wait, also for an earlier request still open.
    function requestExit(uint256 amount) external nonReentrant {
        Account memory account = _accounts[msg.sender];
        account.beginExit(amount, blockTime().later(exitDelay));
        _store(msg.sender, account);
        emit ExitRequested(msg.sender, amount, account.readyAt);
    }

    /// @notice Lets all of the caller's exiting money vote again.
    function cancelExit() external nonReentrant {
        Account memory account = _accounts[msg.sender];
        uint128 amount = account.exiting;
        if (amount == 0) revert NoExit(msg.sender);
        account.reduceExit(amount);
        _store(msg.sender, account);
        emit ExitCancelled(msg.sender, amount);
    }

    /// @notice Pays the caller what has waited long enough and is not locked; the locked rest stays exiting.
    function withdraw() external nonReentrant {
        Account memory account = _accounts[msg.sender];
        uint128 amount = account.finishExit(msg.sender, blockTime());
        _store(msg.sender, account);
        emit Withdrawn(msg.sender, amount);
        token.safeTransfer(msg.sender, amount);
    }

    /// @notice Pays the caller what slashing has given it.
    function collect() external nonReentrant {
        uint256 amount = owedTo[msg.sender];
        if (amount == 0) revert NothingOwed(msg.sender);
        owedTo[msg.sender] = 0;
        emit Collected(msg.sender, amount);
        token.safeTransfer(msg.sender, amount);
    }

    // ---- slashers

    /// @inheritdoc IMembers
    /// @dev What is locked may be exiting or not, and keeps voting if it did.
    function lock(address owner, uint256 amount) external override onlySlasher nonReentrant {
        Account memory account = _accounts[owner];
        account.lock(amount);
        lockedBy[msg.sender][owner] += amount;
        _store(owner, account);
        emit Locked(msg.sender, owner, amount);
    }

    /// @notice Frees `amount` of what the caller holds fast of `owner`. Slashers only.
    function unlock(address owner, uint256 amount) external onlySlasher nonReentrant {
        Account memory account = _accounts[owner];
        account.unlock(amount);
        _release(owner, amount);
        _store(owner, account);
        emit Unlocked(msg.sender, owner, amount);
    }

    /// @inheritdoc IMembers
    /// @dev Burned money stays in this contract, booked to `BURN_ADDRESS`: no token can make a slashing fail.
    function slash(address owner, uint256 amount, address to) external override onlySlasher nonReentrant {
        Account memory account = _accounts[owner];
        account.slash(amount);
        _release(owner, amount);
        _store(owner, account);
        address receiver = to == address(0) ? BURN_ADDRESS : to;
        // INVARIANT: what leaves a balance becomes owed, unit for unit.
        owedTo[receiver] += amount;
        emit Slashed(msg.sender, owner, amount, receiver);
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
    ) external nonReentrant {
        address node = NodeKey.toAddress(x, y);
        uint256 time = Timestamp.unwrap(blockTime());
        if (time > expiry) revert BindingExpired(expiry, time);
        // INVARIANT: a node has one owner, and only that owner lets it go.
        if (ownerOf(node) != address(0)) revert NodeAlreadyBound(node, ownerOf(node));
        _checkConsent(owner, node, expiry, ownerSignature, nodeSignature);
        _owners[node].set(uint160(owner));
        ++_memberships[owner].nodes;
        _updateVotes(owner, _accounts[owner]);
        emit Bound(owner, node, NodeKey.compress(x, y));
    }

    /// @notice Lets the caller's `node` go. What it has earned stays its owner's.
    function unbind(address node) external nonReentrant {
        address owner = ownerOf(node);
        // INVARIANT: nobody else can take a node's voice away.
        if (owner != msg.sender) revert NotNodeOwner(node, owner, msg.sender);
        _owners[node].set(0);
        --_memberships[owner].nodes;
        _updateVotes(owner, _accounts[owner]);
        emit Unbound(owner, node);
    }

    /// @notice Tells newcomers where the caller's node with public key (`x`, `y`) is to be found; the latest word counts, and an
    ///         empty one takes the earlier ones back. Nothing is stored, and nothing in the contracts depends on it.
    /// @param x First coordinate of the node's public key.
    /// @param y Second coordinate of the node's public key.
    /// @param addresses Multiaddresses as text, separated by spaces, without the peer id: `MAX_ANNOUNCEMENT` bytes at most. What
    ///        they say is nobody's word but the owner's; readers check it.
    function announce(bytes32 x, bytes32 y, bytes calldata addresses) external {
        address node = NodeKey.toAddress(x, y);
        address owner = ownerOf(node);
        // INVARIANT: nobody else says where a node is.
        if (owner != msg.sender) revert NotNodeOwner(node, owner, msg.sender);
        Bounds.check("addresses", addresses.length, 0, MAX_ANNOUNCEMENT);
        emit Announced(owner, node, NodeKey.compress(x, y), addresses);
    }

    /// @notice The owner that `node` is bound to; zero where none.
    function ownerOf(address node) public view returns (address) {
        return address(_owners[node].current());
    }

    /// @notice The owner that `node` was bound to at the end of second `timepoint`, which must have passed.
    function ownerAt(address node, uint256 timepoint) external view returns (address) {
        return address(_owners[node].valueAt(_past(timepoint)));
    }

    /// @notice How many nodes `owner` has.
    function nodesOf(address owner) external view returns (uint256) {
        return _memberships[owner].nodes;
    }

    /// @notice The nonce that the next binding of `owner` must carry.
    function nonces(address owner) external view returns (uint256) {
        return _memberships[owner].nonce;
    }

    // ---- votes (ERC-5805)

    /// @inheritdoc IERC6372
    function clock() public view override returns (uint48) {
        return uint48(block.timestamp);
    }

    /// @inheritdoc IERC6372
    // solhint-disable-next-line func-name-mixedcase
    // slither-disable-next-line naming-convention
    function CLOCK_MODE() external pure override returns (string memory) {
        return "mode=timestamp";
    }

    /// @inheritdoc IVotes
    /// @dev The balance without what is exiting, if a node is bound. Decide nothing by it: it can be borrowed for one block.
    function getVotes(address account) external view override returns (uint256) {
        return _votes[account].current();
    }

    /// @inheritdoc IVotes
    function getPastVotes(address account, uint256 timepoint) external view override returns (uint256) {
        return _votes[account].valueAt(_past(timepoint));
    }

    /// @inheritdoc IVotes
    /// @dev The votes of owners with a node, and of nobody else.
    function getPastTotalSupply(uint256 timepoint) external view override returns (uint256) {
        return _totalVotes.valueAt(_past(timepoint));
    }

    /// @inheritdoc IMembers
    function getPastVotesBy(address owner, address node, uint256 timepoint) external view override returns (uint256) {
        uint96 time = _past(timepoint);
        // INVARIANT: a node speaks for whom it belonged to then, not for whom it belongs to now.
        if (owner == address(0) || _owners[node].valueAt(time) != uint160(owner)) return 0;
        return _votes[owner].valueAt(time);
    }

    /// @inheritdoc IVotes
    /// @dev Everybody votes with its own deposit.
    function delegates(address account) external pure override returns (address) {
        return account;
    }

    /// @inheritdoc IVotes
    /// @dev Always reverts: a voter must be able to lose what it votes with.
    function delegate(address) external pure override {
        revert NoDelegation();
    }

    /// @inheritdoc IVotes
    /// @dev Always reverts: a voter must be able to lose what it votes with.
    function delegateBySig(address, uint256, uint256, uint8, bytes32, bytes32) external pure override {
        revert NoDelegation();
    }

    // ---- views

    /// @notice Who may lock and slash.
    function slashers() external view returns (address[] memory) {
        return _slashers;
    }

    /// @notice All money of `owner` here, what is exiting or locked included.
    function balanceOf(address owner) external view returns (uint256) {
        return _accounts[owner].balance;
    }

    /// @notice What `owner` has asked back, and when it may withdraw it; both 0 where nothing.
    function exitOf(address owner) external view returns (uint256 amount, Timestamp readyAt) {
        Account storage account = _accounts[owner];
        return (account.exiting, account.readyAt);
    }

    /// @notice What slashers together hold fast of `owner`.
    function lockedOf(address owner) external view returns (uint256) {
        return _accounts[owner].locked;
    }

    /// @inheritdoc IMembers
    function freeOf(address owner) external view override returns (uint256) {
        return _accounts[owner].free();
    }

    // ---- inside

    function _deposit(address owner, uint256 amount) private {
        if (owner == address(0)) revert ZeroOwner();
        uint256 received = token.pull(amount);
        Account memory account = _accounts[owner];
        account.credit(received);
        _store(owner, account);
        emit Deposited(owner, received);
    }

    function _store(address owner, Account memory account) private {
        _accounts[owner] = account;
        _updateVotes(owner, account);
    }

    /// @dev INVARIANT: the present total is the sum of the present votes.
    function _updateVotes(address owner, Account memory account) private {
        uint160 previous = _votes[owner].current();
        // INVARIANT: only what a bound node can speak for votes, so that idle deposits never stand between the rest and a quorum.
        uint160 votes = _memberships[owner].nodes == 0 ? 0 : account.weight();
        if (votes == previous) return;
        _votes[owner].set(votes);
        _totalVotes.set(_totalVotes.current() - previous + votes);
        emit DelegateVotesChanged(owner, previous, votes);
    }

    function _release(address owner, uint256 amount) private {
        uint256 held = lockedBy[msg.sender][owner];
        // INVARIANT: a slasher frees and takes only what it holds fast itself.
        if (amount > held) revert InsufficientStake(amount, held);
        lockedBy[msg.sender][owner] = held - amount;
    }

    function _checkConsent(
        address owner,
        address node,
        uint256 expiry,
        bytes calldata ownerSignature,
        bytes calldata nodeSignature
    ) private {
        // INVARIANT: a consent is good for one binding, on this chain, with this contract.
        uint256 nonce = _memberships[owner].nonce++;
        bytes32 digest = _hashTypedDataV4(Binding.hash(owner, node, nonce, expiry));
        address signer = ECDSA.recoverCalldata(digest, nodeSignature);
        if (signer != node) revert BadNodeSignature(node, signer);
        bool consents = SignatureChecker.isValidSignatureNowCalldata(owner, digest, ownerSignature);
        if (!consents) revert BadOwnerSignature(owner, nonce);
    }

    /// @dev `timepoint` as a key of a trace.
    function _past(uint256 timepoint) private view returns (uint96) {
        // INVARIANT: only what can no longer change is told, so money borrowed for one block never counts.
        if (timepoint >= Timestamp.unwrap(blockTime())) revert FutureLookup(timepoint, clock());
        // A time that has passed fits.
        // forge-lint: disable-next-line(unsafe-typecast)
        return uint96(timepoint);
    }
}
