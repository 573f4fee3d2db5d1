// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {SwarmCoordinator} from "../src/SwarmCoordinator.sol";
import {SwarmStake} from "../src/SwarmStake.sol";
import {TestToken} from "../src/dev/TestToken.sol";
import {Claim, Epoch, Scores} from "../src/types.sol";
import {SwarmTest} from "./fixtures/SwarmTest.sol";

/// @title Gas of what a swarm does every day, as its sender pays it: intrinsic gas and calldata included.
/// @dev   A swarm of 32 members with one node each. Figures go to `snapshots/Swarm.json`; the README's table is made of them.
/// forge-config: default.isolate = true
contract SwarmGasTest is SwarmTest {
    string private constant GROUP = "Swarm";

    /// @dev What the latest creation cost.
    uint256 private _creationGas;

    function setUp() public override {
        super.setUp();
        // The first four hold three quarters of the stake.
        for (uint256 i = 0; i < 32; ++i) {
            _join(i, 100);
        }
        for (uint256 i = 0; i < 4; ++i) {
            _deposit(members[i].owner, 2_100);
        }
        _fund(1_000_000);
    }

    function test_deployStake() public {
        _createStake(IERC20(address(token)));
        vm.snapshotValue(GROUP, "deploy SwarmStake", _creationGas);
    }

    function test_deployCoordinator() public {
        _createCoordinator();
        vm.snapshotValue(GROUP, "deploy SwarmCoordinator", _creationGas);
    }

    function test_deposit() public {
        token.mint(STRANGER, 10);
        vm.startPrank(STRANGER);
        token.approve(address(stake), 10);
        stake.deposit(STRANGER, 10);
        vm.snapshotGasLastCall(GROUP, "deposit, first of an owner");
    }

    function test_bind() public {
        _bind(_newMember(99));
        vm.snapshotGasLastCall(GROUP, "bind");
    }

    function test_submitWith4Signatures() public {
        _submit(4);
        vm.snapshotGasLastCall(GROUP, "submitScores,  4 signatures");
    }

    function test_submitWith32Signatures() public {
        _submit(32);
        vm.snapshotGasLastCall(GROUP, "submitScores, 32 signatures");
    }

    function test_claimOne() public {
        _submit(4);
        Claim[] memory claims = _one(_claim(0, _equal(), 7));
        coordinator.claim(claims);
        vm.snapshotGasLastCall(GROUP, "claim, 1 leaf of 32");
    }

    function test_claimFour() public {
        _submit(4);
        Claim[] memory claims = new Claim[](4);
        for (uint256 i = 0; i < 4; ++i) {
            claims[i] = _claim(0, _equal(), i);
        }
        coordinator.claim(claims);
        vm.snapshotGasLastCall(GROUP, "claim, 4 leaves of 32");
    }

    function test_claimOnePaid() public {
        _submit(4);
        Claim[] memory claims = _one(_claim(0, _equal(), 7));
        coordinator.claim(claims);
        coordinator.claim(claims);
        vm.snapshotGasLastCall(GROUP, "claim, 1 leaf of 32, paid already");
    }

    function test_reclaim() public {
        _submit(4);
        pass(CLAIM_WINDOW + 1);
        coordinator.reclaim(Epoch.wrap(0));
        vm.snapshotGasLastCall(GROUP, "reclaim");
    }

    // ---- the committed bytecode

    function _newToken() internal override returns (TestToken) {
        return TestToken(_create("TestToken", ""));
    }

    function _deploy(IERC20 money) internal override {
        stake = _createStake(money);
        coordinator = _createCoordinator();
    }

    function _createStake(IERC20 money) private returns (SwarmStake) {
        return SwarmStake(_create("SwarmStake", abi.encode(money, EXIT_DELAY, SLASHER)));
    }

    function _createCoordinator() private returns (SwarmCoordinator) {
        return SwarmCoordinator(_create("SwarmCoordinator", abi.encode(_parameters())));
    }

    function _create(string memory name, bytes memory arguments) private returns (address created) {
        bytes memory artifact = vm.getCode(string.concat("artifacts/", name, ".json"));
        bytes memory code = abi.encodePacked(artifact, arguments);
        uint256 before = gasleft();
        assembly ("memory-safe") {
            created := create(0, add(code, 32), mload(code))
        }
        _creationGas = before - gasleft();
        vm.assertTrue(created.code.length > 0);
    }

    // ---- words

    function _submit(uint256 signers) private {
        Scores memory s = _scores(0, _equal());
        bytes[] memory votes = _votes(s, signers);
        vm.warp(GENESIS + EPOCH);
        coordinator.submitScores(s, votes);
    }

    function _equal() private pure returns (uint128[] memory points) {
        points = new uint128[](32);
        for (uint256 i = 0; i < 32; ++i) {
            points[i] = 10;
        }
    }
}
