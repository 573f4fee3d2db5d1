// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Claim, PlanCounts} from "./IJobs.sol";
import {MerkleTree} from "./MerkleTree.sol";
import {Counts, Programs} from "./Programs.sol";

/// @notice A part of a plan, or a descriptor of a program, and what proves it.
/// @param  content  Its bytes.
/// @param  siblings Hashes beside its path.
struct Part {
    bytes content;
    bytes32[] siblings;
}

/// @notice Which program a run of a plan executes, and what that has.
/// @param  run     The run's part of the plan.
/// @param  program The program's part of the plan: its digest.
/// @param  header  The program's first descriptor.
struct ProgramOfRun {
    Part run;
    Part program;
    Part header;
}

/// @notice Where an input of a run, or a tensor of the next state, comes from.
enum SourceKind {
    State,
    Constant,
    Given,
    Output
}

/// @notice A source: what kind, and its two numbers (place; or run and output).
struct Source {
    SourceKind kind;
    uint256 first;
    uint256 second;
}

/// @notice Bytes and siblings lead to another digest.
error PartMismatch(uint256 index);

/// @notice The plan has no such part.
error NoSuchPart(uint256 number, uint256 count);

/// @notice The part of a plan is too short, or has another form.
error MalformedPart(uint256 length);

/// @title  Parts of a plan
/// @notice Opens a plan, known by its digest, part by part, and reads the parts.
/// @dev    digest = sha256(0x05, root of the tree over header, programs, constants, state, given, runs, next)
///         source = kind, then two numbers of 4 bytes; run = number of its program, then a source for each input.
///         Integers are little-endian. Layout: `verde::plan`.
library Plans {
    uint256 private constant SOURCE = 9;

    /// @notice Reverts unless the plan's counts are these and all of its parts have the given number.
    function total(PlanCounts memory counts) internal pure returns (uint256) {
        return uint256(2) + counts.programs + counts.constants + counts.state + counts.given + counts.runs;
    }

    /// @notice A program's digest.
    function program(Claim memory claim, uint256 number, Part calldata part) internal view returns (bytes32) {
        _check(claim, 1, number, claim.counts.programs, part);
        if (part.content.length != 32) revert MalformedPart(part.content.length);
        return bytes32(part.content);
    }

    /// @notice The root of a constant.
    function constantRoot(Claim memory claim, uint256 number, Part calldata part) internal view returns (bytes32) {
        _check(claim, uint256(1) + claim.counts.programs, number, claim.counts.constants, part);
        uint256 length = part.content.length;
        if (length < 32) revert MalformedPart(length);
        return bytes32(part.content[length - 32:]);
    }

    /// @notice The leaf, in the tree of a state, of a tensor with this root.
    function stateLeaf(Claim memory claim, uint256 number, bytes32 root, Part calldata part)
        internal
        view
        returns (bytes32)
    {
        PlanCounts memory counts = claim.counts;
        _check(claim, uint256(1) + counts.programs + counts.constants, number, counts.state, part);
        // Type, then the length of the name and the name, which the leaf begins with.
        uint256 name = 2 + 4 * Programs.octet(part.content, 1);
        if (name > part.content.length) revert MalformedPart(part.content.length);
        return sha256(abi.encodePacked(uint8(0), part.content[name:], root));
    }

    /// @notice A run: the number of its program, and the source of one of its inputs, or nothing for `NONE`.
    function runProgram(Claim memory claim, uint256 number, Part calldata part) internal view returns (uint256) {
        _checkRun(claim, number, part);
        return Programs.word(part.content, 0);
    }

    /// @notice Where an input of a run comes from.
    function runSource(Claim memory claim, uint256 number, uint256 input, Part calldata part)
        internal
        view
        returns (Source memory)
    {
        _checkRun(claim, number, part);
        return _source(part.content, 4 + SOURCE * input);
    }

    /// @notice Where a tensor of the next state comes from.
    function nextSource(Claim memory claim, uint256 slot, Part calldata part) internal view returns (Source memory) {
        _check(claim, total(claim.counts) - 1, 0, 1, part);
        return _source(part.content, SOURCE * slot);
    }

    /// @notice The program of a run: its digest, and what it has.
    function programOfRun(Claim memory claim, uint256 run, ProgramOfRun calldata proof)
        internal
        view
        returns (bytes32 digest, Counts memory counts)
    {
        digest = program(claim, runProgram(claim, run, proof.run), proof.program);
        counts = Programs.readCounts(proof.header.content);
        descriptor(digest, counts, 0, proof.header);
    }

    /// @notice Reverts unless a descriptor of a program stands at this place: the header first, then inputs, nodes, outputs.
    function descriptor(bytes32 digest, Counts memory counts, uint256 index, Part calldata part) internal view {
        uint256 count = 1 + counts.inputs + counts.nodes + counts.outputs;
        bytes32 leaf = MerkleTree.leafHash(part.content);
        if (MerkleTree.climb(leaf, index, count, part.siblings) != digest) revert PartMismatch(index);
    }

    function _checkRun(Claim memory claim, uint256 number, Part calldata part) private view {
        uint256 runs = claim.counts.runs;
        _check(claim, total(claim.counts) - 1 - runs, number, runs, part);
    }

    /// Reverts unless the part is number `number` of a section that begins at `start` and has `count`.
    function _check(Claim memory claim, uint256 start, uint256 number, uint256 count, Part calldata part) private view {
        if (number >= count) revert NoSuchPart(number, count);
        uint256 index = start + number;
        bytes32 leaf = MerkleTree.leafHash(part.content);
        bytes32 top = MerkleTree.climb(leaf, index, total(claim.counts), part.siblings);
        if (sha256(abi.encodePacked(uint8(5), top)) != claim.plan) revert PartMismatch(index);
    }

    function _source(bytes calldata part, uint256 offset) private pure returns (Source memory) {
        uint256 kind = Programs.octet(part, offset);
        if (kind > uint256(type(SourceKind).max)) revert MalformedPart(part.length);
        return Source(SourceKind(kind), Programs.word(part, offset + 1), Programs.word(part, offset + 5));
    }
}
