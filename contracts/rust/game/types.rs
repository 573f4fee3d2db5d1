//! The structs of the contracts' moves and positions. Their documentation is in `Moves.sol`,
//! `Position.sol`, `DisputeGame.sol`, `Plans.sol`, `TileTree.sol` and `IJobs.sol`.
#![allow(missing_docs, reason = "the contracts document their structs")]

use alloy::primitives::Bytes;
use alloy::sol;
use verde::game::Side;

sol! {
    #![sol(extra_derives(Debug, Default, PartialEq, Eq))]

    struct PlanCounts { uint32 programs; uint32 constants; uint32 state; uint32 given; uint32 runs; }
    struct Claim { bytes32 plan; PlanCounts counts; uint64 steps; uint32 stride; bytes32 top; }

    struct Opening { bytes tile; bytes32[] siblings; }
    struct Part { bytes content; bytes32[] siblings; }
    struct ProgramOfRun { Part run; Part program; Part header; }
    struct Counts { uint256 inputs; uint256 nodes; uint256 outputs; }

    struct SourceProof {
        bytes32 root;
        bytes32[] siblings;
        Part part;
        ProgramOfRun program;
        bytes32 values;
        bytes32[] runPath;
    }
    struct ProveNext { Part next; SourceProof source; }
    struct ProveInput { Part run; SourceProof source; }

    struct Game { uint256 job; address worker; address challenger; uint256 clocks; }

    struct Cursor { uint8 branch; uint64 leaves; uint8 height; uint64 index; bytes32 node; }
    struct StepContext { uint64 number; bytes32 before; bytes32 next; bytes32 runs; }
    struct RunContext { uint32 number; bytes32 program; Counts counts; bytes32 values; }
    struct ValueContext { uint32 id; uint32 width; bytes32 tensor; bytes node; uint32[] operands; }
    struct NumberContext { uint64 element; uint64 blocks; uint8 level; uint64 index; uint32 claimed; }
    struct Position { uint8 stage; Cursor cursor; bytes32 context; }
    struct Context {
        Claim claim;
        uint64 checkpoint;
        bytes32 states;
        StepContext step;
        RunContext run;
        ValueContext value;
        NumberContext number;
        bytes words;
    }
}

/// A move: its kind, and its data as `Moves.sol` has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Move {
    pub kind: u8,
    pub data: Bytes,
}

impl Position {
    /// The position as a call has it: `Positions.write`.
    pub fn write(&self) -> Vec<u8> {
        let Cursor {
            branch,
            leaves,
            height,
            index,
            node,
        } = &self.cursor;
        let mut written = vec![self.stage, *branch];
        written.extend(leaves.to_be_bytes());
        written.push(*height);
        written.extend(index.to_be_bytes());
        written.extend(node.0);
        written.extend(self.context.0);
        written
    }
}

impl Game {
    /// Whose turn it is.
    pub fn turn(&self) -> Side {
        match self.clocks.bit(TURN) {
            false => Side::Worker,
            true => Side::Challenger,
        }
    }
}

/// The bit of the clocks that says whose turn it is: `Clocks.sol`.
const TURN: usize = 128;
