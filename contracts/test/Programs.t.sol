// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {
    Counts,
    DescriptorTooLong,
    DescriptorTooShort,
    LongerThanAllowed,
    Node,
    Programs,
    UnknownDType,
    UnknownOperator,
    UnknownProfile,
    UnknownRole
} from "../src/Programs.sol";
import {DType, Header} from "../src/TileTree.sol";
import {Test} from "./Test.sol";

/// @title The descriptors of a program, written out: x of f32 [2, 300], y = sum(x).
contract ProgramsTest is Test {
    bytes private constant HEADER = hex"03000000726f31010000000100000001000000";
    bytes private constant INPUT = hex"010000007800020000000200" hex"00002c01000002";
    bytes private constant NODE = hex"170100000000000000000200000002000000" hex"01000000";
    bytes private constant OUTPUT = hex"010000007901000000";

    // ---- what is read

    function test_header() public view {
        Counts memory counts = this.readCounts(HEADER);
        vm.assertEq(counts.inputs, 1);
        vm.assertEq(counts.nodes, 1);
        vm.assertEq(counts.outputs, 1);
    }

    function test_input() public view {
        (bytes memory name, Header memory header, uint256 role) = this.readInput(INPUT);
        vm.assertEq(name, "x");
        vm.assertTrue(header.dtype == DType.F32);
        vm.assertEq(abi.encode(header.shape), abi.encode(_shape(2, 300)));
        vm.assertEq(role, 2);
    }

    function test_node() public view {
        Node memory node = this.readNode(NODE);
        vm.assertEq(node.tag, 23);
        vm.assertEq(node.operands.length, 1);
        vm.assertEq(node.operands[0], 0);
        vm.assertTrue(node.header.dtype == DType.F32);
        vm.assertEq(abi.encode(node.header.shape), abi.encode(_shape(2, 1)));
    }

    function test_output() public view {
        (bytes memory name, uint256 value) = this.readOutput(OUTPUT);
        vm.assertEq(name, "y");
        vm.assertEq(value, 1);
    }

    // ---- what is not

    function test_everyShorterOneIsRefused() public {
        for (uint256 i = 0; i < HEADER.length; ++i) {
            vm.expectPartialRevert(DescriptorTooShort.selector);
            this.readCounts(_first(HEADER, i));
        }
        for (uint256 i = 0; i < INPUT.length; ++i) {
            vm.expectPartialRevert(DescriptorTooShort.selector);
            this.readInput(_first(INPUT, i));
        }
        for (uint256 i = 0; i < NODE.length; ++i) {
            vm.expectPartialRevert(DescriptorTooShort.selector);
            this.readNode(_first(NODE, i));
        }
        for (uint256 i = 0; i < OUTPUT.length; ++i) {
            vm.expectPartialRevert(DescriptorTooShort.selector);
            this.readOutput(_first(OUTPUT, i));
        }
    }

    function test_everyLongerOneIsRefused() public {
        vm.expectRevert(abi.encodeWithSelector(DescriptorTooLong.selector, 19, 20));
        this.readCounts(bytes.concat(HEADER, hex"00"));
        vm.expectRevert(abi.encodeWithSelector(DescriptorTooLong.selector, 19, 20));
        this.readInput(bytes.concat(INPUT, hex"00"));
        vm.expectRevert(abi.encodeWithSelector(DescriptorTooLong.selector, 22, 23));
        this.readNode(bytes.concat(NODE, hex"00"));
        vm.expectRevert(abi.encodeWithSelector(DescriptorTooLong.selector, 9, 10));
        this.readOutput(bytes.concat(OUTPUT, hex"00"));
    }

    function test_unknownTagsAreRefused() public {
        vm.expectRevert(UnknownProfile.selector);
        this.readCounts(_with(HEADER, 6, 0x32));
        vm.expectRevert(abi.encodeWithSelector(UnknownDType.selector, 3));
        this.readInput(_with(INPUT, 5, 3));
        vm.expectRevert(abi.encodeWithSelector(UnknownRole.selector, 4));
        this.readInput(_with(INPUT, 18, 4));
        vm.expectRevert(abi.encodeWithSelector(UnknownOperator.selector, 37));
        this.readNode(_with(NODE, 0, 37));
        vm.expectRevert(abi.encodeWithSelector(UnknownDType.selector, 255));
        this.readNode(_with(NODE, 9, 255));
    }

    function test_lengthsAreBounded() public {
        vm.expectRevert(abi.encodeWithSelector(LongerThanAllowed.selector, 257, 256));
        this.readOutput(hex"01010000");
        vm.expectRevert(abi.encodeWithSelector(LongerThanAllowed.selector, 9, 8));
        this.readInput(_with(INPUT, 6, 9));
        vm.expectRevert(abi.encodeWithSelector(LongerThanAllowed.selector, 4097, 4096));
        this.readNode(_with(_with(NODE, 1, 1), 2, 16));
        // The attribute of a reshape.
        vm.expectRevert(abi.encodeWithSelector(LongerThanAllowed.selector, 9, 8));
        this.readNode(hex"1a09000000");
    }

    // ---- the library takes calldata

    function readCounts(bytes calldata descriptor) external pure returns (Counts memory) {
        return Programs.readCounts(descriptor);
    }

    function readInput(bytes calldata descriptor) external pure returns (bytes memory, Header memory, uint256) {
        return Programs.readInput(descriptor);
    }

    function readNode(bytes calldata descriptor) external pure returns (Node memory) {
        return Programs.readNode(descriptor);
    }

    function readOutput(bytes calldata descriptor) external pure returns (bytes memory, uint256) {
        return Programs.readOutput(descriptor);
    }

    function _first(bytes memory descriptor, uint256 length) private pure returns (bytes memory head) {
        head = new bytes(length);
        for (uint256 i = 0; i < length; ++i) {
            head[i] = descriptor[i];
        }
    }

    function _with(bytes memory descriptor, uint256 place, uint8 value) private pure returns (bytes memory) {
        descriptor[place] = bytes1(value);
        return descriptor;
    }

    function _shape(uint32 a, uint32 b) private pure returns (uint32[] memory shape) {
        shape = new uint32[](2);
        (shape[0], shape[1]) = (a, b);
    }
}
