// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {JobEscrow} from "../src/JobEscrow.sol";
import {JobParameters} from "../src/JobParameters.sol";
import {NotAContract, ParameterOutOfRange} from "../src/errors.sol";
import {Units} from "../src/types.sol";
import {Jobs} from "./fixtures/Jobs.sol";

/// @title What a deployment of the escrow accepts, and that it keeps it.
contract JobDeploymentTest is Jobs {
    function setUp() public {
        _start();
    }

    function test_parametersAreKept() public view {
        vm.assertEq(address(escrow.token()), address(token));
        vm.assertEq(escrow.game(), address(this));
        vm.assertEq(escrow.workWindow(), WORK);
        vm.assertEq(escrow.sealWindow(), SEAL);
        vm.assertEq(escrow.revealWindow(), REVEAL);
        vm.assertEq(escrow.challengeWindow(), CHALLENGE);
        vm.assertEq(Units.unwrap(escrow.leastWorkerBond()), LEAST_WORKER_BOND);
        vm.assertEq(Units.unwrap(escrow.leastChallengerBond()), LEAST_CHALLENGER_BOND);
        vm.assertEq(escrow.bondShare(), BOND_SHARE);
        vm.assertEq(escrow.version(), "1");
    }

    function test_addressesAreChecked() public {
        JobParameters memory p = _parameters();
        p.token = IERC20(STRANGER);
        vm.expectRevert(abi.encodeWithSelector(NotAContract.selector, STRANGER));
        this.create(p);
        p = _parameters();
        p.game = address(0);
        uint256 most = type(uint160).max;
        vm.expectRevert(abi.encodeWithSelector(ParameterOutOfRange.selector, "game", uint256(0), uint256(1), most));
        this.create(p);
        // Not there yet.
        p.game = STRANGER;
        this.create(p);
    }

    /// Each bound: the values at its edges are accepted, those beside them refused by its name.
    function test_everyParameterIsBounded() public {
        uint256 year = escrow.MAX_LENGTH();
        _probe("workWindow", 1, CHALLENGE);
        _probe("sealWindow", 1, year);
        _probe("revealWindow", 1, year);
        _probe("challengeWindow", WORK, year);
        _probe("leastWorkerBond", 2 * LEAST_CHALLENGER_BOND, type(uint128).max);
        _probe("leastChallengerBond", 1, LEAST_WORKER_BOND / 2);
        _probe("bondShare", 200, 100_000);
    }

    function test_windowsMistypedInMillisecondsAreRefused() public {
        JobParameters memory p = _parameters();
        uint64 year = escrow.MAX_LENGTH();
        (p.workWindow, p.challengeWindow) = (year + 1, year + 1);
        bytes memory reason =
            abi.encodeWithSelector(ParameterOutOfRange.selector, "workWindow", year + 1, uint256(1), year);
        vm.expectRevert(reason);
        this.create(p);
    }

    // ---- words

    /// @dev A call, because an expectation of a revert passes over what `new` alone does.
    function create(JobParameters calldata p) external {
        new JobEscrow(p);
    }

    function _probe(string memory name, uint256 least, uint256 most) private {
        this.create(_with(name, least));
        this.create(_with(name, most));
        _refuses(name, least - 1);
        if (most < type(uint128).max) _refuses(name, most + 1);
    }

    function _refuses(string memory name, uint256 value) private {
        JobParameters memory p = _with(name, value);
        vm.expectPartialRevert(ParameterOutOfRange.selector);
        this.create(p);
    }

    // forge-lint: disable-start(unsafe-typecast)
    function _with(string memory name, uint256 value) private view returns (JobParameters memory p) {
        p = _parameters();
        if (_same(name, "workWindow")) p.workWindow = uint64(value);
        if (_same(name, "sealWindow")) p.sealWindow = uint64(value);
        if (_same(name, "revealWindow")) p.revealWindow = uint64(value);
        if (_same(name, "challengeWindow")) p.challengeWindow = uint64(value);
        if (_same(name, "leastWorkerBond")) p.leastWorkerBond = Units.wrap(uint128(value));
        if (_same(name, "leastChallengerBond")) p.leastChallengerBond = Units.wrap(uint128(value));
        if (_same(name, "bondShare")) p.bondShare = uint32(value);
    }

    // forge-lint: disable-end(unsafe-typecast)

    function _same(string memory a, string memory b) private pure returns (bool) {
        return keccak256(bytes(a)) == keccak256(bytes(b));
    }
}
