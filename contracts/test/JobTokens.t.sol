// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

import {Spec} from "../src/JobEscrow.sol";
import {JobParameters} from "../src/JobParameters.sol";
import {NothingReceived} from "../src/errors.sol";
import {Units} from "../src/types.sol";
import {TestToken} from "../src/dev/TestToken.sol";
import {Jobs} from "./fixtures/Jobs.sol";
import {FeeToken} from "./tokens/FeeToken.sol";
import {HookToken, ITransferHook} from "./tokens/HookToken.sol";
import {LyingToken, SilentToken} from "./tokens/OddTokens.sol";

/// @title A token that calls its holders opens no door: the test is payer, worker, challenger and game at once, and while money
///        moves, every call that changes anything is refused.
contract JobReentrancyTest is Jobs, ITransferHook {
    bool private _armed;
    uint256 private _refusals;
    uint256 private _job;

    function setUp() public {
        _start();
        token.mint(address(this), 1_000_000);
        token.approve(address(escrow), type(uint256).max);
    }

    function test_nothingCanBeEnteredWhileMoneyMoves() public {
        (, bytes32[] memory siblings) = _plan(_counts());
        _armed = true;
        uint256 job = escrow.launch(_spec(), siblings);
        _assertRefused();
        _job = job;
        escrow.accept(job);
        _assertRefused();
        Work memory w = _work();
        escrow.commitSeal(job, _sealHash(w.top, address(this), w.salt));
        pass(SEAL + 1);
        escrow.commit(job, w.top, w.finalState, w.salt, w.first, w.last);
        escrow.beginGame(job, address(this));
        _assertRefused();
        escrow.endGame(job, address(this), false);
        escrow.withdraw();
        _assertRefused();
        vm.assertEq(_balance(), REWARD + BOND);
    }

    function onTransfer() external override {
        if (!_armed) return;
        _armed = false;
        Work memory w = _work();
        _attempt(abi.encodeCall(escrow.launch, (_spec(), new bytes32[](0))));
        _attempt(abi.encodeCall(escrow.cancel, (_job)));
        _attempt(abi.encodeCall(escrow.accept, (_job)));
        _attempt(abi.encodeCall(escrow.commitSeal, (_job, w.top)));
        _attempt(abi.encodeCall(escrow.commit, (_job, w.top, w.finalState, w.salt, w.first, w.last)));
        _attempt(abi.encodeCall(escrow.finalize, (_job)));
        _attempt(abi.encodeCall(escrow.expire, (_job)));
        _attempt(abi.encodeCall(escrow.withdraw, ()));
        _attempt(abi.encodeCall(escrow.seal, (_job, w.top)));
        _attempt(abi.encodeCall(escrow.reveal, (_job, w.top, w.salt)));
        _attempt(abi.encodeCall(escrow.beginGame, (_job, address(this))));
        _attempt(abi.encodeCall(escrow.endGame, (_job, address(this), true)));
        _attempt(abi.encodeCall(escrow.voidGame, (_job, address(this))));
        _attempt(abi.encodeCall(escrow.refute, (_job, address(this))));
    }

    function _attempt(bytes memory call) private {
        (bool ok, bytes memory reason) = address(escrow).call(call);
        // The selector is the first four bytes.
        // forge-lint: disable-next-line(unsafe-typecast)
        if (!ok && bytes4(reason) == ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector) ++_refusals;
    }

    function _assertRefused() private {
        vm.assertEq(_refusals, 14);
        (_refusals, _armed) = (0, true);
    }

    function _newToken() internal override returns (TestToken) {
        HookToken hooked = new HookToken();
        hooked.setHook(this);
        return hooked;
    }
}

/// @title Tokens that take a fee of transfers: what arrives is what counts.
contract JobFeeTokenTest is Jobs {
    function setUp() public {
        _start();
    }

    function _newToken() internal override returns (TestToken) {
        return new FeeToken();
    }

    function test_whatArrivesIsBooked() public {
        uint256 job = _committed();
        vm.assertEq(Units.unwrap(escrow.jobOf(job).reward), 9_000);
        vm.assertEq(Units.unwrap(escrow.jobOf(job).workerBond), 2_703);
        _begin(job, CHALLENGER);
        vm.assertEq(Units.unwrap(escrow.gameBondOf(job, CHALLENGER)), 367);
        vm.assertEq(_balance(), 9_000 + 2_703 + 367);
        escrow.endGame(job, CHALLENGER, true);
        vm.assertEq(_owed(CHALLENGER) + _owed(PAYER) + _owed(FIRE), _balance());
        vm.prank(CHALLENGER);
        escrow.withdraw();
        vm.prank(PAYER);
        escrow.withdraw();
        vm.assertEq(_balance(), _owed(FIRE));
    }

    function test_tokenThatKeepsEverythingIsRefused() public {
        uint256 job = _committed();
        FeeToken(address(token)).setFee(100);
        _allow(CHALLENGER, COUNTER_BOND);
        vm.expectRevert(NothingReceived.selector);
        escrow.beginGame(job, CHALLENGER);
        _allow(PAYER, REWARD);
        Spec memory spec = _spec();
        (, bytes32[] memory siblings) = _plan(_counts());
        vm.expectRevert(NothingReceived.selector);
        vm.prank(PAYER);
        escrow.launch(spec, siblings);
    }
}

/// @title Tokens that return nothing, say no, or say yes and move nothing.
contract JobOddTokensTest is Jobs {
    function setUp() public {
        _start();
    }

    function test_silentTokensAreTaken() public {
        _deploy(address(new SilentToken()));
        uint256 job = _finalized();
        vm.assertEq(_balance(), REWARD + BOND);
        vm.prank(WORKER);
        escrow.withdraw();
        vm.assertEq(token.balanceOf(WORKER), REWARD + BOND);
        vm.assertEq(escrow.resultOf(job), _work().finalState);
    }

    function test_lyingTokensAreNotBelieved() public {
        LyingToken liar = new LyingToken();
        _deploy(address(liar));
        uint256 job = _committed();
        liar.set(true, false);
        token.mint(CHALLENGER, COUNTER_BOND);
        vm.expectRevert(NothingReceived.selector);
        escrow.beginGame(job, CHALLENGER);
        liar.set(false, true);
        vm.expectRevert(abi.encodeWithSelector(SafeERC20.SafeERC20FailedOperation.selector, address(liar)));
        escrow.beginGame(job, CHALLENGER);
        pass(CHALLENGE + 1);
        escrow.finalize(job);
        vm.expectRevert(abi.encodeWithSelector(SafeERC20.SafeERC20FailedOperation.selector, address(liar)));
        vm.prank(WORKER);
        escrow.withdraw();
        vm.assertEq(_owed(WORKER), REWARD + BOND);
    }

    function _deploy(address odd) private {
        token = TestToken(odd);
        JobParameters memory p = _parameters();
        p.token = IERC20(odd);
        escrow = _newEscrow(p);
    }

    /// @dev These tokens need no allowance.
    function _allow(address who, uint256 amount) internal override {
        token.mint(who, amount);
    }
}
