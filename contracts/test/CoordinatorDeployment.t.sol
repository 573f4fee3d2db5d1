// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {IStakeSnapshots} from "../src/IStakeSnapshots.sol";
import {SwarmCoordinator} from "../src/SwarmCoordinator.sol";
import {SwarmStake} from "../src/SwarmStake.sol";
import {BeforeGenesis, NotAContract, ParameterOutOfRange} from "../src/errors.sol";
import {Epoch, Parameters, Round, Timestamp} from "../src/types.sol";
import {SwarmTest} from "./fixtures/SwarmTest.sol";

/// @title Parameters are checked once and for ever, and time alone tells rounds and epochs.
contract CoordinatorDeploymentTest is SwarmTest {
    uint64 private constant YEAR = 366 days;

    // ---- parameters

    function test_parametersAreTold() public view {
        vm.assertEq(address(coordinator.stake()), address(stake));
        vm.assertEq(address(coordinator.token()), address(token));
        vm.assertEq(Timestamp.unwrap(coordinator.genesis()), GENESIS);
        vm.assertEq(coordinator.roundLength(), ROUND);
        vm.assertEq(coordinator.roundsPerEpoch(), ROUNDS);
        vm.assertEq(coordinator.unitsPerPoint(), RATE);
        vm.assertEq(coordinator.epochCap(), CAP);
        vm.assertEq(coordinator.claimWindow(), CLAIM_WINDOW);
    }

    function test_domainIsTold() public view {
        (, string memory name, string memory version, uint256 chain, address verifier,,) = coordinator.eip712Domain();
        vm.assertEq(name, "swarm-node");
        vm.assertEq(version, "1");
        vm.assertEq(chain, block.chainid);
        vm.assertEq(verifier, address(coordinator));
    }

    function test_stakeWithoutCodeIsRefused() public {
        Parameters memory p = _parameters();
        p.stake = IStakeSnapshots(STRANGER);
        vm.expectRevert(abi.encodeWithSelector(NotAContract.selector, STRANGER));
        new SwarmCoordinator(p);
    }

    function test_genesisBounds() public {
        Parameters memory p = _parameters();
        uint64 most = time() + YEAR;
        p.genesis = Timestamp.wrap(1);
        new SwarmCoordinator(p);
        p.genesis = Timestamp.wrap(most);
        new SwarmCoordinator(p);
        p.genesis = Timestamp.wrap(0);
        _expectRefusal(p, "genesis", 0, 1, most);
        p.genesis = Timestamp.wrap(most + 1);
        _expectRefusal(p, "genesis", most + 1, 1, most);
    }

    function test_roundLengthBounds() public {
        Parameters memory p = _parameters();
        p.roundLength = 0;
        _expectRefusal(p, "roundLength", 0, 1, YEAR);
        p.roundLength = YEAR + 1;
        _expectRefusal(p, "roundLength", YEAR + 1, 1, YEAR);
    }

    function test_roundsPerEpochBounds() public {
        Parameters memory p = _parameters();
        p.roundsPerEpoch = 0;
        _expectRefusal(p, "roundsPerEpoch", 0, 1, YEAR / ROUND);
        p.roundsPerEpoch = YEAR / ROUND + 1;
        _expectRefusal(p, "roundsPerEpoch", YEAR / ROUND + 1, 1, YEAR / ROUND);
    }

    function test_exitDelayMustCoverTwoEpochs() public {
        Parameters memory p = _parameters();
        p.stake = IStakeSnapshots(address(new SwarmStake(IERC20(address(token)), 2 * EPOCH, SLASHER)));
        new SwarmCoordinator(p);
        p.stake = IStakeSnapshots(address(new SwarmStake(IERC20(address(token)), 2 * EPOCH - 1, SLASHER)));
        _expectRefusal(p, "exitDelay", 2 * EPOCH - 1, 2 * EPOCH, type(uint64).max);
    }

    function test_moneyBounds() public {
        Parameters memory p = _parameters();
        p.unitsPerPoint = 0;
        _expectRefusal(p, "unitsPerPoint", 0, 1, type(uint128).max);
        p = _parameters();
        p.epochCap = RATE;
        new SwarmCoordinator(p);
        p.epochCap = RATE - 1;
        _expectRefusal(p, "epochCap", RATE - 1, RATE, type(uint128).max);
    }

    function test_claimWindowBounds() public {
        Parameters memory p = _parameters();
        p.claimWindow = YEAR;
        new SwarmCoordinator(p);
        p.claimWindow = 0;
        _expectRefusal(p, "claimWindow", 0, 1, YEAR);
        p.claimWindow = YEAR + 1;
        _expectRefusal(p, "claimWindow", YEAR + 1, 1, YEAR);
    }

    function _expectRefusal(Parameters memory p, string memory name, uint256 value, uint256 least, uint256 most)
        private
    {
        vm.expectRevert(abi.encodeWithSelector(ParameterOutOfRange.selector, name, value, least, most));
        new SwarmCoordinator(p);
    }

    // ---- time

    function test_roundsBeginAtGenesis() public {
        vm.expectRevert(abi.encodeWithSelector(BeforeGenesis.selector, GENESIS - 1, GENESIS));
        coordinator.roundAt(Timestamp.wrap(GENESIS - 1));
        _assertRound(GENESIS, 0);
        _assertRound(GENESIS + ROUND - 1, 0);
        _assertRound(GENESIS + ROUND, 1);
    }

    function test_currentRoundFollowsTheBlock() public {
        vm.expectPartialRevert(BeforeGenesis.selector);
        coordinator.currentRound();
        vm.warp(GENESIS + 7 * ROUND + 3);
        vm.assertEq(Round.unwrap(coordinator.currentRound()), 7);
    }

    function test_epochsFollowEachOther() public view {
        vm.assertEq(Epoch.unwrap(coordinator.epochOf(Round.wrap(ROUNDS - 1))), 0);
        vm.assertEq(Epoch.unwrap(coordinator.epochOf(Round.wrap(ROUNDS))), 1);
        vm.assertEq(Timestamp.unwrap(coordinator.epochStart(Epoch.wrap(2))), GENESIS + 2 * EPOCH);
        vm.assertEq(Timestamp.unwrap(coordinator.epochEnd(Epoch.wrap(2))), GENESIS + 3 * EPOCH);
        vm.assertEq(Timestamp.unwrap(coordinator.submissionDeadline(Epoch.wrap(2))), GENESIS + 2 * EPOCH + EXIT_DELAY);
    }

    function test_timesBeyond64BitsAreRefused() public {
        vm.expectRevert();
        coordinator.epochStart(Epoch.wrap(type(uint64).max));
        vm.expectRevert();
        coordinator.epochEnd(Epoch.wrap(type(uint64).max));
        uint64 last = (type(uint64).max - GENESIS) / EPOCH;
        coordinator.epochStart(Epoch.wrap(last));
        vm.expectRevert();
        coordinator.submissionDeadline(Epoch.wrap(last));
    }

    function testFuzz_everyMomentLiesInItsEpoch(uint64 moment) public view {
        moment = uint64(bound(moment, GENESIS, type(uint64).max - EPOCH));
        Round round = coordinator.roundAt(Timestamp.wrap(moment));
        Epoch epoch = coordinator.epochOf(round);
        vm.assertTrue(Timestamp.unwrap(coordinator.epochStart(epoch)) <= moment);
        vm.assertTrue(Timestamp.unwrap(coordinator.epochEnd(epoch)) > moment);
        uint64 start = GENESIS + Round.unwrap(round) * ROUND;
        vm.assertTrue(start <= moment && moment - start < ROUND);
    }

    function _assertRound(uint64 moment, uint64 expected) private view {
        vm.assertEq(Round.unwrap(coordinator.roundAt(Timestamp.wrap(moment))), expected);
    }
}
