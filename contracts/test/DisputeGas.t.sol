// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {DisputeGame} from "../src/DisputeGame.sol";
import {GameRules} from "../src/GameRules.sol";
import {StepClaim} from "../src/StepClaims.sol";
import {Games} from "./fixtures/Games.sol";

/// @title Gas of the moves of a game, as their senders pay it: intrinsic gas and calldata included; jobs and money are not.
/// @dev   The smallest of plans and histories. What whole disputes cost, of large ones too: the tests of the Rust crate.
/// forge-config: default.isolate = true
contract DisputeGasTest is Games {
    string private constant GROUP = "Dispute";

    function setUp() public {
        GameRules rules = GameRules(_deploy(vm.getCode("artifacts/GameRules.json"), abi.encode(address(this))));
        _start(rules);
        bytes memory arguments = abi.encode(rules, jobs, CLOCK);
        games = DisputeGame(_deploy(vm.getCode("artifacts/DisputeGame.json"), arguments));
    }

    function test_codeFitsTheLimitOfAContract() public view {
        vm.assertLe(address(games.rules()).code.length, 24_576);
        vm.assertLe(address(games).code.length, 24_576);
    }

    function test_moves() public {
        _open();
        vm.snapshotGasLastCall(GROUP, "open");
        _play(WORKER, _list(_reveal()));
        vm.snapshotGasLastCall(GROUP, "reveal");
        _play(CHALLENGER, _list(_pick()));
        vm.snapshotGasLastCall(GROUP, "pick");
        _play(WORKER, _list(_step()));
        vm.snapshotGasLastCall(GROUP, "step");
        _play(CHALLENGER, _list(_contest()));
        _play(WORKER, _list(_state(), _slot()));
        vm.snapshotGasLastCall(GROUP, "state and slot");
        _play(CHALLENGER, _list(_proveNext()));
        vm.snapshotGasLastCall(GROUP, "prove next");
    }

    function test_timeout() public {
        _open();
        pass(CLOCK);
        _timeout();
        vm.snapshotGasLastCall(GROUP, "timeout");
    }

    function test_void() public {
        _open();
        jobs.refute();
        _void();
        vm.snapshotGasLastCall(GROUP, "void");
    }

    function test_refutation() public {
        StepClaim memory step = _stepClaim();
        (bytes memory signature, bytes memory moves) = (_signed(step), _moves());
        _announce(CHALLENGER, step, moves);
        vm.snapshotGasLastCall(GROUP, "announce");
        mine(1);
        _refute(CHALLENGER, step, signature, moves);
        vm.snapshotGasLastCall(GROUP, "refute");
    }

    function _deploy(bytes memory code, bytes memory arguments) private returns (address deployed) {
        code = bytes.concat(code, arguments);
        assembly ("memory-safe") {
            deployed := create(0, add(code, 32), mload(code))
        }
    }
}
