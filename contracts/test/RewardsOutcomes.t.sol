// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Outcome} from "../src/Outcome.sol";
import {RewardsParameters} from "../src/RewardsParameters.sol";
import {SwarmRewards} from "../src/SwarmRewards.sol";
import {
    EpochFinal,
    EpochNotOver,
    FutureLookup,
    NoPoints,
    NotPending,
    NothingToPay,
    OutcomePending,
    ProposalClosed,
    QuorumNotReached,
    StakeTooSmall,
    WrongEpoch,
    WrongPhase,
    WrongSince,
    ZeroAmount
} from "../src/errors.sol";
import {Epoch, Points, Timestamp, Units} from "../src/types.sol";
import {SettlementTest} from "./fixtures/Settlement.sol";

/// @title How an outcome becomes final where nobody objects, and by signatures of two thirds of the stake.
contract RewardsOutcomesTest is SettlementTest {
    // ---- the slow path

    function test_proposeTakesTheBondAndTellsTheOutcome() public {
        _toEnd(0);
        Outcome memory o = _honest(0);
        _allow(PROPOSER, BOND);
        vm.expectEmit(address(rewards));
        emit SwarmRewards.Proposed(o.epoch, _hash(o), o, PROPOSER, Timestamp.wrap(time() + OBJECTION_WINDOW));
        vm.prank(PROPOSER);
        rewards.propose(o);
        (bytes32 hash, Epoch epoch, address proposer, Units bond, Timestamp deadline) = rewards.pending();
        vm.assertEq(hash, _hash(o));
        vm.assertEq(hash, rewards.hashOutcome(o));
        vm.assertEq(Epoch.unwrap(epoch), 0);
        vm.assertEq(proposer, PROPOSER);
        vm.assertEq(Units.unwrap(bond), BOND);
        vm.assertEq(Timestamp.unwrap(deadline), time() + OBJECTION_WINDOW);
        vm.assertEq(token.balanceOf(PROPOSER), 0);
        _assertPhase(SwarmRewards.Phase.Open);
    }

    function test_unopposedOutcomeBecomesFinal() public {
        _toEnd(0);
        Outcome memory o = _honest(0);
        _propose(o);
        pass(OBJECTION_WINDOW);
        vm.expectRevert(abi.encodeWithSelector(WrongPhase.selector, SwarmRewards.Phase.Open));
        rewards.finalise(o);
        pass(1);
        vm.expectEmit(address(rewards));
        emit SwarmRewards.Finalised(o.epoch, o, Units.wrap(RATE), Units.wrap(FEE));
        vm.prank(STRANGER);
        rewards.finalise(o);
        _assertFinal(0, o.root);
        vm.assertEq(Units.unwrap(rewards.committed()), 210 * RATE + FEE);
        vm.assertEq(Units.unwrap(rewards.totalTaken()), FEE);
        vm.assertEq(_owed(PROPOSER), BOND + FEE);
        (bytes32 hash,, address proposer, Units bond, Timestamp deadline) = rewards.pending();
        vm.assertEq(hash, 0);
        vm.assertEq(proposer, address(0));
        vm.assertEq(Units.unwrap(bond), 0);
        vm.assertEq(Timestamp.unwrap(deadline), 0);
    }

    function test_onlyThePendingOutcomeIsFinalised() public {
        _toEnd(0);
        Outcome memory o = _honest(0);
        _propose(o);
        pass(OBJECTION_WINDOW + 1);
        Outcome memory other = _false(0);
        vm.expectRevert(abi.encodeWithSelector(NotPending.selector, _hash(other), _hash(o)));
        rewards.finalise(other);
    }

    function test_nothingPendingIsNotFinalised() public {
        _toEnd(0);
        Outcome memory o = _honest(0);
        vm.expectRevert(abi.encodeWithSelector(WrongPhase.selector, SwarmRewards.Phase.None));
        rewards.finalise(o);
    }

    function test_oneOutcomeIsPendingAtATime() public {
        _toEnd(0);
        Outcome memory o = _honest(0);
        _propose(o);
        Outcome memory other = _false(0);
        _allow(STRANGER, BOND);
        vm.expectRevert(abi.encodeWithSelector(OutcomePending.selector, _hash(o)));
        vm.prank(STRANGER);
        rewards.propose(other);
    }

    function test_epochMustBeOver() public {
        _toEnd(0);
        Outcome memory o = _honest(0);
        vm.warp(GENESIS + EPOCH - 1);
        bytes memory reason = abi.encodeWithSelector(EpochNotOver.selector, 0, GENESIS + EPOCH, time());
        vm.expectRevert(reason);
        rewards.propose(o);
        vm.expectRevert(reason);
        rewards.finaliseFast(o, "");
        vm.expectRevert(reason);
        rewards.terms(Epoch.wrap(0), Points.wrap(1));
    }

    function test_proposalWindowClosesAndPointsGoWithTheNextEpoch() public {
        _toEnd(0);
        Outcome memory o = _honest(0);
        uint64 last = Timestamp.unwrap(rewards.proposalDeadline(Epoch.wrap(0)));
        vm.assertEq(last, GENESIS + EPOCH + PROPOSAL_WINDOW);
        vm.warp(last + 1);
        bytes memory reason = abi.encodeWithSelector(ProposalClosed.selector, 0, last, last + 1);
        vm.expectRevert(reason);
        rewards.propose(o);
        bytes memory votes = _votes(o, 0, COUNT);
        vm.expectRevert(reason);
        rewards.finaliseFast(o, votes);
        vm.warp(last);
        _propose(o);
    }

    function test_laterOutcomeCoversMissedEpochs() public {
        Outcome memory o = _settle(2);
        vm.assertEq(Epoch.unwrap(o.since), 0);
        _assertFinal(2, o.root);
        Outcome memory next = _settle(3);
        vm.assertEq(Epoch.unwrap(next.since), 3);
        _assertFinal(3, next.root);
    }

    function test_sinceMustBeTheFirstOpenEpoch() public {
        _settle(0);
        _toEnd(2);
        Outcome memory o = _honest(2);
        for (uint64 since = 0; since < 4; ++since) {
            if (since == 1) continue;
            o.since = Epoch.wrap(since);
            bytes memory reason = abi.encodeWithSelector(WrongSince.selector, since, 1);
            vm.expectRevert(reason);
            rewards.propose(o);
            vm.expectRevert(reason);
            rewards.finaliseFast(o, "");
        }
        o.since = Epoch.wrap(1);
        o.epoch = Epoch.wrap(0);
        bytes memory before = abi.encodeWithSelector(EpochFinal.selector, 0, 1);
        vm.expectRevert(before);
        rewards.propose(o);
        vm.expectRevert(before);
        rewards.finaliseFast(o, "");
        vm.expectRevert(before);
        rewards.terms(Epoch.wrap(0), Points.wrap(1));
    }

    function test_stakeMustBeThereWhenTheEpochBegins() public {
        pass(1);
        // Epoch 0 began with 1,800; by the start of epoch 1 all but 99 have asked for their money.
        for (uint256 i = 0; i < COUNT; ++i) {
            vm.prank(members[i].owner);
            stake.requestExit(i == 0 ? 201 : 300);
        }
        _toEnd(1);
        Outcome memory o = _honest(1);
        bytes memory reason = abi.encodeWithSelector(StakeTooSmall.selector, 99, MINIMUM);
        vm.expectRevert(reason);
        rewards.propose(o);
        bytes memory votes = _votes(o, 0, COUNT);
        vm.expectRevert(reason);
        rewards.finaliseFast(o, votes);
        o = _honest(0);
        _propose(o);
    }

    // ---- the fast path

    function test_moreThanTwoThirdsAreFinalAtOnce() public {
        _toEnd(0);
        Outcome memory o = _honest(0);
        bytes memory two = _votes(o, 0, 4);
        vm.expectRevert(abi.encodeWithSelector(QuorumNotReached.selector, 1_200, 1_800));
        rewards.finaliseFast(o, two);
        bytes memory more = _votes(o, 1, 6);
        vm.expectEmit(address(rewards));
        emit SwarmRewards.Finalised(o.epoch, o, Units.wrap(RATE), Units.wrap(FEE));
        vm.prank(STRANGER);
        rewards.finaliseFast(o, more);
        _assertFinal(0, o.root);
        vm.assertEq(_owed(STRANGER), FEE);
    }

    function test_fastPathGivesAnUnopposedProposerItsBondAndFee() public {
        _toEnd(0);
        Outcome memory o = _honest(0);
        _propose(o);
        vm.prank(JUDGE);
        rewards.finaliseFast(o, _votes(o, 0, 5));
        _assertFinal(0, o.root);
        vm.assertEq(_owed(PROPOSER), BOND + FEE);
        vm.assertEq(_owed(JUDGE), 0);
        vm.assertEq(_owed(FIRE), 0);
    }

    /// Half for who brought the votes, the rest burned: nobody objected.
    function test_fastPathTakesAFalseProposersBond() public {
        _toEnd(0);
        Outcome memory o = _honest(0);
        _propose(_false(0));
        vm.prank(JUDGE);
        rewards.finaliseFast(o, _votes(o, 0, 5));
        _assertFinal(0, o.root);
        vm.assertEq(_owed(PROPOSER), 0);
        vm.assertEq(_owed(JUDGE), BOND / 2 + FEE);
        vm.assertEq(_owed(FIRE), BOND / 2);
    }

    /// A false proposer that could carry everybody's signatures for a later epoch would get its bond back.
    function test_fastPathDecidesTheEpochsThatArePending() public {
        _toEnd(1);
        Outcome memory later = _honest(1);
        _propose(_false(0));
        bytes memory votes = _votes(later, 0, COUNT);
        vm.expectRevert(abi.encodeWithSelector(WrongEpoch.selector, 1, 0));
        rewards.finaliseFast(later, votes);
        Outcome memory o = _honest(0);
        rewards.finaliseFast(o, _votes(o, 0, COUNT));
        _assertFinal(0, o.root);
    }

    function test_fastPathOutlivesTheProposalWindowWhileAnOutcomeIsPending() public {
        Outcome memory o = _lateProposal();
        pass(OBJECTION_WINDOW);
        rewards.finaliseFast(o, _votes(o, 0, COUNT));
        _assertFinal(0, o.root);
    }

    /// After the objection's deadline money that voted may be gone: its keys can be bought.
    function test_fastPathEndsWithTheObjectionWindow() public {
        Outcome memory o = _lateProposal();
        pass(OBJECTION_WINDOW + 1);
        bytes memory votes = _votes(o, 0, COUNT);
        vm.expectPartialRevert(ProposalClosed.selector);
        rewards.finaliseFast(o, votes);
    }

    function test_fastPathEndsWithTheSecondCourt() public {
        Outcome memory o = _lateProposal();
        pass(OBJECTION_WINDOW);
        _object(o);
        pass(2 * COURT_WINDOW + 1);
        bytes memory votes = _votes(o, 0, COUNT);
        vm.expectPartialRevert(ProposalClosed.selector);
        rewards.finaliseFast(o, votes);
        vm.warp(time() - 1);
        rewards.finaliseFast(o, votes);
        _assertFinal(0, o.root);
    }

    /// @dev Proposes the outcome of epoch 0 in the last second.
    function _lateProposal() private returns (Outcome memory o) {
        _toEnd(0);
        o = _honest(0);
        pass(PROPOSAL_WINDOW);
        _propose(o);
    }

    // ---- votes

    function test_badVotesArePassedOver() public {
        _toEnd(0);
        Outcome memory o = _honest(0);
        bytes memory garbage = new bytes(84);
        bytes memory high = abi.encodePacked(address(type(uint160).max), keccak256("r"), keccak256("s"));
        bytes memory stolen = _voteBy(o, members[1].owner, members[0].node.privateKey);
        bytes memory other = _voteBy(_false(0), members[1].owner, members[1].node.privateKey);
        bytes memory votes = bytes.concat(
            garbage, high, _vote(o, 0), stolen, other, _vote(o, 0), _vote(o, 2), _vote(o, 1), _votes(o, 3, 6), hex"01"
        );
        rewards.finaliseFast(o, votes);
        _assertFinal(0, o.root);
    }

    function test_ownerCountsOnceHoweverManyNodesItHas() public {
        Member memory second = _newMember(99);
        _bind(members[5].owner, members[5].ownerKey, second.node);
        _toEnd(1);
        Outcome memory o = _honest(1);
        bytes memory again = _voteBy(o, members[5].owner, second.node.privateKey);
        bytes memory votes = bytes.concat(_votes(o, 2, 6), again, _vote(o, 5));
        vm.expectRevert(abi.encodeWithSelector(QuorumNotReached.selector, 1_200, 1_800));
        rewards.finaliseFast(o, votes);
        rewards.finaliseFast(o, bytes.concat(_votes(o, 1, 5), again));
    }

    function test_votesAreForThisChainAndContract() public {
        _toEnd(0);
        Outcome memory o = _honest(0);
        bytes memory votes = _votes(o, 0, COUNT);
        vm.chainId(99);
        vm.expectRevert(abi.encodeWithSelector(QuorumNotReached.selector, 0, 1_800));
        rewards.finaliseFast(o, votes);
    }

    function test_digestIsAsWrittenHere(address owner, Outcome memory o) public view {
        vm.assertEq(rewards.voteDigest(o, owner), _voteDigest(o, owner));
        vm.assertEq(rewards.hashOutcome(o), _hash(o));
    }

    function test_malleatedVoteIsPassedOver() public {
        _toEnd(0);
        Outcome memory o = _honest(0);
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(members[0].node.privateKey, _voteDigest(o, members[0].owner));
        uint256 order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;
        bytes32 upper = bytes32((order - uint256(s)) | (v == 27 ? 1 << 255 : 0));
        bytes memory votes = bytes.concat(abi.encodePacked(members[0].owner, r, upper), _votes(o, 1, 5));
        vm.expectRevert(abi.encodeWithSelector(QuorumNotReached.selector, 1_200, 1_800));
        rewards.finaliseFast(o, votes);
    }

    // ---- money

    function test_pointsAreWorthWhatThereIs() public {
        // 210 points at 10 units would be 2,100; a pool of 1,000 pays 4 a point after the fee.
        _drainPoolTo(1_000);
        _toEnd(1);
        (, Units worth, Units fee) = rewards.terms(Epoch.wrap(1), Points.wrap(210));
        vm.assertEq(Units.unwrap(fee), FEE);
        vm.assertEq(Units.unwrap(worth), (1_000 - FEE) / 210);
        Outcome memory o = _settle(1);
        _assertFinal(1, o.root);
        vm.assertEq(Units.unwrap(rewards.committed()), 1_000_000 - 1_000 + 210 * 4 + FEE);
    }

    function test_capHoldsForEachEpochCovered() public {
        _toEnd(2);
        (, Units one,) = rewards.terms(Epoch.wrap(0), Points.wrap(5_000));
        (, Units three, Units fee) = rewards.terms(Epoch.wrap(2), Points.wrap(5_000));
        vm.assertEq(Units.unwrap(one), (CAP - FEE) / 5_000);
        vm.assertEq(Units.unwrap(three), (3 * CAP - FEE) / 5_000);
        vm.assertEq(Units.unwrap(fee), FEE);
    }

    function test_emptyPoolPaysNothingAndPointsWait() public {
        _drainPoolTo(FEE);
        _toEnd(1);
        (, Units worth, Units fee) = rewards.terms(Epoch.wrap(1), Points.wrap(210));
        vm.assertEq(Units.unwrap(worth), 0);
        vm.assertEq(Units.unwrap(fee), FEE);
        Outcome memory o = _honest(1);
        bytes memory reason = abi.encodeWithSelector(NothingToPay.selector, 1);
        vm.expectRevert(reason);
        rewards.propose(o);
        bytes memory votes = _votes(o, 0, COUNT);
        vm.expectRevert(reason);
        rewards.finaliseFast(o, votes);
        _fund(10_000);
        Outcome memory later = _settle(2);
        vm.assertEq(Epoch.unwrap(later.since), 1);
    }

    function test_noPointsNoOutcome() public {
        _toEnd(0);
        Outcome memory o = _honest(0);
        o.points = Points.wrap(0);
        vm.expectRevert(NoPoints.selector);
        rewards.propose(o);
        bytes memory votes = _votes(o, 0, COUNT);
        vm.expectRevert(NoPoints.selector);
        rewards.finaliseFast(o, votes);
        (, Units worth,) = rewards.terms(Epoch.wrap(0), Points.wrap(0));
        vm.assertEq(Units.unwrap(worth), 0);
    }

    /// Money that comes after the epoch, in the very second of a proposal even, changes nothing that was computed.
    function test_laterMoneyChangesNoTerms() public {
        _drainPoolTo(1_000);
        _toEnd(1);
        (, Units before,) = rewards.terms(Epoch.wrap(1), Points.wrap(210));
        _fund(1_000_000);
        (, Units afterwards,) = rewards.terms(Epoch.wrap(1), Points.wrap(210));
        vm.assertEq(Units.unwrap(before), Units.unwrap(afterwards));
    }

    function test_termsOfRandomPoolsNeverPromiseMoreThanThereIs(uint128 points, uint128 pool, uint64 epochs) public {
        pool = uint128(bound(pool, 1, 1e30));
        epochs = uint64(bound(epochs, 1, 1_000));
        _fund(pool);
        _toEnd(epochs - 1);
        (, Units worth, Units fee) = rewards.terms(Epoch.wrap(epochs - 1), Points.wrap(points));
        uint256 promised = uint256(Units.unwrap(worth)) * points + Units.unwrap(fee);
        vm.assertLe(promised, 1_000_000 + uint256(pool));
        vm.assertLe(promised, uint256(CAP) * epochs);
        vm.assertLe(Units.unwrap(worth), RATE);
        if (points > 0 && Units.unwrap(worth) < RATE) {
            // A unit more for each point would be too much.
            uint256 budget = 1_000_000 + uint256(pool);
            if (uint256(CAP) * epochs < budget) budget = uint256(CAP) * epochs;
            vm.assertTrue((uint256(Units.unwrap(worth)) + 1) * points + Units.unwrap(fee) > budget);
        }
    }

    function test_fundingIsRemembered() public {
        uint64 t = time();
        vm.assertEq(Units.unwrap(rewards.funded()), 1_000_000);
        pass(10);
        token.mint(STRANGER, 7);
        vm.startPrank(STRANGER);
        token.approve(address(rewards), 7);
        vm.expectEmit(address(rewards));
        emit SwarmRewards.Funded(STRANGER, Units.wrap(7), Units.wrap(1_000_007));
        rewards.fund(7);
        vm.stopPrank();
        vm.expectRevert(abi.encodeWithSelector(FutureLookup.selector, time(), time()));
        rewards.fundedAt(time());
        vm.assertEq(Units.unwrap(rewards.fundedAt(t)), 1_000_000);
        vm.assertEq(Units.unwrap(rewards.fundedAt(t + 9)), 1_000_000);
        pass(1);
        vm.assertEq(Units.unwrap(rewards.fundedAt(t + 10)), 1_000_007);
        vm.expectRevert(ZeroAmount.selector);
        rewards.fund(0);
    }

    function test_fundWithPermit() public {
        (address payer, uint256 key) = (vm.addr(77), 77);
        token.mint(payer, 100);
        bytes32 digest = _permitDigest(payer, address(rewards), 100);
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        vm.prank(payer);
        rewards.fundWithPermit(100, type(uint256).max, v, r, s);
        vm.assertEq(Units.unwrap(rewards.funded()), 1_000_100);
    }

    /// Whoever sends the permit first only gives the allowance sooner.
    function test_frontRunPermitHarmsNobody() public {
        (address payer, uint256 key) = (vm.addr(77), 77);
        token.mint(payer, 100);
        bytes32 digest = _permitDigest(payer, address(rewards), 100);
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        vm.prank(STRANGER);
        token.permit(payer, address(rewards), 100, type(uint256).max, v, r, s);
        vm.prank(payer);
        rewards.fundWithPermit(100, type(uint256).max, v, r, s);
        vm.assertEq(Units.unwrap(rewards.funded()), 1_000_100);
    }

    function _permitDigest(address from, address spender, uint256 amount) private view returns (bytes32) {
        bytes32 typeHash =
            keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");
        bytes32 hash = keccak256(abi.encode(typeHash, from, spender, amount, token.nonces(from), type(uint256).max));
        return keccak256(abi.encodePacked(hex"1901", token.DOMAIN_SEPARATOR(), hash));
    }

    /// @dev Makes an outcome of epoch 0 final that leaves `rest` in the pool: by a single point of very high worth.
    function _drainPoolTo(uint128 rest) internal {
        vm.warp(GENESIS - 1_000);
        address keep = address(stake);
        rewards = new SwarmRewards(_greedy());
        vm.assertEq(keep, address(stake));
        _fund(1_000_000);
        _toEnd(0);
        uint128[] memory points = new uint128[](1);
        points[0] = (1_000_000 - FEE - rest) / RATE;
        (Outcome memory o, uint128[] memory table) = _outcome(0, points);
        rewards.finaliseFast(o, _votes(o, 0, COUNT));
        earned = table;
        vm.assertEq(Units.unwrap(rewards.committed()), 1_000_000 - rest);
    }

    function _greedy() private view returns (RewardsParameters memory p) {
        p = _parameters();
        p.epochCap = Units.wrap(1_000_000);
        p.proposalBond = Units.wrap(10_000);
        p.objectionBond = Units.wrap(10_000);
    }

    function test_schedule() public view {
        vm.assertEq(Timestamp.unwrap(rewards.epochStart(Epoch.wrap(3))), GENESIS + 3 * EPOCH);
        vm.assertEq(Timestamp.unwrap(rewards.epochEnd(Epoch.wrap(3))), GENESIS + 4 * EPOCH);
    }
}
