// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Checkpoints} from "@openzeppelin/contracts/utils/structs/Checkpoints.sol";

import {Bounds} from "./Bounds.sol";
import {IStakeSnapshots} from "./IStakeSnapshots.sol";
import {Inflow} from "./Inflow.sol";
import {Account, StakeAccount} from "./StakeAccount.sol";
import {NoExit, NotSlasher, NotYetPast, NothingOwed, ZeroOwner} from "./errors.sol";
import {Timestamp, blockTime} from "./types.sol";

/// @title Deposits that vote, and that can be lost.
/// @notice Owners deposit a token and gain voting weight. They leave by asking, waiting and withdrawing. One address named at
///         deployment, or nobody, may lock deposits and take locked ones away.
/// @dev INVARIANT: `token.balanceOf(this) >= sum of balances + sum of owed`, equal unless somebody gives tokens away.
///      The token must not change balances by itself (no rebasing). Every payment out is pulled by its receiver.
contract SwarmStake is IStakeSnapshots, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;
    using Inflow for IERC20;
    using StakeAccount for Account;
    using Checkpoints for Checkpoints.Trace160;

    /// @notice Longest exit delay: a delay mistyped in milliseconds would hold money for centuries.
    uint64 public constant MAX_EXIT_DELAY = 366 days;

    /// @notice Where slashed money without a receiver is booked; nobody can collect for this address.
    address public constant BURN_ADDRESS = 0x000000000000000000000000000000000000dEaD;

    /// @inheritdoc IStakeSnapshots
    IERC20 public immutable override token;

    /// @inheritdoc IStakeSnapshots
    uint64 public immutable override exitDelay;

    /// @notice Who may lock and slash; zero: nobody, for ever.
    address public immutable slasher;

    /// @notice Money that waits to be collected by its receiver, in token units.
    mapping(address receiver => uint256 amount) public owedTo;

    mapping(address owner => Account account) private _accounts;
    mapping(address owner => Checkpoints.Trace160 weight) private _weights;
    Checkpoints.Trace160 private _totalWeight;

    /// @notice `amount` arrived for `owner`.
    event Deposited(address indexed owner, uint256 amount);

    /// @notice `owner` asked for `amount` more; all of its exit is ready at `readyAt`.
    event ExitRequested(address indexed owner, uint256 amount, Timestamp readyAt);

    /// @notice `owner` keeps `amount` staked after all.
    event ExitCancelled(address indexed owner, uint256 amount);

    /// @notice `amount` was paid to `owner`.
    event Withdrawn(address indexed owner, uint256 amount);

    /// @notice `amount` more of `owner` is held fast.
    event Locked(address indexed owner, uint256 amount);

    /// @notice `amount` of `owner` is free again.
    event Unlocked(address indexed owner, uint256 amount);

    /// @notice `owner` lost `amount`, which is now owed to `to`.
    event Slashed(address indexed owner, uint256 amount, address indexed to);

    /// @notice `amount` that was owed was paid to `receiver`.
    event Collected(address indexed receiver, uint256 amount);

    modifier onlySlasher() {
        // INVARIANT: where the slasher is zero nobody passes, for no caller has that address.
        if (msg.sender != slasher) revert NotSlasher(msg.sender);
        _;
    }

    /// @param token_ The token that is staked.
    /// @param exitDelay_ Seconds between asking for money back and getting it, 1 to `MAX_EXIT_DELAY`.
    /// @param slasher_ Who may lock and slash; zero for nobody.
    constructor(IERC20 token_, uint64 exitDelay_, address slasher_) {
        // A token without code would accept every transfer.
        Bounds.checkContract(address(token_));
        // Without a delay borrowed money could vote and leave in one transaction.
        Bounds.check("exitDelay", exitDelay_, 1, MAX_EXIT_DELAY);
        token = token_;
        exitDelay = exitDelay_;
        // Zero is a choice: a stake that nobody can take.
        // slither-disable-next-line missing-zero-check
        slasher = slasher_;
    }

    // ---- owners

    /// @notice Takes `amount` from the caller and credits `owner` with what arrives.
    function deposit(address owner, uint256 amount) external nonReentrant {
        if (owner == address(0)) revert ZeroOwner();
        uint256 received = token.pull(amount);
        Account memory account = _accounts[owner];
        account.credit(received);
        _store(owner, account);
        emit Deposited(owner, received);
    }

    /// @notice Stops `amount` of the caller's stake from voting and starts the wait, also for an earlier request still open.
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

    // ---- slasher

    /// @notice Holds `amount` more of `owner` fast, whether exiting or not. It keeps voting.
    function lock(address owner, uint256 amount) external onlySlasher nonReentrant {
        Account memory account = _accounts[owner];
        account.lock(amount);
        _store(owner, account);
        emit Locked(owner, amount);
    }

    /// @notice Frees `amount` of what is locked of `owner`.
    function unlock(address owner, uint256 amount) external onlySlasher nonReentrant {
        Account memory account = _accounts[owner];
        account.unlock(amount);
        _store(owner, account);
        emit Unlocked(owner, amount);
    }

    /// @notice Takes `amount` of what is locked of `owner` away and owes it to `to`; zero burns it.
    /// @dev Burned money stays in this contract, booked to `BURN_ADDRESS`: no token can make a slashing fail.
    function slash(address owner, uint256 amount, address to) external onlySlasher nonReentrant {
        Account memory account = _accounts[owner];
        account.slash(amount);
        _store(owner, account);
        address receiver = to == address(0) ? BURN_ADDRESS : to;
        // INVARIANT: what leaves a balance becomes owed, unit for unit.
        owedTo[receiver] += amount;
        emit Slashed(owner, amount, receiver);
    }

    // ---- views

    /// @notice Voting weight of `owner`: its balance without what is exiting.
    function stakeOf(address owner) external view returns (uint256) {
        return _accounts[owner].weight();
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

    /// @notice What the slasher holds fast of `owner`.
    function lockedOf(address owner) external view returns (uint256) {
        return _accounts[owner].locked;
    }

    /// @inheritdoc IStakeSnapshots
    function stakeAt(address owner, Timestamp time) external view override returns (uint256) {
        return _lookup(_weights[owner], time);
    }

    /// @inheritdoc IStakeSnapshots
    function totalStakeAt(Timestamp time) external view override returns (uint256) {
        return _lookup(_totalWeight, time);
    }

    // ---- inside

    function _store(address owner, Account memory account) private {
        _accounts[owner] = account;
        _checkpoint(owner, account.weight());
    }

    /// @dev INVARIANT: the latest total is the sum of the latest weights.
    function _checkpoint(address owner, uint160 weight) private {
        uint160 previous = _weights[owner].latest();
        if (weight == previous) return;
        uint96 time = Timestamp.unwrap(blockTime());
        // What `push` returns is known already.
        // slither-disable-next-line unused-return
        _weights[owner].push(time, weight);
        // slither-disable-next-line unused-return
        _totalWeight.push(time, _totalWeight.latest() - previous + weight);
    }

    function _lookup(Checkpoints.Trace160 storage trace, Timestamp time) private view returns (uint256) {
        // INVARIANT: only final weights are told, so money that is borrowed for one block never counts.
        if (!(time < blockTime())) revert NotYetPast(time, blockTime());
        return trace.upperLookupRecent(Timestamp.unwrap(time));
    }
}
