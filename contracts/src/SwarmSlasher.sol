// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {Bounds} from "./Bounds.sol";
import {IMembers} from "./IMembers.sol";
import {IVerdicts} from "./IVerdicts.sol";
import {Outcome, Outcomes} from "./Outcome.sol";
import {PackedVotes} from "./PackedVotes.sol";
import {AlreadySlashed, BadVote, EvidenceTooOld, NoContradiction, NoVerdictAgainst, NothingToSlash} from "./errors.sol";
import {Epoch, Points, Timestamp, blockTime} from "./types.sol";

/// @title What a lie costs: who signed two outcomes of the same epochs, or sat in a court on the wrong side, loses a part of its
///        deposit.
/// @notice Anyone brings the votes that prove it. Half of what a liar loses is the bringer's, half is burned: who reports itself
///         still loses half.
/// @dev One of the slashers of `SwarmMembers`; it holds no money and calls nothing but the two contracts, which call nobody while
///      they lock, slash and answer. INVARIANT: an owner is slashed at most once for an epoch.
contract SwarmSlasher {
    using Outcomes for Outcome;
    using PackedVotes for bytes;

    /// @dev Basis points of the whole.
    uint256 private constant WHOLE = 10_000;

    /// @notice Whose votes and verdicts these are.
    IVerdicts public immutable rewards;

    /// @notice Whose deposits these are.
    IMembers public immutable members;

    /// @notice Part of its votes that a liar loses, in basis points.
    uint16 public immutable slashFraction;

    uint64 private immutable _exitDelay;

    /// @notice Whether `owner` has paid for `epoch`.
    mapping(address owner => mapping(Epoch epoch => bool)) public isSlashed;

    /// @notice `owner` lost `amount` for its votes on `epoch`, half of it to `reporter`.
    event Penalised(address indexed owner, Epoch indexed epoch, uint256 amount, address indexed reporter);

    /// @param rewards_ Whose votes and verdicts count.
    /// @param slashFraction_ Part of its votes that a liar loses, in basis points, above 0.
    constructor(IVerdicts rewards_, uint16 slashFraction_) {
        Bounds.checkContract(address(rewards_));
        Bounds.check("slashFraction", slashFraction_, 1, WHOLE);
        rewards = rewards_;
        members = rewards_.members();
        slashFraction = slashFraction_;
        _exitDelay = members.exitDelay();
    }

    /// @notice Slashes an owner that voted for two outcomes of the same epochs. Refusals contradict nothing: who had seen no
    ///         evidence may see some later.
    /// @param first One outcome.
    /// @param firstVote The owner's vote for it, packed in 84 bytes.
    /// @param second Another outcome for the same epochs.
    /// @param secondVote The same owner's vote for it.
    function slashContradiction(
        Outcome calldata first,
        bytes calldata firstVote,
        Outcome calldata second,
        bytes calldata secondVote
    ) external {
        _checkContradiction(first, second);
        _checkEvidence(first.epoch);
        (address owner, uint256 weight) = _soleVote(first, firstVote);
        (address other,) = _soleVote(second, secondVote);
        // INVARIANT: nobody pays for another's word.
        if (owner != other) revert NoContradiction();
        if (isSlashed[owner][first.epoch]) revert AlreadySlashed(owner, first.epoch);
        if (_slash(owner, first.epoch, weight) == 0) revert NothingToSlash(owner);
    }

    /// @notice Slashes every owner that had a seat in a court and voted for another outcome than the one that became final.
    ///         Passed over are votes that are bad, of owners without a seat, and of owners that have paid or have nothing free.
    /// @param outcome What they voted for.
    /// @param votes Their votes, packed.
    function slashLosers(Outcome calldata outcome, bytes calldata votes) external {
        bytes32 hash = outcome.hash();
        (bytes32 right, bytes32 seed) = rewards.verdictOn(outcome.since, outcome.epoch);
        // INVARIANT: only who named an outcome that a court found wrong pays; a refusal names none.
        if (right == 0 || right == hash || Points.unwrap(outcome.points) == 0) {
            revert NoVerdictAgainst(outcome.epoch, hash);
        }
        _checkEvidence(outcome.epoch);
        for (uint256 i = 0; i < votes.count(); ++i) {
            (address owner, bytes32 r, bytes32 vs) = votes.read(i);
            uint256 weight = _weight(outcome, owner, r, vs);
            if (weight == 0 || isSlashed[owner][outcome.epoch]) continue;
            // INVARIANT: only judges pay for a wrong judgement.
            // slither-disable-next-line calls-loop
            if (rewards.seatsOf(seed, owner, outcome.epoch) == 0) continue;
            _slash(owner, outcome.epoch, weight);
        }
    }

    /// @notice Last second in which votes on `epoch` are evidence: later, those who cast them may have left, and the thief of a
    ///         key that was given up long ago could still sign with it.
    function evidenceDeadline(Epoch epoch) public view returns (Timestamp) {
        return rewards.epochStart(epoch).later(_exitDelay);
    }

    function _checkContradiction(Outcome calldata a, Outcome calldata b) private pure {
        bool sameEpochs = a.since == b.since && a.epoch == b.epoch;
        bool refusal = Points.unwrap(a.points) == 0 || Points.unwrap(b.points) == 0;
        // INVARIANT: an owner that names one outcome for the same epochs, however often, contradicts nothing.
        if (!sameEpochs || refusal || a.hash() == b.hash()) revert NoContradiction();
    }

    function _checkEvidence(Epoch epoch) private view {
        Timestamp last = evidenceDeadline(epoch);
        // INVARIANT: a key that was given up stops being dangerous.
        if (blockTime() > last) revert EvidenceTooOld(epoch, last, blockTime());
    }

    function _soleVote(Outcome calldata outcome, bytes calldata vote)
        private
        view
        returns (address owner, uint256 weight)
    {
        if (vote.length != PackedVotes.LENGTH) revert BadVote(address(0));
        (address voter, bytes32 r, bytes32 vs) = vote.read(0);
        (owner, weight) = (voter, _weight(outcome, voter, r, vs));
        // INVARIANT: only the signature of a node that was the owner's own is its word.
        if (weight == 0) revert BadVote(voter);
    }

    /// @dev Votes of `owner` for the epoch; 0 where the signature is not by one of its nodes.
    function _weight(Outcome calldata outcome, address owner, bytes32 r, bytes32 vs) private view returns (uint256) {
        // slither-disable-next-line calls-loop
        bytes32 digest = rewards.voteDigest(outcome, owner);
        // slither-disable-next-line unused-return
        (address node,,) = ECDSA.tryRecover(digest, r, vs);
        // slither-disable-next-line calls-loop
        uint256 snapshot = Timestamp.unwrap(rewards.epochStart(outcome.epoch));
        // slither-disable-next-line calls-loop
        return members.getPastVotesBy(owner, node, snapshot);
    }

    /// @dev What others hold fast stays theirs. Returns what was taken.
    function _slash(address owner, Epoch epoch, uint256 weight) private returns (uint256 amount) {
        // slither-disable-next-line calls-loop
        amount = Math.min(weight * slashFraction / WHOLE, members.freeOf(owner));
        if (amount == 0) return 0;
        isSlashed[owner][epoch] = true;
        emit Penalised(owner, epoch, amount, msg.sender);
        uint256 reward = amount / 2;
        // Each owner pays once, so each is called for once; the sender chooses how many it pays for.
        // slither-disable-start calls-loop
        members.lock(owner, amount);
        if (reward > 0) members.slash(owner, reward, msg.sender);
        members.slash(owner, amount - reward, address(0));
        // slither-disable-end calls-loop
    }
}
