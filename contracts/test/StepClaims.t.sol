// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

import {NotHere} from "../src/Descent.sol";
import {DisputeGame, NotOfWorker, NothingRefuted, WrongAnnouncement} from "../src/DisputeGame.sol";
import {GameRules, NothingWrong} from "../src/GameRules.sol";
import {Claim} from "../src/IJobs.sol";
import {MoveKind} from "../src/Moves.sol";
import {Mismatch, Shown, Side} from "../src/Position.sol";
import {Referee} from "../src/Referee.sol";
import {Malformed} from "../src/Slices.sol";
import {NotSigned, StepClaim} from "../src/StepClaims.sol";
import {FakeJobs, Games, Move} from "./fixtures/Games.sol";
import {HashTree} from "./fixtures/HashTree.sol";

/// @title Who refutes a job without a game, and by what.
contract StepClaimsTest is Games {
    uint256 private constant OTHER_KEY = 0x57A6;
    /// Of secp256k1.
    uint256 private constant ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141;
    bytes32 private constant BETWEEN = keccak256("state between");

    function setUp() public {
        _start(new GameRules(new Referee()));
    }

    // ---- a whole refutation

    function test_aFalseStepRefutesTheJob(uint64 blocks) public {
        StepClaim memory step = _stepClaim();
        bytes32 hash = _announce(CHALLENGER, step, _moves());
        vm.assertEq(games.announcedIn(hash), height());
        mine(bound(blocks, 1, type(uint64).max));
        _refute(CHALLENGER, step, _signed(step), _moves());
        vm.assertEq(jobs.told(), 5);
        vm.assertEq(jobs.who(), CHALLENGER);
        vm.assertEq(games.announcedIn(hash), 0);
        vm.assertEq(games.games(), 0);
    }

    /// Of an interval its states are signed, and then the step in it.
    function test_aFalseStepOfAnIntervalRefutesTheJob() public {
        _startWithAnInterval();
        _refutes(CHALLENGER, _stepOfInterval(), _movesOfInterval());
    }

    /// Nodes may be shown on the way: whoever refutes makes these moves, too.
    function test_openingsMayBeAmongTheMoves() public {
        _refutes(CHALLENGER, _stepClaim(), bytes.concat(_pack(_list(_reveal())), _moves()));
    }

    /// The worker is a challenger like others. What it loses by that is the job contract's affair: half of its bond.
    function test_aWorkerMayRefuteItself() public {
        _refutes(WORKER, _stepClaim(), _moves());
    }

    /// What the EIP-712 standard says, written out.
    function test_whatIsSigned(StepClaim memory step) public view {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("swarm-node"),
                keccak256("2"),
                block.chainid,
                address(games)
            )
        );
        bytes32 content = keccak256(
            abi.encode(
                keccak256("StepClaim(uint256 job,bytes32 before,bytes32 next,bytes32 states,bytes32 runs)"),
                step.job,
                step.before,
                step.next,
                step.states,
                step.runs
            )
        );
        vm.assertEq(games.stepClaimHash(step), keccak256(bytes.concat(hex"1901", domain, content)));
    }

    // ---- announcements

    function test_whatWasNotAnnounced() public {
        StepClaim memory step = _stepClaim();
        _refusedNow(CHALLENGER, step, _signed(step), _moves(), _notAnnounced(CHALLENGER, 0));
    }

    function test_anAnnouncementIsOfAnEarlierBlock() public {
        StepClaim memory step = _stepClaim();
        _announce(CHALLENGER, step, _moves());
        _refusedNow(CHALLENGER, step, _signed(step), _moves(), _notAnnounced(CHALLENGER, height()));
        mine(1);
        _refute(CHALLENGER, step, _signed(step), _moves());
    }

    /// Whoever copies the call from among those that wait can announce it in their block at the earliest.
    function test_nobodyIsFirstWithWhatAnotherShows() public {
        StepClaim memory step = _stepClaim();
        _announce(CHALLENGER, step, _moves());
        mine(1);
        _refusedNow(STRANGER, step, _signed(step), _moves(), _notAnnounced(STRANGER, 0));
        _announce(STRANGER, step, _moves());
        _refusedNow(STRANGER, step, _signed(step), _moves(), _notAnnounced(STRANGER, height()));
        _refute(CHALLENGER, step, _signed(step), _moves());
        vm.assertEq(jobs.who(), CHALLENGER);
    }

    /// Who sends an announcement does not matter: a copy of it serves the one who made it.
    function test_aCopiedAnnouncementServesItsMaker() public {
        StepClaim memory step = _stepClaim();
        bytes32 hash = games.announcementOf(CHALLENGER, step, _moves(), SALT);
        vm.prank(STRANGER);
        games.announce(hash);
        mine(1);
        _refusedNow(STRANGER, step, _signed(step), _moves(), _notAnnounced(STRANGER, 0));
        _refute(CHALLENGER, step, _signed(step), _moves());
        vm.assertEq(jobs.who(), CHALLENGER);
    }

    /// A second announcement would make the first one younger, and so hold up who made it.
    function test_announcementsKeepTheirAge() public {
        StepClaim memory step = _stepClaim();
        bytes32 hash = _announce(CHALLENGER, step, _moves());
        uint256 announced = height();
        vm.expectRevert(abi.encodeWithSelector(WrongAnnouncement.selector, hash, announced));
        games.announce(hash);
        mine(1);
        vm.expectRevert(abi.encodeWithSelector(WrongAnnouncement.selector, hash, announced));
        vm.prank(STRANGER);
        games.announce(hash);
        vm.assertEq(games.announcedIn(hash), announced);
        _refute(CHALLENGER, step, _signed(step), _moves());
    }

    function test_anAnnouncementIsUsedOnce() public {
        StepClaim memory step = _stepClaim();
        _refutes(CHALLENGER, step, _moves());
        _refusedNow(CHALLENGER, step, _signed(step), _moves(), _notAnnounced(CHALLENGER, 0));
    }

    /// A call that is refused uses nothing up.
    function test_aRefusedCallLeavesItsAnnouncement() public {
        StepClaim memory step = _stepClaim();
        _refused(step, "", _moves(), abi.encodeWithSelector(ECDSA.ECDSAInvalidSignatureLength.selector, 0));
        _refute(CHALLENGER, step, _signed(step), _moves());
    }

    /// Each thing that is shown is in the announcement, and who shows it.
    function test_nothingElseIsShownThanWasAnnounced(uint8 which, bytes32 change) public {
        vm.assume(change != 0);
        StepClaim memory step = _stepClaim();
        bytes32 hash = _announce(CHALLENGER, step, _moves());
        mine(1);
        (address who, bytes memory moves, bytes32 salt) = (CHALLENGER, _moves(), SALT);
        if (which % 8 < 5) _change(step, which % 8, change);
        else if (which % 8 == 5) who = address(uint160(CHALLENGER) ^ uint160(bound(uint256(change), 1, 1 << 159)));
        else if (which % 8 == 6) moves[uint256(change) % moves.length] ^= 0x01;
        else salt ^= change;
        bytes32 other = games.announcementOf(who, step, moves, salt);
        vm.assertTrue(other != hash);
        bytes memory signature = _signed(step);
        vm.expectRevert(abi.encodeWithSelector(WrongAnnouncement.selector, other, 0));
        vm.prank(who);
        games.refute(step, signature, moves, salt);
    }

    // ---- signatures

    function test_onlyTheWorkerSigns() public {
        StepClaim memory step = _stepClaim();
        bytes memory reason = abi.encodeWithSelector(NotOfWorker.selector, JOB, vm.addr(OTHER_KEY), WORKER);
        _refused(step, _signed(step, OTHER_KEY), _moves(), reason);
    }

    function test_signaturesHaveOneForm() public {
        StepClaim memory step = _stepClaim();
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(WORKER_KEY, games.stepClaimHash(step));
        bytes memory short = abi.encodePacked(r, s);
        _refused(step, short, _moves(), abi.encodeWithSelector(ECDSA.ECDSAInvalidSignatureLength.selector, 64));
        bytes memory long = abi.encodePacked(r, s, v, v);
        _refusedAgain(step, long, abi.encodeWithSelector(ECDSA.ECDSAInvalidSignatureLength.selector, 66));
        // The other of the two signatures that the curve allows.
        bytes32 high = bytes32(ORDER - uint256(s));
        bytes memory twin = abi.encodePacked(r, high, v == 27 ? uint8(28) : uint8(27));
        _refusedAgain(step, twin, abi.encodeWithSelector(ECDSA.ECDSAInvalidSignatureS.selector, high));
        bytes memory invalid = abi.encodeWithSelector(ECDSA.ECDSAInvalidSignature.selector);
        _refusedAgain(step, abi.encodePacked(r, s, uint8(0)), invalid);
        _refusedAgain(step, abi.encodePacked(bytes32(0), s, v), invalid);
        _refute(CHALLENGER, step, _signed(step), _moves());
    }

    /// Nothing that was signed can be passed off as something else: not as what another job's worker says either.
    function test_everythingThatIsSaidIsSigned(uint8 which, bytes32 change) public {
        vm.assume(change != 0);
        StepClaim memory step = _stepClaim();
        bytes memory signature = _signed(step);
        _change(step, which % 5, change);
        address signer = ECDSA.recover(games.stepClaimHash(step), signature);
        vm.assertTrue(signer != WORKER);
        _refused(step, signature, _moves(), abi.encodeWithSelector(NotOfWorker.selector, step.job, signer, WORKER));
    }

    function test_signaturesAreForOneContractOnOneChain() public {
        StepClaim memory step = _stepClaim();
        bytes memory signature = _signed(step);
        games = new DisputeGame(games.rules(), jobs, CLOCK);
        _refused(step, signature, _moves(), _otherSigner(step, signature));
        signature = _signed(step);
        vm.chainId(block.chainid + 1);
        _refusedAgain(step, signature, _otherSigner(step, signature));
    }

    // ---- assertions

    /// What the worker signed is not what its claim of the job needs.
    function test_aStepIsWhatWasSigned(uint8 which, bytes32 change) public {
        vm.assume(change != 0);
        StepClaim memory step = _stepClaim();
        uint256[3] memory fields = [uint256(1), 2, 4];
        _change(step, fields[which % 3], change);
        _refused(step, _signed(step), _moves(), _notSigned(MoveKind.Step));
    }

    /// Nobody adds to it: any bit of the three words that is another is refused, and the path beside them is the rules' affair.
    function test_nobodySpeaksForTheWorker(uint16 bit) public {
        StepClaim memory step = _stepClaim();
        Move memory changed = _step();
        changed.data[bit % 768 / 8] ^= bytes1(uint8(1)) << (bit % 8);
        bytes memory moves = _pack(_list(_pick(), changed));
        _refused(step, _signed(step), moves, _notSigned(MoveKind.Step));
        changed = _step();
        changed.data[96 + bit % 256 / 8] ^= bytes1(uint8(1)) << (bit % 8);
        moves = _pack(_list(_pick(), changed));
        _refused(step, _signed(step), moves, abi.encodeWithSelector(Mismatch.selector, Shown.StateBefore));
    }

    function test_assertionsAreCutOffNowhere() public {
        StepClaim memory step = _stepClaim();
        Move memory short = Move(MoveKind.Step, abi.encodePacked(step.before, step.next));
        bytes memory moves = _pack(_list(_pick(), short));
        _refused(step, _signed(step), moves, abi.encodeWithSelector(Malformed.selector, 64));
        moves = _pack(_list(_pick(), Move(MoveKind.Interval, "")));
        _refused(step, _signed(step), moves, abi.encodeWithSelector(Malformed.selector, 64));
        moves = _moves();
        // The length of the last move is one more.
        bytes memory longer = _moves(5);
        moves[longer.length + 3] = bytes1(uint8(moves[longer.length + 3]) + 1);
        _refused(step, _signed(step), moves, abi.encodeWithSelector(Malformed.selector, longer.length));
    }

    function test_anIntervalIsWhatWasSigned(bytes32 change) public {
        vm.assume(change != 0);
        _startWithAnInterval();
        StepClaim memory step = _stepOfInterval();
        step.states ^= change;
        _refused(step, _signed(step), _movesOfInterval(), _notSigned(MoveKind.Interval));
    }

    /// A step that is alone between its checkpoints is in no tree of states, so what is signed of one does not matter.
    function test_theStatesOfNoInterval(bytes32 states) public {
        StepClaim memory step = _stepClaim();
        step.states = states;
        _refutes(CHALLENGER, step, _moves());
    }

    /// What was signed is judged by the same rules as what is said: here no interval is to be shown.
    function test_assertionsAreMadeWhereTheyBelong() public {
        StepClaim memory step = _stepClaim();
        bytes memory moves = _pack(_list(_pick(), Move(MoveKind.Interval, new bytes(98))));
        bytes memory reason = abi.encodeWithSelector(NotHere.selector, Side.Both, MoveKind.Interval);
        _refused(step, _signed(step), moves, reason);
        reason = abi.encodeWithSelector(NotHere.selector, Side.Both, MoveKind.Step);
        moves = _pack(_list(_step(), _pick()));
        _refused(step, _signed(step), moves, reason);
        moves = bytes.concat(_moves(2), _pack(_list(_step())));
        _refused(step, _signed(step), moves, reason);
    }

    /// Of long reductions nothing is signed: who doubts them opens a game.
    function test_numbersAreNotSigned(bytes memory numbers, uint8 place) public {
        StepClaim memory step = _stepClaim();
        bytes memory moves = bytes.concat(_moves(place % 7), _pack(_list(Move(MoveKind.Numbers, numbers))));
        _refused(step, _signed(step), moves, _notSigned(MoveKind.Numbers));
    }

    // ---- contradictions

    /// None of the moves of the whole game but the last one.
    function test_movesWithoutAContradiction() public {
        StepClaim memory step = _stepClaim();
        for (uint256 count = 0; count < 6; ++count) {
            bytes memory reason = abi.encodeWithSelector(NothingRefuted.selector, JOB);
            _refused(step, _signed(step), _moves(count), reason);
        }
    }

    /// A contradiction ends a game, so no move follows it, of either side.
    function test_movesAfterAContradiction() public {
        StepClaim memory step = _stepClaim();
        bytes memory moves = bytes.concat(_moves(), _pack(_list(_step())));
        bytes memory reason = abi.encodeWithSelector(NotHere.selector, Side.Both, MoveKind.Step);
        _refused(step, _signed(step), moves, reason);
        moves = bytes.concat(_moves(), _pack(_list(_proveNext())));
        reason = abi.encodeWithSelector(NotHere.selector, Side.Both, MoveKind.ProveNext);
        _refused(step, _signed(step), moves, reason);
        moves = bytes.concat(_moves(), _pack(_list(_pick())));
        reason = abi.encodeWithSelector(NotHere.selector, Side.Both, MoveKind.Pick);
        _refused(step, _signed(step), moves, reason);
        moves = bytes.concat(_moves(), hex"00");
        _refused(step, _signed(step), moves, abi.encodeWithSelector(Malformed.selector, moves.length - 1));
    }

    // ---- calls back

    function test_nothingCallsBack() public {
        StepClaim memory step = _stepClaim();
        bytes memory signature = _signed(step);
        _announce(address(jobs), step, _moves());
        jobs.callBack(abi.encodeCall(games.refute, (step, signature, _moves(), SALT)));
        _refutes(CHALLENGER, step, _moves());
        vm.assertFalse(jobs.cameBack());
    }

    // ---- inside: an interval of two steps

    function _startWithAnInterval() private {
        Claim memory claim = _claim();
        (claim.steps, claim.stride) = (2, 2);
        jobs = new FakeJobs(WORKER, claim);
        games = new DisputeGame(games.rules(), jobs, CLOCK);
    }

    function _statesOfInterval() private pure returns (bytes32[] memory leaves) {
        leaves = new bytes32[](3);
        (leaves[0], leaves[1], leaves[2]) = (_states()[0], HashTree.leaf(bytes.concat(BETWEEN)), _states()[1]);
    }

    /// The second one.
    function _stepOfInterval() private pure returns (StepClaim memory) {
        return StepClaim(JOB, BETWEEN, _next(), HashTree.root(_statesOfInterval()), RUNS);
    }

    function _movesOfInterval() private pure returns (bytes memory) {
        bytes32[] memory states = _statesOfInterval();
        bytes32[] memory first = HashTree.path(states, 0);
        bytes memory interval = abi.encodePacked(
            INITIAL,
            _next(),
            HashTree.root(states),
            uint8(1),
            uint8(first.length),
            HashTree.path(_states(), 0),
            first,
            HashTree.path(states, 2)
        );
        bytes memory pick = abi.encodePacked(uint8(0), uint64(2), states[2], HashTree.path(states, 2));
        bytes memory step = abi.encodePacked(BETWEEN, _next(), RUNS, HashTree.path(states, 1));
        return bytes.concat(
            _pack(_list(_pick(), Move(MoveKind.Interval, interval))),
            _pack(_list(Move(MoveKind.Pick, pick), Move(MoveKind.Step, step))),
            _pack(_list(_contest(), _state())),
            _pack(_list(_slot(), _proveNext()))
        );
    }

    // ---- inside

    /// Changes one word of what is claimed.
    function _change(StepClaim memory step, uint256 field, bytes32 change) private pure {
        if (field == 0) step.job ^= uint256(change);
        else if (field == 1) step.before ^= change;
        else if (field == 2) step.next ^= change;
        else if (field == 3) step.states ^= change;
        else step.runs ^= change;
    }

    function _refutes(address who, StepClaim memory step, bytes memory moves) private {
        _announce(who, step, moves);
        mine(1);
        _refute(who, step, _signed(step), moves);
        vm.assertEq(jobs.told(), 5);
        vm.assertEq(jobs.who(), who);
    }

    /// Refused although it was announced.
    function _refused(StepClaim memory step, bytes memory signature, bytes memory moves, bytes memory reason) private {
        _announce(CHALLENGER, step, moves);
        mine(1);
        _refusedNow(CHALLENGER, step, signature, moves, reason);
        vm.assertEq(jobs.told(), 0);
    }

    /// The whole game once more, announced before, with another signature.
    function _refusedAgain(StepClaim memory step, bytes memory signature, bytes memory reason) private {
        _refusedNow(CHALLENGER, step, signature, _moves(), reason);
    }

    function _refusedNow(
        address who,
        StepClaim memory step,
        bytes memory signature,
        bytes memory moves,
        bytes memory reason
    ) private {
        vm.expectRevert(reason);
        _refute(who, step, signature, moves);
    }

    /// The refusal of the whole game, announced in this block, or not at all where it is 0.
    function _notAnnounced(address who, uint256 announced) private view returns (bytes memory) {
        bytes32 hash = games.announcementOf(who, _stepClaim(), _moves(), SALT);
        return abi.encodeWithSelector(WrongAnnouncement.selector, hash, announced);
    }

    function _otherSigner(StepClaim memory step, bytes memory signature) private view returns (bytes memory) {
        address signer = ECDSA.recover(games.stepClaimHash(step), signature);
        return abi.encodeWithSelector(NotOfWorker.selector, step.job, signer, WORKER);
    }

    function _notSigned(MoveKind kind) private pure returns (bytes memory) {
        return abi.encodeWithSelector(NotSigned.selector, kind);
    }
}

/// @title What a worker signed of a right step refutes nothing.
contract RightStepTest is Games {
    function setUp() public {
        _start(new GameRules(new Referee()));
    }

    function test_aRightStepRefutesNothing() public {
        StepClaim memory step = _stepClaim();
        (bytes memory signature, bytes memory moves) = (_signed(step), _moves());
        _announce(CHALLENGER, step, moves);
        mine(1);
        vm.expectRevert(NothingWrong.selector);
        _refute(CHALLENGER, step, signature, moves);
        vm.assertEq(jobs.told(), 0);
    }

    /// The tensor is the plan's constant.
    function _constant() internal pure override returns (bytes32) {
        return TENSOR;
    }
}
