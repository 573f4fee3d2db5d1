// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

import {TestToken} from "../src/dev/TestToken.sol";
import {NothingReceived} from "../src/errors.sol";
import {Epoch, Scores} from "../src/types.sol";
import {SwarmTest} from "./fixtures/SwarmTest.sol";
import {Wallet} from "./fixtures/Wallet.sol";
import {FeeToken} from "./tokens/FeeToken.sol";
import {HookToken, ITransferHook} from "./tokens/HookToken.sol";
import {LyingToken, SilentToken} from "./tokens/OddTokens.sol";

/// @title An owner whose code runs in the middle of every transfer, and calls back.
contract Attacker is Wallet, ITransferHook {
    address private _target;
    bytes private _call;
    bool private _swallow;

    bool public entered;

    /// @dev What to call during a transfer, and whether to go on when it fails.
    function aim(address target, bytes calldata call, bool swallow) external {
        (_target, _call, _swallow) = (target, call, swallow);
    }

    function onTransfer() external override {
        if (_target == address(0)) return;
        (bool ok, bytes memory reason) = _target.call(_call);
        if (ok) entered = true;
        if (ok || _swallow) return;
        assembly ("memory-safe") {
            revert(add(reason, 32), mload(reason))
        }
    }
}

/// @title A token that calls its holders cannot be used to take more than is due.
contract ReentrancyTest is SwarmTest {
    Attacker private _attacker;

    function setUp() public override {
        vm.warp(GENESIS - 1_000);
        HookToken hooked = new HookToken();
        token = hooked;
        _deploy(IERC20(address(token)));
        _attacker = new Attacker();
        hooked.setHook(_attacker);
        _joinMany(4, 100);
        _fund(5_000);
        _depositAsAttacker(40);
    }

    function test_withdrawCannotBeEnteredAgain() public {
        _execute(address(stake), abi.encodeCall(stake.requestExit, (30)));
        pass(EXIT_DELAY);
        _attack(address(stake), abi.encodeCall(stake.withdraw, ()), address(stake));
        vm.assertEq(token.balanceOf(address(_attacker)), 30);
        vm.assertEq(token.balanceOf(address(stake)), 410);
    }

    function test_collectCannotBeEnteredAgain() public {
        vm.startPrank(SLASHER);
        stake.lock(members[0].owner, 70);
        stake.slash(members[0].owner, 70, address(_attacker));
        vm.stopPrank();
        _attack(address(stake), abi.encodeCall(stake.collect, ()), address(stake));
        vm.assertEq(token.balanceOf(address(_attacker)), 70);
        vm.assertEq(token.balanceOf(address(stake)), 370);
    }

    /// A deposit within a deposit would be counted in both.
    function test_depositCannotBeEnteredAgain() public {
        token.mint(address(_attacker), 50);
        _execute(address(token), abi.encodeCall(token.approve, (address(stake), 50)));
        bytes memory inner = abi.encodeCall(stake.deposit, (address(_attacker), 10));
        _attacker.aim(address(stake), inner, true);
        _execute(address(stake), abi.encodeCall(stake.deposit, (address(_attacker), 40)));
        vm.assertFalse(_attacker.entered());
        vm.assertEq(stake.balanceOf(address(_attacker)), 80);
    }

    /// Money paid out during a deposit would be missing from what is measured.
    function test_withdrawWithinDepositIsRefused() public {
        _execute(address(stake), abi.encodeCall(stake.requestExit, (30)));
        pass(EXIT_DELAY);
        token.mint(address(_attacker), 50);
        _execute(address(token), abi.encodeCall(token.approve, (address(stake), 50)));
        _attacker.aim(address(stake), abi.encodeCall(stake.withdraw, ()), false);
        vm.expectRevert(ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector);
        _execute(address(stake), abi.encodeCall(stake.deposit, (address(_attacker), 40)));
    }

    function test_claimCannotBeEnteredAgain() public {
        members[2].owner = _moveNodeToAttacker(2);
        uint128[] memory points = _acceptByOthers();
        bytes memory claim = abi.encodeCall(coordinator.claim, (_one(_claim(0, points, 2))));
        _attack(address(coordinator), claim, address(coordinator));
        vm.assertEq(token.balanceOf(address(_attacker)), 30 * RATE);
        (,,, uint256 remaining) = coordinator.epochs(Epoch.wrap(0));
        vm.assertEq(remaining, 70 * RATE);
    }

    function test_fundCannotBeEnteredAgain() public {
        token.mint(address(_attacker), 50);
        _execute(address(token), abi.encodeCall(token.approve, (address(coordinator), 50)));
        _attacker.aim(address(coordinator), abi.encodeCall(coordinator.fund, (10)), true);
        _execute(address(coordinator), abi.encodeCall(coordinator.fund, (40)));
        vm.assertFalse(_attacker.entered());
        vm.assertEq(coordinator.pool(), 5_040);
    }

    /// Who refuses its money hurts nobody else, and can have it later.
    function test_revertingReceiverHurtsOnlyItself() public {
        members[2].owner = _moveNodeToAttacker(2);
        uint128[] memory points = _acceptByOthers();
        _attacker.aim(address(this), abi.encodeCall(this.refuse, ()), false);
        vm.expectRevert("refused");
        coordinator.claim(_one(_claim(0, points, 2)));
        coordinator.claim(_one(_claim(0, points, 1)));
        vm.assertFalse(coordinator.isClaimed(Epoch.wrap(0), 2));
        _attacker.aim(address(0), "", false);
        coordinator.claim(_one(_claim(0, points, 2)));
        vm.assertEq(token.balanceOf(address(_attacker)), 30 * RATE);
    }

    /// Slashing pays nobody at once, so no receiver can stop it.
    function test_revertingReceiverCannotStopASlashing() public {
        _attacker.aim(address(this), abi.encodeCall(this.refuse, ()), false);
        vm.startPrank(SLASHER);
        stake.lock(members[0].owner, 70);
        stake.slash(members[0].owner, 70, address(_attacker));
        vm.assertEq(stake.owedTo(address(_attacker)), 70);
    }

    function refuse() external pure {
        revert("refused");
    }

    // ---- words

    function _depositAsAttacker(uint256 amount) private {
        token.mint(address(_attacker), amount);
        _execute(address(token), abi.encodeCall(token.approve, (address(stake), amount)));
        _execute(address(stake), abi.encodeCall(stake.deposit, (address(_attacker), amount)));
    }

    /// @dev Sends `data` twice: the attacker repeats it inside, once letting the failure through, once hiding it.
    function _attack(address target, bytes memory data, address inner) private {
        _attacker.aim(inner, data, false);
        vm.expectRevert(ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector);
        _execute(target, data);
        _attacker.aim(inner, data, true);
        _execute(target, data);
        vm.assertFalse(_attacker.entered());
    }

    function _execute(address target, bytes memory data) private {
        _attacker.execute(target, data);
    }

    function _moveNodeToAttacker(uint256 member) private returns (address) {
        Member memory m = members[member];
        vm.prank(m.owner);
        coordinator.unbind(m.node.addr);
        bytes32 digest = _bindingDigest(address(_attacker), m.node.addr, 0, type(uint256).max);
        _attacker.approve(digest);
        _sendBinding(address(_attacker), m.node, type(uint256).max, "", _sign(m.node.privateKey, digest));
        return address(_attacker);
    }

    /// @dev As `_accept(0)`, without the vote of the attacker's node.
    function _acceptByOthers() private returns (uint128[] memory points) {
        points = _points(4);
        vm.warp(GENESIS + EPOCH);
        Scores memory s = _scores(0, points);
        bytes[] memory votes = _votes(s, 3);
        votes[2] = _vote(s, 3);
        coordinator.submitScores(s, votes);
    }
}

/// @title Tokens that keep the rules in their own way: what arrives is what counts.
contract OddTokenTest is SwarmTest {
    address private constant OWNER = address(0xA11CE);

    function test_feeTokenCreditsWhatArrives() public {
        _use(address(new FeeToken()));
        _deposit(OWNER, 100);
        vm.assertEq(stake.balanceOf(OWNER), 90);
        _fund(1_000);
        vm.assertEq(coordinator.pool(), 900);
        vm.assertEq(token.balanceOf(address(coordinator)), 900);
    }

    function test_feeTokenPaysOutWhatWasBooked() public {
        _use(address(new FeeToken()));
        _deposit(OWNER, 100);
        vm.prank(OWNER);
        stake.requestExit(90);
        pass(EXIT_DELAY);
        vm.prank(OWNER);
        stake.withdraw();
        vm.assertEq(token.balanceOf(OWNER), 81);
        vm.assertEq(token.balanceOf(address(stake)), 0);
    }

    function test_tokenThatKeepsEverythingIsRefused() public {
        FeeToken greedy = new FeeToken();
        greedy.setFee(100);
        _use(address(greedy));
        token.mint(address(this), 100);
        token.approve(address(stake), 100);
        vm.expectRevert(NothingReceived.selector);
        stake.deposit(OWNER, 100);
    }

    function test_tokenWithoutReturnValueWorks() public {
        SilentToken silent = new SilentToken();
        _use(address(silent));
        silent.mint(address(this), 100);
        stake.deposit(address(this), 100);
        stake.requestExit(100);
        pass(EXIT_DELAY);
        stake.withdraw();
        vm.assertEq(silent.balanceOf(address(this)), 100);
    }

    function test_tokenThatAnswersFalseIsRefused() public {
        LyingToken liar = new LyingToken();
        _use(address(liar));
        liar.mint(address(this), 100);
        stake.deposit(address(this), 60);
        stake.requestExit(60);
        pass(EXIT_DELAY);
        liar.set(false, false);
        bytes memory refusal = abi.encodeWithSelector(SafeERC20.SafeERC20FailedOperation.selector, address(liar));
        vm.expectRevert(refusal);
        stake.deposit(address(this), 40);
        vm.expectRevert(refusal);
        stake.withdraw();
        vm.expectRevert(refusal);
        coordinator.fund(40);
        vm.assertEq(stake.balanceOf(address(this)), 60);
    }

    function test_tokenThatMovesNothingIsRefused() public {
        LyingToken liar = new LyingToken();
        _use(address(liar));
        liar.mint(address(this), 100);
        liar.set(true, false);
        vm.expectRevert(NothingReceived.selector);
        stake.deposit(address(this), 40);
        vm.expectRevert(NothingReceived.selector);
        coordinator.fund(40);
    }

    function _use(address money) private {
        token = TestToken(money);
        _deploy(IERC20(money));
    }
}

/// @title The token of dev chains.
contract TestTokenTest is SwarmTest {
    function test_nameSymbolDecimals() public view {
        vm.assertEq(token.name(), "Swarm Test Token");
        vm.assertEq(token.symbol(), "STT");
        vm.assertEq(token.decimals(), 18);
    }

    function test_anyoneMints() public {
        vm.prank(STRANGER);
        token.mint(STRANGER, 5);
        vm.assertEq(token.balanceOf(STRANGER), 5);
        vm.assertEq(token.totalSupply(), 5);
    }
}
