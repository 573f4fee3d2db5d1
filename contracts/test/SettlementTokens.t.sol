// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

import {Claim} from "../src/Earnings.sol";
import {Outcome} from "../src/Outcome.sol";
import {SwarmMembers} from "../src/SwarmMembers.sol";
import {TestToken} from "../src/dev/TestToken.sol";
import {NothingReceived} from "../src/errors.sol";
import {Units} from "../src/types.sol";
import {Settlement} from "./fixtures/Settlement.sol";
import {FeeToken} from "./tokens/FeeToken.sol";
import {HookToken, ITransferHook} from "./tokens/HookToken.sol";

/// @title Somebody whose code runs in the middle of every transfer: it tries every call there is, and notes how each ended.
contract Reentrant is ITransferHook {
    address[] private _targets;
    bytes[] private _calls;
    bool private _armed;

    /// @dev Attempts that were refused for being reentrant, and all attempts.
    uint256 public refused;
    uint256 public attempts;

    function aim(address target, bytes calldata call) external {
        _targets.push(target);
        _calls.push(call);
    }

    function arm() external {
        _armed = true;
    }

    function onTransfer() external override {
        if (!_armed) return;
        _armed = false;
        for (uint256 i = 0; i < _calls.length; ++i) {
            ++attempts;
            (bool ok, bytes memory reason) = _targets[i].call(_calls[i]);
            // The selector is the first four bytes.
            // forge-lint: disable-next-line(unsafe-typecast)
            if (!ok && bytes4(reason) == ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector) ++refused;
        }
    }

    function execute(address target, bytes calldata data) external {
        (bool ok, bytes memory reason) = target.call(data);
        if (ok) return;
        assembly ("memory-safe") {
            revert(add(reason, 32), mload(reason))
        }
    }
}

/// @title A token that calls its holders opens no door: while money moves, every call that changes anything is refused.
contract SettlementReentrancyTest is Settlement {
    Reentrant private _attacker;

    function setUp() public {
        vm.warp(GENESIS - 1_000);
        vm.roll(1_000);
        HookToken hooked = new HookToken();
        token = hooked;
        _deploy(IERC20(address(token)));
        _attacker = new Reentrant();
        hooked.setHook(_attacker);
        _joinMany(6, 300);
        _fund(100_000);
        token.mint(address(_attacker), 10_000);
        _attacker.execute(address(token), abi.encodeCall(token.approve, (address(stake), 10_000)));
        _attacker.execute(address(token), abi.encodeCall(token.approve, (address(rewards), 10_000)));
        vm.warp(GENESIS);
    }

    function test_nothingOfTheMembersCanBeEnteredDuringADeposit() public {
        _aimAtMembers();
        _attacker.arm();
        _attacker.execute(address(stake), abi.encodeCall(stake.deposit, (address(_attacker), 40)));
        vm.assertEq(_attacker.attempts(), 7);
        vm.assertEq(_attacker.refused(), 7);
        vm.assertEq(stake.balanceOf(address(_attacker)), 40);
    }

    function test_nothingOfTheMembersCanBeEnteredDuringAWithdrawal() public {
        _attacker.execute(address(stake), abi.encodeCall(stake.deposit, (address(_attacker), 40)));
        _attacker.execute(address(stake), abi.encodeCall(stake.requestExit, (40)));
        pass(EXIT_DELAY);
        _aimAtMembers();
        _attacker.arm();
        _attacker.execute(address(stake), abi.encodeCall(stake.withdraw, ()));
        vm.assertEq(_attacker.refused(), 7);
        vm.assertEq(stake.balanceOf(address(_attacker)), 0);
        vm.assertEq(token.balanceOf(address(_attacker)), 10_000);
    }

    /// The hook runs as a slasher would: nothing can be locked, freed or taken while money moves.
    function test_slashersWaitToo() public {
        address[] memory slashers = new address[](1);
        slashers[0] = address(_attacker);
        stake = _members(slashers);
        _attacker.execute(address(token), abi.encodeCall(token.approve, (address(stake), 10_000)));
        _attacker.aim(address(stake), abi.encodeCall(stake.lock, (address(_attacker), 1)));
        _attacker.aim(address(stake), abi.encodeCall(stake.unlock, (address(_attacker), 1)));
        _attacker.aim(address(stake), abi.encodeCall(stake.slash, (address(_attacker), 1, address(0))));
        _attacker.aim(address(stake), abi.encodeCall(stake.collect, ()));
        _attacker.arm();
        _attacker.execute(address(stake), abi.encodeCall(stake.deposit, (address(_attacker), 40)));
        vm.assertEq(_attacker.refused(), 4);
    }

    function test_nothingOfTheRewardsCanBeEnteredDuringFunding() public {
        _toEnd(0);
        _aimAtRewards(_honest(0));
        _attacker.arm();
        _attacker.execute(address(rewards), abi.encodeCall(rewards.fund, (40)));
        _assertAllRefused();
        vm.assertEq(Units.unwrap(rewards.funded()), 100_040);
    }

    function test_nothingOfTheRewardsCanBeEnteredDuringAProposal() public {
        _toEnd(0);
        Outcome memory o = _honest(0);
        _aimAtRewards(o);
        _attacker.arm();
        _attacker.execute(address(rewards), abi.encodeCall(rewards.propose, (o)));
        _assertAllRefused();
        vm.assertEq(token.balanceOf(address(rewards)), 100_000 + BOND);
    }

    function test_nothingOfTheRewardsCanBeEnteredDuringAnObjection() public {
        _toEnd(0);
        Outcome memory o = _honest(0);
        _propose(o);
        _aimAtRewards(o);
        _attacker.arm();
        _attacker.execute(address(rewards), abi.encodeCall(rewards.object, (_hash(o))));
        _assertAllRefused();
        vm.assertEq(token.balanceOf(address(rewards)), 100_000 + BOND + COUNTER_BOND);
    }

    function test_nothingOfTheRewardsCanBeEnteredDuringACollection() public {
        _toEnd(0);
        Outcome memory o = _honest(0);
        _attacker.execute(address(rewards), abi.encodeCall(rewards.finaliseFast, (o, _votes(o, 0, 5))));
        _aimAtRewards(o);
        _attacker.arm();
        _attacker.execute(address(rewards), abi.encodeCall(rewards.collect, ()));
        _assertAllRefused();
        vm.assertEq(token.balanceOf(address(_attacker)), 10_000 + FEE);
    }

    function test_nothingOfTheRewardsCanBeEnteredDuringAClaim() public {
        _toEnd(0);
        uint128[] memory table = _withAttacker();
        Claim[] memory claims = new Claim[](1);
        for (uint256 i = 0; i < members.length; ++i) {
            if (members[i].owner == address(_attacker)) claims = _claim(table, i);
        }
        _attacker.aim(address(rewards), abi.encodeCall(rewards.claim, (claims)));
        _attacker.arm();
        rewards.claim(claims);
        vm.assertEq(_attacker.refused(), 1);
        vm.assertEq(token.balanceOf(address(_attacker)), 10_000 + 70);
    }

    // ---- words

    function _withAttacker() private returns (uint128[] memory table) {
        Member memory m = _newMember(99);
        m.owner = address(_attacker);
        _insert(m);
        uint128[] memory points = new uint128[](7);
        for (uint256 i = 0; i < 7; ++i) {
            points[i] = 7;
        }
        Outcome memory o;
        (o, table) = _outcome(0, points);
        bytes memory votes;
        for (uint256 i = 0; i < 7; ++i) {
            if (members[i].owner != address(_attacker)) votes = bytes.concat(votes, _vote(o, i));
        }
        rewards.finaliseFast(o, votes);
    }

    function _members(address[] memory slashers) private returns (SwarmMembers) {
        return new SwarmMembers(IERC20(address(token)), EXIT_DELAY, slashers);
    }

    function _aimAtMembers() private {
        Member memory m = _newMember(50);
        bytes32 digest = _bindingDigest(m.owner, m.node.addr, 0, type(uint256).max);
        (bytes memory a, bytes memory b) = (_sign(m.ownerKey, digest), _sign(m.node.privateKey, digest));
        (bytes32 x, bytes32 y) = (bytes32(m.node.publicKeyX), bytes32(m.node.publicKeyY));
        address own = address(_attacker);
        _attacker.aim(address(stake), abi.encodeCall(stake.deposit, (own, 10)));
        _attacker.aim(address(stake), abi.encodeCall(stake.depositWithPermit, (own, 10, 0, 27, 0, 0)));
        _attacker.aim(address(stake), abi.encodeCall(stake.requestExit, (1)));
        _attacker.aim(address(stake), abi.encodeCall(stake.cancelExit, ()));
        _attacker.aim(address(stake), abi.encodeCall(stake.withdraw, ()));
        _attacker.aim(address(stake), abi.encodeCall(stake.bind, (m.owner, x, y, type(uint256).max, a, b)));
        _attacker.aim(address(stake), abi.encodeCall(stake.unbind, (m.node.addr)));
    }

    function _aimAtRewards(Outcome memory o) private {
        _attacker.aim(address(rewards), abi.encodeCall(rewards.fund, (10)));
        _attacker.aim(address(rewards), abi.encodeCall(rewards.fundWithPermit, (10, 0, 27, 0, 0)));
        _attacker.aim(address(rewards), abi.encodeCall(rewards.propose, (o)));
        _attacker.aim(address(rewards), abi.encodeCall(rewards.finalise, (o)));
        _attacker.aim(address(rewards), abi.encodeCall(rewards.finaliseFast, (o, _votes(o, 0, 5))));
        _attacker.aim(address(rewards), abi.encodeCall(rewards.object, (_hash(o))));
        _attacker.aim(address(rewards), abi.encodeCall(rewards.draw, ()));
        _attacker.aim(address(rewards), abi.encodeCall(rewards.judge, (o, _votes(o, 0, 5))));
        _attacker.aim(address(rewards), abi.encodeCall(rewards.refuse, ()));
        _attacker.aim(address(rewards), abi.encodeCall(rewards.claim, (new Claim[](0))));
        _attacker.aim(address(rewards), abi.encodeCall(rewards.collect, ()));
    }

    function _assertAllRefused() private view {
        vm.assertEq(_attacker.attempts(), 11);
        vm.assertEq(_attacker.refused(), 11);
    }
}

/// @title Tokens that take a fee of transfers: what arrives is what counts.
contract SettlementFeeTokenTest is Settlement {
    function setUp() public {
        vm.warp(GENESIS - 1_000);
        vm.roll(1_000);
        token = TestToken(address(new FeeToken()));
        _deploy(IERC20(address(token)));
        _joinMany(6, 300);
        _fund(100_000);
        vm.warp(GENESIS);
    }

    function test_whatArrivesIsBooked() public {
        vm.assertEq(Units.unwrap(rewards.funded()), 90_000);
        vm.assertEq(stake.balanceOf(members[0].owner), 270);
        _toEnd(0);
        Outcome memory o = _honest(0);
        _propose(o);
        _object(o);
        (,,, Units bond,) = rewards.pending();
        (, Units counter,,,,,,) = rewards.dispute();
        vm.assertEq(Units.unwrap(bond), BOND * 9 / 10);
        vm.assertEq(Units.unwrap(counter), COUNTER_BOND * 9 / 10);
        vm.assertEq(token.balanceOf(address(rewards)), 90_000 + 900 + 360);
        _draw();
        _judge(o, _votes(o, 0, 5));
        vm.prank(PROPOSER);
        rewards.collect();
        vm.prank(JUDGE);
        rewards.collect();
        vm.assertEq(token.balanceOf(address(rewards)), 90_000 + 900 + 360 - 900 - 90 - FEE - 180);
    }

    function test_tokenThatKeepsEverythingIsRefused() public {
        FeeToken(address(token)).setFee(100);
        _toEnd(0);
        Outcome memory o = _honest(0);
        _allow(PROPOSER, BOND);
        vm.expectRevert(NothingReceived.selector);
        vm.prank(PROPOSER);
        rewards.propose(o);
    }
}
