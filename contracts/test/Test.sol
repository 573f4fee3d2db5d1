// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title The cheatcodes of forge that the tests use. Meanings: https://getfoundry.sh/reference/cheatcodes/overview
interface Vm {
    struct Wallet {
        address addr;
        uint256 publicKeyX;
        uint256 publicKeyY;
        uint256 privateKey;
    }

    struct Log {
        bytes32[] topics;
        bytes data;
        address emitter;
    }

    // ---- block and sender
    function warp(uint256 time) external;
    function getBlockTimestamp() external view returns (uint256);
    function roll(uint256 number) external;
    function getBlockNumber() external view returns (uint256);
    function setBlockhash(uint256 number, bytes32 hash) external;
    function chainId(uint256 id) external;
    function prank(address sender) external;
    function startPrank(address sender) external;
    function stopPrank() external;

    function computeCreateAddress(address deployer, uint256 nonce) external pure returns (address);
    function getNonce(address account) external view returns (uint64);

    // ---- expectations
    function assume(bool condition) external pure;
    function expectEmit(address emitter) external;
    function expectEmit(bool first, bool second, bool third, bool data, address emitter) external;
    function expectRevert() external;
    function expectRevert(bytes4 selector) external;
    function expectRevert(bytes calldata data) external;
    function expectPartialRevert(bytes4 selector) external;
    function assertEq(uint256 actual, uint256 expected) external pure;
    function assertEq(uint256 actual, uint256 expected, string calldata message) external pure;
    function assertEq(address actual, address expected) external pure;
    function assertEq(bytes32 actual, bytes32 expected) external pure;
    function assertEq(bytes calldata actual, bytes calldata expected) external pure;
    function assertEq(string calldata actual, string calldata expected) external pure;
    function assertEq(bool actual, bool expected) external pure;
    function assertTrue(bool condition) external pure;
    function assertTrue(bool condition, string calldata message) external pure;
    function assertFalse(bool condition) external pure;
    function assertLe(uint256 left, uint256 right) external pure;
    function assertLe(uint256 left, uint256 right, string calldata message) external pure;

    // ---- events
    function recordLogs() external;
    function getRecordedLogs() external returns (Log[] memory);

    // ---- keys
    function createWallet(uint256 privateKey) external returns (Wallet memory);
    function addr(uint256 privateKey) external pure returns (address);
    function sign(uint256 privateKey, bytes32 digest) external pure returns (uint8 v, bytes32 r, bytes32 s);

    // ---- gas
    function getCode(string calldata artifact) external view returns (bytes memory);
    function snapshotGasLastCall(string calldata group, string calldata name) external returns (uint256);
    function snapshotValue(string calldata group, string calldata name, uint256 value) external;
    function pauseGasMetering() external;
    function resumeGasMetering() external;
}

/// @title Base of every test: the cheatcodes, and a few words that tests share.
/// @dev forge takes a contract for a test because `IS_TEST` answers true.
abstract contract Test {
    /// @dev Where forge answers cheatcodes: the address of keccak256("hevm cheat code").
    Vm internal constant vm = Vm(0x7109709ECfa91a80626fF3989D68f67F5b1DD12D);

    // solhint-disable-next-line func-name-mixedcase
    bool public constant IS_TEST = true;

    /// @dev The time of the block. Tests ask forge, for the optimizer may read `block.timestamp` once and keep it over a warp.
    function time() internal view returns (uint64) {
        return uint64(vm.getBlockTimestamp());
    }

    /// @dev Lets `duration` seconds pass.
    function pass(uint64 duration) internal {
        vm.warp(time() + duration);
    }

    /// @dev The number of the block.
    function height() internal view returns (uint256) {
        return vm.getBlockNumber();
    }

    /// @dev Lets `blocks` blocks pass.
    function mine(uint256 blocks) internal {
        vm.roll(height() + blocks);
    }

    /// @dev Folds a random value into `least..most`, both inclusive; the value itself where it already lies there.
    function bound(uint256 value, uint256 least, uint256 most) internal pure returns (uint256) {
        if (value >= least && value <= most) return value;
        uint256 span = most - least + 1;
        return span == 0 ? value : least + value % span;
    }
}
