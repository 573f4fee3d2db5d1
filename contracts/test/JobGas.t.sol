// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Spec} from "../src/JobEscrow.sol";
import {JobEscrow} from "../src/JobEscrow.sol";
import {JobParameters} from "../src/JobParameters.sol";
import {TestToken} from "../src/dev/TestToken.sol";
import {Jobs} from "./fixtures/Jobs.sol";

/// @title Gas of a job, as its senders pay it: intrinsic gas and calldata included.
/// @dev   A plan of 16 parts; a million steps with a checkpoint every thousand. Figures go to `snapshots/Jobs.json`.
/// forge-config: default.isolate = true
contract JobGasTest is Jobs {
    string private constant GROUP = "Jobs";

    function setUp() public {
        _start();
    }

    function test_codeFitsTheLimitOfAContract() public view {
        vm.assertLe(address(escrow).code.length, 24_576);
    }

    /// From the launch to the worker's money.
    function test_lifeOfAJob() public {
        uint256 job = _launch(_long());
        uint256 sum = vm.snapshotGasLastCall(GROUP, "launch");
        _accept(job);
        sum += vm.snapshotGasLastCall(GROUP, "accept");
        Work memory w = _work(INITIAL, 1_001, "honest");
        bytes32 found = _sealHash(w.top, VERIFIER, "salt");
        vm.prank(VERIFIER);
        escrow.seal(job, found);
        vm.snapshotGasLastCall(GROUP, "seal");
        _commitSeal(job, w);
        sum += vm.snapshotGasLastCall(GROUP, "commitSeal");
        pass(SEAL + 1);
        _commit(job, w);
        sum += vm.snapshotGasLastCall(GROUP, "commit");
        vm.prank(VERIFIER);
        escrow.reveal(job, w.top, "salt");
        vm.snapshotGasLastCall(GROUP, "reveal");
        pass(CHALLENGE + 1);
        escrow.finalize(job);
        sum += vm.snapshotGasLastCall(GROUP, "finalize");
        vm.prank(WORKER);
        escrow.withdraw();
        sum += vm.snapshotGasLastCall(GROUP, "withdraw");
        vm.snapshotValue(GROUP, "a job, from launch to withdraw", sum);
        vm.assertLe(sum, 800_000);
    }

    /// As the game contract calls them: without the gas of a transaction of their own they cost 21,000 and some calldata less.
    function test_games() public {
        uint256 job = _committed();
        _begin(job, CHALLENGER);
        vm.snapshotGasLastCall(GROUP, "beginGame");
        _begin(job, RIVAL);
        _begin(job, STRANGER);
        escrow.endGame(job, STRANGER, false);
        vm.snapshotGasLastCall(GROUP, "endGame, the challenger lost");
        escrow.endGame(job, CHALLENGER, true);
        vm.snapshotGasLastCall(GROUP, "endGame, the worker lost");
        escrow.voidGame(job, RIVAL);
        vm.snapshotGasLastCall(GROUP, "voidGame");
    }

    function test_refute() public {
        uint256 job = _committed();
        escrow.refute(job, CHALLENGER);
        vm.snapshotGasLastCall(GROUP, "refute");
    }

    function test_ends() public {
        _cancelled();
        vm.snapshotGasLastCall(GROUP, "cancel");
        pass(1);
        _expired();
        vm.snapshotGasLastCall(GROUP, "expire, the worker was late");
    }

    function _long() private view returns (Spec memory spec) {
        spec = _spec();
        (spec.steps, spec.stride) = (1_000_000, 1_000);
    }

    // ---- the committed bytecode

    function _newToken() internal override returns (TestToken) {
        return TestToken(_create("TestToken", ""));
    }

    function _newEscrow(JobParameters memory p) internal override returns (JobEscrow created) {
        uint256 before = gasleft();
        created = JobEscrow(_create("JobEscrow", abi.encode(p)));
        vm.snapshotValue(GROUP, "deploy JobEscrow", before - gasleft());
    }

    function _create(string memory name, bytes memory arguments) private returns (address created) {
        bytes memory artifact = vm.getCode(string.concat("artifacts/", name, ".json"));
        bytes memory code = abi.encodePacked(artifact, arguments);
        assembly ("memory-safe") {
            created := create(0, add(code, 32), mload(code))
        }
        vm.assertTrue(created.code.length > 0);
    }
}
