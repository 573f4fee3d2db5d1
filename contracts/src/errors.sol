// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Epoch, Timestamp, Units} from "./types.sol";

// ---- deployment

/// @notice An address that must hold a contract holds none.
error NotAContract(address account);

/// @notice A parameter lies outside its bounds, both inclusive. `name` is the parameter's name.
error ParameterOutOfRange(string name, uint256 value, uint256 least, uint256 most);

// ---- money

/// @notice An amount of zero does nothing; it is refused so that a mistake is seen.
error ZeroAmount();

/// @notice The transfer was said to have succeeded, yet no token arrived.
error NothingReceived();

// ---- stake

/// @notice Money cannot be credited to the zero address.
error ZeroOwner();

/// @notice More was asked for than there is.
error InsufficientStake(uint256 requested, uint256 available);

/// @notice The owner has no exit under way.
error NoExit(address owner);

/// @notice The exit's delay is not over yet.
error ExitNotReady(Timestamp readyAt, Timestamp time);

/// @notice All of the exiting money is locked; wait for a decision of the slasher.
error ExitLocked(uint256 exiting, uint256 locked);

/// @notice Only the slasher may do this. A stake without a slasher never locks or slashes.
error NotSlasher(address caller);

/// @notice No money waits for the caller.
error NothingOwed(address caller);

/// @notice Weights of the present and the future can still change; ask for a time strictly in the past.
error NotYetPast(Timestamp requested, Timestamp time);

// ---- schedule

/// @notice There is no round before genesis.
error BeforeGenesis(Timestamp time, Timestamp genesis);

// ---- binding

/// @notice The binding's expiry has passed; sign a new one.
error BindingExpired(uint256 expiry, uint256 time);

/// @notice The node is bound; its owner must unbind it first.
error NodeAlreadyBound(address node, address owner);

/// @notice The owner's signature is not one over this binding with the owner's next nonce.
error BadOwnerSignature(address owner, uint256 nonce);

/// @notice The node's signature is by another key, or over another binding.
error BadNodeSignature(address node, address recovered);

/// @notice The node has no owner; bind it first.
error NodeNotBound(address node);

/// @notice Only the owner of a node may unbind it, or say where it is.
error NotNodeOwner(address node, address owner, address caller);

// ---- scores

/// @notice The epoch is still running.
error EpochNotOver(Epoch epoch, Timestamp end, Timestamp time);

/// @notice Money that voted in this epoch may have left by now, so its votes no longer count.
error SubmissionClosed(Epoch epoch, Timestamp deadline, Timestamp time);

/// @notice The epoch already has scores.
error AlreadyAccepted(Epoch epoch);

/// @notice Scores without members could never be claimed.
error NoMembers();

/// @notice Signatures must be sorted strictly ascending by the owner of the signing node.
error SignersUnsorted(address previous, address next);

/// @notice The signers do not hold strictly more than two thirds of the stake.
error QuorumNotReached(uint256 weight, uint256 total);

/// @notice The epoch would pay more than an epoch may.
error EpochCapExceeded(uint256 reward, uint256 cap);

/// @notice The pool cannot pay the epoch; fund it and submit again.
error PoolTooSmall(uint256 reward, uint256 pool);

// ---- claims

/// @notice The epoch has no accepted scores.
error NotAccepted(Epoch epoch);

/// @notice The time for claims is over.
error ClaimClosed(Epoch epoch, Timestamp deadline, Timestamp time);

/// @notice The time for claims is not over yet.
error ClaimOpen(Epoch epoch, Timestamp deadline, Timestamp time);

/// @notice The leaf lies beyond the epoch's members.
error IndexOutOfRange(uint32 index, uint32 members);

/// @notice The proof does not lead from this leaf to the epoch's root.
error BadProof(Epoch epoch, uint32 index);

/// @notice The leaves under the root are worth more than the points that were signed.
error RewardExceeded(uint256 amount, uint256 remaining);

/// @notice Nothing of the epoch's reward is left.
error NothingToReclaim(Epoch epoch);

// ---- members

/// @notice A slasher is zero or named twice.
error BadSlasher(address slasher);

/// @notice What is asked for can still change; ask for a second strictly before `clock`.
error FutureLookup(uint256 timepoint, uint48 clock);

/// @notice Every owner votes with its own deposit; nobody can vote with another's.
error NoDelegation();

// ---- outcomes

/// @notice The outcome must begin with the first epoch that is not final yet.
error WrongSince(Epoch since, Epoch expected);

/// @notice The outcome ends before it begins.
error EpochFinal(Epoch epoch, Epoch since);

/// @notice Too late for this epoch; its points go with the outcome of a later one.
error ProposalClosed(Epoch epoch, Timestamp deadline, Timestamp time);

/// @notice Too few deposits vote on this epoch for their word to be worth anything.
error StakeTooSmall(uint256 total, uint256 minimum);

/// @notice The outcome has no points: nobody earned anything.
error NoPoints();

/// @notice The pool holds too little to pay a unit for a point; the points wait for a later epoch.
error NothingToPay(Epoch epoch);

/// @notice Another outcome is pending; wait until it is final or refused.
error OutcomePending(bytes32 hash);

/// @notice This is not the outcome that is pending.
error NotPending(bytes32 hash, bytes32 pending);

/// @notice The outcome pending is for another epoch.
error WrongEpoch(Epoch epoch, Epoch pending);

/// @notice What was called does not belong to the state that the pending outcome is in (see `Phase`).
error WrongPhase(uint8 phase);

// ---- court

/// @notice The block whose hash draws the court does not exist yet.
error SeedNotReady(uint256 seedBlock, uint256 blockNumber);

// ---- slashing

/// @notice The votes do not contradict each other: they are by two owners, for one outcome, for different epochs, or a refusal.
error NoContradiction();

/// @notice The vote is not 84 bytes, or not by a node that the owner had when the epoch began.
error BadVote(address owner);

/// @notice The outcome was not decided by a court, or is the one that the court found right.
error NoVerdictAgainst(Epoch epoch, bytes32 hash);

/// @notice Who voted on this epoch may have left by now.
error EvidenceTooOld(Epoch epoch, Timestamp deadline, Timestamp time);

/// @notice The owner has paid for this epoch already.
error AlreadySlashed(address owner, Epoch epoch);

/// @notice Nothing of the owner's deposit is free to be taken.
error NothingToSlash(address owner);

// ---- earnings

/// @notice The proof does not lead from this owner's leaf to the latest root.
error BadEarningsProof(address owner);

/// @notice The leaves under the root are worth more than was promised.
error PromiseExceeded(Units taken, Units promised);

// ---- jobs

/// @notice A payer launched this very specification before; give it another salt.
error JobExists(uint256 job);

/// @notice What was called does not belong to the state that the job is in (see `JobEscrow.State`).
error WrongJobState(uint256 job, uint8 state);

/// @notice Only the payer of the job may do this.
error NotPayer(uint256 job, address caller);

/// @notice Only the worker of the job may do this.
error NotWorker(uint256 job, address caller);

/// @notice Only the dispute game may do this.
error NotGame(address caller);

/// @notice The last second for this is over.
error DeadlinePassed(Timestamp deadline, Timestamp time);

/// @notice The time of those who come first is not over yet; `deadline` is its last second.
error DeadlineNotPassed(Timestamp deadline, Timestamp time);

/// @notice The plan's first part and these siblings lead to another digest.
error WrongPlan(bytes32 plan, bytes32 opened);

/// @notice The state at this checkpoint and these siblings lead to another top.
error WrongCheckpoint(uint256 checkpoint, bytes32 top, bytes32 opened);

/// @notice What was opened is not what the caller had sealed, or the caller had sealed nothing.
error WrongSeal(uint256 job, address caller);

/// @notice A seal is made once, and is not empty.
error BadSeal(uint256 job, address caller);

/// @notice The challenger has a game about this job already.
error GameUnderWay(uint256 job, address challenger);

/// @notice No game of the challenger about this job is under way.
error NoGame(uint256 job, address challenger);

/// @notice Games about the job are still under way.
error GamesUnderWay(uint256 job, uint256 games);
