// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {PlanCounts} from "../src/IJobs.sol";
import {JobEscrow, Spec} from "../src/JobEscrow.sol";
import {JobParameters} from "../src/JobParameters.sol";
import {NodeOutOfRange, WrongSiblingCount} from "../src/MerkleTree.sol";
import {
    BadSeal,
    DeadlineNotPassed,
    DeadlinePassed,
    JobExists,
    NotAContract,
    NotPayer,
    NotWorker,
    NothingOwed,
    ParameterOutOfRange,
    WrongCheckpoint,
    WrongJobState,
    WrongPlan,
    WrongSeal,
    ZeroAmount
} from "../src/errors.sol";
import {Timestamp, Units} from "../src/types.sol";
import {Jobs} from "./fixtures/Jobs.sol";

/// @title A job from its launch to its end, without games: every step, and everything that is refused.
contract JobEscrowTest is Jobs {
    function setUp() public {
        _start();
    }

    // ---- launch and cancel

    function test_launchTakesTheReward() public {
        Spec memory spec = _spec();
        uint256 expected = escrow.idOf(PAYER, spec);
        _allow(PAYER, REWARD);
        (, bytes32[] memory siblings) = _plan(_counts());
        vm.expectEmit(address(escrow));
        emit JobEscrow.Launched(expected, PAYER, spec, Units.wrap(REWARD));
        vm.prank(PAYER);
        uint256 job = escrow.launch(spec, siblings);
        vm.assertEq(job, expected);
        vm.assertEq(_balance(), REWARD);
        JobEscrow.Job memory j = escrow.jobOf(job);
        vm.assertEq(uint256(j.state), uint256(JobEscrow.State.Open));
        vm.assertEq(j.payer, PAYER);
        vm.assertEq(j.plan, spec.plan);
        vm.assertEq(abi.encode(j.counts), abi.encode(spec.counts));
        vm.assertEq(j.initialState, INITIAL);
        vm.assertEq(j.steps, STEPS);
        vm.assertEq(j.stride, STRIDE);
        vm.assertEq(Timestamp.unwrap(j.deadline), time() + 500);
        vm.assertEq(Units.unwrap(j.reward), REWARD);
        vm.assertEq(Units.unwrap(j.workerBond), BOND);
        vm.assertEq(Units.unwrap(j.challengerBond), COUNTER_BOND);
    }

    /// The number of a job is all that it is made of, so nobody can put another behind it.
    function test_everythingOfASpecIsInTheNumber() public view {
        Spec memory spec = _spec();
        uint256 id = escrow.idOf(PAYER, spec);
        vm.assertEq(id, uint256(keccak256(abi.encode(PAYER, spec))));
        vm.assertTrue(id != escrow.idOf(STRANGER, spec));
        spec.salt = bytes32(uint256(1));
        vm.assertTrue(id != escrow.idOf(PAYER, spec));
    }

    function test_aSpecIsLaunchedOnce() public {
        Spec memory spec = _spec();
        uint256 job = _launch(spec);
        _refusesSpec(spec, abi.encodeWithSelector(JobExists.selector, job));
        vm.prank(PAYER);
        escrow.cancel(job);
        _refusesSpec(spec, abi.encodeWithSelector(JobExists.selector, job));
        spec.salt = bytes32(uint256(1));
        _launch(spec);
    }

    function test_launchNeedsAGame() public {
        JobParameters memory p = _parameters();
        p.game = STRANGER;
        escrow = _newEscrow(p);
        _refusesSpec(_spec(), abi.encodeWithSelector(NotAContract.selector, STRANGER));
    }

    function test_numbersOfASpecAreBounded() public {
        _refusesLength(0, STRIDE, "steps", 0, 1, uint64(1) << 32);
        _refusesLength((uint64(1) << 32) + 1, STRIDE, "steps", (uint256(1) << 32) + 1, 1, uint64(1) << 32);
        _refusesLength(STEPS, 0, "stride", 0, 1, type(uint32).max);
        Spec memory spec = _spec();
        spec.reward = Units.wrap(0);
        _refusesSpec(spec, abi.encodeWithSelector(ZeroAmount.selector));
        spec = _spec();
        spec.acceptBy = Timestamp.wrap(time() - 1);
        _refusesSpec(spec, _acceptBy(time() - 1));
        spec.acceptBy = Timestamp.wrap(time());
        _launch(spec);
        spec.acceptBy = Timestamp.wrap(time() + 366 days + 1);
        _refusesSpec(spec, _acceptBy(time() + 366 days + 1));
        spec.acceptBy = Timestamp.wrap(time() + 366 days);
        _launch(spec);
        spec = _spec();
        (spec.steps, spec.stride) = (uint64(1) << 32, type(uint32).max);
        _launch(spec);
    }

    function test_bondsHaveFloors() public {
        _refusesBonds(REWARD, 1_999, 100, "workerBond", 1_999, 2_000, type(uint128).max);
        _refusesBonds(REWARD + 1, 2_000, 100, "workerBond", 2_000, 2_001, type(uint128).max);
        _refusesBonds(1, 999, 100, "workerBond", 999, 1_000, type(uint128).max);
        _refusesBonds(REWARD, 2_001, 1_001, "challengerBond", 1_001, 100, 1_000);
        _refusesBonds(REWARD, 2_000, 99, "challengerBond", 99, 100, 1_000);
        _launch(_withBonds(REWARD, 2_000, 1_000));
        _launch(_withBonds(1, 1_000, 100));
    }

    function test_largestRewardsDoNotOverflow() public {
        Spec memory spec = _withBonds(type(uint128).max, type(uint128).max, type(uint128).max / 2);
        uint256 job = _launch(spec);
        vm.prank(PAYER);
        escrow.cancel(job);
        vm.assertEq(_owed(PAYER), type(uint128).max);
    }

    function test_countsOfAPlanAreBounded() public {
        _refusesCounts(PlanCounts(0, 2, 4, 0, 5), "programs", 0, 1, 256);
        _refusesCounts(PlanCounts(257, 2, 4, 0, 5), "programs", 257, 1, 256);
        _refusesCounts(PlanCounts(3, 65_537, 4, 0, 5), "constants", 65_537, 0, 65_536);
        _refusesCounts(PlanCounts(3, 2, 0, 0, 5), "state", 0, 1, 65_536);
        _refusesCounts(PlanCounts(3, 2, 65_537, 0, 5), "state", 65_537, 1, 65_536);
        _refusesCounts(PlanCounts(3, 2, 4, 1, 5), "given", 1, 0, 0);
        _refusesCounts(PlanCounts(3, 2, 4, 0, 0), "runs", 0, 1, 65_536);
        _refusesCounts(PlanCounts(3, 2, 4, 0, 65_537), "runs", 65_537, 1, 65_536);
    }

    /// Every count is in the digest: none can be another, even where the number of parts stays the same.
    function test_countsMustBeThePlans() public {
        (bytes32 plan, bytes32[] memory siblings) = _plan(_counts());
        Spec memory spec = _spec();
        spec.counts = PlanCounts(2, 3, 4, 0, 5);
        vm.expectPartialRevert(WrongPlan.selector);
        escrow.launch(spec, siblings);
        spec.counts = PlanCounts(3, 2, 5, 0, 4);
        vm.expectPartialRevert(WrongPlan.selector);
        escrow.launch(spec, siblings);
        spec.counts = PlanCounts(3, 2, 4, 0, 50);
        vm.expectRevert(abi.encodeWithSelector(WrongSiblingCount.selector, 4));
        escrow.launch(spec, siblings);
        spec = _spec();
        siblings[1] ^= bytes32(uint256(1));
        vm.expectPartialRevert(WrongPlan.selector);
        escrow.launch(spec, siblings);
        siblings[1] ^= bytes32(uint256(1));
        spec.plan = keccak256("another");
        vm.expectRevert(abi.encodeWithSelector(WrongPlan.selector, spec.plan, plan));
        escrow.launch(spec, siblings);
    }

    function test_anyPlanIsOpened(uint8 programs, uint8 constants, uint8 state, uint8 runs) public {
        Spec memory spec = _spec();
        spec.counts = PlanCounts(uint32(programs) + 1, constants, uint32(state) + 1, 0, uint32(runs) + 1);
        (spec.plan,) = _plan(spec.counts);
        _assertState(_launch(spec), JobEscrow.State.Open);
    }

    function test_payerCancels() public {
        uint256 job = _open();
        vm.expectRevert(abi.encodeWithSelector(NotPayer.selector, job, STRANGER));
        vm.prank(STRANGER);
        escrow.cancel(job);
        vm.expectEmit(address(escrow));
        emit JobEscrow.Cancelled(job);
        vm.prank(PAYER);
        escrow.cancel(job);
        _assertState(job, JobEscrow.State.Cancelled);
        vm.assertEq(_owed(PAYER), REWARD);
    }

    // ---- accept

    function test_acceptTakesTheBond() public {
        uint256 job = _open();
        pass(500);
        _allow(WORKER, BOND);
        vm.expectEmit(address(escrow));
        emit JobEscrow.Accepted(job, WORKER, Units.wrap(BOND), Timestamp.wrap(time() + WORK));
        vm.prank(WORKER);
        escrow.accept(job);
        vm.assertEq(_balance(), REWARD + BOND);
        vm.assertEq(escrow.jobOf(job).worker, WORKER);
    }

    function test_lateAcceptanceIsRefused() public {
        uint256 job = _open();
        pass(501);
        _allow(WORKER, BOND);
        vm.expectRevert(abi.encodeWithSelector(DeadlinePassed.selector, START + 500, START + 501));
        vm.prank(WORKER);
        escrow.accept(job);
    }

    function test_aNamedWorkerAloneMayAccept() public {
        Spec memory spec = _spec();
        spec.worker = WORKER;
        uint256 job = _launch(spec);
        _allow(STRANGER, BOND);
        vm.expectRevert(abi.encodeWithSelector(NotWorker.selector, job, STRANGER));
        vm.prank(STRANGER);
        escrow.accept(job);
        _accept(job);
        _assertState(job, JobEscrow.State.Assigned);
    }

    // ---- seals and commitment

    function test_commitSealOpensTheVerifiersWindow() public {
        uint256 job = _assigned();
        pass(WORK);
        bytes32 hash = keccak256("seal");
        vm.expectEmit(address(escrow));
        emit JobEscrow.ClaimSealed(job, hash, Timestamp.wrap(time() + SEAL), Timestamp.wrap(time() + SEAL + REVEAL));
        vm.prank(WORKER);
        escrow.commitSeal(job, hash);
        _assertState(job, JobEscrow.State.Sealed);
    }

    function test_commitSealRefuses() public {
        uint256 job = _assigned();
        vm.expectRevert(abi.encodeWithSelector(NotWorker.selector, job, STRANGER));
        vm.prank(STRANGER);
        escrow.commitSeal(job, keccak256("seal"));
        vm.expectRevert(abi.encodeWithSelector(BadSeal.selector, job, WORKER));
        vm.prank(WORKER);
        escrow.commitSeal(job, 0);
        pass(WORK + 1);
        vm.expectRevert(abi.encodeWithSelector(DeadlinePassed.selector, START + WORK, START + WORK + 1));
        vm.prank(WORKER);
        escrow.commitSeal(job, keccak256("seal"));
    }

    function test_commitOpensTheSeal() public {
        uint256 job = _sealed();
        Work memory w = _work();
        pass(SEAL + 1);
        vm.expectEmit(address(escrow));
        emit JobEscrow.Committed(job, w.top, w.finalState, Timestamp.wrap(time() + CHALLENGE));
        _commit(job, w);
        JobEscrow.Job memory j = escrow.jobOf(job);
        vm.assertEq(j.commitment, w.top);
        vm.assertEq(j.finalState, w.finalState);
    }

    function test_commitHasItsTime() public {
        uint256 job = _sealed();
        Work memory w = _work();
        pass(SEAL);
        vm.expectRevert(abi.encodeWithSelector(DeadlineNotPassed.selector, time(), time()));
        _commit(job, w);
        pass(REVEAL + 1);
        vm.expectRevert(abi.encodeWithSelector(DeadlinePassed.selector, time() - 1, time()));
        _commit(job, w);
        vm.warp(time() - 1);
        _commit(job, w);
    }

    function test_commitRefusesWhatWasNotSealed() public {
        uint256 job = _sealed();
        pass(SEAL + 1);
        Work memory w = _work(INITIAL, CHECKPOINTS, "another");
        vm.expectRevert(abi.encodeWithSelector(WrongSeal.selector, job, WORKER));
        _commit(job, w);
        w = _work();
        w.salt = keccak256("another");
        vm.expectRevert(abi.encodeWithSelector(WrongSeal.selector, job, WORKER));
        _commit(job, w);
        w = _work();
        vm.expectRevert(abi.encodeWithSelector(NotWorker.selector, job, STRANGER));
        vm.prank(STRANGER);
        escrow.commit(job, w.top, w.finalState, w.salt, w.first, w.last);
    }

    function test_commitRefusesAnotherBeginningOrEnd() public {
        Work memory w = _work(keccak256("elsewhere"), CHECKPOINTS, "honest");
        _refusesWork(w, abi.encodeWithSelector(WrongCheckpoint.selector, 0, w.top, _opened(w, INITIAL)));
        w = _work();
        w.finalState = keccak256("elsewhere");
        _refusesWork(w, "");
        w = _work();
        w.first[0] = keccak256("elsewhere");
        _refusesWork(w, "");
        w = _work();
        w.last[0] = keccak256("elsewhere");
        _refusesWork(w, "");
        w = _work(INITIAL, CHECKPOINTS + 2, "honest");
        _refusesWork(w, abi.encodeWithSelector(WrongSiblingCount.selector, 4));
        w = _work(INITIAL, 4, "honest");
        _refusesWork(w, abi.encodeWithSelector(WrongSiblingCount.selector, 2));
    }

    function test_historiesOfAnyLengthAreCommittedTo(uint64 steps, uint32 stride) public {
        steps = uint64(bound(steps, 1, 200));
        stride = uint32(bound(stride, 1, 250));
        Spec memory spec = _spec();
        (spec.steps, spec.stride) = (steps, stride);
        uint256 job = _launch(spec);
        _accept(job);
        uint256 count = 1 + steps / stride + (steps % stride == 0 ? 0 : 1);
        Work memory w = _work(INITIAL, count, "honest");
        _commitSeal(job, w);
        pass(SEAL + 1);
        _commit(job, w);
        vm.assertEq(escrow.jobOf(job).finalState, w.finalState);
    }

    /// The digests of `verde::plan` and `verde::history`, for a plan of 3 programs, 2 constants, a state of 4 tensors and 300 runs,
    /// and for 21 steps with a checkpoint every 4 whose states have the roots 0x0101.., 0x0202.. to 0x0707..
    function test_digestsAreThoseOfTheWorkersProgram() public {
        Spec memory spec = _spec();
        spec.plan = 0x14a5cb569d13ff3e7a661365b990ec0d18f1d7ec432337c63c75884d0eaa81cc;
        spec.counts = PlanCounts({programs: 3, constants: 2, state: 4, given: 0, runs: 300});
        spec.initialState = bytes32(type(uint256).max / 255);
        _allow(PAYER, REWARD);
        vm.prank(PAYER);
        uint256 job = escrow.launch(spec, _partsBesideTheFirst());
        _accept(job);
        Work memory w = _workOfTheWorkersProgram();
        _commitSeal(job, w);
        pass(SEAL + 1);
        _commit(job, w);
        vm.assertEq(escrow.jobOf(job).finalState, bytes32(type(uint256).max / 255 * 7));
    }

    function _workOfTheWorkersProgram() private pure returns (Work memory w) {
        w.top = 0xa01b0568e97f4a883e53549ff9e936845853334158de367ad483d981b3142f4a;
        w.finalState = bytes32(type(uint256).max / 255 * 7);
        bytes32[] memory first = new bytes32[](3);
        first[0] = 0xcba8c596120bdb69debbd923d92cba948bde7c7d06a465a1bb7d98d3116038fa;
        first[1] = 0x67863aa3208102d3a5084f0a23cc6bc72f128adc32b1ba3b953db0b49dac6968;
        first[2] = 0x385af70fa47037a980072908783b27624b32ab0e73d1c648d8f3f72332334d61;
        bytes32[] memory last = new bytes32[](2);
        last[0] = 0xa6bf7b40c355ed607815942778b35895a110c721a83acfc94ba1240488aec64a;
        last[1] = 0x3b3c0ce45d11517a54300a196b61497c4165150d72b7782a4548e3984da771b2;
        (w.first, w.last) = (first, last);
    }

    function _partsBesideTheFirst() private pure returns (bytes32[] memory) {
        bytes32[] memory siblings = new bytes32[](9);
        siblings[0] = 0xdcffe786ded16d283c663846ad0c4ff26558fccde36ca9d30b2ea19eade9fc0e;
        siblings[1] = 0xfc264939b1ac77b06378c5ece54a7b57b6b6c821eb80627bb674d8785c8dc8ca;
        siblings[2] = 0xcc12ddd5920b84cf9a983f80a703b9ede4a190af294f68a4dfa70da0c321b2d1;
        siblings[3] = 0x63074050896d633bd3273056f87f93b869bb354834c6e262a3e06e34454bebb9;
        siblings[4] = 0x13580a41eb3619b7a8f9d3171909f2738cfe4b665b0218cb615d21549ab7d8e1;
        siblings[5] = 0x8d5e270e68ee0003ec878098bbeeb38cbe09d90a30438b545d34a24ad27a7ac9;
        siblings[6] = 0xd65c035956723945eb0adf19309eeb911a5d83063af13761734f223086ac8d07;
        siblings[7] = 0x39306643e4fdf022660de82b634b82e12647c147dd2e786659c760ddab8b2175;
        siblings[8] = 0x15dac8b584885d410a6ef88d985e9fbec1373736e4fd9e5343cd061a464e2f4a;
        return siblings;
    }

    // ---- verifiers

    function test_verifiersAgreeOrNot() public {
        uint256 job = _assigned();
        Work memory w = _work();
        _sealAs(VERIFIER, job, w.top);
        _commitSeal(job, w);
        pass(SEAL);
        bytes32 other = keccak256("other");
        _sealAs(STRANGER, job, other);
        pass(1);
        _commit(job, w);
        vm.expectEmit(address(escrow));
        emit JobEscrow.Revealed(job, VERIFIER, w.top, true);
        vm.prank(VERIFIER);
        escrow.reveal(job, w.top, "salt");
        vm.expectEmit(address(escrow));
        emit JobEscrow.Revealed(job, STRANGER, other, false);
        vm.prank(STRANGER);
        escrow.reveal(job, other, "salt");
        vm.assertEq(escrow.sealOf(job, VERIFIER), 0);
    }

    function test_sealsAreMadeOnceAndInTime() public {
        uint256 job = _sealed();
        vm.expectRevert(abi.encodeWithSelector(BadSeal.selector, job, VERIFIER));
        vm.prank(VERIFIER);
        escrow.seal(job, 0);
        _sealAs(VERIFIER, job, "a");
        vm.expectRevert(abi.encodeWithSelector(BadSeal.selector, job, VERIFIER));
        vm.prank(VERIFIER);
        escrow.seal(job, keccak256("b"));
        pass(SEAL + 1);
        vm.expectRevert(abi.encodeWithSelector(DeadlinePassed.selector, time() - 1, time()));
        vm.prank(STRANGER);
        escrow.seal(job, keccak256("b"));
    }

    /// A seal copied from another is worth nothing: the address is in it. And what was never sealed cannot be revealed.
    function test_copiedSealsCannotBeOpened() public {
        uint256 job = _assigned();
        Work memory w = _work();
        _sealAs(VERIFIER, job, w.top);
        bytes32 copied = escrow.sealOf(job, VERIFIER);
        vm.prank(STRANGER);
        escrow.seal(job, copied);
        _commitSeal(job, w);
        pass(SEAL + 1);
        _commit(job, w);
        address[3] memory liars = [STRANGER, WORKER, PAYER];
        for (uint256 i = 0; i < 3; ++i) {
            vm.expectRevert(abi.encodeWithSelector(WrongSeal.selector, job, liars[i]));
            vm.prank(liars[i]);
            escrow.reveal(job, w.top, "salt");
        }
        vm.expectRevert(abi.encodeWithSelector(WrongSeal.selector, job, VERIFIER));
        vm.prank(VERIFIER);
        escrow.reveal(job, w.top, "pepper");
    }

    // ---- the ends

    function test_finalizePaysTheWorker() public {
        uint256 job = _committed();
        pass(CHALLENGE);
        vm.expectRevert(abi.encodeWithSelector(DeadlineNotPassed.selector, time(), time()));
        escrow.finalize(job);
        pass(1);
        vm.expectEmit(address(escrow));
        emit JobEscrow.Finalized(job, _work().finalState);
        vm.expectEmit(address(escrow));
        emit JobEscrow.Credited(WORKER, Units.wrap(REWARD + BOND));
        vm.prank(STRANGER);
        escrow.finalize(job);
        vm.assertEq(_owed(WORKER), REWARD + BOND);
        vm.assertEq(escrow.resultOf(job), _work().finalState);
    }

    function test_openJobsExpire() public {
        uint256 job = _open();
        pass(500);
        vm.expectRevert(abi.encodeWithSelector(DeadlineNotPassed.selector, time(), time()));
        escrow.expire(job);
        pass(1);
        vm.expectEmit(address(escrow));
        emit JobEscrow.Expired(job);
        vm.prank(STRANGER);
        escrow.expire(job);
        _assertState(job, JobEscrow.State.Expired);
        vm.assertEq(_owed(PAYER), REWARD);
    }

    /// Half of 3,003 back, a fifth to the payer, the rest burned.
    function test_lateWorkersLoseHalf() public {
        uint256 job = _assigned();
        pass(WORK);
        vm.expectRevert(abi.encodeWithSelector(DeadlineNotPassed.selector, time(), time()));
        escrow.expire(job);
        pass(1);
        escrow.expire(job);
        _assertLate();
    }

    function test_workersThatDoNotOpenTheirSealAreLate() public {
        uint256 job = _sealed();
        pass(SEAL + REVEAL);
        vm.expectRevert(abi.encodeWithSelector(DeadlineNotPassed.selector, time(), time()));
        escrow.expire(job);
        pass(1);
        escrow.expire(job);
        _assertLate();
    }

    function test_withdrawPaysAllThatIsOwed() public {
        _cancelled();
        vm.expectEmit(address(escrow));
        emit JobEscrow.Withdrawn(PAYER, Units.wrap(REWARD));
        vm.prank(PAYER);
        escrow.withdraw();
        vm.assertEq(token.balanceOf(PAYER), REWARD);
        vm.assertEq(_balance(), 0);
        vm.expectRevert(abi.encodeWithSelector(NothingOwed.selector, PAYER));
        vm.prank(PAYER);
        escrow.withdraw();
    }

    /// Each call in each state: refused for the state unless it belongs there.
    function test_eachCallBelongsToItsStates() public {
        // One letter per state, in their order: None, Open, Assigned, Sealed, Committed, Finalized, Refuted, Expired, Cancelled.
        string[14] memory table = [
            ".x.......", // cancel
            ".x.......", // accept
            "..x......", // commitSeal
            "...x.....", // commit
            "....x....", // finalize
            ".xxx.....", // expire
            "..xx.....", // seal
            "....x....", // reveal
            "....x....", // beginGame
            "....x....", // endGame
            "......x..", // voidGame
            ".....x...", // resultOf
            "....x....", // claimOf
            "....x...." // refute
        ];
        for (uint8 state = 0; state < 9; ++state) {
            // Two jobs of one second are alike.
            pass(1);
            uint256 job = _in(state);
            for (uint256 call = 0; call < 14; ++call) {
                if (bytes(table[call])[state] == "x") continue;
                (address sender, bytes memory data) = _call(call, job);
                vm.prank(sender);
                (bool ok, bytes memory reason) = address(escrow).call(data);
                vm.assertFalse(ok);
                vm.assertEq(reason, abi.encodeWithSelector(WrongJobState.selector, job, state));
            }
        }
    }

    // ---- inside

    function _in(uint8 state) private returns (uint256) {
        if (state == 0) return 12_345;
        function() returns (uint256)[8] memory makers =
            [_open, _assigned, _sealed, _committed, _finalized, _refuted, _expired, _cancelled];
        return makers[state - 1]();
    }

    function _call(uint256 call, uint256 job) private view returns (address sender, bytes memory data) {
        Work memory w = _work();
        if (call == 0) return (PAYER, abi.encodeCall(escrow.cancel, (job)));
        if (call == 1) return (WORKER, abi.encodeCall(escrow.accept, (job)));
        if (call == 2) return (WORKER, abi.encodeCall(escrow.commitSeal, (job, w.top)));
        if (call == 3) {
            return (WORKER, abi.encodeCall(escrow.commit, (job, w.top, w.finalState, w.salt, w.first, w.last)));
        }
        if (call == 4) return (STRANGER, abi.encodeCall(escrow.finalize, (job)));
        if (call == 5) return (STRANGER, abi.encodeCall(escrow.expire, (job)));
        if (call == 6) return (VERIFIER, abi.encodeCall(escrow.seal, (job, w.top)));
        if (call == 7) return (VERIFIER, abi.encodeCall(escrow.reveal, (job, w.top, w.salt)));
        if (call == 8) return (address(this), abi.encodeCall(escrow.beginGame, (job, RIVAL)));
        if (call == 9) return (address(this), abi.encodeCall(escrow.endGame, (job, RIVAL, true)));
        if (call == 10) return (address(this), abi.encodeCall(escrow.voidGame, (job, RIVAL)));
        if (call == 11) return (STRANGER, abi.encodeCall(escrow.resultOf, (job)));
        if (call == 12) return (STRANGER, abi.encodeCall(escrow.claimOf, (job)));
        return (address(this), abi.encodeCall(escrow.refute, (job, RIVAL)));
    }

    function _assertLate() private view {
        vm.assertEq(_owed(WORKER), 1_501);
        vm.assertEq(_owed(PAYER), REWARD + 600);
        vm.assertEq(_owed(FIRE), 902);
        vm.assertEq(_balance(), REWARD + BOND);
    }

    function _sealAs(address verifier, uint256 job, bytes32 top) private {
        bytes32 hash = _sealHash(top, verifier, "salt");
        vm.expectEmit(address(escrow));
        emit JobEscrow.Sealed(job, verifier, hash);
        vm.prank(verifier);
        escrow.seal(job, hash);
    }

    /// @dev A job whose worker seals `w` and is refused when it opens it; for any reason about the tree where `reason` is empty.
    function _refusesWork(Work memory w, bytes memory reason) private {
        pass(1);
        uint256 job = _assigned();
        _commitSeal(job, w);
        pass(SEAL + 1);
        if (reason.length == 0) vm.expectPartialRevert(WrongCheckpoint.selector);
        else vm.expectRevert(reason);
        _commit(job, w);
    }

    function _opened(Work memory w, bytes32 state) private pure returns (bytes32 node) {
        node = sha256(bytes.concat(hex"00", state));
        for (uint256 i = 0; i < w.first.length; ++i) {
            node = sha256(bytes.concat(hex"01", node, w.first[i]));
        }
    }

    function _refusesSpec(Spec memory spec, bytes memory reason) private {
        (, bytes32[] memory siblings) = _plan(spec.counts);
        _allow(PAYER, Units.unwrap(spec.reward));
        vm.expectRevert(reason);
        vm.prank(PAYER);
        escrow.launch(spec, siblings);
    }

    function _acceptBy(uint256 value) private view returns (bytes memory) {
        uint256 least = time();
        return abi.encodeWithSelector(ParameterOutOfRange.selector, "acceptBy", value, least, least + 366 days);
    }

    function _refusesLength(uint64 steps, uint32 stride, string memory name, uint256 value, uint256 least, uint256 most)
        private
    {
        Spec memory spec = _spec();
        (spec.steps, spec.stride) = (steps, stride);
        _refusesSpec(spec, abi.encodeWithSelector(ParameterOutOfRange.selector, name, value, least, most));
    }

    function _withBonds(uint128 reward, uint128 worker, uint128 challenger) private view returns (Spec memory spec) {
        spec = _spec();
        (spec.reward, spec.workerBond) = (Units.wrap(reward), Units.wrap(worker));
        spec.challengerBond = Units.wrap(challenger);
    }

    function _refusesBonds(
        uint128 reward,
        uint128 worker,
        uint128 challenger,
        string memory name,
        uint256 value,
        uint256 least,
        uint256 most
    ) private {
        bytes memory reason = abi.encodeWithSelector(ParameterOutOfRange.selector, name, value, least, most);
        _refusesSpec(_withBonds(reward, worker, challenger), reason);
    }

    function _refusesCounts(PlanCounts memory counts, string memory name, uint256 value, uint256 least, uint256 most)
        private
    {
        Spec memory spec = _spec();
        spec.counts = counts;
        vm.expectRevert(abi.encodeWithSelector(ParameterOutOfRange.selector, name, value, least, most));
        escrow.launch(spec, new bytes32[](0));
    }
}
