//! The structs of the contracts' moves and positions. Their documentation is in `Moves.sol`,
//! `Position.sol`, `DisputeGame.sol`, `Plans.sol`, `TileTree.sol` and `IJobs.sol`.
#![allow(missing_docs, reason = "the contracts document their structs")]

use alloy::sol;
use verde::game::Side;

sol! {
    #![sol(extra_derives(Debug, Default, PartialEq, Eq))]

    struct PlanCounts { uint32 programs; uint32 constants; uint32 state; uint32 given; uint32 runs; }
    struct Claim { bytes32 plan; PlanCounts counts; uint64 steps; uint32 stride; bytes32 top; }

    struct Header { uint8 dtype; uint32[] shape; }
    struct Opening { bytes tile; bytes32[] siblings; }
    struct Part { bytes content; bytes32[] siblings; }
    struct ProgramOfRun { Part run; Part program; Part header; }
    struct Counts { uint256 inputs; uint256 nodes; uint256 outputs; }

    struct Move { uint8 kind; bytes data; }
    struct Reveal { bytes32[] nodes; }
    struct Interval {
        bytes32 before;
        bytes32[] beforePath;
        bytes32 next;
        bytes32 states;
        bytes32[] firstPath;
        bytes32[] lastPath;
    }
    struct Step { bytes32 before; bytes32[] beforePath; bytes32 next; bytes32 runs; }
    struct Run { bytes32 values; ProgramOfRun program; }
    struct Value { bytes32 tiles; Part descriptor; }
    struct Tile { bytes elements; }
    struct Slot { bytes32 root; Part slot; }
    struct Numbers { bytes numbers; }
    struct Pick { uint256 height; uint256 index; bytes32 node; bytes32[] siblings; }
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
    struct OperandProof { Header header; bytes32 tiles; bytes32[] siblings; }
    struct Ask { uint256 offset; OperandProof[] operands; }
    struct Prove { uint256 offset; uint256 witness; OperandProof[] operands; Opening[] openings; }

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
