// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IMembers} from "../src/IMembers.sol";
import {RewardsParameters} from "../src/RewardsParameters.sol";
import {SwarmRewards} from "../src/SwarmRewards.sol";
import {BeforeGenesis, NotAContract, ParameterOutOfRange} from "../src/errors.sol";
import {Epoch, Round, Timestamp, Units} from "../src/types.sol";
import {SettlementTest} from "./fixtures/Settlement.sol";

/// @title What a deployment accepts, and that it keeps it.
contract RewardsDeploymentTest is SettlementTest {
    function test_parametersAreKept() public view {
        vm.assertEq(address(rewards.members()), address(stake));
        vm.assertEq(address(rewards.token()), address(token));
        vm.assertEq(Timestamp.unwrap(rewards.genesis()), GENESIS);
        vm.assertEq(rewards.roundLength(), ROUND);
        vm.assertEq(rewards.roundsPerEpoch(), ROUNDS);
        vm.assertEq(Units.unwrap(rewards.unitsPerPoint()), RATE);
        vm.assertEq(Units.unwrap(rewards.epochCap()), CAP);
        vm.assertEq(Units.unwrap(rewards.minimumStake()), MINIMUM);
        vm.assertEq(Units.unwrap(rewards.submitterFee()), FEE);
        vm.assertEq(Units.unwrap(rewards.proposalBond()), BOND);
        vm.assertEq(Units.unwrap(rewards.objectionBond()), COUNTER_BOND);
        vm.assertEq(rewards.proposalWindow(), PROPOSAL_WINDOW);
        vm.assertEq(rewards.objectionWindow(), OBJECTION_WINDOW);
        vm.assertEq(rewards.courtWindow(), COURT_WINDOW);
        vm.assertEq(rewards.seedDelay(), SEED_DELAY);
        vm.assertEq(rewards.version(), "2");
    }

    function test_membersMustBeAContract() public {
        RewardsParameters memory p = _parameters();
        p.members = IMembers(STRANGER);
        vm.expectRevert(abi.encodeWithSelector(NotAContract.selector, STRANGER));
        this.create(p);
    }

    /// Each bound: the last value inside is accepted, the first outside refused by its name.
    function test_everyParameterIsBounded() public {
        uint256 year = rewards.MAX_LENGTH();
        _probe("genesis", 1, time() + year);
        _probe("roundLength", 1, 0);
        _probe("roundsPerEpoch", 1, 0);
        _probe("unitsPerPoint", 1, 0);
        _probe("epochCap", 1_000, 40_000);
        _probe("minimumStake", 1, type(uint128).max);
        _probe("submitterFee", 0, CAP - RATE);
        _probe("proposalBond", CAP / 100, type(uint128).max);
        _probe("objectionBond", CAP / 100, type(uint128).max);
        _probe("proposalWindow", EPOCH, PROPOSAL_WINDOW);
        _probe("objectionWindow", 1, OBJECTION_WINDOW);
        _probe("courtWindow", 1, COURT_WINDOW);
        _probe("seedDelay", 1, 128);
    }

    /// The exit delay is exactly as long as money must stay: one second more of anything is refused.
    function test_exitDelayCoversTheLongestLife() public {
        for (uint256 i = 0; i < 3; ++i) {
            RewardsParameters memory p = _parameters();
            if (i == 0) ++p.proposalWindow;
            if (i == 1) ++p.objectionWindow;
            if (i == 2) ++p.courtWindow;
            vm.expectRevert(_outOfRange("exitDelay", EXIT_DELAY, EXIT_DELAY + (i == 2 ? 2 : 1), type(uint64).max));
            this.create(p);
        }
    }

    function test_windowsMistypedInMillisecondsAreRefused() public {
        uint64 year = rewards.MAX_LENGTH();
        for (uint256 i = 0; i < 4; ++i) {
            RewardsParameters memory p = _parameters();
            if (i == 0) p.proposalWindow = year + 1;
            if (i == 1) p.objectionWindow = year + 1;
            if (i == 2) p.courtWindow = year + 1;
            if (i == 3) p.roundLength = year + 1;
            vm.expectPartialRevert(ParameterOutOfRange.selector);
            this.create(p);
        }
        RewardsParameters memory rounds = _parameters();
        rounds.roundsPerEpoch = year / ROUND + 1;
        vm.expectRevert(_outOfRange("roundsPerEpoch", rounds.roundsPerEpoch, 1, year / ROUND));
        this.create(rounds);
    }

    function test_roundsFollowTime() public {
        vm.assertEq(Round.unwrap(rewards.currentRound()), 0);
        vm.assertEq(Round.unwrap(rewards.roundAt(Timestamp.wrap(GENESIS + 11 * ROUND - 1))), 10);
        vm.assertEq(Epoch.unwrap(rewards.epochOf(Round.wrap(ROUNDS))), 1);
        vm.assertEq(Epoch.unwrap(rewards.epochOf(Round.wrap(ROUNDS - 1))), 0);
        vm.expectRevert(abi.encodeWithSelector(BeforeGenesis.selector, GENESIS - 1, GENESIS));
        rewards.roundAt(Timestamp.wrap(GENESIS - 1));
    }

    // ---- words

    /// @dev A call, because an expectation of a revert passes over what `new` alone does.
    function create(RewardsParameters calldata p) external {
        new SwarmRewards(p);
    }

    /// @dev Accepts `least` and, unless 0, `most`; refuses what lies beside them. `most` 0: no upper probe here.
    function _probe(string memory name, uint256 least, uint256 most) private {
        this.create(_with(name, least));
        if (least > 0) _refuses(name, least - 1);
        if (most == 0) return;
        this.create(_with(name, most));
        if (_same(name, "epochCap") || _same(name, "proposalWindow")) return;
        if (_same(name, "objectionWindow") || _same(name, "courtWindow")) return;
        if (most < type(uint128).max) _refuses(name, most + 1);
    }

    function _refuses(string memory name, uint256 value) private {
        RewardsParameters memory p = _with(name, value);
        vm.expectPartialRevert(ParameterOutOfRange.selector);
        this.create(p);
    }

    // forge-lint: disable-start(unsafe-typecast)
    function _with(string memory name, uint256 value) private view returns (RewardsParameters memory p) {
        p = _parameters();
        if (_same(name, "genesis")) p.genesis = Timestamp.wrap(uint64(value));
        if (_same(name, "roundLength")) p.roundLength = uint64(value);
        if (_same(name, "roundsPerEpoch")) p.roundsPerEpoch = uint64(value);
        if (_same(name, "unitsPerPoint")) p.unitsPerPoint = Units.wrap(uint128(value));
        if (_same(name, "epochCap")) {
            p.epochCap = Units.wrap(uint128(value));
            // Only the cap itself is probed.
            p.unitsPerPoint = Units.wrap(value < 1_000 ? uint128(1_000) : RATE);
        }
        if (_same(name, "minimumStake")) p.minimumStake = Units.wrap(uint128(value));
        if (_same(name, "submitterFee")) p.submitterFee = Units.wrap(uint128(value));
        if (_same(name, "proposalBond")) p.proposalBond = Units.wrap(uint128(value));
        if (_same(name, "objectionBond")) p.objectionBond = Units.wrap(uint128(value));
        if (_same(name, "proposalWindow")) p.proposalWindow = uint64(value);
        if (_same(name, "objectionWindow")) p.objectionWindow = uint64(value);
        if (_same(name, "courtWindow")) p.courtWindow = uint64(value);
        if (_same(name, "seedDelay")) p.seedDelay = uint64(value);
    }

    // forge-lint: disable-end(unsafe-typecast)

    function _same(string memory a, string memory b) private pure returns (bool) {
        return keccak256(bytes(a)) == keccak256(bytes(b));
    }

    function _outOfRange(string memory name, uint256 value, uint256 least, uint256 most)
        private
        pure
        returns (bytes memory)
    {
        return abi.encodeWithSelector(ParameterOutOfRange.selector, name, value, least, most);
    }
}
